//! The TLS configuration: protocol versions, algorithms and certificate authorities (RFC 8446, RFC 5246).
//!
//! The peer must prove its name by a certificate of an authority that is trusted here; nothing switches that off.
//! Revocation is not checked. Algorithms are those that rustls and ring enable by default. TLS 1.2 is on: mirrors and
//! servers inside of companies still run OpenSSL 1.0.2 (RHEL 7, Debian 8) or Windows Server 2019, which have no TLS 1.3.
#![forbid(unsafe_code)]

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, KeyProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, Der, PrivateKeyDer, TrustAnchor, UnixTime};
use rustls::sign::SigningKey;
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, ClientConfig, RootCertStore};

use super::tls::DOING;
use crate::codec::Format;
use crate::error::{Error, Kind, Result};
use crate::sys::clock::{self, EARLIEST};
use crate::sys::{environment, file};

/// Bytes of a file of authorities: Debian's has 220 KiB.
const AUTHORITIES_LIMIT: usize = 4 << 20;

/// Where distributions keep the certificates of all trusted authorities in one file.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt", // Debian, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",   // Fedora, RHEL
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem", // openSUSE
    "/etc/ssl/cert.pem",      // Alpine without ca-certificates
];

/// Mozilla's authorities, as `build.rs` packs them.
const MOZILLA: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/authorities.gz"));

/// The rules of a handshake.
///
/// # Errors
/// `TimedOut` while the clock is not set, `Usage` when the file of authorities cannot be used.
pub(super) fn config() -> Result<Arc<ClientConfig>> {
    clock_is_set(clock::wall())?;
    let provider = CryptoProvider { key_provider: &NoKeys, ..ring::default_provider() };
    let builder = ClientConfig::builder_with_details(Arc::new(provider), Arc::new(WallClock));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| explain(&error))?;
    let mut config = builder.with_root_certificates(authorities()?).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

fn clock_is_set(now: Duration) -> Result<()> {
    if now < EARLIEST {
        let now = now.as_secs();
        let why =
            format!("the clock of this machine is not set ({now} s after 1970), so certificates cannot be judged");
        // Not yet: NTP may set it at any moment, so it is tried until the deadline.
        return Err(Error::new(Kind::TimedOut, DOING, why));
    }
    Ok(())
}

/// The authorities of the file that `SSL_CERT_FILE` names, else those of this system, else those of Mozilla.
fn authorities() -> Result<RootCertStore> {
    if let Some(path) = environment::variable(c"SSL_CERT_FILE") {
        // The user named this file, so no other is tried.
        let unusable = |why: &str| Error::usage(DOING, format!("SSL_CERT_FILE cannot be used: {why}"));
        let store = bundle(&path).map_err(|error| unusable(&format!("{error}")))?;
        return store.ok_or_else(|| unusable(&format!("no certificate is in {path}")));
    }
    // A bundle that is missing or empty (a container image without ca-certificates) is as good as none.
    let found = BUNDLES.iter().find_map(|path| bundle(path).ok().flatten());
    found.map_or_else(|| Ok(RootCertStore { roots: mozilla()? }), Ok)
}

/// The certificates in the file at `path`; `None` without one that can be used.
fn bundle(path: &str) -> Result<Option<RootCertStore>> {
    let text = file::read(path, AUTHORITIES_LIMIT)?;
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text).flatten() {
        // One that cannot be parsed is not trusted, and does not affect the others.
        let _ = store.add(certificate);
    }
    Ok((!store.is_empty()).then_some(store))
}

fn mozilla() -> Result<Vec<TrustAnchor<'static>>> {
    let bytes = Format::Gzip.decode(MOZILLA, AUTHORITIES_LIMIT)?;
    let mut fields = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some((length, behind)) = rest.split_first_chunk() {
        let Some((field, behind)) = behind.split_at_checked(u16::from_be_bytes(*length).into()) else { break };
        fields.push(Der::from(field.to_vec()));
        rest = behind;
    }
    // All names, then all keys, then all constraints; an empty one is none.
    let mut keys = fields.split_off(fields.len() / 3);
    let constraints = keys.split_off(keys.len() / 2);
    let both = fields.into_iter().zip(keys).zip(constraints);
    let authority = |((subject, subject_public_key_info), constraints): ((_, _), Der<'static>)| {
        let name_constraints = (!constraints.is_empty()).then_some(constraints);
        TrustAnchor { subject, subject_public_key_info, name_constraints }
    };
    Ok(both.map(authority).collect())
}

/// wisp has no client certificate, so the code that signs with one is not linked.
#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> core::result::Result<Arc<dyn SigningKey>, rustls::Error> {
        Err(rustls::Error::General(String::new()))
    }
}

/// The time that certificates are judged by.
#[derive(Debug)]
struct WallClock;

impl TimeProvider for WallClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(clock::wall()))
    }
}

/// What rustls complains of, in a few words: its own would bring the words for everything that a server can do wrong.
pub(super) fn explain(error: &rustls::Error) -> Error {
    use CertificateError as Bad;
    let why = match error {
        rustls::Error::InvalidCertificate(bad) => match bad {
            Bad::Expired | Bad::ExpiredContext { .. } => "its certificate has expired, or the clock here is wrong",
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                "its certificate is not valid yet, or the clock here is wrong"
            }
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => "its certificate is for another name",
            Bad::UnknownIssuer => "its certificate is from no authority that is trusted here",
            _ => "its certificate is not in order",
        },
        rustls::Error::AlertReceived(alert) => {
            return Error::refused(DOING, format!("it breaks off with alert {}", u8::from(*alert)));
        }
        rustls::Error::PeerIncompatible(_) => "it has no TLS version or algorithm in common with wisp",
        _ => return Error::corrupt(DOING, "it does not speak TLS as it must"),
    };
    Error::refused(DOING, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{NamedGroup, ProtocolVersion};

    #[test]
    fn a_clock_that_is_not_set_judges_nothing() {
        let error = clock_is_set(Duration::from_secs(1234)).unwrap_err();
        assert_eq!(error.kind, Kind::TimedOut);
        assert!(error.why.contains("1234 s after 1970"), "{error}");
        clock_is_set(EARLIEST).unwrap();
    }

    #[test]
    fn modern_and_older_servers_find_something_in_common() {
        let config = config().unwrap();
        let provider = config.crypto_provider();
        let groups: Vec<_> = provider.kx_groups.iter().map(|group| group.name()).collect();
        assert!(groups.contains(&NamedGroup::X25519) && groups.contains(&NamedGroup::secp256r1), "{groups:?}");
        let versions: Vec<_> = provider.cipher_suites.iter().map(|suite| suite.version().version).collect();
        assert!(versions.contains(&ProtocolVersion::TLSv1_3) && versions.contains(&ProtocolVersion::TLSv1_2));
    }

    #[test]
    fn a_bundle_without_a_usable_certificate_is_none() {
        let path = std::env::temp_dir().join(format!("wisp-bundle-{}", std::process::id()));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        std::fs::write(&path, broken).unwrap();
        assert!(bundle(path.to_str().unwrap()).unwrap().is_none());
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn mozilla_is_who_the_library_says_it_is() {
        let authorities = mozilla().unwrap();
        assert!(authorities.len() > 100, "Mozilla trusts more than a hundred");
        assert!(authorities == webpki_roots::TLS_SERVER_ROOTS);
        assert!(authorities.iter().any(|authority| authority.name_constraints.is_some()));
    }

    #[test]
    fn every_complaint_is_one_that_an_operator_can_act_on() {
        let of = |error: CertificateError| explain(&rustls::Error::InvalidCertificate(error));
        for (error, word) in [
            (of(CertificateError::Expired), "expired"),
            (of(CertificateError::NotValidYet), "not valid yet"),
            (of(CertificateError::NotValidForName), "another name"),
            (of(CertificateError::UnknownIssuer), "no authority"),
            (of(CertificateError::BadSignature), "not in order"),
            (explain(&rustls::Error::AlertReceived(rustls::AlertDescription::HandshakeFailure)), "alert 40"),
            (explain(&rustls::Error::PeerIncompatible(rustls::PeerIncompatible::Tls12NotOffered)), "in common"),
        ] {
            assert_eq!(error.kind, Kind::Refused);
            assert!(error.why.contains(word), "{error}");
        }
        assert_eq!(explain(&rustls::Error::DecryptError).kind, Kind::Corrupt);
    }
}

//! Whom TLS believes, and by which arithmetic (RFC 8446, section 9).
//!
//! The peer must prove its name by a certificate of an authority that Mozilla trusts, or that stands in the file which
//! `SSL_CERT_FILE` names; there is no way to switch that off. Of ring only what every server in the world can do is
//! linked in: TLS 1.3, AES-GCM, P-256, and the signatures that authorities make. What was left out would cost, in bytes
//! of the program: TLS 1.2 32,256, X25519 39,872, ChaCha20 52,672, P-384 for the exchange of keys 3,584, QUIC 4,992.
#![forbid(unsafe_code)]

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use rustls::client::Resumption;
use rustls::crypto::ring::{cipher_suite, kx_group};
use rustls::crypto::{
    CipherSuiteCommon, CryptoProvider, GetRandomFailed, KeyProvider, SecureRandom, WebPkiSupportedAlgorithms,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, Der, PrivateKeyDer, TrustAnchor, UnixTime};
use rustls::sign::SigningKey;
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, ClientConfig, RootCertStore, SignatureScheme, SupportedCipherSuite, Tls13CipherSuite};
use webpki::ring as signature;

use super::tls::DOING;
use crate::codec::Format;
use crate::error::{Error, Kind, Result};
use crate::sys::clock::{self, EARLIEST};
use crate::sys::{environment, file, random};

/// Bytes of a file of authorities: Debian's has 220 KiB.
const AUTHORITIES_LIMIT: usize = 4 << 20;

/// Mozilla's authorities, as `build.rs` packs them.
const MOZILLA: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/authorities.gz"));

static AES_128: Tls13CipherSuite = without_quic(cipher_suite::TLS13_AES_128_GCM_SHA256);
static AES_256: Tls13CipherSuite = without_quic(cipher_suite::TLS13_AES_256_GCM_SHA384);

/// The signatures that public authorities and their servers make.
const SIGNATURES: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[
        signature::ECDSA_P256_SHA256,
        signature::ECDSA_P256_SHA384,
        signature::ECDSA_P384_SHA256,
        signature::ECDSA_P384_SHA384,
        signature::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
        signature::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
        signature::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
        signature::RSA_PKCS1_2048_8192_SHA256,
        signature::RSA_PKCS1_2048_8192_SHA384,
        signature::RSA_PKCS1_2048_8192_SHA512,
    ],
    mapping: &[
        (SignatureScheme::ECDSA_NISTP256_SHA256, &[signature::ECDSA_P256_SHA256]),
        (SignatureScheme::ECDSA_NISTP384_SHA384, &[signature::ECDSA_P384_SHA384]),
        (SignatureScheme::RSA_PSS_SHA256, &[signature::RSA_PSS_2048_8192_SHA256_LEGACY_KEY]),
        (SignatureScheme::RSA_PSS_SHA384, &[signature::RSA_PSS_2048_8192_SHA384_LEGACY_KEY]),
        (SignatureScheme::RSA_PSS_SHA512, &[signature::RSA_PSS_2048_8192_SHA512_LEGACY_KEY]),
        // For certificates only: TLS 1.3 has no other signatures of its own than those above.
        (SignatureScheme::RSA_PKCS1_SHA256, &[signature::RSA_PKCS1_2048_8192_SHA256]),
        (SignatureScheme::RSA_PKCS1_SHA384, &[signature::RSA_PKCS1_2048_8192_SHA384]),
        (SignatureScheme::RSA_PKCS1_SHA512, &[signature::RSA_PKCS1_2048_8192_SHA512]),
    ],
};

/// The rules of a handshake.
///
/// # Errors
/// `TimedOut` while the clock is not set, `Usage` when the file of authorities cannot be used.
pub(super) fn config() -> Result<Arc<ClientConfig>> {
    clock_is_set(clock::wall())?;
    let provider = CryptoProvider {
        cipher_suites: Vec::from([&AES_128, &AES_256].map(SupportedCipherSuite::Tls13)),
        kx_groups: Vec::from([kx_group::SECP256R1]),
        signature_verification_algorithms: SIGNATURES,
        secure_random: &Kernel,
        key_provider: &Kernel,
    };
    let builder = ClientConfig::builder_with_details(Arc::new(provider), Arc::new(Kernel));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).map_err(|error| told(&error))?;
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

/// The authorities of the file that `SSL_CERT_FILE` names, as other programs have it; without it, those of Mozilla.
fn authorities() -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    let Some(path) = environment::variable(c"SSL_CERT_FILE") else {
        store.roots = mozilla()?;
        return Ok(store);
    };
    // What the user set up wrongly stays wrong: no second try.
    let unusable = |why: &str| Error::usage(DOING, format!("SSL_CERT_FILE cannot be used: {why}"));
    let text = file::read(&path, AUTHORITIES_LIMIT).map_err(|error| unusable(&format!("{error}")))?;
    for certificate in CertificateDer::pem_slice_iter(&text).flatten() {
        // One that cannot be read is none to trust; the others are as good as before.
        let _ = store.add(certificate);
    }
    if store.is_empty() {
        return Err(unusable(&format!("no certificate is in {path}")));
    }
    Ok(store)
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

/// `suite` without what it brings for QUIC.
const fn without_quic(suite: SupportedCipherSuite) -> Tls13CipherSuite {
    let SupportedCipherSuite::Tls13(Tls13CipherSuite { common, hkdf_provider, aead_alg, .. }) = suite;
    let common = CipherSuiteCommon {
        suite: common.suite,
        hash_provider: common.hash_provider,
        confidentiality_limit: common.confidentiality_limit,
    };
    Tls13CipherSuite { common, hkdf_provider: *hkdf_provider, aead_alg: *aead_alg, quic: None }
}

/// What rustls wants from this machine.
#[derive(Debug)]
struct Kernel;

impl SecureRandom for Kernel {
    fn fill(&self, buffer: &mut [u8]) -> core::result::Result<(), GetRandomFailed> {
        random::fill(buffer).map_err(|_| GetRandomFailed)
    }
}

impl KeyProvider for Kernel {
    /// Nobody asks wisp who it is, and what would sign for it is not linked in.
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> core::result::Result<Arc<dyn SigningKey>, rustls::Error> {
        Err(rustls::Error::General(String::new()))
    }
}

impl TimeProvider for Kernel {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(clock::wall()))
    }
}

/// What rustls complains of, in a few words: its own would bring the words for everything that a server can do wrong.
pub(super) fn told(error: &rustls::Error) -> Error {
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
        rustls::Error::PeerIncompatible(_) => "it does not speak TLS 1.3 with AES-GCM and P-256",
        _ => return Error::corrupt(DOING, "it does not speak TLS as it must"),
    };
    Error::refused(DOING, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_not_set_judges_nothing() {
        let error = clock_is_set(Duration::from_secs(1234)).unwrap_err();
        assert_eq!(error.kind, Kind::TimedOut);
        assert!(error.why.contains("1234 s after 1970"), "{error}");
        clock_is_set(EARLIEST).unwrap();
    }

    #[test]
    fn the_rules_are_complete() {
        config().unwrap();
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
        let of = |error: CertificateError| told(&rustls::Error::InvalidCertificate(error));
        for (error, word) in [
            (of(CertificateError::Expired), "expired"),
            (of(CertificateError::NotValidYet), "not valid yet"),
            (of(CertificateError::NotValidForName), "another name"),
            (of(CertificateError::UnknownIssuer), "no authority"),
            (of(CertificateError::BadSignature), "not in order"),
            (told(&rustls::Error::AlertReceived(rustls::AlertDescription::HandshakeFailure)), "alert 40"),
            (told(&rustls::Error::PeerIncompatible(rustls::PeerIncompatible::Tls12NotOffered)), "TLS 1.3"),
        ] {
            assert_eq!(error.kind, Kind::Refused);
            assert!(error.why.contains(word), "{error}");
        }
        assert_eq!(told(&rustls::Error::DecryptError).kind, Kind::Corrupt);
    }
}

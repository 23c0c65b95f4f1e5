//! What is taken for base64 and what is not, and every limit.

use super::*;
#[cfg(feature = "full")]
use crate::error::Kind;
use base64ct::{Base64, Encoding as _};

/// `printf '#!/bin/sh\necho hello\n' | gzip -n9 | base64`
const PACKED: &str = "H4sIAAAAAAACA1NW1E/KzNMvzuBKTc7IV8hIzcnJ5wIAedQ/FxUAAAA=";
const SCRIPT: &[u8] = b"#!/bin/sh\necho hello\n";

fn decoded(bytes: &[u8]) -> Vec<u8> {
    decode(bytes).unwrap().into_owned()
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    Base64::encode_string(bytes).into_bytes()
}

#[test]
fn base64_is_undone_for_nothing_but_what_is_known() {
    for text in ["", "test", "eyes", "hello world", "aGVsbG8=", "#!/bin/sh\n", "{\"a\": 1}", "aGVsbG8", "\0\0\0\0"] {
        assert_eq!(decoded(text.as_bytes()), text.as_bytes(), "{text}");
    }
    for meant in [
        "#!/bin/sh\necho\n",
        "#cloud-config\nhostname: grün\n",
        "{\"a\": 1}",
        "Content-Type: multipart/mixed",
        "mime-version: 1.0",
        "From nobody Sat Nov 21 2026",
    ] {
        assert_eq!(decoded(&base64(meant.as_bytes())), meant.as_bytes());
    }
    // Not text, whatever it begins with.
    for bytes in [b"#\x01".as_slice(), b"{\xff", b"#\0"] {
        assert_eq!(decoded(&base64(bytes)), base64(bytes));
    }
}

/// What runs when it comes plain runs when a tool has encoded it once more.
#[test]
fn redundant_base64_is_judged_as_plain_user_data_is() {
    for meant in [
        b"\n#!/bin/sh\n".as_slice(),
        b"\xef\xbb\xbf#!/bin/sh\n",
        b" \r\n\t#!/bin/sh\necho\n",
        b"#!/bin/sh\nprintf '\x1b[31m'\n",
        b"#!/bin/sh\n# M\xfcller\n",
        b"\n#cloud-config\n# M\xfcller\n",
        b"\xef\xbb\xbf#alpine-config\nuser: a\n",
    ] {
        let once = base64(meant);
        let unpadded: Vec<u8> = once.iter().copied().filter(|byte| *byte != b'=').collect();
        let wrapped = base64(&base64(&once));
        for packed in [&once, &unpadded, &base64(&once), &wrapped] {
            assert_eq!(decoded(packed), meant, "{}", String::from_utf8_lossy(packed));
        }
    }
    assert_eq!(decoded(b"I2Nsb3VkLWNvbmZpZw"), b"#cloud-config", "without padding");
    let deep = (0..=WRAPS_LIMIT).fold(SCRIPT.to_vec(), |text, _| base64(&text));
    assert_eq!(decoded(&deep), deep, "there is a bound");
}

#[cfg(feature = "full")]
#[test]
fn base64_inside_compression_is_undone() {
    let pack = |bytes: &[u8]| Format::Gzip.encode(bytes).unwrap();
    assert_eq!(decoded(&pack(&base64(SCRIPT))), SCRIPT);
    assert_eq!(decoded(&base64(&pack(&base64(&pack(SCRIPT))))), SCRIPT);
    let mut nested = SCRIPT.to_vec();
    for _ in 0..=ROUNDS_LIMIT {
        nested = base64(&pack(&nested));
    }
    assert_ne!(decoded(&nested), SCRIPT, "there is a bound");
}

#[test]
fn compression_is_undone_under_base64_and_without() {
    assert_eq!(decoded(PACKED.as_bytes()), SCRIPT);
    let packed = crate::text::base64::decode(PACKED.as_bytes()).unwrap();
    assert_eq!(decoded(&packed), SCRIPT);
    let mut damaged = packed;
    damaged[35] ^= 1;
    let error = decode(&damaged).unwrap_err();
    assert_eq!(error.to_string(), "unpack the gzip data of the user-data: checksum does not match");
}

#[cfg(feature = "full")]
#[test]
fn layers_have_limits() {
    let pack = |bytes: &[u8]| Format::Gzip.encode(bytes).unwrap();
    assert_eq!(decode(&pack(&Format::Xz.encode(SCRIPT).unwrap())), Ok(SCRIPT.into()));
    // Whatever the ratio, up to the floor.
    assert_eq!(decode(&pack(&vec![b' '; RATIO_FLOOR])).map(|bytes| bytes.len()), Ok(RATIO_FLOOR));
    assert_eq!(decode(&pack(&vec![b' '; RATIO_FLOOR + 1])).unwrap_err().kind, Kind::Refused);
    // A layer that no one would see is limited too.
    let bomb = pack(&pack(&vec![0; 64 << 20]));
    assert_eq!(decode(&bomb).unwrap_err().kind, Kind::Refused);
    let mut nested = SCRIPT.to_vec();
    for _ in 0..8 {
        nested = pack(&nested);
    }
    assert_eq!(decode(&nested), Ok(SCRIPT.into()));
    assert_eq!(decode(&pack(&nested)).unwrap_err().kind, Kind::Refused);
    assert_eq!(decode(&vec![b'#'; RAW_LIMIT]).map(|bytes| bytes.len()), Ok(RAW_LIMIT));
    assert_eq!(decode(&vec![b'#'; RAW_LIMIT + 1]).unwrap_err().kind, Kind::Refused);
}

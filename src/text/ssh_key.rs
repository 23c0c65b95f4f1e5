//! SSH public keys: the line (sshd(8), AUTHORIZED_KEYS FILE FORMAT) and the blob in it (RFC 4253, section 6.6; RFC 5656;
//! RFC 8709; OpenSSH's PROTOCOL.u2f and PROTOCOL.certkeys). Pure.
//!
//! Accepted is what `ssh-keygen -l` accepts, except: DSA is refused, a point is not checked to be on its curve, and the
//! signature of a certificate is not verified.

use super::base64;
use core::ops::Range;

/// Why a blob is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is valid so far and ends too early.
    Incomplete,
    /// No continuation makes it a key; the reason.
    Invalid(&'static str),
}

impl Fault {
    /// The reason, for a message.
    #[must_use]
    pub const fn why(self) -> &'static str {
        match self {
            Self::Incomplete => "the key is truncated: it is shorter than the lengths in it",
            Self::Invalid(why) => why,
        }
    }
}

/// Where the parts of a line are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The options; empty without options.
    pub options: Range<usize>,
    /// The type.
    pub kind: Range<usize>,
    /// The blob in base64; empty if nothing follows the type.
    pub body: Range<usize>,
}

/// One field of a blob, a string (RFC 4251, section 5).
#[derive(Clone, Copy)]
enum Field {
    /// So many bytes.
    Bytes(usize),
    /// The name of the curve.
    Curve(&'static str),
    /// An uncompressed point of so many bytes (SEC 1, 2.3.3).
    Point(usize),
    /// A positive number.
    Number,
    /// A positive number of at least 1024 bits.
    Modulus,
    /// Text without a NUL byte: the application of a security key.
    Text,
}

/// The largest number that OpenSSH reads has 16384 bits.
const NUMBER_LIMIT: usize = 16384 / 8;

/// OpenSSH refuses a smaller modulus since 7.6 (`SSH_RSA_MINIMUM_MODULUS_SIZE`).
const MODULUS_MIN: usize = 1024;

/// A string in a blob is shorter than this: a line of `authorized_keys` that wisp reads has 16 KiB.
const STRING_LIMIT: usize = 16 << 10;

/// The types that sshd accepts, and the fields of each after its name.
const TYPES: &[(&str, &[Field])] = &[
    ("ssh-ed25519", &[Field::Bytes(32)]),
    ("ssh-rsa", &[Field::Number, Field::Modulus]),
    ("ecdsa-sha2-nistp256", &[Field::Curve("nistp256"), Field::Point(65)]),
    ("ecdsa-sha2-nistp384", &[Field::Curve("nistp384"), Field::Point(97)]),
    ("ecdsa-sha2-nistp521", &[Field::Curve("nistp521"), Field::Point(133)]),
    ("sk-ssh-ed25519@openssh.com", &[Field::Bytes(32), Field::Text]),
    ("sk-ecdsa-sha2-nistp256@openssh.com", &[Field::Curve("nistp256"), Field::Point(65), Field::Text]),
];

/// Suffix of the type of a certificate, in place of `@openssh.com`.
const CERTIFICATE: &str = "-cert-v01@openssh.com";

/// Options without a value; those that `no-` can stand before are marked.
const FLAGS: &[(&str, bool)] = &[
    ("restrict", false),
    ("cert-authority", false),
    ("port-forwarding", true),
    ("agent-forwarding", true),
    ("x11-forwarding", true),
    ("touch-required", true),
    ("verify-required", true),
    ("pty", true),
    ("user-rc", true),
];

/// Options with a value.
const VALUES: &[&str] =
    &["command", "principals", "from", "expiry-time", "environment", "permitopen", "permitlisten", "tunnel"];

/// The parts of a trimmed line; `None` when neither the first word nor the word after the options starts like a key type.
#[must_use]
pub fn split(line: &str) -> Option<Parts> {
    let first = word(line, 0);
    let (options, kind) = if looks_like_type(line.get(first.clone())?) {
        (0..0, first)
    } else {
        let end = options_end(line);
        (0..end, word(line, end))
    };
    let body = word(line, kind.end);
    looks_like_type(line.get(kind.clone())?).then_some(Parts { options, kind, body })
}

/// Checks the blob `text` of a key of the type `kind`.
///
/// # Errors
/// Why it is not accepted.
pub fn check(kind: &str, text: &str) -> Result<(), Fault> {
    if fields(kind).is_none() {
        return Err(Fault::Invalid("the type of the key is not supported"));
    }
    if let Ok(blob) = base64::decode(text.as_bytes()) {
        return check_blob(kind, &blob);
    }
    if !is_base64(text) {
        return Err(Fault::Invalid("the key has characters that are not base64"));
    }
    // Four characters are three bytes; an incomplete group of four is dropped.
    let whole = text.len().saturating_sub(text.len().checked_rem(4).unwrap_or_default());
    let start = text.get(..whole).unwrap_or_default();
    match base64::decode(start.as_bytes()).map(|blob| check_blob(kind, &blob)) {
        Ok(Err(fault)) => Err(fault),
        _ => Err(Fault::Invalid("the key is not valid base64")),
    }
}

/// Whether `text` has only characters of base64, with padding at its end.
#[must_use]
pub fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    text.len().saturating_sub(digits.len()) <= 2
        && !text.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

/// The type in a blob.
#[must_use]
pub fn kind_of(blob: &[u8]) -> Option<&'static str> {
    let name = Reader(blob).string().ok()?;
    TYPES.iter().map(|(known, _)| *known).find(|known| known.as_bytes() == name)
}

/// The options of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options<'a> {
    /// The first unknown option. A newer sshd may know it; an older one ignores the key.
    pub unknown: Option<&'a str>,
    /// `cert-authority`: the key signs certificates and is not a login key itself.
    pub is_authority: bool,
}

/// Parses options.
///
/// # Errors
/// Why sshd does not accept them.
pub fn options(mut rest: &str) -> Result<Options<'_>, &'static str> {
    let mut said = Options::default();
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && !matches!(letter, '-' | '@' | '.' | '_'));
        let (name, behind) = rest.split_at(end.unwrap_or(rest.len()));
        if name.is_empty() {
            return Err("the options in front of the key are malformed");
        }
        let (has_value, behind) = match behind.strip_prefix('=') {
            None => (false, behind),
            Some(value) => (true, value_end(value).ok_or("the value of an option is not in double quotes")?),
        };
        if !is_known(name, has_value) {
            said.unknown = said.unknown.or(Some(name));
        }
        said.is_authority |= name.eq_ignore_ascii_case("cert-authority");
        rest = match behind.strip_prefix(',') {
            Some(next) if !next.is_empty() => next,
            None if behind.is_empty() => "",
            _ => return Err("the options in front of the key are malformed"),
        };
    }
    Ok(said)
}

fn is_known(name: &str, has_value: bool) -> bool {
    if has_value {
        return VALUES.iter().any(|known| name.eq_ignore_ascii_case(known));
    }
    let negated = name.get(..3).filter(|start| start.eq_ignore_ascii_case("no-")).and_then(|_| name.get(3..));
    FLAGS.iter().any(|(known, may_be_negated)| {
        name.eq_ignore_ascii_case(known)
            || *may_be_negated && negated.is_some_and(|name| name.eq_ignore_ascii_case(known))
    })
}

/// The text after a value in double quotes.
fn value_end(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('"')?;
    let mut previous = ' ';
    let end = inner.find(|letter| {
        let is_end = letter == '"' && previous != '\\';
        previous = letter;
        is_end
    })?;
    inner.get(end.checked_add(1)?..)
}

/// The end of the options at the start of `line`: white space outside double quotes. A backslash escapes only a quote, even
/// after another backslash, as in sshd.
fn options_end(line: &str) -> usize {
    let (mut is_quoted, mut previous) = (false, ' ');
    let end = line.find(|letter: char| {
        is_quoted ^= letter == '"' && previous != '\\';
        previous = letter;
        !is_quoted && is_blank(letter)
    });
    end.unwrap_or(line.len())
}

/// The first word of `line` from `from` on.
fn word(line: &str, from: usize) -> Range<usize> {
    let rest = line.get(from..).unwrap_or_default();
    let word = rest.trim_start_matches(is_blank);
    let start = line.len().saturating_sub(word.len());
    let length = word.find(is_blank).unwrap_or(word.len());
    start..start.saturating_add(length)
}

fn is_blank(letter: char) -> bool {
    matches!(letter, ' ' | '\t')
}

fn looks_like_type(word: &str) -> bool {
    ["ssh-", "ecdsa-sha2-", "sk-"].iter().any(|start| word.starts_with(start))
}

/// The fields of a type, and whether they are in a certificate.
fn fields(kind: &str) -> Option<(&'static [Field], bool)> {
    let is_certificate = |known: &str| {
        let plain = known.strip_suffix("@openssh.com").unwrap_or(known);
        kind.strip_suffix(CERTIFICATE) == Some(plain)
    };
    let found = TYPES.iter().find(|(known, _)| kind == *known || is_certificate(known));
    found.map(|(known, fields)| (*fields, kind != *known))
}

fn check_blob(kind: &str, blob: &[u8]) -> Result<(), Fault> {
    let Some((fields, is_certificate)) = fields(kind) else {
        return Err(Fault::Invalid("the type of the key is not supported"));
    };
    let mut reader = Reader(blob);
    if reader.string()? != kind.as_bytes() {
        return Err(Fault::Invalid("the type in the key is not the one in front of it"));
    }
    if is_certificate {
        // The nonce.
        reader.string()?;
    }
    for field in fields {
        check_field(*field, reader.string()?)?;
    }
    if is_certificate {
        reader.certificate()?;
    }
    if reader.0.is_empty() { Ok(()) } else { Err(Fault::Invalid("there are extra bytes after the end of the key")) }
}

fn check_field(field: Field, value: &[u8]) -> Result<(), Fault> {
    let (is_sound, why) = match field {
        Field::Bytes(count) => (value.len() == count, "the key has the wrong length"),
        Field::Curve(name) => (value == name.as_bytes(), "the curve in the key is not the one of its type"),
        Field::Point(count) => (value.len() == count && value.first() == Some(&4), "the key has no uncompressed point"),
        Field::Text => (!value.contains(&0), "the key has a NUL byte in its application"),
        Field::Number => (number(value).is_some(), "the key has a number that is negative or too large"),
        Field::Modulus => (
            number(value).is_some_and(|bits| bits >= MODULUS_MIN),
            "the RSA key has a modulus of less than 1024 or more than 16384 bits",
        ),
    };
    if is_sound { Ok(()) } else { Err(Fault::Invalid(why)) }
}

/// The bits of a number; `None` if it is negative or too large.
fn number(value: &[u8]) -> Option<usize> {
    if value.first().is_some_and(|byte| byte & 0x80 != 0) {
        return None;
    }
    let zeros = value.iter().take_while(|byte| **byte == 0).count();
    let digits = value.get(zeros..).filter(|digits| digits.len() <= NUMBER_LIMIT)?;
    let unused = usize::try_from(digits.first().map_or(0, |byte| byte.leading_zeros())).ok()?;
    digits.len().checked_mul(8)?.checked_sub(unused)
}

/// Reads a blob from its beginning on.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Fault::Incomplete)?;
        self.0 = rest;
        Ok(taken)
    }

    fn string(&mut self) -> Result<&'a [u8], Fault> {
        let (length, rest) = self.0.split_first_chunk().ok_or(Fault::Incomplete)?;
        self.0 = rest;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok().filter(|length| *length <= STRING_LIMIT);
        self.take(length.ok_or(Fault::Invalid("a length in the key is too large"))?)
    }

    /// Checks what follows the public key in a certificate.
    fn certificate(&mut self) -> Result<(), Fault> {
        self.take(8)?;
        // Of a user or of a host.
        if !matches!(self.take(4)?, [0, 0, 0, 1 | 2]) {
            return Err(Fault::Invalid("the certificate is of an unknown kind"));
        }
        // Its identity and the principals, then from when and until when it is valid.
        self.string()?;
        self.string()?;
        self.take(16)?;
        // Critical options, extensions, and a reserved field.
        for _ in 0..3 {
            self.string()?;
        }
        let authority = self.string()?;
        let is_key = kind_of(authority).is_some_and(|kind| check_blob(kind, authority).is_ok());
        if !is_key {
            return Err(Fault::Invalid("the certificate has no sound key of its authority"));
        }
        self.string().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by ssh-keygen for this test and for nothing else.
    const ED25519: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIE3VyMJz2n0hTxP8xYxMq9zKq9n0x0Yk5H4T1mE8w2Aq";

    fn parts(line: &str) -> Option<(&str, &str, &str)> {
        split(line).map(|parts| (&line[parts.options], &line[parts.kind], &line[parts.body]))
    }

    #[test]
    fn a_blob_is_incomplete_at_every_cut_and_invalid_with_anything_behind_it() {
        assert_eq!(check("ssh-ed25519", ED25519), Ok(()));
        for end in 0..ED25519.len() {
            assert!(check("ssh-ed25519", &ED25519[..end]).is_err(), "{end}");
            if end > 0 {
                assert_eq!(check("ssh-ed25519", &ED25519[..end]), Err(Fault::Incomplete), "{end}");
            }
        }
        for behind in ["A", "AA", "AAA", "AAAA", "=", "hello"] {
            let fault = check("ssh-ed25519", &[ED25519, behind].concat()).unwrap_err();
            assert!(matches!(fault, Fault::Invalid(_)), "{behind}");
        }
        for (kind, text) in
            [("ssh-rsa", ED25519), ("ssh-dss", ED25519), ("ssh-ed25519", "AA!A"), ("ssh-ed25519", "/////w==")]
        {
            assert!(matches!(check(kind, text), Err(Fault::Invalid(_))), "{kind} {text}");
        }
    }

    #[test]
    fn options_end_where_sshd_ends_them() {
        for (line, wanted) in [
            ("ssh-rsa A me", Some(("", "ssh-rsa", "A"))),
            ("ssh-rsa", Some(("", "ssh-rsa", ""))),
            ("restrict \t sk-x B", Some(("restrict", "sk-x", "B"))),
            ("command=\"a b\",no-pty ssh-rsa A", Some(("command=\"a b\",no-pty", "ssh-rsa", "A"))),
            ("command=\"a \\\" b\" ssh-rsa A", Some(("command=\"a \\\" b\"", "ssh-rsa", "A"))),
            // A backslash that is escaped escapes all the same.
            ("command=\"a\\\\\" ssh-rsa A\" ssh-rsa B", Some(("command=\"a\\\\\" ssh-rsa A\"", "ssh-rsa", "B"))),
            ("command=\"ssh-rsa A\"", None),
            ("hello", None),
            ("a b ssh-rsa A", None),
            ("", None),
        ] {
            assert_eq!(parts(line), wanted, "{line}");
        }
    }

    #[test]
    fn options_are_checked_and_the_first_unknown_one_is_named() {
        for (options, unknown) in [
            ("", None),
            ("restrict,pty,No-X11-Forwarding", None),
            ("from=\"10.0.0.0/8,!10.1.1.1\",command=\"a \\\" b, c\",expiry-time=\"20300101\"", None),
            ("cert-authority,principals=\"a,b\"", None),
            ("form=\"10.0.0.0/8\",other", Some("form")),
            ("no-restrict", Some("no-restrict")),
            ("from", Some("from")),
            ("pty=\"x\"", Some("pty")),
        ] {
            let said = super::options(options).unwrap();
            assert_eq!((said.unknown, said.is_authority), (unknown, options.starts_with("cert-")), "{options}");
        }
        for options in ["from=10.0.0.1", "from=\"a", "pty,", ",pty", "pty,,restrict", "from=\"a\"pty", "a;b", "ann:x"] {
            assert!(super::options(options).is_err(), "{options}");
        }
    }
}

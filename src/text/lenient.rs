//! What can be read of a document that is not YAML as a whole: each top-level entry by itself, so that a bad line
//! affects only its own entry.
//!
//! For meta-data, where nothing may lock the owner out: a tab, a control character or a letter of Latin-1 in one line
//! must not cost the keys in the others.

#![forbid(unsafe_code)]

use super::document::{Document, LENGTH_LIMIT};
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

/// The entries of `bytes` that can be read. Of a text that is too long, none.
pub(super) fn parse(bytes: &[u8]) -> Document {
    let mut entries = Vec::new();
    if bytes.len() <= LENGTH_LIMIT {
        let text = decode(bytes);
        let mut start = None;
        let mut at = 0usize;
        for line in text.split_inclusive('\n') {
            if key_of(line).is_some() {
                entries.extend(start.and_then(|start| text.get(start..at)).map(entry).unwrap_or_default());
                start = Some(at);
            }
            at = at.saturating_add(line.len());
        }
        entries.extend(start.and_then(|start| text.get(start..)).map(entry).unwrap_or_default());
    }
    Document::Map(entries)
}

/// The text in UTF-8, or else in Latin-1, where each byte is a character; without control characters.
fn decode(bytes: &[u8]) -> String {
    let keeps = |letter: &char| !letter.is_control() || matches!(letter, '\t' | '\n');
    match core::str::from_utf8(bytes) {
        Ok(text) => text.trim_start_matches('\u{feff}').chars().filter(keeps).collect(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).filter(keeps).collect(),
    }
}

/// The key of a line that begins a top-level entry, and what follows its colon.
fn key_of(line: &str) -> Option<(&str, &str)> {
    let (key, rest) = line.split_once(':')?;
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let is_key = key.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric()) && key.bytes().all(is_word);
    (is_key && rest.chars().next().is_none_or(char::is_whitespace)).then(|| (key, rest.trim()))
}

/// The entry that `block` is; of several attempts the one that keeps most.
fn entry(block: &str) -> Vec<(String, Document)> {
    let spaced = block.replace('\t', " ");
    let first = spaced.lines().next().unwrap_or_default();
    if let Some(found) = yaml(block).or_else(|| yaml(&spaced)) {
        return found;
    }
    if let Some(list) = list(&spaced) {
        return list;
    }
    if let Some(found) = yaml(first) {
        return found;
    }
    match key_of(first) {
        // A text in a form of its own is not its first line.
        Some((key, value)) if !value.is_empty() && !value.starts_with(['[', '{', '|', '>', '"', '\'']) => {
            Vec::from([(key.to_owned(), Document::Scalar(value.to_owned()))])
        }
        _ => Vec::new(),
    }
}

fn yaml(text: &str) -> Option<Vec<(String, Document)>> {
    match Document::parse_yaml(text.as_bytes()) {
        Ok(Document::Map(entries)) => Some(entries),
        _ => None,
    }
}

/// A key with nothing but items of a list below it, each item by itself.
fn list(block: &str) -> Option<Vec<(String, Document)>> {
    let mut lines = block.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    let (key, _) = lines.next().and_then(key_of).filter(|(_, rest)| rest.is_empty())?;
    let item = |line: &str| {
        let text = line.trim().strip_prefix("- ")?.trim();
        Some(match Document::parse_yaml(text.as_bytes()) {
            Ok(value @ Document::Scalar(_)) => value,
            _ => Document::Scalar(text.to_owned()),
        })
    };
    let items = lines.map(item).collect::<Option<Vec<_>>>().filter(|items| !items.is_empty())?;
    Some(Vec::from([(key.to_owned(), Document::List(items))]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], key: &str) -> Option<String> {
        parse(bytes).at(&[key]).and_then(Document::text).map(String::from)
    }

    #[test]
    fn a_bad_line_affects_only_its_own_entry() {
        for (text, key, wanted) in [
            (&b"instance-id: i-1\n\tlocal-hostname: web\n"[..], "instance-id", Some("i-1")),
            (b"instance-id:\ti-1\n", "instance-id", Some("i-1")),
            (b"instance-id: i-1\nmotd: a\0b\x1a\n", "instance-id", Some("i-1")),
            (b"instance-id: i-1\x0c\n", "instance-id", Some("i-1")),
            (b"owner: @me\ninstance-id: i-1\n", "instance-id", Some("i-1")),
            (b"owner: @me\ninstance-id: i-1\n", "owner", Some("@me")),
            (b"motd: %d\ninstance-id: i-1\n", "motd", Some("%d")),
            (b"description: foo: bar\ninstance-id: i-1\n", "description", Some("foo: bar")),
            (b"# caf\xe9\ninstance-id: i-1\n", "instance-id", Some("i-1")),
            (b"a: [1\ninstance-id: i-1\n", "instance-id", Some("i-1")),
            (b"a: [1\ninstance-id: i-1\n", "a", None),
            (b"<html>\n<body>a: b</body>\n", "a", None),
            (b"", "a", None),
        ] {
            assert_eq!(read(text, key).as_deref(), wanted, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn keys_survive_another_entry_and_a_bad_item() {
        let keys = |text: &[u8]| {
            let root = parse(text);
            let list = root.at(&["public-keys"]).map(Document::list).unwrap_or_default();
            list.iter().filter_map(Document::text).map(String::from).collect::<Vec<_>>()
        };
        assert_eq!(keys(b"owner: @me\npublic-keys:\n  - ssh-a A\n  - ssh-b B\n"), ["ssh-a A", "ssh-b B"]);
        assert_eq!(keys(b"public-keys:\n- ssh-a A\n- @bad\n- ssh-b B\n"), ["ssh-a A", "@bad", "ssh-b B"]);
        let text = b"owner: @me\npublic-keys: |\n  ssh-a A\n  ssh-b B\n";
        assert_eq!(read(text, "public-keys").as_deref(), Some("ssh-a A\nssh-b B\n"));
    }

    #[test]
    fn every_cut_and_every_flipped_bit_has_a_reading() {
        let text = b"instance-id: i-1\npublic-keys:\n  - 'a'\n\tb: @c\n";
        for end in 0..=text.len() {
            let _ = parse(&text[..end]);
        }
        for bit in 0..text.len() * 8 {
            let mut other = text.to_vec();
            other[bit / 8] ^= 1 << (bit % 8);
            let _ = parse(&other);
        }
    }
}

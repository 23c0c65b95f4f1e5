//! A document of scalars, lists and maps, from JSON or YAML: what metadata, network-config and cloud-config are.
//!
//! A scalar is its raw text with the quotes off: `0755`, `yes`, `3.16` and `1234567890123456789012` stay as written,
//! because what they mean is for anyone who asks for them to say. Nothing is decoded (`!!binary`), merged (`<<`) or
//! executed. Indices count from 0.

#![forbid(unsafe_code)]

use super::{json, lenient, yaml};
use crate::error::{Error, Result};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// No service hands out a quarter of this, and the document made of it is some ten times as large.
pub const LENGTH_LIMIT: usize = 4 << 20;

/// One value and all that is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// Nothing: JSON's `null`; YAML's `null` or `~` without quotes or tag, or an empty place.
    Null,
    /// Text as written, with quotes and escapes resolved.
    Scalar(String),
    /// Values in order.
    List(Vec<Document>),
    /// Keys and values in the order written. A key that comes twice is here twice; [`Document::at`] takes the last.
    Map(Vec<(String, Document)>),
}

impl Document {
    /// Reads JSON (RFC 8259). A comma behind the last value is not minded.
    ///
    /// # Errors
    /// `Corrupt` with line and column, never with the text, when `bytes` are no JSON; `Refused` beyond a limit
    /// ([`LENGTH_LIMIT`], 64 levels, 100,000 values).
    pub fn parse_json(bytes: &[u8]) -> Result<Self> {
        const DOING: &str = "understand the JSON document";
        json::parse(text(bytes, DOING)?, DOING)
    }

    /// Reads the one document of a YAML 1.2 stream; of none, [`Document::Null`]. Aliases stand for copies.
    ///
    /// # Errors
    /// As [`Document::parse_json`]; `Unsupported` for a key that is no scalar, and for a second document.
    pub fn parse_yaml(bytes: &[u8]) -> Result<Self> {
        const DOING: &str = "understand the YAML document";
        yaml::parse(text(bytes, DOING)?, yaml::Dialect::Yaml, DOING)
    }

    /// Reads JSON if `bytes` begin like a JSON list or map and are one, else YAML.
    ///
    /// # Errors
    /// As [`Document::parse_json`] for what begins like it, else as [`Document::parse_yaml`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if !matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'[')) {
            return Self::parse_yaml(bytes);
        }
        // YAML has the same brackets, with more liberty inside; where it does not help, the first error is the one.
        Self::parse_json(bytes).or_else(|error| Self::parse_yaml(bytes).map_err(|_| error))
    }

    /// As [`Document::parse`]; of what is not a document as a whole, the top-level entries that can be read, and why it
    /// is not one.
    #[must_use]
    pub fn parse_lenient(bytes: &[u8]) -> (Self, Option<Error>) {
        match Self::parse(bytes) {
            Ok(document) => (document, None),
            Err(error) => (lenient::parse(bytes), Some(error)),
        }
    }

    /// What stands at the end of `path`: a key for each map, an index for each list. The path without steps is the
    /// document itself.
    #[must_use]
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |place, step| place.child(step))
    }

    /// As [`Document::at`], with the steps of the path divided by slashes.
    #[must_use]
    pub fn path(&self, path: &str) -> Option<&Self> {
        path.split('/').filter(|step| !step.is_empty()).try_fold(self, Self::child)
    }

    fn child(&self, step: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.iter().rev().find(|(key, _)| key == step).map(|(_, value)| value),
            Self::List(values) if step.bytes().all(|byte| byte.is_ascii_digit()) => {
                values.get(step.parse::<usize>().ok()?)
            }
            _ => None,
        }
    }

    /// The text of a scalar.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// The values of a list; of anything else none.
    #[must_use]
    pub fn list(&self) -> &[Self] {
        match self {
            Self::List(values) => values,
            _ => &[],
        }
    }

    /// The keys and values of a map; of anything else none.
    #[must_use]
    pub fn map(&self) -> &[(String, Self)] {
        match self {
            Self::Map(entries) => entries,
            _ => &[],
        }
    }
}

/// `bytes` as text without a byte order mark. A parser of YAML stops at a NUL as if the text ended there, and neither
/// language has control characters: what contains them is some other file.
fn text<'a>(bytes: &'a [u8], doing: &'static str) -> Result<&'a str> {
    if bytes.len() > LENGTH_LIMIT {
        return Err(Error::refused(doing, format!("it is larger than {LENGTH_LIMIT} bytes")));
    }
    if bytes.iter().any(|byte| *byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r')) {
        return Err(Error::corrupt(doing, "it has control characters, so it is no text"));
    }
    let text = core::str::from_utf8(bytes).map_err(|_| Error::corrupt(doing, "it is no UTF-8"))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

#[cfg(test)]
mod tests;

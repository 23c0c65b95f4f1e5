//! JSON (RFC 8259), read as the YAML that it is but for a few places.
//!
//! The scanner of YAML keeps numbers as they are written, which a parser into numbers would round, and costs nothing
//! more where YAML is read anyway. What it must not have for JSON: its own reading of a string with a line break in it,
//! and of words that are neither numbers nor `true`, `false`, `null`. What it lacks: pairs of surrogates.

#![forbid(unsafe_code)]

use super::document::Document;
use super::yaml::{self, Dialect};
use crate::error::Result;
use alloc::borrow::Cow;
use alloc::string::String;
use saphyr_parser::{Event, ScalarStyle, Span};

/// The document in `text`.
///
/// # Errors
/// As [`yaml::parse`].
pub(super) fn parse(text: &str, doing: &'static str) -> Result<Document> {
    yaml::parse(&join_surrogates(text), Dialect::Json, doing)
}

/// Writes each pair of escapes that is one character of UTF-16 as the character itself. JSON has backslashes in strings
/// only, so nothing else needs to be known about the place. A half without the other stays, and is no character.
fn join_surrogates(text: &str) -> Cow<'_, str> {
    let mut joined = String::new();
    let mut rest = text;
    while let Some((before, escape)) = rest.find('\\').and_then(|at| rest.split_at_checked(at)) {
        joined.push_str(before);
        rest = match pair(escape) {
            Some((character, behind)) => {
                joined.push(character);
                behind
            }
            None => {
                // The escaped character goes with its backslash, so that `\\u` does not look like the start of one.
                let length = escape.chars().take(2).map(char::len_utf8).sum();
                let (whole, behind) = escape.split_at_checked(length).unwrap_or((escape, ""));
                joined.push_str(whole);
                behind
            }
        };
    }
    if joined.is_empty() {
        return Cow::Borrowed(text);
    }
    joined.push_str(rest);
    Cow::Owned(joined)
}

/// The character that the two escapes at the start of `text` make, and what comes behind them.
fn pair(text: &str) -> Option<(char, &str)> {
    let (high, rest) = unit(text)?;
    if !(0xd800..0xdc00).contains(&high) {
        return None;
    }
    let (low, rest) = unit(rest)?;
    let character = char::decode_utf16([high, low]).next()?.ok()?;
    Some((character, rest))
}

/// The code unit of the escape `\uXXXX` at the start of `text`.
fn unit(text: &str) -> Option<(u16, &str)> {
    let (digits, rest) = text.strip_prefix("\\u")?.split_at_checked(4)?;
    let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some((u16::from_str_radix(digits, 16).ok().filter(|_| hex)?, rest))
}

/// Whether JSON has what an `event` at `span` tells of. A list or map without brackets begins with nothing.
pub(super) fn has(event: &Event<'_>, span: Span, is_key: bool) -> bool {
    match event {
        Event::Scalar(_, ScalarStyle::DoubleQuoted, 0, None) => span.start.line() == span.end.line(),
        Event::Scalar(word, ScalarStyle::Plain, 0, None) => !is_key && is_literal(word),
        Event::SequenceStart(0, None) | Event::MappingStart(0, None) => !span.is_empty(),
        Event::DocumentStart(explicit) => !explicit,
        Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) | Event::Alias(_) => false,
        _ => true,
    }
}

/// Whether `word` may stand without quotes (section 3 and, for numbers, 6).
fn is_literal(word: &str) -> bool {
    matches!(word, "true" | "false" | "null") || is_number(word)
}

fn is_number(word: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let word = word.strip_prefix('-').unwrap_or(word);
    let (mantissa, exponent) = word.split_once(['e', 'E']).unwrap_or((word, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    digits(whole) && !leading_zero && digits(fraction) && digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))
}

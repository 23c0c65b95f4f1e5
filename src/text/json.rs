//! JSON (RFC 8259), read as the YAML that it is but for a few places.
//!
//! The scanner of YAML keeps numbers as they are written, which a parser into numbers would round, and costs nothing
//! more where YAML is read anyway. What it knows beyond JSON is refused, since it could read something else than was
//! meant: lines without brackets, comments, strings with a break in them, words that are no literals. Commas may end
//! a list.

#![forbid(unsafe_code)]

use super::document::Document;
use super::yaml::{self, Dialect};
use crate::error::{Kind, Result};
use alloc::string::String;
use saphyr_parser::{Event, Marker, ScalarStyle, Span};

/// The document in `text`.
///
/// # Errors
/// As [`yaml::parse`].
pub(super) fn parse(text: &str, doing: &'static str) -> Result<Document> {
    let adapted = adapt(text).map_err(|at| {
        let line = at.bytes().filter(|byte| *byte == b'\n').count().saturating_add(1);
        let column = at.chars().rev().take_while(|letter| *letter != '\n').count();
        yaml::located(Kind::Corrupt, doing, "JSON has nothing of this kind", Marker::new(0, line, column))
    })?;
    yaml::parse(&adapted, Dialect::Json, doing)
}

/// `text` for the scanner: a tab between values is a blank, and a pair of escapes that is one character of UTF-16 is that
/// character. Half a pair stays, and the scanner knows that it is no character.
///
/// # Errors
/// What comes before something that only YAML has: a comment, an escape, a tab in a string.
fn adapt(text: &str) -> core::result::Result<String, &str> {
    let mut adapted = String::with_capacity(text.len());
    let mut quoted = false;
    let mut letters = text.chars();
    loop {
        let here = letters.as_str().len();
        let stray = || text.get(..text.len().saturating_sub(here)).unwrap_or_default();
        match letters.next() {
            None => return Ok(adapted),
            Some('\t') if !quoted => adapted.push(' '),
            Some('\\') if quoted => match (pair(letters.as_str()), letters.next()) {
                (Some((character, behind)), _) => {
                    adapted.push(character);
                    letters = behind.chars();
                }
                // Both at once: an escaped quote ends no string.
                (None, Some(escaped)) if r#""\/bfnrtu"#.contains(escaped) => adapted.extend(['\\', escaped]),
                _ => return Err(stray()),
            },
            Some('\t') => return Err(stray()),
            Some('#' | '\\') if !quoted => return Err(stray()),
            Some(letter) => {
                quoted ^= letter == '"';
                adapted.push(letter);
            }
        }
    }
}

/// The character that two escapes make, of which the first lacks its backslash; and what comes behind them.
fn pair(text: &str) -> Option<(char, &str)> {
    let (high, rest) = unit(text)?;
    let (low, rest) = unit(rest.strip_prefix('\\')?)?;
    let mut joined = char::decode_utf16([high, low]);
    let character = joined.next()?.ok()?;
    joined.next().is_none().then_some((character, rest))
}

/// The code unit of `uXXXX` at the start of `text`.
fn unit(text: &str) -> Option<(u16, &str)> {
    let (digits, rest) = text.strip_prefix('u')?.split_at_checked(4)?;
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

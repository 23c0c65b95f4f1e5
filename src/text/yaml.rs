//! YAML 1.2, events into a [`Document`]. The parser is a library's; the limits are ours.
//!
//! Nothing here calls itself, so no input is deep enough for the stack; and an alias is paid for by what it copies, so
//! that a small file cannot stand for a large document.

#![forbid(unsafe_code)]

use super::document::{Document, LENGTH_LIMIT};
use super::json;
use crate::error::{Error, Kind, Result};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};

/// The deepest metadata known, Azure's, has 8 levels. A document is dropped, copied and compared by functions that call
/// themselves once for each.
const DEPTH_LIMIT: usize = 64;

/// Values in one document, copies counted. The list of a whole cloud's images has not as many.
const VALUES_LIMIT: usize = 100_000;

/// Named values in one document; each alias looks through them.
const ANCHORS_LIMIT: usize = 1000;

/// Which language the text is in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Yaml,
    Json,
}

/// The one document in `text`.
///
/// # Errors
/// `Corrupt` where it is not of the dialect, `Unsupported` where there is no [`Document`] for it, `Refused` beyond a
/// limit; each with line and column and without the text.
pub(super) fn parse(text: &str, dialect: Dialect, doing: &'static str) -> Result<Document> {
    let allowance = Allowance { values: VALUES_LIMIT, copies: LENGTH_LIMIT };
    let mut builder = Builder { dialect, open: Vec::new(), root: None, anchors: Vec::new(), allowance };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            // The one message of the library that quotes the text.
            let quotes = error.info().starts_with("unexpected character");
            located(Kind::Corrupt, doing, if quotes { "unexpected character" } else { error.info() }, *error.marker())
        })?;
        builder.take(event, span).map_err(|(kind, why)| located(kind, doing, why, span.start))?;
    }
    match builder.root {
        None if dialect == Dialect::Json => Err(Error::corrupt(doing, "it is empty")),
        root => Ok(root.unwrap_or(Document::Null)),
    }
}

/// An error of `kind` at a place of the text.
pub(super) fn located(kind: Kind, doing: &'static str, why: &str, at: Marker) -> Error {
    Error::new(kind, doing, format!("line {}, column {}: {why}", at.line(), at.col().saturating_add(1)))
}

/// What stops the building, before it is known where.
type Stop = (Kind, &'static str);
type Step = core::result::Result<(), Stop>;

/// A list or map whose end has not come.
struct Open {
    node: Document,
    /// The key whose value comes next.
    key: Option<String>,
    anchor: usize,
}

struct Builder {
    dialect: Dialect,
    open: Vec<Open>,
    root: Option<Document>,
    anchors: Vec<(usize, Document)>,
    allowance: Allowance,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Step {
        if self.dialect == Dialect::Json && !json::has(&event, span, self.awaits_key()) {
            return Err((Kind::Corrupt, "JSON has nothing of this kind"));
        }
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) if self.root.is_some() => Err((Kind::Unsupported, "a second document begins")),
            Event::DocumentStart(_) => Ok(()),
            Event::Alias(anchor) => self.alias(anchor),
            Event::Scalar(text, style, anchor, tag) => {
                self.allowance.spend(1)?;
                let null = style == ScalarStyle::Plain && tag.is_none() && is_null(&text) && !self.awaits_key();
                self.put(if null { Document::Null } else { Document::Scalar(text.into_owned()) }, anchor)
            }
            Event::SequenceStart(anchor, _) => self.begin(Document::List(Vec::new()), anchor),
            Event::MappingStart(anchor, _) => self.begin(Document::Map(Vec::new()), anchor),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(done) => self.put(done.node, done.anchor),
                None => Ok(()),
            },
        }
    }

    /// Whether the next value is a key of a map.
    fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { node: Document::Map(_), key: None, .. }))
    }

    fn begin(&mut self, node: Document, anchor: usize) -> Step {
        self.allowance.spend(1)?;
        check_depth(self.open.len().saturating_add(1))?;
        self.open.push(Open { node, key: None, anchor });
        Ok(())
    }

    /// Hangs a complete value where the next one belongs.
    fn put(&mut self, value: Document, anchor: usize) -> Step {
        if anchor != 0 {
            if self.anchors.len() >= ANCHORS_LIMIT {
                return Err((Kind::Refused, "too many values have names"));
            }
            let copy = self.allowance.copy(&value, self.open.len())?;
            self.anchors.push((anchor, copy));
        }
        match self.open.last_mut() {
            Some(Open { node: Document::List(values), .. }) => values.push(value),
            Some(Open { node: Document::Map(entries), key, .. }) => match (key.take(), value) {
                (Some(key), value) => entries.push((key, value)),
                (None, Document::Scalar(text)) => *key = Some(text),
                (None, _) => return Err((Kind::Unsupported, "a key is no scalar")),
            },
            _ => self.root = Some(value),
        }
        Ok(())
    }

    /// Puts a copy of the value called `anchor`. A value inside which it stands itself is not complete.
    fn alias(&mut self, anchor: usize) -> Step {
        let Some((_, value)) = self.anchors.iter().find(|(name, _)| *name == anchor) else {
            return Err((Kind::Corrupt, "an alias stands for a value that is not complete"));
        };
        let copy = self.allowance.copy(value, self.open.len())?;
        self.put(copy, 0)
    }
}

/// What is left of the limits.
struct Allowance {
    /// How many more values there may be.
    values: usize,
    /// How many more bytes of text may be copies.
    copies: usize,
}

impl Allowance {
    fn spend(&mut self, values: usize) -> Step {
        self.values = self.values.checked_sub(values).ok_or((Kind::Refused, "it holds more than 100,000 values"))?;
        Ok(())
    }

    /// A copy for a place `depth` levels down.
    fn copy(&mut self, value: &Document, depth: usize) -> core::result::Result<Document, Stop> {
        let weight = Weight::of(value);
        self.spend(weight.values)?;
        check_depth(depth.saturating_add(weight.depth))?;
        self.copies =
            self.copies.checked_sub(weight.bytes).ok_or((Kind::Refused, "aliases stand for too much text"))?;
        Ok(value.clone())
    }
}

fn check_depth(depth: usize) -> Step {
    if depth <= DEPTH_LIMIT { Ok(()) } else { Err((Kind::Refused, "it is nested deeper than 64 levels")) }
}

/// What a copy of a value costs.
#[derive(Default)]
struct Weight {
    values: usize,
    bytes: usize,
    depth: usize,
}

impl Weight {
    fn of(value: &Document) -> Self {
        let mut weight = Self { values: 1, bytes: 0, depth: 1 };
        if let Document::Null | Document::Scalar(_) = value {
            weight = Self { values: 1, bytes: value.text().map_or(0, str::len), depth: 0 };
        }
        for inner in value.list() {
            weight.add(&Self::of(inner), 0);
        }
        for (key, inner) in value.map() {
            weight.add(&Self::of(inner), key.len());
        }
        weight
    }

    fn add(&mut self, inner: &Self, key: usize) {
        self.values = self.values.saturating_add(inner.values);
        self.bytes = self.bytes.saturating_add(inner.bytes).saturating_add(key);
        self.depth = self.depth.max(inner.depth.saturating_add(1));
    }
}

/// What the core schema (YAML 1.2.2, 10.3.2) resolves to null.
fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

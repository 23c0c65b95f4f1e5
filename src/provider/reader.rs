//! Items read out of a source as the row of its cloud says.
//!
//! Each document is asked for once and kept, so that all values of one run belong together and a cloud that tells
//! everything in one document costs one request. The first time the document with the identity is read, what it says is
//! held against the firmware: whoever answers in place of the real service does not know that.

use super::{Check, Cloud, Field, Item, Keyed, Place, Shape, Source, Wrapping};
use crate::error::{Error, Kind, Result};
use crate::text::base64;
use crate::text::document::Document;
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What the reader is told about the machine and the hour.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// `product_serial` of the firmware, where it may be read.
    pub serial: Option<String>,
    /// `product_uuid` of the firmware, likewise.
    pub uuid: Option<String>,
    /// Seconds since 1970, UTC; 0 where no clock was set, and then nothing has expired.
    pub now: u64,
    /// The interfaces of this machine: name and MAC address in small letters with colons.
    pub interfaces: Vec<(String, String)>,
}

/// Values that media of this machine state, and that the service does not overrule.
#[derive(Clone, Debug, Default)]
pub struct Local {
    /// The name of the machine.
    pub hostname: Option<String>,
    /// What the user sent, unwrapped.
    pub userdata: Option<Vec<u8>>,
    /// Public keys, a line each.
    pub keys: Vec<String>,
}

/// Reads the items of one cloud.
pub struct Reader<'a> {
    pub(super) cloud: &'static Cloud,
    source: Box<dyn Source + 'a>,
    pub(super) identity: Identity,
    pub(super) local: Local,
    documents: Vec<(String, Option<Document>)>,
}

impl<'a> Reader<'a> {
    /// Reads what `source` has as a machine of `cloud`.
    #[must_use]
    pub fn new(cloud: &'static Cloud, source: Box<dyn Source + 'a>, identity: Identity) -> Self {
        Self { cloud, source, identity, local: Local::default(), documents: Vec::new() }
    }

    /// The cloud whose rows are followed.
    #[must_use]
    pub const fn cloud(&self) -> &'static Cloud {
        self.cloud
    }

    /// What this machine's own media said takes precedence from here on.
    pub fn set_local(&mut self, local: Local) {
        self.local = local;
    }

    /// Has `document` at `target` from here on, whatever the source says.
    pub fn set_document(&mut self, target: &str, document: Document) {
        self.documents.push((target.to_owned(), Some(document)));
    }

    /// The MAC address of an interface of this machine.
    #[must_use]
    pub fn mac_of(&self, interface: &str) -> Option<String> {
        let found = self.identity.interfaces.iter().find(|(name, mac)| name == interface && !mac.is_empty());
        found.map(|(_, mac)| mac.clone())
    }

    /// The bytes at `target`.
    pub(super) fn body(&mut self, target: &str) -> Result<Option<Vec<u8>>> {
        if let Some(check) = &self.cloud.check {
            // Bytes say nothing about whose they are; the document with the identity does.
            self.document(check.said.0)?;
        }
        self.source.get(target)
    }

    /// The document at `target`.
    pub(super) fn document(&mut self, target: &str) -> Result<Option<&Document>> {
        let known = self.documents.iter().position(|(name, _)| name == target);
        if known.is_none() {
            let document = match self.source.get(target)? {
                Some(body) => Some(Document::parse(&body).map_err(|error| error.to(bare(target)))?),
                None => None,
            };
            if let (Some(check), Some(document)) = (&self.cloud.check, &document)
                && check.said.0 == target
            {
                compare(check, document, &self.identity)?;
            }
            self.documents.push((target.to_owned(), document));
        }
        let found = known.map_or_else(|| self.documents.last(), |place| self.documents.get(place));
        Ok(found.and_then(|(_, document)| document.as_ref()))
    }

    /// The first of `places` that is there, each asked only when those before it are absent or not known to the service.
    fn first(&mut self, places: &[Place]) -> Result<Option<Vec<u8>>> {
        let mut unknown = None;
        for (target, path) in places {
            let found = if path.is_empty() {
                self.body(target)
            } else {
                self.document(target)
                    .map(|document| document.and_then(|root| root.path(path)).and_then(Document::text).map(Vec::from))
            };
            match found {
                Ok(Some(value)) => return Ok(Some(value)),
                Ok(None) => {}
                Err(error) if matches!(error.kind, Kind::Remote(400)) => unknown = Some(error),
                Err(error) => return Err(error),
            }
        }
        unknown.map_or(Ok(None), Err)
    }

    /// The bytes of `item`.
    ///
    /// # Errors
    /// Those of the source; `Corrupt` for a document that is none.
    pub fn bytes(&mut self, item: &Item) -> Result<Option<Vec<u8>>> {
        let Item(places, shape) = item;
        let found = self.first(places)?;
        Ok(found.map(|bytes| shape.apply(bytes)))
    }

    /// The text of `item`, without the white space around it; an empty one is absent.
    ///
    /// # Errors
    /// As [`Self::bytes`]; `Corrupt` when it is no line of text.
    pub fn line(&mut self, item: &Item) -> Result<Option<String>> {
        const DOING: &str = "read metadata at";
        let Some(bytes) = self.bytes(item)? else { return Ok(None) };
        let target = item.0.first().map_or("", |place| place.0);
        let text =
            core::str::from_utf8(&bytes).map_err(|_| Error::corrupt(DOING, "it is no UTF-8").to(bare(target)))?;
        let text = text.trim();
        if text.contains(char::is_control) {
            return Err(Error::corrupt(DOING, "it is more than one line").to(bare(target)));
        }
        Ok(Some(text).filter(|text| !text.is_empty()).map(String::from))
    }

    /// The machine's name as its owner gave it.
    ///
    /// # Errors
    /// As [`Self::bytes`].
    pub fn hostname(&mut self) -> Result<Option<Vec<u8>>> {
        match &self.local.hostname {
            Some(name) => Ok(Some(name.clone().into_bytes())),
            None => self.bytes(&self.cloud.hostname),
        }
    }

    /// What the user sent, with the wrapping of the cloud taken off.
    ///
    /// # Errors
    /// As [`Self::bytes`]; `Corrupt` when the wrapping is not what the cloud promises.
    pub fn userdata(&mut self) -> Result<Option<Vec<u8>>> {
        if let Some(own) = &self.local.userdata {
            return Ok(Some(own.clone()));
        }
        let cloud = self.cloud;
        let Some(bytes) = self.bytes(&cloud.userdata)? else { return Ok(None) };
        let is_base64 = match cloud.wrapping {
            Wrapping::None => false,
            Wrapping::Base64 => true,
            Wrapping::AsSaid(place) => self.first(&[place])?.is_some_and(|word| word.trim_ascii() == b"base64"),
        };
        if is_base64 { base64::decode(&bytes).map(Some) } else { Ok(Some(bytes)) }
    }

    /// What `imds` prints for a raw key.
    ///
    /// # Errors
    /// As [`Self::bytes`].
    pub fn raw(&mut self, key: &str) -> Result<Option<Vec<u8>>> {
        match self.cloud.keyed {
            Keyed::Path(before, after) => self.body(&format!("{before}{key}{after}")),
            Keyed::Within(target) => Ok(self.document(target)?.and_then(|root| root.path(key)).map(shown)),
            Keyed::Lines(target) => Ok(self.body(target)?.and_then(|body| assigned(&body, key))),
            Keyed::Yaml => match key.split_once('/') {
                None => self.body(key),
                Some((target, path)) => Ok(self.document(target)?.and_then(|root| root.path(path)).map(shown)),
            },
        }
    }
}

impl Shape {
    fn apply(self, bytes: Vec<u8>) -> Vec<u8> {
        let after_slash = |bytes: &[u8]| bytes.rsplit(|byte| *byte == b'/').next().unwrap_or_default().to_vec();
        match self {
            Self::Plain => bytes,
            Self::FirstName => {
                let end = bytes.iter().position(u8::is_ascii_whitespace).unwrap_or(bytes.len());
                let name = bytes.get(..end).unwrap_or_default();
                name.strip_suffix(b".").unwrap_or(name).to_vec()
            }
            Self::LastSegment => after_slash(&bytes),
            Self::RegionOfZone => {
                let mut zone = after_slash(&bytes);
                if let Some(dash) = zone.iter().rposition(|byte| *byte == b'-') {
                    zone.truncate(dash);
                }
                zone
            }
        }
    }
}

/// A target without its query, as it may be shown.
pub(super) fn bare(target: &str) -> &str {
    target.split_once('?').map_or(target, |(path, _)| path)
}

/// A value of a document as `imds` prints it: text as it is, the names in a mapping, the numbers of a list.
fn shown(value: &Document) -> Vec<u8> {
    let mut out = String::new();
    match value {
        Document::Map(entries) => entries.iter().for_each(|(name, _)| out.push_str(&format!("{name}\n"))),
        Document::List(items) => (0..items.len()).for_each(|index| out.push_str(&format!("{index}\n"))),
        other => out.push_str(other.text().unwrap_or_default()),
    }
    out.into_bytes()
}

/// The value of the first line `KEY=value` of a text of shell assignments, one pair of quotes taken off.
fn assigned(text: &[u8], key: &str) -> Option<Vec<u8>> {
    let value =
        text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(key.as_bytes())?.strip_prefix(b"="))?;
    let value = value.trim_ascii_end();
    for quote in [b"'", b"\""] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return Some(inner.to_vec());
        }
    }
    Some(value.to_vec())
}

/// Refuses a service whose identity is not the one that the firmware states. A firmware that may not be read (only root
/// may) says nothing either way.
fn compare(check: &Check, document: &Document, identity: &Identity) -> Result<()> {
    let known = match check.known {
        Field::ProductUuid => &identity.uuid,
        _ => &identity.serial,
    };
    let (Some(known), Some(said)) = (known, document.path(check.said.1).and_then(Document::text)) else {
        return Ok(());
    };
    let swapped =
        check.known == Field::ProductUuid && swapped_uuid(known).is_some_and(|other| other.eq_ignore_ascii_case(said));
    if known.eq_ignore_ascii_case(said) || swapped {
        return Ok(());
    }
    let why = format!("it speaks of {said}, and the firmware of {known}: another machine answers");
    Err(Error::refused("trust the metadata at", why).to(bare(check.said.0)))
}

/// A UUID with the first three fields in the other byte order: firmware before UEFI states it so.
fn swapped_uuid(uuid: &str) -> Option<String> {
    let mut out = String::with_capacity(uuid.len());
    for (index, field) in uuid.split('-').enumerate() {
        if index > 0 {
            out.push('-');
        }
        if index > 2 {
            out.push_str(field);
            continue;
        }
        let mut pairs: Vec<&str> = Vec::new();
        let mut rest = field;
        while !rest.is_empty() {
            let (pair, behind) = rest.split_at_checked(2)?;
            pairs.push(pair);
            rest = behind;
        }
        pairs.iter().rev().for_each(|pair| out.push_str(pair));
    }
    Some(out)
}

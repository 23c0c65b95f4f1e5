//! Items read out of a source as the row of its cloud says.
//!
//! Each document is asked for once and kept, so that all values of one run belong together and a cloud that tells
//! everything in one document costs one request. Where the firmware states who this machine is, nothing is believed
//! before the service has said the same: anyone who answers in its place does not know it.

use super::{Check, Cloud, Encoding, Field, Item, KeyLayout, Source, ValuePath, Wrapping, same_uuid};
use crate::error::{Error, Kind, Result};
use crate::settings::is_user_name;
use crate::text::base64;
use crate::text::document::Document;
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Bytes of a line: Azure's identity of a machine, the longest, has some 300. It ends up in records that are read whole.
const LINE_LIMIT: usize = 1024;

const DOING: &str = "read metadata at";

/// What the reader is told about the machine and the hour.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// The strings of the firmware that may be read, if it is the cloud's.
    pub firmware: Vec<(Field, String)>,
    /// Seconds since 1970, UTC; at least a time that has certainly passed, where no clock was set.
    pub now: u64,
    /// The interfaces of this machine: name and MAC address in small letters with colons.
    pub interfaces: Vec<(String, String)>,
}

/// Values that media of this machine state. Their user-data goes before the service's, and the rest counts where the
/// service has nothing or does not answer, as for cloud-init on Azure.
#[derive(Clone, Debug, Default)]
pub struct Local {
    /// The name of the machine.
    pub hostname: Option<String>,
    /// The account that the user asked for.
    pub admin: Option<String>,
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
    /// Lines that are not keys, where keys are expected.
    pub(super) rejected: Vec<super::keys::Rejected>,
    /// Whether the source has shown that it speaks of this machine, or need not.
    is_trusted: bool,
    /// What it has shown, until that is asked for.
    shown: Option<(&'static str, Option<Vec<u8>>)>,
}

impl<'a> Reader<'a> {
    /// Reads what `source` has as a machine of `cloud`.
    #[must_use]
    pub fn new(cloud: &'static Cloud, source: Box<dyn Source + 'a>, identity: Identity) -> Self {
        let local = Local::default();
        let (documents, rejected) = (Vec::new(), Vec::new());
        Self { cloud, source, identity, local, documents, rejected, is_trusted: false, shown: None }
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
        self.trust()?;
        match self.shown.take() {
            Some((kept, body)) if kept == target => Ok(body),
            other => {
                self.shown = other;
                self.get(target)
            }
        }
    }

    /// The bytes at `target`, which are the cloud's own words. A page of HTML is none: a proxy or a portal answers, or a
    /// service that is not well.
    ///
    /// # Errors
    /// As [`Self::body`]; `Corrupt` for a page. User-data is the user's own, and may be one.
    pub(super) fn value(&mut self, target: &str) -> Result<Option<Vec<u8>>> {
        let body = self.body(target)?;
        let is_own = self.cloud.userdata.0.contains(&(target, ""));
        if !is_own && body.as_deref().is_some_and(is_markup) {
            return Err(Error::corrupt(DOING, "the answer is a page of HTML or XML").to(bare(target)));
        }
        Ok(body)
    }

    /// The document at `target`.
    pub(super) fn document(&mut self, target: &str) -> Result<Option<&Document>> {
        let known = self.documents.iter().position(|(name, _)| name == target);
        if known.is_none() {
            let document = match self.value(target)? {
                Some(body) => Some(Document::parse(&body).map_err(|error| error.to(bare(target)))?),
                None => None,
            };
            // A proxy that answers with a sentence would otherwise be a service that has no keys and no name.
            if self.cloud.service.is_some() && matches!(document, Some(Document::Scalar(_))) {
                return Err(Error::corrupt(DOING, "the answer is not a document").to(bare(target)));
            }
            self.documents.push((target.to_owned(), document));
        }
        let found = known.map_or_else(|| self.documents.last(), |place| self.documents.get(place));
        Ok(found.and_then(|(_, document)| document.as_ref()))
    }

    /// What the source has at `target`, or where an older service has it.
    fn get(&mut self, target: &str) -> Result<Option<Vec<u8>>> {
        match (self.source.get(target), self.cloud.older) {
            (Err(error), Some((new, old))) if error.kind == Kind::Remote(400) && target == new => self.source.get(old),
            (outcome, _) => outcome,
        }
    }

    /// Refuses a source that does not state the identity of this machine. A firmware that may not be read (only root
    /// may) says nothing either way.
    fn trust(&mut self) -> Result<()> {
        let Some(check) = self.cloud.check.as_ref().filter(|_| !self.is_trusted) else { return Ok(()) };
        if let Some(known) = self.identity.known(check) {
            let target = check.said.0;
            let body = self.get(target)?;
            agrees(check, body.as_deref(), &known).map_err(|error| error.to(bare(target)))?;
            self.shown = Some((target, body));
        }
        self.is_trusted = true;
        Ok(())
    }

    /// The first of `places` that is there, each asked only when those before it are absent.
    fn first(&mut self, places: &[ValuePath]) -> Result<Option<Vec<u8>>> {
        for (target, path) in places {
            let found = if path.is_empty() {
                self.value(target)?
            } else {
                let root = self.document(target)?;
                root.and_then(|root| root.path(path)).and_then(Document::text).map(Vec::from)
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The bytes of `item`.
    ///
    /// # Errors
    /// Those of the source; `Corrupt` for a document that is none.
    pub fn bytes(&mut self, item: &Item) -> Result<Option<Vec<u8>>> {
        let Item(places, shape) = item;
        Ok(self.first(places)?.map(|bytes| shape.apply(bytes)))
    }

    /// The text of `item`, without the white space around it; an empty one is absent.
    ///
    /// # Errors
    /// As [`Self::bytes`]; `Corrupt` when it is no line of text, `Refused` for one of more than 1024 bytes.
    pub fn line(&mut self, item: &Item) -> Result<Option<String>> {
        let Some(bytes) = self.bytes(item)? else { return Ok(None) };
        let target = item.0.first().map_or("", |place| place.0);
        let text =
            core::str::from_utf8(&bytes).map_err(|_| Error::corrupt(DOING, "it is no UTF-8").to(bare(target)))?;
        let text = text.trim();
        if text.contains(char::is_control) {
            return Err(Error::corrupt(DOING, "it is more than one line").to(bare(target)));
        }
        if text.len() > LINE_LIMIT {
            return Err(Error::refused(DOING, "it is too long").to(bare(target)));
        }
        Ok(Some(text).filter(|text| !text.is_empty()).map(String::from))
    }

    /// The instance ID. What is not of the form of one is not an answer: a proxy's page of HTML is not another instance.
    ///
    /// # Errors
    /// As [`Self::line`]; `Corrupt` for a text that is not an instance ID.
    pub fn instance_id(&mut self) -> Result<Option<String>> {
        let id = self.line(&self.cloud.id)?;
        // The ID of a seed is what its author wrote.
        if self.cloud.service.is_some() && id.as_deref().is_some_and(|id| !is_instance_id(id)) {
            let target = self.cloud.id.0.first().map_or("", |place| place.0);
            return Err(Error::corrupt("read the instance ID at", "the answer is not an instance ID").to(bare(target)));
        }
        Ok(id)
    }

    /// The machine's name as its owner gave it.
    ///
    /// # Errors
    /// As [`Self::bytes`].
    pub fn hostname(&mut self) -> Result<Option<Vec<u8>>> {
        let told = self.bytes(&self.cloud.hostname);
        match (&told, &self.local.hostname) {
            (Ok(None) | Err(_), Some(name)) => Ok(Some(name.clone().into_bytes())),
            _ => told,
        }
    }

    /// The account that the user asked the cloud for, where one is asked for.
    ///
    /// # Errors
    /// As [`Self::line`]; `Refused` when no user can be called so.
    pub fn admin(&mut self) -> Result<Option<String>> {
        let told = self.line(&self.cloud.admin);
        let name = match (&told, &self.local.admin) {
            (Ok(None) | Err(_), Some(name)) => Some(name.clone()),
            _ => told?,
        };
        match name {
            // It ends up in paths and in lines of other files. What it says instead is not repeated.
            Some(name) if !is_user_name(&name) => {
                Err(Error::refused("take the name of the user from", "it is no name for a user").to(self.cloud.title))
            }
            name => Ok(name),
        }
    }

    /// What the user sent, with the wrapping of the cloud taken off.
    ///
    /// # Errors
    /// As [`Self::bytes`]; `Corrupt` when the wrapping is not what the cloud promises; for a page of HTML those of
    /// [`Self::instance_id`].
    pub fn userdata(&mut self) -> Result<Option<Vec<u8>>> {
        if let Some(own) = &self.local.userdata {
            return Ok(Some(own.clone()));
        }
        let cloud = self.cloud;
        let Some(bytes) = self.bytes(&cloud.userdata)? else { return Ok(None) };
        // A proxy that answers with pages to everything has one for the instance too.
        if is_markup(&bytes) {
            self.instance_id()?;
        }
        let is_base64 = match cloud.wrapping {
            Wrapping::None => false,
            Wrapping::Base64 => true,
            Wrapping::AsSaid(place) => self.first(&[place])?.is_some_and(|word| word.trim_ascii() == b"base64"),
        };
        if !is_base64 {
            return Ok(Some(bytes));
        }
        base64::decode(&bytes).map(Some).map_err(|error| error.to("the user-data"))
    }

    /// What `imds` prints for a raw key.
    ///
    /// # Errors
    /// As [`Self::bytes`].
    pub fn raw(&mut self, key: &str) -> Result<Option<Vec<u8>>> {
        match self.cloud.keyed {
            KeyLayout::Path(before, after) => self.body(&format!("{before}{key}{after}")),
            KeyLayout::Within(target) => Ok(self.document(target)?.and_then(|root| root.path(key)).map(shown)),
            KeyLayout::Lines(target) => Ok(self.body(target)?.and_then(|body| assigned(&body, key))),
            KeyLayout::Yaml => match key.split_once('/') {
                None => self.body(key),
                Some((target, path)) => Ok(self.document(target)?.and_then(|root| root.path(path)).map(shown)),
            },
        }
    }
}

impl Encoding {
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
            Self::RegionOfLetter => {
                let (mut zone, end) = (bytes.trim_ascii_end().to_vec(), bytes.trim_ascii_end().split_last_chunk::<2>());
                if end.is_some_and(|(_, [number, letter])| number.is_ascii_digit() && letter.is_ascii_lowercase()) {
                    zone.pop();
                }
                zone
            }
        }
    }
}

/// Whether `text` has the form of an instance ID: one word of letters, digits and `._:/-`. Each cloud's own is narrower.
fn is_instance_id(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:/-".contains(&byte))
}

/// Whether a value begins as HTML and XML do. No name, zone, account or document of a cloud begins so.
#[must_use]
pub fn is_markup(value: &[u8]) -> bool {
    value.strip_prefix(b"\xef\xbb\xbf").unwrap_or(value).trim_ascii_start().starts_with(b"<")
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

impl Identity {
    /// What the firmware says that `check` is about.
    #[must_use]
    pub fn known(&self, check: &Check) -> Option<String> {
        let (field, start) = check.known;
        self.firmware
            .iter()
            .find(|(known, text)| *known == field && text.starts_with(start))
            .map(|(_, text)| text.clone())
    }
}

/// Refuses a document that does not state what the firmware does.
fn agrees(check: &Check, body: Option<&[u8]>, known: &str) -> Result<()> {
    const DOING: &str = "trust the metadata at";
    let document = body.map(Document::parse).transpose()?;
    let said = document.as_ref().and_then(|root| root.path(check.said.1)).and_then(Document::text);
    let is_uuid = check.known.0 == Field::ProductUuid;
    if said.is_some_and(|said| said == known || is_uuid && same_uuid(said, known)) {
        return Ok(());
    }
    // What a stranger says is not repeated.
    Err(Error::refused(DOING, format!("it does not speak of {known}, which the firmware says that this machine is")))
}

#[cfg(test)]
mod tests {
    use super::super::named;
    use super::*;

    struct Same(&'static [u8]);

    impl Source for Same {
        fn get(&mut self, _: &str) -> Result<Option<Vec<u8>>> {
            Ok(Some(self.0.to_vec()))
        }
    }

    /// An instance whose user-data is a page.
    struct Page(&'static [u8]);

    impl Source for Page {
        fn get(&mut self, target: &str) -> Result<Option<Vec<u8>>> {
            Ok(Some(if target.ends_with("instance-id") { b"i-1".to_vec() } else { self.0.to_vec() }))
        }
    }

    #[test]
    fn who_answers_with_no_document_is_not_a_cloud_without_keys() {
        for name in ["openstack", "oci", "vultr", "incus", "akamai"] {
            for answer in [&b"<html>\n"[..], b"upstream request timeout"] {
                let mut reader = Reader::new(named(name).unwrap(), Box::new(Same(answer)), Identity::default());
                assert_eq!(reader.instance_id().unwrap_err().kind, Kind::Corrupt, "{name}");
                assert_eq!(reader.keys().unwrap_err().kind, Kind::Corrupt, "{name}");
            }
            let mut reader = Reader::new(named(name).unwrap(), Box::new(Same(b"")), Identity::default());
            assert_eq!(reader.instance_id().unwrap(), None, "{name}: an empty document has nothing");
        }
    }

    #[test]
    fn a_page_of_html_is_neither_an_instance_id_nor_a_name() {
        let reader = |body| Reader::new(named("aws").unwrap(), Box::new(Same(body)), Identity::default());
        for page in
            [&b"<html><body>Service temporarily unavailable</body></html>"[..], b"\xef\xbb\xbf\n<!DOCTYPE html>"]
        {
            assert_eq!(reader(page).instance_id().unwrap_err().kind, Kind::Corrupt);
            assert_eq!(reader(page).hostname().unwrap_err().kind, Kind::Corrupt);
            assert_eq!(reader(page).keys().unwrap_err().kind, Kind::Corrupt);
            assert_eq!(reader(page).nics().unwrap_err().kind, Kind::Corrupt);
            assert_eq!(
                reader(page).userdata().unwrap_err().kind,
                Kind::Corrupt,
                "there is no sound instance beside it"
            );
            let mut sound = Reader::new(named("aws").unwrap(), Box::new(Page(page)), Identity::default());
            assert_eq!(sound.userdata().unwrap().as_deref(), Some(page), "user-data is the user's own");
            assert_eq!(sound.raw("user-data").unwrap().as_deref(), Some(page), "a raw key is printed as it is");
        }
        for text in [&b"not found"[..], b"i-1;x", b"{}"] {
            assert_eq!(reader(text).instance_id().unwrap_err().kind, Kind::Corrupt);
        }
        for id in ["i-0123456789abcdef0", "ocid1.instance.oc1.phx.abc", "/subscriptions/a_b/x:1"] {
            assert_eq!(reader(id.as_bytes()).instance_id().unwrap().as_deref(), Some(id));
        }
    }
}

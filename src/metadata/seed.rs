//! NoCloud: gathers the four files of a seed from wherever this machine has them, and reads them as one.
//!
//! In this order, as cloud-init has it: the serial number of the firmware, the kernel command line, seed folders, a
//! labelled volume, and last the place that `seedfrom` names, wherever that was said.

use super::Machine;
use crate::error::{Error, Kind, Result};
use crate::fetch::{Policy, USER_DATA_LIMIT, Url, Web};
use crate::probe::media;
use crate::provider::{Cloud, Field, Identity, Reader, Source, nocloud};
use crate::sys::file;
use crate::text::document::Document;
use crate::userdata::RAW_LIMIT;
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

/// Folders of a seed that an image or a host brings.
const FOLDERS: [&str; 2] = ["/var/lib/cloud/seed/nocloud", "/var/lib/cloud/seed/nocloud-net"];

/// Stands for "anywhere out there" where a seed's server has a name: an address that is nobody's (RFC 5737), of which
/// only the route is looked up.
const ANYWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// What has been found so far.
#[derive(Default)]
struct Seed {
    /// Meta-data, the first source first.
    meta: Vec<Document>,
    /// What words say of it, as text.
    text: Vec<u8>,
    /// The files: of meta-data the first that was there, of the others the last.
    files: [Option<Vec<u8>>; nocloud::FILES.len()],
    /// Where a seed is said to be.
    place: Option<String>,
    found: bool,
}

/// The files as a source of documents.
struct Files([Option<Vec<u8>>; nocloud::FILES.len()]);

impl Source for Files {
    fn get(&mut self, target: &str) -> Result<Option<Vec<u8>>> {
        let named = nocloud::FILES.iter().zip(&self.0).find(|(name, _)| **name == target);
        Ok(named.and_then(|(_, content)| content.clone()))
    }
}

/// What a seed is looked for with.
pub(super) struct Place<'a> {
    /// Where.
    pub(super) machine: &'a Machine,
    /// Servers of names, where the network was configured for this alone.
    pub(super) servers: &'a [IpAddr],
    /// Hears of second tries.
    pub(super) tell: &'a dyn Fn(&str),
}

/// A reader of the seed of this machine.
pub(super) fn open<'a>(cloud: &'static Cloud, place: &Place<'_>, identity: Identity) -> Result<Reader<'a>> {
    let machine = place.machine;
    let mut seed = Seed::default();
    words(machine).into_iter().for_each(|word| seed.take_word(word));
    for folder in FOLDERS {
        let path = format!("{}{folder}", machine.root);
        seed.take(&path, &mut |name| read_file(&format!("{path}/{name}")))?;
    }
    for device in machine.labelled(nocloud::LABEL) {
        let Some(files) = media::open_volume(&device)? else { continue };
        let mut read = |name: &str| files.read(name, RAW_LIMIT).map_err(|error| error.to(device.as_str()));
        if seed.take(&device, &mut read)? {
            break;
        }
    }
    if let Some(named) = seed.place.clone().or_else(|| entry(&nocloud::merged(seed.meta.clone()), "seedfrom")) {
        seed.take_from(&named, place)?;
    }
    if !seed.found {
        let why = "no word, folder or volume has it; a volume is labelled cidata";
        return Err(Error::absent("find the seed of", why).to(cloud.title));
    }
    let mut meta = seed.meta;
    meta.push(nocloud::document(&[("instance-id".to_owned(), nocloud::NAME.to_owned())]));
    let [meta_text, others @ ..] = seed.files;
    let mut text = seed.text;
    text.extend(meta_text.unwrap_or_default());
    let [user, vendor, network] = others;
    let mut reader = Reader::new(cloud, Box::new(Files([Some(text), user, vendor, network])), identity);
    reader.set_document(META_DATA, nocloud::merged(meta));
    Ok(reader)
}

const META_DATA: &str = "meta-data";

/// Who must be reached for the seed, if it is on the network.
pub(super) fn server(machine: &Machine) -> Result<Option<IpAddr>> {
    let Some(place) = words(machine).into_iter().find_map(|word| word.seed) else { return Ok(None) };
    if !place.contains("://") || place.starts_with("file://") {
        return Ok(None);
    }
    let url = Url::parse(&place)?;
    Ok(Some(url.host.parse().unwrap_or(ANYWHERE)))
}

/// The words that are said to this machine, those of the firmware first.
fn words(machine: &Machine) -> Vec<nocloud::Word> {
    let serial = machine.evidence.dmi(Field::ProductSerial).map(String::from);
    let line = machine.evidence.cmdline.value("ds").map(|value| format!("ds={value}"));
    [serial, line].iter().flatten().filter_map(|text| nocloud::word(text)).collect()
}

fn entry(meta: &Document, name: &str) -> Option<String> {
    meta.at(&[name]).and_then(Document::text).map(String::from)
}

fn read_file(path: &str) -> Result<Option<Vec<u8>>> {
    match file::read(path, RAW_LIMIT) {
        Ok(content) => Ok(Some(content)),
        Err(error) if matches!(error.kind, Kind::Os(2 | 20)) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Seed {
    fn take_word(&mut self, word: nocloud::Word) {
        self.found |= !word.entries.is_empty();
        for (name, value) in &word.entries {
            self.text.extend_from_slice(format!("{name}: {value}\n").as_bytes());
        }
        let mut entries = word.entries;
        // Whoever says the one name there means it, whichever of the two a seed has; the word's own is the last.
        if let Some((_, name)) = entries.iter().find(|(key, _)| key == "local-hostname").cloned() {
            entries.insert(0, ("hostname".to_owned(), name));
        }
        self.meta.push(nocloud::document(&entries));
        self.place = self.place.take().or(word.seed);
    }

    /// Takes the files that `read` finds by name, if there is meta-data or user-data among them.
    fn take(&mut self, place: &str, read: &mut dyn FnMut(&str) -> Result<Option<Vec<u8>>>) -> Result<bool> {
        let mut files: [Option<Vec<u8>>; nocloud::FILES.len()] = Default::default();
        for (name, slot) in nocloud::FILES.iter().zip(&mut files) {
            *slot = read(name)?;
        }
        let [meta, user, ..] = &files;
        if meta.is_none() && user.is_none() {
            return Ok(false);
        }
        if let Some(text) = meta {
            let document = Document::parse(text).map_err(|error| error.to(format!("{place}/{META_DATA}")))?;
            self.meta.push(document);
        }
        for ((slot, file), name) in self.files.iter_mut().zip(files).zip(nocloud::FILES) {
            // Of meta-data each key counts by itself, and its text is that of the first source, whose keys all count.
            *slot = if name == META_DATA { slot.take().or(file) } else { file.or_else(|| slot.take()) };
        }
        self.found = true;
        Ok(true)
    }

    /// Takes the files of the seed at `named`: a folder or a URL. It has meta-data, or it is none.
    fn take_from(&mut self, named: &str, place: &Place<'_>) -> Result<()> {
        let machine = place.machine;
        let firmware = |name: &str| nocloud::firmware_string(&machine.evidence, name);
        let total = machine.settings.deadline.unwrap_or(Policy::METADATA.total);
        let mut web = Web::new(Policy { total, ..Policy::METADATA }, place.tell).asking(place.servers);
        let local = named.strip_prefix("file://").unwrap_or(named);
        // Behind the question mark there may be a password, and so there may before an @.
        let shown = named.split('?').next().filter(|shown| !shown.contains('@')).unwrap_or("the place that it names");
        let mut read = |name: &str| -> Result<Option<Vec<u8>>> {
            let content = if local.starts_with('/') {
                read_file(&format!("{}{}", machine.root, nocloud::location(local, name, &firmware)?))?
            } else {
                let url = nocloud::location(named, name, &firmware)?;
                web.get(&url, USER_DATA_LIMIT)?.map(|reply| reply.body)
            };
            if content.is_none() && name == META_DATA {
                return Err(Error::absent("read the seed at", "there is no meta-data").to(shown));
            }
            Ok(content)
        };
        self.take(shown, &mut read).map(|_| ())
    }
}

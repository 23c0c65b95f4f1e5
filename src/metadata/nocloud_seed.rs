//! NoCloud: gathers the four files of a seed from wherever this machine has them, and reads them as one.
//!
//! In this order, as cloud-init has it: the serial number of the firmware, the kernel command line, seed folders, a
//! labelled volume, and last the place that `seedfrom` names, wherever that was said.

use super::Machine;
use crate::error::{Error, Kind, Result};
use crate::fetch::{HttpClient, Policy, USER_DATA_LIMIT, Url};
use crate::probe::media;
use crate::provider::{Cloud, Field, Identity, Reader, Source, is_markup, nocloud};
use crate::settings::SOURCE_WORDS;
use crate::sys::file;
use crate::text::document::Document;
use crate::userdata::RAW_LIMIT;
use crate::volume::Volume;
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

/// Folders of a seed that an image or a host brings.
const FOLDERS: [&str; 2] = ["/var/lib/cloud/seed/nocloud", "/var/lib/cloud/seed/nocloud-net"];

/// Stands for "anywhere out there" where a seed's server has a name: an address that is no one's (RFC 5737), of which
/// only the route is looked up.
const ANYWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// How long an optional file is asked for: nothing waits for vendor-data, and a server that has just
/// given the meta-data answers within this, or has a fault that stays.
const OPTIONAL: Duration = Duration::from_secs(3);

/// What has been found so far.
#[derive(Default)]
struct Seed {
    /// Meta-data, the first source first.
    meta: Vec<Document>,
    /// What words say of it, as text.
    text: Vec<u8>,
    /// The meta-data file of the first source that has one.
    meta_text: Option<Vec<u8>>,
    /// The sources that were found.
    origins: Vec<Origin>,
    /// Where a seed is said to be.
    place: Option<String>,
    found: bool,
}

/// Where the files of one source are.
enum Origin {
    /// In this folder.
    Dir(String),
    /// On this volume, which the device has.
    Volume(Volume<'static>, String),
    /// Where the user says: a folder or a URL.
    Named(String),
}

/// The meta-data of one source.
struct Meta {
    text: Option<Vec<u8>>,
    /// Why it, or the user-data beside it, cannot be read as it should be.
    fault: Option<Error>,
}

/// The files as a source of documents. Each but meta-data is read when it is asked for, and by itself.
struct Files<'a> {
    meta: Vec<u8>,
    origins: Vec<Origin>,
    known: Vec<(&'static str, Option<Vec<u8>>)>,
    reader: Origins<'a>,
}

/// What the files of a source are read with.
struct Origins<'a> {
    machine: &'a Machine,
    notify: &'a dyn Fn(&str),
    web: HttpClient<'a>,
    /// For files that may be missing.
    optional: HttpClient<'a>,
}

impl Source for Files<'_> {
    fn get(&mut self, target: &str) -> Result<Option<Vec<u8>>> {
        if target == META_DATA {
            return Ok(Some(self.meta.clone()));
        }
        let Some(name) = nocloud::FILES.into_iter().find(|name| *name == target) else { return Ok(None) };
        if let Some((_, known)) = self.known.iter().find(|(known, _)| *known == name) {
            return Ok(known.clone());
        }
        let mut content = None;
        for origin in self.origins.iter().rev() {
            match self.reader.read(origin, name) {
                Err(error) if name != USER_DATA => (self.reader.notify)(&format!("{error}; continuing without {name}")),
                found => content = found?,
            }
            if content.is_some() {
                break;
            }
        }
        self.known.push((name, content.clone()));
        Ok(content)
    }
}

/// What a seed is looked for with.
pub(super) struct Place<'a> {
    /// Where.
    pub(super) machine: &'a Machine,
    /// Servers of names, where the network was configured for this alone.
    pub(super) servers: Vec<IpAddr>,
    /// Hears of second tries, and of what cannot be read.
    pub(super) notify: &'a dyn Fn(&str),
}

/// A reader of the seed of this machine; `Absent` where there is none.
pub(super) fn open<'a>(cloud: &'static Cloud, place: Place<'a>, identity: Identity) -> Result<Reader<'a>> {
    let Place { machine, notify, servers } = place;
    let total = machine.settings.deadline.unwrap_or(Policy::METADATA.total);
    let policy = Policy { total, ..Policy::METADATA };
    let short = Policy { total: OPTIONAL.min(total), later: OPTIONAL.min(total), ..policy };
    let optional = HttpClient::new(short, notify).asking(servers.clone());
    let mut reader = Origins { machine, notify, web: HttpClient::new(policy, notify).asking(servers), optional };
    let mut seed = Seed::default();
    words(machine).into_iter().for_each(|word| seed.take_word(word));
    for folder in FOLDERS {
        let path = format!("{}{folder}", machine.root);
        let has_user_data = file::exists(&format!("{path}/{USER_DATA}"));
        let origin = Origin::Dir(path);
        match reader.meta(&origin) {
            Ok(Meta { text: None, .. }) if !has_user_data => {}
            Ok(meta) => seed.take(meta, origin, notify),
            Err(error) => {
                notify(&format!("{error}; continuing with empty meta-data"));
                seed.take(Meta { text: None, fault: None }, origin, notify);
            }
        }
    }
    let devices = machine.labelled(nocloud::LABEL);
    let last = seed.take_volume(&devices, &mut reader);
    if let Some(named) = seed.place.clone().or_else(|| entry(&nocloud::merged(seed.meta.clone()), "seedfrom")) {
        let origin = Origin::Named(named);
        let meta = reader.meta(&origin)?;
        seed.take(meta, origin, notify);
    }
    if !seed.found {
        // The caller decides whether that is a failure: for a phase it is not (`Context::has_lost_seed`).
        let absent = || Error::absent("find the seed of", "no word, folder or volume has it").to(cloud.title);
        return Err(last.unwrap_or_else(absent));
    }
    let mut meta = seed.meta;
    meta.push(nocloud::document(&[("instance-id".to_owned(), nocloud::NAME.to_owned())]));
    let mut text = seed.text;
    text.extend(seed.meta_text.unwrap_or_default());
    let files = Files { meta: text, origins: seed.origins, known: Vec::new(), reader };
    let mut reader = Reader::new(cloud, Box::new(files), identity);
    reader.set_document(META_DATA, nocloud::merged(meta));
    Ok(reader)
}

const META_DATA: &str = "meta-data";
const USER_DATA: &str = "user-data";

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
    let line = SOURCE_WORDS.iter().find_map(|word| machine.evidence.cmdline.value(word));
    let line = line.map(|value| format!("ds={value}"));
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
        // Anyone who says the one name there means it, whichever of the two a seed has; the word's own is the last.
        if let Some((_, name)) = entries.iter().find(|(key, _)| key == "local-hostname").cloned() {
            entries.insert(0, ("hostname".to_owned(), name));
        }
        self.meta.push(nocloud::document(&entries));
        self.place = self.place.take().or(word.seed);
    }

    /// Takes what the source at `origin` has.
    fn take(&mut self, meta: Meta, origin: Origin, notify: &dyn Fn(&str)) {
        if let Some(fault) = &meta.fault {
            notify(&format!("{fault}; continuing with what can be read"));
        }
        if let Some(text) = &meta.text {
            self.meta.push(Document::parse_lenient(text).0);
        }
        // Of meta-data each key counts by itself, and its text is that of the first source, whose keys all count.
        self.meta_text = self.meta_text.take().or(meta.text);
        self.origins.push(origin);
        self.found = true;
    }

    /// Takes the first of `devices` whose volume is a seed without a fault, else the first that is a seed at all; what
    /// keeps the last from being one if none is.
    fn take_volume(&mut self, devices: &[String], reader: &mut Origins<'_>) -> Option<Error> {
        let (mut faulty, mut last) = (None, None);
        for device in devices {
            match volume(device, reader) {
                Ok((meta, origin)) if meta.fault.is_none() => {
                    if meta.text.as_deref().unwrap_or_default().trim_ascii().is_empty() {
                        (reader.notify)(&format!("{device} is labelled cidata and has user-data and no meta-data"));
                    }
                    self.take(meta, origin, reader.notify);
                    return None;
                }
                Ok(seed) => faulty = faulty.or(Some(seed)),
                Err(error) => {
                    (reader.notify)(&format!("{error}; looking for another"));
                    last = Some(error);
                }
            }
        }
        let (meta, origin) = match faulty {
            Some(seed) => seed,
            None => return last,
        };
        self.take(meta, origin, reader.notify);
        None
    }
}

/// The seed on the volume of `device`.
fn volume(device: &str, reader: &mut Origins<'_>) -> Result<(Meta, Origin)> {
    let gone = || Error::absent("read the volume on", "there is no medium").to(device);
    let volume = media::open_volume(device)?.ok_or_else(gone)?;
    let user = volume.read(USER_DATA, RAW_LIMIT).map_err(|error| error.to(device));
    let origin = Origin::Volume(volume, device.into());
    let mut meta = reader.meta(&origin)?;
    match user {
        Ok(None) if meta.text.is_none() => {
            let why = format!("{device} is labelled cidata and has neither meta-data nor user-data");
            return Err(Error::absent("find the seed", why));
        }
        Err(error) if meta.text.is_none() => return Err(error),
        Err(error) => meta.fault = meta.fault.or(Some(error)),
        Ok(_) => {}
    }
    Ok((meta, origin))
}

impl Origins<'_> {
    /// The meta-data at `origin`. A place that someone named has one, or it is not a seed.
    fn meta(&mut self, origin: &Origin) -> Result<Meta> {
        let text = self.read(origin, META_DATA)?;
        let place = match origin {
            Origin::Dir(path) => path.as_str(),
            Origin::Volume(_, device) => device.as_str(),
            Origin::Named(named) => shown(named),
        };
        if text.is_none() && matches!(origin, Origin::Named(_)) {
            return Err(Error::absent("read the seed at", "there is no meta-data").to(place));
        }
        if matches!(origin, Origin::Named(_)) && text.as_deref().is_some_and(is_markup) {
            return Err(Error::corrupt("read the seed at", "the answer is a page of HTML or XML").to(place));
        }
        let fault = text.as_deref().and_then(fault);
        Ok(Meta { text, fault: fault.map(|error| error.to(format!("{}/{META_DATA}", place.trim_end_matches('/')))) })
    }

    /// The file of this name at `origin`.
    fn read(&mut self, origin: &Origin, name: &str) -> Result<Option<Vec<u8>>> {
        match origin {
            Origin::Dir(path) => read_file(&format!("{path}/{name}")),
            Origin::Volume(volume, device) => volume.read(name, RAW_LIMIT).map_err(|error| error.to(device.as_str())),
            Origin::Named(named) => self.named(named, name),
        }
    }

    fn named(&mut self, named: &str, name: &str) -> Result<Option<Vec<u8>>> {
        let firmware = |name: &str| nocloud::firmware_string(&self.machine.evidence, name);
        let local = named.strip_prefix("file://").unwrap_or(named);
        if local.starts_with('/') {
            return read_file(&format!("{}{}", self.machine.root, nocloud::location(local, name, &firmware)?));
        }
        let url = nocloud::location(named, name, &firmware)?;
        let web = if name == META_DATA || name == USER_DATA { &mut self.web } else { &mut self.optional };
        match web.get(&url, USER_DATA_LIMIT) {
            // A store that does not list its files answers so for one that is not there.
            Err(error) if name != META_DATA && name != USER_DATA && matches!(error.kind, Kind::Remote(300..=499)) => {
                Ok(None)
            }
            reply => Ok(reply?.map(|reply| reply.body)),
        }
    }
}

/// Why a text of meta-data does not say what it should.
fn fault(text: &[u8]) -> Option<Error> {
    match Document::parse_lenient(text) {
        // `instance-id:i-1`, without the blank, is such a text.
        (Document::Scalar(_) | Document::List(_), None) => Some(Error::corrupt("understand", "it is not a mapping")),
        (_, fault) => fault,
    }
}

/// A place as it may be shown: behind the question mark there may be a password, and so there may before an @.
fn shown(named: &str) -> &str {
    named.split('?').next().filter(|shown| !shown.contains('@')).unwrap_or("the place that it names")
}

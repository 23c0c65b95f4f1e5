//! Which cloud this is, from what the machine shows. Not a packet is sent for it.
//!
//! A machine shows a mark of a cloud or it does not: nothing is likely, and no one is asked on the network who he is.
//! Of several clouds the one comes first whose mark is nearest: a volume, a socket or a word that someone attached to
//! this machine, then what the firmware says, then a trace that an image could have brought from elsewhere; and then
//! the first of the table. In a container the firmware is the host's and is no evidence; the caller leaves it out.
//!
//! Rules as cloud-init's ds-identify has them, with `found` and `not found` as the only answers.

#![forbid(unsafe_code)]

use super::{CLOUDS, Cloud, Field, Fingerprint, Text};
use crate::error::{Error, Result};
use crate::settings;
use crate::text::cmdline::{Cmdline, Word};
use crate::units::Guid;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// What the machine shows, but for the labels of its volumes, which cost reading every disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Whether this is a container. Then there is nothing of the firmware or the hypervisor in here.
    pub container: bool,
    /// The strings of the firmware that are there, may be read and are not empty.
    pub firmware: Vec<(Field, String)>,
    /// Whether there are some that only root may read.
    pub hidden: bool,
    /// The UUID that Xen gave.
    pub hypervisor_uuid: Option<String>,
    /// The kernel command line.
    pub cmdline: Cmdline,
    /// The paths of marks at which there is something.
    pub paths: Vec<&'static str>,
    /// The names of the virtio ports.
    pub virtio_ports: Vec<String>,
}

/// One mark that the machine shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sign {
    /// Its kind: `dmi`, `xen`, `word`, `path`, `virtio-port`, `label`.
    pub mark: &'static str,
    /// Where it is: the firmware's field, the path, the device, or the word or name itself.
    pub field: String,
    /// What stands there; nothing where its being there is the sign, or where it could hold an address with a password.
    pub value: Option<String>,
}

impl fmt::Display for Sign {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.mark, self.field)?;
        self.value.as_ref().map_or(Ok(()), |value| write!(out, ": {value}"))
    }
}

/// The cloud that this is.
#[derive(Clone, Debug)]
pub struct Detection {
    /// Its row.
    pub cloud: &'static Cloud,
    /// Where the user said that it is this one; `None` when it was detected.
    pub forced: Option<String>,
    /// The marks of it that were seen.
    pub signs: Vec<Sign>,
    /// Other clouds of which marks were seen, the nearest first.
    pub others: Vec<&'static Cloud>,
}

/// How near a mark is, the nearest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Priority {
    Attached,
    Firmware,
    Trace,
}

impl Field {
    /// All fields.
    pub const ALL: [Self; 6] = [
        Self::SysVendor,
        Self::ProductName,
        Self::ProductSerial,
        Self::ProductUuid,
        Self::ChassisAssetTag,
        Self::BoardAssetTag,
    ];

    /// The name of its file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SysVendor => "sys_vendor",
            Self::ProductName => "product_name",
            Self::ProductSerial => "product_serial",
            Self::ProductUuid => "product_uuid",
            Self::ChassisAssetTag => "chassis_asset_tag",
            Self::BoardAssetTag => "board_asset_tag",
        }
    }
}

impl Text {
    /// Whether `text` looks so.
    #[must_use]
    pub fn matches(self, text: &str) -> bool {
        match self {
            Self::Is(wanted) => text == wanted,
            Self::Begins(wanted) => text.starts_with(wanted),
            Self::Ends(wanted) => text.ends_with(wanted),
            Self::HasWord(wanted) => text.split_whitespace().any(|word| word.starts_with(wanted)),
        }
    }
}

impl Evidence {
    /// A string of the firmware.
    #[must_use]
    pub fn dmi(&self, field: Field) -> Option<&str> {
        self.firmware.iter().find(|(known, _)| *known == field).map(|(_, text)| &**text)
    }

    /// The sign that `mark` is seen by. A label is not seen here.
    fn sign(&self, mark: Fingerprint) -> Option<Sign> {
        match mark {
            Fingerprint::Dmi(field, text) => {
                let value = self.dmi(field).filter(|value| text.matches(value))?;
                // What holds a seed among its words is not shown.
                let shown = !matches!(text, Text::HasWord(_));
                Some(sign("dmi", field.name(), Some(value).filter(|_| shown)))
            }
            Fingerprint::Ec2Uuid => {
                let (uuid, serial) = (self.dmi(Field::ProductUuid)?, self.dmi(Field::ProductSerial)?);
                let guid = Guid::parse(uuid)?;
                let either = [guid, guid.swapped()].iter().any(|guid| format!("{guid}").starts_with("ec2"));
                (either && same_uuid(uuid, serial)).then(|| sign("dmi", Field::ProductUuid.name(), Some(uuid)))
            }
            Fingerprint::XenUuid(start) => {
                // Alibaba's machines on Xen have a UUID of the same form.
                let is_other = self.dmi(Field::ProductName) == Some("Alibaba Cloud ECS");
                let uuid = self.hypervisor_uuid.as_deref().filter(|uuid| uuid.starts_with(start) && !is_other)?;
                Some(sign("xen", "/sys/hypervisor/uuid", Some(uuid)))
            }
            Fingerprint::Word(wanted) => {
                self.cmdline.words().iter().any(|word| is_word(word, wanted)).then(|| sign("word", wanted, None))
            }
            Fingerprint::Path(path) | Fingerprint::Trace(path) => {
                self.paths.contains(&path).then(|| sign("path", path, None))
            }
            Fingerprint::VirtioPort(name) => {
                self.virtio_ports.iter().any(|port| port == name).then(|| sign("virtio-port", name, None))
            }
            Fingerprint::Label(_) => None,
        }
    }
}

/// Whether `word` is `wanted`, or is it up to its first `;`.
fn is_word(word: &Word, wanted: &str) -> bool {
    let (name, value) = wanted.split_once('=').map_or((wanted, None), |(name, value)| (name, Some(value)));
    let start = word.value.as_deref().map(|value| value.split_once(';').map_or(value, |(start, _)| start));
    word.name == name && start == value
}

fn nearness(mark: Fingerprint) -> Priority {
    match mark {
        Fingerprint::Path(_) | Fingerprint::VirtioPort(_) | Fingerprint::Label(_) => Priority::Attached,
        // Anyone who made the machine wrote this for it, and for no other machine.
        Fingerprint::Word(text) | Fingerprint::Dmi(_, Text::HasWord(text)) if text.starts_with("ds=") => {
            Priority::Attached
        }
        Fingerprint::Dmi(..) | Fingerprint::Ec2Uuid | Fingerprint::XenUuid(_) | Fingerprint::Word(_) => {
            Priority::Firmware
        }
        Fingerprint::Trace(_) => Priority::Trace,
    }
}

/// The cloud that the user means by `name`, in capitals or small letters.
#[must_use]
pub fn named(name: &str) -> Option<&'static Cloud> {
    CLOUDS.iter().find(|cloud| {
        cloud.name.eq_ignore_ascii_case(name) || cloud.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(name))
    })
}

/// Whether two texts are one UUID, in any case and in either byte order of its first fields. Clouds say the identity of
/// a machine in one, and its firmware in the other.
#[must_use]
pub fn same_uuid(one: &str, other: &str) -> bool {
    let (Some(one), Some(other)) = (Guid::parse(one), Guid::parse(other)) else { return false };
    one == other || one.swapped() == other
}

/// Which cloud this is; `None` if nothing tells of any. `volumes` finds the devices whose volumes have a label, in
/// capitals or small letters; it is asked only where the answer could change the verdict or name an alternative.
///
/// # Errors
/// `Usage` when the user names a cloud that is none. What `volumes` does not find is not there: a disk that cannot be
/// read is no one's seed.
pub fn detect(
    choice: &settings::Cloud,
    evidence: &Evidence,
    volumes: &mut dyn FnMut(&str) -> Vec<String>,
) -> Result<Option<Detection>> {
    if *choice == settings::Cloud::None {
        return Ok(None);
    }
    if let settings::Cloud::Named { name, said } = choice {
        let cloud = named(name).ok_or_else(|| unknown(said).to(name.as_str()))?;
        let signs = cloud.marks.iter().filter_map(|mark| evidence.sign(*mark)).collect();
        return Ok(Some(Detection { cloud, forced: Some(said.clone()), signs, others: Vec::new() }));
    }
    let look = wants_labels(evidence);
    let mut seen: Vec<(Priority, &'static Cloud, Vec<Sign>)> = Vec::new();
    for cloud in CLOUDS {
        let (mut near, mut signs) = (Priority::Trace, Vec::new());
        for mark in cloud.marks {
            let before = signs.len();
            match mark {
                Fingerprint::Label(label) if look => {
                    signs.extend(volumes(label).iter().map(|device| sign("label", device, Some(label))));
                }
                _ => signs.extend(evidence.sign(*mark)),
            }
            if signs.len() > before {
                near = near.min(nearness(*mark));
            }
        }
        if !signs.is_empty() {
            let place = seen.iter().position(|(other, ..)| *other > near).unwrap_or(seen.len());
            seen.insert(place, (near, cloud, signs));
        }
    }
    let mut seen = seen.into_iter();
    let first = seen.next();
    let others = seen.map(|(_, cloud, _)| cloud).collect();
    Ok(first.map(|(_, cloud, signs)| Detection { cloud, forced: None, signs, others }))
}

/// The disks that a container sees are its host's; and where a socket or a seed is in place, no one attached a volume.
fn wants_labels(evidence: &Evidence) -> bool {
    let mut all = CLOUDS.iter().flat_map(|cloud| cloud.marks);
    !evidence.container && !all.any(|mark| matches!(mark, Fingerprint::Path(path) if evidence.paths.contains(path)))
}

fn sign(mark: &'static str, field: &str, value: Option<&str>) -> Sign {
    Sign { mark, field: field.into(), value: value.map(Into::into) }
}

fn unknown(said: &str) -> Error {
    let names: Vec<&str> = CLOUDS.iter().map(|cloud| cloud.name).collect();
    Error::usage("find the cloud", format!("{said} names it, and wisp knows only {}", names.join(", ")))
}

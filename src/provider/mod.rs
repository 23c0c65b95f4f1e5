//! Clouds as rows of one table: how each is detected, where and how it is asked, what its answers mean. Pure.
//!
//! This module never speaks to a network: what it asks goes through a trait, so that a service, a volume, a folder and
//! a test's recorded replies are the same thing to it. A common cloud is one row of `clouds.rs` and one folder of
//! recorded replies.
#![forbid(unsafe_code)]

pub mod azure;
mod clouds;
mod detect;
mod gcp;
mod instance;
mod keys;
mod nics;
pub mod nocloud;
mod reader;
pub mod ready;

pub use clouds::CLOUDS;
pub use detect::{Detection, Evidence, Sign, detect, named, same_uuid};
pub use instance::Instance;
pub use keys::{Key, Rejected};
pub use nics::Nic;
pub use reader::{Identity, Local, Reader, is_markup};
pub use ready::Ready;

use crate::error::Result;
use alloc::vec::Vec;

/// Where documents come from: a service, a volume, a folder, a test's recorded replies.
pub trait Source {
    /// What lies at `target`: a path, with its query where the service wants one. `None`: it says that there is nothing.
    ///
    /// # Errors
    /// Whatever keeps the source from saying either.
    fn get(&mut self, target: &str) -> Result<Option<Vec<u8>>>;
}

/// One cloud.
#[derive(Debug)]
pub struct Cloud {
    /// What `CLOUD=` calls it.
    pub name: &'static str,
    /// What else `CLOUD=` may call it: older names, and what other tools say.
    pub aliases: &'static [&'static str],
    /// What its owner calls it.
    pub title: &'static str,
    /// What tells it: any of these is enough.
    pub marks: &'static [Fingerprint],
    /// The service that is asked; `None` where everything lies on this machine.
    pub service: Option<Service>,
    /// What a raw key of `imds` means here.
    pub keyed: KeyLayout,
    /// The identity of the instance: another one means a first boot.
    pub id: Item,
    /// Its name as the owner gave it, often with a domain.
    pub hostname: Item,
    /// Its name inside the cloud's network.
    pub local_hostname: Item,
    /// The region, as the cloud spells it.
    pub region: Item,
    /// The zone in the region, as the cloud spells it.
    pub zone: Item,
    /// The account that the user asked for when the machine was made, where the cloud asks for one.
    pub admin: Item,
    /// The public keys of those who may log in.
    pub keys: Keys,
    /// What the user sent.
    pub userdata: Item,
    /// How that is wrapped.
    pub wrapping: Wrapping,
    /// The network interfaces.
    pub nics: Nics,
    /// What the service's identity must agree with.
    pub check: Option<Check>,
    /// A target, and what to ask for instead where an older service does not understand it (400).
    pub older: Option<(&'static str, &'static str)>,
    /// How it hears that the machine is ready.
    pub ready: Ready,
    /// Lookups of `imds` that print nothing and succeed when the value is absent, as Tiny Cloud's do there.
    pub silent: OnNoAnswer,
}

/// A metadata service.
#[derive(Debug)]
pub struct Service {
    /// Its addresses, the first preferred: literal ones, link-local ones without scope, or the path of a Unix socket.
    pub addresses: &'static [&'static str],
    /// Headers of every request.
    pub headers: &'static [(&'static str, &'static str)],
    /// The token to ask for first.
    pub token: Option<Token>,
    /// A header that a reply of the real service carries.
    pub echo: Option<(&'static str, &'static str)>,
    /// Whether it tells root from others by the port they come from.
    pub low_port: bool,
    /// Statuses that mean "not yet" here besides those that mean it everywhere.
    pub again: &'static [u16],
    /// Whether it is reached from an address that the machine gives itself, where no DHCP server answers.
    pub link_local: bool,
    /// The interface that leads to it, if there are several: a name, a driver, or the beginning of a MAC address.
    pub interface: Option<&'static str>,
}

/// The token that a service gives for a `PUT` and wants in every request.
#[derive(Clone, Copy, Debug)]
pub struct Token {
    /// Where it is asked for.
    pub target: &'static str,
    /// The header that says how many seconds it shall live.
    pub lifetime: &'static str,
    /// The header that it is sent in.
    pub header: &'static str,
}

/// What a raw key of `imds` means.
#[derive(Clone, Copy, Debug)]
pub enum KeyLayout {
    /// A path between these two.
    Path(&'static str, &'static str),
    /// The name of a document, a slash, and a path inside its YAML.
    Yaml,
    /// A path inside the YAML of this document.
    Within(&'static str),
    /// `KEY=value` lines of this document.
    Lines(&'static str),
}

/// A value: where it may be, the first that is there taken, and how it looks there.
#[derive(Clone, Copy, Debug)]
pub struct Item(pub &'static [ValuePath], pub Encoding);

/// A document and a path in it ([`crate::text::document`]); with an empty path the text as it is sent.
pub type ValuePath = (&'static str, &'static str);

/// How a value looks where it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is meant.
    Plain,
    /// The first of several names, without the dot of a complete one.
    FirstName,
    /// What stands behind the last slash.
    LastSegment,
    /// A zone, of which the region is what stands before the last dash, behind the last slash.
    RegionOfZone,
    /// A region, or a zone of it, which is the region and one small letter behind its number.
    RegionOfLetter,
}

/// How user-data is wrapped on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapping {
    /// Not at all.
    None,
    /// In base64.
    Base64,
    /// In base64 if the word at this place says so.
    AsSaid(ValuePath),
}

/// Where public keys are.
#[derive(Clone, Copy, Debug)]
pub enum Keys {
    /// Nowhere.
    None,
    /// A listing of `NUMBER=NAME` at this path; each key at `PATH/NUMBER/openssh-key` (EC2).
    Listing(&'static str),
    /// Texts of one key a line, below these places; of mappings those under this name if they have it.
    Below(&'static [ValuePath], &'static str),
    /// The same below one place, then those of a cloud-config in the user-data. If the last is true, also of what does not
    /// begin like one, and all in their order (Incus).
    WithUserdata(ValuePath, &'static str, bool),
    /// The same below one place, then those in tags (Scaleway).
    WithTags(ValuePath, &'static str, ValuePath),
    /// One text, handed on as it is.
    Verbatim(ValuePath),
    /// `user:key` lines with what goes with them (GCP): the attributes of the instance and those of the project.
    Gcp(ValuePath, ValuePath),
}

/// Where network interfaces are described.
#[derive(Clone, Copy, Debug)]
pub enum Nics {
    /// Nowhere.
    None,
    /// A folder of MAC addresses.
    Dir(&'static Dir),
    /// Entries of documents.
    Entries(&'static [Entries]),
    /// `links` and the `networks` on them (OpenStack `network_data.json`).
    Links(&'static str),
}

/// Network interfaces as a folder, each in a folder named by its MAC address.
#[derive(Clone, Copy, Debug)]
pub struct Dir {
    /// The folder, with a slash at its end.
    pub path: &'static str,
    /// The files with the IPv4 addresses and with their subnet.
    pub ipv4: (&'static str, &'static str),
    /// The files with the IPv6 addresses and with their subnet.
    pub ipv6: (&'static str, &'static str),
    /// The files with gateways.
    pub gateways: &'static [&'static str],
}

/// Network interfaces as entries of a document. All paths below the first are within an entry, and may be empty.
#[derive(Clone, Copy, Debug)]
pub struct Entries {
    /// The document, and the path of the entries in it; `*` stands for every element.
    pub place: ValuePath,
    /// The MAC address.
    pub mac: &'static str,
    /// Addresses, with the path of their prefix length, netmask or subnet.
    pub addresses: &'static [(&'static str, &'static str)],
    /// Gateways.
    pub gateways: &'static [&'static str],
    /// The path below which `imds` finds entry number `#` raw.
    pub raw: &'static str,
}

/// What the identity that a service states must agree with: a neighbour that answers in its place does not know it.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Where the service says it.
    pub said: ValuePath,
    /// Which string of the firmware says it, and how that begins; one that does not says something else.
    pub known: (Field, &'static str),
}

/// Which lookups of `imds` are silent about an absent value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnNoAnswer {
    /// None.
    Nothing,
    /// The user-data.
    Userdata,
    /// All.
    Everything,
}

/// A sign by which a machine shows where it runs. None needs a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fingerprint {
    /// A string of the firmware (SMBIOS 3.7, 7.2 to 7.4, as `/sys/class/dmi/id/` has it).
    Dmi(Field, Text),
    /// `product_uuid` as EC2 forms it: `ec2` in front, in either byte order, and `product_serial` is the same. One in two
    /// thousand of all others begins so by chance.
    Ec2Uuid,
    /// The UUID that Xen gave (`/sys/hypervisor/uuid`) begins so.
    XenUuid(&'static str),
    /// A word of the kernel command line, or one that begins so up to its `;`.
    Word(&'static str),
    /// Something at this path: local.
    Path(&'static str),
    /// Something at this path that the cloud's images have, and still have where they are moved to. The weakest mark.
    Trace(&'static str),
    /// A virtio port of this name: local.
    VirtioPort(&'static str),
    /// A volume with this label, in capitals or small letters: local.
    Label(&'static str),
}

/// A string of the firmware; the names are those of the files in `/sys/class/dmi/id/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `sys_vendor`.
    SysVendor,
    /// `product_name`.
    ProductName,
    /// `product_serial`; only root may read it.
    ProductSerial,
    /// `product_uuid`; only root may read it.
    ProductUuid,
    /// `chassis_asset_tag`.
    ChassisAssetTag,
    /// `board_asset_tag`.
    BoardAssetTag,
}

/// How a string must look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// Exactly so.
    Is(&'static str),
    /// Begins so.
    Begins(&'static str),
    /// Ends so.
    Ends(&'static str),
    /// Has a blank-separated word that begins so.
    HasWord(&'static str),
}

//! Block devices as sysfs shows them (Documentation/ABI/stable/sysfs-block).
//!
//! Sizes in sysfs are always in units of 512 bytes. The number of a partition is what its attribute `partition` says:
//! `nvme0n1p3`, `mmcblk0p2`, `xvda1` (a whole disk on some Xen machines) and `loop0p1` cannot be distinguished by name.

#![forbid(unsafe_code)]

use crate::error::{Error, Kind, Result};
use crate::sys::block::{Access, Device};
use crate::sys::device_node::{self, Number};
use crate::sys::file;
use crate::units::ByteCount;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Stacks of device mapper are two or three high in practice; the kernel itself stops recursion well above.
const STACK_LIMIT: usize = 8;

/// What the kernel says of an attribute that a device does not have.
const ENOENT: i32 = 2;

/// sysfs, wherever it is mounted.
#[derive(Clone, Copy, Debug)]
pub struct Sysfs<'a> {
    /// `/sys`; a test puts a tree of its own here.
    pub root: &'a str,
}

/// A block device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The kernel's name: `vda2`.
    pub name: String,
    /// Its number.
    pub number: Number,
    /// How large the kernel thinks it is.
    pub size: ByteCount,
    /// Where it lies, if it is a partition.
    pub slice: Option<PartitionInfo>,
}

/// Where a partition lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionInfo {
    /// The kernel's name of its disk.
    pub disk: String,
    /// The partition's number.
    pub number: u32,
    /// Where it starts on the disk.
    pub start: ByteCount,
}

impl Block {
    /// The node that devtmpfs makes: `/dev/vda2`. The kernel writes `!` where a name has a slash (`cciss!c0d0`).
    #[must_use]
    pub fn node(&self) -> String {
        node_of(&self.name)
    }

    /// Opens its node.
    ///
    /// # Errors
    /// `Os`; `Refused` when another device has that node: a disk that was exchanged is not the one that was judged.
    pub fn open(&self, access: Access) -> Result<Device> {
        let device = Device::open(&self.node(), access)?;
        self.require(&device)?;
        Ok(device)
    }

    /// Refuses any other device than this one.
    ///
    /// # Errors
    /// `Refused`; `Os`.
    pub fn require(&self, device: &Device) -> Result<()> {
        let number = device.number()?;
        if number == self.number {
            return Ok(());
        }
        let ((major, minor), (own, other)) = (number, self.number);
        let why = format!("it is the device {major}:{minor} now, and was {own}:{other}");
        Err(Error::refused("open", why).to(device.path()))
    }
}

/// The node of the device that the kernel calls `name`.
#[must_use]
pub fn node_of(name: &str) -> String {
    format!("/dev/{}", name.replace('!', "/"))
}

impl Sysfs<'_> {
    /// The block device with this number.
    ///
    /// # Errors
    /// `Absent` when there is none.
    pub fn block(&self, (major, minor): Number) -> Result<Block> {
        let link = format!("{}/dev/block/{major}:{minor}", self.root);
        let target = device_node::link_target(&link).map_err(|_| {
            Error::absent("find the block device", "the kernel has none of that number").to(format!("{major}:{minor}"))
        })?;
        self.named(last_part(&target))
    }

    /// The block device that the kernel calls `name`.
    ///
    /// # Errors
    /// `Os`; `Corrupt` when sysfs is not what its documentation says.
    pub fn named(&self, name: &str) -> Result<Block> {
        let slice = match self.attribute(name, "partition") {
            Ok(number) => Some(PartitionInfo {
                disk: self.parent(name)?,
                number: parse(&number, name)?,
                start: ByteCount::from_sysfs_sectors(parse(&self.attribute(name, "start")?, name)?),
            }),
            Err(error) if error.kind == Kind::Os(ENOENT) => None,
            Err(error) => return Err(error),
        };
        let number = self.attribute(name, "dev")?;
        let (major, minor) = number.split_once(':').unwrap_or_default();
        Ok(Block {
            name: name.into(),
            number: (parse(major, name)?, parse(minor, name)?),
            size: self.size(name)?,
            slice,
        })
    }

    /// How large the kernel thinks that `name` is.
    ///
    /// # Errors
    /// As [`Sysfs::named`].
    pub fn size(&self, name: &str) -> Result<ByteCount> {
        Ok(ByteCount::from_sysfs_sectors(parse(&self.attribute(name, "size")?, name)?))
    }

    /// Every block device, sorted by name. One that vanishes meanwhile is left out.
    #[must_use]
    pub fn all(&self) -> Vec<Block> {
        self.names().iter().filter_map(|name| self.named(name).ok()).collect()
    }

    /// The name of every block device, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        file::list(&format!("{}/class/block", self.root)).unwrap_or_default()
    }

    /// The devices that `name` is made of; empty unless it is a device mapper or RAID device.
    #[must_use]
    pub fn parts_of(&self, name: &str) -> Vec<String> {
        file::list(&format!("{}/class/block/{name}/slaves", self.root)).unwrap_or_default()
    }

    /// The devices of the mounted btrfs with this UUID, sorted by name; empty where the kernel has no such btrfs.
    #[must_use]
    pub fn btrfs_devices(&self, uuid: &str) -> Vec<String> {
        file::list(&format!("{}/fs/btrfs/{uuid}/devices", self.root)).unwrap_or_default()
    }

    /// The devices that are made of `name` as a whole: of a disk those of its partitions do not count.
    #[must_use]
    pub fn holders_of(&self, name: &str) -> Vec<String> {
        file::list(&format!("{}/class/block/{name}/holders", self.root)).unwrap_or_default()
    }

    /// Goes down from `block` to the disk or partition at the bottom, and names the layers on the way, lowest first.
    ///
    /// # Errors
    /// `Refused` where a layer spreads over several devices or is one that wisp must not grow under.
    pub fn bottom(&self, block: Block) -> Result<(Block, Vec<String>)> {
        let mut layers = Vec::new();
        let mut block = block;
        for _ in 0..STACK_LIMIT {
            let parts = self.parts_of(&block.name);
            let refused = |why: String| Error::refused("find the partition below", why).to(block.node());
            match parts.as_slice() {
                [] => return Ok((block, layers)),
                [part] => {
                    let uuid = self.attribute(&block.name, "dm/uuid").unwrap_or_default();
                    layers.insert(0, layer(&uuid).ok_or_else(|| refused(no_layer(&block.name, &uuid)))?.into());
                    block = self.named(part)?;
                }
                _ => return Err(refused(format!("it lies on several devices: {}", parts.join(", ")))),
            }
        }
        Err(Error::refused("find the partition below", "too many layers").to(block.node()))
    }

    /// Where the attribute `what` of `name` is.
    #[must_use]
    pub fn path(&self, name: &str, what: &str) -> String {
        format!("{}/class/block/{name}/{what}", self.root)
    }

    fn attribute(&self, name: &str, what: &str) -> Result<String> {
        device_node::attribute(&self.path(name, what))
    }

    /// The disk of a partition: the folder above it in the device tree.
    fn parent(&self, name: &str) -> Result<String> {
        let path = format!("{}/class/block/{name}", self.root);
        let target = device_node::link_target(&path)?;
        let above = target.rsplit_once('/').map(|(above, _)| last_part(above)).unwrap_or_default();
        if above.is_empty() {
            return Err(Error::corrupt("find the disk of", "sysfs names none").to(name));
        }
        Ok(above.into())
    }
}

/// What lies on the partition, by the prefix that its maker gave the device mapper UUID. Everything that cryptsetup
/// makes begins with `CRYPT-`; only of LUKS it is known that the filesystem within may grow with the partition.
fn layer(uuid: &str) -> Option<&'static str> {
    const LAYERS: [(&str, &str); 3] =
        [("CRYPT-LUKS1-", "LUKS volume"), ("CRYPT-LUKS2-", "LUKS volume"), ("LVM-", "LVM physical volume")];
    find_prefix(&LAYERS, uuid)
}

/// Why wisp does not grow below this layer.
fn no_layer(name: &str, uuid: &str) -> String {
    const OTHERS: [(&str, &str); 5] = [
        ("CRYPT-VERITY-", "a verity device"),
        ("CRYPT-INTEGRITY-", "an integrity device"),
        ("CRYPT-TCRYPT-", "a TrueCrypt or VeraCrypt volume"),
        ("CRYPT-BITLK-", "a BitLocker volume"),
        ("CRYPT-PLAIN-", "a plain dm-crypt device"),
    ];
    let what = match uuid {
        _ if name.starts_with("md") => "a RAID array",
        _ if uuid.contains("mpath-") => "a multipath device",
        "" => "a layer without a name",
        _ => find_prefix(&OTHERS, uuid).unwrap_or("a device mapper target that is neither LUKS nor LVM"),
    };
    format!("it is {what}, below which wisp does not grow")
}

/// The words beside the prefix that `uuid` has.
fn find_prefix(rows: &[(&str, &'static str)], uuid: &str) -> Option<&'static str> {
    rows.iter().find(|(prefix, _)| uuid.starts_with(prefix)).map(|(_, words)| *words)
}

fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

fn parse<T: core::str::FromStr>(text: &str, name: &str) -> Result<T> {
    text.parse().map_err(|_| Error::corrupt("read the sysfs attributes of", "not a number").to(name))
}

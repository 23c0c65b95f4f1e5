//! Clouds as rows of one table: how each is recognised, where and how it is asked, what its answers mean. Pure.
//!
//! This room never speaks to a network: what it asks goes through a trait, so that a service, a volume, a folder and a
//! test's recorded replies are the same thing to it. A common cloud is one row of `clouds.rs` and one folder of
//! recorded replies.
#![forbid(unsafe_code)]

mod clouds;
mod recognise;

pub use clouds::CLOUDS;
pub use recognise::{Evidence, Labelled, Sign, Verdict, named, recognise, same_uuid};

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
    pub marks: &'static [Mark],
}

/// A sign by which a machine shows where it runs. None needs a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
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
    /// Has a blank-separated word that begins so.
    HasWord(&'static str),
}

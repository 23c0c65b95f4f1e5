//! What a partition holds: superblocks detected and read. Pure: no device, no clock.
//!
//! [`detect`] answers what lies on a device, under which names, and how far its filesystem reaches. It never
//! writes, never guesses beyond what the bytes say, and checks only what growing and naming depend on: checksums with
//! CRC32C (ext4 `metadata_csum`, XFS version 5, btrfs) are left to the kernel, which verifies them when it mounts.
//!
//! The formats, their order and the ranges that are read stand in one table, `formats.rs`. A known filesystem costs
//! three small reads (btrfs four), a device with nothing known on it five. Names are printed as `blkid` prints them.
#![forbid(unsafe_code)]

mod bcache;
mod btrfs;
mod end_signatures;
mod ext;
mod f2fs;
mod fat_exfat_ntfs;
mod luks;
mod lvm;
mod module_requests;
mod raid;
mod registry;
mod squashfs_erofs_iso;
mod swap;
mod uuid_label;
mod whole_disk;
mod xfs;
mod zfs;

use alloc::string::String;

pub use btrfs::Btrfs;
pub use end_signatures::{Signature, detect_owner, find_signatures};
pub use ext::{Ext, Journal, Needs};
pub use module_requests::{requested_by, requests};
pub use raid::Metadata;
pub use registry::detect;
pub use uuid_label::uuid as uuid_text;
pub use whole_disk::{find_content, find_firmware_raid};
pub use xfs::Xfs;

/// Everything that wisp knows by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// ext without a journal and without what ext4 brought.
    Ext2,
    /// ext with a journal and without what ext4 brought.
    Ext3,
    /// ext with anything that ext3 does not know.
    Ext4,
    /// The journal of an ext filesystem that lies on another device.
    ExtJournal,
    /// XFS.
    Xfs,
    /// btrfs, one device of it.
    Btrfs,
    /// f2fs.
    F2fs,
    /// Swap space.
    Swap,
    /// Swap space with a suspended system in it.
    Hibernation,
    /// A LUKS container, version 1 or 2.
    Luks,
    /// A physical volume of LVM2.
    LvmPhysicalVolume,
    /// A member of a Linux software RAID (md).
    LinuxRaid,
    /// A member of a ZFS pool.
    Zfs,
    /// bcachefs, one device of it.
    Bcachefs,
    /// A cache or backing device of bcache.
    Bcache,
    /// A backing device of DRBD, whose metadata lie at its end.
    Drbd,
    /// nilfs2.
    Nilfs2,
    /// FAT12, FAT16 or FAT32.
    Vfat,
    /// exFAT.
    Exfat,
    /// NTFS.
    Ntfs,
    /// An ISO 9660 image, as on a CD-ROM.
    Iso9660,
    /// UDF, as on a DVD, with or without ISO 9660 beside it.
    Udf,
    /// squashfs.
    Squashfs,
    /// EROFS.
    Erofs,
}

/// What growing means for a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The partition grows, and then the filesystem does.
    Grow,
    /// A layer with the filesystem somewhere above it: the partition grows, the layer is named in the report.
    Layer,
    /// Nothing is touched; the reason completes "NAME: ".
    Refuse(&'static str),
}

impl Kind {
    /// The one table: `blkid`'s word, the kernel module that mounts it, what growing means.
    const fn row(self) -> (&'static str, Option<&'static str>, Policy) {
        const IMAGE: Policy = Policy::Refuse("it is read-only by design");
        const FOREIGN: Policy = Policy::Refuse("the kernel cannot grow it");
        const NO_SPACE: Policy = Policy::Refuse("that is no filesystem");
        match self {
            Self::Ext2 => ("ext2", Some("ext4"), Policy::Grow),
            Self::Ext3 => ("ext3", Some("ext4"), Policy::Grow),
            Self::Ext4 => ("ext4", Some("ext4"), Policy::Grow),
            Self::ExtJournal => ("jbd", None, NO_SPACE),
            Self::Xfs => ("xfs", Some("xfs"), Policy::Grow),
            Self::Btrfs => ("btrfs", Some("btrfs"), Policy::Grow),
            Self::F2fs => ("f2fs", Some("f2fs"), Policy::Refuse("it grows only while unmounted, by resize.f2fs")),
            Self::Swap => ("swap", None, NO_SPACE),
            Self::Hibernation => ("swsuspend", None, Policy::Refuse("it holds a suspended system")),
            Self::Luks => ("crypto_LUKS", None, Policy::Layer),
            Self::LvmPhysicalVolume => ("LVM2_member", None, Policy::Layer),
            Self::LinuxRaid => ("linux_raid_member", None, Policy::Refuse("the array on top decides its size")),
            Self::Zfs => ("zfs_member", Some("zfs"), Policy::Refuse("the pool on top decides its size")),
            Self::Bcachefs => ("bcachefs", Some("bcachefs"), Policy::Refuse("only its own tools grow it")),
            Self::Bcache => ("bcache", None, Policy::Refuse("the cache on top decides its size")),
            Self::Drbd => ("drbd", None, Policy::Refuse("its metadata lie at its end")),
            Self::Nilfs2 => ("nilfs2", Some("nilfs2"), FOREIGN),
            Self::Vfat => ("vfat", Some("vfat"), FOREIGN),
            Self::Exfat => ("exfat", Some("exfat"), FOREIGN),
            Self::Ntfs => ("ntfs", Some("ntfs3"), FOREIGN),
            Self::Iso9660 => ("iso9660", Some("isofs"), IMAGE),
            Self::Udf => ("udf", Some("udf"), IMAGE),
            Self::Squashfs => ("squashfs", Some("squashfs"), IMAGE),
            Self::Erofs => ("erofs", Some("erofs"), IMAGE),
        }
    }

    /// The word that `blkid` prints as `TYPE`, which for filesystems is also what `mount(2)` takes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// The kernel module that mounts it; `None` for what cannot be mounted.
    #[must_use]
    pub const fn module(self) -> Option<&'static str> {
        self.row().1
    }

    /// The word that `mount(2)` surely takes: ext4's driver mounts ext2 and ext3, which only some kernels know by name.
    #[must_use]
    pub const fn mount_type(self) -> &'static str {
        match self {
            Self::Ext2 | Self::Ext3 => Self::Ext4.name(),
            other => other.name(),
        }
    }

    /// What growing means for it.
    #[must_use]
    pub const fn policy(self) -> Policy {
        self.row().2
    }
}

/// What a device says it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// What it is.
    pub kind: Kind,
    /// The name under which `UUID=` finds it, written as `blkid` writes it; `None` where the format has none or it is
    /// all zero. Case matters as in `blkid`: only FAT, exFAT and NTFS print capitals.
    pub uuid: Option<String>,
    /// The name under which `LABEL=` finds it, without trailing blanks; `None` where it is empty or the format keeps
    /// it elsewhere (exFAT, NTFS and UDF; what FAT has in the root directory and ISO 9660 in Joliet, `volume` reads,
    /// as it does UDF's). Bytes that are not UTF-8 become U+FFFD.
    pub label: Option<String>,
    /// How far the filesystem reaches; known for ext, XFS, btrfs and f2fs.
    pub extent: Option<Extent>,
    /// What only this kind has.
    pub details: Details,
}

/// How far a filesystem reaches, in its own blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Bytes in a block: a power of two.
    pub block_size: u32,
    /// Blocks of the filesystem; for btrfs those of this device. May be more than the device holds.
    pub blocks: u64,
    /// Gaining fewer blocks than this may be trimmed away by the kernel: blocks per group for ext, the smallest
    /// allocation group for XFS, else 1.
    pub granule: u64,
    /// The most blocks that this filesystem can be grown to.
    pub max_blocks: u64,
}

impl Extent {
    /// Bytes that the filesystem spans; saturates where no device can reach.
    #[must_use]
    pub const fn bytes(self) -> crate::units::ByteCount {
        crate::units::ByteCount(self.blocks.saturating_mul(self.block_size as u64))
    }
}

/// What only one kind has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Details {
    /// Nothing more to know.
    Plain,
    /// ext2, ext3, ext4.
    Ext(Ext),
    /// XFS.
    Xfs(Xfs),
    /// btrfs.
    Btrfs(Btrfs),
    /// LUKS.
    Luks {
        /// 1 or 2.
        version: u16,
    },
    /// Linux software RAID.
    Raid(Metadata),
}

impl Superblock {
    /// A superblock of `kind` about which nothing else is known yet.
    const fn bare(kind: Kind) -> Self {
        Self { kind, uuid: None, label: None, extent: None, details: Details::Plain }
    }

    /// Whether an ext journal holds changes that the next mount replays, to the superblock too.
    #[must_use]
    pub const fn needs_recovery(&self) -> bool {
        matches!(self.details, Details::Ext(ext) if ext.needs_recovery)
    }

    /// Whether other devices hold parts of the same filesystem, under the same names.
    #[must_use]
    pub const fn is_spread(&self) -> bool {
        matches!(self.details, Details::Btrfs(btrfs) if btrfs.devices > 1)
    }

    /// The most blocks that fit into `room` and that the kernel would keep; `None` where the size is not known.
    #[must_use]
    pub fn largest_within(&self, room: crate::units::ByteCount) -> Option<u64> {
        let extent = self.extent?;
        let blocks = room.0.checked_div(u64::from(extent.block_size))?.min(extent.max_blocks);
        Some(match self.details {
            Details::Ext(ext) => ext.trim(blocks, extent.granule),
            Details::Xfs(xfs) => xfs.trim(blocks),
            _ => blocks,
        })
    }

    /// Why the kernel would refuse to grow this very filesystem although its kind can grow.
    #[must_use]
    pub const fn obstacle(&self) -> Option<&'static str> {
        match self.details {
            Details::Ext(ext) => ext.obstacle(),
            Details::Btrfs(btrfs) => btrfs.obstacle(),
            Details::Xfs(xfs) => xfs.obstacle(),
            Details::Plain | Details::Luks { .. } | Details::Raid(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;

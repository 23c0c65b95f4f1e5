//! ext2, ext3, ext4 (kernel documentation, `filesystems/ext4/globals.rst`, "Super Block").
//!
//! Little-endian, 1024 bytes at offset 1024. The three differ only in features, and are distinguished as `blkid` does.

use super::registry::Found;
use super::{Details, Extent, Kind, Superblock, uuid_label};
use crate::bytes::ByteReader;
use crate::error::{Error, Result};

const DOING: &str = "read the ext superblock of";

/// Facts of an ext filesystem that decide whether and how the kernel grows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ext {
    /// The kernel found errors; it refuses to resize until `e2fsck` has run.
    pub has_errors: bool,
    /// The journal holds changes that the next mount replays: an ordinary thing after a hard stop.
    pub needs_recovery: bool,
    /// Block numbers have 64 bits; without, a filesystem ends at 2^32 - 1 blocks.
    pub wide: bool,
    /// Backup superblocks in two groups only, which online resizing does not support.
    pub sparse_super2: bool,
    /// Group descriptors lie in the groups.
    pub meta_bg: bool,
    /// Group descriptors have room reserved behind them.
    pub resize_inode: bool,
    /// The whole filesystem was marked read-only (`tune2fs -O read-only`).
    pub read_only: bool,
    /// What mounting it needs besides its driver.
    pub mount: Needs,
    /// What the last group must hold to be worth keeping.
    last_group: LastGroup,
}

/// What the kernel needs besides the driver to mount an ext filesystem.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Quotas in hidden files, which each writable mount switches on.
    pub quota: bool,
    /// Directories that ignore case.
    pub casefold: bool,
    /// Files with fs-verity.
    pub verity: bool,
    /// The journal, where it is on another device.
    pub journal: Option<Journal>,
}

/// An external journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Journal {
    /// The UUID of the journal device.
    pub uuid: [u8; 16],
    /// The device number that the kernel opens unless a mount option names another one: `s_journal_dev`, packed as
    /// `new_encode_dev` does.
    pub number: u32,
}

impl Journal {
    /// The name under which the journal device is found.
    #[must_use]
    pub fn name(self) -> Option<alloc::string::String> {
        uuid_label::uuid(self.uuid)
    }
}

/// The room that a group's own metadata takes. The kernel drops a last group that has no more than that
/// (`ext4_resize_fs`; resize2fs does the same), and a plan that asks for such a group would never come to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LastGroup {
    /// The block with which group 0 starts: 1 where blocks have 1 KiB, else 0.
    first_data_block: u64,
    /// Blocks of bitmaps and inode table, and one cluster.
    tables: u64,
    /// Blocks of superblock copy, group descriptors and the room reserved for more of them.
    super_copy: u64,
    /// Blocks in a cluster, the unit in which `bigalloc` allocates; else 1.
    cluster: u64,
    /// Superblock copies only in groups 0, 1 and the powers of 3, 5 and 7.
    sparse_super: bool,
}

// Feature bits, under the names of the kernel's `fs/ext4/ext4.h`.
const COMPAT_HAS_JOURNAL: u32 = 0x4;
const INCOMPAT_CASEFOLD: u32 = 0x20000;
const RO_COMPAT_QUOTA: u32 = 0x100;
const RO_COMPAT_PROJECT: u32 = 0x2000;
const RO_COMPAT_VERITY: u32 = 0x8000;
const COMPAT_RESIZE_INODE: u32 = 0x10;
const COMPAT_SPARSE_SUPER2: u32 = 0x200;
const INCOMPAT_FILETYPE: u32 = 0x2;
const INCOMPAT_RECOVER: u32 = 0x4;
const INCOMPAT_JOURNAL_DEV: u32 = 0x8;
const INCOMPAT_META_BG: u32 = 0x10;
const INCOMPAT_64BIT: u32 = 0x80;
const RO_COMPAT_BIGALLOC: u32 = 0x200;
const RO_COMPAT_SPARSE_SUPER: u32 = 0x1;
const RO_COMPAT_READONLY: u32 = 0x1000;
/// What ext2 knows; one more and it is ext4 (with a journal, `INCOMPAT_RECOVER` may be there too: ext3).
const EXT2_INCOMPAT: u32 = INCOMPAT_FILETYPE | INCOMPAT_META_BG;
/// `sparse_super`, `large_file`, `btree_dir`.
const EXT3_RO_COMPAT: u32 = 0x7;
/// `EXT2_ERROR_FS` in `s_state`.
const STATE_ERROR: u16 = 0x2;
/// 64 KiB: `EXT4_MAX_BLOCK_LOG_SIZE` is 16, and `s_log_block_size` counts from 1024 bytes.
const MAX_LOG_BLOCK_SIZE: u32 = 6;
/// ext4 extents and group descriptors hold 48 bits of a block number.
const MAX_BLOCKS_WIDE: u64 = (1 << 48) - 1;

impl Ext {
    /// What makes the kernel's `ext4_resize_fs` say no, in the operator's words.
    pub(super) const fn obstacle(self) -> Option<&'static str> {
        if self.read_only {
            Some("it is marked read-only")
        } else if self.has_errors {
            Some("it has errors; run e2fsck -f")
        } else if self.sparse_super2 {
            Some("its feature sparse_super2 cannot be resized while mounted")
        } else if self.meta_bg && self.resize_inode {
            Some("it has both meta_bg and resize_inode; run e2fsck -f")
        } else {
            None
        }
    }

    /// `blocks`, less a last cluster that is not whole and a last group that the kernel would not keep; `granule` blocks make a group.
    pub(super) fn trim(self, blocks: u64, granule: u64) -> u64 {
        let last = self.last_group;
        let blocks = blocks.saturating_sub(blocks.checked_rem(last.cluster).unwrap_or(0));
        let counted = blocks.saturating_sub(last.first_data_block);
        let (Some(group), Some(rest)) = (counted.checked_div(granule), counted.checked_rem(granule)) else {
            return blocks;
        };
        let super_copy = if last.has_super(group) { last.super_copy } else { 0 };
        if rest > last.tables.saturating_add(super_copy) { blocks } else { blocks.saturating_sub(rest) }
    }
}

impl LastGroup {
    fn parse(fields: ByteReader<'_>, extent: Extent, features: (u32, u32)) -> Result<Self> {
        let (incompat, ro_compat) = features;
        let s_log_block_size = fields.u32_le(0x18)?;
        let s_log_cluster_size = fields.u32_le(0x1c)?;
        let s_inodes_per_group = u64::from(fields.u32_le(0x28)?);
        let s_rev_level = fields.u32_le(0x4c)?;
        let s_inode_size = if s_rev_level == 0 { 128 } else { u64::from(fields.u16_le(0x58)?) };
        let s_reserved_gdt_blocks = u64::from(fields.u16_le(0xce)?);
        let s_desc_size = if incompat & INCOMPAT_64BIT == 0 { 32 } else { u64::from(fields.u16_le(0xfe)?) };
        let block_size = u64::from(extent.block_size);
        let in_blocks = |bytes: u64| bytes.div_ceil(block_size);
        let cluster = 1u64.checked_shl(s_log_cluster_size.saturating_sub(s_log_block_size)).unwrap_or(1);
        let groups = extent.blocks.div_ceil(extent.granule.max(1));
        Ok(Self {
            first_data_block: u64::from(fields.u32_le(0x14)?),
            cluster: if ro_compat & RO_COMPAT_BIGALLOC == 0 { 1 } else { cluster },
            tables: in_blocks(s_inodes_per_group.saturating_mul(s_inode_size))
                .saturating_add(2)
                .saturating_add(cluster),
            super_copy: in_blocks(groups.saturating_mul(s_desc_size))
                .saturating_add(s_reserved_gdt_blocks)
                .saturating_add(1),
            sparse_super: ro_compat & RO_COMPAT_SPARSE_SUPER != 0,
        })
    }

    /// Whether `group` has a copy of the superblock (`ext4_bg_has_super`).
    fn has_super(self, group: u64) -> bool {
        let power_of = |base: u64| {
            let mut power = base;
            while power < group {
                power = power.saturating_mul(base);
            }
            power == group
        };
        !self.sparse_super || group <= 1 || [3, 5, 7].into_iter().any(power_of)
    }
}

/// Reads the superblock, from its first byte.
pub(super) fn parse(found: &Found<'_>) -> Result<Option<Superblock>> {
    let fields = ByteReader::new(found.bytes, DOING);
    let s_feature_compat = fields.u32_le(0x5c)?;
    let s_feature_incompat = fields.u32_le(0x60)?;
    let s_feature_ro_compat = fields.u32_le(0x64)?;
    let superblock = Superblock {
        uuid: uuid_label::uuid(fields.array(0x68)?),
        label: uuid_label::text(fields.slice(0x78, 16)?),
        ..Superblock::bare(kind(s_feature_compat, s_feature_incompat, s_feature_ro_compat))
    };
    if superblock.kind == Kind::ExtJournal {
        return Ok(Some(superblock));
    }
    let wide = s_feature_incompat & INCOMPAT_64BIT != 0;
    let extent = parse_extent(fields, wide, s_feature_ro_compat & RO_COMPAT_BIGALLOC != 0)?;
    let details = Ext {
        has_errors: fields.u16_le(0x3a)? & STATE_ERROR != 0,
        needs_recovery: s_feature_incompat & INCOMPAT_RECOVER != 0,
        wide,
        sparse_super2: s_feature_compat & COMPAT_SPARSE_SUPER2 != 0,
        meta_bg: s_feature_incompat & INCOMPAT_META_BG != 0,
        resize_inode: s_feature_compat & COMPAT_RESIZE_INODE != 0,
        read_only: s_feature_ro_compat & RO_COMPAT_READONLY != 0,
        mount: Needs {
            quota: s_feature_ro_compat & (RO_COMPAT_QUOTA | RO_COMPAT_PROJECT) != 0,
            casefold: s_feature_incompat & INCOMPAT_CASEFOLD != 0,
            verity: s_feature_ro_compat & RO_COMPAT_VERITY != 0,
            journal: if s_feature_compat & COMPAT_HAS_JOURNAL != 0 { external_journal(fields)? } else { None },
        },
        last_group: LastGroup::parse(fields, extent, (s_feature_incompat, s_feature_ro_compat))?,
    };
    Ok(Some(Superblock { extent: Some(extent), details: Details::Ext(details), ..superblock }))
}

/// Where the journal is, unless it is an inode of this filesystem.
fn external_journal(fields: ByteReader<'_>) -> Result<Option<Journal>> {
    let s_journal_uuid: [u8; 16] = fields.array(0xd0)?;
    let s_journal_inum = fields.u32_le(0xe0)?;
    let s_journal_dev = fields.u32_le(0xe4)?;
    let external = s_journal_inum == 0 && s_journal_uuid != [0; 16];
    Ok(external.then_some(Journal { uuid: s_journal_uuid, number: s_journal_dev }))
}

/// Which of the family has these features.
const fn kind(compat: u32, incompat: u32, ro_compat: u32) -> Kind {
    let journal = compat & COMPAT_HAS_JOURNAL != 0;
    let old = ro_compat & !EXT3_RO_COMPAT == 0;
    if incompat & INCOMPAT_JOURNAL_DEV != 0 {
        Kind::ExtJournal
    } else if !journal && old && incompat & !EXT2_INCOMPAT == 0 {
        Kind::Ext2
    } else if journal && old && incompat & !(EXT2_INCOMPAT | INCOMPAT_RECOVER) == 0 {
        Kind::Ext3
    } else {
        Kind::Ext4
    }
}

/// Size and limits; everything here is divided by, multiplied with or handed to the kernel later.
fn parse_extent(fields: ByteReader<'_>, wide: bool, bigalloc: bool) -> Result<Extent> {
    let s_log_block_size = fields.u32_le(0x18)?;
    let s_first_data_block = u64::from(fields.u32_le(0x14)?);
    let s_blocks_per_group = u64::from(fields.u32_le(0x20)?);
    let s_clusters_per_group = u64::from(fields.u32_le(0x24)?);
    let s_inodes_per_group = u64::from(fields.u32_le(0x28)?);
    let s_block_group_nr = fields.u16_le(0x5a)?;
    let high = if wide { u64::from(fields.u32_le(0x150)?) } else { 0 };
    let s_blocks_count = (high << 32) | u64::from(fields.u32_le(0x4)?);

    if s_log_block_size > MAX_LOG_BLOCK_SIZE {
        return Err(Error::corrupt(DOING, "the block size is above 64 KiB"));
    }
    let block_size = 1024u32 << s_log_block_size;
    if s_block_group_nr != 0 {
        return Err(Error::corrupt(DOING, "it is a backup from another group"));
    }
    if s_blocks_per_group == 0 || s_inodes_per_group == 0 {
        return Err(Error::corrupt(DOING, "a group has no blocks or no inodes"));
    }
    // One block of bitmap per group; with `bigalloc` its bits count clusters.
    let bitmap_bits = if bigalloc { s_clusters_per_group } else { s_blocks_per_group };
    if bitmap_bits > u64::from(block_size).saturating_mul(8) {
        return Err(Error::corrupt(DOING, "a group is larger than its bitmap"));
    }
    if s_blocks_count <= s_first_data_block || s_blocks_count > MAX_BLOCKS_WIDE {
        return Err(Error::corrupt(DOING, "the number of blocks cannot be"));
    }
    // `ext4_resize_fs` answers EINVAL when the inodes of all groups would not fit 32 bits.
    let most_groups = u64::from(u32::MAX).checked_div(s_inodes_per_group).unwrap_or(0);
    let most_for_inodes = most_groups.saturating_mul(s_blocks_per_group).saturating_add(s_first_data_block);
    let most_for_numbers = if wide { MAX_BLOCKS_WIDE } else { u64::from(u32::MAX) };
    let max_blocks = most_for_inodes.min(most_for_numbers);
    Ok(Extent { block_size, blocks: s_blocks_count, granule: s_blocks_per_group, max_blocks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_group_that_would_hold_only_its_own_tables_is_not_asked_for() {
        let last_group =
            LastGroup { first_data_block: 1, tables: 250, super_copy: 300, cluster: 1, sparse_super: true };
        let ext = Ext {
            has_errors: false,
            needs_recovery: false,
            wide: true,
            sparse_super2: false,
            meta_bg: false,
            resize_inode: true,
            read_only: false,
            mount: Needs::default(),
            last_group,
        };
        let groups = |count: u64, more: u64| 1 + 8192 * count + more;
        for (asked, kept) in [
            (groups(10, 0), groups(10, 0)),
            (groups(10, 250), groups(10, 0)),
            (groups(10, 251), groups(10, 251)),
            (groups(9, 251), groups(9, 0)),
            (groups(9, 550), groups(9, 0)),
            (groups(9, 551), groups(9, 551)),
            (groups(0, 5), 1),
        ] {
            assert_eq!(ext.trim(asked, 8192), kept, "{asked}");
        }
        let clusters = Ext { last_group: LastGroup { first_data_block: 0, cluster: 16, ..last_group }, ..ext };
        for (asked, kept) in [(8192 * 10, 8192 * 10), (8192 * 10 + 783, 8192 * 10 + 768), (8192 * 10 + 15, 8192 * 10)] {
            assert_eq!(clusters.trim(asked, 8192), kept, "{asked}");
        }
    }

    #[test]
    fn superblock_copies_lie_in_powers_of_three_five_and_seven() {
        let last_group = LastGroup { first_data_block: 0, tables: 0, super_copy: 0, cluster: 1, sparse_super: true };
        let with: Vec<u64> = (0..130).filter(|group| last_group.has_super(*group)).collect();
        assert_eq!(with, [0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125]);
        assert!(LastGroup { sparse_super: false, ..last_group }.has_super(6));
    }
}

//! ext2, ext3 and ext4 (kernel documentation, `filesystems/ext4`): files of an image that no one mounts.
//!
//! Never replays a journal: what only that holds is not seen. Never reads what is stored inside an inode beside the short
//! targets of links (`inline_data`), nor checks CRC32C. A directory with an index is read as the plain list that it also
//! is. (The crate `ext4-view` adds 76 KB to a program; this file and all of `image::lint` together add 45.)

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::content::{Content, Medium};
use super::{Entry, Node, Opened, Sort, Tree, corrupt};
use crate::bytes::ByteReader;
use crate::error::{Error, Result};
use crate::filesystem::Superblock;

const DOING: &str = "read the ext filesystem on";

/// Where the superblock lies, and how much of it is looked at.
const SUPERBLOCK: (u64, usize) = (1024, 1024);
/// The inode of the directory at the top.
const ROOT: u64 = 2;
/// Where in an inode its map lies, and its bytes: the target of a link that fits stands there instead.
const MAP: u64 = 40;
const MAP_LENGTH: usize = 60;
/// The map's pointers to blocks of data; behind them come those to one, two and three levels of further pointers.
const DIRECT: usize = 12;
/// `EXT4_MAX_EXTENT_DEPTH`.
const MOST_DEPTH: u16 = 5;
/// Blocks of extents of one file. One holds at least 84 of them, which in sound files hold MiBs each.
const MOST_NODES: u32 = 4096;
/// A longer extent is one that was allocated and never written: zeros.
const MOST_WRITTEN: u16 = 1 << 15;

const INCOMPAT_META_BG: u32 = 0x10;
const INCOMPAT_64BIT: u32 = 0x80;
/// Compressed files, a device that is only a journal, data in directories: what changes how files are read.
const INCOMPAT_UNREAD: u32 = 0x1 | 0x8 | 0x1000;
const RO_COMPAT_SPARSE_SUPER: u32 = 0x1;

const FLAG_ENCRYPTED: u32 = 0x800;
const FLAG_EXTENTS: u32 = 0x8_0000;
const FLAG_INLINE: u32 = 0x1000_0000;

/// The types in directory entries.
const TYPE_FILE: u8 = 1;
const TYPE_DIRECTORY: u8 = 2;
const TYPE_LINK: u8 = 7;

/// The layout.
struct Ext {
    block: u64,
    first_data_block: u64,
    blocks_per_group: u64,
    inodes_per_group: u64,
    inodes: u64,
    inode_size: u64,
    descriptor_size: u64,
    /// The first group of descriptors that lies in its own groups; with `meta_bg` only.
    first_meta: Option<u64>,
    sparse_super: bool,
}

/// Reads what `filesystem` has found to be an ext superblock.
pub(super) fn open(medium: &Medium<'_>, found: Superblock) -> Result<Opened> {
    let superblock = medium.read(SUPERBLOCK.0, SUPERBLOCK.1)?;
    let fields = ByteReader::new(&superblock, DOING);
    let s_feature_incompat = fields.u32_le(0x60)?;
    if s_feature_incompat & INCOMPAT_UNREAD != 0 {
        return Err(Error::unsupported(DOING, "it has a feature that wisp does not know"));
    }
    let has_meta = s_feature_incompat & INCOMPAT_META_BG != 0;
    let is_first_revision = fields.u32_le(0x4c)? == 0;
    let wide = s_feature_incompat & INCOMPAT_64BIT != 0;
    let ext = Ext {
        block: 1024_u64.checked_shl(fields.u32_le(0x18)?).unwrap_or(0),
        first_data_block: u64::from(fields.u32_le(0x14)?),
        blocks_per_group: u64::from(fields.u32_le(0x20)?),
        inodes_per_group: u64::from(fields.u32_le(0x28)?),
        inodes: u64::from(fields.u32_le(0)?),
        inode_size: if is_first_revision { 128 } else { u64::from(fields.u16_le(0x58)?) },
        descriptor_size: if wide { u64::from(fields.u16_le(0xfe)?) } else { 32 },
        first_meta: if has_meta { Some(u64::from(fields.u32_le(0x104)?)) } else { None },
        sparse_super: fields.u32_le(0x64)? & RO_COMPAT_SPARSE_SUPER != 0,
    };
    if ext.inode_size < 128 || ext.descriptor_size < 32 || ext.descriptor_size > ext.block {
        return Err(corrupt(DOING, "the sizes in its superblock cannot be"));
    }
    Ok(Opened { tree: Box::new(ext), labels: found.label.into_iter().collect() })
}

impl Ext {
    /// Where inode `number` lies.
    fn inode(&self, medium: &Medium<'_>, number: u64) -> Result<u64> {
        let index = number.checked_sub(1).filter(|_| number <= self.inodes);
        let index = index.ok_or_else(|| corrupt(DOING, "a name leads to no inode"))?;
        let group = index.checked_div(self.inodes_per_group).unwrap_or(0);
        let place = index.checked_rem(self.inodes_per_group).unwrap_or(0);
        let descriptor = self.descriptor(group);
        let low = medium.number(descriptor.saturating_add(8), 4)?;
        let high = if self.descriptor_size >= 64 { medium.number(descriptor.saturating_add(40), 4)? } else { 0 };
        let table = self.at(wide(high, low));
        Ok(table.saturating_add(place.saturating_mul(self.inode_size)))
    }

    /// Where the descriptor of `group` lies.
    fn descriptor(&self, group: u64) -> u64 {
        let in_block = self.block.checked_div(self.descriptor_size).unwrap_or(1);
        let number = group.checked_div(in_block).unwrap_or(0);
        let block = match self.first_meta {
            Some(first) if number >= first => {
                let group = number.saturating_mul(in_block);
                let start = group.saturating_mul(self.blocks_per_group);
                start.saturating_add(u64::from(self.has_super(group)))
            }
            _ => number.saturating_add(1),
        };
        let within = group.checked_rem(in_block).unwrap_or(0).saturating_mul(self.descriptor_size);
        self.at(self.first_data_block.saturating_add(block)).saturating_add(within)
    }

    /// Whether `group` begins with a copy of the superblock (`ext4_bg_has_super`).
    fn has_super(&self, group: u64) -> bool {
        let is_power = |base: u64| {
            core::iter::successors(Some(base), |power| power.checked_mul(base))
                .take_while(|power| *power <= group)
                .any(|power| power == group)
        };
        !self.sparse_super || group <= 1 || [3, 5, 7].into_iter().any(is_power)
    }

    /// The offset of `block`.
    const fn at(&self, block: u64) -> u64 {
        block.saturating_mul(self.block)
    }

    /// Adds the extents below the node in `bytes`; `nodes` is how many may still be read.
    fn extents(&self, medium: &Medium<'_>, bytes: &[u8], map: &mut Map, depth: u16) -> Result<()> {
        let fields = ByteReader::new(bytes, DOING);
        let (eh_magic, eh_entries, eh_depth) = (fields.u16_le(0)?, fields.u16_le(2)?, fields.u16_le(6)?);
        map.nodes = map.nodes.checked_sub(1).ok_or_else(|| corrupt(DOING, "a file has too many extents"))?;
        if eh_magic != 0xf30a || eh_depth != depth {
            return Err(corrupt(DOING, "a map of extents is damaged"));
        }
        for index in 1..=usize::from(eh_entries) {
            let entry = ByteReader::new(fields.slice(index.saturating_mul(12), 12)?, DOING);
            if map.content.is_complete() {
                break;
            }
            if let Some(below) = depth.checked_sub(1) {
                let node = self.at(wide(u32::from(entry.u16_le(8)?), entry.u32_le(4)?));
                let bytes = medium.read(node, usize::try_from(self.block).unwrap_or(0))?;
                let before = map.end;
                self.extents(medium, &bytes, map, below)?;
                if map.end == before {
                    return Err(corrupt(DOING, "a map of extents is damaged"));
                }
                continue;
            }
            let ee_len = entry.u16_le(4)?;
            let (blocks, is_written) = match ee_len.checked_sub(MOST_WRITTEN) {
                Some(unwritten) if unwritten > 0 => (unwritten, false),
                // The kernel knows no empty ones either, of which a file could have any number.
                _ if ee_len == 0 => return Err(corrupt(DOING, "a map of extents is damaged")),
                _ => (ee_len, true),
            };
            let start = self.at(wide(u32::from(entry.u16_le(6)?), entry.u32_le(8)?));
            let logical = self.at(u64::from(entry.u32_le(0)?));
            map.push_at(logical, Some(start).filter(|_| is_written), self.at(u64::from(blocks)))?;
        }
        Ok(())
    }

    /// Adds what the old map's pointers in `bytes`, `level` levels above the data, lead to.
    fn pointers(&self, medium: &Medium<'_>, bytes: &[u8], map: &mut Map, level: u32) -> Result<()> {
        let each = (self.block / 4).checked_pow(level).map_or(u64::MAX, |blocks| self.at(blocks));
        for pointer in bytes.chunks_exact(4) {
            let block = u64::from(ByteReader::new(pointer, DOING).u32_le(0)?);
            match level.checked_sub(1) {
                _ if map.content.is_complete() => break,
                Some(below) if block != 0 => {
                    let bytes = medium.read(self.at(block), usize::try_from(self.block).unwrap_or(0))?;
                    self.pointers(medium, &bytes, map, below)?;
                }
                _ => map.content.push(Some(self.at(block)).filter(|_| block != 0), each),
            }
        }
        Ok(())
    }
}

/// A file's content while its map is being read.
struct Map {
    content: Content,
    /// How far it reaches.
    end: u64,
    /// Blocks of extents that may still be read.
    nodes: u32,
}

impl Map {
    /// Adds an extent that begins `logical` bytes into the file; what no extent covers is a hole.
    fn push_at(&mut self, logical: u64, at: Option<u64>, length: u64) -> Result<()> {
        match logical.checked_sub(self.end) {
            Some(0) => {}
            Some(hole) => self.content.push(None, hole),
            None => return Err(corrupt(DOING, "the extents of a file overlap")),
        }
        self.content.push(at, length);
        self.end = logical.saturating_add(length);
        Ok(())
    }
}

impl Tree for Ext {
    fn root(&self, _: &Medium<'_>) -> Result<Node> {
        Ok(Node { sort: Sort::Directory, at: ROOT, length: 0 })
    }

    fn content(&self, medium: &Medium<'_>, node: Node, limit: usize) -> Result<Content> {
        let place = self.inode(medium, node.at)?;
        let inode = medium.read(place, 128)?;
        let fields = ByteReader::new(&inode, DOING);
        let (i_size_lo, i_flags, i_size_high) = (fields.u32_le(4)?, fields.u32_le(32)?, fields.u32_le(108)?);
        let length = if node.sort == Sort::Link { u64::from(i_size_lo) } else { wide(i_size_high, i_size_lo) };
        let content = Content::new(length, limit)?;
        let mut map = Map { content, end: 0, nodes: MOST_NODES };
        let bytes = fields.slice(MAP as usize, MAP_LENGTH)?;
        let is_short = length < MAP_LENGTH as u64;
        if i_flags & FLAG_ENCRYPTED != 0 || i_flags & FLAG_INLINE != 0 && !is_short {
            return Err(Error::unsupported("read", "it is encrypted, or stored within its inode"));
        }
        if is_short && i_flags & FLAG_EXTENTS == 0 && (node.sort == Sort::Link || i_flags & FLAG_INLINE != 0) {
            map.content.push(Some(place.saturating_add(MAP)), length);
        } else if i_flags & FLAG_EXTENTS != 0 {
            let depth = fields.u16_le((MAP as usize).saturating_add(6))?.min(MOST_DEPTH);
            self.extents(medium, bytes, &mut map, depth)?;
        } else {
            let (direct, indirect) = bytes.split_at_checked(DIRECT.saturating_mul(4)).unwrap_or_default();
            self.pointers(medium, direct, &mut map, 0)?;
            for (level, pointer) in (1..).zip(indirect.chunks_exact(4)) {
                self.pointers(medium, pointer, &mut map, level)?;
            }
        }
        if !map.content.is_complete() {
            map.content.push(None, length);
        }
        Ok(map.content)
    }

    fn entries(&self, _: &Medium<'_>, bytes: &[u8]) -> Result<Vec<Entry>> {
        let mut out = Vec::new();
        let mut rest = bytes;
        while rest.len() >= 12 {
            let fields = ByteReader::new(rest, DOING);
            let (inode, rec_len, name_len) = (fields.u32_le(0)?, usize::from(fields.u16_le(4)?), fields.u8(6)?);
            // The one length that does not fit is written as 65535 or 0.
            let rec_len = if matches!(rec_len, 0 | 0xffff) { 1 << 16 } else { rec_len };
            let name = fields.slice(8, usize::from(name_len))?;
            if rec_len < 12 {
                return Err(corrupt(DOING, "a directory is damaged"));
            }
            if inode != 0 && !matches!(name, b"" | b"." | b"..") {
                let sort = match fields.u8(7)? {
                    TYPE_FILE => Sort::File,
                    TYPE_DIRECTORY => Sort::Directory,
                    TYPE_LINK => Sort::Link,
                    _ => Sort::Special,
                };
                let name = String::from_utf8_lossy(name).into_owned();
                out.push(Entry { name, node: Node { sort, at: u64::from(inode), length: 0 } });
            }
            rest = rest.get(rec_len..).unwrap_or_default();
        }
        Ok(out)
    }

    fn ignores_case(&self) -> bool {
        false
    }
}

/// A number in two halves.
const fn wide(high: u32, low: u32) -> u64 {
    (high as u64) << 32 | low as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::ByteCount;
    use alloc::vec;

    /// A node of this depth with these entries, in a block.
    fn node(depth: u16, entries: &[[u16; 6]]) -> Vec<u8> {
        let header = [0xf30a, entries.len() as u16, 84, depth, 0, 0];
        let fields = core::iter::once(&header).chain(entries).flatten();
        let mut node: Vec<u8> = fields.flat_map(|field| field.to_le_bytes()).collect();
        node.resize(1024, 0);
        node
    }

    #[test]
    fn every_extent_and_every_node_has_something() {
        let ext = Ext {
            block: 1024,
            first_data_block: 1,
            blocks_per_group: 8192,
            inodes_per_group: 8,
            inodes: 8,
            inode_size: 128,
            descriptor_size: 32,
            first_meta: None,
            sparse_super: true,
        };
        // Block, and its extents: the logical block, how many, two halves of where.
        let data = |length| [0, 0, length, 0, 1, 0];
        let [index, other] = [1, 2].map(|block| [0, 0, block, 0, 0, 0]);
        for (top, leaf, is_sound) in [
            (node(0, &[data(4)]), node(0, &[]), true),
            (node(0, &[data(0); 50]), node(0, &[]), false),
            (node(1, &[index]), node(0, &[data(4)]), true),
            (node(1, &[index; 80]), node(0, &[]), false),
            (node(1, &[index, other]), node(0, &[data(0)]), false),
        ] {
            let disk = [vec![0; 1024], leaf.clone(), leaf].concat();
            let medium = Medium::new(Box::new(disk.as_slice()), ByteCount(disk.len() as u64));
            let mut map = Map { content: Content::new(4096, 4096).unwrap(), end: 0, nodes: MOST_NODES };
            let depth = u16::from(top[6]);
            let taken = ext.extents(&medium, &top, &mut map, depth);
            assert_eq!(taken.is_ok(), is_sound, "{taken:?}");
            assert_eq!(map.content.is_complete(), is_sound);
        }
    }
}

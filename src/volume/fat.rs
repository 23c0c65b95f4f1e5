//! FAT12, FAT16 and FAT32 ("FAT: General Overview of On-Disk Format" 1.03).
//!
//! Only the first copy of the allocation table is read, as the kernel does. Which width the table has, the number of
//! clusters decides, except that what looks like FAT32 is FAT32 with any number: `mkfs.fat -F 32` makes small ones.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::content::{Content, Medium};
use super::long_name::LongName;
use super::text;
use super::{DIRECTORY_LIMIT, Entry, Node, Opened, Sort, Tree, corrupt};
use crate::bytes::ByteReader;
use crate::error::Result;

const DOING: &str = "read the FAT volume on";
/// Bytes of a directory entry.
const ENTRY: usize = 32;
/// The most clusters that tables with entries of 12 and of 16 bits are used for.
const MOST_CLUSTERS_12: u32 = 4084;
const MOST_CLUSTERS_16: u32 = 65_524;
/// Clusters are counted from 2.
const FIRST_CLUSTER: u32 = 2;
/// How mkfs says in the boot sector that there is no label.
const NO_LABEL: &[u8] = b"NO NAME    ";

const ATTR_VOLUME_ID: u8 = 0x08;
const ATTR_DIRECTORY: u8 = 0x10;
const ATTR_LONG_NAME: u8 = 0x0f;
/// The bits of an attribute that have a meaning.
const ATTR_MASK: u8 = 0x3f;

/// The first byte of the entry behind the last one, and of one that is free.
const END: u8 = 0x00;
const FREE: u8 = 0xe5;

/// The layout, in bytes.
#[derive(Clone, Copy)]
struct Fat {
    /// Bits of an entry of the table.
    width: u8,
    table: u64,
    /// The fixed root directory of FAT12 and FAT16.
    root: u64,
    root_length: u64,
    /// The first cluster of FAT32's root directory; 0 stands for the fixed one.
    root_cluster: u32,
    /// Where the first cluster lies.
    data: u64,
    cluster_bytes: u64,
    clusters: u32,
}

/// Reads the boot sector and the label.
pub(super) fn open(medium: &Medium<'_>) -> Result<Opened> {
    let sector = medium.read(0, 512)?;
    let fields = ByteReader::new(&sector, DOING);
    let fat = parse(fields)?;
    let mut labels = Vec::new();
    // Damage is met, and told, by anyone who reads a file; until then the boot sector has a name too.
    labels.extend(fat.root_label(medium).ok().flatten());
    let (signature_at, label_at) = if fat.width == 32 { (66, 71) } else { (38, 43) };
    let label = fields.slice(label_at, 11)?;
    if fields.u8(signature_at)? == 0x29 && label != NO_LABEL {
        labels.push(text::padded(label));
    }
    Ok(Opened { tree: Box::new(fat), labels })
}

/// The parameter block, which `filesystem` has found plausible.
fn parse(fields: ByteReader<'_>) -> Result<Fat> {
    let bytes_per_sector = u64::from(fields.u16_le(11)?);
    let sectors_per_cluster = u64::from(fields.u8(13)?);
    let reserved_sectors = u64::from(fields.u16_le(14)?);
    let fats = u64::from(fields.u8(16)?);
    let root_entries = u64::from(fields.u16_le(17)?);
    let sectors = if fields.u16_le(19)? != 0 { u32::from(fields.u16_le(19)?) } else { fields.u32_le(32)? };
    let fat_16_sectors = fields.u16_le(22)?;
    let is_fat_32 = fat_16_sectors == 0;
    let fat_sectors = if is_fat_32 { u64::from(fields.u32_le(36)?) } else { u64::from(fat_16_sectors) };

    // None of these sums overflows: a sector number has 32 bits, a sector at most 4096 bytes.
    let root_length = root_entries.saturating_mul(ENTRY as u64);
    let table = reserved_sectors.saturating_mul(bytes_per_sector);
    let table_length = fat_sectors.saturating_mul(bytes_per_sector);
    let root = table.saturating_add(fats.saturating_mul(table_length));
    let data = root.saturating_add(root_length.next_multiple_of(bytes_per_sector.max(1)));
    let cluster_bytes = sectors_per_cluster.saturating_mul(bytes_per_sector);
    let end = u64::from(sectors).saturating_mul(bytes_per_sector);
    let clusters = end.checked_sub(data).and_then(|room| room.checked_div(cluster_bytes)).unwrap_or(0);

    let clusters = u32::try_from(clusters).unwrap_or(0);
    let width = match clusters {
        _ if is_fat_32 => 32,
        _ if clusters <= MOST_CLUSTERS_12 => 12,
        _ if clusters <= MOST_CLUSTERS_16 => 16,
        _ => return Err(corrupt(DOING, "it has more clusters than its table can name")),
    };
    let named = table_length.saturating_mul(8).checked_div(u64::from(width)).unwrap_or(0);
    if clusters == 0 || named < u64::from(clusters).saturating_add(u64::from(FIRST_CLUSTER)) {
        return Err(corrupt(DOING, "its table and its clusters do not fit"));
    }
    let root_cluster = if is_fat_32 { fields.u32_le(44)? } else { 0 };
    Ok(Fat { width, table, root, root_length, root_cluster, data, cluster_bytes, clusters })
}

impl Fat {
    /// Where `cluster` lies.
    fn offset(&self, cluster: u32) -> Result<u64> {
        match cluster.checked_sub(FIRST_CLUSTER) {
            Some(index) if index < self.clusters => {
                Ok(self.data.saturating_add(u64::from(index).saturating_mul(self.cluster_bytes)))
            }
            _ => Err(corrupt(DOING, "a chain of clusters leads out of the volume")),
        }
    }

    /// The cluster behind `cluster`; `None` at the end of the chain.
    fn next(&self, medium: &Medium<'_>, cluster: u32) -> Result<Option<u32>> {
        let index = u64::from(cluster);
        let (next, end) = match self.width {
            12 => {
                let pair = medium.number(self.table.saturating_add(index).saturating_add(index / 2), 2)?;
                (if cluster & 1 == 0 { pair & 0xfff } else { pair >> 4 }, 0xff8)
            }
            16 => (medium.number(self.table.saturating_add(index.saturating_mul(2)), 2)?, 0xfff8),
            // The upper four bits belong to no one.
            _ => (medium.number(self.table.saturating_add(index.saturating_mul(4)), 4)? & 0x0fff_ffff, 0x0fff_fff8),
        };
        Ok((next < end).then_some(next))
    }

    /// A file of a known length: a chain that is longer than that, or runs in circles, is not followed further.
    fn file(&self, medium: &Medium<'_>, first: u32, mut content: Content) -> Result<Content> {
        let mut cluster = Some(first);
        while !content.is_complete() {
            let Some(here) = cluster else {
                return Err(corrupt(DOING, "a chain of clusters ends before its file"));
            };
            content.push(Some(self.offset(here)?), self.cluster_bytes);
            cluster = self.next(medium, here)?;
        }
        Ok(content)
    }

    /// A directory, which is as long as its chain.
    fn directory(&self, medium: &Medium<'_>, first: u32, limit: usize) -> Result<Content> {
        let mut cluster = first;
        let mut length = 0u64;
        let mut extents = Vec::new();
        loop {
            length = length.saturating_add(self.cluster_bytes);
            extents.push(self.offset(cluster)?);
            // Refuses when the sum has become too large, and so ends a chain that runs in circles.
            let mut content = Content::new(length, limit)?;
            let Some(next) = self.next(medium, cluster)? else {
                extents.iter().for_each(|&at| content.push(Some(at), self.cluster_bytes));
                return Ok(content);
            };
            cluster = next;
        }
    }

    /// Where the chain of a directory entry begins; 0 for an empty file. FAT12 and FAT16 use the upper half otherwise.
    fn first_cluster(&self, entry: ByteReader<'_>) -> Result<u64> {
        let upper = if self.width == 32 { u64::from(entry.u16_le(20)?) << 16 } else { 0 };
        Ok(upper | u64::from(entry.u16_le(26)?))
    }

    /// The name that an entry of the root directory gives the volume.
    fn root_label(&self, medium: &Medium<'_>) -> Result<Option<String>> {
        let root = self.content(medium, self.root(medium)?, DIRECTORY_LIMIT)?;
        let bytes = medium.content(&root)?;
        let used = bytes.chunks_exact(ENTRY).take_while(|entry| entry.first() != Some(&END));
        for entry in used {
            let fields = ByteReader::new(entry, DOING);
            let attributes = fields.u8(11)? & ATTR_MASK;
            let is_label = attributes & (ATTR_VOLUME_ID | ATTR_DIRECTORY) == ATTR_VOLUME_ID;
            let is_in_use = fields.u8(0)? != FREE && attributes != ATTR_LONG_NAME && self.first_cluster(fields)? == 0;
            if is_label && is_in_use {
                return Ok(Some(text::padded(fields.slice(0, 11)?)).filter(|label| !label.is_empty()));
            }
        }
        Ok(None)
    }
}

impl Tree for Fat {
    fn root(&self, _: &Medium<'_>) -> Result<Node> {
        Ok(Node { sort: Sort::Directory, at: u64::from(self.root_cluster), length: 0 })
    }

    fn content(&self, medium: &Medium<'_>, node: Node, limit: usize) -> Result<Content> {
        let first = u32::try_from(node.at).unwrap_or(0);
        match node.sort {
            Sort::Directory if first == 0 && self.width != 32 => {
                let mut content = Content::new(self.root_length, limit)?;
                content.push(Some(self.root), self.root_length);
                Ok(content)
            }
            Sort::Directory => self.directory(medium, first, limit),
            _ => self.file(medium, first, Content::new(node.length, limit)?),
        }
    }

    fn entries(&self, _: &Medium<'_>, bytes: &[u8]) -> Result<Vec<Entry>> {
        let mut out = Vec::new();
        let mut long_name = LongName::default();
        for entry in bytes.chunks_exact(ENTRY) {
            let fields = ByteReader::new(entry, DOING);
            let attributes = fields.u8(11)? & ATTR_MASK;
            match fields.u8(0)? {
                END => break,
                FREE => {
                    long_name = LongName::default();
                    continue;
                }
                _ if attributes == ATTR_LONG_NAME => {
                    long_name.add(fields)?;
                    continue;
                }
                _ => {}
            }
            let short = fields.array(0)?;
            let name = core::mem::take(&mut long_name).of(&short);
            if attributes & ATTR_VOLUME_ID != 0 || short.starts_with(b".") {
                continue;
            }
            let name = match name {
                Some(name) => name,
                None => short_name(short, fields.u8(12)?),
            };
            let sort = if attributes & ATTR_DIRECTORY == 0 { Sort::File } else { Sort::Directory };
            let at = self.first_cluster(fields)?;
            out.push(Entry { name, node: Node { sort, at, length: u64::from(fields.u32_le(28)?) } });
        }
        Ok(out)
    }

    fn ignores_case(&self) -> bool {
        true
    }
}

/// A name of eight letters and three, with the bits that say which half is meant in small letters (Windows NT's, which
/// `mkfs.fat` and the kernel write too).
fn short_name(mut name: [u8; 11], case: u8) -> String {
    const SMALL: [u8; 2] = [0x08, 0x10];
    let (base, extension) = name.split_at_mut(8);
    for (half, bit) in [&mut *base, &mut *extension].into_iter().zip(SMALL) {
        if case & bit != 0 {
            half.make_ascii_lowercase();
        }
    }
    let mut out = text::padded(base);
    let extension = text::padded(extension);
    if !extension.is_empty() {
        out.push('.');
        out.push_str(&extension);
    }
    out
}

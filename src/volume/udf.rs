//! UDF 1.02 to 2.01, and later revisions where they need no more (ECMA-167; OSTA UDF 2.60): one volume, plain
//! partitions, files embedded in their entries or in short or long extents.
//!
//! What is written in pieces (a virtual or sparable partition) or keeps its entries apart (a metadata partition, which
//! Blu-ray discs have) is refused by name. Every descriptor's checksum and CRC are verified; file contents have none.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::content::{Content, Medium};
use super::udf_descriptor::{DOING, check, dstring, text};
use super::{Entry, Node, Opened, Sort, Tree, corrupt, not_plain};
use crate::bytes::ByteReader;
use crate::error::{Error, Result};

/// Sizes of a sector, the likeliest first: discs have 2048, disks and images 512, newer disks 4096.
const SECTOR_SIZES: [usize; 4] = [2048, 512, 4096, 1024];
/// The sector of the anchor that every tool writes; two more at the end are for media that wear out.
const ANCHOR: u32 = 256;
/// A sequence of volume descriptors has at least 16 sectors, of which six are used.
const DESCRIPTORS_LIMIT: u32 = 64;
/// Everybody makes one; UDF allows a few.
const PARTITIONS_LIMIT: usize = 4;
/// How often the list of a file's extents may go on in another block: 16 MiB in lone blocks of 512 bytes need half.
const CONTINUATIONS_LIMIT: usize = 1024;

/// Tag identifiers.
const ANCHOR_POINTER: u16 = 2;
const PARTITION: u16 = 5;
const LOGICAL_VOLUME: u16 = 6;
const TERMINATOR: u16 = 8;
const FILE_SET: u16 = 256;
const FILE_IDENTIFIER: u16 = 257;
const ALLOCATION_EXTENT: u16 = 258;
const FILE_ENTRY: u16 = 261;
const EXTENDED_FILE_ENTRY: u16 = 266;

/// An extent's length has 30 bits; the other two are its type: recorded, allocated only, neither, or more extents.
const LENGTH_MASK: u32 = 0x3fff_ffff;
const TYPE_SHIFT: u32 = 30;
const RECORDED: u32 = 0;
const MORE_EXTENTS: u32 = 3;

/// Kinds of file, 14.6.6, and the only way of updating entries that is read, 14.6.2.
const FILE_TYPE_UNSPECIFIED: u8 = 0;
const FILE_TYPE_DIRECTORY: u8 = 4;
const FILE_TYPE_FILE: u8 = 5;
const STRATEGY_4: u16 = 4;

/// How an entry lists what belongs to it, 14.6.8.
const SHORT_EXTENTS: u16 = 0;
const LONG_EXTENTS: u16 = 1;
const EMBEDDED: u16 = 3;

/// Bytes of a file identifier descriptor before its implementation use.
const NAME_HEAD: usize = 38;

/// Of the characteristics of a name, 14.4.3.
const IS_DIRECTORY: u8 = 0x02;
const IS_DELETED: u8 = 0x04;
const IS_PARENT: u8 = 0x08;

/// Where a partition lies, in blocks.
#[derive(Clone, Copy, Debug)]
struct Partition {
    number: u16,
    start: u32,
    length: u32,
}

struct Udf {
    block: usize,
    /// By the numbers that addresses use.
    partitions: Vec<Partition>,
    file_set: Address,
}

/// `lb_addr`: a block of a partition.
#[derive(Clone, Copy, Debug)]
struct Address {
    block: u32,
    partition: u16,
}

/// Finds the anchor and reads the volume's descriptors: the second copy of them when the first is damaged.
pub(super) fn open(medium: &Medium<'_>) -> Result<Opened> {
    let (sector, anchor) = anchor(medium)?;
    let fields = ByteReader::new(&anchor, DOING);
    let (main, reserve) = (fields.u32_le(20)?, fields.u32_le(28)?);
    let (tree, label) =
        volume(medium, sector, main).or_else(|error| volume(medium, sector, reserve).map_err(|_| error))?;
    Ok(Opened { tree: Box::new(tree), labels: Vec::from_iter(Some(label).filter(|label| !label.is_empty())) })
}

fn anchor(medium: &Medium<'_>) -> Result<(usize, Vec<u8>)> {
    for size in SECTOR_SIZES {
        if let Ok(bytes) = descriptor(medium, size, ANCHOR, ANCHOR, &[ANCHOR_POINTER]) {
            return Ok((size, bytes));
        }
    }
    Err(corrupt(DOING, "it has no sound anchor"))
}

/// The block `at` of the medium, which must hold one of these descriptors and say that it lies at `location`.
fn descriptor(medium: &Medium<'_>, block: usize, at: u32, location: u32, identifiers: &[u16]) -> Result<Vec<u8>> {
    let bytes = medium.read(u64::from(at).saturating_mul(block as u64), block)?;
    let (tag_identifier, tag_location) = check(&bytes)?;
    if identifiers.contains(&tag_identifier) && tag_location == location {
        return Ok(bytes);
    }
    Err(corrupt(DOING, "a descriptor is not the one that belongs there"))
}

/// The volume that the sequence of descriptors from `start` on describes, and its label. Of several descriptors of one
/// kind the last counts.
fn volume(medium: &Medium<'_>, block: usize, start: u32) -> Result<(Udf, String)> {
    let mut logical_volume = None;
    let mut partitions: Vec<Partition> = Vec::new();
    for at in start..start.saturating_add(DESCRIPTORS_LIMIT) {
        let bytes = medium.read(u64::from(at).saturating_mul(block as u64), block)?;
        let fields = ByteReader::new(&bytes, DOING);
        match check(&bytes)? {
            (_, tag_location) if tag_location != at => {
                return Err(corrupt(DOING, "a descriptor is not the one that belongs there"));
            }
            (PARTITION, _) if partitions.len() < PARTITIONS_LIMIT => partitions.push(Partition {
                number: fields.u16_le(22)?,
                start: fields.u32_le(188)?,
                length: fields.u32_le(192)?,
            }),
            (LOGICAL_VOLUME, _) => logical_volume = Some(bytes),
            (TERMINATOR, _) => break,
            _ => {}
        }
    }
    let Some(bytes) = logical_volume else { return Err(corrupt(DOING, "it has no logical volume")) };
    let fields = ByteReader::new(&bytes, DOING);
    let logical_block_size = fields.u32_le(212)?;
    if usize::try_from(logical_block_size) != Ok(block) {
        return Err(Error::unsupported(DOING, "its blocks are larger or smaller than its sectors"));
    }
    let file_set = long_address(fields, 248)?;
    let partitions = mapped(fields, &partitions)?;
    Ok((Udf { block, partitions, file_set }, dstring(fields.slice(84, 128)?)))
}

/// The partitions in the order of the logical volume's maps, 10.7.
fn mapped(logical_volume: ByteReader<'_>, partitions: &[Partition]) -> Result<Vec<Partition>> {
    let number_of_partition_maps = usize::try_from(logical_volume.u32_le(268)?).unwrap_or(usize::MAX);
    let mut out = Vec::new();
    let mut at = 440usize;
    for _ in 0..number_of_partition_maps.min(PARTITIONS_LIMIT) {
        let (map_type, map_length) = (logical_volume.u8(at)?, logical_volume.u8(at.saturating_add(1))?);
        if map_type != 1 {
            return Err(Error::unsupported(DOING, "it has a virtual, sparable or metadata partition"));
        }
        let partition_number = logical_volume.u16_le(at.saturating_add(4))?;
        let found = partitions.iter().rev().find(|partition| partition.number == partition_number);
        out.push(*found.ok_or_else(|| corrupt(DOING, "a partition is not described"))?);
        at = at.saturating_add(usize::from(map_length));
    }
    Ok(out)
}

/// The address in the `long_ad` at `at`, behind its length.
fn long_address(fields: ByteReader<'_>, at: usize) -> Result<Address> {
    Ok(Address { block: fields.u32_le(at.saturating_add(4))?, partition: fields.u16_le(at.saturating_add(8))? })
}

impl Address {
    fn node(self, sort: Sort) -> Node {
        Node { sort, at: (u64::from(self.partition) << 32) | u64::from(self.block), length: 0 }
    }

    /// The address that [`Address::node`] put there.
    fn of(node: Node) -> Self {
        let [_, _, high, low, a, b, c, d] = node.at.to_be_bytes();
        Self { block: u32::from_be_bytes([a, b, c, d]), partition: u16::from_be_bytes([high, low]) }
    }
}

/// What a file entry says.
struct FileEntry {
    file_type: u8,
    length: u64,
    /// How its allocation descriptors are to be read.
    allocation: u16,
    /// Where in the block they lie.
    at: usize,
    list: Vec<u8>,
}

impl Udf {
    /// The block of the medium that `length` bytes from `address` begin with.
    fn absolute(&self, address: Address, length: u64) -> Result<u32> {
        let blocks = length.div_ceil(self.block.max(1) as u64);
        let found = self.partitions.get(usize::from(address.partition)).and_then(|partition| {
            let is_within = u64::from(address.block).checked_add(blocks)? <= u64::from(partition.length);
            partition.start.checked_add(address.block).filter(|_| is_within)
        });
        found.ok_or_else(|| corrupt(DOING, "an address leads out of its partition"))
    }

    fn offset(&self, address: Address, length: u64) -> Result<u64> {
        Ok(u64::from(self.absolute(address, length)?).saturating_mul(self.block as u64))
    }

    fn descriptor(&self, medium: &Medium<'_>, address: Address, identifiers: &[u16]) -> Result<Vec<u8>> {
        descriptor(medium, self.block, self.absolute(address, 1)?, address.block, identifiers)
    }

    /// The entry at `address`, 14.9 and 14.17.
    fn file_entry(&self, medium: &Medium<'_>, address: Address) -> Result<FileEntry> {
        let bytes = self.descriptor(medium, address, &[FILE_ENTRY, EXTENDED_FILE_ENTRY])?;
        let fields = ByteReader::new(&bytes, DOING);
        let strategy_type = fields.u16_le(20)?;
        let file_type = fields.u8(27)?;
        let flags = fields.u16_le(34)?;
        let information_length = fields.u64_le(56)?;
        // An extended entry has more in the middle.
        let behind = if fields.u16_le(0)? == FILE_ENTRY { 168usize } else { 208 };
        let [extended_attributes, allocation_descriptors] = [behind, behind.saturating_add(4)]
            .map(|at| fields.u32_le(at).map(|length| usize::try_from(length).unwrap_or(usize::MAX)));
        if strategy_type != STRATEGY_4 {
            return Err(Error::unsupported("read", "its entry is written anew each time"));
        }
        let at = behind.saturating_add(8).saturating_add(extended_attributes?);
        let list = fields.slice(at, allocation_descriptors?)?.to_vec();
        Ok(FileEntry { file_type, length: information_length, allocation: flags & 7, at, list })
    }

    /// Adds the extents that `list` names, 14.14.1; where it goes on, if it does. `within` is the partition of those
    /// that name none, the short ones.
    fn add_extents(&self, content: &mut Content, list: &[u8], within: Option<u16>) -> Result<Option<Address>> {
        let size = if within.is_some() { 8 } else { 16 };
        for extent in list.chunks_exact(size) {
            let fields = ByteReader::new(extent, DOING);
            let typed_length = fields.u32_le(0)?;
            let length = u64::from(typed_length & LENGTH_MASK);
            let address = match within {
                Some(partition) => Address { block: fields.u32_le(4)?, partition },
                None => long_address(fields, 0)?,
            };
            match typed_length >> TYPE_SHIFT {
                _ if length == 0 || content.is_complete() => break,
                RECORDED => content.push(Some(self.offset(address, length)?), length),
                MORE_EXTENTS => return Ok(Some(address)),
                _ => content.push(None, length),
            }
        }
        Ok(None)
    }
}

impl Tree for Udf {
    fn root(&self, medium: &Medium<'_>) -> Result<Node> {
        let file_set = self.descriptor(medium, self.file_set, &[FILE_SET])?;
        Ok(long_address(ByteReader::new(&file_set, DOING), 400)?.node(Sort::Directory))
    }

    fn content(&self, medium: &Medium<'_>, node: Node, limit: usize) -> Result<Content> {
        let address = Address::of(node);
        let FileEntry { file_type, length, allocation, at, mut list } = self.file_entry(medium, address)?;
        match (node.sort, file_type) {
            (Sort::Directory, FILE_TYPE_DIRECTORY) | (Sort::File, FILE_TYPE_FILE | FILE_TYPE_UNSPECIFIED) => {}
            (Sort::Directory, _) => return Err(corrupt(DOING, "a directory's entry says that it is none")),
            _ => return Err(not_plain()),
        }
        let mut content = Content::new(length, limit)?;
        if allocation == EMBEDDED {
            content.push(Some(self.offset(address, 1)?.saturating_add(at as u64)), list.len() as u64);
            return Ok(content);
        }
        let within = match allocation {
            SHORT_EXTENTS => Some(address.partition),
            LONG_EXTENTS => None,
            _ => return Err(not_plain()),
        };
        for _ in 0..CONTINUATIONS_LIMIT {
            let more = self.add_extents(&mut content, &list, within)?;
            let Some(more) = more else { return Ok(content) };
            let bytes = self.descriptor(medium, more, &[ALLOCATION_EXTENT])?;
            let fields = ByteReader::new(&bytes, DOING);
            let length_of_allocation_descriptors = usize::try_from(fields.u32_le(20)?).unwrap_or(usize::MAX);
            list = fields.slice(24, length_of_allocation_descriptors)?.to_vec();
        }
        Err(corrupt(DOING, "the list of a file's extents has no end"))
    }

    fn entries(&self, _: &Medium<'_>, bytes: &[u8]) -> Result<Vec<Entry>> {
        let mut out = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let fields = ByteReader::new(rest, DOING);
            let characteristics = fields.u8(18)?;
            let name_length = usize::from(fields.u8(19)?);
            let address = long_address(fields, 20)?;
            let name_at = NAME_HEAD.saturating_add(usize::from(fields.u16_le(36)?));
            let name = fields.slice(name_at, name_length)?;
            let length = name_at.saturating_add(name_length).next_multiple_of(4);
            let (one, behind) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            // Of this one alone: a CRC over all that follows, in each of some thousand names, would take seconds.
            if check(one)?.0 != FILE_IDENTIFIER {
                return Err(corrupt(DOING, "a directory holds something else than names"));
            }
            if characteristics & (IS_DELETED | IS_PARENT) == 0 {
                let sort = if characteristics & IS_DIRECTORY == 0 { Sort::File } else { Sort::Directory };
                out.push(Entry { name: text(name), node: address.node(sort) });
            }
            rest = behind;
        }
        Ok(out)
    }

    fn ignores_case(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::udf_descriptor::{TAG, crc};
    use super::*;
    use crate::units::ByteCount;
    use alloc::boxed::Box;

    /// A file identifier descriptor for `name`; its CRC is that of everything behind its tag.
    fn identifier(name: &[u8], behind: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; NAME_HEAD];
        bytes[0..2].copy_from_slice(&FILE_IDENTIFIER.to_le_bytes());
        bytes[19] = u8::try_from(name.len() + 1).unwrap();
        bytes.push(8);
        bytes.extend(name);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(behind);
        let sum = crc(&bytes[TAG..]);
        bytes[8..10].copy_from_slice(&sum.to_le_bytes());
        let length = u16::try_from(bytes.len() - TAG).unwrap();
        bytes[10..12].copy_from_slice(&length.to_le_bytes());
        bytes[4] = bytes[..TAG].iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte));
        bytes
    }

    fn names(bytes: &[u8]) -> Result<Vec<String>> {
        let udf = Udf { block: 512, partitions: Vec::new(), file_set: Address { block: 0, partition: 0 } };
        let entries = udf.entries(&Medium::new(Box::new(bytes), ByteCount(0)), bytes)?;
        Ok(entries.into_iter().map(|entry| entry.name).collect())
    }

    #[test]
    fn the_crc_of_a_name_reaches_to_its_end_and_no_further() {
        let last = identifier(b"user-data", b"");
        let both = [identifier(b"meta-data", b""), last.clone()].concat();
        assert_eq!(names(&both).unwrap(), ["meta-data", "user-data"]);
        assert_eq!(names(&identifier(b"meta-data", &last)).unwrap_err().kind, crate::error::Kind::Corrupt);
        for length in 1..last.len() {
            assert!(names(&last[..length]).is_err(), "{length}");
        }
    }
}

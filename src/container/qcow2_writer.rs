//! Writes a qcow2 of version 3, front to back, in memory that does not grow with its data (QEMU, docs/interop/qcow2).
//!
//! Header, L1 table and the table of reference counts have room at the front and are written last, the header last of
//! all, so that a file that was not finished is no qcow2. Behind them the clusters follow in the order they come, packed
//! ones byte by byte; an L2 table is written when all of its clusters are, and a block of reference counts in the first
//! cluster of the 2 GiB that it counts, when these are full.

use alloc::vec;
use alloc::vec::Vec;

use crate::bytes::put;
use crate::error::{Error, Result};
use crate::units::ByteCount;

const DOING: &str = "write the qcow2 image";

/// The usual size, in which `qemu-img` packs best too.
const CLUSTER_BITS: u32 = 16;
const CLUSTER: u64 = 1 << CLUSTER_BITS;
/// Entries of an L2 table, which is a cluster of numbers of 8 bytes.
const ENTRIES_BITS: u32 = CLUSTER_BITS - 3;
/// What an L2 table maps.
const COVERED_BITS: u32 = CLUSTER_BITS + ENTRIES_BITS;
/// Counts of a block, of 2 bytes each, and what they count.
const COUNTS: usize = 1 << (CLUSTER_BITS - 1);
const COUNTED_BITS: u32 = 2 * CLUSTER_BITS - 1;

/// The largest disk: its L1 table and its table of counts are held, half a MiB.
const SIZE_LIMIT: u64 = 32 << 40;

/// In an entry of either table: the cluster is used once. In one of L2: it is packed.
const COPIED: u64 = 1 << 63;
const COMPRESSED: u64 = 1 << 62;
/// Above the offset of a packed cluster: how many sectors follow its first one.
const SECTORS_SHIFT: u32 = 62 - (CLUSTER_BITS - 8);

/// The header without the field of the compression type: it is deflate.
const HEADER_LENGTH: u32 = 104;

/// A cluster of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cluster<'a> {
    /// As [`Packer`](crate::codec::Packer) packed it, smaller than it was.
    Packed(&'a [u8]),
    /// Whole, with zeros behind the end of the disk.
    Stored(&'a [u8]),
}

/// Where the bytes go: an offset, and what is written there.
type Write<'a> = &'a mut dyn FnMut(ByteCount, &[u8]) -> Result<()>;

/// An image that is being written.
pub struct Qcow2<'a> {
    write: Write<'a>,
    size: u64,
    /// Where the next byte goes.
    next: u64,
    l1: Vec<u64>,
    /// The table that clusters go to now, and which it is; as bytes.
    l2: Vec<u8>,
    l2_index: u64,
    is_l2_used: bool,
    /// The first guest offset that may come.
    expected: u64,
    blocks: Vec<u64>,
    blocks_at: u64,
    blocks_limit: usize,
    /// The counts of the current 2 GiB, and the block that they go to.
    counts: Vec<u16>,
    block_at: u64,
}

impl<'a> Qcow2<'a> {
    /// Bytes of a cluster.
    pub const CLUSTER: usize = CLUSTER as usize;

    /// Begins an image of a disk of `size` bytes. `write` is given an offset and bytes; it may leave holes, which must
    /// read as zeros, and comes back to the front in the end.
    ///
    /// # Errors
    /// `Refused` when the disk is larger than 32 TiB.
    pub fn new(size: ByteCount, write: Write<'a>) -> Result<Self> {
        if size.0 > SIZE_LIMIT {
            return Err(Error::refused(DOING, "its disk is larger than 32 TiB"));
        }
        let tables = size.0.div_ceil(1 << COVERED_BITS) as usize;
        // Blocks if nothing can be packed; L2 tables are less than a thousandth, and what is left at the end of each
        // 2 GiB even less.
        let blocks_limit = ((size.0 >> COUNTED_BITS).saturating_add(size.0 >> 40)).saturating_add(4) as usize;
        let blocks_at = CLUSTER.saturating_add(clusters(tables));
        let block_at = blocks_at.saturating_add(clusters(blocks_limit));
        let mut image = Self {
            write,
            size: size.0,
            next: 0,
            l1: vec![0; tables],
            l2: vec![0; Self::CLUSTER],
            l2_index: 0,
            is_l2_used: false,
            expected: 0,
            blocks: Vec::new(),
            blocks_at,
            blocks_limit,
            counts: vec![0; COUNTS],
            block_at,
        };
        image.allocate(block_at.saturating_add(CLUSTER), true)?;
        Ok(image)
    }

    /// Adds the cluster at `at` of the disk, behind all that came before; what is left out is zeros.
    ///
    /// # Errors
    /// `Usage` when it is out of order or has the wrong length; those of `write`.
    pub fn put(&mut self, at: ByteCount, cluster: Cluster<'_>) -> Result<()> {
        if at.0 < self.expected || at.0 >= self.size || !at.0.is_multiple_of(CLUSTER) {
            return Err(Error::usage(DOING, "its clusters come in order"));
        }
        let (bytes, is_stored) = match cluster {
            Cluster::Stored(bytes) if bytes.len() == Self::CLUSTER => (bytes, true),
            Cluster::Packed(bytes) if bytes.len() < Self::CLUSTER && !bytes.is_empty() => (bytes, false),
            _ => return Err(Error::usage(DOING, "a cluster has the wrong length")),
        };
        let index = at.0 >> COVERED_BITS;
        if index != self.l2_index {
            self.finish_l2()?;
            self.l2_index = index;
        }
        let start = self.allocate(bytes.len() as u64, is_stored)?;
        (self.write)(ByteCount(start), bytes)?;
        let entry = if is_stored {
            start | COPIED
        } else {
            let last = start.saturating_add(bytes.len() as u64).saturating_sub(1);
            let sectors = (last / 512).saturating_sub(start / 512);
            start | sectors << SECTORS_SHIFT | COMPRESSED
        };
        let slot = (at.0 >> CLUSTER_BITS & ((1 << ENTRIES_BITS) - 1)) as usize;
        put(&mut self.l2, slot.saturating_mul(8), &entry.to_be_bytes(), DOING)?;
        self.is_l2_used = true;
        self.expected = at.0.saturating_add(CLUSTER);
        Ok(())
    }

    /// Writes all tables, and the header. Returns the file's length.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn finish(mut self) -> Result<ByteCount> {
        self.finish_l2()?;
        self.finish_block()?;
        // What ends in mid cluster is filled up: a reader may ask for whole sectors, a checker for whole clusters.
        let length = self.next.next_multiple_of(CLUSTER);
        let rest = vec![0; length.saturating_sub(self.next) as usize];
        if !rest.is_empty() {
            (self.write)(ByteCount(self.next), &rest)?;
        }
        for (at, table, limit) in
            [(self.blocks_at, &self.blocks, self.blocks_limit), (CLUSTER, &self.l1, self.l1.len())]
        {
            let mut bytes: Vec<u8> = table.iter().flat_map(|entry| entry.to_be_bytes()).collect();
            bytes.resize(clusters(limit) as usize, 0);
            (self.write)(ByteCount(at), &bytes)?;
        }
        let header = self.header()?;
        (self.write)(ByteCount(0), &header)?;
        Ok(ByteCount(length))
    }

    fn header(&self) -> Result<Vec<u8>> {
        let mut header = vec![0; Self::CLUSTER];
        let fields: [(usize, &[u8]); 10] = [
            (0, b"QFI\xfb"),
            (4, &3_u32.to_be_bytes()),
            (20, &CLUSTER_BITS.to_be_bytes()),
            (24, &self.size.to_be_bytes()),
            (36, &(self.l1.len() as u32).to_be_bytes()),
            (40, &CLUSTER.to_be_bytes()),
            (48, &self.blocks_at.to_be_bytes()),
            (56, &((clusters(self.blocks_limit) >> CLUSTER_BITS) as u32).to_be_bytes()),
            // Counts have 16 bits.
            (96, &4_u32.to_be_bytes()),
            (100, &HEADER_LENGTH.to_be_bytes()),
        ];
        for (at, value) in fields {
            put(&mut header, at, value, DOING)?;
        }
        Ok(header)
    }

    /// Room for `length` bytes, counted; in whole clusters when they are not packed.
    fn allocate(&mut self, length: u64, is_whole: bool) -> Result<u64> {
        let aligned = |at: u64| if is_whole { at.next_multiple_of(CLUSTER) } else { at };
        let counted = (self.blocks.len() as u64).saturating_add(1) << COUNTED_BITS;
        if aligned(self.next).saturating_add(length) > counted {
            self.finish_block()?;
            self.block_at = counted;
            self.next = counted;
            self.allocate_here(CLUSTER);
        }
        self.next = aligned(self.next);
        Ok(self.allocate_here(length))
    }

    fn allocate_here(&mut self, length: u64) -> u64 {
        let start = self.next;
        self.next = start.saturating_add(length);
        let index = |at: u64| (at >> CLUSTER_BITS) as usize & (COUNTS - 1);
        let used = index(start)..=index(self.next.saturating_sub(1));
        for count in self.counts.get_mut(used).unwrap_or_default() {
            *count = count.saturating_add(1);
        }
        start
    }

    fn finish_l2(&mut self) -> Result<()> {
        if !self.is_l2_used {
            return Ok(());
        }
        let at = self.allocate(CLUSTER, true)?;
        (self.write)(ByteCount(at), &self.l2)?;
        if let Some(entry) = self.l1.get_mut(self.l2_index as usize) {
            *entry = at | COPIED;
        }
        self.l2.fill(0);
        self.is_l2_used = false;
        Ok(())
    }

    fn finish_block(&mut self) -> Result<()> {
        if self.blocks.len() >= self.blocks_limit {
            return Err(Error::refused(DOING, "it has become larger than its disk"));
        }
        let bytes: Vec<u8> = self.counts.iter().flat_map(|count| count.to_be_bytes()).collect();
        (self.write)(ByteCount(self.block_at), &bytes)?;
        self.blocks.push(self.block_at);
        self.counts.fill(0);
        Ok(())
    }
}

/// Bytes of the whole clusters that a table of `entries` numbers takes.
const fn clusters(entries: usize) -> u64 {
    (entries as u64).saturating_mul(8).next_multiple_of(CLUSTER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::ReadAt;
    use crate::container::{Map, Place};
    use crate::error::Kind;
    use alloc::collections::BTreeMap;

    /// A file that has only what was written.
    #[derive(Default)]
    struct Sparse(BTreeMap<u64, Vec<u8>>);

    impl ReadAt for Sparse {
        fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
            buffer.fill(0);
            for (at, bytes) in self.0.range(..offset.0 + buffer.len() as u64) {
                for (at, byte) in (*at..).zip(bytes) {
                    if let Some(index) = at.checked_sub(offset.0).filter(|&index| index < buffer.len() as u64) {
                        buffer[index as usize] = *byte;
                    }
                }
            }
            Ok(())
        }
    }

    fn image(size: u64, clusters: &[(u64, Cluster<'_>)]) -> Result<(Sparse, ByteCount)> {
        let mut file = Sparse::default();
        let mut write = |at: ByteCount, bytes: &[u8]| {
            file.0.insert(at.0, bytes.to_vec());
            Ok(())
        };
        let mut image = Qcow2::new(ByteCount(size), &mut write)?;
        for (at, cluster) in clusters {
            image.put(ByteCount(*at), *cluster)?;
        }
        let length = image.finish()?;
        Ok((file, length))
    }

    #[test]
    fn clusters_are_found_where_they_were_put() {
        let whole = vec![1; CLUSTER as usize];
        let last = (2 << COVERED_BITS) - CLUSTER;
        let (file, length) = image(
            last + 1,
            &[
                (0, Cluster::Stored(&whole)),
                (CLUSTER, Cluster::Packed(b"one")),
                (3 * CLUSTER, Cluster::Packed(&[2; 700])),
                (last, Cluster::Stored(&whole)),
            ],
        )
        .unwrap();
        let mut map = Map::open(&file, length).unwrap();
        assert_eq!((map.size().0, map.unit(), map.variant()), (last + 1, CLUSTER, "version 3"));
        let mut place = |at| map.run_at(at).unwrap().unwrap();
        let Place::Stored(first) = place(0).place else { panic!("stored") };
        let packed =
            |place| if let Place::Packed(packed) = place { (packed.at, packed.length, packed.skip) } else { (0, 0, 0) };
        // To the end of the sector that the packed bytes end in.
        assert_eq!(packed(place(CLUSTER).place), (first + CLUSTER, 512, 0));
        assert_eq!(packed(place(3 * CLUSTER + 5).place), (first + CLUSTER + 3, 1021, 5));
        let zeros = place(2 * CLUSTER);
        assert_eq!((zeros.length, zeros.place), (CLUSTER, Place::Zero));
        let zeros = place(4 * CLUSTER);
        assert_eq!((zeros.length, zeros.place), (last - 4 * CLUSTER, Place::Zero));
        assert_eq!((place(last).length, length.0 % CLUSTER), (1, 0));
    }

    #[test]
    fn the_header_is_written_last() {
        let (mut front, mut order) = (0, 0);
        let mut write = |at: ByteCount, _: &[u8]| {
            order += 1;
            front = if at.0 == 0 { order } else { front };
            Ok(())
        };
        let mut image = Qcow2::new(ByteCount(1 << 30), &mut write).unwrap();
        image.put(ByteCount(0), Cluster::Packed(b"x")).unwrap();
        image.finish().unwrap();
        assert_eq!((front, order), (6, 6));
    }

    #[test]
    fn more_than_two_gib_have_more_than_one_block_of_counts() {
        let whole = vec![1; CLUSTER as usize];
        let mut blocks: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut last = 0;
        let mut write = |at: ByteCount, bytes: &[u8]| {
            assert!(at.0 >= last || at.0 < 10 * CLUSTER || at.0.is_multiple_of(1 << COUNTED_BITS), "front to back");
            last = at.0;
            if bytes.len() == CLUSTER as usize && bytes[0] == 0 {
                blocks.push((at.0, bytes.to_vec()));
            }
            Ok(())
        };
        let count = (2_u64 << COUNTED_BITS >> CLUSTER_BITS) + 100;
        let mut image = Qcow2::new(ByteCount(count * CLUSTER), &mut write).unwrap();
        // Every second one is packed, and so the boundary is met in mid cluster.
        for index in 0..count {
            let cluster = if index % 2 == 0 { Cluster::Stored(&whole) } else { Cluster::Packed(&whole[1..]) };
            image.put(ByteCount(index * CLUSTER), cluster).unwrap();
        }
        let length = image.finish().unwrap();
        let at = |at: u64| blocks.iter().find(|block| block.0 == at).map(|(_, counts)| counts);
        let counts = at(1 << COUNTED_BITS).expect("the second block is in the first cluster that it counts");
        assert_eq!(counts[..2], [0, 1], "itself");
        assert!(at(2 << COUNTED_BITS).is_some() && length.0 > 2 << COUNTED_BITS);
    }

    #[test]
    fn what_makes_no_image_is_refused() {
        let kind = |size, clusters: &[_]| image(size, clusters).err().map(|error| error.kind);
        assert_eq!(kind(SIZE_LIMIT, &[]), None);
        assert_eq!(kind(SIZE_LIMIT + 1, &[]), Some(Kind::Refused));
        let whole = vec![1; CLUSTER as usize];
        for clusters in [
            [(0, Cluster::Stored(&whole)), (0, Cluster::Stored(&whole))],
            [(CLUSTER, Cluster::Packed(b"x")), (0, Cluster::Packed(b"x"))],
            [(0, Cluster::Packed(b"x")), (2 * CLUSTER, Cluster::Packed(b"x"))],
            [(0, Cluster::Packed(b"x")), (CLUSTER + 1, Cluster::Packed(b"x"))],
            [(0, Cluster::Packed(b"x")), (CLUSTER, Cluster::Packed(b""))],
            [(0, Cluster::Packed(b"x")), (CLUSTER, Cluster::Packed(&whole))],
            [(0, Cluster::Packed(b"x")), (CLUSTER, Cluster::Stored(&whole[1..]))],
        ] {
            assert_eq!(kind(2 * CLUSTER, &clusters), Some(Kind::Usage), "{clusters:?}");
        }
    }

    #[test]
    fn an_empty_disk_is_an_image_too() {
        for size in [0, 1, CLUSTER] {
            let (file, length) = image(size, &[]).unwrap();
            let mut map = Map::open(&file, length).unwrap();
            assert_eq!(map.size().0, size);
            assert_eq!(map.run_at(0).unwrap().map(|run| run.length), (size > 0).then_some(size));
        }
    }
}

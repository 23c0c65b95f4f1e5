//! Tables made by hand, for the shapes that no tool makes; `oracle.rs` has the tools confirm that they are right.

use crate::support::MemoryDisk;
use wisp::units::{Guid, SectorSize};

/// 2048 sectors of 512 bytes.
pub const MIB: u64 = 2048;

/// A GPT to be made. The defaults are what every tool makes on a disk with 512-byte sectors.
pub struct Gpt {
    pub sector: SectorSize,
    /// Sectors of the disk when the table was made.
    pub sectors: u64,
    pub entry_size: u64,
    pub count: u64,
    pub entries_at: u64,
    pub first_usable: u64,
    pub header_size: u32,
    /// Number, first and last sector.
    pub partitions: Vec<(u64, u64, u64)>,
}

/// The disk GUID of every table made here.
pub const DISK: &str = "01234567-89ab-cdef-0123-456789abcdef";

impl Gpt {
    /// A table on a disk of `mib` MiB with 512-byte sectors.
    pub fn of_mib(mib: u64, partitions: &[(u64, u64, u64)]) -> Self {
        Self {
            sector: SectorSize::B512,
            sectors: mib * MIB,
            entry_size: 128,
            count: 128,
            entries_at: 2,
            first_usable: 34,
            header_size: 92,
            partitions: partitions.to_vec(),
        }
    }

    /// The same with 4096-byte sectors.
    pub fn of_mib_4k(mib: u64, partitions: &[(u64, u64, u64)]) -> Self {
        Self { sector: SectorSize::B4096, sectors: mib * 256, first_usable: 6, ..Self::of_mib(mib, partitions) }
    }

    fn array_sectors(&self) -> u64 {
        (self.count * self.entry_size).div_ceil(self.sector.bytes())
    }

    /// The disk with this table.
    pub fn make(&self) -> MemoryDisk {
        let mut disk = MemoryDisk::new(self.sector, self.sectors);
        let (size, last) = (self.sector.bytes(), self.sectors - 1);
        disk.patch(0, &[0x90; 440]);
        disk.patch(446, &protective(last));
        disk.patch(510, &[0x55, 0xAA]);
        let mut entries = vec![0; (self.array_sectors() * size) as usize];
        for &(number, first, end) in &self.partitions {
            let at = ((number - 1) * self.entry_size) as usize;
            let entry = entry(number, first, end);
            entries[at..at + 128].copy_from_slice(&entry);
            // Larger entries hold more than this specification says; whatever it is, it stays.
            entries[at + 128..at + self.entry_size as usize].fill(0xE7);
        }
        let backup_entries = last - self.array_sectors();
        disk.write(self.entries_at * size, &entries);
        disk.write(backup_entries * size, &entries);
        let crc = crc32fast::hash(&entries[..(self.count * self.entry_size) as usize]);
        disk.write(size, &self.header(1, last, self.entries_at, backup_entries - 1, crc));
        disk.write(last * size, &self.header(last, 1, backup_entries, backup_entries - 1, crc));
        disk
    }

    fn header(&self, at: u64, alternate: u64, entries_at: u64, last_usable: u64, entries_crc: u32) -> Vec<u8> {
        let mut header = vec![0; self.sector.bytes() as usize];
        header[..8].copy_from_slice(b"EFI PART");
        header[8..12].copy_from_slice(&0x0001_0000u32.to_le_bytes());
        header[12..16].copy_from_slice(&self.header_size.to_le_bytes());
        header[20..24].copy_from_slice(&[0xD1, 0xD2, 0xD3, 0xD4]);
        for (offset, number) in
            [(24, at), (32, alternate), (40, self.first_usable), (48, last_usable), (72, entries_at)]
        {
            header[offset..offset + 8].copy_from_slice(&number.to_le_bytes());
        }
        header[56..72].copy_from_slice(&Guid::parse(DISK).unwrap().0);
        header[80..84].copy_from_slice(&(self.count as u32).to_le_bytes());
        header[84..88].copy_from_slice(&(self.entry_size as u32).to_le_bytes());
        header[88..92].copy_from_slice(&entries_crc.to_le_bytes());
        header[92..].fill(0xA5);
        seal(&mut header);
        header
    }
}

/// Puts the right checksum into a header.
pub fn seal(header: &mut [u8]) {
    let size = u32::from_le_bytes(header[12..16].try_into().unwrap()) as usize;
    header[16..20].fill(0);
    let crc = crc32fast::hash(&header[..size]);
    header[16..20].copy_from_slice(&crc.to_le_bytes());
}

/// Changes bytes of the array of `disk` and makes every checksum of both replicas right again, so that the table says
/// something wrong and nothing is damaged. Arrays at the usual places only.
pub fn falsify(disk: &mut MemoryDisk, at_in_array: u64, bytes: &[u8]) {
    let (size, last) = (disk.geometry().sector.bytes(), disk.geometry().sectors - 1);
    for header_at in [1, last] {
        let mut header = disk.sector(header_at);
        let entries_at = u64::from_le_bytes(header[72..80].try_into().unwrap());
        disk.patch(entries_at * size + at_in_array, bytes);
        let array: Vec<u8> = (entries_at..).take(16384 / size as usize).flat_map(|at| disk.sector(at)).collect();
        header[88..92].copy_from_slice(&crc32fast::hash(&array).to_le_bytes());
        seal(&mut header);
        disk.write(header_at * size, &header);
    }
}

/// An entry in which every field has a value that would be missed: GUIDs, the attribute bits 2, 48, 56 and 63, a name.
fn entry(number: u64, first: u64, last: u64) -> [u8; 128] {
    let mut entry = [0; 128];
    entry[..16].copy_from_slice(&Guid::parse("0fc63daf-8483-4772-8e79-3d69d8477de4").unwrap().0);
    entry[16..32].copy_from_slice(&Guid::parse(&unique(number)).unwrap().0);
    entry[32..40].copy_from_slice(&first.to_le_bytes());
    entry[40..48].copy_from_slice(&last.to_le_bytes());
    entry[48..56].copy_from_slice(&(1u64 << 2 | 1 << 48 | 1 << 56 | 1 << 63).to_le_bytes());
    for (index, unit) in format!("Größe {number}").encode_utf16().enumerate() {
        entry[56 + 2 * index..58 + 2 * index].copy_from_slice(&unit.to_le_bytes());
    }
    entry
}

/// The unique GUID of partition `number`.
pub fn unique(number: u64) -> String {
    format!("abcdef00-1111-4222-8333-{number:012x}")
}

fn protective(last: u64) -> [u8; 16] {
    let sectors = u32::try_from(last).unwrap_or(u32::MAX);
    let mut entry = boot_entry(0, 0xEE, 1, sectors);
    entry[1..4].copy_from_slice(&[0, 2, 0]);
    entry
}

/// One entry of a boot record, with a CHS end that must be noticed if it changes.
pub fn boot_entry(status: u8, kind: u8, start: u32, sectors: u32) -> [u8; 16] {
    let mut entry = [0; 16];
    entry[0] = status;
    entry[1..8].copy_from_slice(&[1, 2, 3, kind, 5, 6, 7]);
    entry[8..12].copy_from_slice(&start.to_le_bytes());
    entry[12..16].copy_from_slice(&sectors.to_le_bytes());
    entry
}

/// What a test says of an entry of a boot record: type, start, sectors.
pub type RecordEntry = (u8, u32, u32);

/// Writes a boot record with these entries into the sector `at`; type 0 leaves one empty.
pub fn boot_record(disk: &mut MemoryDisk, at: u64, entries: &[RecordEntry]) {
    let base = at * disk.geometry().sector.bytes();
    for (index, &(kind, start, sectors)) in entries.iter().enumerate() {
        let entry = if kind == 0 { [0; 16] } else { boot_entry(0, kind, start, sectors) };
        disk.patch(base + 446 + 16 * index as u64, &entry);
    }
    disk.patch(base + 510, &[0x55, 0xAA]);
}

/// A disk of `mib` MiB with an MBR: boot code, the signature 0xDEADBEEF, and these primary entries.
pub fn mbr(mib: u64, entries: &[RecordEntry]) -> MemoryDisk {
    let mut disk = MemoryDisk::new(SectorSize::B512, mib * MIB);
    disk.patch(0, &[0x90; 440]);
    disk.patch(440, &0xDEAD_BEEFu32.to_le_bytes());
    boot_record(&mut disk, 0, entries);
    disk
}

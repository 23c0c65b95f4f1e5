//! What is on a disk: its partition table, and what each partition holds. Only looks.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::bytes::{ReadAt, Window};
use crate::container::{START, sector_size};
use crate::filesystem::{self, Superblock};
use crate::table::{self, Geometry, PartitionType, Table};
use crate::units::{ByteCount, Guid, SectorSize};

/// What is on a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The sectors that its GPT was made for; `None` where there is none.
    pub sector: Option<SectorSize>,
    /// `gpt` or `dos`; `None` where there is no table.
    pub table: Option<&'static str>,
    /// Its partitions, in the order of their numbers.
    pub partitions: Vec<Part>,
    /// What the whole disk holds, where there is no table.
    pub holds: Option<Superblock>,
    /// Why something could not be told: sentences for people.
    pub notes: Vec<String>,
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The kernel's number.
    pub number: u32,
    /// Where its first byte is.
    pub start: ByteCount,
    /// Its bytes.
    pub size: ByteCount,
    /// What the table says that it is for: a GUID, or the byte of an MBR as `0x83`.
    pub kind: String,
    /// The same in words, for the kinds that systems of today boot from.
    pub title: Option<&'static str>,
    /// The name of a GPT entry.
    pub name: Option<String>,
    /// What it holds, as far as that could be read and is known.
    pub holds: Option<Superblock>,
}

/// What `disk` has on it, of which only the first bytes may be there. Its size, where it is known, tells what lies at its
/// end.
#[must_use]
pub fn look(disk: &dyn ReadAt, size: Option<ByteCount>) -> Layout {
    let mut layout = Layout::default();
    // Without an end, no replica and no filesystem is looked for there.
    let end = size.unwrap_or(ByteCount(u64::MAX));
    let mut start = vec![0; usize::try_from(end.0).map_or(START, |end| end.min(START))];
    if disk.read_at(ByteCount(0), &mut start).is_ok() {
        layout.sector = sector_size(&start);
    }
    let sector = layout.sector.unwrap_or(SectorSize::B512);
    match table::read(disk, Geometry { sector, sectors: sector.sectors_in(end) }) {
        Ok(Some(table)) => {
            layout.table = Some(table.kind());
            layout.partitions = parts(disk, &table, sector);
            if table.repair_needed() {
                layout.notes.push(String::from("its primary GPT is damaged, and the backup is shown"));
            }
        }
        Ok(None) => layout.holds = filesystem::detect(disk, end).unwrap_or_default(),
        Err(error) => layout.notes.push(format!("{}", error.to("the disk"))),
    }
    layout
}

fn parts(disk: &dyn ReadAt, table: &Table, sector: SectorSize) -> Vec<Part> {
    let part = |partition: &table::Partition| {
        let start = sector.offset_of(partition.first);
        let sectors = partition.last.0.saturating_sub(partition.first.0).saturating_add(1);
        let size = ByteCount(sectors.saturating_mul(sector.bytes()));
        let (kind, title) = match partition.kind {
            PartitionType::Gpt(guid) => (format!("{guid}"), title_of(guid)),
            PartitionType::Mbr(byte) => (format!("{byte:#04x}"), title_of_byte(byte)),
        };
        let window = Window { whole: disk, start: start.0, size: size.0 };
        // What is damaged, or behind what could be read, is not known.
        let holds = filesystem::detect(&window, size).unwrap_or_default();
        Part { number: partition.number, start, size, kind, title, name: partition.name.clone(), holds }
    };
    table.partitions().iter().map(part).collect()
}

/// The GUIDs of the partitions that images have (UEFI 2.10, table 5.7; the Discoverable Partitions Specification), as
/// they are stored: the first three fields little-endian.
fn title_of(guid: Guid) -> Option<&'static str> {
    const TITLES: &[(&str, &str)] = &[
        ("c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "EFI system"),
        ("21686148-6449-6e6f-744e-656564454649", "BIOS boot"),
        ("0fc63daf-8483-4772-8e79-3d69d8477de4", "Linux"),
        ("4f68bce3-e8cd-4db1-96e7-fbcaf984b709", "Linux root (x86-64)"),
        ("b921b045-1df0-41c3-af44-4c6f280d3fae", "Linux root (arm64)"),
        ("bc13c2ff-59e6-4262-a352-b275fd6f7172", "Linux /boot"),
        ("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f", "Linux swap"),
        ("8484680c-9521-48c6-9c11-b0720656f69e", "Linux /usr (x86-64)"),
        ("b0e01050-ee5f-4390-949a-9101b17104e9", "Linux /usr (arm64)"),
        ("933ac7e1-2eb4-4f13-b844-0e14e2aef915", "Linux /home"),
        ("e6d6d379-f507-44c2-a23c-238f2a3df928", "Linux LVM"),
        ("a19d880f-05fc-4d3b-a006-743f0f84911e", "Linux RAID"),
        ("ca7d7ccb-63ed-4c53-861c-1742536059cc", "Linux LUKS"),
        ("9e1a2d38-c612-4316-aa26-8b49521e5a8b", "PowerPC PReP boot"),
        ("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7", "Microsoft data"),
        ("e3c9e316-0b5c-4db8-817d-f92df00215ae", "Microsoft reserved"),
        ("de94bba4-06d1-4d40-a16a-bfd50179d6ac", "Windows recovery"),
        ("516e7cb4-6ecf-11d6-8ff8-00022d09712b", "FreeBSD"),
    ];
    let text = format!("{guid}");
    TITLES.iter().find(|(known, _)| *known == text).map(|(_, title)| *title)
}

/// The types of an MBR that images have; the numbers are custom, not a specification.
const fn title_of_byte(byte: u8) -> Option<&'static str> {
    Some(match byte {
        0x05 | 0x0f | 0x85 => "extended",
        0x07 => "NTFS or exFAT",
        0x0b | 0x0c => "FAT32",
        0x0e => "FAT16",
        0x82 => "Linux swap",
        0x83 => "Linux",
        0x8e => "Linux LVM",
        0xa5 => "FreeBSD",
        0xef => "EFI system",
        0xfd => "Linux RAID",
        _ => return None,
    })
}

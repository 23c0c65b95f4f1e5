//! What is where on the disk: its table, its partitions, and which of them holds the system.

use super::files::Files;
use super::{Cloud, Findings};
use crate::bytes::{ReadAt, Window};
use crate::container;
use crate::error::{Error, Result};
use crate::filesystem::{self, Kind, Policy, Superblock};
use crate::image::extent;
use crate::table::{self, Copies, Geometry, PartitionType, Table};
use crate::units::{ByteCount, Guid, MIB, SectorSize};
use crate::volume::{self, File};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Partitions that are looked into. GPT has room for 128; images have up to 15 (ChromeOS has 12).
const PARTS_LIMIT: usize = 32;

/// `C12A7328-F81F-11D2-BA4B-00A0C93EC93B`, as stored: the EFI system partition.
const ESP: Guid = Guid([0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b]);
/// `21686148-6449-6E6F-744E-656564454649`, as stored: GRUB's second half on a disk with a GPT.
const BIOS_BOOT: Guid = Guid(*b"Hah!IdontNeedEFI");
/// An EFI system partition in an MBR.
const ESP_MBR: u8 = 0xef;

/// A partition, or the whole of a disk without any.
pub(super) struct Part<'a> {
    /// `partition 2`, `the disk`.
    pub(super) name: String,
    /// Where it begins, and its bytes.
    pub(super) start: u64,
    pub(super) size: u64,
    pub(super) is_esp: bool,
    pub(super) is_bios_boot: bool,
    /// What `PARTUUID=` and `PARTLABEL=` compare with.
    pub(super) uuid: String,
    pub(super) label: Option<String>,
    pub(super) superblock: Option<Superblock>,
    /// Its files, where wisp reads such a volume.
    pub(super) files: Option<Files<'a>>,
}

/// The disk of an image.
pub(super) struct Disk<'a> {
    pub(super) parts: Vec<Part<'a>>,
    pub(super) has_gpt: bool,
    /// The beginning, without the table: 440 bytes that a BIOS would run.
    pub(super) has_boot_code: bool,
    /// Which part holds the system, or most likely does.
    root: Option<usize>,
}

impl<'a> Disk<'a> {
    /// Reads the table, and opens what it names.
    pub(super) fn open(disk: &'a dyn ReadAt, size: ByteCount, findings: &mut Findings) -> Result<Self> {
        let mut start = [0; container::START];
        if size.0 < start.len() as u64 {
            return Err(Error::corrupt("look into the image", "it is too small for a disk"));
        }
        disk.read_at(ByteCount(0), &mut start)?;
        let sector = container::sector_size(&start).unwrap_or(SectorSize::B512);
        let geometry = Geometry { sector, sectors: sector.sectors_in(size) };
        let table = match table::read(disk, geometry) {
            Ok(table) => table,
            Err(error) => {
                findings.fault("table", format!("the partition table cannot be read: {error}"));
                None
            }
        };
        let mut parts = Vec::new();
        for partition in table.as_ref().map(Table::partitions).unwrap_or_default().iter().take(PARTS_LIMIT) {
            let mut part =
                Part::open(disk, sector.offset_of(partition.first).0, partition.span().bytes(sector).0, size);
            part.name = format!("partition {}", partition.number);
            (part.uuid, part.label) = (partition.uuid.clone(), partition.name.clone());
            part.is_esp = matches!(partition.kind, PartitionType::Gpt(ESP) | PartitionType::Mbr(ESP_MBR));
            part.is_bios_boot = partition.kind == PartitionType::Gpt(BIOS_BOOT);
            parts.push(part);
        }
        if table.is_none() {
            parts.push(Part::open(disk, 0, size.0, size));
        }
        match extent::find_cut(disk, size) {
            Some(why) => findings.fault("table", format!("the image was cut off: {why}")),
            None => judge_table(disk, geometry, table.as_ref(), &parts, findings),
        }
        let root = find_root(&parts);
        // A BIOS runs only a sector with this mark.
        let has_boot_code = start.get(510..512) == Some(&[0x55, 0xaa])
            && start.iter().take(440).any(|byte| *byte != 0)
            && !starts_with_superblock(table.as_ref(), &parts);
        Ok(Self { parts, has_gpt: matches!(table, Some(Table::Gpt(_))), has_boot_code, root })
    }

    /// The part that holds the system.
    pub(super) fn root(&self) -> Option<&Part<'a>> {
        self.root.and_then(|root| self.parts.get(root))
    }

    /// The files of the system, where they are read.
    pub(super) fn root_files(&self) -> Option<&Files<'a>> {
        self.root().and_then(|root| root.files.as_ref())
    }

    /// Every volume whose files are read, the system's first.
    pub(super) fn volumes(&self) -> impl Iterator<Item = (&Part<'a>, &Files<'a>)> {
        let others = self.parts.iter().enumerate().filter(|(index, _)| Some(*index) != self.root).map(|(_, part)| part);
        self.root().into_iter().chain(others).filter_map(|part| Some((part, part.files.as_ref()?)))
    }

    /// The file that a boot loader calls `path`, on whichever volume, and below its `/boot` if it is not at its top.
    pub(super) fn boot_file(&self, path: &str) -> Option<File<'_>> {
        let path = path.trim_start_matches('/');
        let below = format!("boot/{path}");
        self.volumes().find_map(|(_, files)| files.file(path).or_else(|| files.file(&below)))
    }

    /// Where the system lies, and whether it can grow.
    pub(super) fn judge_root(&self, findings: &mut Findings) {
        let Some(root) = self.root() else {
            return findings.fault("root", "no filesystem with a system on it was found");
        };
        let Part { name, superblock, .. } = root;
        let kind = superblock.as_ref().map_or("unknown", |found| found.kind.name());
        if root.files.is_none() {
            findings.doubt(
                "root",
                format!(
                    "what is on {name}, {kind}, is not read: mount it, and look there for the drivers, the first boot \
                     agent, host keys and machine-id"
                ),
            );
        }
        let grows = superblock.as_ref().is_some_and(|found| !matches!(found.kind.policy(), Policy::Refuse(_)));
        let behind = self.parts.iter().find(|part| part.start > root.start && part.size > 0);
        match behind {
            Some(behind) => {
                let why = format!("{} lies behind {name}, the root, which therefore cannot grow", behind.name);
                findings.doubt("root", format!("{why}: put the root last"));
            }
            None if grows => findings.good("root", format!("{kind} on {name}, with nothing behind it: it can grow")),
            None => findings.good("root", format!("{kind} on {name}")),
        }
        if root.start.checked_rem(MIB) != Some(0) {
            findings.doubt(
                "root",
                format!("{name} does not begin at a multiple of 1 MiB: writes will be slower than need be"),
            );
        }
        let blocks = superblock.as_ref().and_then(|found| found.extent).map_or(4096, |extent| extent.block_size);
        if blocks < 4096 {
            let advice = "make it anew, `mkfs.ext4 -b 4096`";
            findings.doubt(
                "root",
                format!("{name} has blocks of {blocks} bytes, which limits how far and how fast it grows: {advice}"),
            );
        }
    }

    /// Azure forbids swap on the disk of the system.
    pub(super) fn judge_swap(&self, cloud: Cloud, findings: &mut Findings) {
        let is_swap = |part: &&Part<'_>| part.superblock.as_ref().is_some_and(|found| found.kind == Kind::Swap);
        if cloud != Cloud::Azure {
            return;
        }
        if let Some(part) = self.parts.iter().find(is_swap) {
            findings
                .fault("state", format!("{} is swap, which Azure forbids on the system's disk: remove it", part.name));
        }
        let fstab = self.root_files().and_then(|files| files.text("etc/fstab")).unwrap_or_default();
        let is_swap =
            |line: &str| line.split_ascii_whitespace().nth(2) == Some("swap") && !line.trim().starts_with('#');
        if let Some(line) = fstab.lines().find(|line| is_swap(line)) {
            let device = line.split_ascii_whitespace().next().unwrap_or_default();
            findings.fault(
                "state",
                format!("/etc/fstab has {device} as swap, which Azure forbids on the system's disk: remove it"),
            );
        }
    }
}

impl<'a> Part<'a> {
    fn open(disk: &'a dyn ReadAt, start: u64, length: u64, disk_size: ByteCount) -> Self {
        let size = length.min(disk_size.0.saturating_sub(start));
        let window = || Window { whole: disk, start, size };
        let superblock = filesystem::detect(&window(), ByteCount(size)).ok().flatten();
        let volume = volume::open_with_ext(Box::new(window()), ByteCount(size)).ok().flatten();
        Part {
            name: "the whole disk".into(),
            start,
            size,
            is_esp: false,
            is_bios_boot: false,
            uuid: String::new(),
            label: None,
            superblock,
            files: volume.map(Files::new),
        }
    }
}

/// Whether the first sector of a disk without a table is a superblock; ext, btrfs, f2fs, LVM and ISO 9660 leave that sector
/// to a boot loader. What `mkfs.fat` and `mkfs.ntfs` put there only prints that it does not boot.
fn starts_with_superblock(table: Option<&Table>, parts: &[Part<'_>]) -> bool {
    let kind = parts.first().and_then(|part| part.superblock.as_ref()).map(|found| found.kind);
    let first = [Kind::Xfs, Kind::Luks, Kind::Squashfs, Kind::Vfat, Kind::Exfat, Kind::Ntfs];
    table.is_none() && kind.is_some_and(|kind| first.contains(&kind))
}

/// The first part that has what every system has; else the largest that could hold one.
fn find_root(parts: &[Part<'_>]) -> Option<usize> {
    let has_system = |part: &Part<'_>| {
        let names = part.files.as_ref().map(|files| files.names("")).unwrap_or_default();
        ["etc", "usr"].iter().all(|wanted| names.iter().any(|name| name == wanted))
    };
    let could = |part: &Part<'_>| {
        let kind = part.superblock.as_ref().map(|found| found.kind);
        part.files.is_none()
            && kind.is_some_and(|kind| !matches!(kind, Kind::Swap | Kind::Hibernation | Kind::ExtJournal))
    };
    parts.iter().position(has_system).or_else(|| {
        let candidates = parts.iter().enumerate().filter(|(_, part)| could(part));
        candidates.max_by_key(|(_, part)| part.size).map(|(index, _)| index)
    })
}

fn judge_table(
    disk: &dyn ReadAt,
    geometry: Geometry,
    table: Option<&Table>,
    parts: &[Part<'_>],
    findings: &mut Findings,
) {
    if geometry.sector != SectorSize::B512 {
        let text =
            "the GPT was made for sectors of 4 KiB, which the disks of clouds do not have: make it for 512 bytes";
        findings.fault("table", text);
    }
    match table {
        Some(Table::Gpt(gpt)) => match gpt.copies() {
            Copies::Both if is_backup_last(disk, geometry) => {
                findings.good("table", "a GPT, with its backup at the end of the disk");
            }
            Copies::Both | Copies::BackupDamaged => findings.doubt(
                "table",
                "the backup of the GPT is damaged or not at the end of the disk: growing puts that right, in the first \
                 boot or with --size",
            ),
            Copies::Interrupted | Copies::PrimaryDamaged => findings.fault(
                "table",
                "the primary GPT is damaged, so that the kernel sees no partition: `sgdisk --load-backup` or \
                 `gdisk` restores it from its backup",
            ),
        },
        Some(Table::Mbr(_)) => findings.good("table", "an MBR"),
        None => {
            let found = parts.first().and_then(|part| part.superblock.as_ref());
            match found {
                Some(found) => findings.good("table", format!("none: {} on the whole disk", found.kind.name())),
                None => findings.fault("table", "neither a partition table nor a filesystem that wisp knows was found"),
            }
        }
    }
}

/// Whether the header in sector 1, which was read and found to be sound, says that its backup is in the last sector.
fn is_backup_last(disk: &dyn ReadAt, geometry: Geometry) -> bool {
    let mut alternate = [0; 8];
    let at = geometry.sector.bytes().saturating_add(32);
    let read = disk.read_at(ByteCount(at), &mut alternate);
    read.is_ok() && u64::from_le_bytes(alternate) == geometry.sectors.saturating_sub(1)
}

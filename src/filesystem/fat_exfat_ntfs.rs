//! Filesystems whose superblock is the boot sector: FAT ("FAT: General Overview of On-Disk Format" 1.03), exFAT
//! (Microsoft's specification 1.00, section 3.1), NTFS.
//!
//! FAT has no magic: `55 AA` ends every boot sector, that of a partitioned disk and that of an ext4 disk which
//! extlinux boots from included. Only a parameter block without a contradiction makes it FAT.

use alloc::format;
use alloc::string::String;

use super::registry::Found;
use super::{Kind, Superblock, uuid_label};
use crate::bytes::ByteReader;
use crate::error::{Error, Result};

/// The sector sizes that FAT, exFAT and NTFS allow, as exponents of two.
const SECTOR_LOGS: core::ops::RangeInclusive<u8> = 9..=12;
/// Set in the byte before the serial number: serial number (0x28), or that and the label (0x29), follow.
const HAS_SERIAL: u8 = 0x28;
const HAS_LABEL: u8 = 0x29;

/// Reads the parameter block, from its first byte. The label is the one of the boot sector, which mkfs writes; the
/// one in the root directory, which Windows changes, is not looked for.
pub(super) fn parse_vfat(found: &Found<'_>) -> Result<Option<Superblock>> {
    let fields = ByteReader::new(found.bytes, "read the FAT boot sector of");
    let bytes_per_sector = fields.u16_le(11)?;
    let sectors_per_cluster = fields.u8(13)?;
    let reserved_sectors = fields.u16_le(14)?;
    let fats = fields.u8(16)?;
    let media = fields.u8(21)?;
    let sectors = if fields.u16_le(19)? != 0 { u32::from(fields.u16_le(19)?) } else { fields.u32_le(32)? };
    let fat_16_sectors = fields.u16_le(22)?;
    let fat_32_sectors = fields.u32_le(36)?;
    let sound = bytes_per_sector.is_power_of_two()
        && (512..=4096).contains(&bytes_per_sector)
        && sectors_per_cluster.is_power_of_two()
        && reserved_sectors != 0
        && fats != 0
        && (media == 0xf0 || media >= 0xf8)
        && sectors != 0
        && (fat_16_sectors != 0 || fat_32_sectors != 0);
    if !sound {
        return Ok(None);
    }
    // The extended parameters follow the ones of FAT32 when there are any.
    let (signature_at, serial_at, label_at) = if fat_16_sectors == 0 { (66, 67, 71) } else { (38, 39, 43) };
    let signature = fields.u8(signature_at)?;
    let serial = fields.u32_le(serial_at)?;
    let label = fields.slice(label_at, 11)?;
    Ok(Some(Superblock {
        uuid: if signature & 0xfe == HAS_SERIAL { uuid_label::serial(serial) } else { None },
        label: if signature == HAS_LABEL { fat_label(label) } else { None },
        ..Superblock::bare(Kind::Vfat)
    }))
}

/// "NO NAME" is how mkfs says that there is none.
fn fat_label(bytes: &[u8]) -> Option<String> {
    if bytes == b"NO NAME    " { None } else { uuid_label::text(bytes) }
}

/// Reads the boot sector, from its first byte. The label lies in the root directory, which is not looked for.
pub(super) fn parse_exfat(found: &Found<'_>) -> Result<Option<Superblock>> {
    const DOING: &str = "read the exFAT boot sector of";
    let fields = ByteReader::new(found.bytes, DOING);
    let volume_serial_number = fields.u32_le(100)?;
    if !SECTOR_LOGS.contains(&fields.u8(108)?) {
        return Err(Error::corrupt(DOING, "the sector size cannot be"));
    }
    Ok(Some(Superblock { uuid: uuid_label::serial(volume_serial_number), ..Superblock::bare(Kind::Exfat) }))
}

/// Reads the boot sector, from its first byte. The label lies in the file `$Volume`, which is not looked for.
pub(super) fn parse_ntfs(found: &Found<'_>) -> Result<Option<Superblock>> {
    const DOING: &str = "read the NTFS boot sector of";
    let fields = ByteReader::new(found.bytes, DOING);
    let bytes_per_sector = fields.u16_le(11)?;
    if !bytes_per_sector.is_power_of_two() || !(256..=4096).contains(&bytes_per_sector) {
        return Err(Error::corrupt(DOING, "the sector size cannot be"));
    }
    let serial = fields.u64_le(72)?;
    let uuid = (serial != 0).then(|| format!("{serial:016X}"));
    Ok(Some(Superblock { uuid, ..Superblock::bare(Kind::Ntfs) }))
}

//! Unified kernel images: the sections of a PE file (PE/COFF specification; the UAPI Group's "Unified Kernel Image").

use crate::bytes::{ByteReader, ReadAt};
use crate::error::Result;
use crate::units::ByteCount;
use alloc::vec;
use alloc::vec::Vec;

const DOING: &str = "read the unified kernel image";
/// Where the MS-DOS header says where the PE header is.
const E_LFANEW: u64 = 0x3c;
/// Signature and COFF header.
const HEADER: usize = 24;
/// Bytes of a section header.
const SECTION: usize = 40;
/// The kernel's own has 5, a unified image some 15.
const SECTIONS_LIMIT: u16 = 96;

/// A section: where in the file, and how many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Section {
    name: [u8; 8],
    pub(super) at: u64,
    pub(super) length: u64,
}

/// The sections of `file`; none when it is no PE file.
pub(super) fn sections(file: &dyn ReadAt) -> Result<Vec<Section>> {
    let mut start = [0; 64];
    file.read_at(ByteCount(0), &mut start)?;
    if !start.starts_with(b"MZ") {
        return Ok(Vec::new());
    }
    let e_lfanew = u64::from(ByteReader::new(&start, DOING).u32_le(E_LFANEW as usize)?);
    let mut header = [0; HEADER];
    file.read_at(ByteCount(e_lfanew), &mut header)?;
    let fields = ByteReader::new(&header, DOING);
    let (number_of_sections, size_of_optional_header) = (fields.u16_le(6)?, fields.u16_le(20)?);
    if !header.starts_with(b"PE\0\0") || number_of_sections > SECTIONS_LIMIT {
        return Ok(Vec::new());
    }
    let mut table = vec![0; usize::from(number_of_sections).saturating_mul(SECTION)];
    let at = e_lfanew.saturating_add(HEADER as u64).saturating_add(u64::from(size_of_optional_header));
    file.read_at(ByteCount(at), &mut table)?;
    table.chunks_exact(SECTION).map(parse).collect()
}

fn parse(header: &[u8]) -> Result<Section> {
    let fields = ByteReader::new(header, DOING);
    let (virtual_size, size_of_raw_data) = (fields.u32_le(8)?, fields.u32_le(16)?);
    let pointer_to_raw_data = u64::from(fields.u32_le(20)?);
    // What is in the file is rounded up, except that some tools leave the other size at 0.
    let length = if virtual_size == 0 { size_of_raw_data } else { virtual_size.min(size_of_raw_data) };
    Ok(Section { name: fields.array(0)?, at: pointer_to_raw_data, length: u64::from(length) })
}

/// The section called `name`.
pub(super) fn find(sections: &[Section], name: &str) -> Option<Section> {
    sections.iter().copied().find(|section| section.name.split(|byte| *byte == 0).next() == Some(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of two sections.
    pub(super) fn file() -> Vec<u8> {
        let mut file = vec![0; 64];
        file[..2].copy_from_slice(b"MZ");
        file[0x3c] = 64;
        file.extend(b"PE\0\0\x64\x86\x02\0");
        file.resize(64 + 20, 0);
        file.extend([16, 0, 0, 0]);
        file.resize(64 + 24 + 16, 0);
        for (name, virtual_size, raw_size, at) in [(b".cmdline", 5_u32, 16_u32, 300_u32), (b".initrd\0", 0, 4, 316)] {
            file.extend(name);
            for number in [virtual_size, 0, raw_size, at] {
                file.extend(number.to_le_bytes());
            }
            file.resize(file.len() + 16, 0);
        }
        file
    }

    #[test]
    fn sections_are_found_by_name_in_their_true_length() {
        let file = file();
        let sections = sections(&file.as_slice()).unwrap();
        assert_eq!(find(&sections, ".cmdline").map(|section| (section.at, section.length)), Some((300, 5)));
        assert_eq!(find(&sections, ".initrd").map(|section| (section.at, section.length)), Some((316, 4)));
        assert_eq!(find(&sections, ".linux"), None);
    }

    #[test]
    fn what_is_cut_off_or_no_such_file_has_none() {
        let file = file();
        for end in 0..file.len() {
            assert!(sections(&&file[..end]).is_err(), "{end}");
        }
        assert_eq!(sections(&[b'x'; 64].as_slice()), Ok(Vec::new()));
    }
}

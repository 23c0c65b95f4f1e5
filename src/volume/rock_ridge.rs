//! Rock Ridge (IEEE P1282 1.12, on the fields of SUSP, IEEE P1281 1.12): names as Unix knows them.
//!
//! Only names are taken, and what tells that a record is no plain file. Links are not followed, and directories moved
//! because they lay deeper than eight are not found: nothing that clouds provide has either.

use alloc::vec::Vec;

use super::content::Medium;
use super::corrupt;
use crate::bytes::ByteReader;
use crate::error::Result;

const DOING: &str = "read the Rock Ridge fields on";
/// How often the fields of one record may go on elsewhere: mkisofs needs one for a name of 255 bytes.
const CONTINUATIONS_LIMIT: usize = 4;
/// A continuation lies within a sector.
const MOST_CONTINUED: usize = 2048;
/// What POSIX and the kernel allow.
const NAME_LIMIT: usize = 255;
/// Signature, length and version of a field.
const FIELD_HEAD: usize = 4;

/// Set in the flags of a name: it stands for this directory, or the one above.
const CURRENT_OR_PARENT: u8 = 0x06;
/// The bits of a POSIX mode that tell what a file is, and two of their values.
const FORMAT: u32 = 0o170_000;
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;

/// What the fields of one record say.
#[derive(Default)]
pub(super) struct RockRidge {
    /// The name; empty when they give none.
    pub(super) name: Vec<u8>,
    /// A symbolic link, a device, compressed, or moved elsewhere.
    pub(super) is_special: bool,
}

/// Where more fields lie.
struct Continuation {
    at: u64,
    length: usize,
}

/// Whether the system use area of the first record of the root directory begins with the field `SP`; then how many
/// bytes of every other area belong to someone else.
pub(super) fn begins(area: &[u8]) -> Option<usize> {
    match area {
        [b'S', b'P', 7, 1, 0xbe, 0xef, skipped, ..] => Some(usize::from(*skipped)),
        _ => None,
    }
}

/// Reads the fields of one record, and where they go on.
pub(super) fn read(medium: &Medium<'_>, block: u64, area: &[u8]) -> Result<RockRidge> {
    let mut out = RockRidge::default();
    let mut next = out.add(area, block)?;
    for _ in 0..CONTINUATIONS_LIMIT {
        let Some(Continuation { at, length }) = next else { return Ok(out) };
        if length > MOST_CONTINUED {
            return Err(corrupt(DOING, "they go on over more than a sector"));
        }
        next = out.add(&medium.read(at, length)?, block)?;
    }
    if next.is_none() { Ok(out) } else { Err(corrupt(DOING, "they go on without end")) }
}

impl RockRidge {
    /// Takes the fields of one area.
    fn add(&mut self, area: &[u8], block: u64) -> Result<Option<Continuation>> {
        let mut next = None;
        let mut rest = area;
        // What is too short for a field fills up the record.
        while let [a, b, length, ..] = *rest
            && usize::from(length) >= FIELD_HEAD
        {
            let (field, behind) = rest
                .split_at_checked(usize::from(length))
                .ok_or_else(|| corrupt(DOING, "one is longer than its place"))?;
            let fields = ByteReader::new(field, DOING);
            match &[a, b] {
                b"ST" => break,
                b"NM" if fields.u8(FIELD_HEAD)? & CURRENT_OR_PARENT == 0 => {
                    self.name.extend_from_slice(field.get(5..).unwrap_or_default());
                }
                b"PX" => {
                    let format = fields.u32_le(FIELD_HEAD)? & FORMAT;
                    self.is_special |= !matches!(format, DIRECTORY | REGULAR);
                }
                b"SL" | b"PN" | b"CL" | b"ZF" => self.is_special = true,
                b"CE" => {
                    let location = u64::from(fields.u32_le(FIELD_HEAD)?).saturating_mul(block);
                    let at = location.saturating_add(u64::from(fields.u32_le(12)?));
                    next = Some(Continuation { at, length: usize::try_from(fields.u32_le(20)?).unwrap_or(usize::MAX) });
                }
                _ => {}
            }
            if self.name.len() > NAME_LIMIT {
                return Err(corrupt(DOING, "a name is longer than 255 bytes"));
            }
            rest = behind;
        }
        Ok(next)
    }
}

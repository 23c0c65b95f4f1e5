//! LUKS ("LUKS1 On-Disk Format Specification" 1.2.3, "LUKS2 On-Disk Format Specification" 1.1.1). Big-endian.
//!
//! Only the first header is read. A LUKS2 container whose first header is gone has a second one, which cryptsetup
//! restores it from; until then wisp does not know the container.

use super::registry::Found;
use super::{Details, Kind, Superblock, uuid_label};
use crate::bytes::ByteReader;
use crate::error::{Error, Result};

const DOING: &str = "read the LUKS header of";

/// Reads the header, from its first byte.
pub(super) fn parse(found: &Found<'_>) -> Result<Option<Superblock>> {
    let fields = ByteReader::new(found.bytes, DOING);
    let version = fields.u16_be(6)?;
    let label = match version {
        1 => None,
        2 => uuid_label::text(fields.slice(24, 48)?),
        _ => return Err(Error::corrupt(DOING, "its version is neither 1 nor 2")),
    };
    Ok(Some(Superblock {
        // Text in both versions, at the same place on purpose.
        uuid: uuid_label::text(fields.slice(168, 40)?),
        label,
        details: Details::Luks { version },
        ..Superblock::bare(Kind::Luks)
    }))
}

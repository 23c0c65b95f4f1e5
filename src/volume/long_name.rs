//! Long names of FAT ("Long File Name Implementation" in the same paper): the entries before a short one, last first.
//!
//! They count only when they are all there, in order, and carry the checksum of the short name behind them: a system
//! that knows nothing of them may have deleted or renamed the file.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::text;
use crate::bytes::ByteReader;
use crate::error::Result;

/// UTF-16 units in one entry, and where they lie.
const UNITS: usize = 13;
const PLACES: [usize; UNITS] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
/// A name has at most 255 units.
const MOST_ENTRIES: u8 = 20;
/// Marks the entry with the end of the name, which comes first.
const LAST: u8 = 0x40;

/// A long name of which some entries were seen.
#[derive(Default)]
pub(super) struct LongName {
    units: Vec<u16>,
    /// The number of the entry that was seen last; 1 ends the name.
    number: u8,
    checksum: u8,
}

impl LongName {
    /// Takes the next entry; one that does not follow the last begins again or spoils the name.
    pub(super) fn add(&mut self, entry: ByteReader<'_>) -> Result<()> {
        let order = entry.u8(0)?;
        let checksum = entry.u8(13)?;
        let number = order & !LAST;
        if order & LAST != 0 && (1..=MOST_ENTRIES).contains(&number) {
            self.units = vec![0; UNITS.saturating_mul(usize::from(number))];
        } else if number == 0 || number.checked_add(1) != Some(self.number) || checksum != self.checksum {
            *self = Self::default();
            return Ok(());
        }
        (self.number, self.checksum) = (number, checksum);
        let start = UNITS.saturating_mul(usize::from(number.saturating_sub(1)));
        for (unit, &place) in self.units.iter_mut().skip(start).zip(&PLACES) {
            *unit = entry.u16_le(place)?;
        }
        Ok(())
    }

    /// The name, if it is whole and belongs to the file of this short name.
    pub(super) fn of(self, short: &[u8; 11]) -> Option<String> {
        let checksum = short.iter().fold(0u8, |sum, &byte| sum.rotate_right(1).wrapping_add(byte));
        let is_whole = self.number == 1 && self.checksum == checksum;
        is_whole.then(|| text::utf16(&mut self.units.into_iter())).filter(|name| !name.is_empty())
    }
}

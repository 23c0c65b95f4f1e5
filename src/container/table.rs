//! One window onto a table of an image: the tables of a large disk are larger than the memory wisp allows itself, and are
//! asked in order.

use alloc::vec::Vec;

use super::corrupt;
use crate::bytes::ReadAt;
use crate::error::Result;
use crate::units::ByteCount;

/// Bytes of a table that are held: a whole L2 table of qcow2's usual cluster size, and a request over a network is not
/// for a few bytes.
const WINDOW: u64 = 64 << 10;

/// Where a table lies in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Table {
    at: u64,
    length: u64,
}

impl Table {
    /// The table of `length` bytes at `at`, in a file of `size` bytes.
    pub(super) fn new(at: u64, length: u64, size: u64, doing: &'static str) -> Result<Self> {
        match at.checked_add(length) {
            Some(end) if end <= size => Ok(Self { at, length }),
            _ => Err(corrupt(doing, "one of its tables lies behind the end of the file")),
        }
    }
}

/// The part of a table that was read last.
#[derive(Default)]
pub(super) struct Window {
    at: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// The `N` bytes at `offset` of `table`; `N` divides the window.
    pub(super) fn entry<const N: usize>(
        &mut self,
        source: &dyn ReadAt,
        table: Table,
        offset: u64,
        doing: &'static str,
    ) -> Result<[u8; N]> {
        let outside = || corrupt(doing, "one of its tables ends too early");
        if offset.checked_add(N as u64).is_none_or(|end| end > table.length) {
            return Err(outside());
        }
        let at = table.at.saturating_add(offset);
        if let Some(entry) = self.held(at) {
            return Ok(entry);
        }
        let start = offset & !WINDOW.saturating_sub(1);
        let length = table.length.saturating_sub(start).min(WINDOW);
        // Forgotten first, lest half of it be believed after a failure.
        self.bytes.clear();
        self.at = table.at.saturating_add(start);
        self.bytes.resize(usize::try_from(length).unwrap_or_default(), 0);
        if let Err(error) = source.read_at(ByteCount(self.at), &mut self.bytes) {
            self.bytes.clear();
            return Err(error);
        }
        self.held(at).ok_or_else(outside)
    }

    fn held<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
        let start = usize::try_from(at.checked_sub(self.at)?).ok()?;
        self.bytes.get(start..)?.first_chunk().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    const DOING: &str = "read a test";

    /// Every byte is the number of the 64 KiB that it lies in, and reads are counted.
    struct Counted(Cell<u32>, u64);

    impl ReadAt for Counted {
        fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
            self.0.set(self.0.get() + 1);
            for (at, byte) in (offset.0..).zip(&mut *buffer) {
                *byte = (at / WINDOW) as u8;
            }
            let end = offset.0 + buffer.len() as u64;
            if end <= self.1 { Ok(()) } else { Err(corrupt("read", "the range lies behind the end")) }
        }
    }

    #[test]
    fn a_window_is_read_once_and_ends_with_its_table() {
        let source = Counted(Cell::new(0), 5 * WINDOW);
        let table = Table::new(WINDOW, 2 * WINDOW + 8, 5 * WINDOW, DOING).unwrap();
        let mut window = Window::default();
        for (offset, byte, reads) in
            [(0, 1, 1), (8, 1, 1), (WINDOW - 8, 1, 1), (WINDOW, 2, 2), (2 * WINDOW, 3, 3), (0, 1, 4)]
        {
            assert_eq!(window.entry(&source, table, offset, DOING), Ok([byte; 8]));
            assert_eq!(source.0.get(), reads, "at {offset}");
        }
        assert!(window.entry::<8>(&source, table, 2 * WINDOW + 1, DOING).is_err());
        assert!(window.entry::<8>(&source, table, u64::MAX, DOING).is_err());
        assert_eq!(source.0.get(), 4);
    }

    #[test]
    fn what_could_not_be_read_is_not_held() {
        let source = Counted(Cell::new(0), WINDOW);
        let table = Table { at: 0, length: 2 * WINDOW };
        let mut window = Window::default();
        assert!(window.entry::<4>(&source, table, WINDOW, DOING).is_err());
        assert!(window.entry::<4>(&source, table, WINDOW, DOING).is_err());
        assert_eq!(source.0.get(), 2);
    }

    #[test]
    fn a_table_lies_in_its_file() {
        assert!(Table::new(8, 8, 16, DOING).is_ok());
        assert!(Table::new(9, 8, 16, DOING).is_err());
        assert!(Table::new(u64::MAX, 8, 16, DOING).is_err());
    }
}

//! Positioned block I/O with a conscience: every write to a disk goes through [`write_verified`].

#![forbid(unsafe_code)]

use crate::bytes::ReadAt;
use crate::error::{Error, Result};
use crate::units::ByteCount;
use alloc::vec;
use alloc::vec::Vec;

/// A thing that can be written at any offset. Tests put a disk in memory here that stops after write *k*.
pub trait WriteAt: ReadAt {
    /// Writes the whole of `bytes` at `offset`, or fails with part of it possibly written.
    ///
    /// # Errors
    /// `Os`.
    fn write_at(&self, offset: ByteCount, bytes: &[u8]) -> Result<()>;

    /// Waits until everything written is on the medium.
    ///
    /// # Errors
    /// `Os`.
    fn flush(&self) -> Result<()>;
}

impl WriteAt for crate::sys::block::Device {
    fn write_at(&self, offset: ByteCount, bytes: &[u8]) -> Result<()> {
        Self::write_at(self, offset, bytes)
    }

    fn flush(&self) -> Result<()> {
        Self::flush(self)
    }
}

/// Direct I/O wants buffers aligned to the logical sector, the largest of which is a page on every supported kernel.
const ALIGNMENT: usize = 4096;

/// Bytes in memory that start on a page, as direct I/O needs them.
struct Aligned {
    room: Vec<u8>,
    start: usize,
    length: usize,
}

impl Aligned {
    fn new(length: usize) -> Self {
        let room = vec![0; length.saturating_add(ALIGNMENT)];
        // The distance is only to be trusted below ALIGNMENT; `align_offset` may answer "impossible" with a huge one.
        let start = room.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Self { room, start, length }
    }

    fn bytes(&mut self) -> &mut [u8] {
        self.room.get_mut(self.start..).and_then(|bytes| bytes.get_mut(..self.length)).unwrap_or_default()
    }
}

/// Writes `bytes` at `offset`, flushes, and reads them back. When the device fails or answers with other bytes, what
/// was there before is written back.
///
/// # Errors
/// `Os` from the device; `Corrupt` when it does not hold what was written. Either way the old bytes were put back as
/// far as the device let them.
pub fn write_verified(disk: &dyn WriteAt, offset: ByteCount, bytes: &[u8]) -> Result<()> {
    let mut before = Aligned::new(bytes.len());
    disk.read_at(offset, before.bytes())?;
    let mut after = Aligned::new(bytes.len());
    after.bytes().copy_from_slice(bytes);
    let outcome = write_and_compare(disk, offset, &mut after);
    if outcome.is_err() {
        // The first error is the one to tell; whether the old bytes came back is seen by the next look.
        let _ = disk.write_at(offset, before.bytes()).and_then(|()| disk.flush());
    }
    outcome
}

fn write_and_compare(disk: &dyn WriteAt, offset: ByteCount, wanted: &mut Aligned) -> Result<()> {
    disk.write_at(offset, wanted.bytes())?;
    disk.flush()?;
    let mut found = Aligned::new(wanted.length);
    disk.read_at(offset, found.bytes())?;
    if found.bytes() == wanted.bytes() {
        return Ok(());
    }
    Err(Error::corrupt("verify what was written", "the disk holds other bytes than it was given; they were put back"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::RefCell;

    /// A disk that can lie: it drops the bit `lost` of every byte it is given while `lies` is positive.
    struct Liar {
        bytes: RefCell<Vec<u8>>,
        lies: RefCell<u32>,
    }

    impl ReadAt for Liar {
        fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
            self.bytes.borrow().as_slice().read_at(offset, buffer)
        }
    }

    impl WriteAt for Liar {
        fn write_at(&self, offset: ByteCount, bytes: &[u8]) -> Result<()> {
            assert_eq!(bytes.as_ptr().align_offset(ALIGNMENT), 0, "direct I/O needs aligned buffers");
            let start = usize::try_from(offset.0).unwrap();
            let lie = *self.lies.borrow() > 0;
            for (place, byte) in self.bytes.borrow_mut()[start..].iter_mut().zip(bytes) {
                *place = if lie { byte & 0xfe } else { *byte };
            }
            self.lies.replace_with(|lies| lies.saturating_sub(1));
            Ok(())
        }

        fn flush(&self) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_was_written_is_there() {
        let disk = Liar { bytes: RefCell::new(vec![9; 2048]), lies: RefCell::new(0) };
        write_verified(&disk, ByteCount(512), &[7; 512]).unwrap();
        assert_eq!(disk.bytes.borrow()[512..1024], [7; 512]);
        assert_eq!(disk.bytes.borrow()[1024..], [9; 1024]);
    }

    #[test]
    fn a_disk_that_lies_is_found_out_and_gets_its_old_bytes_back() {
        let disk = Liar { bytes: RefCell::new(vec![9; 2048]), lies: RefCell::new(1) };
        let error = write_verified(&disk, ByteCount(512), &[7; 512]).unwrap_err();
        assert_eq!(error.kind, crate::error::Kind::Corrupt);
        assert_eq!(*disk.bytes.borrow(), vec![9; 2048]);
    }
}

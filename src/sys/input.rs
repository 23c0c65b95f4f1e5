//! What a large file is read from: its kind, and where its holes are.

#![forbid(unsafe_code)]

use rustix::fs::{self, Advice, FileType, SeekFrom};
use rustix::io::Errno;

use super::block::Device;
use super::refused;
use crate::error::Result;
use crate::units::ByteCount;

/// How something can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// At any offset: a regular file of this size, which may have holes.
    File(ByteCount),
    /// At any offset: a block device of this size.
    Device(ByteCount),
    /// From beginning to end, once: a pipe, a socket, a device that is no disk, a file that was read from already.
    Stream,
}

/// Bytes of one kind, and the offset at which they end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// They are stored; or no one says that they are not.
    Data(u64),
    /// They are zeros, and nowhere.
    Hole(u64),
}

/// Bytes that a pipe may hold: what the kernel allows everyone (`/proc/sys/fs/pipe-max-size`), for fewer changes
/// between the two programs.
const PIPE: usize = 1 << 20;

/// How `source`, which is open, can be read.
///
/// # Errors
/// `Os`: it is a directory, or cannot be asked.
pub fn nature(source: &Device) -> Result<Nature> {
    let failed = |errno| refused(errno, "read").to(source.path());
    let kind = FileType::from_raw_mode(fs::fstat(source).map_err(failed)?.st_mode);
    if kind == FileType::Directory {
        return Err(failed(Errno::ISDIR));
    }
    // Anyone who opened standard input may have read from it: what is left is what is meant.
    let is_at_start = fs::seek(source, SeekFrom::Current(0)) == Ok(0);
    match kind {
        FileType::BlockDevice if is_at_start => Ok(Nature::Device(source.size()?)),
        FileType::RegularFile if is_at_start => {
            let size = source.end()?;
            fs::seek(source, SeekFrom::Start(0)).map_err(failed)?;
            // The kernel reads further ahead then. Where it does not, nothing is lost but that.
            let _ = fs::fadvise(source, 0, None, Advice::Sequential);
            Ok(Nature::File(size))
        }
        _ => {
            // A favour, which is not always granted.
            let _ = rustix::pipe::fcntl_setpipe_size(source, PIPE);
            Ok(Nature::Stream)
        }
    }
}

/// What is stored of the regular file `source`, of `size` bytes, at `at`, which is below that, and on. Where the file
/// system knows no holes, all of it is data.
#[must_use]
pub fn extent(source: &Device, at: u64, size: u64) -> Extent {
    match fs::seek(source, SeekFrom::Data(at)) {
        Ok(start) if start > at => Extent::Hole(start.min(size)),
        Ok(_) => match fs::seek(source, SeekFrom::Hole(at)) {
            Ok(end) if end > at => Extent::Data(end.min(size)),
            _ => Extent::Data(size),
        },
        // There is no data from here to the end.
        Err(Errno::NXIO) => Extent::Hole(size),
        Err(_) => Extent::Data(size),
    }
}

//! An image with tables that cannot be read at any offset, because it is compressed or comes from a pipe: its file goes
//! to a temporary file first.
//!
//! The digest is that of the source, and is compared here, before anything is done with the image. The file has no name
//! and cannot be given one, so no other program opens it: the bytes that had the right digest are those that are read.
//!
//! How much a compressed file becomes is known at its end only. One limit is the free space, the other what an honest file
//! for a disk of this size can have: its header comes first.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use core::time::Duration;

use super::sequential::Sequential;
use super::{Body as _, DOING, Piece, other_size};
use crate::codec;
use crate::error::{Error, Kind, Result};
use crate::image::zero_aware_hash::is_zero;
use crate::image::{Environment, Spool, overlap};
use crate::probe::block::Sysfs;
use crate::sys::block::Device;
use crate::sys::clock;
use crate::sys::spool::{Directory, set_length};
use crate::units::ByteCount;

const SPOOL: &str = "put the image into a temporary file in";

/// What helps where there is no space.
const ELSEWHERE: &str = "--spool DIR or TMPDIR names another directory";

const SYSFS: Sysfs<'static> = Sysfs { root: "/sys" };

/// Bytes that are unpacked before they are written: few calls, and little memory.
const ROOM: usize = 1 << 20;

/// From one line about the length of the file to the next: enough for a log.
const PAUSE: Duration = Duration::from_secs(10);

/// Zeros of this length are not written: the block of most filesystems, which keep no smaller holes.
const HOLE: usize = 4 << 10;

/// So much more than twice its disk a file may have: the memory of a machine, saved with a snapshot, and the tables of a
/// small disk. Twice, because a snapshot keeps the clusters that were overwritten since.
const BESIDE: u64 = 1 << 30;

/// The kernel's answers where there is no space left: ENOSPC, EDQUOT, EFBIG (a file larger than the filesystem allows).
const NO_SPACE: [Kind; 3] = [Kind::Os(28), Kind::Os(122), Kind::Os(27)];

/// Puts all that `image` becomes into a temporary file; also its size. `layers` are those of compression, `stated` is how
/// much comes, where the source says so in another place than its beginning, `wanted` the size of the disk.
pub(super) fn spool(
    mut image: Sequential<'_>,
    layers: &[codec::Format],
    stated: Option<ByteCount>,
    wanted: Option<ByteCount>,
    means: Environment<'_>,
) -> Result<(Device, ByteCount)> {
    let format = image.format;
    let Some(spool) = means.spool else { return Err(super::not_seekable(format)) };
    let mut room = vec![0; ROOM];
    let Piece::Bytes(count) = image.next(&mut room)? else { return Err(super::empty()) };
    let disk = format.stated_size(room.get(..count).unwrap_or_default());
    check_disk(disk, wanted, &spool)?;
    let directory = Directory::open(spool.directory)?;
    if let Some((target, _)) = spool.target
        && overlap::holds_directory(SYSFS, target, &directory.real_path()?)
    {
        return Err(Error::refused(SPOOL, format!("it lies on {target}; {ELSEWHERE}")).to(spool.directory));
    }
    let limit = Limit { disk, free: directory.available()?, directory: spool.directory };
    let stated = image.length.or(stated);
    let packed: String = layers.iter().rev().map(|layer| format!(", in {}", layer.name())).collect();
    let length = stated.map_or_else(|| "of a size that is known at its end".into(), |stated| format!("of {stated}"));
    let free = limit.free.map_or_else(String::new, |free| format!(", where {free} are free"));
    let holds = disk.map_or_else(String::new, |disk| format!(", for a disk of {disk}"));
    let line = format!("putting {}{packed}{holds}, into a temporary file {length}", format.name());
    (means.notify)(&format!("{line} in {}{free}", spool.directory));
    if let Some(stated) = stated {
        limit.allow(stated.0, stated.0)?;
    }
    let file = directory.create()?;
    let size = fill(&file, &mut image, &mut room, count, &limit, means.notify)?;
    Ok((file, size))
}

/// What a temporary file may become.
struct Limit<'a> {
    /// The disk in it, where that is known.
    disk: Option<ByteCount>,
    /// The free space, where that is known.
    free: Option<ByteCount>,
    directory: &'a str,
}

impl Limit<'_> {
    /// Refuses a file of `size` bytes, of which `stored` are not in holes.
    fn allow(&self, size: u64, stored: u64) -> Result<()> {
        if let Some(disk) = self.disk.filter(|disk| size > disk.0.saturating_mul(2).saturating_add(BESIDE)) {
            let why = format!("its file has {} or more, too much for a disk of {disk}", ByteCount(size));
            return Err(Error::refused(SPOOL, why).to(self.directory));
        }
        match self.free.filter(|free| stored > free.0) {
            Some(free) => {
                Err(self.no_space(NO_SPACE[0], format!("{} or more are needed and {free} are free", ByteCount(stored))))
            }
            None => Ok(()),
        }
    }

    fn no_space(&self, kind: Kind, why: String) -> Error {
        Error::new(kind, SPOOL, format!("{why}; {ELSEWHERE}")).to(self.directory)
    }

    /// What kept the file from being written behind its first `size` bytes.
    fn explain(&self, error: Error, size: u64) -> Error {
        match NO_SPACE.contains(&error.kind) {
            true => self.no_space(error.kind, format!("after {}", ByteCount(size))),
            false => error,
        }
    }
}

/// Writes the `count` bytes in `room`, and all that comes behind them; how much that is.
fn fill(
    file: &Device,
    image: &mut Sequential<'_>,
    room: &mut [u8],
    count: usize,
    limit: &Limit<'_>,
    notify: &dyn Fn(&str),
) -> Result<ByteCount> {
    let (mut at, mut stored, mut count) = (0_u64, 0_u64, count);
    let mut said = clock::now();
    loop {
        let now = room.get(..count).unwrap_or_default();
        stored = stored.saturating_add(write(file, at, now).map_err(|error| limit.explain(error, at))?);
        at = at.saturating_add(count as u64);
        limit.allow(at, stored)?;
        if clock::now().saturating_sub(said) >= PAUSE {
            said = clock::now();
            notify(&format!("the temporary file has {}", ByteCount(at)));
        }
        count = match image.next(room)? {
            Piece::Bytes(count) => count,
            // Nothing that comes from beginning to end has any.
            Piece::Zeros(_) => return Err(Error::corrupt(DOING, "it has zeros in place of bytes")),
            Piece::End => break,
        };
    }
    set_length(file, ByteCount(at)).map_err(|error| limit.explain(error, at))?;
    Ok(ByteCount(at))
}

/// Writes what is not zeros, in as few calls as there are holes; how much that is.
fn write(file: &Device, at: u64, bytes: &[u8]) -> Result<u64> {
    let (mut at, mut rest, mut stored) = (at, bytes, 0_u64);
    while let Some(first) = rest.chunks(HOLE).next() {
        let is_hole = is_zero(first);
        let blocks = rest.chunks(HOLE).take_while(|block| is_zero(block) == is_hole);
        let length = blocks.fold(0_usize, |sum, block| sum.saturating_add(block.len()));
        let (run, later) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        if !is_hole {
            file.write_at(ByteCount(at), run)?;
            stored = stored.saturating_add(run.len() as u64);
        }
        at = at.saturating_add(run.len() as u64);
        rest = later;
    }
    Ok(stored)
}

/// Refuses a disk that is not wanted before it is unpacked.
fn check_disk(disk: Option<ByteCount>, wanted: Option<ByteCount>, spool: &Spool<'_>) -> Result<()> {
    let Some(disk) = disk else { return Ok(()) };
    if let Some(wanted) = wanted.filter(|wanted| *wanted != disk) {
        return Err(other_size(disk, wanted));
    }
    match spool.target {
        Some((target, size)) if disk > size => {
            Err(Error::refused(DOING, format!("its disk has {} bytes, and {target} has {}", disk.0, size.0)))
        }
        _ => Ok(()),
    }
}

//! What a name of a source leads to, and how it can be read.

use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;

use super::verified::Verified;
use super::{DOING, Environment};
use crate::bytes::ReadAt;
use crate::codec::{self, Source as _};
use crate::container::{Format, Map, Place, Run, START, locate_in_tar};
use crate::error::{Error, Kind, Result};
use crate::fetch::{Download, RangeReader, Url};
use crate::sys::block::{Access, Device};
use crate::sys::file;
use crate::sys::input::{Extent, Nature, extent, nature};
use crate::text::checksum::Checksum;
use crate::units::ByteCount;

const OPEN: &str = "open the image";

/// ENOENT.
const NOT_THERE: Kind = Kind::Os(2);

/// What can be read at any offset.
pub(super) trait Seekable: ReadAt {
    /// Its bytes.
    fn size(&self) -> u64;

    /// What is stored at `at`, which is below the size, and on.
    fn extent(&self, at: u64) -> Extent {
        let _ = at;
        Extent::Data(self.size())
    }

    /// Whether it costs little to read here and there.
    fn is_near(&self) -> bool {
        false
    }
}

/// What a name leads to.
pub(super) enum Origin<'m> {
    /// A file, a block device, a server that sends parts.
    Seekable(Rc<dyn Seekable + 'm>),
    /// What is read once; and its size where that is known.
    Stream(Option<Box<dyn codec::Source + 'm>>, Option<u64>),
}

/// Opens `name`; also what to call it.
pub(super) fn open<'m>(name: &str, means: Environment<'m>) -> Result<(String, Origin<'m>)> {
    if name.contains("://") {
        return open_url(name, means);
    }
    let (label, device) = match name {
        "-" => ("standard input", Device::standard_input()),
        _ => (name, Device::open(name, Access::Read)),
    };
    let device = device.map_err(|error| match error.kind {
        NOT_THERE => Error::absent(OPEN, "there is nothing of that name").to(name),
        _ => error,
    })?;
    let origin = match nature(&device)? {
        Nature::File(size) => {
            Origin::Seekable(Rc::new(Local { device, size: size.0, has_holes: true, data: Cell::default() }))
        }
        Nature::Device(size) => {
            Origin::Seekable(Rc::new(Local { device, size: size.0, has_holes: false, data: Cell::default() }))
        }
        Nature::Stream => Origin::Stream(Some(Box::new(file::Stream(device))), None),
    };
    Ok((label.into(), origin))
}

/// Opens a URL: what has tables is read by ranges, anything else as it comes, in one request; so is what has tables where
/// there are no ranges and it may become a temporary file.
fn open_url<'m>(name: &str, means: Environment<'m>) -> Result<(String, Origin<'m>)> {
    // What cannot be parsed cannot be told without what is secret in it.
    let url = Url::parse(name).map_err(|error| error.to("of the image"))?;
    let label = format!("{url}");
    let begun = Begun::open(name, means)?;
    let has_tables = codec::Format::sniff(&begun.head).is_none()
        && !matches!(Format::detect(&begun.head).map_err(|error| error.to(&*label))?, Format::Raw | Format::Tar);
    let may_store = means.spool.is_some();
    if !has_tables || may_store && begun.download.size().is_none() {
        return Ok((label, begun.into_origin()));
    }
    let Begun { head, download, .. } = begun;
    let says_so = download.takes_ranges();
    let remote = download.into_remote()?;
    if !says_so {
        // Who finds out later has overwritten a disk by then.
        match remote.read_at(ByteCount(remote.size().saturating_sub(1)), &mut [0]) {
            Err(error) if may_store && error.kind == Kind::Unsupported => {
                return Ok((label, Begun::open(name, means)?.into_origin()));
            }
            other => other?,
        }
    }
    Ok((label, Origin::Seekable(Rc::new(Distant { head, remote }))))
}

/// A download of which the beginning was looked at.
struct Begun<'m> {
    head: Vec<u8>,
    used: usize,
    download: Download<'m>,
}

impl<'m> Begun<'m> {
    fn open(name: &str, means: Environment<'m>) -> Result<Self> {
        let mut download = Download::open(name, means.policy, means.servers, means.notify)?;
        let mut head = vec![0; START];
        let mut length = 0_usize;
        while let Some(rest) = head.get_mut(length..).filter(|rest| !rest.is_empty()) {
            match download.read(rest)? {
                0 => break,
                count => length = length.saturating_add(count),
            }
        }
        head.truncate(length);
        Ok(Self { head, used: 0, download })
    }

    fn into_origin(self) -> Origin<'m> {
        let size = self.download.size();
        Origin::Stream(Some(Box::new(self)), size)
    }
}

impl codec::Source for Begun<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let mut rest = self.head.get(self.used..).unwrap_or_default();
        if rest.is_empty() {
            return self.download.read(into);
        }
        let count = rest.read(into)?;
        self.used = self.used.saturating_add(count);
        Ok(count)
    }
}

/// A file of a server, the beginning of which came with the first reply: reading that on takes no second request.
struct Distant<'m> {
    head: Vec<u8>,
    remote: RangeReader<'m>,
}

impl ReadAt for Distant<'_> {
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
        let held = usize::try_from(offset.0).ok().and_then(|start| self.head.get(start..)).unwrap_or_default();
        let count = held.len().min(buffer.len());
        let (now, later) = buffer.split_at_mut(count);
        now.copy_from_slice(held.get(..count).unwrap_or_default());
        if later.is_empty() {
            return Ok(());
        }
        self.remote.read_at(ByteCount(offset.0.saturating_add(count as u64)), later)
    }
}

impl Seekable for Distant<'_> {
    fn size(&self) -> u64 {
        self.remote.size()
    }
}

/// A file or a device of this machine.
struct Local {
    device: Device,
    size: u64,
    has_holes: bool,
    /// From where to where there is no hole, as the kernel said last: a file system may look at every page to find that
    /// out, and each piece asks.
    data: Cell<(u64, u64)>,
}

impl ReadAt for Local {
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
        self.device.read_at(offset, buffer)
    }
}

impl Seekable for Local {
    fn size(&self) -> u64 {
        self.size
    }

    fn extent(&self, at: u64) -> Extent {
        if !self.has_holes {
            return Extent::Data(self.size);
        }
        let (start, end) = self.data.get();
        if (start..end).contains(&at) {
            return Extent::Data(end);
        }
        let found = extent(&self.device, at, self.size);
        if let Extent::Data(end) = found {
            self.data.set((at, end));
        }
        found
    }

    fn is_near(&self) -> bool {
        true
    }
}

impl<'m> Origin<'m> {
    /// Bytes of the source, where that is known.
    pub(super) fn size(&self) -> Option<u64> {
        match self {
            Self::Seekable(source) => Some(source.size()),
            Self::Stream(_, size) => *size,
        }
    }

    /// Whether the disk can be read at any offset: neither is the source compressed, nor does it come only once.
    pub(super) fn is_mapped(&self) -> Result<bool> {
        let Self::Seekable(source) = self else { return Ok(false) };
        let mut start = vec![0; usize::try_from(source.size()).map_or(START, |size| size.min(START))];
        source.read_at(ByteCount(0), &mut start)?;
        Ok(codec::Format::sniff(&start).is_none() && Format::detect(&start)? != Format::Tar)
    }

    /// Where the image is, if this is a tar, not compressed, whose one file has tables: that can be read at any offset too.
    pub(super) fn find_member(&self) -> Result<Option<Window>> {
        let Self::Seekable(source) = self else { return Ok(None) };
        let mut start = vec![0; usize::try_from(source.size()).map_or(START, |size| size.min(START))];
        source.read_at(ByteCount(0), &mut start)?;
        if codec::Format::sniff(&start).is_some() || Format::detect(&start)? != Format::Tar {
            return Ok(None);
        }
        let Some((at, size)) = locate_in_tar(&**source, ByteCount(source.size()))? else { return Ok(None) };
        start.truncate(usize::try_from(size.0).map_or(START, |size| size.min(START)));
        source.read_at(at, &mut start)?;
        let has_tables =
            codec::Format::sniff(&start).is_none() && !matches!(Format::detect(&start)?, Format::Raw | Format::Tar);
        Ok(has_tables.then_some(Window { at: at.0, size: size.0 }))
    }

    /// Leaves nothing of the source but what is in `window`.
    pub(super) fn narrow(&mut self, window: Window) {
        if let Self::Seekable(source) = core::mem::replace(self, Self::Stream(None, None)) {
            *self = Self::Seekable(Rc::new(Part { source, window }));
        }
    }

    /// The source from beginning to end.
    pub(super) fn stream(&mut self) -> Result<Box<dyn codec::Source + 'm>> {
        match self {
            Self::Seekable(source) => Ok(Box::new(Forward { source: Rc::clone(source), at: 0 })),
            Self::Stream(source, _) => {
                source.take().ok_or_else(|| Error::absent(DOING, "it was read already, and comes only once"))
            }
        }
    }

    /// How much an xz file, which can be read at any offset, says that it unpacks to.
    #[cfg(feature = "full")]
    pub(super) fn stated(&self) -> Option<ByteCount> {
        let Self::Seekable(source) = self else { return None };
        codec::of_xz(&**source, ByteCount(source.size())).map(ByteCount)
    }

    /// Takes `file`, of `size` bytes, for the source.
    #[cfg(feature = "full")]
    pub(super) fn replace(&mut self, file: Device, size: ByteCount) {
        let local = Local { device: file, size: size.0, has_holes: true, data: Cell::default() };
        *self = Self::Seekable(Rc::new(local));
    }

    /// Whether the bytes of the disk are those of the source from the first on, so that reading the one reads the other.
    pub(super) fn is_in_order(&self) -> Result<bool> {
        let Self::Seekable(source) = self else { return Ok(true) };
        let mut map = Map::open(&**source, ByteCount(source.size()))?;
        let whole = Run { length: map.size().0, place: Place::Stored(0) };
        Ok(map.run_at(0)? == Some(whole))
    }

    /// Reads all of a source, which can be read at any offset, and holds every later answer against what was read now.
    pub(super) fn check(&mut self, checksum: Checksum) -> Result<()> {
        if let Self::Seekable(source) = core::mem::replace(self, Self::Stream(None, None)) {
            *self = Self::Seekable(Rc::new(Verified::new(source, checksum)?));
        }
        Ok(())
    }
}

/// A range of a source, which lies inside it.
pub(super) struct Window {
    at: u64,
    size: u64,
}

/// A file in an archive that can be read at any offset.
struct Part<'m> {
    source: Rc<dyn Seekable + 'm>,
    window: Window,
}

impl ReadAt for Part<'_> {
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
        let end = offset.0.checked_add(buffer.len() as u64).filter(|end| *end <= self.window.size);
        if end.is_none() {
            return Err(Error::corrupt(DOING, "the range lies behind the end"));
        }
        self.source.read_at(ByteCount(self.window.at.saturating_add(offset.0)), buffer)
    }
}

impl Seekable for Part<'_> {
    fn size(&self) -> u64 {
        self.window.size
    }

    fn extent(&self, at: u64) -> Extent {
        let within = |end: u64| end.saturating_sub(self.window.at).min(self.window.size);
        match self.source.extent(self.window.at.saturating_add(at)) {
            Extent::Data(end) => Extent::Data(within(end)),
            Extent::Hole(end) => Extent::Hole(within(end)),
        }
    }

    fn is_near(&self) -> bool {
        self.source.is_near()
    }
}

/// What can be read at any offset, from beginning to end.
struct Forward<'m> {
    source: Rc<dyn Seekable + 'm>,
    at: u64,
}

impl codec::Source for Forward<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let left = self.source.size().saturating_sub(self.at);
        let count = usize::try_from(left).map_or(into.len(), |left| left.min(into.len()));
        self.source.read_at(ByteCount(self.at), into.get_mut(..count).unwrap_or_default())?;
        self.at = self.at.saturating_add(count as u64);
        Ok(count)
    }
}

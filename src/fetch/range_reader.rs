//! A file on a web server, read at any offset by ranges: for images that cannot be read from front to back.
//!
//! One reply is kept open and read on while the offsets grow; so an image whose tables stand before its data costs few
//! requests. It must never answer from two versions of the file: [`Download`] sees to that.
#![forbid(unsafe_code)]

use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;
use core::net::IpAddr;

use super::{Download, Policy};
use crate::bytes::ReadAt;
use crate::codec::Source;
use crate::error::{Error, Result};
use crate::units::ByteCount;

/// Bytes that are read together for reads that are smaller: a cluster of most tables.
const WINDOW: usize = 64 << 10;

/// A file on a web server.
pub struct RangeReader<'a> {
    size: u64,
    state: RefCell<State<'a>>,
}

struct State<'a> {
    download: Download<'a>,
    window: Vec<u8>,
    /// Its place in the file.
    start: u64,
}

impl fmt::Debug for RangeReader<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("RangeReader").field("size", &self.size).finish_non_exhaustive()
    }
}

impl<'a> RangeReader<'a> {
    /// Opens `url` as [`Download::open`] does.
    ///
    /// # Errors
    /// As there; `Unsupported` when the server does not say how large it is.
    pub fn open(url: &str, policy: Policy, servers: &'a [IpAddr], notify: &'a dyn Fn(&str)) -> Result<Self> {
        Download::open(url, policy, servers, notify)?.into_remote()
    }

    pub(super) fn new(mut download: Download<'a>) -> Result<Self> {
        let Some(size) = download.size() else {
            let why = "the server does not say how large it is, without which such an image cannot be read in place";
            return Err(download.named(&Error::unsupported("", why)));
        };
        download.seek_parts();
        Ok(Self { size, state: RefCell::new(State { download, window: Vec::new(), start: 0 }) })
    }

    /// Its bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }
}

impl ReadAt for RangeReader<'_> {
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
        let Ok(mut state) = self.state.try_borrow_mut() else {
            return Err(Error::corrupt("read", "it is being read"));
        };
        let end = u64::try_from(buffer.len()).ok().and_then(|length| offset.0.checked_add(length));
        if end.is_none_or(|end| end > self.size) {
            return Err(state.download.named(&Error::corrupt("", "the range lies behind the end")));
        }
        let (mut at, mut rest) = (offset.0, buffer);
        while !rest.is_empty() {
            let held = state.held(at);
            let count = held.len().min(rest.len());
            if count > 0 {
                let (now, _) = rest.split_at_mut(count);
                now.copy_from_slice(held.get(..count).unwrap_or_default());
            } else if rest.len() < WINDOW {
                state.fill_window(at, self.size)?;
                continue;
            } else {
                state.fill(at, rest)?;
                return Ok(());
            }
            at = at.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
            rest = rest.get_mut(count..).unwrap_or_default();
        }
        Ok(())
    }
}

impl State<'_> {
    /// What the window has from `at` on.
    fn held(&self, at: u64) -> &[u8] {
        let skip = at.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok());
        skip.and_then(|skip| self.window.get(skip..)).unwrap_or_default()
    }

    /// Has the window begin at `at`, which is before the end of `size`.
    fn fill_window(&mut self, at: u64, size: u64) -> Result<()> {
        let length = usize::try_from(size.saturating_sub(at)).map_or(WINDOW, |left| left.min(WINDOW));
        let mut window = core::mem::take(&mut self.window);
        window.resize(length, 0);
        self.fill(at, &mut window)?;
        (self.window, self.start) = (window, at);
        Ok(())
    }

    /// Fills all of `buffer` from `at`.
    fn fill(&mut self, at: u64, buffer: &mut [u8]) -> Result<()> {
        self.download.seek(at);
        let mut rest = buffer;
        while !rest.is_empty() {
            let count = self.download.read(rest)?;
            if count == 0 {
                return Err(self.download.named(&Error::corrupt("", "it ended before its end")));
            }
            rest = rest.get_mut(count..).unwrap_or_default();
        }
        Ok(())
    }
}

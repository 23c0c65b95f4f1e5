//! The bzip2 library's stream, whose interface is that of the C library: a structure of pointers.

#![expect(unsafe_code, reason = "the library has no interface but that of the C one")]

use alloc::boxed::Box;
use core::ptr;

use libbz2_rs_sys::{
    BZ_MEM_ERROR, BZ_OK, BZ_STREAM_END, BZ2_bzDecompress, BZ2_bzDecompressEnd, BZ2_bzDecompressInit, bz_stream,
};

use crate::error::{Error, Result};

/// A stream that is being unpacked. Behind a pointer: the library wants it to stay where it was initialised.
pub struct Stream(Box<bz_stream>);

/// How far one call came.
pub struct Progress {
    /// Packed bytes that are done with.
    pub consumed: usize,
    /// Bytes of content.
    pub produced: usize,
    /// Whether this was the end of the stream, all checksums of which were right.
    pub ended: bool,
}

impl Stream {
    /// A stream before its first byte. `doing` completes the error.
    ///
    /// # Errors
    /// `Refused` when there is not enough memory.
    pub fn open(doing: &'static str) -> Result<Self> {
        let mut stream = Box::new(bz_stream::zeroed());
        // SAFETY: a zeroed stream, as the library made it, asks for its own allocator; nothing else is read of it.
        let code = unsafe { BZ2_bzDecompressInit(ptr::from_mut(&mut *stream), 0, 0) };
        if code == BZ_OK { Ok(Self(stream)) } else { Err(error_of(code, doing)) }
    }

    /// Unpacks the next of `packed` into the beginning of `into`. Up to 900 kB of content may lie in the library when
    /// all of `packed` is done with.
    ///
    /// # Errors
    /// `Corrupt` when the bytes are no valid stream, `Refused` when there is not enough memory.
    pub fn unpack(&mut self, packed: &[u8], into: &mut [u8], doing: &'static str) -> Result<Progress> {
        let stream = &mut *self.0;
        let (offered, room) = (length(packed.len()), length(into.len()));
        (stream.next_in, stream.avail_in) = (packed.as_ptr().cast(), offered);
        (stream.next_out, stream.avail_out) = (into.as_mut_ptr().cast(), room);
        // SAFETY: `open` initialised the stream and it did not move; both pairs of pointer and length are those of
        // slices that outlive the call, and the library keeps neither pointer.
        let code = unsafe { BZ2_bzDecompress(ptr::from_mut(stream)) };
        let consumed = offered.saturating_sub(stream.avail_in) as usize;
        let produced = room.saturating_sub(stream.avail_out) as usize;
        match code {
            BZ_OK | BZ_STREAM_END => Ok(Progress { consumed, produced, ended: code == BZ_STREAM_END }),
            _ => Err(error_of(code, doing)),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: `open` initialised the stream, it did not move, and no one can use it any more. The code says no
        // more.
        let _ = unsafe { BZ2_bzDecompressEnd(ptr::from_mut(&mut *self.0)) };
    }
}

/// What the library can be offered of so many bytes.
fn length(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn error_of(code: i32, doing: &'static str) -> Error {
    match code {
        BZ_MEM_ERROR => Error::refused(doing, "not enough memory"),
        _ => Error::corrupt(doing, "it is no valid bzip2 stream, or a checksum does not match"),
    }
}

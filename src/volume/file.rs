//! A file on a volume that is too large to be copied: read in parts.

use super::content::{Content, Medium};
use crate::bytes::ReadAt;
use crate::error::{Error, Result};
use crate::units::ByteCount;

/// A file, wherever on the volume its parts lie.
pub struct File<'v> {
    medium: &'v Medium<'v>,
    content: Content,
}

impl<'v> File<'v> {
    pub(super) const fn new(medium: &'v Medium<'v>, content: Content) -> Self {
        Self { medium, content }
    }

    /// Its size.
    #[must_use]
    pub const fn size(&self) -> ByteCount {
        ByteCount(self.content.length())
    }
}

impl ReadAt for File<'_> {
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
        let end = offset.0.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.content.length()) {
            return Err(Error::corrupt("read", "the range lies behind the end"));
        }
        self.medium.part(&self.content, offset.0, buffer)
    }
}

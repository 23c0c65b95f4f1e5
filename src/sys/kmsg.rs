//! The kernel's log (Documentation/ABI/testing/dev-kmsg).

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};

/// The switch that lets programs write more than ten lines in five seconds; restored by whoever turned it.
pub const RATE_SWITCH: &str = "/proc/sys/kernel/printk_devkmsg";

/// `LOG_LINE_MAX` is 1024 less a header; longer lines the kernel refuses whole.
const LINE_LIMIT: usize = 976;

/// An open kernel log.
#[derive(Debug)]
pub struct Writer(OwnedFd);

impl Writer {
    /// Opens it, if this process may.
    #[must_use]
    pub fn open() -> Option<Self> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        rustix::fs::open("/dev/kmsg", flags, Mode::empty()).ok().map(Self)
    }

    /// Writes one record, cut to what the kernel takes. There is nobody to tell when it fails.
    pub fn write(&self, record: &[u8]) {
        let _ = rustix::io::write(&self.0, record.get(..LINE_LIMIT).unwrap_or(record));
    }
}

//! The kernel's log (Documentation/ABI/testing/dev-kmsg).

use super::{device_node, file};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};

/// The switch that lets programs write more than ten lines in five seconds.
const RATE_SWITCH: &str = "/proc/sys/kernel/printk_devkmsg";

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

    /// Writes one record, cut to what the kernel takes. There is no one to tell when it fails.
    pub fn write(&self, record: &[u8]) {
        let _ = rustix::io::write(&self.0, record.get(..LINE_LIMIT).unwrap_or(record));
    }
}

/// The kernel's limit on how much programs may log, lifted until [`Limit::restore`].
#[derive(Debug)]
pub struct Limit(Option<alloc::vec::Vec<u8>>);

impl Limit {
    /// Lifts it, so that no line of the boot is lost. A limit set on the kernel command line cannot be lifted and
    /// stays. The newline is part of what the kernel accepts.
    #[must_use]
    pub fn lift() -> Self {
        let before = file::read(RATE_SWITCH, 64).ok();
        let lifted = device_node::set_attribute(RATE_SWITCH, "on\n").is_ok();
        Self(before.filter(|_| lifted))
    }

    /// Makes it what it was.
    pub fn restore(&self) {
        if let Some(before) = &self.0 {
            // It could be set a moment ago; if not now, more of the log is kept than was asked for.
            let _ = device_node::set_attribute(RATE_SWITCH, core::str::from_utf8(before).unwrap_or("ratelimit\n"));
        }
    }
}

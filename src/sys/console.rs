//! The system console as descriptors 0, 1 and 2.

use rustix::fs::{Mode, OFlags};

/// Opens `path` and makes it standard input, output and error. Without it (a kernel with no console at all) whatever
/// was open stays: an init must start even where nobody can see it.
pub fn adopt(path: &str) {
    let Ok(console) = rustix::fs::open(path, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()) else { return };
    // Each may fail only for want of descriptors, which a program with three open ones does not meet.
    let _ = rustix::stdio::dup2_stdin(&console);
    let _ = rustix::stdio::dup2_stdout(&console);
    let _ = rustix::stdio::dup2_stderr(&console);
}

/// [`adopt`], if this program was started without open descriptors.
pub fn adopt_if_closed(path: &str) {
    if rustix::io::fcntl_getfd(super::stdio::output()).is_err() {
        adopt(path);
    }
}

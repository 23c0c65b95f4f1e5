//! The system console as descriptors 0, 1 and 2.

use rustix::fd::{AsRawFd as _, IntoRawFd as _};
use rustix::fs::{Mode, OFlags};

/// Standard error: the last of the three descriptors every program is born with.
const LAST_STANDARD: i32 = 2;

/// Opens `path` and makes it standard input, output and error. Without it (a kernel with no console at all) whatever
/// was open stays: an init must start even where no one can see it.
pub fn adopt(path: &str) {
    let Ok(console) = rustix::fs::open(path, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()) else { return };
    // Each may fail only for want of descriptors, which a program with three open ones does not meet.
    let _ = rustix::stdio::dup2_stdin(&console);
    let _ = rustix::stdio::dup2_stdout(&console);
    let _ = rustix::stdio::dup2_stderr(&console);
    // The kernel hands out the lowest free number. Where one of the three was closed, this is it, and stays open.
    if console.as_raw_fd() <= LAST_STANDARD {
        let _ = console.into_raw_fd();
    }
}

/// [`adopt`], if this program was started without open descriptors.
pub fn adopt_if_closed(path: &str) {
    if rustix::io::fcntl_getfd(super::stdio::output()).is_err() {
        adopt(path);
    }
}

#[cfg(test)]
#[expect(unsafe_code, reason = "descriptors 0, 1 and 2 are closed as the kernel leaves them to a first process")]
mod tests {
    use super::*;
    use crate::sys::fork::{ChildEvent, spawn};
    use crate::units::Deadline;
    use rustix::stdio::{take_stderr, take_stdin, take_stdout};

    #[test]
    fn closed_descriptors_are_all_open_afterwards() {
        for closed in 0..8u8 {
            let mut child = spawn(|_| {
                // SAFETY: nothing in this child uses the three before they are looked at below.
                unsafe {
                    drop((closed & 1 != 0).then(|| take_stdin()));
                    drop((closed & 2 != 0).then(|| take_stdout()));
                    drop((closed & 4 != 0).then(|| take_stderr()));
                }
                adopt("/dev/null");
                let null = rustix::fs::stat("/dev/null").map(|it| it.st_rdev);
                let all = [super::super::stdio::input(), super::super::stdio::output(), super::super::stdio::error()];
                all.iter().map(|one| u8::from(rustix::fs::fstat(one).map(|it| it.st_rdev) == null)).sum()
            })
            .unwrap();
            assert_eq!(child.listen(Deadline::NEVER), ChildEvent::Ended(Ok(3)), "closed: {closed:03b}");
        }
    }
}

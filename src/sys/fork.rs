//! Processes: a child that runs a closure, becoming another program, and waiting with a deadline.

#![expect(unsafe_code, reason = "fork, execve and _exit come from the C library, and unshare splits process state")]

use super::{clock, refused, signal};
use crate::error::{Error, Kind, Result};
use crate::units::Deadline;
use alloc::ffi::CString;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::{CStr, c_char, c_int};
use core::ptr;
use core::time::Duration;
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, WaitStatus};
use rustix::thread::UnshareFlags;

unsafe extern "C" {
    fn fork() -> c_int;
    fn execve(path: *const c_char, arguments: *const *const c_char, environment: *const *const c_char) -> c_int;
    fn _exit(status: c_int) -> !;
    static environ: *const *const c_char;
}

/// How long a child may take to die after SIGKILL before it is left alone. One that sits in an uninterruptible call
/// (a device that stopped answering) dies when the call returns; no one waits for that.
const KILL_GRACE: Duration = Duration::from_millis(200);

/// The longest line a child may send; longer ones are cut into several.
const LINE_LIMIT: usize = 4096;

/// A running child and the pipe through which it tells its parent how far it got.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    pipe: OwnedFd,
    pending: Vec<u8>,
}

/// The child's end of the pipe.
#[derive(Debug)]
pub struct ProgressPipe(OwnedFd);

/// What a parent hears next from its child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChildEvent {
    /// A line the child sent with [`ProgressPipe::notify`].
    Line(String),
    /// The child ended; its exit code, or the number of the signal that ended it.
    Ended(core::result::Result<u8, i32>),
    /// The deadline passed; the child still runs.
    Silence,
}

impl ProgressPipe {
    /// Sends one line to the parent. A parent that is gone or does not listen is no reason to stop working.
    pub fn notify(&self, line: &str) {
        let mut message = Vec::from(line.as_bytes());
        message.push(b'\n');
        let _ = rustix::io::write(&self.0, &message);
    }
}

/// Runs `work` in a child process; its result is the child's exit code.
///
/// # Errors
/// `Os`: no more processes or memory.
pub fn spawn(work: impl FnOnce(&ProgressPipe) -> u8) -> Result<Child> {
    const DOING: &str = "start";
    const CHILD: &str = "a child process";
    let (reader, writer) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|errno| refused(errno, DOING).to(CHILD))?;
    match split().map_err(|errno| refused(errno, DOING).to(CHILD))? {
        Some(pid) => Ok(Child { pid, pipe: reader, pending: Vec::new() }),
        None => {
            drop(reader);
            leave(work(&ProgressPipe(writer)))
        }
    }
}

/// Becomes two processes: the parent is told its child, the child `None`.
pub(super) fn split() -> rustix::io::Result<Option<Pid>> {
    // SAFETY: wisp has one thread, so the child's copy of memory and locks is consistent.
    match unsafe { fork() } {
        0 => Ok(None),
        answer => forked(answer).map(Some),
    }
}

/// Ends a child, whose parent still has all that it would flush and drop.
pub(super) fn leave(status: u8) -> ! {
    // SAFETY: _exit takes any number and does not return; nothing of the parent's is flushed or dropped twice.
    unsafe { _exit(c_int::from(status)) }
}

/// Kills the child `pid`, and waits for its end until `deadline`.
pub(super) fn end(pid: Pid, deadline: Deadline) {
    // It may have ended by itself meanwhile.
    let _ = rustix::process::kill_process(pid, Signal::KILL);
    let _ = reap(pid, deadline);
}

/// The child that `fork` answered its parent with. -1, which says that there is none, must never become a [`Pid`]: a
/// signal to it goes to every process.
fn forked(answer: c_int) -> rustix::io::Result<Pid> {
    if answer < 0 {
        return Err(last_errno());
    }
    Pid::from_raw(answer).ok_or(Errno::CHILD)
}

impl Child {
    /// Its process number.
    pub(super) fn number(&self) -> i32 {
        self.pid.as_raw_pid()
    }

    /// Waits for the next line or the end of the child.
    pub fn listen(&mut self, deadline: Deadline) -> ChildEvent {
        loop {
            if let Some(line) = self.take_line() {
                return ChildEvent::Line(line);
            }
            match self.fill(deadline) {
                Filled::More => {}
                Filled::Closed => return reap(self.pid, deadline),
                Filled::TimedOut => return ChildEvent::Silence,
            }
        }
    }

    /// The first line that the child says, if it says any before it closes its end of the pipe.
    pub(super) fn last_word(&mut self) -> Option<String> {
        loop {
            match self.fill(Deadline::NEVER) {
                Filled::More if self.pending.is_empty() => {}
                Filled::More => return self.take_line(),
                Filled::Closed | Filled::TimedOut => return None,
            }
        }
    }

    /// Waits for the end of the child without limit, even if another process holds the pipe, and calls `look` every so often
    /// meanwhile.
    pub(super) fn wait(&self, every: Duration, look: &mut dyn FnMut()) -> core::result::Result<u8, i32> {
        // Kernels before 5.3 have no such descriptor; there the child is looked at again and again.
        let descriptor = rustix::process::pidfd_open(self.pid, PidfdFlags::empty()).ok();
        loop {
            let deadline = Deadline::after(clock::now(), every);
            let has_ended = descriptor.as_ref().is_none_or(|descriptor| wait_readable(descriptor, deadline));
            if has_ended && let ChildEvent::Ended(outcome) = reap(self.pid, deadline) {
                return outcome;
            }
            look();
        }
    }

    /// Kills the child and reaps it if it dies at once.
    pub fn kill(&mut self) {
        end(self.pid, Deadline::after(clock::now(), KILL_GRACE));
    }

    /// Asks the child to end, and kills it if it does not do so at once.
    pub fn end(&mut self) {
        // It may have ended by itself meanwhile.
        let _ = rustix::process::kill_process(self.pid, Signal::TERM);
        if self.listen(Deadline::after(clock::now(), KILL_GRACE)) == ChildEvent::Silence {
            self.kill();
        }
    }

    /// A whole line (or one of the greatest length) that has arrived, without its newline.
    fn take_line(&mut self) -> Option<String> {
        let end = self.pending.iter().position(|byte| *byte == b'\n');
        let length = end.or((self.pending.len() >= LINE_LIMIT).then_some(LINE_LIMIT))?;
        let line = String::from_utf8_lossy(self.pending.get(..length)?).into_owned();
        self.pending.drain(..length.saturating_add(usize::from(end.is_some())));
        Some(line)
    }

    /// Reads what the child has sent, waiting until `deadline` for the first of it.
    fn fill(&mut self, deadline: Deadline) -> Filled {
        if !wait_readable(&self.pipe, deadline) {
            return Filled::TimedOut;
        }
        let mut buffer = [0; 512];
        match rustix::io::read(&self.pipe, &mut buffer) {
            Ok(0) => Filled::Closed,
            Ok(count) => {
                self.pending.extend_from_slice(buffer.get(..count).unwrap_or_default());
                Filled::More
            }
            Err(Errno::INTR) => Filled::More,
            Err(_) => Filled::Closed,
        }
    }
}

/// Waits for the end of a child that is about to end. That is a matter of microseconds, unless it sits in the kernel; there
/// is no event to wait for, hence the short naps.
fn reap(pid: Pid, deadline: Deadline) -> ChildEvent {
    const NAP: Duration = Duration::from_millis(1);
    let options = if deadline == Deadline::NEVER { WaitOptions::empty() } else { WaitOptions::NOHANG };
    loop {
        match rustix::process::waitpid(Some(pid), options) {
            Ok(Some((_, status))) => return ChildEvent::Ended(outcome(status)),
            Ok(None) if deadline.has_passed(clock::now()) => return ChildEvent::Silence,
            Ok(None) => clock::pause(NAP),
            Err(Errno::INTR) => {}
            Err(_) => return ChildEvent::Ended(Err(0)),
        }
    }
}

/// What reading from the child's pipe brought.
enum Filled {
    More,
    Closed,
    TimedOut,
}

/// Exit code or signal.
fn outcome(status: WaitStatus) -> core::result::Result<u8, i32> {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Ok(u8::try_from(code).unwrap_or(u8::MAX)),
        (None, signal) => Err(signal.unwrap_or(0)),
    }
}

/// Whether something can be read from `descriptor` before `deadline`.
pub(super) fn wait_readable(descriptor: &OwnedFd, deadline: Deadline) -> bool {
    loop {
        let mut wanted = [PollFd::from_borrowed_fd(descriptor.as_fd(), PollFlags::IN)];
        let left = deadline.remaining(clock::now()).map(clock::timespec);
        match rustix::event::poll(&mut wanted, left.as_ref()) {
            Ok(0) => return false,
            Err(Errno::INTR) => {}
            // A descriptor that cannot be polled is left to the read that follows, which tells why.
            Ok(_) | Err(_) => return true,
        }
    }
}

/// Becomes the program at `path` with these arguments (the program's own name first) and wisp's environment. Comes
/// back only with an error.
///
/// # Errors
/// `Os`: absent, not executable; `Usage`: a NUL byte inside.
pub fn become_program<'a>(path: &str, arguments: impl IntoIterator<Item = &'a [u8]>) -> Error {
    const DOING: &str = "execute";
    let strings: core::result::Result<Vec<CString>, _> = arguments.into_iter().map(CString::new).collect();
    let (Ok(program), Ok(strings)) = (CString::new(path), strings) else {
        return Error::new(Kind::Usage, DOING, "an argument holds a NUL byte").to(path);
    };
    // SAFETY: `environ` is set by the C library's start code, and wisp never changes it.
    let environment = unsafe { environ };
    signal::restore_defaults();
    // SAFETY: path and arguments are NUL-terminated strings that outlive the call, the vectors end with a null.
    unsafe { execve(program.as_ptr(), pointers(&strings).as_ptr(), environment) };
    refused(last_errno(), DOING).to(path)
}

/// Becomes the program in `file` with these arguments (the program's own name first) and this environment. Comes back only
/// with the reason why not.
pub(super) fn replace(file: &CStr, arguments: &[CString], environment: &[CString]) -> Errno {
    // SAFETY: all are NUL-terminated strings that outlive the call, the vectors end with a null.
    unsafe { execve(file.as_ptr(), pointers(arguments).as_ptr(), pointers(environment).as_ptr()) };
    last_errno()
}

/// The vector that execve takes: ended by a null.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

/// The C library's `errno`.
pub(super) fn last_errno() -> Errno {
    unsafe extern "C" {
        fn __errno_location() -> *mut c_int;
    }
    // SAFETY: both musl and glibc return a valid pointer to this thread's errno.
    Errno::from_raw_os_error(unsafe { *__errno_location() })
}

/// The descriptors that wisp may have open beside the first three: the usual limit of a process.
const INHERITED: core::ops::Range<c_int> = 3..1024;

/// In a child that only waits from here on and ends by `_exit`: closes all that it does not need, the pipe whose end the
/// parent waits for, and locks, which end with wisp.
pub(super) fn close_inherited() {
    unsafe extern "C" {
        fn close(number: c_int) -> c_int;
    }
    for number in INHERITED {
        // SAFETY: the process uses none of them any more, and ends without dropping what owns them.
        unsafe { close(number) };
    }
}

/// Splits this process's mounts from everyone else's.
pub(super) fn unshare_mounts() -> rustix::io::Result<()> {
    // SAFETY: the hazard of unshare is a split descriptor table; only the mount namespace is split here.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }
}

/// Puts this process into a user namespace of its own, in which it is the same user with the same rights to files, and may
/// choose its root directory.
#[cfg(feature = "full")]
pub(super) fn unshare_user() -> rustix::io::Result<()> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    // SAFETY: the hazard of unshare is a split descriptor table; only the user namespace is split here.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER) }?;
    // Without "deny" no user but root may map a group (user_namespaces(7)).
    set("/proc/self/setgroups", "deny")?;
    set("/proc/self/uid_map", &alloc::format!("{uid} {uid} 1"))?;
    set("/proc/self/gid_map", &alloc::format!("{gid} {gid} 1"))
}

/// Writes `text` to a file of /proc, in one call as those demand it.
#[cfg(feature = "full")]
fn set(path: &str, text: &str) -> rustix::io::Result<()> {
    use rustix::fs::{Mode, OFlags};
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, text.as_bytes()).map(drop)
}

/// Whether this process may do what only the superuser may.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The number of this process.
#[must_use]
pub fn own_number() -> i32 {
    rustix::process::getpid().as_raw_pid()
}

/// Asks the process of this number to end.
pub fn terminate(number: u32) {
    let pid = i32::try_from(number).ok().and_then(Pid::from_raw);
    // One that is gone needs no end.
    let _ = pid.map(|pid| rustix::process::kill_process(pid, Signal::TERM));
}

/// What this process and its children make from now on is written by its owner alone, unless they say otherwise.
pub fn set_usual_umask() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
}

/// Whether this is the first process, of the machine or of a container.
#[must_use]
pub fn is_first() -> bool {
    rustix::process::getpid().is_init()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Deadline {
        Deadline::after(clock::now(), Duration::from_secs(20))
    }

    #[test]
    fn a_child_sends_its_lines_and_its_exit_code() {
        let mut child = spawn(|teller| {
            teller.notify("one");
            teller.notify("two");
            7
        })
        .unwrap();
        assert_eq!(child.listen(soon()), ChildEvent::Line("one".into()));
        assert_eq!(child.listen(soon()), ChildEvent::Line("two".into()));
        assert_eq!(child.listen(soon()), ChildEvent::Ended(Ok(7)));
    }

    #[test]
    fn a_child_whose_parent_does_not_listen_goes_on_working() {
        let (mut child, wait) = {
            let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
            let child = spawn(|teller| {
                // The parent has closed its end when poll reports an error.
                let mut closed = [PollFd::from_borrowed_fd(teller.0.as_fd(), PollFlags::empty())];
                let limit = clock::timespec(Duration::from_secs(20));
                let _ = rustix::event::poll(&mut closed, Some(&limit));
                let is_closed = closed[0].revents().contains(PollFlags::ERR);
                teller.notify("unheard");
                if is_closed { 7 } else { 1 }
            });
            drop(writer);
            (child.unwrap(), reader)
        };
        // The end of another pipe, which is at its end.
        child.pipe = wait;
        assert_eq!(child.listen(soon()), ChildEvent::Ended(Ok(7)));
    }

    #[test]
    fn a_crash_is_reported_as_its_signal() {
        let mut child = spawn(|_| {
            let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::KILL);
            0
        })
        .unwrap();
        assert_eq!(child.listen(soon()), ChildEvent::Ended(Err(9)));
    }

    #[test]
    fn a_child_that_hangs_is_left_at_the_deadline_and_can_be_killed() {
        let mut child = spawn(|_| {
            clock::pause(Duration::from_secs(3600));
            0
        })
        .unwrap();
        assert_eq!(child.listen(Deadline::after(clock::now(), Duration::from_millis(20))), ChildEvent::Silence);
        child.kill();
    }

    #[test]
    fn a_fork_that_failed_is_an_error_and_no_process() {
        // Only failing calls set errno, and this one sets it to ENOENT.
        become_program("/nonexistent/init", []);
        assert_eq!(forked(-1), Err(Errno::NOENT));
        assert_eq!(forked(4321).map(Pid::as_raw_pid), Ok(4321));
    }

    #[test]
    fn what_cannot_be_executed_says_so() {
        let error = become_program("/nonexistent/init", [b"init".as_slice()]);
        assert_eq!((error.kind, error.to.as_str()), (Kind::Os(2), "/nonexistent/init"));
        assert_eq!(become_program("/bin/tr\0ue", []).kind, Kind::Usage);
    }
}

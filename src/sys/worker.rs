//! A process beside this one: memory that both see, and a channel for short messages between them.
//!
//! What stands in the memory is shared as two people share a table: the messages say whose turn it is with which part,
//! and nothing here keeps anybody from looking too early. No answer may hang on such a part but "the bytes are wrong".

#![expect(unsafe_code, reason = "memory that survives fork is mapped by hand")]

use core::ffi::c_void;
use core::ptr;
use core::time::Duration;

use rustix::fd::OwnedFd;
use rustix::io::{Errno, retry_on_intr};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::process::{Pid, Signal};

use super::{process, refused};
use crate::error::Result;
use crate::units::Deadline;

/// How long a killed worker may take to be gone: as long as a disk takes for one request, and then some. Later it is left
/// to end by itself.
const END: Duration = Duration::from_secs(10);

/// Pages that a child shares with its parent, zeros at first; they start on a page.
pub struct Memory {
    start: *mut c_void,
    length: usize,
}

/// One end of a channel; whole messages arrive, in their order.
pub struct Channel(OwnedFd);

/// A child that works until its channel is closed. Dropping it ends it.
pub struct Worker {
    pid: Pid,
    channel: Channel,
}

impl Memory {
    /// So many bytes, none of which costs anything before it is touched.
    ///
    /// # Errors
    /// `Os`: there is no such room.
    pub fn new(length: usize) -> Result<Self> {
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: the kernel chooses where, so that nothing else is mapped there.
        let start = unsafe { mmap_anonymous(ptr::null_mut(), length, protection, flags) };
        Ok(Self { start: start.map_err(|errno| refused(errno, "get memory for what is written"))?, length })
    }

    /// All of it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is that long and lives as long as `self`; any byte is valid. The other process writes to a
        // part of it only after a message that gave that part away.
        unsafe { core::slice::from_raw_parts(self.start.cast(), self.length) }
    }

    /// All of it, to be written.
    #[must_use]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and in this process nobody else looks at it meanwhile.
        unsafe { core::slice::from_raw_parts_mut(self.start.cast(), self.length) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: this is the whole mapping, and nothing refers to it any more.
        let unmapped = unsafe { munmap(self.start, self.length) };
        // It was mapped; should the kernel think otherwise, nothing is left to undo.
        let _ = unmapped;
    }
}

impl Channel {
    /// Sends one message; waits while the other side has many unread ones.
    ///
    /// # Errors
    /// `Os`: the other side is gone.
    pub fn send(&self, message: &[u8]) -> Result<()> {
        let sent = retry_on_intr(|| net::send(&self.0, message, SendFlags::NOSIGNAL));
        sent.map(|_| ()).map_err(|errno| refused(errno, "send to the other process"))
    }

    /// The next message, cut to `message`; `false` when the other side is gone and no more will come. Waits as long as the
    /// other side works: whoever waits for a disk waits as long as the kernel does.
    ///
    /// # Errors
    /// `Os`.
    pub fn receive(&self, message: &mut [u8]) -> Result<bool> {
        let mut next = || retry_on_intr(|| net::recv(&self.0, &mut *message, RecvFlags::empty()));
        // One that went with messages unread is told first, once; what it said before comes after that.
        let received = match next() {
            Err(Errno::CONNRESET) => next(),
            other => other,
        };
        match received {
            Ok((_, count)) => Ok(count > 0),
            Err(Errno::CONNRESET) => Ok(false),
            Err(errno) => Err(refused(errno, "hear from the other process")),
        }
    }
}

impl Worker {
    /// Runs `work` in a child process, which is killed if this process ends first.
    ///
    /// # Errors
    /// `Os`: no more processes or memory.
    pub fn start(work: impl FnOnce(&Channel)) -> Result<Self> {
        const DOING: &str = "start a child process";
        let pair = net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
        let (own, other) = pair.map_err(|errno| refused(errno, DOING))?;
        match process::split().map_err(|errno| refused(errno, DOING))? {
            Some(pid) => Ok(Self { pid, channel: Channel(own) }),
            None => {
                drop(own);
                // Where that is not to be had, the end of the channel says the same, after the request that is under way.
                let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
                work(&Channel(other));
                process::leave(0)
            }
        }
    }

    /// This end of its channel.
    #[must_use]
    pub const fn channel(&self) -> &Channel {
        &self.channel
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        process::end(self.pid, Deadline::after(super::clock::now(), END));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_sees_the_memory_answers_and_ends_with_its_channel() {
        let mut memory = Memory::new(1 << 20).unwrap();
        let worker = Worker::start(|channel| {
            let mut message = [0; 8];
            while channel.receive(&mut message).unwrap_or(false) {
                let at = usize::from(message[0]);
                let answer = [memory.bytes()[at], memory.bytes()[at + 1]];
                if channel.send(&answer).is_err() {
                    return;
                }
            }
        })
        .unwrap();
        memory.bytes_mut()[5..7].copy_from_slice(&[70, 80]);
        worker.channel().send(&[5]).unwrap();
        let mut answer = [0; 2];
        assert!(worker.channel().receive(&mut answer).unwrap());
        assert_eq!(answer, [70, 80]);
        drop(worker);
    }

    #[test]
    fn a_worker_that_died_is_noticed_on_both_ways() {
        let worker = Worker::start(|channel| {
            let _ = channel.receive(&mut [0]);
            let _ = channel.send(b"last");
        })
        .unwrap();
        worker.channel().send(&[1]).unwrap();
        let mut answer = [0; 4];
        assert!(worker.channel().receive(&mut answer).unwrap());
        assert_eq!(&answer, b"last", "what it said before is heard");
        assert!(!worker.channel().receive(&mut answer).unwrap());
        assert!(worker.channel().send(&[1]).is_err());
    }
}

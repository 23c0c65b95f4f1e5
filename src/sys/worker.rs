//! A process beside this one: memory for what is too much for a message, and a channel for messages between them.
//!
//! Each byte of the memory belongs to one of the processes at a time. A message to the child gives it a part of the memory to
//! read; an answer gives the parts back. No process has a reference to a part that the other one may write to: the compiler
//! may assume that nothing else changes what a reference leads to.

#![expect(unsafe_code, reason = "memory that survives fork is mapped by hand")]

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::ops::Range;
use core::ptr;
use core::time::Duration;

use rustix::fd::OwnedFd;
use rustix::io::{Errno, retry_on_intr};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::process::{Pid, Signal};

use super::{fork, refused};
use crate::error::{Error, Result};
use crate::units::Deadline;

/// How long a killed worker may take to be gone: as long as a disk takes for one request, and then some. Later it is left
/// to end by itself.
const END: Duration = Duration::from_secs(10);

/// The most bytes of a message.
pub const MESSAGE_LIMIT: usize = 512;

/// In front of each message: the part of the memory that it gives, and whether that and what was given before is to be given
/// back, or is.
const HEADER: usize = 17;

/// Pages of this process, zeros at first; they start on a page.
pub struct Memory(Mapping);

struct Mapping {
    start: *mut c_void,
    length: usize,
}

/// One end of a channel; whole messages arrive, in their order.
struct Channel(OwnedFd);

/// A message with its header.
struct Frame {
    message: Vec<u8>,
    part: Range<usize>,
    back: bool,
}

/// A child that works until its channel is closed. Dropping it ends it.
pub struct Worker {
    pid: Pid,
    channel: Channel,
    memory: Mapping,
    /// The parts that the child may read; `None` where it was asked to give back those before.
    given: VecDeque<Option<Range<usize>>>,
}

/// The parent, for the child.
pub struct Parent {
    channel: Channel,
    memory: Mapping,
    /// How often it asked for parts that it does not have back.
    owed: u64,
}

/// A message from the parent. As long as it is there, nothing is given back.
pub struct Request<'a> {
    /// What it says.
    pub message: Vec<u8>,
    /// The part of the memory that came with it.
    pub part: &'a [u8],
    channel: &'a Channel,
}

impl Memory {
    /// So many bytes, none of which costs anything before it is touched.
    ///
    /// # Errors
    /// `Os`: there is no such room.
    pub fn new(length: usize) -> Result<Self> {
        Mapping::new(length, MapFlags::PRIVATE).map(Self)
    }

    /// All of it, to be written.
    #[must_use]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is that long, private to this process, and borrowed as `self` is; any byte is valid.
        unsafe { core::slice::from_raw_parts_mut(self.0.start.cast(), self.0.length) }
    }
}

impl Mapping {
    fn new(length: usize, flags: MapFlags) -> Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel chooses where, so that nothing else is mapped there.
        let start = unsafe { mmap_anonymous(ptr::null_mut(), length, protection, flags) };
        Ok(Self { start: start.map_err(|errno| refused(errno, "get memory for what is written"))?, length })
    }

    /// Where `part` begins; `None` when not all of it is within.
    fn place(&self, part: &Range<usize>) -> Option<*mut u8> {
        let is_within = part.start <= part.end && part.end <= self.length;
        is_within.then(|| self.start.cast::<u8>().wrapping_add(part.start))
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is the whole mapping, and nothing refers to it any more.
        let unmapped = unsafe { munmap(self.start, self.length) };
        // It was mapped; should the kernel think otherwise, nothing is left to undo.
        let _ = unmapped;
    }
}

impl Channel {
    /// Sends one message; waits while the other side has many unread ones.
    fn send(&self, message: &[u8], part: &Range<usize>, back: bool) -> Result<()> {
        let mut bytes = Vec::with_capacity(HEADER.saturating_add(message.len()));
        bytes.extend_from_slice(&(part.start as u64).to_le_bytes());
        bytes.extend_from_slice(&(part.end as u64).to_le_bytes());
        bytes.push(u8::from(back));
        bytes.extend_from_slice(message.get(..MESSAGE_LIMIT).unwrap_or(message));
        let sent = retry_on_intr(|| net::send(&self.0, &bytes, SendFlags::NOSIGNAL));
        sent.map(|_| ()).map_err(|errno| refused(errno, "send to the other process"))
    }

    /// The next message; `None` when the other side is gone and no more will come. Waits as long as the other side works: a
    /// disk is waited for as long as the kernel waits for it.
    fn receive(&self) -> Result<Option<Frame>> {
        let mut bytes = [0; HEADER + MESSAGE_LIMIT];
        let mut next = || retry_on_intr(|| net::recv(&self.0, &mut bytes, RecvFlags::empty()));
        // One that went with messages unread is reported first, once; what it said before comes after that.
        let received = match next() {
            Err(Errno::CONNRESET) => next(),
            other => other,
        };
        match received {
            Ok((count, _)) => Ok(bytes.get(..count).and_then(decode)),
            Err(Errno::CONNRESET) => Ok(None),
            Err(errno) => Err(refused(errno, "hear from the other process")),
        }
    }
}

/// What [`Channel::send`] sent.
fn decode(bytes: &[u8]) -> Option<Frame> {
    let (header, message) = bytes.split_first_chunk::<HEADER>()?;
    let (&[start, end], &[back]) = header.as_chunks::<8>() else { return None };
    let [start, end] = [start, end].map(|number| usize::try_from(u64::from_le_bytes(number)));
    Some(Frame { message: message.into(), part: start.ok()?..end.ok()?, back: back == 1 })
}

impl Worker {
    /// Runs `work` in a child process, which is killed if this process ends first; both have so many bytes of memory.
    ///
    /// # Errors
    /// `Os`: no more processes or memory.
    pub fn start(bytes: usize, work: impl FnOnce(&mut Parent)) -> Result<Self> {
        const DOING: &str = "start a child process";
        let memory = Mapping::new(bytes, MapFlags::SHARED)?;
        let pair = net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
        let (own, other) = pair.map_err(|errno| refused(errno, DOING))?;
        match fork::split().map_err(|errno| refused(errno, DOING))? {
            Some(pid) => Ok(Self { pid, channel: Channel(own), memory, given: VecDeque::new() }),
            None => {
                drop(own);
                // Where that is not to be had, the end of the channel says the same, after the request that is under way.
                let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
                work(&mut Parent { channel: Channel(other), memory, owed: 0 });
                fork::leave(0)
            }
        }
    }

    /// A part of the memory, to be read and written.
    ///
    /// # Errors
    /// `Refused`: the child has some of it, or it is not within the memory.
    pub fn bytes(&mut self, part: Range<usize>) -> Result<&mut [u8]> {
        let is_given = |given: &Range<usize>| given.start < part.end && part.start < given.end;
        let place = self.memory.place(&part).filter(|_| !self.given.iter().flatten().any(is_given));
        let place = place.ok_or_else(|| Error::refused("use", "the other process has it").to("shared memory"))?;
        // SAFETY: it is within the mapping, which lives as long as `self`; any byte is valid. In this process the borrow of
        // `self` is the only way to it; the child only has what is in `given`, and none of that is in it.
        Ok(unsafe { core::slice::from_raw_parts_mut(place, part.len()) })
    }

    /// Sends one message and gives `part`; where `back` is set, that and all before it is to be given back. Waits while the
    /// child has many unread ones.
    ///
    /// # Errors
    /// `Refused`: the part is not within the memory; `Os`: the child is gone.
    pub fn send(&mut self, message: &[u8], part: Range<usize>, back: bool) -> Result<()> {
        if self.memory.place(&part).is_none() {
            return Err(Error::refused("use", "it does not have so much").to("shared memory"));
        }
        self.channel.send(message, &part, back)?;
        self.given.extend((!part.is_empty()).then_some(Some(part)));
        self.given.extend(back.then_some(None));
        Ok(())
    }

    /// The next message; `None` when the child is gone and no more will come.
    ///
    /// # Errors
    /// `Os`.
    pub fn receive(&mut self) -> Result<Option<Vec<u8>>> {
        let Some(Frame { message, back, .. }) = self.channel.receive()? else { return Ok(None) };
        // Up to where it was asked for.
        while back && self.given.pop_front().flatten().is_some() {}
        Ok(Some(message))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        fork::end(self.pid, Deadline::after(super::clock::now(), END));
    }
}

impl Parent {
    /// The next message, and what it gives; `None` when the parent is gone and no more will come.
    ///
    /// # Errors
    /// `Os`.
    pub fn receive(&mut self) -> Result<Option<Request<'_>>> {
        let Some(Frame { message, part, back }) = self.channel.receive()? else { return Ok(None) };
        let Some(place) = self.memory.place(&part) else { return Ok(None) };
        self.owed = self.owed.saturating_add(u64::from(back));
        // SAFETY: it is within the mapping, which lives as long as `self`; any byte is valid. The parent does not write to it
        // before it is given back, which needs `self` too and so comes after the last use of this.
        let part = unsafe { core::slice::from_raw_parts(place, part.len()) };
        Ok(Some(Request { message, part, channel: &self.channel }))
    }

    /// Sends one message, and gives back what the earliest request without such an answer wanted back.
    ///
    /// # Errors
    /// `Os`: the parent is gone.
    pub fn give_back(&mut self, message: &[u8]) -> Result<()> {
        // Nothing may be given back that was not received.
        let back = self.owed > 0;
        self.owed = self.owed.saturating_sub(1);
        self.channel.send(message, &(0..0), back)
    }

    /// Sends one message.
    ///
    /// # Errors
    /// `Os`: the parent is gone.
    pub fn say(&self, message: &[u8]) -> Result<()> {
        self.channel.send(message, &(0..0), false)
    }
}

impl Request<'_> {
    /// Sends one message, before the answer.
    ///
    /// # Errors
    /// `Os`: the parent is gone.
    pub fn say(&self, message: &[u8]) -> Result<()> {
        self.channel.send(message, &(0..0), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    /// Answers each message with the sum of its part, when it is to be given back with the sum of all.
    fn sums(parent: &mut Parent) {
        let mut sum = 0_u8;
        while let Ok(Some(request)) = parent.receive() {
            let own = request.part.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
            sum = sum.wrapping_add(own);
            let done = match &*request.message {
                b"say" => request.say(&[own]),
                _ => parent.give_back(&[sum]),
            };
            if done.is_err() {
                return;
            }
        }
    }

    #[test]
    fn a_part_belongs_to_one_process_until_it_is_given_back() {
        let mut worker = Worker::start(1 << 20, sums).unwrap();
        worker.bytes(0..4096).unwrap().fill(1);
        worker.send(b"say", 5..7, false).unwrap();
        assert_eq!(worker.receive(), Ok(Some(vec![2])));
        for mine in [0..5, 7..4096, 7..7, 1 << 20..1 << 20] {
            assert_eq!(worker.bytes(mine.clone()).map(|bytes| bytes.len()), Ok(mine.len()));
        }
        for given in [5..6, 0..6, 6..4096, 0..4096, 5..7] {
            assert_eq!(worker.bytes(given).unwrap_err().kind, Kind::Refused);
        }
        worker.send(b"", 4000..4096, true).unwrap();
        worker.send(b"", 20..30, true).unwrap();
        assert_eq!(worker.receive(), Ok(Some(vec![98])));
        assert!(worker.bytes(5..7).is_ok() && worker.bytes(4000..4096).is_ok() && worker.bytes(29..30).is_err());
        assert_eq!(worker.receive(), Ok(Some(vec![108])));
        worker.bytes(0..1 << 20).unwrap().fill(3);
        worker.send(b"say", 0..2, false).unwrap();
        assert_eq!(worker.receive(), Ok(Some(vec![6])), "what is written later is seen");
    }

    #[test]
    fn what_is_not_within_the_memory_is_refused() {
        let mut worker = Worker::start(4096, sums).unwrap();
        for part in [0..4097, 4097..4098, usize::MAX - 1..usize::MAX] {
            assert_eq!(worker.bytes(part.clone()).unwrap_err().kind, Kind::Refused);
            assert_eq!(worker.send(b"", part, false).unwrap_err().kind, Kind::Refused);
        }
        assert!(worker.given.is_empty());
    }

    #[test]
    fn what_was_not_asked_for_is_not_given_back() {
        let mut worker = Worker::start(4096, |parent| {
            let _ = parent.give_back(b"early").and_then(|()| parent.receive().map(|_| ()));
            let _ = (parent.give_back(b"one"), parent.give_back(b"more"));
        })
        .unwrap();
        worker.send(b"", 0..1, true).unwrap();
        worker.send(b"", 1..2, true).unwrap();
        assert_eq!(worker.receive(), Ok(Some(b"early".to_vec())));
        assert!(worker.bytes(0..1).is_err());
        assert_eq!(worker.receive(), Ok(Some(b"one".to_vec())));
        assert_eq!(worker.receive(), Ok(Some(b"more".to_vec())));
        assert!(worker.bytes(0..1).is_ok() && worker.bytes(1..2).is_err());
    }

    #[test]
    fn a_worker_that_died_is_noticed_on_both_ways() {
        let mut worker = Worker::start(1, |parent| {
            let _ = parent.receive().map(|_| ());
            let _ = parent.say(b"last");
        })
        .unwrap();
        worker.send(&[1], 0..0, false).unwrap();
        assert_eq!(worker.receive(), Ok(Some(b"last".to_vec())), "what it said before is heard");
        assert_eq!(worker.receive(), Ok(None));
        assert_eq!(worker.send(&[1], 0..0, false).unwrap_err().kind, Kind::Os(32));
    }
}

//! The process that does the [`Command`]s of a [`Pipeline`](super::pipeline::Pipeline), as this one sees it.
#![forbid(unsafe_code)]

use core::ops::Range;

use super::disk_writer::DiskWriter;
use super::protocol::{Command, Reply};
use crate::error::{Error, Kind, Result};
use crate::sys::worker::Worker;

/// The other process.
pub(super) struct WriterProcess(Worker);

impl WriterProcess {
    /// `hand` in a process of its own, with so many bytes of shared memory.
    ///
    /// # Errors
    /// `Os`: no memory, or no more processes.
    pub fn start(mut hand: DiskWriter<'_>, bytes: usize) -> Result<Self> {
        Worker::start(bytes, |parent| hand.serve(parent)).map(Self)
    }

    /// A part of the shared memory.
    ///
    /// # Errors
    /// `Refused`: it came with a task, and no answer has come since to that or a later one.
    pub fn memory(&mut self, part: Range<usize>) -> Result<&mut [u8]> {
        self.0.bytes(part)
    }

    /// Has `task` done soon, with this part of the memory.
    ///
    /// # Errors
    /// What an earlier task failed with; `Ended`: the other process is gone.
    pub fn send(&mut self, task: Command, part: Range<usize>) -> Result<()> {
        match self.0.send(&task.encode(), part, task.is_answered()) {
            Err(error) if matches!(error.kind, Kind::Os(_)) => {
                // It said why before it went.
                loop {
                    self.answer()?;
                }
            }
            sent => sent,
        }
    }

    /// What is answered next; for reading back, how far that is.
    ///
    /// # Errors
    /// As [`WriterProcess::send`].
    pub fn answer(&mut self) -> Result<Option<u64>> {
        match self.0.receive()?.and_then(|message| Reply::decode(&message)) {
            Some(Reply::Done) => Ok(None),
            Some(Reply::Reached(at)) => Ok(Some(at)),
            Some(Reply::Failed(fault)) => Err(fault.error()),
            None => Err(Error::new(Kind::Ended, "write to", "the process that does it has ended")),
        }
    }
}

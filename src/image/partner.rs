//! Whoever does the [`Task`]s of a [`Pump`](super::pump::Pump): a process beside this one, or this one in its turn where
//! there is no other to be had.
#![forbid(unsafe_code)]

use alloc::collections::VecDeque;

use super::hand::Hand;
use super::task::{Answer, Message, Task};
use crate::error::{Error, Kind, Result};
use crate::sys::worker::{Memory, Worker};

/// The other side, and what both see.
pub(super) struct Partner<'a> {
    side: Side<'a>,
    memory: Memory,
}

enum Side<'a> {
    Beside(Worker),
    Within(Hand<'a>, VecDeque<Answer>),
}

impl<'a> Partner<'a> {
    /// `hand` in a process of its own, which sees these bytes.
    ///
    /// # Errors
    /// `Os`: no memory.
    pub fn beside(mut hand: Hand<'a>, bytes: usize) -> Result<Self> {
        let memory = Memory::new(bytes)?;
        let side = match Worker::start(|channel| hand.serve(channel, &memory)) {
            Ok(worker) => Side::Beside(worker),
            Err(_) => Side::Within(hand, VecDeque::new()),
        };
        Ok(Self { side, memory })
    }

    /// `hand` in this process.
    ///
    /// # Errors
    /// `Os`: no memory.
    #[cfg(test)]
    pub fn within(hand: Hand<'a>, bytes: usize) -> Result<Self> {
        Ok(Self { side: Side::Within(hand, VecDeque::new()), memory: Memory::new(bytes)? })
    }

    /// What both see. Whoever writes to it has waited for the answer to the last task that speaks of the place.
    pub fn memory(&mut self) -> &mut [u8] {
        self.memory.bytes_mut()
    }

    /// Has `task` done, now or soon.
    ///
    /// # Errors
    /// What an earlier task failed with; `Ended`: the other process is gone.
    pub fn send(&mut self, task: Task) -> Result<()> {
        match &mut self.side {
            Side::Beside(worker) => {
                if worker.channel().send(&task.encode()).is_ok() {
                    return Ok(());
                }
                // It said why before it went.
                loop {
                    self.answer()?;
                }
            }
            Side::Within(hand, answers) => {
                let done = hand.carry_out(task, self.memory.bytes(), &mut |answer| answers.push_back(answer));
                done.map_err(|fault| fault.error())
            }
        }
    }

    /// What is answered next; for reading back, how far that is.
    ///
    /// # Errors
    /// As [`Partner::send`].
    pub fn answer(&mut self) -> Result<Option<u64>> {
        let answer = match &mut self.side {
            Side::Beside(worker) => {
                let mut message: Message = [0; size_of::<Message>()];
                worker.channel().receive(&mut message)?.then(|| Answer::decode(&message)).flatten()
            }
            Side::Within(_, answers) => answers.pop_front(),
        };
        match answer {
            Some(Answer::Done) => Ok(None),
            Some(Answer::Reached(at)) => Ok(Some(at)),
            Some(Answer::Failed(fault)) => Err(fault.error()),
            None => Err(Error::new(Kind::Ended, "write to", "the process that does it has ended")),
        }
    }
}

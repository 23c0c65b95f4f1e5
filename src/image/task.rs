//! What the side that reads an image tells the side that writes it, and what that answers: messages of 32 bytes.
#![forbid(unsafe_code)]

use alloc::format;

use crate::error::{Error, Kind};

/// A message as it crosses, either way: four numbers.
pub(super) type Message = [u8; 32];

/// Something to be done. Offsets of the disk are multiples of its sector, and so are lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// Forget what the target holds, and make zeros of the places where something looks for a system. Answered.
    Prepare,
    /// So many bytes, from this place in the shared memory, belong to this offset.
    Bytes {
        /// Where in the memory.
        from: usize,
        /// How many.
        length: usize,
        /// Where on the disk.
        at: u64,
    },
    /// So many zeros belong to this offset.
    Zeros {
        /// How many.
        length: u64,
        /// Where on the disk.
        at: u64,
    },
    /// Answer, so that the memory of what came before can be used again.
    Release,
    /// Have everything on the medium, and read it back as far as this offset where that was asked for. Answered, with
    /// [`Answer::Reached`] in between.
    Settle {
        /// Where on the disk.
        end: u64,
    },
    /// The first bytes of the disk lie at the beginning of the memory: write them, and leave nothing in any cache. Answered.
    Head {
        /// How many.
        length: usize,
    },
}

/// What is said in return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is done.
    Done,
    /// Reading back has come so far.
    Reached(u64),
    /// It failed, and nothing more will be done.
    Failed(Fault),
}

/// Why something failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub doing: Doing,
    /// The kernel's reason, or 0: the disk holds other bytes than it should.
    pub errno: i32,
    /// Where on the disk, or [`NOWHERE`].
    pub at: u64,
}

/// The offset of what is not known closer.
pub(super) const NOWHERE: u64 = u64::MAX;

/// What can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    Prepare,
    Write,
    Zero,
    Flush,
    ReadBack,
    Compare,
}

/// What can fail, in words: without the kernel's reason, the bytes are wrong.
const DOINGS: [(Doing, &str, &str); 6] = [
    (Doing::Prepare, "clear the beginning and the end of", ""),
    (Doing::Write, "write to", ""),
    (Doing::Zero, "write zeros to", ""),
    (Doing::Flush, "flush", ""),
    (Doing::ReadBack, "read back what was written to", "it holds other bytes than it was given"),
    (Doing::Compare, "compare the image with", "they differ"),
];

impl Task {
    pub fn encode(self) -> Message {
        encode(match self {
            Self::Prepare => [0, 0, 0, 0],
            Self::Bytes { from, length, at } => [1, from as u64, length as u64, at],
            Self::Zeros { length, at } => [2, 0, length, at],
            Self::Release => [3, 0, 0, 0],
            Self::Settle { end } => [4, 0, 0, end],
            Self::Head { length } => [5, 0, length as u64, 0],
        })
    }

    /// `None` for what [`Task::encode`] never made.
    pub fn decode(message: &Message) -> Option<Self> {
        let [kind, from, length, at] = decode(message);
        let narrow = |number| usize::try_from(number).ok();
        Some(match kind {
            0 => Self::Prepare,
            1 => Self::Bytes { from: narrow(from)?, length: narrow(length)?, at },
            2 => Self::Zeros { length, at },
            3 => Self::Release,
            4 => Self::Settle { end: at },
            5 => Self::Head { length: narrow(length)? },
            _ => return None,
        })
    }
}

impl Answer {
    pub fn encode(self) -> Message {
        encode(match self {
            Self::Done => [0, 0, 0, 0],
            Self::Reached(at) => [1, 0, 0, at],
            Self::Failed(Fault { doing, errno, at }) => {
                let row = DOINGS.iter().position(|(known, ..)| *known == doing).unwrap_or_default();
                [2, row as u64, u64::try_from(errno).unwrap_or(0), at]
            }
        })
    }

    /// `None` for what [`Answer::encode`] never made.
    pub fn decode(message: &Message) -> Option<Self> {
        let [kind, row, errno, at] = decode(message);
        Some(match kind {
            0 => Self::Done,
            1 => Self::Reached(at),
            2 => {
                let (doing, ..) = *DOINGS.get(usize::try_from(row).ok()?)?;
                Self::Failed(Fault { doing, errno: i32::try_from(errno).ok()?, at })
            }
            _ => return None,
        })
    }
}

impl Fault {
    /// What `doing` met at `at` of the disk.
    pub fn of(doing: Doing, at: u64, error: &Error) -> Self {
        Self { doing, errno: if let Kind::Os(errno) = error.kind { errno } else { 0 }, at }
    }

    /// In words.
    pub fn error(self) -> Error {
        let row = DOINGS.iter().find(|(known, ..)| *known == self.doing);
        let (doing, why) = row.map_or(("use", ""), |(_, doing, why)| (*doing, *why));
        let at = self.at;
        match self.errno {
            0 if at == NOWHERE => Error::corrupt(doing, why),
            0 => Error::corrupt(doing, format!("{why} at byte {at}")),
            errno if at == NOWHERE => Error::os(errno, doing),
            errno => Error::new(Kind::Os(errno), doing, format!("at byte {at}")),
        }
    }
}

fn encode(numbers: [u64; 4]) -> Message {
    let mut message = [0; size_of::<Message>()];
    for (place, number) in message.chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    message
}

fn decode(message: &Message) -> [u64; 4] {
    let mut numbers = [0; 4];
    for (number, bytes) in numbers.iter_mut().zip(message.as_chunks::<8>().0) {
        *number = u64::from_le_bytes(*bytes);
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_the_same_on_the_other_side() {
        for task in [
            Task::Prepare,
            Task::Bytes { from: 1 << 20, length: 2 << 20, at: 1 << 40 },
            Task::Zeros { length: 1 << 50, at: 512 },
            Task::Release,
            Task::Settle { end: 7 << 30 },
            Task::Head { length: 4096 },
        ] {
            assert_eq!(Task::decode(&task.encode()), Some(task));
        }
        for (doing, ..) in DOINGS {
            let fault = Answer::Failed(Fault { doing, errno: 28, at: 9 });
            assert_eq!(Answer::decode(&fault.encode()), Some(fault));
        }
        assert_eq!(Answer::decode(&Answer::Reached(3).encode()), Some(Answer::Reached(3)));
        assert_eq!((Task::decode(&[9; 32]), Answer::decode(&[9; 32])), (None, None));
    }

    #[test]
    fn a_fault_is_told_in_words() {
        let fault = Fault { doing: Doing::Write, errno: 5, at: 4096 };
        assert_eq!(
            format!("{}", fault.error().to("/dev/vdb")),
            "write to /dev/vdb: input/output error (EIO), at byte 4096"
        );
        let fault = Fault { doing: Doing::ReadBack, errno: 0, at: NOWHERE };
        assert_eq!(
            (fault.error().kind, &*fault.error().why),
            (Kind::Corrupt, "it holds other bytes than it was given")
        );
    }
}

//! What the process that reads an image sends to the one that writes it, and what that answers: messages of up to 512 bytes.
#![forbid(unsafe_code)]

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::error::{Error, Kind};
use crate::sys::worker::MESSAGE_LIMIT;

/// The numbers that a message begins with.
const NUMBERS: usize = 4;

/// The most bytes of a reason.
const WHY_LIMIT: usize = 256;

/// Something to be done. Offsets of the disk are multiples of its sector, and so are lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Forget what the target holds, and make zeros of the places where something looks for a system. Answered.
    Prepare,
    /// The bytes that come with it belong to this offset.
    Bytes {
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
    /// Reply, so that the memory of what came before can be used again.
    Release,
    /// Have everything on the medium, and read it back as far as this offset where that was asked for. Answered, with
    /// [`Reply::Reached`] in between.
    Settle {
        /// Where on the disk.
        end: u64,
    },
    /// The first bytes of the disk come with it: write them, and leave nothing in any cache. Answered.
    Head,
}

/// What is said in return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// It is done.
    Done,
    /// Reading back has come so far.
    Reached(u64),
    /// It failed, and nothing more will be done.
    Failed(Failure),
}

/// Why something failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub doing: Operation,
    pub kind: Kind,
    /// As in an [`Error`].
    pub why: Cow<'static, str>,
    /// Where on the disk, or [`NOWHERE`].
    pub at: u64,
}

/// The offset of what is not known closer.
pub(super) const NOWHERE: u64 = u64::MAX;

/// What can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Prepare,
    Write,
    Zero,
    Flush,
    ReadBack,
    Compare,
}

/// What can fail, in words.
const OPERATIONS: [(Operation, &str); 6] = [
    (Operation::Prepare, "clear the beginning and the end of"),
    (Operation::Write, "write to"),
    (Operation::Zero, "write zeros to"),
    (Operation::Flush, "flush"),
    (Operation::ReadBack, "read back what was written to"),
    (Operation::Compare, "compare the image with"),
];

/// The kinds of error that have no number of their own.
const KINDS: [Kind; 7] =
    [Kind::Usage, Kind::Absent, Kind::Unsupported, Kind::Corrupt, Kind::Refused, Kind::TimedOut, Kind::Ended];

impl Command {
    /// Whether it is answered.
    pub const fn is_answered(self) -> bool {
        !matches!(self, Self::Bytes { .. } | Self::Zeros { .. })
    }

    pub fn encode(self) -> Vec<u8> {
        encode(match self {
            Self::Prepare => [0, 0, 0, 0],
            Self::Bytes { at } => [1, 0, 0, at],
            Self::Zeros { length, at } => [2, 0, length, at],
            Self::Release => [3, 0, 0, 0],
            Self::Settle { end } => [4, 0, 0, end],
            Self::Head => [5, 0, 0, 0],
        })
    }

    /// `None` for what [`Command::encode`] never made.
    pub fn decode(message: &[u8]) -> Option<Self> {
        let ([task, _, length, at], _) = decode(message)?;
        Some(match task {
            0 => Self::Prepare,
            1 => Self::Bytes { at },
            2 => Self::Zeros { length, at },
            3 => Self::Release,
            4 => Self::Settle { end: at },
            5 => Self::Head,
            _ => return None,
        })
    }
}

impl Reply {
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Done => encode([0, 0, 0, 0]),
            Self::Reached(at) => encode([1, 0, 0, *at]),
            Self::Failed(Failure { doing, kind, why, at }) => {
                let row = OPERATIONS.iter().position(|(known, _)| known == doing).unwrap_or_default();
                let mut message = encode([2, row as u64, number_of(*kind), *at]);
                message.extend_from_slice(beginning(why).as_bytes());
                message
            }
        }
    }

    /// `None` for what [`Reply::encode`] never made.
    pub fn decode(message: &[u8]) -> Option<Self> {
        let ([answer, row, kind, at], why) = decode(message)?;
        Some(match answer {
            0 => Self::Done,
            1 => Self::Reached(at),
            2 => {
                let (doing, _) = *OPERATIONS.get(usize::try_from(row).ok()?)?;
                let why = Cow::Owned(String::from_utf8_lossy(why).into_owned());
                Self::Failed(Failure { doing, kind: kind_of(kind)?, why, at })
            }
            _ => return None,
        })
    }
}

impl Failure {
    /// What `doing` met at `at` of the disk.
    pub fn of(doing: Operation, at: u64, error: &Error) -> Self {
        Self { doing, kind: error.kind, why: error.why.clone(), at }
    }

    /// At `at`, the disk holds other bytes than it should.
    pub const fn differs(doing: Operation, at: u64, why: &'static str) -> Self {
        Self { doing, kind: Kind::Corrupt, why: Cow::Borrowed(why), at }
    }

    /// In words.
    pub fn error(self) -> Error {
        let row = OPERATIONS.iter().find(|(known, _)| *known == self.doing);
        let doing = row.map_or("use", |(_, doing)| *doing);
        let (why, at) = (self.why, self.at);
        let why = match (at, &*why) {
            (NOWHERE, _) => why,
            (_, "") => format!("at byte {at}").into(),
            _ => format!("{why} at byte {at}").into(),
        };
        Error::new(self.kind, doing, why)
    }
}

/// As much of it as there is room for.
fn beginning(why: &str) -> &str {
    (0..=WHY_LIMIT).rev().find_map(|end| why.get(..end)).unwrap_or_default()
}

/// The kind in the upper half, and the number that it has in the lower one.
fn number_of(kind: Kind) -> u64 {
    let (tag, number) = match kind {
        Kind::Os(errno) => (0, u64::try_from(errno).unwrap_or(0)),
        Kind::Remote(status) => (1, u64::from(status)),
        _ => (2, KINDS.iter().position(|known| *known == kind).unwrap_or_default() as u64),
    };
    tag << 32 | number
}

fn kind_of(number: u64) -> Option<Kind> {
    let low = u32::try_from(number & u64::from(u32::MAX)).ok()?;
    Some(match number >> 32 {
        0 => Kind::Os(i32::try_from(low).ok()?),
        1 => Kind::Remote(u16::try_from(low).ok()?),
        2 => *KINDS.get(usize::try_from(low).ok()?)?,
        _ => return None,
    })
}

fn encode(numbers: [u64; NUMBERS]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// The numbers, and what is behind them.
fn decode(message: &[u8]) -> Option<([u64; NUMBERS], &[u8])> {
    let (front, rest) = message.split_first_chunk::<{ NUMBERS * size_of::<u64>() }>()?;
    let numbers = <[[u8; 8]; NUMBERS]>::try_from(front.as_chunks().0).ok()?;
    Some((numbers.map(u64::from_le_bytes), rest))
}

const _: () = assert!(NUMBERS * size_of::<u64>() + WHY_LIMIT <= MESSAGE_LIMIT);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_the_same_on_the_other_side() {
        for task in [
            Command::Prepare,
            Command::Bytes { at: 1 << 40 },
            Command::Zeros { length: 1 << 50, at: 512 },
            Command::Release,
            Command::Settle { end: 7 << 30 },
            Command::Head,
        ] {
            assert_eq!(Command::decode(&task.encode()), Some(task));
        }
        let kinds = KINDS.into_iter().chain([Kind::Os(28), Kind::Remote(503)]);
        for ((doing, _), kind) in OPERATIONS.iter().cycle().zip(kinds) {
            let fault = Reply::Failed(Failure { doing: *doing, kind, why: "of this — and that".into(), at: 9 });
            assert_eq!(Reply::decode(&fault.encode()), Some(fault));
        }
        assert_eq!(Reply::decode(&Reply::Reached(3).encode()), Some(Reply::Reached(3)));
        assert_eq!(Reply::decode(&Reply::Done.encode()), Some(Reply::Done));
        let fault =
            Reply::Failed(Failure { doing: Operation::Flush, kind: Kind::Ended, why: "".into(), at: 9 }).encode();
        for length in 0..fault.len() {
            assert_eq!((Command::decode(&fault[..length]), Reply::decode(&fault[..length])), (None, None));
        }
        for (place, byte) in [(0, 3), (8, 6), (16, 7), (20, 3)] {
            let mut other = fault.clone();
            other[place] = byte;
            assert_eq!(Reply::decode(&other), None, "{place}");
        }
        assert_eq!(Command::decode(&[9; 32]), None);
    }

    #[test]
    fn a_reason_too_long_is_cut_between_two_letters() {
        let why: String = "x".chars().chain("–".chars().cycle().take(200)).collect();
        let Some(Reply::Failed(fault)) = Reply::decode(
            &Reply::Failed(Failure { doing: Operation::Write, kind: Kind::Corrupt, why: why.clone().into(), at: 0 })
                .encode(),
        ) else {
            panic!("it is a failure")
        };
        assert_eq!(fault.why, why[..1 + 3 * 85]);
    }

    #[test]
    fn a_fault_says_in_words_what_it_was_made_of() {
        let words = |doing, at, error: &Error| format!("{}", Failure::of(doing, at, error).error().to("/dev/vdb"));
        let error = Error::os(5, "write to");
        assert_eq!(words(Operation::Write, 4096, &error), "write to /dev/vdb: input/output error (EIO), at byte 4096");
        let error = Error::corrupt("read", "it ends too early");
        assert_eq!(
            words(Operation::ReadBack, 512, &error),
            "read back what was written to /dev/vdb: it ends too early at byte 512"
        );
        assert_eq!(words(Operation::Flush, NOWHERE, &error), "flush /dev/vdb: it ends too early");
    }
}

//! Carries out [`Command`]s on a disk: writes, or compares. It runs in a process of its own, beside the one that reads the image.
#![forbid(unsafe_code)]

use super::protocol::{Command, Failure, NOWHERE, Operation, Reply};
use super::zero_aware_hash::{BLOCK, BLOCK_BYTES, Fingerprint, is_zero};
use crate::disk::WriteAt;
use crate::error::Result;
use crate::sys::block::Device;
use crate::sys::worker::{Memory, Parent};
use crate::units::{ByteCount, MIB};

/// What is written first as zeros and then last, so that no half of an image looks like a system; and how far from the
/// end of the disk the backup of a table reaches, whatever was there before.
pub(super) const EDGE: u64 = MIB;

/// [`EDGE`], in memory.
pub(super) const HEAD: usize = EDGE as usize;

/// Why an image and a disk are not the same.
pub(super) const DIFFER: &str = "they differ";

/// Bytes that go to the disk, or come from it, in one request: more makes no disk faster.
pub(super) const REQUEST: usize = 2 << 20;

/// What an image is written onto. Offsets, lengths and memory are aligned as direct I/O needs them.
pub(super) trait Medium: WriteAt {
    /// No one needs what is there.
    fn discard(&self, at: ByteCount, length: ByteCount) -> Result<()>;
    /// Zeros, without a buffer of them.
    fn zero(&self, at: ByteCount, length: ByteCount) -> Result<()>;
    /// Anyone who reads next gets what the medium has.
    fn empty_cache(&self) -> Result<()>;
}

impl Medium for Device {
    fn discard(&self, at: ByteCount, length: ByteCount) -> Result<()> {
        Self::discard(self, at, length)
    }

    fn zero(&self, at: ByteCount, length: ByteCount) -> Result<()> {
        Self::zero(self, at, length)
    }

    fn empty_cache(&self) -> Result<()> {
        Self::empty_cache(self)
    }
}

/// For what the tasks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// The bytes are written.
    Write {
        /// And read back.
        verify: bool,
    },
    /// The disk should hold them.
    Compare,
}

/// The process that has the disk open.
pub(super) struct DiskWriter<'a> {
    medium: &'a dyn Medium,
    size: u64,
    deed: Mode,
    print: Fingerprint,
    /// What is read from the disk.
    found: Memory,
}

type Outcome = core::result::Result<(), Failure>;

impl<'a> DiskWriter<'a> {
    /// For a disk of `size` bytes.
    ///
    /// # Errors
    /// `Os`: no memory.
    pub fn new(medium: &'a dyn Medium, size: ByteCount, deed: Mode) -> Result<Self> {
        Ok(Self { medium, size: size.0, deed, print: Fingerprint::default(), found: Memory::new(REQUEST)? })
    }

    /// Does what `parent` asks for until that ends or something fails.
    pub fn serve(&mut self, parent: &mut Parent) {
        while let Ok(Some(request)) = parent.receive() {
            let Some(task) = Command::decode(&request.message) else { return };
            // That nothing hears this is seen at the next request.
            let mut reached = |at| drop(request.say(&Reply::Reached(at).encode()));
            let answer = match self.carry_out(task, request.part, &mut reached) {
                Err(fault) => return drop(parent.say(&Reply::Failed(fault).encode())),
                Ok(()) => Reply::Done,
            };
            if task.is_answered() && parent.give_back(&answer.encode()).is_err() {
                return;
            }
        }
    }

    /// Does one thing with the `bytes` that came with it; `reached` hears how far reading back is.
    fn carry_out(&mut self, task: Command, bytes: &[u8], reached: &mut dyn FnMut(u64)) -> Outcome {
        match task {
            Command::Bytes { at } => self.bytes(bytes, at),
            Command::Zeros { length, at } => self.zeros(length, at),
            Command::Prepare => self.prepare(),
            Command::Settle { end } => self.settle(end, reached),
            Command::Head => self.head(bytes),
            Command::Release => Ok(()),
        }
    }

    fn prepare(&self) -> Outcome {
        let tail = self.size.saturating_sub(EDGE);
        for (at, length) in [(0, self.size.min(EDGE)), (tail, self.size.saturating_sub(tail))] {
            let zeroed = self.medium.zero(ByteCount(at), ByteCount(length));
            zeroed.map_err(|error| Failure::of(Operation::Prepare, at, &error))?;
        }
        self.flush()?;
        // Only now: a discard may take minutes, and if the power fails within it, no old table may lead to missing data.
        let between = tail.saturating_sub(EDGE);
        if between > 0 {
            // A device without discard keeps its old bytes, which costs time and nothing else.
            let _ = self.medium.discard(ByteCount(EDGE), ByteCount(between));
        }
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8], at: u64) -> Outcome {
        match self.deed {
            Mode::Write { verify } => {
                if verify {
                    self.print.bytes(bytes);
                }
                let written = self.medium.write_at(ByteCount(at), bytes);
                written.map_err(|error| Failure::of(Operation::Write, at, &error))
            }
            Mode::Compare => {
                let found = self.read(at, bytes.len(), Operation::Compare)?;
                match found.iter().zip(bytes).position(|(found, byte)| found != byte) {
                    Some(place) => Err(differs(at.saturating_add(place as u64))),
                    None => Ok(()),
                }
            }
        }
    }

    fn zeros(&mut self, length: u64, at: u64) -> Outcome {
        match self.deed {
            Mode::Write { verify } => {
                if verify {
                    self.print.zeros(length);
                }
                let zeroed = self.medium.zero(ByteCount(at), ByteCount(length));
                zeroed.map_err(|error| Failure::of(Operation::Zero, at, &error))
            }
            Mode::Compare => self.each(at, at.saturating_add(length), Operation::Compare, |at, found| {
                if is_zero(found) {
                    return Ok(());
                }
                let place = found.iter().position(|byte| *byte != 0).unwrap_or_default();
                Err(differs(at.saturating_add(place as u64)))
            }),
        }
    }

    fn settle(&mut self, end: u64, reached: &mut dyn FnMut(u64)) -> Outcome {
        let Mode::Write { verify } = self.deed else { return Ok(()) };
        self.flush()?;
        if !verify {
            return Ok(());
        }
        let mut found = Fingerprint::default();
        self.each(EDGE, end, Operation::ReadBack, |at, bytes| {
            found.bytes(bytes);
            reached(at.saturating_add(bytes.len() as u64));
            Ok(())
        })?;
        let written = core::mem::take(&mut self.print);
        same(found.finish() == written.finish(), NOWHERE)
    }

    fn head(&mut self, bytes: &[u8]) -> Outcome {
        let Mode::Write { verify } = self.deed else { return self.bytes(bytes, 0) };
        self.medium.write_at(ByteCount(0), bytes).map_err(|error| Failure::of(Operation::Write, 0, &error))?;
        self.flush()?;
        if verify {
            let found = self.read(0, bytes.len(), Operation::ReadBack)?;
            same(found == bytes, 0)?;
        }
        self.medium.empty_cache().map_err(|error| Failure::of(Operation::Flush, NOWHERE, &error))
    }

    fn flush(&self) -> Outcome {
        self.medium.flush().map_err(|error| Failure::of(Operation::Flush, NOWHERE, &error))
    }

    /// Looks at the disk from `at` to `end`, a request at a time.
    fn each(&mut self, at: u64, end: u64, doing: Operation, mut look: impl FnMut(u64, &[u8]) -> Outcome) -> Outcome {
        let mut at = at;
        while at < end {
            let length = usize::try_from(end.saturating_sub(at)).map_or(REQUEST, |left| left.min(REQUEST));
            look(at, self.read(at, length, doing)?)?;
            at = at.saturating_add(length as u64);
        }
        Ok(())
    }

    /// What the disk holds; at most a request.
    fn read(&mut self, at: u64, length: usize, doing: Operation) -> core::result::Result<&[u8], Failure> {
        let room = self.found.bytes_mut().get_mut(..length).unwrap_or_default();
        self.medium.read_at(ByteCount(at), room).map_err(|error| Failure::of(doing, at, &error))?;
        Ok(room)
    }
}

const fn differs(at: u64) -> Failure {
    Failure::differs(Operation::Compare, at, DIFFER)
}

/// What was read back is what was written.
const fn same(is_same: bool, at: u64) -> Outcome {
    if is_same {
        Ok(())
    } else {
        Err(Failure::differs(Operation::ReadBack, at, "it holds other bytes than it was given"))
    }
}

// Reading back begins where a block does, and a request holds whole ones.
const _: () = assert!(EDGE.is_multiple_of(BLOCK_BYTES) && REQUEST.is_multiple_of(BLOCK) && HEAD <= REQUEST);

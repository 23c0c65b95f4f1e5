//! LZO1X, the decoder (the kernel's `Documentation/staging/lzo.rst` describes the stream).
//!
//! Copies are made in pieces of a fixed size where there is room to write too far: what is written too much lies where
//! the next bytes will come, and costs less than a length that the processor must guess.

/// Bytes of a fixed copy: one register.
const PIECE: usize = 16;

/// A distance of this many bytes ends the stream.
const END_DISTANCE: usize = 16 << 10;

/// Distances of a short match behind a long run of literals begin behind those of the other short ones.
const FAR: usize = 2 << 10;

/// Packed bytes that are left, and content as far as it is known.
struct State<'a> {
    packed: &'a [u8],
    output: &'a mut [u8],
    at: usize,
}

/// Unpacks the block `packed`, which must fill `output` exactly. Nothing else is a valid block, and gives `None`.
#[must_use]
pub(super) fn unpack(packed: &[u8], output: &mut [u8]) -> Option<()> {
    let mut state = State { packed, output, at: 0 };
    // Literals that the last instruction ended with; 4 for a run of them.
    let mut literals = 0;
    if let Some(&first) = packed.first().filter(|first| **first > 17) {
        state.byte()?;
        let count = usize::from(first).checked_sub(17)?;
        state.literals(count)?;
        literals = count.min(4);
    }
    // Each round takes at least one byte of `packed`.
    loop {
        let instruction = usize::from(state.byte()?);
        let (length, distance, tail) = match instruction {
            0..16 if literals == 0 => {
                let count = state.length(instruction, 15)?.checked_add(3)?;
                state.literals(count)?;
                literals = 4;
                continue;
            }
            0..16 => {
                let high = usize::from(state.byte()?) << 2;
                let (length, base) = if literals == 4 { (3, FAR) } else { (2, 0) };
                (length, base.checked_add(high | instruction >> 2)?.checked_add(1)?, instruction)
            }
            16..32 => {
                let length = state.length(instruction & 7, 7)?.checked_add(2)?;
                let low = state.pair()?;
                let distance = ((instruction & 8) << 11 | low >> 2).checked_add(END_DISTANCE)?;
                if distance == END_DISTANCE {
                    return (state.packed.is_empty() && state.at == state.output.len()).then_some(());
                }
                (length, distance, low)
            }
            32..64 => {
                let length = state.length(instruction & 31, 31)?.checked_add(2)?;
                let low = state.pair()?;
                (length, (low >> 2).checked_add(1)?, low)
            }
            _ => {
                let high = usize::from(state.byte()?) << 3;
                // 64..128 have one bit of length above 3, those from 128 two above 5: both are these three bits.
                let length = (instruction >> 5).checked_add(1)?;
                (length, (high | instruction >> 2 & 7).checked_add(1)?, instruction)
            }
        };
        state.repeat(length, distance)?;
        literals = tail & 3;
        state.literals(literals)?;
    }
}

impl State<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.packed.split_first()?;
        self.packed = rest;
        Some(*byte)
    }

    /// A little-endian number.
    fn pair(&mut self) -> Option<usize> {
        let (pair, rest) = self.packed.split_first_chunk()?;
        self.packed = rest;
        Some(usize::from(u16::from_le_bytes(*pair)))
    }

    /// A length whose bits in the instruction are `bits`; 0 says that zeros of 255 each and one more byte follow, all
    /// above `base`.
    fn length(&mut self, bits: usize, base: usize) -> Option<usize> {
        if bits != 0 {
            return Some(bits);
        }
        let zeros = self.packed.iter().position(|byte| *byte != 0)?;
        self.packed = self.packed.get(zeros..)?;
        let last = usize::from(self.byte()?);
        zeros.checked_mul(255)?.checked_add(base)?.checked_add(last)
    }

    /// Copies `count` bytes of the input.
    #[inline(always)]
    fn literals(&mut self, count: usize) -> Option<()> {
        let end = self.at.checked_add(count)?;
        let mut from = self.packed;
        self.packed = from.get(count..)?;
        while self.at < end {
            let piece = from.split_first_chunk::<PIECE>();
            if let (Some((piece, rest)), Some(room)) = (piece, self.room()) {
                *room = *piece;
                from = rest;
                self.at = self.at.wrapping_add(PIECE);
            } else {
                let left = end.checked_sub(self.at)?;
                self.output.get_mut(self.at..end)?.copy_from_slice(from.get(..left)?);
                break;
            }
        }
        self.at = end;
        Some(())
    }

    /// Copies `count` bytes of the output from `distance` before its end; they may overlap what they become.
    #[inline(always)]
    fn repeat(&mut self, count: usize, distance: usize) -> Option<()> {
        let mut from = self.at.checked_sub(distance)?;
        let end = self.at.checked_add(count)?;
        while self.at < end {
            let piece = self.output.get(from..).and_then(|rest| rest.first_chunk::<PIECE>()).copied();
            let (Some(piece), Some(room)) = (piece, self.room()) else { return self.repeat_last(from, end) };
            *room = piece;
            // A gap that is shorter than the piece grows by what of it was right: the pattern, once more.
            let gap = self.at.wrapping_sub(from);
            if gap >= PIECE {
                from = from.wrapping_add(PIECE);
            }
            self.at = self.at.wrapping_add(gap.min(PIECE));
        }
        self.at = end;
        Some(())
    }

    /// Where the next piece may be written without regard to what is meant to be there.
    #[inline(always)]
    fn room(&mut self) -> Option<&mut [u8; PIECE]> {
        self.output.get_mut(self.at..)?.first_chunk_mut()
    }

    /// As `repeat`, at the end of the output.
    #[cold]
    fn repeat_last(&mut self, mut from: usize, end: usize) -> Option<()> {
        while self.at < end {
            *self.output.get_mut(self.at)? = *self.output.get(from)?;
            from = from.wrapping_add(1);
            self.at = self.at.wrapping_add(1);
        }
        Some(())
    }
}

//! A tar with one disk image in it, as Google Compute Engine has its images: GNU's format of before POSIX, sizes above
//! 8 GiB in base 256, holes as `tar -S` notes them (GNU tar, "Basic Tar Format" and "Old GNU Format"); POSIX archives too.
//!
//! Which file is the image is not guessed by its name: there must be one file, and one only. That there is a second one
//! is seen at the end, when the first one was read; so no one may call a disk written before the end was reached.

use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;

use super::corrupt;
use crate::bytes::{ByteReader, ReadAt};
use crate::codec::{Input, Source};
use crate::error::{Error, Result};
use crate::units::ByteCount;

const DOING: &str = "read the tar";

pub(super) const BLOCK: usize = 512;

/// The fields of a header that are read, and written.
pub(super) const SIZE: usize = 124;
pub(super) const CHECKSUM: usize = 148;
pub(super) const TYPEFLAG: usize = 156;
pub(super) const MAGIC: usize = 257;
/// Those of `S`: the map of what is not a hole, whether it goes on in the next block, and the size with all holes.
const SPARSE: usize = 386;
const IS_EXTENDED: usize = 482;
const REAL_SIZE: usize = 483;
/// How many parts of the map a header has, and a block that it goes on in; there the flag is behind them.
const SPARSE_ENTRIES: usize = 4;
const EXTENSION_ENTRIES: usize = 21;
/// An entry: offset and length, a number each.
const SPARSE_ENTRY: usize = 2 * NUMBER;
pub(super) const NUMBER: usize = 12;

/// The field of the name, with which a header begins.
const NAME: usize = 100;

/// Headers beside that of the image: of a directory, of a long name, of POSIX.
const HEADERS: usize = 64;
/// Bytes of a POSIX header: a few lines.
const EXTENDED_HEADER: u64 = 64 << 10;
/// Blocks that a map of holes goes on in: 126,000 parts, which take 2 MiB; a GiB of ext4 has some thousand.
const EXTENSIONS: usize = 6000;

/// A part of a file that is not a hole: where in the file it begins, and its length, in bytes.
#[derive(Clone, Copy)]
struct Extent {
    at: u64,
    length: u64,
}

/// A file with holes or without.
struct File {
    /// What is stored of it, in order.
    extents: Vec<Extent>,
    size: u64,
}

/// What a header announces.
enum Entry {
    File(File),
    /// So many bytes that are not looked at.
    Other(u64),
}

/// The one file of an archive.
pub(super) struct Member<'a> {
    input: Input<'a>,
    file: File,
    /// The extent that `position` is in or before.
    next: usize,
    position: u64,
    is_complete: bool,
}

/// Whether a file that begins with `start` is a tar: its first header has its magic and its checksum.
pub(super) fn is_start(start: &[u8]) -> bool {
    let header = start.first_chunk::<BLOCK>();
    header.is_some_and(|header| {
        header.get(MAGIC..).is_some_and(|rest| rest.starts_with(b"ustar")) && is_intact(header).unwrap_or(false)
    })
}

/// Passes everything before the file.
pub(super) fn open(mut input: Input<'_>) -> Result<Member<'_>> {
    match next_file(&mut input)? {
        Some(file) => Ok(Member { input, file, next: 0, position: 0, is_complete: false }),
        None => Err(Error::absent(DOING, "no file is in it")),
    }
}

/// The file of an archive that is read at any offset: where its bytes are, without holes. `None` when it has holes or cannot
/// be told from others; that is found out, and said, by reading the archive from beginning to end. Of an OVA, which begins
/// with its description (`.ovf`; DSP0243, 5.3), it is the one file beside that, a manifest and a certificate.
pub(super) fn locate(source: &dyn ReadAt, size: u64) -> Result<Option<(u64, u64)>> {
    let (mut at, mut found, mut is_ova) = (0_u64, None, false);
    for index in 0..HEADERS {
        let passed = Cell::new(at);
        let mut input = Input::new(From { source, size, at: &passed });
        let entry = next_file(&mut input)?;
        let start = passed.get().saturating_sub(input.peek(0)?.len() as u64);
        drop(input);
        let Some(file) = entry else { return Ok(found) };
        let is_whole = matches!(file.extents.as_slice(), [extent] if extent.at == 0 && extent.length == file.size);
        let end = start.checked_add(file.size).filter(|end| *end <= size);
        let Some(end) = end.filter(|_| is_whole) else { return Ok(None) };
        let mut name = [0; NAME];
        source.read_at(ByteCount(start.saturating_sub(BLOCK as u64)), &mut name)?;
        is_ova |= index == 0 && has_ending(&name, b".ovf");
        let is_beside = is_ova && [b".ovf".as_slice(), b".mf", b".cert"].iter().any(|ending| has_ending(&name, ending));
        if !is_beside && found.replace((start, file.size)).is_some() {
            return Ok(None);
        }
        at = end.saturating_add(padding(file.size));
        if at >= size {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Whether a name field ends like this.
fn has_ending(name: &[u8; NAME], ending: &[u8]) -> bool {
    let length = name.iter().position(|&byte| byte == 0).unwrap_or(NAME);
    name.get(..length).unwrap_or_default().ends_with(ending)
}

/// What can be read at any offset, from `at` on.
struct From<'a> {
    source: &'a dyn ReadAt,
    size: u64,
    at: &'a Cell<u64>,
}

impl Source for From<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let at = self.at.get();
        // Headers only: what is between them is passed by going on behind it.
        let count = self.size.saturating_sub(at).min(BLOCK as u64).min(into.len() as u64) as usize;
        self.source.read_at(ByteCount(at), into.get_mut(..count).unwrap_or_default())?;
        self.at.set(at.saturating_add(count as u64));
        Ok(count)
    }
}

impl Member<'_> {
    pub(super) const fn size(&self) -> u64 {
        self.file.size
    }

    /// Looks at what comes behind the file: nothing but the end.
    fn complete(&mut self) -> Result<()> {
        let stored = self.file.extents.iter().fold(0_u64, |sum, extent| sum.saturating_add(extent.length));
        self.input.pass(padding(stored), DOING)?;
        if next_file(&mut self.input)?.is_some() {
            return Err(Error::unsupported(
                DOING,
                "it holds more than one file, and which is the image is not guessed",
            ));
        }
        // To the end of what it came in, which may have a checksum there.
        self.input.drain()?;
        self.is_complete = true;
        Ok(())
    }
}

impl Source for Member<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        if self.position >= self.file.size {
            if !self.is_complete {
                self.complete()?;
            }
            return Ok(0);
        }
        // Parts of no length are passed; each round passes one.
        loop {
            let behind = Extent { at: self.file.size, length: 0 };
            let extent = self.file.extents.get(self.next).copied().unwrap_or(behind);
            let end = extent.at.saturating_add(extent.length);
            let (count, is_hole) = if self.position < extent.at {
                (extent.at.saturating_sub(self.position), true)
            } else if self.position < end {
                (end.saturating_sub(self.position), false)
            } else {
                self.next = self.next.saturating_add(1);
                continue;
            };
            let count = usize::try_from(count).map_or(into.len(), |count| count.min(into.len()));
            let room = into.get_mut(..count).unwrap_or_default();
            let count = if is_hole {
                room.fill(0);
                count
            } else {
                match self.input.read(room)? {
                    0 => return Err(corrupt(DOING, "it ends too early")),
                    count => count,
                }
            };
            self.position = self.position.saturating_add(count as u64);
            return Ok(count);
        }
    }

    fn warning(&self) -> Option<&'static str> {
        self.input.warning()
    }
}

/// The zeros behind `length` bytes, up to a whole block.
pub(super) const fn padding(length: u64) -> u64 {
    length.wrapping_neg() & (BLOCK as u64).saturating_sub(1)
}

/// Passes headers up to that of a file; `None` when the archive ends.
fn next_file(input: &mut Input<'_>) -> Result<Option<File>> {
    let mut stated = None;
    for _ in 0..HEADERS {
        // An archive ends with two blocks of zeros; where it simply ends, nothing is missing either.
        if input.peek(1)?.is_empty() {
            return Ok(None);
        }
        let header: [u8; BLOCK] = input.array(DOING)?;
        if header.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        if !is_intact(&header)? {
            return Err(corrupt(DOING, "checksum of a header does not match"));
        }
        if header.get(TYPEFLAG) == Some(&b'x') {
            stated = extended_header(input, number(&header, SIZE)?)?;
            continue;
        }
        match parse(input, &header, stated.take())? {
            Entry::File(file) => return Ok(Some(file)),
            Entry::Other(length) => input.pass(length.saturating_add(padding(length)), DOING)?,
        }
    }
    Err(Error::unsupported(DOING, "it begins with more than 64 entries that are no files"))
}

/// What an intact header announces; `stated` is the size that a POSIX header before it stated.
fn parse(input: &mut Input<'_>, header: &[u8; BLOCK], stated: Option<u64>) -> Result<Entry> {
    let size = || stated.map_or_else(|| number(header, SIZE), Ok);
    Ok(match header.get(TYPEFLAG).copied().unwrap_or_default() {
        b'0' | 0 | b'7' => {
            let size = size()?;
            Entry::File(File { extents: vec![Extent { at: 0, length: size }], size })
        }
        b'S' => Entry::File(sparse(input, header, size()?)?),
        // Links, devices and pipes, none of which has content whatever its size says.
        b'1'..=b'4' | b'6' => Entry::Other(0),
        // Directories; long names; a POSIX header for all.
        b'5' | b'K' | b'L' | b'g' => Entry::Other(number(header, SIZE)?),
        _ => return Err(Error::unsupported(DOING, "it holds an entry of a type that is not known")),
    })
}

/// The size that a POSIX header states, if it does. Holes noted in one would be packed away in the file itself.
fn extended_header(input: &mut Input<'_>, length: u64) -> Result<Option<u64>> {
    if length > EXTENDED_HEADER {
        return Err(Error::refused(DOING, "a header has more than 64 KiB"));
    }
    let length = length as usize;
    let mut rest = input.peek(length)?.get(..length).ok_or_else(|| corrupt(DOING, "it ends too early"))?;
    let mut stated = None;
    // Each record is `LENGTH KEY=VALUE\n`, the length counting itself.
    while let Some(space) = rest.iter().position(|&byte| byte == b' ') {
        let (digits, _) = rest.split_at(space);
        let count = decimal(digits).and_then(|count| usize::try_from(count).ok()).unwrap_or_default();
        let record = rest.get(space..count).and_then(|record| record.strip_prefix(b" ")?.strip_suffix(b"\n"));
        let record = record.ok_or_else(|| corrupt(DOING, "a POSIX header is not made of records"))?;
        if record.starts_with(b"GNU.sparse.") {
            return Err(Error::unsupported(
                DOING,
                "its holes are noted as POSIX wants it; `tar --format=oldgnu` is read",
            ));
        }
        if let Some(value) = record.strip_prefix(b"size=") {
            stated = Some(decimal(value).ok_or_else(|| corrupt(DOING, "a POSIX header states no size"))?);
        }
        rest = rest.get(count..).unwrap_or_default();
    }
    let length = length as u64;
    input.pass(length.saturating_add(padding(length)), DOING)?;
    Ok(stated)
}

/// The map of a file with holes, which must account for all `stored` bytes, and its size with all of them.
fn sparse(input: &mut Input<'_>, header: &[u8; BLOCK], stored: u64) -> Result<File> {
    let contradiction = || corrupt(DOING, "the map of its holes contradicts itself");
    let size = number(header, REAL_SIZE)?;
    let mut extents = Vec::new();
    let (mut sum, mut end) = (0_u64, 0_u64);
    let mut block = *header;
    let (mut at, mut entries, mut flag) = (SPARSE, SPARSE_ENTRIES, IS_EXTENDED);
    for _ in 0..=EXTENSIONS {
        for index in 0..entries {
            let at = at.saturating_add(index.saturating_mul(SPARSE_ENTRY));
            let length_at = at.saturating_add(NUMBER);
            // The first unused entry is the last that is looked at.
            if block.get(length_at) == Some(&0) {
                break;
            }
            let (start, length) = (number(&block, at)?, number(&block, length_at)?);
            if start < end {
                return Err(contradiction());
            }
            end = start.checked_add(length).filter(|end| *end <= size).ok_or_else(contradiction)?;
            sum = sum.saturating_add(length);
            extents.push(Extent { at: start, length });
        }
        if block.get(flag).is_none_or(|&flag| flag == 0) {
            return if sum == stored { Ok(File { extents, size }) } else { Err(contradiction()) };
        }
        block = input.array(DOING)?;
        (at, entries, flag) = (0, EXTENSION_ENTRIES, EXTENSION_ENTRIES.saturating_mul(SPARSE_ENTRY));
    }
    Err(Error::refused(DOING, "the file in it has more than 126,000 holes"))
}

/// Whether a header's checksum is right: the sum of its bytes, those of the checksum taken as blanks.
fn is_intact(header: &[u8; BLOCK]) -> Result<bool> {
    let stated = header.get(CHECKSUM..).and_then(|rest| rest.get(..8)).and_then(octal);
    Ok(stated.is_some_and(|stated| stated == u64::from(checksum(header))))
}

pub(super) fn checksum(header: &[u8; BLOCK]) -> u32 {
    let own = CHECKSUM..CHECKSUM.saturating_add(8);
    let bytes = header.iter().enumerate();
    bytes.fold(0, |sum, (index, &byte)| sum.wrapping_add(if own.contains(&index) { b' ' } else { byte }.into()))
}

/// The number of twelve bytes at `at`: octal digits, or, with the highest bit set, the number itself.
fn number(block: &[u8; BLOCK], at: usize) -> Result<u64> {
    let bytes: [u8; NUMBER] = ByteReader::new(block, DOING).array(at)?;
    let number = match bytes {
        [0x80, 0, 0, 0, low @ ..] => Some(u64::from_be_bytes(low)),
        [first, ..] if first & 0x80 != 0 => None,
        _ => octal(&bytes),
    };
    number.ok_or_else(|| corrupt(DOING, "a header has no number where one must be"))
}

/// Digits between blanks before and a blank or zero behind; none at all are 0.
fn octal(bytes: &[u8]) -> Option<u64> {
    let digits = bytes.trim_ascii_start();
    let end = digits.iter().position(|byte| matches!(byte, 0 | b' ')).unwrap_or(digits.len());
    let digit = |value: u64, byte: &u8| match byte {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(u64::from(byte & 7)),
        _ => None,
    };
    digits.get(..end)?.iter().try_fold(0, digit)
}

fn decimal(digits: &[u8]) -> Option<u64> {
    core::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;

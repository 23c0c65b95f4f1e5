//! The names in an initramfs: `newc` archives behind each other, each perhaps compressed, as the kernel unpacks them
//! (Documentation/driver-api/early-userspace/buffer-format.rst). Contents are passed over.

use alloc::string::String;

use super::corrupt;
use crate::codec::{self, Input};
use crate::error::Result;

const DOING: &str = "read the initramfs";
/// The header of an entry, all of it digits behind the magic.
const HEADER: usize = 110;
/// The magic of `newc`, with and without checksums.
const MAGICS: [&[u8]; 2] = [b"070701", b"070702"];
/// The kernel takes no longer names.
const NAME_LIMIT: u64 = 4096;
/// Entries of all archives together: a full one of dracut has some 5,000, one with every driver and firmware 20,000.
const ENTRIES_LIMIT: u32 = 200_000;
/// Bytes that it may unpack to: small machines have no more memory, and large initramfs have half of it.
const UNPACKED_LIMIT: u64 = 1 << 30;

/// Tells `each` every name in the initramfs `input`.
///
/// # Errors
/// `Corrupt` when it is no initramfs or ends too early, `Refused` when there are too many names or bytes, and those of
/// the compression.
pub fn names(mut input: Input<'_>, each: &mut dyn FnMut(&str)) -> Result<()> {
    let mut left = ENTRIES_LIMIT;
    let mut is_unpacked = false;
    loop {
        pass_zeros(&mut input)?;
        let start = input.peek(MAGICS[0].len())?;
        if start.is_empty() {
            return Ok(());
        }
        if !MAGICS.iter().any(|magic| start.starts_with(magic)) {
            // In what was unpacked the kernel takes nothing compressed, and each such layer would cost a decoder.
            if is_unpacked || input.format()?.is_none() {
                return Err(corrupt(DOING, "it is neither a cpio archive nor compressed"));
            }
            // The last one: a decoder takes all that follows.
            input = codec::unpack(input, UNPACKED_LIMIT)?;
            is_unpacked = true;
            continue;
        }
        left = left.checked_sub(1).ok_or_else(|| corrupt(DOING, "it has too many entries"))?;
        if let Some(name) = entry(&mut input)? {
            each(&name);
        }
    }
}

/// The name of the next entry, behind which its content is passed; `None` for the end of an archive.
fn entry(input: &mut Input<'_>) -> Result<Option<String>> {
    let header = input.array::<HEADER>(DOING)?;
    let field = |index: usize| {
        let at = index.saturating_mul(8).saturating_add(6);
        let digits = header.get(at..at.saturating_add(8)).and_then(|digits| core::str::from_utf8(digits).ok());
        digits
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .ok_or_else(|| corrupt(DOING, "a header is damaged"))
    };
    let (c_filesize, c_namesize) = (field(6)?, field(11)?);
    if c_namesize > NAME_LIMIT {
        return Err(corrupt(DOING, "a name is too long"));
    }
    let length = c_namesize as usize;
    let name = input.peek(length)?.get(..length).ok_or_else(|| corrupt(DOING, "it ends too early"))?;
    let name = String::from_utf8_lossy(name.strip_suffix(b"\0").unwrap_or(name)).into_owned();
    let padded = (HEADER as u64).saturating_add(c_namesize).next_multiple_of(4).saturating_sub(HEADER as u64);
    input.pass(padded, DOING)?;
    input.pass(c_filesize.next_multiple_of(4), DOING)?;
    Ok(Some(name).filter(|name| name != "TRAILER!!!"))
}

/// Archives begin at some boundary or other behind the last.
fn pass_zeros(input: &mut Input<'_>) -> Result<()> {
    loop {
        let ahead = input.peek(1)?;
        match ahead.iter().position(|byte| *byte != 0) {
            Some(zeros) => {
                input.take(zeros);
                return Ok(());
            }
            None if ahead.is_empty() => return Ok(()),
            None => {
                let all = ahead.len();
                input.take(all);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::cpio::Archive;
    use super::*;
    use crate::codec::Format;
    use crate::error::Kind;
    use alloc::vec::Vec;

    fn archive(paths: &[&str]) -> Vec<u8> {
        let mut archive = Archive::new();
        for path in paths {
            archive.add_file(path, 0o644, path.as_bytes()).unwrap();
        }
        archive.emit()
    }

    fn read(bytes: &[u8]) -> Result<Vec<String>> {
        let mut out = Vec::new();
        names(Input::new(bytes), &mut |name| out.push(name.into()))?;
        Ok(out)
    }

    #[test]
    fn archives_behind_each_other_are_one() {
        let mut bytes = archive(&["kernel/microcode"]);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes.extend(archive(&["early"]));
        let main = archive(&["lib/modules/a.ko", "init"]);
        let wanted = ["kernel", "kernel/microcode", "early", "init", "lib", "lib/modules", "lib/modules/a.ko"];
        for packed in [Format::Zstd, Format::Gzip, Format::Xz].map(|format| format.encode(&main).unwrap()) {
            assert_eq!(read(&[&*bytes, &*packed].concat()), Ok(wanted.map(String::from).to_vec()));
        }
        assert_eq!(read(&[bytes, main].concat()), Ok(wanted.map(String::from).to_vec()));
        assert_eq!((read(b""), read(&[0; 700])), (Ok(Vec::new()), Ok(Vec::new())));
    }

    #[test]
    fn what_is_no_initramfs_is_corrupt() {
        assert_eq!(read(b"#!/bin/sh\n").unwrap_err().kind, Kind::Corrupt);
        let packed = |bytes: &[u8]| Format::Gzip.encode(bytes).unwrap();
        let within = [archive(&["a"]), packed(&archive(&["b"]))].concat();
        assert!(read(&within).is_ok());
        assert_eq!(read(&packed(&within)).unwrap_err().kind, Kind::Corrupt, "layers without end could follow");
        let sound = archive(&["a", "bcd/e"]);
        for end in 1..sound.len() - 8 {
            // Cut within the zeros behind the last entry, nothing is missing.
            if let Err(error) = read(&sound[..end]) {
                assert_eq!(error.kind, Kind::Corrupt, "{end}");
            }
        }
        for at in 0..sound.len() {
            let mut damaged = sound.clone();
            damaged[at] ^= 0x11;
            let _ = read(&damaged);
        }
    }
}

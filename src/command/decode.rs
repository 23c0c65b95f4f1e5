//! `wisp decode`: lets [`crate::codec`] unpack a file of any size to standard output, in bounded memory.

use alloc::format;
use alloc::string::String;
use alloc::vec;

use super::{Command, Options, Piece, unknown};
use crate::codec::{self, Input, Source as _};
use crate::error::{Error, Kind, Result};
use crate::log::Log;
use crate::sys::{file, stdio};

const DOING: &str = "unpack";

/// The largest block of the formats that can be unpacked without a copy, lz4. A decoder that hands out less at once
/// leaves the rest of it untouched, so that it costs nothing.
const BUFFER: usize = 4 << 20;

pub(super) const COMMAND: Command = Command {
    name: "decode",
    usage: "[--once] [FILE]",
    summary: "Unpack gzip, bzip2, xz, lzma, lzop, lz4 or zstd to standard output",
    help: "FILE is standard input if it is missing or -. The format is told by the first\n\
           bytes. All members and frames are unpacked, and what they hold is unpacked\n\
           again while it is compressed itself. Checksums are verified; an error may\n\
           come after part of the output. Windows above 128 MiB (zstd) and dictionaries\n\
           above 64 MiB (xz, lzma) are refused.\n\
           \n\
           --once   undo one layer of compression only\n",
    takes_any_word: false,
    run,
};

fn run(arguments: &[&str]) -> Result<u8> {
    let (mut path, mut once) = (None, false);
    let mut options = Options::new(arguments);
    while let Some(piece) = options.next() {
        match piece {
            Piece::Option("--once", None) => once = true,
            Piece::Option(name, _) => return Err(unknown(name)),
            Piece::Operand(operand) => {
                if path.replace(operand).is_some() {
                    return Err(Error::usage(super::DOING, "one FILE is enough").to(operand));
                }
            }
        }
    }
    let (input, name) = match path.filter(|path| *path != "-") {
        None => (Input::new(file::Stream(stdio::input())), "standard input"),
        Some(path) => (Input::new(file::Stream::open(path).map_err(|error| absent(error, path))?), path),
    };
    decode(input, once, name).map(|()| 0).map_err(|error| error.to(name))
}

/// A missing file is `Absent`, as for `wisp image`.
fn absent(error: Error, path: &str) -> Error {
    /// ENOENT.
    const NOT_THERE: Kind = Kind::Os(2);
    if error.kind == NOT_THERE { Error::absent("open", "No such file or directory").to(path) } else { error }
}

fn decode(mut packed: Input<'_>, once: bool, name: &str) -> Result<()> {
    let Some(format) = packed.format()? else { return Err(unknown_format(packed.peek(1)?)) };
    let mut plain = format.decoder(packed);
    if !once {
        plain = codec::unpack(plain, u64::MAX)?;
    }
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = plain.read(&mut buffer)?;
        let content = buffer.get(..count).unwrap_or_default();
        // A reader that went away has all it wants.
        if content.is_empty()
            && let Some(warning) = plain.warning()
        {
            Log::stderr().warning(&format!("{DOING} {name}: {warning}"));
        }
        if content.is_empty() || !stdio::write(stdio::output(), content).map_err(|error| error.to("standard output"))? {
            return Ok(());
        }
    }
}

/// Names the first bytes of something that begins like none of the formats.
fn unknown_format(start: &[u8]) -> Error {
    /// As many as any magic number has.
    const SHOWN: usize = 8;
    if start.is_empty() {
        return Error::unsupported(DOING, "it is empty");
    }
    let mut why = String::from("no format that wisp unpacks begins with");
    for byte in start.iter().take(SHOWN) {
        why.push_str(&format!(" {byte:02x}"));
    }
    Error::unsupported(DOING, why)
}

//! `wisp image write`: an image onto a disk; `wisp image verify`: whether it is there.
#![forbid(unsafe_code)]

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::progress::{self, Display, Show};
use crate::command::{Command, DOING, Options, Piece, print, seconds, unknown};
use crate::error::{Error, Result};
use crate::fetch::Policy;
use crate::image::write::{self, Outcome, WriteOptions};
use crate::image::{Environment, Spool};
use crate::log::Log;
use crate::sys::stdio;
use crate::text::checksum::Checksum;
use crate::units::ByteCount;

pub(in crate::command) const WRITE: Command = Command {
    name: "image write",
    usage: "[OPTION]... SOURCE TARGET",
    summary: "Write an image onto a disk",
    help: "Overwrites TARGET, a block device that nothing uses. SOURCE is a file, a block\n\
           device, a URL, or - for standard input. A raw disk, a fixed VHD and a tar with\n\
           a raw disk may be compressed or come from a pipe; qcow2, a dynamic VHD and VMDK\n\
           are read in place. Compressed or from a pipe these become a temporary file\n\
           first, which has no name; its size is printed before. Zeros are not written:\n\
           the device is asked to have them. The first MiB is written last, so a disk on\n\
           which this was interrupted does not boot; nothing is left to do then but to\n\
           start again. Afterwards the backup of a GPT is moved to the end of the disk.\n\
           \n\
           --sha256 HEX    the SHA-256 that SOURCE must have, as its file is, not unpacked\n\
           --sha512 HEX    or its SHA-512\n\
           --size SIZE     the size that the disk in it must have: bytes, or 10G\n\
           --verify        read everything back from the medium\n\
           --raw           write SOURCE even if it has no partition table, filesystem or\n\
           \x20               boot sector, or ends before its filesystems do\n\
           --grow          grow the partition that ends last, and its filesystem\n\
           --dry-run, -n   say what would be overwritten and do nothing\n\
--spool DIR     where what must become a temporary file goes (TMPDIR, else\n\
           \x20               /var/tmp, else /tmp)\n\
           --timeout N     give up when the server is silent for N seconds (10 for the\n\
           \x20               first reply, then 300)\n\
           --json          progress and result as lines of JSON on standard output\n\
           --quiet, -q     no progress, only the result\n",
    takes_any_word: false,
    run: |arguments| run(arguments, Action::Write),
};

pub(in crate::command) const VERIFY: Command = Command {
    name: "image verify",
    usage: "[OPTION]... SOURCE TARGET",
    summary: "Compare an image with what a disk holds",
    help: "Says the first byte at which they differ, with exit code 5. What wisp changes in\n\
           the GPT of a disk larger than the image may be there or not. A system that ran\n\
           from the disk, and --grow, change more.\n\
           \n\
           --sha256 HEX    the SHA-256 that SOURCE must have, as its file is, not unpacked\n\
           --sha512 HEX    or its SHA-512\n\
           --size SIZE     the size that the disk in it must have: bytes, or 10G\n\
--spool DIR     where what must become a temporary file goes (TMPDIR, else\n\
           \x20               /var/tmp, else /tmp)\n\
           --timeout N     give up when the server is silent for N seconds (10 for the\n\
           \x20               first reply, then 300)\n\
           --json          progress and result as lines of JSON on standard output\n\
           --quiet, -q     no progress\n",
    takes_any_word: false,
    run: |arguments| run(arguments, Action::Verify),
};

/// How a URL begins whose bytes anybody on the way may change; the letters of a scheme have no case (RFC 3986, 3.1).
const PLAIN: &str = "http://";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Write,
    Look,
    Verify,
}

/// How the end is told in JSON; every key is always there.
#[derive(miniserde::Serialize)]
struct EndJson<'a> {
    event: &'a str,
    target: &'a str,
    size: u64,
    written: u64,
    zeroed: u64,
    milliseconds: u64,
    digest: Option<String>,
    verified: bool,
    notes: &'a [String],
    kind: Option<&'a str>,
    why: Option<String>,
}

fn run(arguments: &[&str], deed: Action) -> Result<u8> {
    let Arguments { order, deed, show, timeout, spool } = read(arguments, deed)?;
    let mut display = Display::new(show);
    let log = Log::stderr();
    let notify = |text: &str| log.info(text);
    let is_plain = order.source.get(..PLAIN.len()).is_some_and(|start| start.eq_ignore_ascii_case(PLAIN));
    if is_plain && order.expected.checksum.is_none() {
        log.warning("nothing vouches for what comes over http: without its digest anybody on the way may change it");
    }
    let directory = super::spool_directory(spool);
    let spool = Some(Spool { directory: &directory, target: None });
    let means = Environment { servers: &[], notify: &notify, policy: Policy::COMMAND.within(timeout), spool };
    let mut shown = |progress: &crate::image::Progress| display.progress(progress);
    let outcome = match deed {
        Action::Write => write::write(&order, means, &mut shown),
        Action::Verify => write::verify(&order, means, &mut shown),
        Action::Look => write::look(&order, means).map(|notes| Outcome { notes, ..Outcome::default() }),
    };
    display.clear();
    if show == Show::Json {
        print(&json(&order, deed, &outcome, &display))?;
    }
    let outcome = outcome?;
    if show != Show::Json {
        for note in &outcome.notes {
            print(&format!("{note}\n"))?;
        }
        if deed != Action::Look {
            print(&summary(&order, deed, &outcome, &display))?;
        }
    }
    Ok(0)
}

/// What the arguments say.
struct Arguments<'a> {
    order: WriteOptions<'a>,
    deed: Action,
    show: Show,
    timeout: Option<Duration>,
    /// Where a temporary file goes, if that was said.
    spool: Option<&'a str>,
}

fn read<'a>(arguments: &'a [&'a str], deed: Action) -> Result<Arguments<'a>> {
    let is_write = deed == Action::Write;
    let mut order = WriteOptions::default();
    let (mut deed, mut timeout, mut spool) = (deed, None, None);
    let mut show = if stdio::is_terminal(stdio::error()) { Show::Terminal } else { Show::Lines };
    let mut operands: Vec<&str> = Vec::new();
    let mut options = Options::new(arguments);
    while let Some(piece) = options.next() {
        match piece {
            Piece::Option(name @ ("--sha256" | "--sha512"), value) => {
                order.expected.checksum = Some(checksum(name, options.value(name, value)?)?);
            }
            Piece::Option("--size", value) => order.expected.size = Some(size(options.value("--size", value)?)?),
            Piece::Option("--verify", None) if is_write => order.verify = true,
            Piece::Option("--grow", None) if is_write => order.grow = true,
            Piece::Option("--raw", None) if is_write => order.raw = true,
            Piece::Option("--dry-run" | "-n", None) if is_write => deed = Action::Look,
            Piece::Option(name @ "--timeout", value) => timeout = Some(seconds(name, options.value(name, value)?)?),
            Piece::Option("--spool", value) => spool = Some(options.value("--spool", value)?),
            Piece::Option("--json", None) => show = Show::Json,
            Piece::Option("--quiet" | "-q", None) => show = Show::Nothing,
            Piece::Option(name, _) => return Err(unknown(name)),
            Piece::Operand(operand) => operands.push(operand),
        }
    }
    let &[source, target] = operands.as_slice() else {
        return Err(Error::usage(DOING, "one SOURCE and one TARGET are needed"));
    };
    if source.is_empty() || target.is_empty() {
        return Err(Error::usage(DOING, "SOURCE or TARGET is empty"));
    }
    (order.source, order.target) = (source, target);
    Ok(Arguments { order, deed, show, timeout, spool })
}

/// The value of the option `name`, `--sha256` or `--sha512`.
pub(super) fn checksum(name: &str, text: &str) -> Result<Checksum> {
    Checksum::parse(name.trim_start_matches('-'), text).map_err(|error| error.to(name))
}

/// Bytes, or a number with a letter: `10G` is 10 GiB.
pub(super) fn size(text: &str) -> Result<ByteCount> {
    const UNITS: [(char, u32); 4] = [('K', 10), ('M', 20), ('G', 30), ('T', 40)];
    let unit = UNITS.iter().find_map(|(letter, power)| Some((text.strip_suffix(*letter)?, *power)));
    let (number, power) = unit.unwrap_or((text, 0));
    let plain = number.bytes().all(|byte| byte.is_ascii_digit());
    let bytes =
        number.parse::<u64>().ok().filter(|_| plain).and_then(|number| number.checked_mul(1u64.checked_shl(power)?));
    let wrong =
        || Error::usage(DOING, "a number of bytes is meant, or one with K, M, G or T").to(format!("--size {text}"));
    bytes.filter(|bytes| *bytes > 0).map(ByteCount).ok_or_else(wrong)
}

/// `wrote 4 GiB (1.1 GiB of data) to /dev/vdb in 12.3 s, 340 MiB/s; SHA-256 verified; read back`.
fn summary(order: &WriteOptions<'_>, deed: Action, outcome: &Outcome, display: &Display) -> String {
    let took = display.took();
    let (size, data, target) = (outcome.size, outcome.written, order.target);
    let mut text = match deed {
        Action::Verify => format!("{target} holds the image, {size} ({data} of data)"),
        _ => format!("wrote {size} ({data} of data) to {target}"),
    };
    text.push_str(&format!(" in {} s", progress::seconds(took)));
    text.extend(progress::rate(size.0, took).map(|rate| format!(", {rate}")));
    if let Some(digest) = outcome.checksum {
        text.push_str(&format!("; {} verified", digest.name()));
    }
    if order.verify {
        text.push_str("; read back");
    }
    text.push('\n');
    text
}

fn json(order: &WriteOptions<'_>, deed: Action, outcome: &Result<Outcome>, display: &Display) -> String {
    let nothing = Outcome::default();
    let (done, error) = match outcome {
        Ok(done) => (done, None),
        Err(error) => (&nothing, Some(error)),
    };
    let mut line = miniserde::json::to_string(&EndJson {
        event: if error.is_some() { "failed" } else { "done" },
        target: order.target,
        size: done.size.0,
        written: done.written.0,
        zeroed: done.zeroed.0,
        milliseconds: u64::try_from(display.took().as_millis()).unwrap_or(u64::MAX),
        digest: done.checksum.map(|digest| format!("{}:{}", digest.word(), digest.digits())),
        verified: error.is_none() && (order.verify || deed == Action::Verify),
        notes: &done.notes,
        kind: error.map(|error| error.kind.name()),
        why: error.map(|error| format!("{error}")),
    });
    line.push('\n');
    line
}

//! `wisp image pack`: makes of a disk the file that a cloud imports.
//!
//! JSON, a stable format: `findings`, the list of what `--check` found, or null; `packed`, null where no file was wanted
//! or what was found kept it from being made, else `format` (`raw`, `vhd`, `tar.gz`, `qcow2`), `disk` and `size` for the
//! bytes of the disk and of the file, `data` for those of the disk in blocks that are not all zeros, and `notes` in words.
//! What fails has `event`, which is `failed`, `kind` and `why` instead, as for `wisp image write`.
#![forbid(unsafe_code)]

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::progress::{Display, Show};
use super::write;
use crate::command::{Command, DOING, Options, Piece, seconds, unknown};
use crate::error::{Error, Result};
use crate::fetch::Policy;
use crate::image::lint::{self, Finding};
use crate::image::pack::{self, Format, Outcome, PackOptions};
use crate::image::{Cloud, Environment, Spool};
use crate::log::Log;
use crate::sys::{environment, stdio};

pub(in crate::command) const COMMAND: Command = Command {
    name: "image pack",
    usage: "--for CLOUD [OPTION]... SOURCE [FILE]",
    summary: "Make the file that a cloud imports",
    help: "SOURCE is what wisp image write takes: a file, a device, a URL, - for standard\n\
           input. The disk grows to what CLOUD asks for, and the backup of its GPT moves\n\
           to the new end. FILE appears when it is whole; a tar.gz may go to -, standard\n\
           output. The same SOURCE gives the same bytes; their time is SOURCE_DATE_EPOCH,\n\
           or 0.\n\
           \n\
           --for CLOUD     aws: raw; azure: vhd, fixed, of whole MiB; gcp: tar.gz with a\n\
           \x20               disk.raw of whole GiB; oci and nocloud: qcow2\n\
           --format KIND   another one: vhd for aws, raw for nocloud\n\
           --size SIZE     at least so large a disk: bytes, or 10G\n\
           --check         look first for what would keep machines of CLOUD from working,\n\
           \x20               and make nothing when something would; without FILE, only look\n\
           --raw           pack SOURCE even if it has no partition table, filesystem or\n\
           \x20               boot sector, or ends before its filesystems do\n\
           --sha256 HEX    the SHA-256 that SOURCE must have\n\
           --sha512 HEX    or its SHA-512\n\
--spool DIR     where what must become a temporary file goes (TMPDIR, else\n\
           \x20               /var/tmp, else /tmp)\n\
           --timeout N     give up when the server is silent for N seconds (10 for the\n\
           \x20               first reply, then 300)\n\
           --json          the result as one line of JSON\n\
           --quiet, -q     no progress\n",
    takes_any_word: false,
    run,
};

/// What the arguments say.
struct Arguments<'a> {
    cloud: Cloud,
    order: PackOptions<'a>,
    is_checked: bool,
    /// Whether there is a FILE to make.
    is_packed: bool,
    is_json: bool,
    progress: Show,
    timeout: Option<Duration>,
    /// Where a temporary file goes, if that was said.
    spool: Option<&'a str>,
}

#[derive(miniserde::Serialize)]
struct OutcomeJson<'a> {
    format: &'a str,
    disk: u64,
    size: u64,
    data: u64,
    notes: &'a [String],
}

fn run(arguments: &[&str]) -> Result<u8> {
    let Arguments { cloud, mut order, is_checked, is_packed, is_json, progress, timeout, spool } = read(arguments)?;
    if let Some(time) = environment::variable(c"SOURCE_DATE_EPOCH").filter(|_| is_packed) {
        let wrong = || Error::usage("read SOURCE_DATE_EPOCH", "it is no number of seconds").to(time.as_str());
        order.time = time.parse().map_err(|_| wrong())?;
    }
    // Where the file itself goes to standard output, nothing else does.
    let show = |text: &str| {
        stdio::write_all(if order.file == "-" { stdio::error() } else { stdio::output() }, text.as_bytes())
    };
    let directory = super::spool_directory(spool);
    let means = Environment {
        servers: &[],
        notify: &|line| Log::stderr().info(line),
        policy: Policy::COMMAND.within(timeout),
        spool: Some(Spool { directory: &directory, target: None }),
    };
    let report = |error: Error| {
        if is_json {
            show(&super::failed(&error));
        }
        error
    };
    let findings =
        if is_checked { Some(pack::check(order.source, means, cloud, is_packed).map_err(report)?) } else { None };
    if !is_json {
        // Packing takes its time, and may fail.
        show(&findings.as_deref().map(lint::lines).unwrap_or_default());
    }
    let is_faulty = findings.as_deref().is_some_and(lint::has_fault);
    let mut outcome = None;
    if is_packed && !is_faulty {
        let mut display = Display::new(progress);
        let result = pack::pack(&order, means, &mut |progress| display.progress(progress));
        display.clear();
        outcome = Some(result.map_err(report)?);
    }
    if is_json {
        show(&json(&order, findings.as_deref(), outcome.as_ref()));
    } else if let Some(outcome) = &outcome {
        show(&words(&order, outcome));
    }
    match (is_faulty, is_packed) {
        (false, _) => Ok(0),
        (true, true) => {
            let why = "machines of it would not work; without --check it is packed as it is";
            Err(Error::refused("pack the image", why).to(order.source))
        }
        (true, false) => Err(Error::refused("pass the image", "machines of it would not work").to(order.source)),
    }
}

fn read<'a>(arguments: &'a [&'a str]) -> Result<Arguments<'a>> {
    let (mut cloud, mut kind, mut size, mut checksum) = (None, None, None, None);
    let (mut is_checked, mut is_json, mut is_raw, mut timeout, mut spool) = (false, false, false, None, None);
    let mut progress = if stdio::is_terminal(stdio::error()) { Show::Terminal } else { Show::Lines };
    let mut operands: Vec<&str> = Vec::new();
    let mut options = Options::new(arguments);
    while let Some(piece) = options.next() {
        match piece {
            Piece::Option(name @ "--for", value) => {
                let word = options.value(name, value)?;
                let wrong = || Error::usage(DOING, "--for takes aws, azure, gcp, oci or nocloud").to(word);
                cloud = Some(Cloud::named(word).ok_or_else(wrong)?);
            }
            Piece::Option(name @ "--format", value) => kind = Some(options.value(name, value)?),
            Piece::Option(name @ "--size", value) => size = Some(write::size(options.value(name, value)?)?),
            Piece::Option(name @ ("--sha256" | "--sha512"), value) => {
                checksum = Some(write::checksum(name, options.value(name, value)?)?);
            }
            Piece::Option(name @ "--timeout", value) => timeout = Some(seconds(name, options.value(name, value)?)?),
            Piece::Option("--spool", value) => spool = Some(options.value("--spool", value)?),
            Piece::Option("--check", None) => is_checked = true,
            Piece::Option("--raw", None) => is_raw = true,
            Piece::Option("--json", None) => (is_json, progress) = (true, Show::Nothing),
            Piece::Option("--quiet" | "-q", None) => progress = Show::Nothing,
            Piece::Option(name, _) => return Err(unknown(name)),
            Piece::Operand(operand) => operands.push(operand),
        }
    }
    let cloud = cloud.ok_or_else(|| Error::usage(DOING, "--for CLOUD is missing"))?;
    let (source, file) = match *operands.as_slice() {
        [source, file] => (source, Some(file)),
        [source] if is_checked => (source, None),
        _ => return Err(Error::usage(DOING, "one SOURCE and one FILE are needed")),
    };
    if source.is_empty() || file == Some("") {
        return Err(Error::usage(DOING, "SOURCE or FILE is empty"));
    }
    if file.is_none() && (kind.is_some() || size.is_some() || checksum.is_some()) {
        return Err(Error::usage(DOING, "a format, a size and a digest are for making FILE, which is missing"));
    }
    let is_packed = file.is_some();
    let file = file.unwrap_or_default();
    let order = PackOptions { source, checksum, format: format_of(cloud, kind)?, size, raw: is_raw, file, time: 0 };
    Ok(Arguments { cloud, order, is_checked, is_packed, is_json, progress, timeout, spool })
}

fn format_of(cloud: Cloud, word: Option<&str>) -> Result<Format> {
    let formats = Format::of(cloud);
    let format = match word {
        None => formats.first(),
        Some(word) => formats.iter().find(|format| format.name() == word),
    };
    let names = || formats.iter().map(|format| format.name()).collect::<Vec<_>>().join(" and ");
    format.copied().ok_or_else(|| {
        let why = format!("{} is packed for as {} only", cloud.name(), names());
        Error::usage(DOING, why).to(format!("--format {}", word.unwrap_or_default()))
    })
}

/// `packed 10 GiB (1.1 GiB of data) as a vhd of 10 GiB: disk.vhd`, behind what there is to say of it.
fn words(order: &PackOptions<'_>, outcome: &Outcome) -> String {
    let mut text: String = outcome.notes.iter().map(|note| format!("{note}\n")).collect();
    let Outcome { disk, data, file, .. } = outcome;
    text.push_str(&format!("packed {disk} ({data} of data) as a {} of {file}: {}\n", order.format.name(), order.file));
    text
}

fn json(order: &PackOptions<'_>, findings: Option<&[Finding]>, outcome: Option<&Outcome>) -> String {
    let findings = findings.map_or_else(|| "null".into(), lint::json);
    let packed = outcome.map(|outcome| OutcomeJson {
        format: order.format.name(),
        disk: outcome.disk.0,
        size: outcome.file.0,
        data: outcome.data.0,
        notes: &outcome.notes,
    });
    format!("{{\"findings\":{findings},\"packed\":{}}}\n", miniserde::json::to_string(&packed))
}

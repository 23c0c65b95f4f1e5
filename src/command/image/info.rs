//! `wisp image info`: what an image is.
//!
//! JSON, a stable format: `source` is what was asked about (a URL without its query) and `source_size` its bytes; `format`
//! one of raw, qcow2, VHD, VMDK, tar, with its `variant`; `compression` the layers around it, the outermost first; `size`
//! the disk's bytes and `data` those of them that are stored; `sector` the bytes of the sectors that its GPT was made for;
//! `table` is gpt or dos. Of each of `partitions`: `number`, `start` and `size` in bytes, `type` and `title`, `name`, and
//! what it holds: `filesystem`, `label`, `uuid` as `blkid` says them. `holds` are the same three of a disk without a
//! table. What is not known is `null`. `verified` is true where the digest was the expected one. Where nothing can be said
//! of it, the line has `event`, which is `failed`, `kind` and `why` instead, as for `wisp image write`.
#![forbid(unsafe_code)]

use crate::bytes::ReadAt;
use crate::command::{Command, DOING, Options, Piece as Word, print, seconds, unknown};
use crate::error::{Error, Result};
use crate::fetch::Policy;
use crate::filesystem::Superblock;
use crate::image::extent;
use crate::image::layout::{self, Layout, Part};
use crate::image::{Content, Environment, Expected, Image, Piece, Source, Spool};
use crate::log::Log;
use crate::units::ByteCount;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use miniserde::Serialize;

pub(in crate::command) const COMMAND: Command = Command {
    name: "image info",
    usage: "[OPTION]... SOURCE",
    summary: "Tell what an image is, how large its disk, and what is on it",
    help: "SOURCE is a file, a block device, - for standard input, or a URL. Of what comes\n\
           from beginning to end only the first 2 MiB are unpacked. A qcow2, dynamic VHD\n\
           or VMDK that is compressed or comes from a pipe becomes a temporary file first.\n\
           \n\
           --json          print one line of JSON\n\
           --spool DIR     where what must become a temporary file goes (TMPDIR, else\n\
           \x20               /var/tmp, else /tmp)\n\
           --timeout N     give up when the server is silent for N seconds (10 for the\n\
           \x20               first reply, then 300)\n\
           --sha256 HEX, --sha512 HEX\n\
           \x20               read all of it, and fail if SOURCE has another digest or\n\
           \x20               cannot be unpacked to its end\n",
    takes_any_word: false,
    run,
};

/// Bytes of a disk that is not read at any offset: a table, and what a partition that begins at 1 MiB holds.
const HEAD: usize = 2 << 20;

/// Width of the first column.
const COLUMN: usize = 12;

fn run(arguments: &[&str]) -> Result<u8> {
    let (mut json, mut expected, mut name, mut timeout) = (false, Expected::default(), None, None);
    let mut spool = None;
    let mut options = Options::new(arguments);
    while let Some(word) = options.next() {
        match word {
            Word::Option("--json", None) => json = true,
            Word::Option("--spool", attached) => spool = Some(options.value("--spool", attached)?),
            Word::Option(option @ "--timeout", attached) => {
                timeout = Some(seconds(option, options.value(option, attached)?)?);
            }
            Word::Option(option @ ("--sha256" | "--sha512"), attached) => {
                expected.checksum = Some(super::write::checksum(option, options.value(option, attached)?)?);
            }
            Word::Option(option, _) => return Err(unknown(option)),
            Word::Operand("") => return Err(Error::usage(DOING, "SOURCE is empty")),
            Word::Operand(operand) if name.is_none() => name = Some(operand),
            Word::Operand(operand) => return Err(Error::usage(DOING, "one SOURCE is enough").to(operand)),
        }
    }
    let name = name.ok_or_else(|| Error::usage(DOING, "SOURCE is missing; --help tells what it may be"))?;
    let directory = super::spool_directory(spool);
    let means = Environment {
        servers: &[],
        notify: &|line| Log::stderr().info(line),
        policy: Policy::COMMAND.within(timeout),
        spool: Some(Spool { directory: &directory, target: None }),
    };
    let text = describe(name, means, &expected, json);
    match &text {
        Ok(text) => print(text)?,
        Err(error) if json => print(&super::failed(error))?,
        Err(_) => 0,
    };
    text.map(|_| 0)
}

/// What the image `name` is, as JSON or in words.
fn describe(name: &str, means: Environment<'_>, expected: &Expected, json: bool) -> Result<String> {
    let mut source = Source::open(name, means)?;
    let label = String::from(source.label());
    let mut image = source.image(expected)?;
    let facts = facts(&mut image, expected.checksum.is_some())?;
    if json {
        return Ok(format!("{}\n", miniserde::json::to_string(&InfoJson::of(&label, &image, &facts))));
    }
    Ok(words(&label, &image, &facts))
}

/// What is known only when some of the disk was read.
struct Facts {
    size: Option<ByteCount>,
    data: Option<ByteCount>,
    layout: Layout,
    verified: bool,
}

fn facts(image: &mut Image<'_>, whole: bool) -> Result<Facts> {
    let (data, disk) = (image.data()?, image.disk()?);
    let mut room = vec![0; HEAD];
    let (mut size, mut head) = (0_u64, Vec::new());
    // Zeros in the beginning of what comes from beginning to end are bytes.
    let mut at_end = disk.is_some() && !whole;
    while !at_end {
        match image.next(&mut room)? {
            Piece::Bytes(count) => {
                if size == 0 {
                    head = room.get(..count).unwrap_or_default().to_vec();
                }
                size = size.saturating_add(count as u64);
            }
            Piece::Zeros(count) => size = size.saturating_add(count),
            Piece::End => {
                image.size = Some(ByteCount(size));
                break;
            }
        }
        at_end = !whole;
    }
    let head = Head(&head);
    let disk: &dyn ReadAt = disk.as_deref().unwrap_or(&head);
    let mut layout = layout::look(disk, image.size);
    let cut = image.size.and_then(|size| extent::find_cut(disk, size));
    layout.notes.extend(cut.map(|why| format!("it was cut off: {why}")));
    Ok(Facts { size: image.size, data, layout, verified: whole })
}

/// The beginning of a disk.
struct Head<'a>(&'a [u8]);

impl ReadAt for Head<'_> {
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
        self.0.read_at(offset, buffer).map_err(|_| {
            Error::corrupt(
                "read the partitions",
                "only its first 2 MiB are looked at, as it comes from beginning to end",
            )
        })
    }
}

fn words(label: &str, image: &Image<'_>, facts: &Facts) -> String {
    let mut text = format!("{label}\n");
    let mut line = |name: &str, value: &str| text.push_str(&format!("  {name:COLUMN$}{value}\n"));
    let variant = if image.variant.is_empty() { String::new() } else { format!(", {}", image.variant) };
    let layers: String = image.layers.iter().rev().map(|layer| format!(", in {}", layer.name())).collect();
    line("format", &format!("{}{variant}{layers}", image.format.name()));
    let bytes = |size: Option<ByteCount>| match size {
        Some(size) => format!("{size} ({} bytes)", size.0),
        None => String::from("known at its end only"),
    };
    let data = facts.data.map_or_else(String::new, |data| format!(", {data} of it stored"));
    line("disk", &format!("{}{data}", bytes(facts.size)));
    if image.stored.is_some() {
        line("source", &bytes(image.stored));
    }
    if facts.verified {
        line("digest", "as expected");
    }
    let layout = &facts.layout;
    let sectors = layout.sector.map_or_else(String::new, |sector| format!(", for sectors of {} bytes", sector.bytes()));
    line("table", &format!("{}{sectors}", layout.table.unwrap_or("none")));
    if let Some(superblock) = &layout.holds {
        line("holds", &holding(superblock));
    }
    for note in &layout.notes {
        line("note", note);
    }
    text.push_str(&table(&layout.partitions));
    text
}

/// A line for each partition.
fn table(parts: &[Part]) -> String {
    let title = |part: &Part| part.title.map_or_else(|| part.kind.clone(), String::from);
    let width = parts.iter().map(|part| title(part).len()).max().unwrap_or(0);
    let mut text = String::from(if parts.is_empty() { "" } else { "\n" });
    for part in parts {
        let holds = part.holds.as_ref().map_or_else(String::new, holding);
        let line = format!(
            "  {:>3} {:>11} from {:<11} {:width$}  {holds}",
            part.number,
            format!("{}", part.size),
            format!("{}", part.start),
            title(part)
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `ext4 "root" 8f3c…`.
fn holding(superblock: &Superblock) -> String {
    let label = superblock.label.as_ref().map_or_else(String::new, |label| format!(" {label:?}"));
    let uuid = superblock.uuid.as_ref().map_or_else(String::new, |uuid| format!(" {uuid}"));
    format!("{}{label}{uuid}", superblock.kind.name())
}

#[derive(Serialize)]
struct InfoJson<'a> {
    source: &'a str,
    source_size: Option<u64>,
    format: &'a str,
    variant: Option<&'a str>,
    compression: Vec<&'a str>,
    size: Option<u64>,
    data: Option<u64>,
    verified: bool,
    sector: Option<u64>,
    table: Option<&'a str>,
    partitions: Vec<PartJson<'a>>,
    holds: Option<HoldsJson<'a>>,
    notes: Vec<&'a str>,
}

#[derive(Serialize)]
struct PartJson<'a> {
    number: u32,
    start: u64,
    size: u64,
    #[serde(rename = "type")]
    kind: &'a str,
    title: Option<&'a str>,
    name: Option<&'a str>,
    filesystem: Option<&'a str>,
    label: Option<&'a str>,
    uuid: Option<&'a str>,
}

#[derive(Serialize)]
struct HoldsJson<'a> {
    filesystem: &'a str,
    label: Option<&'a str>,
    uuid: Option<&'a str>,
}

impl<'a> InfoJson<'a> {
    fn of(source: &'a str, image: &'a Image<'_>, facts: &'a Facts) -> Self {
        let layout = &facts.layout;
        Self {
            source,
            source_size: image.stored.map(|size| size.0),
            format: image.format.name(),
            variant: Some(image.variant).filter(|variant| !variant.is_empty()),
            compression: image.layers.iter().map(|layer| layer.name()).collect(),
            size: facts.size.map(|size| size.0),
            data: facts.data.map(|data| data.0),
            verified: facts.verified,
            sector: layout.sector.map(|sector| sector.bytes()),
            table: layout.table,
            partitions: layout.partitions.iter().map(PartJson::of).collect(),
            holds: layout.holds.as_ref().map(HoldsJson::of),
            notes: layout.notes.iter().map(String::as_str).collect(),
        }
    }
}

impl<'a> PartJson<'a> {
    fn of(part: &'a Part) -> Self {
        let holds = part.holds.as_ref();
        Self {
            number: part.number,
            start: part.start.0,
            size: part.size.0,
            kind: &part.kind,
            title: part.title,
            name: part.name.as_deref(),
            filesystem: holds.map(|holds| holds.kind.name()),
            label: holds.and_then(|holds| holds.label.as_deref()),
            uuid: holds.and_then(|holds| holds.uuid.as_deref()),
        }
    }
}

impl<'a> HoldsJson<'a> {
    fn of(holds: &'a Superblock) -> Self {
        Self { filesystem: holds.kind.name(), label: holds.label.as_deref(), uuid: holds.uuid.as_deref() }
    }
}

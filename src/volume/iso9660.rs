//! ISO 9660 (ECMA-119), with the names of Rock Ridge where it has them, else those of Joliet, else its own.
//!
//! Of the two ways to write a number only the little-endian one is read: the kernel reads no other, so some writers
//! get the second one wrong and no one notices. Files in several pieces (of 4 GiB or interleaved) are not read.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::content::{Content, Medium};
use super::{Entry, Node, Opened, Sort, Tree, corrupt};
use super::{rock_ridge, text};
use crate::bytes::ByteReader;
use crate::error::Result;

const DOING: &str = "read the ISO 9660 volume on";
/// A logical sector: no descriptor and no directory record crosses one.
const SECTOR: usize = 2048;
/// Where the volume descriptors begin, 7.1: behind the system area.
const FIRST_DESCRIPTOR: u64 = 16;
/// Real discs have three to five.
const DESCRIPTORS_LIMIT: u64 = 32;
/// The sizes of a logical block, 7.2.
const BLOCK_SIZES: [u16; 3] = [512, 1024, 2048];
/// How Joliet says that its descriptor's names are UCS-2, in three levels.
const JOLIET: [&[u8]; 3] = [b"%/@", b"%/C", b"%/E"];
/// The record of the root directory in a descriptor, and the part of each record before its name.
const ROOT_RECORD: usize = 156;
const RECORD_HEAD: usize = 33;

const PRIMARY: u8 = 1;
const SUPPLEMENTARY: u8 = 2;
const TERMINATOR: u8 = 255;

const DIRECTORY: u8 = 0x02;
const ASSOCIATED: u8 = 0x04;
const MULTI_EXTENT: u8 = 0x80;

/// Whose names are read.
#[derive(Clone, Copy)]
enum Names {
    /// Capitals and a version, shown as the kernel shows them: in small letters and without version.
    Plain,
    /// UTF-16, high byte first.
    Joliet,
    /// Any; their fields begin this many bytes into the system use area of a record.
    RockRidge(usize),
}

struct Iso9660 {
    block: u64,
    root: Node,
    names: Names,
}

/// What a descriptor says of its tree.
struct Descriptor {
    tree: Iso9660,
    label: String,
}

/// Reads the volume descriptors.
pub(super) fn open(medium: &Medium<'_>) -> Result<Opened> {
    let (mut primary, mut joliet) = (None, None);
    for number in FIRST_DESCRIPTOR..FIRST_DESCRIPTOR.saturating_add(DESCRIPTORS_LIMIT) {
        let sector = medium.read(number.saturating_mul(SECTOR as u64), SECTOR)?;
        let fields = ByteReader::new(&sector, DOING);
        if fields.slice(1, 5)? != b"CD001" {
            return Err(corrupt(DOING, "its list of descriptors has no end"));
        }
        match fields.u8(0)? {
            PRIMARY if primary.is_none() => primary = Some(descriptor(fields, Names::Plain)?),
            SUPPLEMENTARY if JOLIET.contains(&fields.slice(88, 3)?) => {
                joliet = Some(descriptor(fields, Names::Joliet)?);
            }
            TERMINATOR => break,
            _ => {}
        }
    }
    let Some(mut primary) = primary else { return Err(corrupt(DOING, "it has no primary descriptor")) };
    if let Some(skipped) = rock_ridge_of(medium, primary.tree.root) {
        primary.tree.names = Names::RockRidge(skipped);
    }
    let mut labels = Vec::from([primary.label]);
    let tree = match joliet {
        None => primary.tree,
        Some(joliet) => {
            // Joliet has room for 16 letters; `blkid` takes the rest from the other.
            let is_cut = labels.first().is_some_and(|label| label.starts_with(&joliet.label));
            labels.insert(usize::from(is_cut), joliet.label);
            if matches!(primary.tree.names, Names::Plain) { joliet.tree } else { primary.tree }
        }
    };
    labels.retain(|label| !label.is_empty());
    Ok(Opened { tree: Box::new(tree), labels })
}

fn descriptor(fields: ByteReader<'_>, names: Names) -> Result<Descriptor> {
    let block = fields.u16_le(128)?;
    if !BLOCK_SIZES.contains(&block) {
        return Err(corrupt(DOING, "its block size cannot be"));
    }
    let label = fields.slice(40, 32)?;
    let label = match names {
        Names::Joliet => text::utf16_be(label).trim_ascii_end().into(),
        _ => text::padded(label),
    };
    let block = u64::from(block);
    let root = node(ByteReader::new(fields.slice(ROOT_RECORD, RECORD_HEAD)?, DOING), block)?;
    Ok(Descriptor { tree: Iso9660 { block, root, names }, label })
}

/// What a directory record says but for its names.
fn node(record: ByteReader<'_>, block: u64) -> Result<Node> {
    let extended_attributes = u64::from(record.u8(1)?);
    let extent = u64::from(record.u32_le(2)?);
    let length = u64::from(record.u32_le(10)?);
    let flags = record.u8(25)?;
    let file_unit_size = record.u8(26)?;
    let interleave_gap = record.u8(27)?;
    let sort = match flags {
        _ if flags & MULTI_EXTENT != 0 || file_unit_size != 0 || interleave_gap != 0 => Sort::Special,
        _ if flags & DIRECTORY != 0 => Sort::Directory,
        _ => Sort::File,
    };
    Ok(Node { sort, at: extent.saturating_add(extended_attributes).saturating_mul(block), length })
}

/// Whether the root directory says in its first record that Rock Ridge is used, and where its fields begin. A root
/// that cannot be read says nothing: anyone who reads a file will be told.
fn rock_ridge_of(medium: &Medium<'_>, root: Node) -> Option<usize> {
    let sector = medium.read(root.at, SECTOR).ok()?;
    let record = sector.get(..usize::from(*sector.first()?))?;
    rock_ridge::begins(system_use(record)?)
}

/// What follows the name in a record, on an even place.
fn system_use(record: &[u8]) -> Option<&[u8]> {
    let name_length = usize::from(*record.get(RECORD_HEAD.checked_sub(1)?)?);
    record.get(RECORD_HEAD.checked_add(name_length)?.checked_next_multiple_of(2)?..)
}

impl Iso9660 {
    /// One record; `None` when it stands for its directory, the one above, or a part of another file.
    fn entry(&self, medium: &Medium<'_>, record: &[u8]) -> Result<Option<Entry>> {
        let fields = ByteReader::new(record, DOING);
        let mut node = node(fields, self.block)?;
        let identifier = fields.slice(RECORD_HEAD, usize::from(fields.u8(RECORD_HEAD.saturating_sub(1))?))?;
        if matches!(identifier, b"\0" | b"\x01") || fields.u8(25)? & ASSOCIATED != 0 {
            return Ok(None);
        }
        let mut name = match self.names {
            Names::Joliet => without_version(&text::utf16_be(identifier)).into(),
            _ => without_version(&text::padded(identifier)).to_ascii_lowercase(),
        };
        if let Names::RockRidge(skipped) = self.names {
            let area = system_use(record).and_then(|area| area.get(skipped..)).unwrap_or_default();
            let fields = rock_ridge::read(medium, self.block, area)?;
            if fields.is_special {
                node.sort = Sort::Special;
            }
            if !fields.name.is_empty() {
                name = text::padded(&fields.name);
            }
        }
        Ok(Some(Entry { name, node }))
    }
}

impl Tree for Iso9660 {
    fn root(&self, _: &Medium<'_>) -> Result<Node> {
        Ok(self.root)
    }

    fn content(&self, _: &Medium<'_>, node: Node, limit: usize) -> Result<Content> {
        let mut content = Content::new(node.length, limit)?;
        content.push(Some(node.at), node.length);
        Ok(content)
    }

    fn entries(&self, medium: &Medium<'_>, bytes: &[u8]) -> Result<Vec<Entry>> {
        let mut out = Vec::new();
        for sector in bytes.chunks(SECTOR) {
            let mut rest = sector;
            // A record of no length: the rest of the sector is free.
            while let Some(length) = rest.first().copied().filter(|&length| length != 0) {
                let (record, behind) = rest
                    .split_at_checked(usize::from(length))
                    .ok_or_else(|| corrupt(DOING, "a directory record crosses a sector"))?;
                out.extend(self.entry(medium, record)?);
                rest = behind;
            }
        }
        Ok(out)
    }

    fn ignores_case(&self) -> bool {
        matches!(self.names, Names::Plain)
    }
}

/// `NAME.;1` is a file without extension: neither the version nor the dot before it is part of its name.
fn without_version(name: &str) -> &str {
    let name = name.split_once(';').map_or(name, |(name, _)| name);
    name.strip_suffix('.').unwrap_or(name)
}

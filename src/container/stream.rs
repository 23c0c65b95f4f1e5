//! An image that is read from beginning to end: from a pipe, from a server that answers with the whole, out of a layer
//! of compression. Raw, a fixed VHD, or either form of GCE's tar. What has tables must be read at any offset: of that the
//! content is the file, which has to be stored somewhere first.

use alloc::vec::Vec;

use super::format::{Format, START};
use super::tar;
use super::vhd::{FOOTER, Footer};
use crate::codec::{self, Input, Source};
use crate::error::{Error, Result};
use crate::units::ByteCount;

const DOING: &str = "read the image";

/// Layers of compression: an image may lie in two by intent, and a file that unpacks to itself exists for every format.
const LAYERS: usize = 8;

/// An image that is being read.
pub struct Stream<'a> {
    /// Tar or raw; a fixed VHD is known at its end only. Another one where the content has tables.
    pub format: Format,
    /// Whether the content is not the disk but a file of this format, which must be read at any offset.
    pub has_tables: bool,
    /// Bytes of the content, where a header says so that comes before it.
    pub length: Option<ByteCount>,
    /// The disk's size, where the format says it before the first byte.
    pub size: Option<ByteCount>,
    /// The layers of compression around it, the outermost first; those inside a tar too.
    pub layers: Vec<codec::Format>,
    /// The disk's bytes. That no error came with the last one means that the image was whole, as far as it says.
    pub content: Input<'a>,
}

/// Finds out what `input`, with any compression around it, is.
///
/// # Errors
/// `Unsupported` when it is not read at all; `Absent` when it is a tar without a file, `Corrupt` when it contradicts its
/// format, `Refused` when it has more than 8 layers of compression; those of `input`. The content has the same.
pub fn open(input: Input<'_>) -> Result<Stream<'_>> {
    let mut layers = Vec::new();
    let mut length = None;
    let mut input = unpacked(input, &mut layers, &mut length)?;
    let format = Format::detect(input.peek(START)?)?;
    if format == Format::Tar {
        return open_member(tar::open(input)?, layers);
    }
    Ok(Stream::of(format, input, layers, length))
}

/// What the file in a tar is.
fn open_member(member: tar::Member<'_>, mut layers: Vec<codec::Format>) -> Result<Stream<'_>> {
    let stored = member.size();
    let before = layers.len();
    let mut length = Some(ByteCount(stored));
    let mut input = unpacked(Input::new(member), &mut layers, &mut length)?;
    match Format::detect(input.peek(START)?)? {
        Format::Tar => Err(Error::unsupported(DOING, "it is a tar in a tar")),
        Format::Raw => {
            // A fixed VHD is whole sectors and half a KiB of footer; only where neither that nor compression can
            // be, the size of the member is that of the disk.
            let has_footer = stored > FOOTER as u64 && stored.is_multiple_of(512) && !stored.is_multiple_of(4096);
            let is_plain = layers.len() == before && !has_footer;
            let size = is_plain.then_some(ByteCount(stored));
            Ok(Stream { format: Format::Tar, size, ..Stream::of(Format::Raw, input, layers, length) })
        }
        inner => Ok(Stream::of(inner, input, layers, length)),
    }
}

impl<'a> Stream<'a> {
    fn of(format: Format, input: Input<'a>, layers: Vec<codec::Format>, length: Option<ByteCount>) -> Self {
        let has_tables = !matches!(format, Format::Raw | Format::Tar);
        let content = if has_tables { input } else { Input::new(Unfooted { input, length: 0 }) };
        Self { format, has_tables, length, size: None, layers, content }
    }
}

/// Takes off every layer of compression that `input` begins with. `length` becomes what the innermost of them states.
fn unpacked<'a>(
    mut input: Input<'a>,
    layers: &mut Vec<codec::Format>,
    length: &mut Option<ByteCount>,
) -> Result<Input<'a>> {
    while let Some(layer) = input.format()? {
        if layers.len() >= LAYERS {
            let why = alloc::format!("it has more than {LAYERS} layers of compression");
            return Err(Error::refused(DOING, why));
        }
        layers.push(layer);
        *length = layer.stated_in_front(&mut input)?.map(ByteCount);
        input = layer.decoder(input);
    }
    Ok(input)
}

/// Raw bytes, without the footer that may make them a fixed VHD.
struct Unfooted<'a> {
    input: Input<'a>,
    /// Bytes that were handed out.
    length: u64,
}

impl Source for Unfooted<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let mut ahead = self.input.peek(FOOTER.saturating_add(1))?;
        if let Some((now, _)) = ahead.split_last_chunk::<FOOTER>().filter(|(now, _)| !now.is_empty()) {
            ahead = now;
        } else if let Some(last) = ahead.first_chunk::<FOOTER>() {
            Format::judge_trailer(last)?;
            if let Some(footer) = Footer::parse(last)?
                && footer.ends_fixed(self.length)?
                && footer.current_size == self.length
            {
                return Ok(0);
            }
        }
        let count = ahead.read(into)?;
        self.input.take(count);
        self.length = self.length.saturating_add(count as u64);
        Ok(count)
    }

    fn warning(&self) -> Option<&'static str> {
        self.input.warning()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::read_all;
    use crate::error::Kind;

    fn content(bytes: &[u8]) -> Vec<u8> {
        let stream = open(Input::new(bytes)).unwrap();
        assert_eq!((stream.format, stream.size), (Format::Raw, None));
        let mut content = stream.content;
        read_all(&mut content, 10 << 20).unwrap()
    }

    #[test]
    fn raw_bytes_come_as_they_are() {
        for length in [0, 1, 511, 512, 513, 1024, 300_000] {
            let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
            assert!(content(&bytes) == bytes, "{length}");
        }
    }

    #[test]
    fn of_what_has_tables_the_content_is_the_file() {
        let bytes = b"QFI\xfb\0\0\0\x03".as_slice();
        let mut stream = open(Input::new(bytes)).unwrap();
        assert_eq!((stream.format, stream.has_tables, stream.length), (Format::Qcow2, true, None));
        assert_eq!(read_all(&mut stream.content, 100).unwrap(), bytes);
    }

    #[test]
    fn a_dmg_is_refused_at_its_end() {
        let mut bytes = alloc::vec![0; 4096];
        bytes[4096 - 512..][..12].copy_from_slice(b"koly\0\0\0\x04\0\0\x02\0");
        let mut stream = open(Input::new(bytes.as_slice())).unwrap();
        let error = read_all(&mut stream.content, 10 << 20).unwrap_err();
        assert_eq!((error.kind, error.why.starts_with("its format, DMG, ")), (Kind::Unsupported, true), "{error}");
    }

    #[cfg(feature = "full")]
    #[test]
    fn the_footer_of_a_fixed_vhd_is_no_part_of_its_disk() {
        let mut bytes: Vec<u8> = (0..=250).cycle().take(1 << 20).collect();
        let disk = bytes.clone();
        let footer = super::super::fixed_vhd_footer(ByteCount(1 << 20), [7; 16], 0).unwrap();
        bytes.extend_from_slice(&footer);
        assert!(content(&bytes) == disk);
        // Of a file that was cut off in the middle, what is left ends with a footer that states more.
        let cut = [&disk[..1 << 19], &footer].concat();
        let mut stream = open(Input::new(cut.as_slice())).unwrap();
        assert_eq!(read_all(&mut stream.content, 10 << 20).unwrap_err().kind, Kind::Corrupt);
        // The footer of another size, and one with another byte behind it, are bytes like others.
        bytes.insert(0, 0);
        assert!(content(&bytes) == bytes);
        bytes.remove(0);
        bytes.push(0);
        assert!(content(&bytes) == bytes);
    }
}

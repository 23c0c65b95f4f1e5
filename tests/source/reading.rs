//! All of a disk, as the writer takes it.

use wisp::error::{Error, Result};
use wisp::fetch::Policy;
use wisp::image::{Content, Environment, Expected, Image, Piece, Source};

pub const MEANS: Environment = Environment { servers: &[], notify: &|_| {}, policy: Policy::IMAGE, spool: None };

pub const NOTHING: Expected = Expected { checksum: None, size: None };

/// The disk in what `name` is, taken in pieces of `room` bytes at most.
pub fn read(name: &str, expected: &Expected, room: usize) -> Result<Vec<u8>> {
    let mut source = Source::open(name, MEANS)?;
    let mut image = source.image(expected)?;
    let disk = rest(&mut image, room)?;
    assert!(image.size.is_none_or(|size| size.0 == disk.len() as u64), "the size is what was said");
    assert!(image.stored.is_none_or(|stored| image.read() <= stored.0), "no byte is read twice");
    Ok(disk)
}

/// All that `image` still has.
pub fn rest(image: &mut Image, room: usize) -> Result<Vec<u8>> {
    let (mut disk, mut room) = (Vec::new(), vec![0xee; room]);
    loop {
        match image.next(&mut room)? {
            Piece::Bytes(count) => {
                assert!(count > 0);
                disk.extend_from_slice(&room[..count]);
            }
            Piece::Zeros(count) => {
                assert!(count > 0);
                disk.resize(disk.len() + count as usize, 0);
            }
            Piece::End => return Ok(disk),
        }
    }
}

/// Why it failed; a whole disk in the message of a test that fails would help no one.
#[track_caller]
pub fn failure(result: Result<Vec<u8>>) -> Error {
    result.map(|disk| disk.len()).expect_err("it is refused")
}

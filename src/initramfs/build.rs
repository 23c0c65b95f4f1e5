//! Builds a stand-alone initramfs: wisp as `/init`, and the kernel modules that reach a root filesystem.
//!
//! Modules go in unpacked, because the archive as a whole is packed better than each of them, and the lists beside them
//! (`modules.dep` and its kin) hold only what is in the archive: both make the boot shorter. Nothing of the machine that
//! builds gets in but what the recipe names and the `modprobe.d` beside the modules, so the same input gives the same
//! bytes. The device files and mount points are those that the kernel and `/init` need before devtmpfs is mounted.

pub mod drivers;
mod modules;
pub mod running;

use alloc::string::String;
use alloc::vec::Vec;

use crate::bytes::ByteReader;
use crate::codec::Format;
use crate::container::cpio::Archive;
use crate::error::{Error, Result};
use crate::sys::file;

/// The program is wisp, of one or two MiB; a debug build of it has some tens.
const PROGRAM_LIMIT: usize = 256 << 20;

/// Where `/init` mounts things. The kernel makes no directory by itself.
const DIRECTORIES: [&str; 5] = ["dev", "proc", "run", "sys", "sysroot"];

/// What goes into an initramfs.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The kernel's version, as `uname -r` prints it: the archive has `lib/modules/VERSION`.
    pub kernel: String,
    /// Where the kernel's modules are read: a directory with `modules.dep`, usually `/lib/modules/VERSION`. When it is
    /// `ROOT/lib/modules/VERSION`, the files of `modprobe.d` are read below that ROOT.
    pub modules_dir: String,
    /// Modules, or aliases of some, that go in if the kernel has them: see [`Recipe::choose`].
    pub drivers: Vec<&'static str>,
    /// Modules, or aliases of some, that must be in the archive, or built into the kernel.
    pub modules: Vec<String>,
    /// How the archive is packed, if at all.
    pub compression: Option<Format>,
    /// The file that becomes `/init`: a static program.
    pub program: String,
    /// Other files.
    pub files: Vec<Addition>,
    /// Modules that the machine needs which builds it; those that are not in the image are reported.
    pub expected: Vec<String>,
}

/// A file that the user adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addition {
    /// Where it is read.
    pub file: String,
    /// Where it is in the initramfs.
    pub path: String,
}

impl Addition {
    /// Reads `FILE:PATH`, or the absolute `FILE` which has the same path in the initramfs.
    ///
    /// # Errors
    /// `Usage` when PATH is not absolute.
    pub fn parse(text: &str) -> Result<Self> {
        let (file, path) = text.split_once(':').unwrap_or((text, text));
        if file.is_empty() || !path.starts_with('/') {
            return Err(Error::usage("add a file to the initramfs", "PATH is not absolute; write FILE:/PATH").to(text));
        }
        Ok(Self { file: file.into(), path: path.into() })
    }
}

/// An initramfs, and what is in it.
#[derive(Clone, Debug)]
pub struct Initramfs {
    /// The file, packed.
    pub bytes: Vec<u8>,
    /// How many modules it has.
    pub modules: usize,
    /// Those of [`Recipe::expected`] that the kernel has as modules and the image has not.
    pub missing: Vec<String>,
}

/// Builds the initramfs.
///
/// # Errors
/// `Absent` when there is no `modules.dep` (depmod writes it) or a module of [`Recipe::modules`] is not there;
/// `Refused` when the program could not start without a dynamic loader; `Corrupt` when `modules.dep` is not one or a
/// module cannot be unpacked; `Usage` when two files have one path; `Os` when a file cannot be read.
pub fn build(recipe: &Recipe) -> Result<Initramfs> {
    let program = file::read(&recipe.program, PROGRAM_LIMIT)?;
    check_program(&program).map_err(|error| error.to(recipe.program.as_str()))?;
    let mut archive = Archive::new();
    for directory in DIRECTORIES {
        archive.add_directory(directory)?;
    }
    // The kernel opens it for the first process before that can mount anything.
    archive.add_character_device("dev/console", 0o600, 5, 1)?;
    archive.add_file("init", 0o755, program)?;
    let (modules, missing) = modules::add(recipe, &mut archive)?;
    for Addition { file, path } in &recipe.files {
        let mode = if file::is_executable(file) { 0o755 } else { 0o644 };
        archive.add_file(path, mode, file::read(file, PROGRAM_LIMIT)?)?;
    }
    let mut bytes = archive.emit();
    if let Some(format) = recipe.compression {
        bytes = format.encode(&bytes)?;
    }
    Ok(Initramfs { bytes, modules, missing })
}

/// Refuses a program that the kernel could not start as `/init`, where no dynamic loader and no interpreter is
/// (System V ABI, chapters 4 and 5).
fn check_program(program: &[u8]) -> Result<()> {
    const DOING: &str = "take for /init";
    const ELFCLASS64: u8 = 2;
    const ELFDATA2LSB: u8 = 1;
    const PT_INTERP: u32 = 3;
    let elf = ByteReader::new(program, DOING);
    if elf.array(0).ok() != Some([0x7f, b'E', b'L', b'F', ELFCLASS64, ELFDATA2LSB]) {
        return Err(Error::refused(DOING, "it is no program for a 64-bit Linux"));
    }
    let e_phoff = elf.u64_le(32)?;
    let e_phentsize = usize::from(elf.u16_le(54)?);
    let e_phnum = usize::from(elf.u16_le(56)?);
    let start = usize::try_from(e_phoff).unwrap_or(usize::MAX);
    for index in 0..e_phnum {
        let p_type = elf.u32_le(start.saturating_add(index.saturating_mul(e_phentsize)))?;
        if p_type == PT_INTERP {
            return Err(Error::refused(DOING, "it is linked dynamically, and an initramfs has no loader"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    /// An ELF header and program headers of these types.
    fn elf(types: &[u32]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(64, 0);
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = types.len() as u8;
        for p_type in types {
            bytes.extend_from_slice(&p_type.to_le_bytes());
            bytes.resize(bytes.len() + 52, 0);
        }
        bytes
    }

    #[test]
    fn only_a_static_program_is_taken() {
        assert_eq!(check_program(&elf(&[1, 1, 0x6474_e551])), Ok(()));
        assert_eq!(check_program(&elf(&[6, 3, 1])).unwrap_err().kind, Kind::Refused);
        for other in [b"".as_slice(), b"#!/bin/sh\n", b"\x7fELF\x01\x01"] {
            assert_eq!(check_program(other).unwrap_err().kind, Kind::Refused);
        }
    }

    #[test]
    fn a_program_that_is_cut_off_is_corrupt() {
        let whole = elf(&[1, 1]);
        for length in 6..64 + 56 + 4 {
            assert_eq!(check_program(&whole[..length]).unwrap_err().kind, Kind::Corrupt, "{length}");
        }
        let mut far = whole;
        far[32..40].fill(0xff);
        assert_eq!(check_program(&far).unwrap_err().kind, Kind::Corrupt);
    }
}

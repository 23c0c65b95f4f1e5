//! `wisp initramfs`: takes the arguments apart, lets [`crate::initramfs::build`] do it, writes the file.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use super::{Command, Options, Piece, unknown};
use crate::codec::Format;
use crate::error::{Error, Result};
use crate::initramfs::build::drivers::{FILESYSTEMS, MACHINES, NETWORKS};
use crate::initramfs::build::{Recipe, build};
use crate::sys::{file, kernel, node};

const DOING: &str = "read the command line";

/// Where the program that fits an initramfs best may lie, from the directory of the running one: beside it as `make`
/// leaves them, or as `make install` does.
const PROGRAMS: [&str; 2] = ["wisp-initramfs", "../libexec/wisp/wisp-initramfs"];

/// The word of `--network` for no NIC at all.
const NO_NETWORK: &str = "none";

/// What the arguments say; what they leave open is found when it is needed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Arguments<'a> {
    output: Option<&'a str>,
    kernel: Option<&'a str>,
    modules_dir: Option<&'a str>,
    machines: Option<&'a str>,
    filesystems: Option<&'a str>,
    networks: Option<&'a str>,
    modules: Vec<&'a str>,
    compress: Option<&'a str>,
    init: Option<&'a str>,
}

pub(super) const COMMAND: Command = Command {
    name: "initramfs",
    usage: "-o FILE [OPTION]...",
    summary: "Build a stand-alone initramfs: wisp and the modules that reach a root",
    help: "The same input gives the same bytes.\n\
           \n\
           -o, --output FILE   where to write it\n\
           --kernel VERSION    for which kernel (the last part of DIR, or the running)\n\
           --modules-dir DIR   its modules and modules.dep (/lib/modules/VERSION)\n\
           --for LIST          which disks: virtio, virtio-blk, virtio-scsi, nvme, xen,\n\
           \x20                   hyperv, vmware, sata, ide, mmc; all (the default), none\n\
           --filesystem LIST   which roots: ext4, xfs, btrfs; all (the default), none\n\
           --network LIST      which NICs, for wisp.image=URL: virtio, ena, gve, hyperv,\n\
           \x20                   xen, vmware, intel; all, none (the default)\n\
           --module NAME       also this module and what it needs; may be given again\n\
           --compress KIND     zstd, gzip, xz or none (zstd)\n\
           --init FILE         the program for /init (wisp-initramfs; with --network this\n\
           \x20                   one, as wisp-initramfs writes no images)\n",
    takes_any_word: false,
    run,
};

fn run(arguments: &[&str]) -> Result<u8> {
    let arguments = Arguments::parse(arguments)?;
    let output = arguments.output.ok_or_else(|| Error::usage(DOING, "-o FILE is missing"))?;
    let compression = compression(arguments.compress.unwrap_or("zstd"))?;
    let modules_dir = arguments.modules_dir.map(|directory| directory.trim_end_matches('/').to_string());
    let kernel = match (arguments.kernel, &modules_dir) {
        (Some(kernel), _) => kernel.into(),
        (None, Some(directory)) => version_of(directory)?.into(),
        (None, None) => kernel::release(),
    };
    let modules_dir = modules_dir.unwrap_or_else(|| format!("/lib/modules/{kernel}"));
    let networks = arguments.networks.unwrap_or(NO_NETWORK);
    let program =
        arguments.init.map_or_else(|| default_program(networks != NO_NETWORK), |init| Ok(init.to_string()))?;
    let modules = arguments.modules.into_iter().map(String::from).collect();
    let mut recipe = Recipe { kernel, modules_dir, drivers: Vec::new(), modules, compression, program };
    recipe.choose(MACHINES, arguments.machines.unwrap_or("all"))?;
    recipe.choose(FILESYSTEMS, arguments.filesystems.unwrap_or("all"))?;
    recipe.choose(NETWORKS, networks)?;
    let bytes = build(&recipe)?;
    // Nothing in it is secret, and QEMU may run as anybody.
    file::write_atomically(output, &bytes, 0o644).map(|()| 0)
}

impl<'a> Arguments<'a> {
    fn parse(arguments: &'a [&'a str]) -> Result<Self> {
        let mut parsed = Self::default();
        let mut options = Options::new(arguments);
        while let Some(piece) = options.next() {
            let (name, attached) = match piece {
                Piece::Option(name, attached) => (name, attached),
                Piece::Operand(operand) => return Err(Error::usage(DOING, "nothing like it is asked for").to(operand)),
            };
            match name {
                "-o" | "--output" => parsed.output = Some(options.value(name, attached)?),
                "--kernel" => parsed.kernel = Some(options.value(name, attached)?),
                "--modules-dir" => parsed.modules_dir = Some(options.value(name, attached)?),
                "--for" => parsed.machines = Some(options.value(name, attached)?),
                "--filesystem" => parsed.filesystems = Some(options.value(name, attached)?),
                "--network" => parsed.networks = Some(options.value(name, attached)?),
                "--module" => parsed.modules.push(options.value(name, attached)?),
                "--compress" => parsed.compress = Some(options.value(name, attached)?),
                "--init" => parsed.init = Some(options.value(name, attached)?),
                _ => return Err(unknown(name)),
            }
        }
        Ok(parsed)
    }
}

/// The version of the kernel whose modules lie in `directory`, which `make modules_install` names after it. Versions
/// begin with a digit; a directory of another name says nothing, and a guess would make an image without modules.
fn version_of(directory: &str) -> Result<&str> {
    let name = directory.rsplit('/').next().unwrap_or_default();
    Some(name).filter(|name| name.starts_with(|first: char| first.is_ascii_digit())).ok_or_else(|| {
        Error::usage(DOING, "its modules are not in a directory named after a kernel; add --kernel VERSION")
            .to(directory)
    })
}

fn compression(name: &str) -> Result<Option<Format>> {
    match name {
        "zstd" => Ok(Some(Format::Zstd)),
        "gzip" => Ok(Some(Format::Gzip)),
        "xz" => Ok(Some(Format::Xz)),
        "none" => Ok(None),
        _ => Err(Error::usage(DOING, "--compress takes zstd, gzip, xz or none").to(name)),
    }
}

/// The small program where it is there and enough: it writes no images, and nothing else needs a server.
fn default_program(writes_images: bool) -> Result<String> {
    let running = node::link_target("/proc/self/exe")?;
    if writes_images {
        return Ok(running);
    }
    let directory = running.rsplit_once('/').map_or("", |(directory, _)| directory);
    let small = PROGRAMS.iter().map(|program| format!("{directory}/{program}")).find(|program| file::exists(program));
    Ok(small.unwrap_or(running))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn arguments_come_in_both_spellings() {
        let expected = Arguments {
            output: Some("out"),
            kernel: Some("6.1"),
            modules_dir: Some("dir"),
            machines: Some("nvme"),
            filesystems: Some("xfs,ext4"),
            networks: Some("ena"),
            modules: vec!["a", "b"],
            compress: Some("xz"),
            init: Some("prog"),
        };
        let apart = "-o out --kernel 6.1 --modules-dir dir --for nvme --filesystem xfs,ext4 --network ena --module a \
                     --module b --compress xz --init prog";
        let joined = "--output=out --kernel=6.1 --modules-dir=dir --for=nvme --filesystem=xfs,ext4 --network=ena --module=a \
                      --module=b --compress=xz --init=prog";
        for line in [apart, joined] {
            let arguments: Vec<&str> = line.split(' ').collect();
            assert_eq!(Arguments::parse(&arguments).as_ref(), Ok(&expected));
        }
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        for (line, to) in [
            ("-x", "-x"),
            ("file", "file"),
            ("--kernel", "--kernel"),
            ("-o=x", "-o=x"),
            ("-o x --compress lzma", "lzma"),
            ("-o x --kernel 6.1 --for virtio,tape", "tape"),
            ("-o x --kernel 6.1 --filesystem=ext4,", ""),
            ("-o x --kernel 6.1 --filesystem zfs", "zfs"),
            ("-o x --kernel 6.1 --network tokenring", "tokenring"),
            ("--kernel 6.1", ""),
            ("-o x --modules-dir /opt/modules/", "/opt/modules"),
            ("-o x --modules-dir ..", ".."),
        ] {
            let arguments: Vec<&str> = line.split(' ').collect();
            let error = run(&arguments).unwrap_err();
            assert_eq!((error.kind, error.to.as_str()), (Kind::Usage, to), "{line}");
        }
    }

    #[test]
    fn the_help_names_every_choice() {
        for choice in MACHINES.iter().chain(FILESYSTEMS).chain(NETWORKS) {
            assert!(COMMAND.help.contains(&format!(" {}", choice.name)), "{}", choice.name);
        }
    }

    #[test]
    fn the_default_program_is_there() {
        assert!(file::exists(&default_program(false).unwrap()));
    }
}

//! `wisp initramfs`: takes the arguments apart, lets [`crate::initramfs::build`] do it, writes the file.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use super::{Command, DOING, Options, Piece, unexpected, unknown};
use crate::codec::Format;
use crate::error::{Error, Kind, Result};
use crate::initramfs::build::drivers::{FILESYSTEMS, MACHINES, NETWORKS};
use crate::initramfs::build::running::root_modules;
use crate::initramfs::build::{Addition, Initramfs, Recipe, build};
use crate::log::Log;
use crate::sys::{device_node, file, stdio, uname};
use crate::units::ByteCount;

/// Where the program that fits an initramfs best may lie, from the directory of the running one: beside it as `make`
/// leaves them, or as `make install` does.
const PROGRAMS: [&str; 2] = ["wisp-initramfs", "../libexec/wisp/wisp-initramfs"];

/// The output that is no file.
const STANDARD_OUTPUT: &str = "-";

/// Broken pipe.
const EPIPE: i32 = 32;

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
    files: Vec<&'a str>,
}

pub(super) const COMMAND: Command = Command {
    name: "initramfs",
    usage: "-o FILE [OPTION]...",
    summary: "Build a stand-alone initramfs: wisp and the modules that reach a root",
    help: "The same input gives the same bytes.\n\
           \n\
           -o, --output FILE   where to write it; - for standard output\n\
           --kernel VERSION    for which kernel (the last part of DIR, or the running)\n\
           --modules-dir DIR   its modules and modules.dep (/lib/modules/VERSION)\n\
           --for LIST          which disks: virtio, virtio-blk, virtio-scsi, nvme, xen,\n\
           \x20                   hyperv, vmware, usb, raid, sata, ide, mmc; all (the\n\
           \x20                   default), none\n\
           --filesystem LIST   which roots: ext4, xfs, btrfs; all (the default), none\n\
           --network LIST      which NICs, for wisp.image=URL: virtio, ena, gve, hyperv,\n\
           \x20                   xen, vmware, intel; all, none (the default)\n\
           --module NAME       also this module and what it needs; may be given again\n\
           --add FILE[:PATH]   also this file, at PATH in the initramfs; may be given again\n\
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
        (None, None) => uname::release(),
    };
    let modules_dir = modules_dir.unwrap_or_else(|| format!("/lib/modules/{kernel}"));
    let networks = arguments.networks.unwrap_or(NO_NETWORK);
    let program =
        arguments.init.map_or_else(|| default_program(networks != NO_NETWORK), |init| Ok(init.to_string()))?;
    let modules = arguments.modules.into_iter().map(String::from).collect();
    let files = arguments.files.into_iter().map(Addition::parse).collect::<Result<_>>()?;
    // What this machine needs is known of its own kernel alone.
    let is_own = arguments.modules_dir.is_none() && kernel == uname::release();
    let expected = if is_own { root_modules() } else { Vec::new() };
    let drivers = Vec::new();
    let mut recipe = Recipe { kernel, modules_dir, drivers, modules, compression, program, files, expected };
    recipe.choose(MACHINES, arguments.machines.unwrap_or("all"))?;
    recipe.choose(FILESYSTEMS, arguments.filesystems.unwrap_or("all"))?;
    recipe.choose(NETWORKS, networks)?;
    let image = build(&recipe)?;
    if output == STANDARD_OUTPUT {
        return match stdio::write(stdio::output(), &image.bytes).map_err(|error| error.to("standard output"))? {
            true => notify(&recipe, &image, "standard output"),
            false => Err(Error::new(Kind::Os(EPIPE), "write", "").to("standard output")),
        };
    }
    // Nothing in it is secret, and QEMU may run as anybody.
    file::write_atomically(output, &image.bytes, 0o644)?;
    notify(&recipe, &image, output)
}

/// What was made, on standard error, where an image on standard output does not meet it.
fn notify(recipe: &Recipe, image: &Initramfs, output: &str) -> Result<u8> {
    let log = Log::stderr();
    let size = ByteCount(image.bytes.len() as u64);
    log.info(&format!(
        "{output}: kernel {}, {} modules, {} bytes ({size})",
        recipe.kernel,
        image.modules,
        image.bytes.len()
    ));
    if !image.missing.is_empty() {
        log.warning(&format!(
            "the root of this machine needs modules that are not in it: {}; --module NAME adds one",
            image.missing.join(", ")
        ));
    }
    Ok(0)
}

impl<'a> Arguments<'a> {
    fn parse(arguments: &'a [&'a str]) -> Result<Self> {
        let mut parsed = Self::default();
        let mut options = Options::new(arguments);
        while let Some(piece) = options.next() {
            let (name, attached) = match piece {
                Piece::Option(name, attached) => (name, attached),
                Piece::Operand(operand) => return Err(unexpected(operand)),
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
                "--add" => parsed.files.push(options.value(name, attached)?),
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
    let running = device_node::link_target("/proc/self/exe")?;
    let small = if writes_images { None } else { small_program(&running) };
    Ok(small.unwrap_or(running))
}

/// The small program that was installed with the running one.
fn small_program(running: &str) -> Option<String> {
    let directory = running.rsplit_once('/').map_or("", |(directory, _)| directory);
    PROGRAMS.iter().map(|program| format!("{directory}/{program}")).find(|program| file::exists(program))
}

#[cfg(test)]
mod tests {
    use super::*;

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
            files: vec!["f:/p"],
        };
        let apart = "-o out --kernel 6.1 --modules-dir dir --for nvme --filesystem xfs,ext4 --network ena --module a \
                     --module b --compress xz --init prog --add f:/p";
        let joined = "--output=out --kernel=6.1 --modules-dir=dir --for=nvme --filesystem=xfs,ext4 --network=ena --module=a \
                      --module=b --compress=xz --init=prog --add=f:/p";
        for line in [apart, joined] {
            let arguments: Vec<&str> = line.split(' ').collect();
            assert_eq!(Arguments::parse(&arguments).as_ref(), Ok(&expected));
        }
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        for (line, to) in [
            ("-x", "-x"),
            ("file", ""),
            ("--kernel", "--kernel"),
            ("-o=x", "-o=x"),
            ("-o x --compress lzma", "lzma"),
            ("-o x --kernel 6.1 --for virtio,tape", "tape"),
            ("-o x --kernel 6.1 --filesystem=ext4,", ""),
            ("-o x --kernel 6.1 --filesystem zfs", "zfs"),
            ("-o x --kernel 6.1 --network tokenring", "tokenring"),
            ("-o x --kernel 6.1 --add file", "file"),
            ("-o x --kernel 6.1 --add /file:path", "/file:path"),
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
    fn the_default_program_is_the_small_one_where_it_is_installed() {
        let root = std::env::temp_dir().join(format!("wisp-small-{}", std::process::id()));
        for folder in ["bin", "libexec/wisp"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        let bin = root.join("bin").to_str().unwrap().to_string();
        let found = || small_program(&format!("{bin}/wisp"));
        assert_eq!(found(), None);
        std::fs::write(root.join("libexec/wisp/wisp-initramfs"), "").unwrap();
        assert_eq!(found(), Some(format!("{bin}/../libexec/wisp/wisp-initramfs")));
        std::fs::write(root.join("bin/wisp-initramfs"), "").unwrap();
        assert_eq!(found(), Some(format!("{bin}/wisp-initramfs")), "the one that was built with it");
        std::fs::remove_dir_all(root).unwrap();
        // What writes images is the running program itself.
        assert_eq!(default_program(true).unwrap(), std::env::current_exe().unwrap().to_str().unwrap());
    }
}

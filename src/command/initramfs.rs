//! `wisp initramfs`: takes the arguments apart, lets [`crate::initramfs::build`] do it, writes the file.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use crate::codec::Format;
use crate::error::{Error, Result};
use crate::initramfs::build::{Recipe, build};
use crate::sys::{file, node};

const DOING: &str = "read the command line";

/// Where the program that fits an initramfs best may lie, from the directory of the running one: beside it as `make`
/// leaves them, or as `make install` does.
const PROGRAMS: [&str; 2] = ["wisp-initramfs", "../libexec/wisp/wisp-initramfs"];

/// What the arguments say; what they leave open is found when it is needed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Arguments<'a> {
    output: Option<&'a str>,
    kernel: Option<&'a str>,
    modules_dir: Option<&'a str>,
    modules: Vec<&'a str>,
    compress: Option<&'a str>,
    init: Option<&'a str>,
}

/// Runs `wisp initramfs -o FILE [--kernel VERSION] [--modules-dir DIR] [--module NAME]… [--compress zstd|gzip|xz|none]
/// [--init FILE]`; `arguments` are those behind `initramfs`. Without them: the running kernel, its `/lib/modules`, zstd,
/// and the program `wisp-initramfs` beside the running one or else the running one itself.
///
/// # Errors
/// `Usage` when the arguments cannot be meant, and those of [`build`] and [`file::write_atomically`].
pub fn run(arguments: &[&str]) -> Result<()> {
    let arguments = Arguments::parse(arguments)?;
    let output = arguments.output.ok_or_else(|| Error::usage(DOING, "-o FILE is missing"))?;
    let compression = compression(arguments.compress.unwrap_or("zstd"))?;
    let kernel = arguments.kernel.map_or_else(running_kernel, |kernel| Ok(kernel.to_string()))?;
    let modules_dir = arguments.modules_dir.map(|directory| directory.trim_end_matches('/').to_string());
    let modules_dir = modules_dir.unwrap_or_else(|| format!("/lib/modules/{kernel}"));
    let program = arguments.init.map_or_else(default_program, |init| Ok(init.to_string()))?;
    let modules = arguments.modules.into_iter().map(String::from).collect();
    let bytes = build(&Recipe { kernel, modules_dir, modules, compression, program })?;
    // Nothing in it is secret, and QEMU may run as anybody.
    file::write_atomically(output, &bytes, 0o644)
}

impl<'a> Arguments<'a> {
    fn parse(arguments: &[&'a str]) -> Result<Self> {
        let mut parsed = Self::default();
        let mut left = arguments.iter();
        while let Some(argument) = left.next() {
            let (name, joined) = match argument.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value)),
                _ => (*argument, None),
            };
            let mut value = || {
                let value = joined.or_else(|| left.next().copied()).filter(|value| !value.is_empty());
                value.ok_or_else(|| Error::usage(DOING, "it needs a value").to(name))
            };
            match name {
                "-o" | "--output" => parsed.output = Some(value()?),
                "--kernel" => parsed.kernel = Some(value()?),
                "--modules-dir" => parsed.modules_dir = Some(value()?),
                "--module" => parsed.modules.push(value()?),
                "--compress" => parsed.compress = Some(value()?),
                "--init" => parsed.init = Some(value()?),
                _ => return Err(Error::usage(DOING, "there is no such argument").to(*argument)),
            }
        }
        Ok(parsed)
    }
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

/// What `uname -r` prints.
fn running_kernel() -> Result<String> {
    const PATH: &str = "/proc/sys/kernel/osrelease";
    /// A field of `struct new_utsname`.
    const LENGTH_LIMIT: usize = 65;
    let release = file::read(PATH, LENGTH_LIMIT)?;
    let release = core::str::from_utf8(&release).map_err(|_| Error::unsupported("read", "it is no UTF-8").to(PATH))?;
    Ok(release.trim_ascii_end().to_string())
}

fn default_program() -> Result<String> {
    let running = node::link_target("/proc/self/exe")?;
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
            modules: vec!["a", "b"],
            compress: Some("xz"),
            init: Some("prog"),
        };
        let apart = "-o out --kernel 6.1 --modules-dir dir --module a --module b --compress xz --init prog";
        let joined = "--output=out --kernel=6.1 --modules-dir=dir --module=a --module=b --compress=xz --init=prog";
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
            ("--kernel=", "--kernel"),
            ("-o=x", "-o=x"),
            ("-o x --compress lzma", "lzma"),
            ("--kernel 6.1", ""),
        ] {
            let arguments: Vec<&str> = line.split(' ').collect();
            let error = run(&arguments).unwrap_err();
            assert_eq!((error.kind, error.to.as_str()), (Kind::Usage, to), "{line}");
        }
    }

    #[test]
    fn the_running_kernel_has_a_version() {
        assert!(running_kernel().unwrap().starts_with(|first: char| first.is_ascii_digit()));
        assert!(file::exists(&default_program().unwrap()));
    }
}

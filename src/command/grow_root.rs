//! `wisp grow-root`: what the hooks of a distribution's initramfs call.

#![forbid(unsafe_code)]

use super::{Command, DOING, Options, Piece, unknown};
use crate::error::{Error, Result};
use crate::initramfs::hooks;

pub(super) const COMMAND: Command = Command {
    name: "grow-root",
    usage: "DIR",
    summary: "Grow the root that an initramfs has mounted at DIR",
    help: "For hooks of dracut and initramfs-tools. Partition and filesystem grow where\n\
           they are mounted, writable or not. While nothing is mounted at DIR, a partition\n\
           table that a power cut has torn is completed, so that the root can appear.\n\
           Heeds wisp.grow= and wisp.grow.budget= of the kernel command line; in the root,\n\
           /etc/growroot-disabled and the marks of cloud-initramfs-growroot.\n\
           Tells the kernel's log and /run/wisp/grow.json what was done. The exit code is 0\n\
           whatever became of it: the boot goes on.\n",
    takes_any_word: false,
    run,
};

fn run(arguments: &[&str]) -> Result<u8> {
    let mut point = None;
    let mut options = Options::new(arguments);
    while let Some(piece) = options.next() {
        match piece {
            Piece::Option(name, _) => return Err(unknown(name)),
            Piece::Operand(operand) if point.is_none() && operand.starts_with('/') => point = Some(operand),
            Piece::Operand(operand) => return Err(Error::usage(DOING, "one absolute path is meant").to(operand)),
        }
    }
    let point = point.ok_or_else(|| Error::usage(DOING, "DIR is missing: where the root is, or will be, mounted"))?;
    // mountinfo has no slash at the end of a path.
    hooks::run(Some(point.trim_end_matches('/')).filter(|point| !point.is_empty()).unwrap_or("/"));
    Ok(0)
}

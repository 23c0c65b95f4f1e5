//! `wisp write-root`: what the hooks of a distribution's initramfs call to have an image written.

#![forbid(unsafe_code)]

use super::{Command, DOING, Options, Piece, unknown};
use crate::error::{Error, Result};
use crate::initramfs::hooks;

pub(super) const COMMAND: Command = Command {
    name: "write-root",
    usage: "",
    summary: "Write the image that the kernel command line names, in an initramfs",
    help: "For hooks of dracut and the like, before the root is mounted. Does nothing\n\
           without wisp.image=URL|DEVICE|DEVICE:/PATH; with it, wisp.target=DEVICE is\n\
           overwritten, if wisp.image.sha256= is right (wisp.image.unverified: without).\n\
           Comes back when the boot is to go on: wisp.after=boot, reboot or poweroff. Tells\n\
           every console: WISP: image-write ok, skipped or failed.\n",
    takes_any_word: false,
    run,
};

fn run(arguments: &[&str]) -> Result<u8> {
    match Options::new(arguments).next() {
        Some(Piece::Option(name, _)) => Err(unknown(name)),
        Some(Piece::Operand(operand)) => Err(Error::usage(DOING, "nothing may follow").to(operand)),
        None => {
            hooks::write_root();
            Ok(0)
        }
    }
}

//! `wisp mkinitfs`: wisp in the initramfs that Alpine's mkinitfs makes.

#![forbid(unsafe_code)]

use super::root::enter;
use super::{Command, DOING, Options, Piece, unexpected, unknown};
use crate::error::{Error, Result};
use crate::initramfs::mkinitfs::{self, Way};
use crate::log::Log;

pub(super) const COMMAND: Command = Command {
    name: "mkinitfs",
    usage: "enable|disable|rebuild [--own-init] [--root DIR]",
    summary: "Have Alpine's mkinitfs put wisp into the initramfs, as /init",
    help: "enable    a feature and init= in /etc/mkinitfs/mkinitfs.conf, and new images\n\
           disable   without them again\n\
           rebuild   new images if wisp is in them, after an upgrade of wisp\n\
           \n\
           wisp grows the root and becomes Alpine's own init, or with\n\
           --own-init    mounts it itself: a smaller image without a shell\n\
           --root DIR    change the configuration below DIR, make no image\n",
    takes_any_word: false,
    run,
};

fn run(arguments: &[&str]) -> Result<u8> {
    let (mut verb, mut way, mut root) = (None, Way::StockInit, "");
    let mut options = Options::new(arguments);
    while let Some(piece) = options.next() {
        match piece {
            Piece::Option("--own-init", None) => way = Way::OwnInit,
            Piece::Option(name @ "--root", attached) => root = options.value(name, attached)?,
            Piece::Option(name, _) => return Err(unknown(name)),
            Piece::Operand(word) if verb.is_none() => verb = Some(word),
            Piece::Operand(word) => return Err(unexpected(word)),
        }
    }
    let root = enter(root)?;
    let done = match (verb, way, root) {
        (Some("enable"), ..) => mkinitfs::enable(root, way)?,
        (Some("disable"), Way::StockInit, _) => mkinitfs::disable(root)?,
        (Some("rebuild"), Way::StockInit, "") => mkinitfs::rebuild()?,
        (Some("disable" | "rebuild"), ..) => return Err(Error::usage(DOING, "it does not take all of these options")),
        _ => return Err(Error::usage(DOING, "say enable, disable or rebuild").to(verb.unwrap_or_default())),
    };
    let log = Log::stderr();
    done.iter().for_each(|line| log.info(line));
    Ok(0)
}

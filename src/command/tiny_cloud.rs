//! `tiny-cloud`, by that name or as `wisp tiny-cloud`: the command line of the program of that name.
//!
//! Options are found behind a phase too, and the first one that is met is what is done, as `getopt` had it. Long ones may
//! be shortened as far as they stay apart.

#![forbid(unsafe_code)]

use super::root::enter;
use super::{Command, bootstrap, print};
use crate::boot;
use crate::error::Result;
use crate::metadata::Machine;
use crate::settings::Phase;
use crate::sys::{environment, stdio};
use alloc::format;
use alloc::string::String;

pub(super) const COMMAND: Command = Command {
    name: "tiny-cloud",
    usage: "[-b VALUE | -E | -D] [PHASE]",
    summary: "The command line of Tiny Cloud, also by that name",
    help: USAGE,
    takes_any_word: true,
    run,
};

const USAGE: &str = "\
Usage: tiny-cloud boot | early | main | final
       tiny-cloud autodetect
       tiny-cloud -b, --bootstrap complete | incomplete | status
       tiny-cloud -E, --enable
       tiny-cloud -D, --disable
       tiny-cloud -h, --help

As `wisp PHASE`, `wisp bootstrap`, `wisp enable`, `wisp disable`; autodetect
prints the name of the cloud, or `unknown`. $ROOT stands in front of every path;
with $DEBUG the phases log more.
";

/// Tiny Cloud's own exit code for all that it does not understand.
const MISUSED: u8 = 1;

/// The options: letter, name, whether a value belongs to it.
const OPTIONS: [(&str, &str, bool); 4] =
    [("-h", "--help", false), ("-b", "--bootstrap", true), ("-E", "--enable", false), ("-D", "--disable", false)];

fn run(arguments: &[&str]) -> Result<u8> {
    // The environment's word, as Tiny Cloud has it.
    let root = environment::variable(c"ROOT").unwrap_or_default();
    let meant = understand(arguments);
    if let Some(Meant::Help) = meant {
        return print(USAGE);
    }
    let root = enter(&root)?;
    match meant {
        Some(Meant::Bootstrap(word)) if matches!(&*word, "complete" | "incomplete" | "status") => {
            bootstrap::set(root, &word)
        }
        Some(Meant::Enable) => super::enable::enable(root),
        Some(Meant::Disable) => super::enable::disable(root),
        Some(Meant::Phase(_)) if boot::is_disabled(root) => {
            // This line is what scripts of Tiny Cloud's users look for.
            stdio::write_all(stdio::error(), b"tiny-cloud disabled\n");
            Ok(0)
        }
        Some(Meant::Phase(phase)) => super::phase::start(phase, root),
        Some(Meant::Autodetect) => {
            let verdict = Machine::look(root).verdict()?;
            print(&format!("{}\n", verdict.map_or("unknown", |verdict| verdict.cloud.name)))
        }
        Some(Meant::Bootstrap(_) | Meant::Help) | None => misuse(),
    }
}

fn misuse() -> Result<u8> {
    stdio::write_all(stdio::error(), USAGE.as_bytes());
    Ok(MISUSED)
}

/// What a command line means.
#[derive(Debug, PartialEq, Eq)]
enum Meant {
    Help,
    Bootstrap(String),
    Enable,
    Disable,
    Autodetect,
    Phase(Phase),
}

/// The first option wherever it stands; without one, the first operand.
fn understand(arguments: &[&str]) -> Option<Meant> {
    let mut words = arguments.iter().copied();
    let mut operand = None;
    while let Some(word) = words.next() {
        if word == "--" {
            operand = operand.or_else(|| words.next());
            break;
        }
        if !word.starts_with('-') || word == "-" {
            operand = operand.or(Some(word));
            continue;
        }
        let (letter, attached) = option(word)?;
        return Some(match letter {
            "-h" => Meant::Help,
            "-E" => Meant::Enable,
            "-D" => Meant::Disable,
            _ => Meant::Bootstrap(attached.or_else(|| words.next())?.into()),
        });
    }
    let phase = operand?;
    if phase == "autodetect" {
        return Some(Meant::Autodetect);
    }
    Phase::ALL.into_iter().find(|known| known.name() == phase).map(Meant::Phase)
}

/// The letter of an option, and the value that stands in the same word.
fn option(word: &str) -> Option<(&'static str, Option<&str>)> {
    if word.starts_with("--") {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        let mut all = OPTIONS.iter().filter(|(_, long, _)| long.starts_with(name));
        let (letter, _, takes_value) = all.next()?;
        // One that begins like several is none, and one without a value has none behind its sign.
        return (all.next().is_none() && (*takes_value || value.is_none())).then_some((*letter, value));
    }
    let (letter, _, takes_value) = OPTIONS.iter().find(|(letter, ..)| word.starts_with(letter))?;
    // Letters without a value may stand together; the first of them is what is done.
    let rest = word.get(letter.len()..).filter(|rest| *takes_value && !rest.is_empty());
    Some((letter, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_mean_what_tiny_cloud_means_by_them() {
        for (line, meant) in [
            ("boot", Some(Meant::Phase(Phase::Boot))),
            ("final extra", Some(Meant::Phase(Phase::Final))),
            ("-- main", Some(Meant::Phase(Phase::Main))),
            ("autodetect", Some(Meant::Autodetect)),
            ("-h", Some(Meant::Help)),
            ("early --he", Some(Meant::Help)),
            ("early -D", Some(Meant::Disable)),
            ("-E -D", Some(Meant::Enable)),
            ("--dis", Some(Meant::Disable)),
            ("-b status", Some(Meant::Bootstrap("status".into()))),
            ("-bstatus", Some(Meant::Bootstrap("status".into()))),
            ("--bootstrap=complete", Some(Meant::Bootstrap("complete".into()))),
            ("--boot incomplete", Some(Meant::Bootstrap("incomplete".into()))),
            ("", None),
            ("--", None),
            ("-b", None),
            ("-x", None),
            ("--enable=1", None),
            ("--nothing", None),
            ("later", None),
        ] {
            let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
            assert_eq!(understand(&words), meant, "{line}");
        }
    }
}

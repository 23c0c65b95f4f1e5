//! `wisp status`: how far the first boot is.
//!
//! JSON, a stable format: `status`, one of `disabled`, `not started`, `running`, `done`, `error`; `degraded`, whether
//! something failed that nothing will try again, or the machine lacks something; `instance` and `cloud` (text or null);
//! `errors`, each `ACTION: WHY`; `warnings`, what the machine lacks; `enabled`, whether the init system starts the phases
//! (or null). What each action did stands in the files of `/run/wisp` (`crate::boot::phase_report`).

#![forbid(unsafe_code)]

use super::root::enter;
use super::{Command, DOING, DOING_OPTION, Options, Piece, print, unexpected, unknown};
use crate::boot::status::{State, Status};
use crate::error::{Error, Kind, Result};
use crate::service;
use crate::sys::clock;
use crate::units::Deadline;
use alloc::format;
use core::time::Duration;

pub(super) const COMMAND: Command = Command {
    name: "status",
    usage: "[--wait[=SECONDS]] [--json] [--strict] [--root DIR]",
    summary: "Print how far the first boot is",
    help: "\
It is `disabled`, `not started`, `running`, `done` or `error`; degraded, with a
line for each reason, if something failed that is not tried again, or the
machine lacks something: no cloud was found, no SSH key was installed, the
user-data is of a kind that wisp does not process. What each action did stands
in /run/wisp/PHASE.json, what the user's script said in /var/log/user-data.log.

  --wait        print it when it has ended; with SECONDS at most after these
  --json        as JSON; also --format json
  --strict      exit with 2 if it is degraded
  --root DIR    of the system below DIR

Exit: 0, 1 for `error`; 8 when SECONDS were not enough.
",
    takes_any_word: false,
    run,
};

/// The phases tell no one that they end; a tenth of a second is not noticed by who waits for a boot.
const PAUSE: Duration = Duration::from_millis(100);

const WAITING: &str = "wait for the end of the bootstrap";

const ERROR: u8 = 1;
const DEGRADED: u8 = 2;

/// How it is to be told.
#[derive(Default)]
struct Asked<'a> {
    root: &'a str,
    wait: Option<Deadline>,
    json: bool,
    strict: bool,
}

fn run(arguments: &[&str]) -> Result<u8> {
    let asked = parse(arguments)?;
    let mut status = Status::read(asked.root)?;
    if let Some(deadline) = asked.wait {
        while matches!(status.state, State::Running | State::NotStarted) {
            let is_idle = status.state == State::NotStarted;
            if is_idle && service::is_enabled(asked.root).is_ok_and(|is_enabled| !is_enabled) {
                return Err(Error::absent(WAITING, "no phase has begun, and none is enabled: wisp enable"));
            }
            if deadline.has_passed(clock::now()) {
                let why = if is_idle { "no phase has begun" } else { "it is still running" };
                return Err(Error::new(Kind::TimedOut, WAITING, why));
            }
            clock::pause(PAUSE);
            status = Status::read(asked.root)?;
        }
    }
    print(&if asked.json { status.json() } else { status.text() })?;
    Ok(match status.state {
        State::Error => ERROR,
        _ if asked.strict && status.is_degraded() => DEGRADED,
        _ => 0,
    })
}

fn parse<'a>(arguments: &'a [&'a str]) -> Result<Asked<'a>> {
    let mut asked = Asked::default();
    let mut is_bare_wait = false;
    let mut options = Options::new(arguments);
    while let Some(piece) = options.next() {
        let follows_wait = core::mem::replace(&mut is_bare_wait, matches!(piece, Piece::Option("--wait", None)));
        match piece {
            Piece::Option("--wait", None) => asked.wait = Some(Deadline::NEVER),
            Piece::Option("--wait", Some(seconds)) => {
                let strange = |_| Error::usage(DOING_OPTION, "not a whole number of seconds").to("--wait");
                let span = Duration::from_secs(seconds.parse::<u32>().map_err(strange)?.into());
                asked.wait = Some(Deadline::after(clock::now(), span));
            }
            Piece::Option("--json", None) => asked.json = true,
            Piece::Option("--format", value) => match options.value("--format", value)? {
                "json" => asked.json = true,
                "text" | "tabular" => asked.json = false,
                other => return Err(Error::usage("understand the format", "there are json and text").to(other)),
            },
            Piece::Option("--strict", None) => asked.strict = true,
            Piece::Option("--root", value) => asked.root = options.value("--root", value)?,
            Piece::Option(name, _) => return Err(unknown(name)),
            Piece::Operand(word) if follows_wait && word.parse::<u32>().is_ok() => {
                let why = format!("unexpected argument {word}, did you mean --wait={word}?");
                return Err(Error::usage(DOING, why));
            }
            Piece::Operand(word) => return Err(unexpected(word)),
        }
    }
    asked.root = enter(asked.root)?;
    Ok(asked)
}

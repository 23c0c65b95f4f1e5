//! `wisp grow`: the same growing on a running system.

#![forbid(unsafe_code)]

use super::{Command, DOING, Options, Piece, print, unknown};
use crate::error::{Error, Kind, Result};
use crate::grow::report::{Report, StepState};
use crate::grow::{self, Private, PrivatePoint, Request};
use crate::log::Log;
use crate::probe::block::Sysfs;
use crate::probe::grow_facts::Subject;
use crate::settings::Mode;
use crate::sys::{device_node, file};
use alloc::format;

pub(super) const COMMAND: Command = Command {
    name: "grow",
    usage: "[--dry-run] [--json] [--repair] [TARGET]",
    summary: "Grow the partition and the filesystem at TARGET",
    help: "The partition grows to the next partition or the end of the disk, then the\n\
           filesystem to the partition. Nothing moves, nothing shrinks; when both are full\n\
           nothing is written.\n\
           \n\
           TARGET          a mount point or a block device (/)\n\
           --dry-run, -n   print what would be done and do nothing\n\
           --json          print the report as one line of JSON, a refusal too\n\
           --repair        also rebuild a damaged primary GPT from its sound backup\n",
    takes_any_word: false,
    run,
};

/// No such file or directory.
const ENOENT: i32 = 2;

const SYSFS: Sysfs<'static> = Sysfs { root: "/sys" };

fn run(arguments: &[&str]) -> Result<u8> {
    let (mut target, mut dry_run, mut json, mut mode) = (None, false, false, Mode::On);
    let mut options = Options::new(arguments);
    while let Some(piece) = options.next() {
        match piece {
            Piece::Option("--dry-run" | "-n", None) => dry_run = true,
            Piece::Option("--json", None) => json = true,
            Piece::Option("--repair", None) => mode = Mode::Repair,
            Piece::Option(name, _) => return Err(unknown(name)),
            Piece::Operand("") => return Err(Error::usage(DOING, "TARGET is empty")),
            Piece::Operand(operand) if target.is_none() => target = Some(operand),
            Piece::Operand(operand) => {
                return Err(Error::usage(DOING, "one TARGET is enough").to(operand));
            }
        }
    }
    let target = target.unwrap_or("/");
    let report = account(target, mode, dry_run).unwrap_or_else(|error| Report::stopped(target.into(), error));
    notify(&report, json)
}

/// Grows what is at `target`.
fn account(target: &str, mode: Mode, dry_run: bool) -> Result<Report> {
    let subject = subject(target)?;
    let needs_point = subject.mount.is_none() && !dry_run;
    let point = needs_point.then(PrivatePoint::make).transpose()?;
    let private = Private { point: point.as_ref().map_or("", PrivatePoint::path), options: "" };
    let request = Request { sysfs: SYSFS, subject, mode, dry_run, budget: None, private, markers: &[grow::DISABLED] };
    Ok(grow::run(&request, &mut |line| Log::stderr().info(line)))
}

/// A block device by its node; anything else is a mount point.
fn subject(target: &str) -> Result<Subject> {
    if file::is_directory(target) {
        // mountinfo has no slash at the end of a path.
        let point = Some(target.trim_end_matches('/')).filter(|point| !point.is_empty());
        return Subject::mounted_at(SYSFS, point.unwrap_or("/"));
    }
    Subject::of_node(
        SYSFS,
        device_node::block_number(target).map_err(|error| match error.kind {
            Kind::Os(ENOENT) => Error::absent("grow", "there is nothing of that name").to(target),
            _ => error,
        })?,
    )
}

fn notify(report: &Report, json: bool) -> Result<u8> {
    if json {
        print(&format!("{}\n", report.json()))?;
    } else {
        for line in report.lines() {
            print(&format!("{line}\n"))?;
        }
    }
    match report.error() {
        Some(error) if report.state() >= StepState::Refused => Err(error.clone()),
        _ => Ok(0),
    }
}

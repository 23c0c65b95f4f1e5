//! `wisp detect`: which cloud, and by what evidence.
//!
//! JSON, a stable format: `cloud` is the name that `CLOUD=` takes and `title` its owner's, both `null` where nothing is
//! found; `forced` whether the user said which it is, and `said` where, else `null`; `evidence` the marks that were
//! seen, `mark`, `field` and `value` as in [`Sign`]; `others` the names of further clouds whose marks were seen.

#![forbid(unsafe_code)]

use super::root::enter;
use super::{Command, Options, Piece, print, unexpected, unknown};
use crate::error::Result;
use crate::log::Log;
use crate::metadata::Machine;
use crate::provider::{Detection, Sign};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use miniserde::Serialize;

pub(super) const COMMAND: Command = Command {
    name: "detect",
    usage: "[--json] [--root DIR]",
    summary: "Tell which cloud this machine runs in, without asking the network",
    help: "Its name, as CLOUD= takes it, is the one line of standard output; what tells\n\
           of it goes to standard error. Where nothing does, the name is unknown and the\n\
           exit code 3. Some marks only root can see.\n\
           \n\
           CLOUD= in /etc/wisp.conf (else /etc/tiny-cloud.conf) or in the environment,\n\
           and wisp.cloud= or ds= on the kernel command line, say which it is; auto\n\
           looks.\n\
           \n\
           --json          print one line of JSON, also where no cloud is found\n\
           --root DIR      look at the files below DIR, and at no disk\n",
    takes_any_word: false,
    run,
};

fn run(arguments: &[&str]) -> Result<u8> {
    let (mut json, mut root) = (false, "");
    let mut options = Options::new(arguments);
    while let Some(piece) = options.next() {
        match piece {
            Piece::Option("--json", None) => json = true,
            Piece::Option(name @ "--root", attached) => root = options.value(name, attached)?,
            Piece::Option(name, _) => return Err(unknown(name)),
            Piece::Operand(operand) => return Err(unexpected(operand)),
        }
    }
    let machine = Machine::look(enter(root)?);
    let log = Log::stderr();
    for complaint in &machine.settings.complaints {
        log.warning(complaint);
    }
    let verdict = machine.verdict()?;
    if json {
        print(&self::json(verdict.as_ref()))?;
    } else {
        print(&format!("{}\n", verdict.as_ref().map_or("unknown", |verdict| verdict.cloud.name)))?;
        verdict.iter().flat_map(lines).for_each(|line| log.info(&line));
    }
    if verdict.is_some() { Ok(0) } else { Err(machine.unknown()) }
}

/// Why it is this cloud, for people.
fn lines(verdict: &Detection) -> Vec<String> {
    let title = verdict.cloud.title;
    let forced = verdict.forced.iter().map(|said| format!("{title}, forced by {said}"));
    let mut lines: Vec<String> = forced.chain(verdict.signs.iter().map(|sign| format!("{title}, by {sign}"))).collect();
    lines.extend(verdict.others.iter().map(|other| format!("there are marks of {} too", other.title)));
    lines
}

#[derive(Serialize)]
struct VerdictJson<'a> {
    cloud: Option<&'a str>,
    title: Option<&'a str>,
    forced: bool,
    said: Option<&'a str>,
    evidence: Vec<SignJson<'a>>,
    others: Vec<&'a str>,
}

#[derive(Serialize)]
struct SignJson<'a> {
    mark: &'a str,
    field: &'a str,
    value: Option<&'a str>,
}

impl<'a> SignJson<'a> {
    fn of(sign: &'a Sign) -> Self {
        Self { mark: sign.mark, field: &sign.field, value: sign.value.as_deref() }
    }
}

fn json(verdict: Option<&Detection>) -> String {
    let signs = verdict.map_or(&[][..], |verdict| &verdict.signs);
    let others = verdict.map_or(&[][..], |verdict| &verdict.others);
    let said = verdict.and_then(|verdict| verdict.forced.as_deref());
    let mut line = miniserde::json::to_string(&VerdictJson {
        cloud: verdict.map(|verdict| verdict.cloud.name),
        title: verdict.map(|verdict| verdict.cloud.title),
        forced: said.is_some(),
        said,
        evidence: signs.iter().map(SignJson::of).collect(),
        others: others.iter().map(|cloud| cloud.name).collect(),
    });
    line.push('\n');
    line
}

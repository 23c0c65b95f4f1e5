//! `bootcmd` and `runcmd`.

use super::super::context::Context;
use super::super::user_command;
use super::{Outcomes, config};
use crate::error::{Error, Result};
use crate::sys::dir::Dir;
use crate::sys::exec::Program;
use crate::userdata::Command;
use alloc::format;

pub(in super::super) fn userdata_bootcmd(context: &mut Context<'_>) -> Result<()> {
    run(context, "bootcmd")
}

pub(in super::super) fn userdata_runcmd(context: &mut Context<'_>) -> Result<()> {
    run(context, "runcmd")
}

fn run(context: &Context<'_>, key: &'static str) -> Result<()> {
    let Some(config) = config(context)? else { return Ok(()) };
    let mut outcomes = Outcomes::new(context);
    for (index, command) in config.commands(key)? {
        let what = format!("{key}[{index}]");
        outcomes.note(command.and_then(|command| match command {
            Command::Line(line) => shell(context, &what, line),
            Command::Program(path, arguments) => {
                user_command::run(context, &what, &Program { path, arguments: &arguments, environment: &[] })
            }
        }));
    }
    outcomes.end()
}

/// Runs a line. It is the user's own words, and the arguments of a process everyone may read: so it is in a file.
fn shell(context: &Context<'_>, what: &str, line: &str) -> Result<()> {
    const NAME: &str = "user-data.command";
    let var = &*context.settings().var;
    let folder = Dir::open("", var)?.ok_or_else(|| Error::absent("open the folder", "it is not there").to(var))?;
    folder.remove(NAME)?;
    folder.create(NAME, line.as_bytes())?;
    let path = folder.path(NAME);
    let outcome = user_command::run(context, what, &Program { path: "/bin/sh", arguments: &[&path], environment: &[] });
    folder.remove(NAME)?;
    outcome
}

//! Runs the user's script: any interpreter, once, to its end.
//!
//! What it says is in `user-data.log`, its exit code in `user-data.exit` (127: not found, 126: not executable, 128 and the
//! number of the signal that ended it, as shells say it). That is how Tiny Cloud does it (3.0, `user-data/script`).

use super::context::Context;
use super::user_command::{self, Before};
use crate::error::{Error, Kind, Result};
use crate::sys::exec::{Ended, Program};
use crate::sys::{file, tree};
use crate::userdata::UserdataKind;
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

const DOING: &str = "run the user-data";

/// A script may hold passwords, and it must be executable.
const MODE: u32 = 0o700;

/// What runs a script that names no one, or whose filesystem lets nothing be executed.
const SHELL: &str = "/bin/sh";

const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

const ENOENT: i32 = 2;
/// What the kernel says of a file that it does not execute itself, while its interpreter still can read it: no program
/// (ENOEXEC), `noexec` (EACCES), open for writing somewhere (ETXTBSY).
const INDIRECT: [i32; 3] = [8, 13, 26];

pub(super) fn run_userdata(context: &mut Context<'_>) -> Result<()> {
    if context.userdata.kind != UserdataKind::Script {
        context.say("the user-data is no script");
        return Ok(());
    }
    if !context.is_live() {
        context.say("the script is not run, since this is not the running system");
        return Ok(());
    }
    let exit = format!("{}/user-data.exit", context.settings().logs);
    // What another script left there is not this one's.
    if let Err(error) = tree::remove_file(&exit) {
        context.warn(&format!("{error}"));
    }
    let script = Script::place(context)?;
    let outcome = user_command::follow(context, Before::Goes, |start| script.start(start));
    let status = match &outcome {
        Ok(ended) => ended.status(),
        Err(error) if error.kind == Kind::Absent => NOT_FOUND,
        Err(_) => NOT_EXECUTABLE,
    };
    if let Err(error) = file::write_atomically(&exit, format!("{status}\n").as_bytes(), 0o644) {
        context.warn(&format!("{error}"));
    }
    let why = match outcome? {
        Ended::Code(0) => return Ok(()),
        Ended::Code(code) => format!("script exited {code}"),
        Ended::Signal(number) => format!("script was ended by signal {number}"),
    };
    Err(Error::new(Kind::Ended, DOING, why))
}

/// The script as a file that can be executed.
struct Script {
    path: String,
    /// Its interpreter and at most one argument for that.
    interpreter: Option<(String, Option<String>)>,
    is_copy: bool,
}

impl Drop for Script {
    fn drop(&mut self) {
        if self.is_copy {
            // It has run; a left-over is as secret as what it was copied from.
            let _ = tree::remove_file(&self.path);
        }
    }
}

impl Script {
    /// Puts it where it can be executed: where it was saved, or, if editors left in it what no kernel understands, in a copy
    /// without that.
    fn place(context: &Context<'_>) -> Result<Self> {
        let saved = &context.userdata.bytes;
        let text = plain(context.userdata.body());
        let is_copy = text != saved.as_slice();
        let folder = &context.settings().var;
        let path = format!("{folder}/user-data{}", if is_copy { ".script" } else { "" });
        if is_copy {
            context.warn(
                "the script has blanks in front of its #!, or the line ends of Windows: a copy without them is run",
            );
            file::write_atomically(&path, &text, MODE)?;
        } else {
            file::set_mode(&path, MODE)?;
        }
        Ok(Self { path, interpreter: interpreter(&text), is_copy })
    }

    /// Starts it as the kernel does, else as the kernel would.
    fn start(&self, start: &dyn Fn(&Program<'_>) -> Result<Ended>) -> Result<Ended> {
        let direct = start(&Program { path: &self.path, arguments: &[], environment: &[] });
        let outcome = match direct {
            Err(error) if matches!(error.kind, Kind::Os(errno) if INDIRECT.contains(&errno)) => {
                let (interpreter, argument) =
                    self.interpreter.as_ref().map_or((SHELL, None), |(path, argument)| (path, argument.as_deref()));
                let arguments: Vec<&str> = argument.into_iter().chain([&*self.path]).collect();
                start(&Program { path: interpreter, arguments: &arguments, environment: &[] })
            }
            outcome => outcome,
        };
        outcome.map_err(|error| match (error.kind, &self.interpreter) {
            (Kind::Os(ENOENT), Some((path, _))) => {
                Error::absent(DOING, format!("its interpreter {path}, or what that needs, is not there"))
            }
            (kind, _) => Error::new(kind, DOING, error.why.clone()),
        })
    }
}

/// The script with the line ends of Unix, if its first line has those of Windows.
fn plain(text: &[u8]) -> Cow<'_, [u8]> {
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if !first.ends_with(b"\r") {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_suffix(b"\r\n") {
            Some(line) => {
                bytes.extend_from_slice(line);
                bytes.push(b'\n');
            }
            None => bytes.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line)),
        }
    }
    Cow::Owned(bytes)
}

/// Who runs a script, by its first line, as Linux reads that: all behind the first word is one argument.
fn interpreter(text: &[u8]) -> Option<(String, Option<String>)> {
    let line = text.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = core::str::from_utf8(line).ok()?.trim_matches([' ', '\t']);
    let (path, argument) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let argument = argument.trim_matches([' ', '\t']);
    (!path.is_empty()).then(|| (path.into(), Some(argument.into()).filter(|argument: &String| !argument.is_empty())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_read_as_linux_reads_it() {
        for (line, path, argument) in [
            ("#!/bin/sh\necho", "/bin/sh", None),
            ("#! /bin/sh -eu \n", "/bin/sh", Some("-eu")),
            ("#!\t/usr/bin/env\tpython3 -u", "/usr/bin/env", Some("python3 -u")),
        ] {
            assert_eq!(interpreter(line.as_bytes()), Some((path.into(), argument.map(String::from))), "{line}");
        }
        for line in ["#!", "#! \n/bin/sh", "echo", "#!\u{ff}\n/bin/sh"] {
            assert!(interpreter(line.as_bytes()).is_none_or(|(path, _)| path == "\u{ff}"), "{line}");
        }
        assert_eq!(interpreter(b"#!/bin/\xff"), None);
    }

    #[test]
    fn line_ends_are_those_of_the_first_line() {
        for (text, wanted) in [
            ("#!/bin/sh\r\necho a\r\n\r\nb\n", "#!/bin/sh\necho a\n\nb\n"),
            ("#!/bin/sh\r", "#!/bin/sh"),
            ("#!/bin/sh\r\nprintf 'a\rb'", "#!/bin/sh\nprintf 'a\rb'"),
            ("#!/bin/sh\nprintf 'a\r\n'", "#!/bin/sh\nprintf 'a\r\n'"),
            ("#!/bin/sh", "#!/bin/sh"),
        ] {
            assert_eq!(plain(text.as_bytes()), wanted.as_bytes(), "{text:?}");
        }
    }
}

//! The command line: one table of commands, one file each. The only room that prints errors (besides PID 1, which has
//! no one to return them to).
//!
//! Exit codes: 0 done or nothing to do, 2 usage, others from [`crate::error::Kind::exit_code`].

#![forbid(unsafe_code)]

#[cfg(feature = "full")]
mod bootstrap;
#[cfg(feature = "full")]
mod decode;
#[cfg(feature = "full")]
mod detect;
#[cfg(feature = "full")]
mod enable;
mod grow;
mod grow_root;
#[cfg(feature = "full")]
mod hotplug;
#[cfg(feature = "full")]
mod image;
#[cfg(feature = "full")]
mod imds;
mod init;
#[cfg(feature = "full")]
mod initramfs;
#[cfg(feature = "full")]
mod mkinitfs;
#[cfg(feature = "full")]
mod phase;
#[cfg(feature = "full")]
mod root;
#[cfg(feature = "full")]
mod status;
mod suggest;
#[cfg(feature = "full")]
mod tiny_cloud;
#[cfg(feature = "full")]
mod write_root;

use crate::error::{Error, Kind, Result};
use crate::log::Log;
use crate::sys::{fork, stdio, tree};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
#[cfg(feature = "full")]
use core::time::Duration;
use suggest::{nearest, option_names};

const DOING: &str = "understand the command line";

/// One command.
struct Command {
    /// Its name.
    name: &'static str,
    /// What may follow it.
    usage: &'static str,
    /// What it does, in one line.
    summary: &'static str,
    /// What there is to know about its options.
    help: &'static str,
    /// Whether any word behind its options may be meant, `-h` too.
    takes_any_word: bool,
    /// Does it, and returns the exit code. The arguments are those behind the name.
    run: fn(&[&str]) -> Result<u8>,
}

impl Command {
    /// How it is called.
    fn line(&self) -> String {
        let line = format!("wisp {} {}", self.name, self.usage);
        line.trim_end().into()
    }

    /// All there is to know about it.
    fn page(&self) -> String {
        format!("{}\n\n{}.\n\n{}", self.line(), self.summary, self.help)
    }
}

/// All commands. A new one is a row here and a file beside this one.
const COMMANDS: &[Command] = &[
    #[cfg(feature = "full")]
    decode::COMMAND,
    grow::COMMAND,
    grow_root::COMMAND,
    #[cfg(feature = "full")]
    write_root::COMMAND,
    init::COMMAND,
    #[cfg(feature = "full")]
    initramfs::COMMAND,
    #[cfg(feature = "full")]
    mkinitfs::COMMAND,
    #[cfg(feature = "full")]
    image::write::WRITE,
    #[cfg(feature = "full")]
    image::write::VERIFY,
    #[cfg(feature = "full")]
    image::info::COMMAND,
    #[cfg(feature = "full")]
    image::pack::COMMAND,
    #[cfg(feature = "full")]
    detect::COMMAND,
    #[cfg(feature = "full")]
    imds::COMMAND,
    #[cfg(feature = "full")]
    phase::BOOT,
    #[cfg(feature = "full")]
    phase::EARLY,
    #[cfg(feature = "full")]
    phase::MAIN,
    #[cfg(feature = "full")]
    phase::FINAL,
    #[cfg(feature = "full")]
    status::COMMAND,
    #[cfg(feature = "full")]
    bootstrap::COMMAND,
    #[cfg(feature = "full")]
    enable::ENABLE,
    #[cfg(feature = "full")]
    enable::DISABLE,
    #[cfg(feature = "full")]
    hotplug::COMMAND,
    #[cfg(feature = "full")]
    tiny_cloud::COMMAND,
];

/// Runs the command that `arguments` (the program's own name first) name, and returns the exit code.
#[must_use]
pub fn run(arguments: &[Vec<u8>]) -> u8 {
    if is_init_of_initramfs(arguments) {
        return init::run_first(arguments);
    }
    stdio::prepare();
    match dispatch(arguments).and_then(with_output) {
        Ok(code) => code,
        Err(error) => {
            Log::stderr().error(&format!("{error}"));
            error.kind.exit_code()
        }
    }
}

/// The exit code `code`, unless it says success and what was printed is lost: a report on a full disk is no report.
fn with_output(code: u8) -> Result<u8> {
    match stdio::lost() {
        Some(error) if code == 0 => Err(error),
        _ => Ok(code),
    }
}

/// Whether the kernel started this as `/init`, with arguments that are meant for the real init. The first process of a
/// container is the first of its own world too, and must never take the machine for its own: its root is on some
/// filesystem, or it was called by a name and with words that an initramfs does not use.
fn is_init_of_initramfs(arguments: &[Vec<u8>]) -> bool {
    let named_init = arguments.first().is_some_and(|name| name.rsplit(|byte| *byte == b'/').next() == Some(b"init"));
    let is_command = |word: &&[u8]| {
        let first = |command: &Command| command.name.split(' ').next().unwrap_or_default().as_bytes();
        let known = |command: &Command| command.name != init::COMMAND.name && first(command) == *word;
        matches!(*word, b"--help" | b"--version") || COMMANDS.iter().any(known)
    };
    let asks_for_command = arguments.get(1).map(Vec::as_slice).filter(is_command).is_some();
    fork::is_first() && tree::root_is_in_memory() && (named_init || !asks_for_command)
}

fn dispatch(arguments: &[Vec<u8>]) -> Result<u8> {
    let mut words = Vec::with_capacity(arguments.len());
    for argument in arguments.iter().skip(1) {
        let strange = |_| Error::usage(DOING, "it is no UTF-8").to(String::from_utf8_lossy(argument));
        words.push(core::str::from_utf8(argument).map_err(strange)?);
    }
    let own = arguments.first().and_then(|own| own.rsplit(|byte| *byte == b'/').next()).unwrap_or_default();
    if let Some(command) = COMMANDS.iter().find(|command| command.takes_any_word && command.name.as_bytes() == own) {
        // Called by that name alone, as scripts do.
        words.insert(0, command.name);
    }
    let Some((&name, rest)) = words.split_first() else {
        return Err(Error::usage(DOING, "no command is given; wisp --help lists them"));
    };
    match name {
        "--help" | "-h" | "help" => match find(rest) {
            Some((command, _)) => print(&command.page()),
            None => print(&overview()),
        },
        "--version" | "-V" => print(concat!("wisp ", env!("CARGO_PKG_VERSION"), "\n")),
        _ => {
            let Some((command, rest)) = find(&words) else { return half(name, rest) };
            if asks_for_help(command, rest) {
                return print(&command.page());
            }
            (command.run)(rest).map_err(|error| explain(command, error))
        }
    }
}

/// There is no command of this name: what begins with it, for anyone who asks; else why not.
fn half(name: &str, rest: &[&str]) -> Result<u8> {
    let mut lines = String::new();
    for command in
        COMMANDS.iter().filter(|command| command.name.split_once(' ').is_some_and(|(first, _)| first == name))
    {
        lines.push_str(&format!("{}\n    {}\n", command.line(), command.summary));
    }
    match rest.first() {
        Some(&"--help" | &"-h" | &"help") if !lines.is_empty() => print(&lines),
        Some(second) if !lines.is_empty() => {
            let why = format!("there is no such command; wisp {name} --help lists those of {name}");
            Err(Error::usage(DOING, why).to(format!("{name} {second}")))
        }
        None if !lines.is_empty() => {
            Err(Error::usage(DOING, format!("say what it is to do; wisp {name} --help lists that")).to(name))
        }
        _ => {
            let names = COMMANDS.iter().map(|command| command.name.split(' ').next().unwrap_or_default());
            let hint = nearest(name, names).map(|name| format!(", did you mean {name}?")).unwrap_or_default();
            Err(Error::usage(DOING, format!("unknown command{hint}; wisp --help lists them")).to(name))
        }
    }
}

/// Whether one of `words` asks for help: any, or where any word may be meant, the first and the options in front.
fn asks_for_help(command: &Command, words: &[&str]) -> bool {
    let mut front = words.iter().take_while(|word| !command.takes_any_word || word.starts_with("--"));
    words.first() == Some(&"-h") || front.any(|word| matches!(*word, "--help" | "-h"))
}

/// The command that `words` begin with, whose name may be two of them, and the words behind it.
fn find<'a>(words: &'a [&'a str]) -> Option<(&'static Command, &'a [&'a str])> {
    COMMANDS.iter().find_map(|command| {
        let mut rest = words;
        for part in command.name.split(' ') {
            let (first, behind) = rest.split_first()?;
            rest = Some(behind).filter(|_| *first == part)?;
        }
        Some((command, rest))
    })
}

/// Every command with its line.
fn overview() -> String {
    let mut text = String::from("wisp brings a machine image to life.\n\n");
    for command in COMMANDS {
        text.push_str(&format!("  {}\n      {}\n", command.line(), command.summary));
    }
    text.push_str(
        "\n  --help, --version everywhere\n\n\
         Exit: 0 done or nothing to do, 1 the kernel said no, 2 usage, 3 absent,\n\
         4 unsupported, 5 corrupt, 6 refused, 7 a server said no, 8 timed out,\n\
         9 a program failed\n",
    );
    text
}

/// Prints to standard output. A failure does not stop the command; [`with_output`] reports it at the end.
fn print(text: &str) -> Result<u8> {
    stdio::write_all(stdio::output(), text.as_bytes());
    Ok(0)
}

/// The options and operands of a command: `--name`, `--name=value`, `--name value`, `-n`; `--` ends options.
struct Options<'a> {
    rest: &'a [&'a str],
    literal: bool,
}

/// One piece of a command line.
enum Piece<'a> {
    /// An option, and the value that stood behind its `=`.
    Option(&'a str, Option<&'a str>),
    /// Anything else.
    Operand(&'a str),
}

impl<'a> Options<'a> {
    const fn new(rest: &'a [&'a str]) -> Self {
        Self { rest, literal: false }
    }

    fn next(&mut self) -> Option<Piece<'a>> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        if self.literal || first == "-" || !first.starts_with('-') {
            return Some(Piece::Operand(first));
        }
        if first == "--" {
            self.literal = true;
            return self.next();
        }
        Some(match first.split_once('=') {
            Some((name, value)) if name.starts_with("--") => Piece::Option(name, Some(value)),
            _ => Piece::Option(first, None),
        })
    }

    /// The value of the option `name`: what stood behind its `=`, else the next word.
    #[cfg(feature = "full")]
    fn value(&mut self, name: &str, attached: Option<&'a str>) -> Result<&'a str> {
        let value = attached.or_else(|| {
            let (&next, rest) = self.rest.split_first()?;
            self.rest = rest;
            Some(next)
        });
        let missing = || Error::usage(DOING_OPTION, "its value is missing").to(name);
        value.filter(|value| !value.is_empty()).ok_or_else(missing)
    }
}

/// The value of the option `name`, a number of seconds; at least one, at most a day.
#[cfg(feature = "full")]
fn seconds(name: &str, value: &str) -> Result<Duration> {
    /// Longer than any server takes to come back, and short enough to be added to any clock.
    const LIMIT: u64 = 86_400;
    let number = value.parse().ok().filter(|number| (1..=LIMIT).contains(number) && !value.starts_with('+'));
    let wrong = || {
        Error::usage(DOING_OPTION, format!("not a number of seconds from 1 to {LIMIT}")).to(format!("{name} {value}"))
    };
    number.map(Duration::from_secs).ok_or_else(wrong)
}

/// What is being done when an option is not understood; [`explain`] adds the command to it.
const DOING_OPTION: &str = "understand the option";

const UNKNOWN: &str = "unknown option, or it takes no value";

/// An option that the command does not have, or not with a value.
fn unknown(option: &str) -> Error {
    Error::usage(DOING_OPTION, UNKNOWN).to(option)
}

/// An operand of a command that takes none, or no more of them.
#[cfg(feature = "full")]
fn unexpected(word: &str) -> Error {
    Error::usage(DOING, format!("unexpected argument {word}"))
}

/// Adds to an error of the command line where the options of `command` are listed, and to an unknown option the nearest
/// known one.
fn explain(command: &Command, error: Error) -> Error {
    let is_about_arguments = error.kind == Kind::Usage && matches!(error.doing, DOING | DOING_OPTION);
    if !is_about_arguments || error.why.contains("--help") {
        return error;
    }
    let options = [command.usage, command.help].into_iter().flat_map(option_names);
    let nearest = if error.why.starts_with(UNKNOWN) { nearest(&error.to, options) } else { None };
    let hint = nearest.map(|name| format!(", did you mean {name}?")).unwrap_or_default();
    let why = format!("{}{hint}; see wisp {} --help", error.why, command.name);
    Error::new(error.kind, error.doing, why).to(error.to.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_option_of_a_command_is_suggested() {
        let explained = |option: &str| explain(&grow::COMMAND, unknown(option)).why.to_string();
        assert!(explained("--dryrun").contains("did you mean --dry-run?"));
        assert!(explained("--jsno=x").contains("did you mean --json?"));
        assert!(!explained("--verbose").contains("did you mean"));
        assert!(explained("--verbose").ends_with("see wisp grow --help"));
        let missing = explain(&grow::COMMAND, Error::usage(DOING, "one TARGET is enough").to("b"));
        assert_eq!(missing.why, "one TARGET is enough; see wisp grow --help");
        let other = Error::usage("do", "something else");
        assert_eq!(explain(&grow::COMMAND, other.clone()), other);
    }
}

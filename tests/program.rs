//! The command line as a user meets it: what is printed where, and the exit codes.
//!
//! `WISP_UNDER_TEST` names the program; without it, it is the hosted one that cargo just built. `make test` runs these
//! tests against that one and against both shipped ones, so nothing here may need a command that only one of them has.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt as _;
use std::process::{Command, Stdio};

/// What one run of the program ended with.
#[derive(Debug)]
struct Outcome {
    code: Option<i32>,
    out: String,
    err: String,
}

fn program() -> Command {
    let path = std::env::var_os("WISP_UNDER_TEST").unwrap_or_else(|| env!("CARGO_BIN_EXE_wisp").into());
    let mut command = Command::new(path);
    command.stdin(Stdio::null());
    command
}

fn wisp<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Outcome {
    let output = program().args(arguments).output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("the program prints UTF-8");
    Outcome { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// One sentence on standard error, nothing on standard output, and this exit code.
#[track_caller]
fn fails(arguments: &str, code: i32, because: &str) {
    let outcome = wisp(arguments.split_whitespace());
    assert_eq!((outcome.code, outcome.out.as_str()), (Some(code), ""), "wisp {arguments}: {outcome:?}");
    assert_eq!(outcome.err.lines().count(), 1, "wisp {arguments}: {outcome:?}");
    assert!(outcome.err.contains(because), "wisp {arguments}: {outcome:?}");
}

#[test]
fn the_version_is_that_of_the_package() {
    for option in ["--version", "-V"] {
        let outcome = wisp([option]);
        assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""));
        assert_eq!(outcome.out, format!("wisp {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn every_command_that_help_lists_explains_itself() {
    let overview = wisp(["--help"]);
    assert_eq!((overview.code, overview.err.as_str()), (Some(0), ""));
    let commands: Vec<&str> = overview.out.lines().filter_map(|line| line.strip_prefix("  wisp ")).collect();
    let names: Vec<&str> = commands.iter().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains(&"grow") && names.contains(&"init"), "{names:?}");
    for name in names {
        let outcome = wisp([name, "--help"]);
        assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""), "{name}");
        assert!(outcome.out.starts_with(&format!("wisp {name}")), "{}", outcome.out);
    }
}

#[test]
fn what_cannot_be_meant_ends_with_2_and_is_named() {
    fails("", 2, "--help");
    fails("fly", 2, "fly");
    fails("grow --fast", 2, "--fast");
    fails("grow --json=yes", 2, "--json");
    fails("grow / /home", 2, "/home");
    fails("initramfs", 2, "wisp: ");
    let outcome = wisp([OsString::from_vec(vec![b'g', 0xff])]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
}

#[test]
fn what_cannot_be_grown_is_refused_by_name() {
    fails("grow /proc", 6, "/proc");
    fails("grow --dry-run /dev/null", 6, "/dev/null");
    fails("grow --dry-run /nowhere/at/all", 1, "/nowhere/at/all: no such file or directory");
}

#[test]
fn only_the_first_process_may_be_init() {
    fails("init", 6, "first process");
}

#[test]
fn a_reader_that_left_is_no_crash() {
    let mut child = program().arg("--help").stdout(Stdio::piped()).spawn().expect("the program starts");
    drop(child.stdout.take());
    let status = child.wait().expect("the program ends");
    // Written before the reader left, or stopped by SIGPIPE as any program is: never an abort.
    const SIGPIPE: i32 = 13;
    assert!(status.success() || std::os::unix::process::ExitStatusExt::signal(&status) == Some(SIGPIPE), "{status}");
}

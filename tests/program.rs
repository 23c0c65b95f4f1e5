//! The command line as a user meets it: what is printed where, and the exit codes.
//!
//! `WISP_UNDER_TEST` names the program; without it, it is the hosted one that cargo just built. `make test` runs these
//! tests against that one and against both shipped ones, so nothing here may need a command that only one of them has.

#[path = "support/skip.rs"]
mod skip;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use miniserde::json::{self, Value};

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

/// The commands that the overview lists. The small program has fewer.
fn commands() -> Vec<String> {
    let overview = wisp(["--help"]);
    assert_eq!((overview.code, overview.err.as_str()), (Some(0), ""));
    let lines = overview.out.lines().filter_map(|line| line.strip_prefix("  wisp "));
    let words = |line: &str| if line.starts_with("image ") { 2 } else { 1 };
    let name = |line: &str| line.split(' ').take(words(line)).collect::<Vec<_>>().join(" ");
    let names: Vec<String> = lines.map(name).collect();
    assert!(names.iter().any(|name| name == "grow") && names.iter().any(|name| name == "init"), "{names:?}");
    names
}

/// What `wisp COMMAND --help` prints.
fn help(command: &str) -> String {
    let outcome = wisp(command.split(' ').chain(["--help"]));
    assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""), "{command}");
    outcome.out
}

/// The words of `text` that are options: `-n`, `--dry-run`.
fn options(text: &str) -> BTreeSet<&str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
    let is_name = |name: &str| name.starts_with(|letter: char| letter.is_ascii_alphabetic());
    words.filter(|word| word.strip_prefix("--").or(word.strip_prefix('-')).is_some_and(is_name)).collect()
}

#[test]
fn every_command_that_help_lists_explains_itself() {
    for name in commands() {
        let text = help(&name);
        assert!(text.starts_with(&format!("wisp {name}")), "{text}");
        let words = || name.split(' ');
        assert_eq!(wisp(words().chain(["-h"])).out, text);
        assert_eq!(wisp(words().chain(["--there-is-none", "--help"])).out, text, "whoever asks for help gets it");
        assert_eq!(wisp(["help"].into_iter().chain(words())).out, text);
    }
    assert_eq!(wisp(["-h"]).out, wisp(["help"]).out);
}

#[test]
fn help_fits_a_terminal_of_80_columns() {
    for text in commands().iter().map(|name| help(name)).chain([wisp(["--help"]).out]) {
        for line in text.lines() {
            assert!(line.chars().count() <= 80 && line.trim_end() == line, "{line:?}");
        }
    }
}

/// The options that a command accepts are the strings in its source that look like one.
#[test]
fn help_lists_every_option_and_no_other() {
    for name in commands() {
        let mut text = help(&name);
        // Commands that differ in a word share a file, and an option that several have stands in one.
        let files = match &*name {
            "boot" | "early" | "main" | "final" => vec!["phase".to_owned(), "root".to_owned()],
            "enable" | "disable" | "bootstrap" => vec![name.replace("disable", "enable"), "root".to_owned()],
            "hotplug" => vec!["hotplug".to_owned(), "root".to_owned()],
            "image verify" => vec!["image/write".to_owned()],
            _ => vec![name.replace('-', "_").replace(' ', "/")],
        };
        if name == "image verify" {
            text.push_str(&help("image write"));
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/command");
        let read = |file: &String| fs::read_to_string(folder.join(format!("{file}.rs"))).expect("a file of that name");
        let code = |source: String| source.split("#[cfg(test)]").next().expect("a first part").to_owned();
        let code: String = files.iter().map(read).map(code).collect();
        let strings = code.split('"').skip(1).step_by(2);
        let accepted: BTreeSet<&str> = strings.filter(|text| options(text) == BTreeSet::from([*text])).collect();
        assert_eq!(options(&text), accepted, "{name}");
    }
}

#[test]
fn what_cannot_be_meant_ends_with_2_and_is_named() {
    fails("", 2, "--help");
    fails("fly", 2, "fly");
    fails("--fly", 2, "--fly");
    fails("grow --fast", 2, "--fast");
    fails("grow -j", 2, "-j");
    fails("grow --json=yes", 2, "--json");
    fails("grow --dry-run --json --fast /proc", 2, "--fast");
    fails("grow / /home", 2, "/home");
    fails("grow -- --fast --faster", 2, "--faster");
    fails("grow-root", 2, "DIR is missing");
    fails("grow-root sysroot", 2, "sysroot");
    fails("grow-root /sysroot /root", 2, "/root");
    fails("grow-root --json /sysroot", 2, "--json");
    fails("initramfs", 2, "wisp: ");
    let empty = wisp(["grow", ""]);
    assert_eq!((empty.code, empty.err.lines().count()), (Some(2), 1), "{empty:?}");
}

#[test]
fn an_argument_that_is_no_utf8_ends_with_2_and_is_named() {
    let strange = OsStr::from_bytes(b"/srv/\xff\xfe");
    for arguments in [vec![strange], vec![OsStr::new("grow"), OsStr::new("--json"), strange]] {
        let outcome = wisp(arguments);
        assert_eq!((outcome.code, outcome.out.as_str()), (Some(2), ""), "{outcome:?}");
        assert_eq!(outcome.err, "wisp: understand the command line /srv/\u{fffd}\u{fffd}: it is no UTF-8\n");
    }
}

#[test]
fn what_cannot_be_grown_is_refused_by_name() {
    fails("grow /proc", 6, "find the device mounted at /proc: it is proc, with no block device to grow");
    fails("grow /proc/", 6, "it is proc");
    fails("grow /proc/self", 3, "find the device mounted at /proc/self: nothing is mounted there");
    fails("grow --dry-run /dev/null", 6, "/dev/null");
    fails("grow -n -- /dev/null", 6, "not a block device");
    fails("grow --dry-run /nowhere/at/all", 3, "grow /nowhere/at/all: there is nothing of that name");
}

/// The members of a JSON object.
#[track_caller]
fn members(value: &Value) -> &json::Object {
    match value {
        Value::Object(members) => members,
        other => panic!("no object: {other:?}"),
    }
}

#[track_caller]
fn word<'a>(value: &'a Value, name: &str) -> &'a str {
    match members(value).get(name) {
        Some(Value::String(text)) => text,
        other => panic!("{name} is no string: {other:?}"),
    }
}

/// The report of a run: one line of JSON on standard output, whose status agrees with the exit code.
#[track_caller]
fn report(arguments: &[&str]) -> (Value, Outcome) {
    let outcome = wisp(arguments);
    assert_eq!((outcome.out.lines().count(), outcome.out.ends_with('\n')), (1, true), "{arguments:?}: {outcome:?}");
    let report = json::from_str(&outcome.out).expect("JSON");
    let is_failure = ["refused", "failed"].contains(&word(&report, "status"));
    assert_eq!(outcome.code != Some(0), is_failure, "{arguments:?}: {outcome:?}");
    assert_eq!(outcome.err.lines().count(), usize::from(is_failure), "{arguments:?}: {outcome:?}");
    (report, outcome)
}

#[test]
fn a_script_that_asked_for_json_gets_it_for_a_refusal_too() {
    for (target, code) in [
        ("/proc", 6),
        ("/proc/self", 3),
        ("/dev/null", 6),
        ("/nowhere/at/all", 3),
        ("/a \"quoted\" \\ name with \u{1} and \u{e4}", 3),
    ] {
        let (report, outcome) = report(&["grow", "--json", target]);
        assert_eq!(outcome.code, Some(code), "{outcome:?}");
        assert_eq!((word(&report, "status"), word(&report, "device")), ("refused", target));
        assert!(matches!(members(&report)["partition"], Value::Null), "{outcome:?}");
        let filesystem = &members(&report)["filesystem"];
        assert_eq!(word(filesystem, "state"), "refused");
        let why = word(filesystem, "why").replace(char::is_control, "?");
        assert_eq!(outcome.err, format!("wisp: {why}\n"), "both say the same, and nothing steers the terminal");
    }
}

/// Whatever this machine's root is and whether it may be read: one line, and a status that fits the exit code.
#[test]
fn a_dry_run_of_the_root_ends_in_a_report() {
    let (named, outcome) = report(&["grow", "--json", "--dry-run", "/"]);
    assert_eq!(report(&["grow", "--json", "-n"]).1.out, outcome.out, "the root is the default");
    for member in ["status", "device", "kind", "partition", "filesystem", "steps", "notes"] {
        assert!(members(&named).contains_key(member), "{named:?}");
    }
    assert!(matches!(&members(&named)["steps"], Value::Array(steps) if steps.is_empty()), "a dry run does nothing");
}

#[test]
fn only_the_first_process_may_be_init() {
    fails("init", 6, "first process");
}

/// The shipped program has no standard library that would ignore SIGPIPE.
#[test]
fn a_reader_that_closes_the_pipe_does_not_end_the_program() {
    for (arguments, code) in [(&["--help"][..], 0), (&["grow", "--json", "/proc"], 6)] {
        let mut command = program();
        // std::process restores the default disposition in its children, as a shell has it.
        let mut child =
            command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts");
        drop(child.stdout.take());
        assert_eq!(child.wait().expect("the program ends").code(), Some(code), "{arguments:?}");
    }
}

/// A full disk under a redirection, or a service without descriptors. What could not be printed turns success into
/// failure, as with coreutils; a failure keeps its own exit code.
#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let path = program().get_program().to_owned();
    // The hosted program does not see a closed descriptor: Rust's std opens /dev/null there before `main`.
    let closed =
        [">&-", ">&- 2>&-", "<&- >&- 2>&-"].into_iter().filter(|_| std::env::var_os("WISP_UNDER_TEST").is_some());
    for redirection in closed.chain([">/dev/full", ">/dev/full 2>&1"]) {
        for (arguments, code) in [("--help", 1), ("--version", 1), ("grow --json /proc", 6), ("fly", 2)] {
            let script = format!("exec \"$0\" {arguments} {redirection}");
            let status = Command::new("sh").arg("-c").arg(script).arg(&path).stderr(Stdio::null()).status();
            assert_eq!(status.expect("there is a shell").code(), Some(code), "{arguments} {redirection}");
        }
    }
    let lost = Command::new("sh").args(["-c", "exec \"$0\" --help >/dev/full"]).arg(&path).output().expect("a shell");
    let said = String::from_utf8_lossy(&lost.stderr);
    assert_eq!(said.trim_end(), "wisp: write standard output: no space left on device (ENOSPC)");
}

/// The first process of a container must never take the machine for its own. Where user namespaces are forbidden this
/// is skipped; `make test` runs as root, who needs none.
#[test]
fn the_first_process_of_a_container_is_no_init() {
    let unshared = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--pid", "--fork", "--"]).arg(program().get_program()).args(arguments);
        command.output().expect("util-linux is there")
    };
    if !skip::needs_namespaces("--map-root-user --pid --fork") {
        return;
    }
    assert!(unshared(&["--version"]).stdout.starts_with(b"wisp "));
    let refused = unshared(&["init"]);
    assert_eq!((refused.status.code(), refused.stdout.as_slice()), (Some(6), b"".as_slice()), "{refused:?}");
}

/// What a distribution's checks (hardening-check, lintian, checksec) ask of a program that runs as root.
#[test]
fn the_shipped_program_is_hardened() {
    let Some(path) = std::env::var_os("WISP_UNDER_TEST") else { return };
    let readelf = |option: &str| {
        let output = Command::new("readelf").arg(option).arg(&path).output().expect("binutils are there");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let (header, segments, notes, dynamic) = (readelf("-hW"), readelf("-lW"), readelf("-nW"), readelf("-dW"));
    assert!(header.contains("DYN (Position-Independent Executable file)"), "{header}");
    assert!(segments.contains("GNU_RELRO") && !segments.contains("INTERP"), "{segments}");
    assert!(segments.lines().any(|line| line.contains("GNU_STACK") && !line.contains("RWE")), "{segments}");
    assert!(!segments.lines().any(|line| line.contains("LOAD") && line.contains("RWE")), "{segments}");
    assert!(notes.contains("Build ID"), "{notes}");
    assert!(dynamic.contains("BIND_NOW") || dynamic.contains("NOW"), "{dynamic}");
    assert!(!dynamic.contains("NEEDED") && !dynamic.contains("TEXTREL"), "{dynamic}");
}

/// RELRO in the file is a wish; in memory it is what the program made of it: after the start no writable page may hold
/// relocated constants.
#[test]
fn relocated_data_is_read_only_in_memory() {
    let Some(path) = std::env::var_os("WISP_UNDER_TEST") else { return };
    // The small program has no command that waits for input.
    if path.to_string_lossy().ends_with("initramfs") {
        return;
    }
    let mut child = Command::new(&path)
        .args(["decode", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let name = path.to_str().expect("UTF-8");
    let rights = || {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", child.id())).unwrap_or_default();
        let own = maps.lines().filter(|line| line.contains(name)).filter_map(|line| line.split(' ').nth(1));
        own.map(str::to_owned).collect::<Vec<_>>()
    };
    // Until the program has started, these are the maps of the process that it came from, and then those of its loading.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let mut seen = rights();
    while !seen.windows(2).any(|pair| pair == ["r--p", "rw-p"]) && std::time::Instant::now() < deadline {
        seen = rights();
    }
    drop(child.stdin.take());
    let _ = child.wait();
    assert!(seen.windows(2).any(|pair| pair == ["r--p", "rw-p"]), "constants, then variables: {seen:?}");
}

/// Memory that runs out is a panic that any machine can provoke.
#[test]
fn a_panic_says_what_and_where() {
    let Some(path) = std::env::var_os("WISP_UNDER_TEST") else { return };
    let size = std::fs::metadata(&path).expect("the program is there").len() / 1024;
    let mut reports = Vec::new();
    for limit in (size..size + 1024).step_by(64) {
        let script = format!("ulimit -v {limit}; ulimit -c 0; exec \"$0\" --help");
        let output = Command::new("sh").arg("-c").arg(script).arg(&path).output().expect("a shell");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if said.contains("panic") {
            assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(6), "{said}");
            reports.push(said);
        }
    }
    let Some(report) = reports.first() else { panic!("no limit provoked a panic") };
    let words = ["wisp: panic at ", "alloc.rs:", "memory allocation of ", " bytes failed (process ", ", loaded at 0x"];
    assert!(words.iter().all(|word| report.contains(word)) && report.lines().count() == 1, "{report}");
}

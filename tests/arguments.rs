//! Arguments that several commands of the full program share. `WISP_UNDER_TEST` names the program.
#![cfg(feature = "full")]

use std::process::{Command, Stdio};

/// The exit code, standard output and standard error.
fn wisp(arguments: &[&str]) -> (i32, String, String) {
    let path = std::env::var_os("WISP_UNDER_TEST").unwrap_or_else(|| env!("CARGO_BIN_EXE_wisp").into());
    let output = Command::new(path).args(arguments).stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The words of each command whose help names the option.
fn commands_with(option: &str) -> Vec<String> {
    let (_, overview, _) = wisp(&["--help"]);
    let lines = overview.lines().filter_map(|line| line.strip_prefix("  wisp "));
    let name = |line: &str| {
        let words = line.split(' ').take_while(|word| word.starts_with(|letter: char| letter.is_ascii_lowercase()));
        let words: Vec<&str> = words.filter(|word| !word.contains('|')).collect();
        words.join(" ")
    };
    let has_option = |name: &String| {
        let words: Vec<&str> = name.split(' ').chain(["--help"]).collect();
        wisp(&words).1.contains(&format!("{option} "))
    };
    lines.map(name).filter(has_option).collect()
}

#[test]
fn a_root_that_does_not_exist_is_exit_code_3_in_every_command() {
    let commands = commands_with("--root");
    for wanted in ["status", "boot", "early", "main", "final", "imds", "detect", "bootstrap", "enable", "hotplug"] {
        assert!(commands.iter().any(|name| name == wanted), "{wanted}: {commands:?}");
    }
    for name in commands {
        let verb = match &*name {
            "bootstrap" => Some("complete"),
            "mkinitfs" => Some("enable"),
            _ => None,
        };
        let words: Vec<&str> = name.split(' ').chain(["--root", "/nonexistent/root"]).chain(verb).collect();
        let (code, out, told) = wisp(&words);
        let wanted = "wisp: use the root directory /nonexistent/root: not an existing directory\n";
        assert_eq!((code, out.as_str(), told.as_str()), (3, "", wanted), "{name}");
    }
    let path = std::env::var_os("WISP_UNDER_TEST").unwrap_or_else(|| env!("CARGO_BIN_EXE_wisp").into());
    let output = Command::new(path).args(["tiny-cloud", "-b", "status"]).env("ROOT", "/nonexistent/root").output();
    assert_eq!(output.unwrap().status.code(), Some(3), "$ROOT of tiny-cloud");
    assert_eq!(wisp(&["status", "--root", "/etc/passwd"]).0, 3, "a file is not a root");
}

#[test]
fn an_unexpected_argument_names_the_help_of_the_command() {
    for (line, why) in [
        ("status --wait 5", "unexpected argument 5, did you mean --wait=5?; see wisp status --help"),
        ("status --json 5", "unexpected argument 5; see wisp status --help"),
        ("status --wait soon", "unexpected argument soon; see wisp status --help"),
        ("main early", "unexpected argument early; see wisp main --help"),
        ("mkinitfs enable disable", "unexpected argument disable; see wisp mkinitfs --help"),
        ("initramfs file", "unexpected argument file; see wisp initramfs --help"),
        ("detect aws", "unexpected argument aws; see wisp detect --help"),
        ("image write disk", "one SOURCE and one TARGET are needed; see wisp image write --help"),
    ] {
        let (code, out, told) = wisp(&line.split(' ').collect::<Vec<_>>());
        let wanted = format!("wisp: understand the command line: {why}\n");
        assert_eq!((code, out.as_str(), told), (2, "", wanted), "{line}");
    }
}

/// The columns of a help page: options begin at one, and what they mean at another.
#[test]
fn the_help_of_image_info_is_indented() {
    let (_, help, _) = wisp(&["image", "info", "--help"]);
    let options = help.lines().skip_while(|line| !line.starts_with("--"));
    for line in options {
        assert!(line.starts_with("--") || line.starts_with("                "), "{line:?}");
    }
}

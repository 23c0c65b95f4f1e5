//! What must not be written: names that could hold anything, work put off, code kept as a comment.

use crate::source::Source;

/// Words that promise work instead of doing it; put together so that this file does not contain them.
const PUT_OFF: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 12] =
    ["util", "utils", "common", "misc", "helper", "helpers", "manager", "handler", "core", "base", "shared", "stuff"];

/// Lines of any text file that put work off.
pub fn put_off(path: &str, text: &str) -> Vec<String> {
    let is_promise = |line: &str| {
        line.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|word| PUT_OFF.contains(&word))
    };
    let lines = text.lines().enumerate().filter(|(_, line)| is_promise(line));
    lines.map(|(index, line)| format!("{path}:{}: do it, or file it: {}", index + 1, line.trim())).collect()
}

/// A path with a part that could hold anything.
pub fn empty_name(path: &str) -> Option<String> {
    let part = path.split(['/', '_', '-', '.']).find(|part| EMPTY_NAMES.contains(part))?;
    Some(format!("{path}: {part} says nothing about what is inside"))
}

/// Comments that look like code.
pub fn commented_out_code(source: &Source) -> Vec<String> {
    let plain = |text: &str| text.strip_prefix("//").filter(|rest| !rest.starts_with(['/', '!'])).map(str::to_owned);
    let comments = source.comments.iter().filter_map(|(line, text)| Some((line, plain(text)?)));
    comments
        .filter(|(_, text)| is_code(text.trim()))
        .map(|(line, text)| format!("{}:{line}: code kept as a comment:{text}", source.path))
        .collect()
}

fn is_code(text: &str) -> bool {
    const KEYWORDS: [&str; 9] = ["let ", "return ", "use ", "pub ", "mod ", "fn ", "if ", "for ", "while "];
    let keyword = KEYWORDS.iter().any(|word| text.starts_with(word));
    let called =
        text.find('(').is_some_and(|at| text[..at].ends_with(|letter: char| letter.is_alphanumeric() || letter == '!'));
    let statement = text.ends_with(';') && (keyword || called || text.contains(" = "));
    statement || text == "}" || text == "};" || text.ends_with('{') && (keyword || called) || text.starts_with("#[")
}

/// Dependencies of a Cargo.toml without a sentence above them.
pub fn unexplained_dependencies(path: &str, manifest: &str) -> Vec<String> {
    let (mut out, mut inside, mut above) = (Vec::new(), false, "");
    for line in manifest.lines().map(str::trim) {
        let entry = line.starts_with('[') && line.contains("dependencies.");
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if inside && line.contains('=') && !above.starts_with("# ") {
            out.push(format!("{path}: no sentence says why: {line}"));
        }
        if entry && !above.starts_with("# ") {
            out.push(format!("{path}: no sentence says why: {line}"));
        }
        above = line;
    }
    out
}

/// The dialect of a shell script: what its first line says; a file that scripts read in has none, and is bash.
pub fn shell(path: &str, text: &str) -> Option<&'static str> {
    match text.lines().next().unwrap_or_default() {
        "#!/bin/sh" | "#!/bin/busybox sh" | "#!/sbin/openrc-run" => Some("sh"),
        line if line.starts_with("#!") && line.contains("sh") => Some("bash"),
        _ if path.ends_with(".sh") || path.ends_with("/scenario") || path.starts_with("qemu/initrds/") => Some("bash"),
        _ => None,
    }
}

/// A script that is not POSIX sh outside the folders of `allowed`, which are (folder, why).
pub fn bash_outside(path: &str, text: &str, allowed: &[(&str, &str)]) -> Option<String> {
    let is_allowed = allowed.iter().any(|(folder, _)| path.starts_with(folder));
    (shell(path, text) == Some("bash") && !is_allowed).then(|| format!("{path}: is not #!/bin/sh"))
}

/// Tests that sleep, or wait in a loop that does nothing; tests that are switched off.
pub fn lazy_tests(source: &Source) -> Vec<String> {
    let lines = source.test_code.lines().enumerate();
    let spins = |line: &str| line.trim().starts_with("while ") && line.contains(".is_err()");
    let lazy = lines.filter(|(_, line)| line.contains("#[ignore") || line.contains("thread::sleep") || spins(line));
    lazy.map(|(index, line)| format!("{}:{}: {}", source.path, index + 1, line.trim())).collect()
}

/// Tests that print something on standard error, which is shown of those that fail alone: what a test cannot do here is
/// said by `skip` of `tests/support/skip.rs`. `programs` are files that are programs of their own.
pub fn unseen_words(source: &Source, programs: &[&str]) -> Vec<String> {
    if programs.contains(&source.path.as_str()) {
        return Vec::new();
    }
    let lines = source.test_code.lines().enumerate().filter(|(_, line)| line.contains("eprintln!"));
    lines.map(|(index, _)| format!("{}:{}: of a test that passes, this is not shown", source.path, index + 1)).collect()
}

/// A test that starts the hosted program only, and so never meets the one that is shipped.
pub fn hosted_only(source: &Source) -> Option<String> {
    let starts = source.text.contains(concat!("CARGO_BIN", "_EXE_wisp"));
    let either = source.text.contains(concat!("WISP_", "UNDER_TEST"));
    (starts && !either).then(|| format!("{}: starts the hosted program whatever WISP_UNDER_TEST says", source.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::parse("src/table/gpt.rs", text)
    }

    #[test]
    fn promises_are_found_as_whole_words() {
        assert_eq!(put_off("a", &format!("fine\n# {}: later", PUT_OFF[0])).len(), 1);
        assert_eq!(put_off("a", &format!("// {} it", PUT_OFF[1])).len(), 1);
        assert!(put_off("a", &format!("mktemp /tmp/{0}{0}; {1}S", PUT_OFF[2], PUT_OFF[0])).is_empty());
    }

    #[test]
    fn names_say_what_is_inside() {
        assert_eq!(empty_name("src/table/gpt.rs"), None);
        assert_eq!(empty_name("src/command/mod.rs"), None);
        for path in ["src/util.rs", "tests/common/mod.rs", "src/disk_helpers.rs", "qemu/misc/x"] {
            assert!(empty_name(path).is_some(), "{path}");
        }
    }

    #[test]
    fn prose_is_no_code() {
        for text in [
            "// The header (at LBA 1); its copy is last.",
            "// A kernel before 5.17 returns 0;",
            "/// let doc = example();",
            "// use of this is rare",
            "// 2^64 - 1 sectors, see section 5.3 (UEFI 2.10):",
        ] {
            assert!(commented_out_code(&source(text)).is_empty(), "{text}");
        }
        for text in ["// let a = b;", "// write(disk)?;", "// }", "// if a < b {", "x // a = b;", "//#[test]"] {
            assert_eq!(commented_out_code(&source(text)).len(), 1, "{text}");
        }
    }

    #[test]
    fn dependencies_say_why() {
        let good = "[package]\nname = \"a\"\n[dependencies]\n# Because.\na = \"1\"\n[features]\nb = []\n";
        assert!(unexplained_dependencies("Cargo.toml", good).is_empty());
        for bad in [
            "[dependencies]\na = \"1\"\n",
            "[dev-dependencies]\n# One.\na = \"1\"\nb = \"1\"\n",
            "[dependencies.a]\nversion = \"1\"\n",
        ] {
            assert_eq!(unexplained_dependencies("Cargo.toml", bad).len(), 1, "{bad}");
        }
    }

    #[test]
    fn shell_is_known_by_its_first_line_or_its_name() {
        assert_eq!(shell("openrc/wisp", "#!/sbin/openrc-run\nstart() {"), Some("sh"));
        assert_eq!(shell("tests/run", "#!/bin/sh\nset -e"), Some("sh"));
        assert_eq!(shell("qemu/run", "#!/usr/bin/env bash"), Some("bash"));
        assert_eq!(shell("qemu/disk.sh", "# Disks."), Some("bash"));
        assert_eq!(shell("README.md", "# wisp"), None);
        assert_eq!(bash_outside("qemu/run", "#!/bin/bash", &[("qemu/", "arrays")]), None);
        assert_eq!(bash_outside("openrc/wisp", "#!/bin/sh", &[]), None);
        assert!(bash_outside("openrc/wisp", "#!/bin/bash", &[("qemu/", "arrays")]).is_some());
    }

    #[test]
    fn tests_neither_sleep_nor_rest() {
        let test = |body: &str| Source::parse("tests/a.rs", body);
        assert!(lazy_tests(&test("#[test]\nfn a() {} // thread::sleep")).is_empty());
        assert!(lazy_tests(&source("fn a() { thread::sleep(b) }")).is_empty(), "the product may wait");
        assert_eq!(lazy_tests(&test("#[ignore = \"slow\"]\nfn a() { thread::sleep(b) }")).len(), 2);
        assert_eq!(lazy_tests(&test("fn a() {\n    while connect().is_err() {}\n}")).len(), 1);
    }

    #[test]
    fn what_a_test_prints_is_seen() {
        let test = Source::parse("tests/a.rs", "#[test]\nfn a() { eprintln!(\"not run\") }");
        assert_eq!((unseen_words(&test, &[]).len(), unseen_words(&test, &["tests/a.rs"]).len()), (1, 0));
        assert!(unseen_words(&source("fn a() { eprintln!(\"b\") }"), &[]).is_empty(), "no test");
    }

    #[test]
    fn the_shipped_program_can_be_tested() {
        let hosted = concat!("env!(\"CARGO_BIN", "_EXE_wisp\")");
        let either = concat!("env(\"WISP_", "UNDER_TEST\")");
        assert!(hosted_only(&source(hosted)).is_some());
        assert_eq!(hosted_only(&source(&format!("{either} {hosted}"))), None);
    }
}

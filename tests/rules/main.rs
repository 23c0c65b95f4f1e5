//! The rules of this repository, as tests over its files.
//!
//! Each rule is a function on text that lives in a module here, with tests that show what it accepts and what it
//! refuses; this file applies them. `CONTRIBUTING.md` says the rules in words.

mod documents;
mod imports;
mod kinds;
mod shape;
#[path = "../support/skip.rs"]
mod skip;
mod skips;
mod source;
mod words;

use source::Source;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Files above `shape::QUESTIONED` lines of code, and why each is better whole.
const LARGE: &[(&str, &str)] = &[
    ("src/provider/clouds.rs", "one table, so that a new row is written by looking at the others"),
    ("src/codec/xz/framing.rs", "one state machine: the stages of the .xz format in the order of the file"),
];

/// Files that may use one module above them, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("src/sys/entry.rs", "command", "musl's start-up code calls a C `main`, and only `sys` may export one"),
    ("src/codec/bzip2.rs", "sys", "its library is called through pointers, and only `sys` may have them"),
];

/// Folders whose scripts may be bash, and why; what is installed on other people's machines is POSIX sh.
const BASH: &[(&str, &str)] = &[
    (".ci/", "sums up test counts from pipes whose first command may fail: pipefail"),
    ("qemu/", "machines are arrays of arguments, and only machines of developers run them"),
];

/// Every text file of the repository that is not built: path from its root, and contents.
fn files() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ignored = fs::read_to_string(root.join(".gitignore")).expect("the repository has a .gitignore");
    let skip: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('/')).chain([".git"]).collect();
    let (mut out, mut folders) = (Vec::new(), vec![String::new()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).expect("a folder can be listed") {
            let entry = entry.expect("a folder can be listed");
            let name = entry.file_name().into_string().expect("names are UTF-8");
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            let kind = entry.file_type().expect("an entry has a type");
            if skip.contains(&path.as_str()) {
                continue;
            } else if kind.is_dir() {
                folders.push(path);
            } else if let Some(text) = fs::read(entry.path()).ok().and_then(|bytes| String::from_utf8(bytes).ok()) {
                out.push((path, text));
            }
        }
    }
    assert!(out.iter().any(|(path, _)| path == "src/lib.rs"), "the walk found the source");
    out.sort();
    out
}

/// The Rust files below one of `folders`.
fn rust(folders: &[&str]) -> Vec<Source> {
    let inside = |path: &str| path.ends_with(".rs") && folders.iter().any(|folder| path.starts_with(folder));
    files().iter().filter(|(path, _)| inside(path)).map(|(path, text)| Source::parse(path, text)).collect()
}

#[track_caller]
fn none(complaints: impl IntoIterator<Item = String>) {
    let complaints: Vec<String> = complaints.into_iter().collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn a_module_uses_only_modules_above_it() {
    let sources = rust(&["src/"]);
    let lib = sources.iter().find(|source| source.path == "src/lib.rs").expect("there is a map");
    let modules = imports::modules(&lib.text);
    assert!(modules.len() > 10, "the map lists its modules");
    none(sources.iter().flat_map(|source| imports::upward(source, &modules, EXCEPTIONS)));
}

#[test]
fn files_are_small() {
    let sources = rust(&["src/", "build.rs"]);
    none(sources.iter().filter_map(|source| shape::file_size(source, LARGE)));
    let gone = LARGE.iter().filter(|(path, _)| !sources.iter().any(|source| source.path == *path));
    none(gone.map(|(path, _)| format!("{path}: has a reason to be large and does not exist")));
}

#[test]
fn functions_can_be_seen_whole() {
    none(rust(&["src/", "build.rs"]).iter().flat_map(shape::long_functions));
}

#[test]
fn every_file_says_what_it_is_for() {
    none(rust(&["src/", "tests/", "fuzz/", "benches/", "build.rs"]).iter().filter_map(shape::header));
}

#[test]
fn unsafe_lives_in_sys_and_is_explained() {
    let sources = rust(&["src/"]);
    none(sources.iter().filter_map(shape::unsafe_fence));
    none(sources.iter().flat_map(shape::unexplained_unsafe));
}

#[test]
fn every_error_kind_is_provoked() {
    let sources = rust(&["src/", "tests/"]);
    let error = sources.iter().find(|source| source.path == "src/error.rs").expect("there is one error type");
    let kinds = kinds::variants(error);
    assert!(kinds.len() > 5, "the kinds were found");
    // This test's own modules talk about kinds and provoke none.
    let others: Vec<Source> = sources.into_iter().filter(|source| !source.path.starts_with("tests/rules/")).collect();
    none(kinds::unprovoked(&kinds, &others));
}

#[test]
fn names_say_what_is_inside() {
    none(files().iter().filter_map(|(path, _)| words::empty_name(path)));
}

#[test]
fn no_work_is_put_off() {
    none(files().iter().flat_map(|(path, text)| words::put_off(path, text)));
}

#[test]
fn no_code_is_kept_as_a_comment() {
    none(rust(&["src/", "tests/", "fuzz/", "benches/", "build.rs"]).iter().flat_map(words::commented_out_code));
}

#[test]
fn every_dependency_says_why() {
    let files = files();
    let manifests = files.iter().filter(|(path, _)| path.ends_with("Cargo.toml"));
    none(manifests.flat_map(|(path, text)| words::unexplained_dependencies(path, text)));
}

#[test]
fn tests_neither_sleep_nor_rest() {
    none(rust(&["src/", "tests/"]).iter().flat_map(words::lazy_tests));
}

#[test]
fn what_tests_print_is_seen() {
    let programs = ["tests/metadata/crawl.rs", "tests/metadata/example.rs", "tests/image-server/server.rs"];
    none(rust(&["src/", "tests/"]).iter().flat_map(|source| words::unseen_words(source, &programs)));
}

#[test]
fn tests_of_the_program_can_test_the_shipped_one() {
    none(rust(&["tests/"]).iter().filter_map(words::hosted_only));
}

#[test]
fn documents_are_short_and_linked() {
    let files = files();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let documents: Vec<_> = files.iter().filter(|(path, _)| path.ends_with(".md")).collect();
    let paths: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
    let read = |path: &str| documents.iter().find(|(known, _)| known == path).map(|(_, text)| text.clone());
    let readme = read("README.md").expect("there is a README");
    none(documents::unlinked(&readme, &paths));
    let pages: Vec<&str> = documents.iter().filter(|(path, _)| path.starts_with("docs/")).map(|it| &*it.1).collect();
    none(documents::unnamed_scenarios(&paths, &pages));
    for (path, text) in documents.iter() {
        none(documents::too_long(path, text));
        none(documents::broken(path, text, |target| root.join(target).exists(), read));
    }
}

#[test]
fn what_is_installed_is_posix_shell() {
    none(files().iter().filter_map(|(path, text)| words::bash_outside(path, text, BASH)));
}

#[test]
fn shell_is_clean() {
    let files = files();
    for shell in ["sh", "bash"] {
        let of = |(path, text): &&(String, String)| words::shell(path, text) == Some(shell);
        let paths: Vec<&String> = files.iter().filter(of).map(|(path, _)| path).collect();
        assert!(!paths.is_empty(), "{shell} scripts were found");
        let mut shellcheck = Command::new("shellcheck");
        // `make test` installs it.
        match shellcheck.args(["-s", shell]).args(paths).current_dir(env!("CARGO_MANIFEST_DIR")).output() {
            Ok(output) => assert!(output.status.success(), "\n{}", String::from_utf8_lossy(&output.stdout)),
            Err(error) => return skip::skip(&format!("shellcheck does not run: {error}")),
        }
    }
}

//! A test that cannot run on this machine is counted as skipped and as nothing else: the helper, and the count of it.

use crate::skip::skip;
use std::env;
use std::fs;
use std::process::{Command, Output};

/// Set where this program was started to skip a test.
const INSIDE: &str = "WISP_TEST_SKIPS";

/// What happens to a test that calls `skip`, with this value of `CI`.
fn skipped(ci: &str) -> Output {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "skips::what_a_skipped_test_prints"]).env(INSIDE, "yes").env("CI", ci).output().unwrap()
}

#[test]
fn what_a_skipped_test_prints() {
    if env::var_os(INSIDE).is_some() {
        return skip("this is one");
    }
    let output = skipped("");
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(printed, "SKIPPED rules::skips::what_a_skipped_test_prints: this is one\n");
    assert!(output.status.success());
    let output = skipped("true");
    assert!(!output.status.success(), "the merge gate skips nothing");
    let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(printed.contains("cannot run: this is one") && !printed.contains("SKIPPED"), "{printed}");
}

#[test]
fn skipped_tests_are_listed_and_not_counted_as_passed() {
    let root = env::temp_dir().join(format!("wisp-rules-skips-{}", std::process::id()));
    fs::create_dir_all(root.join("tests")).unwrap();
    fs::create_dir_all(root.join("build")).unwrap();
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/run"), root.join("tests/run")).unwrap();
    fs::write(root.join("tests/program.rs"), "").unwrap();
    let count = |hosted: &str| {
        // The first of the three runs prints this; the others have one test that passes.
        fs::write(root.join("printed"), hosted).unwrap();
        let cargo = "#!/bin/sh\nif [ -e printed ]; then cat printed >&2; rm printed; else echo 'test result: ok. 1 passed; 0 failed;'; fi\n";
        fs::write(root.join("cargo"), cargo).unwrap();
        let output = Command::new("sh").args(["tests/run", "sh", "./cargo"]).current_dir(&root).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let (_, end) = printed.rsplit_once("passed; 0 failed;\n").unwrap();
        (output.status.success(), end.to_owned())
    };
    let none = count("test result: ok. 7 passed; 0 failed; 0 ignored\n");
    let twice = "SKIPPED a::one: no root\nSKIPPED a::one: no loop device\ntest two ... SKIPPED a::two: no root\n";
    let some = count(&format!(
        "{twice}test result: ok. 7 passed; 1 failed;\nSKIPPED a::one: no root\ntest result: ok. 4 passed; 0 failed;\n"
    ));
    fs::remove_dir_all(&root).unwrap();
    assert_eq!(none, (true, "0 skipped\n9 passed, 0 failed\n".to_owned()));
    let list = "3 skipped:\n  a::one: no root\n  a::two: no root\n  a::one: no root\n";
    assert_eq!(some, (false, format!("{list}10 passed, 1 failed\n")));
}

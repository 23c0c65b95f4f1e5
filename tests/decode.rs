//! `wisp decode` as a user meets it. `WISP_UNDER_TEST` names the program, as in `program.rs`.
#![cfg(feature = "full")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

fn program() -> Command {
    Command::new(std::env::var_os("WISP_UNDER_TEST").unwrap_or_else(|| env!("CARGO_BIN_EXE_wisp").into()))
}

/// A file of this test's own, gone when it ends.
struct File(PathBuf);

impl File {
    fn new(name: &str, content: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("wisp-decode-{}-{name}", std::process::id()));
        fs::write(&path, content).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What `command` makes of `input`.
fn run(command: &mut Command, input: &[u8]) -> Output {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child: Child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // A program that ends early leaves some of it unread.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().unwrap()
    })
}

fn pack(program: &str, input: &[u8]) -> Vec<u8> {
    let output = run(Command::new(program).args(["-c", "-1"]), input);
    assert!(output.status.success(), "{program}");
    output.stdout
}

fn decode(arguments: &[&str], input: &[u8]) -> (Option<i32>, Vec<u8>, String) {
    let output = run(program().arg("decode").args(arguments), input);
    (output.status.code(), output.stdout, String::from_utf8(output.stderr).unwrap())
}

fn content() -> Vec<u8> {
    (0..400_000_u32).flat_map(|number| (number.wrapping_mul(2_654_435_761) >> 20).to_le_bytes()).collect()
}

#[test]
fn a_file_and_standard_input_are_unpacked_whatever_their_format() {
    let content = content();
    for tool in ["gzip", "bzip2", "xz", "lzma", "lzop", "lz4", "zstd"] {
        let packed = pack(tool, &content);
        let file = File::new(tool, &packed);
        for (arguments, input) in [(&[file.path()][..], &[][..]), (&["-"], &packed), (&[], &packed)] {
            let (code, out, err) = decode(arguments, input);
            assert_eq!((code, err.as_str()), (Some(0), ""), "{tool} {arguments:?}");
            assert!(out == content, "{tool} {arguments:?}");
        }
    }
}

#[test]
fn layers_are_undone_all_or_one() {
    let inner = pack("xz", b"hello\n");
    let file = File::new("layers", &pack("gzip", &inner));
    assert_eq!(decode(&[file.path()], b""), (Some(0), b"hello\n".to_vec(), String::new()));
    assert_eq!(decode(&["--once", file.path()], b""), (Some(0), inner, String::new()));
}

#[test]
fn damage_is_an_error_behind_what_was_sound() {
    let content = content();
    let mut packed = pack("gzip", &content);
    let end = packed.len() - 8;
    packed[end] ^= 1;
    let file = File::new("damaged", &packed);
    let (code, out, err) = decode(&[file.path()], b"");
    assert_eq!(code, Some(5));
    assert!(out == content);
    assert!(err.contains(&format!("unpack the gzip data of {}: checksum does not match", file.path())), "{err}");
    let (code, out, err) = decode(&[], &packed[..end / 2]);
    assert_eq!(code, Some(5));
    assert!(!out.is_empty() && content.starts_with(&out));
    assert!(err.contains("unpack the gzip data of standard input: it ends too early"), "{err}");
}

#[test]
fn what_cannot_be_unpacked_is_said() {
    let file = File::new("plain", b"#!/bin/sh\n");
    let beginning = "no format that wisp unpacks begins with 23 21 2f 62 69 6e 2f 73";
    for (arguments, code, because) in [
        (&[file.path()][..], 4, beginning),
        (&[], 4, "unpack standard input: it is empty"),
        (&["/nowhere/at/all"], 3, "open /nowhere/at/all: "),
        (&["/"], 1, "read /: "),
        (&["a", "b"], 2, "one FILE is enough"),
        (&["--twice"], 2, "--twice"),
        (&["--once=2"], 2, "--once"),
    ] {
        let (found, out, err) = decode(arguments, b"");
        assert_eq!(
            (found, out.as_slice(), err.lines().count()),
            (Some(code), [].as_slice(), 1),
            "{arguments:?}: {err}"
        );
        assert!(err.contains(because), "{arguments:?}: {err}");
    }
}

#[test]
fn a_reader_that_went_away_is_no_error() {
    let file = File::new("pipe", &pack("gzip", &vec![0; 8 << 20]));
    let mut child = program()
        .args(["decode", file.path()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut first = [1; 100];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(first, [0; 100]);
    assert!(child.wait_with_output().unwrap().stderr.is_empty());
}

#[test]
fn a_full_disk_is_an_error() {
    let packed = pack("gzip", b"hello\n");
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let file = File::new("full", &packed);
    let output = program().args(["decode", file.path()]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(err.contains("write standard output: "), "{err}");
}

/// 256 MiB of content in an address space of 40 MiB: xz's dictionary at its default takes 8, lz4's blocks 8.
#[test]
fn memory_is_bounded() {
    const LENGTH: usize = 256 << 20;
    let zeros = vec![0; LENGTH];
    for tool in ["gzip", "bzip2", "lzop", "lz4", "zstd"] {
        let file = File::new(&format!("bounded-{tool}"), &pack(tool, &zeros));
        let script = "ulimit -v 40960; exec \"$0\" decode \"$1\" | wc -c";
        let path = program().get_program().to_owned();
        let output = run(Command::new("sh").arg("-c").arg(script).arg(path).arg(file.path()), b"");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), LENGTH.to_string(), "{tool}: {output:?}");
    }
}

#[test]
fn what_follows_a_gzip_file_is_a_warning() {
    let content = content();
    let packed = [pack("gzip", &content), b"trailing".to_vec()].concat();
    let (code, output, errors) = decode(&[], &packed);
    assert_eq!(code, Some(0), "{errors}");
    assert!(output == content);
    assert!(errors.contains("standard input: trailing garbage ignored"), "{errors}");
}

#[test]
fn a_missing_file_is_absent() {
    let (code, output, errors) = decode(&["/none/such.gz"], b"");
    assert_eq!((code, output.len()), (Some(3), 0), "{errors}");
    assert!(errors.contains("/none/such.gz: No such file or directory"), "{errors}");
}

//! `imds` as scripts call it, on a machine that has all its metadata in a seed: what is printed, and the exit codes.
//!
//! `WISP_UNDER_TEST` names the program; without it, it is the hosted one that cargo just built.
#![cfg(feature = "full")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const KEYS: [&str; 2] = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPCQ one", "ssh-rsa AAAAB3NzaC1yc2E two"];

/// A machine's files, gone when the test is over.
struct Machine(PathBuf);

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Machine {
    /// One with a seed of this meta-data and user-data.
    fn new(name: &str, meta: &str, user: &[u8]) -> Self {
        let machine = Self::without_cloud(name);
        let seed = machine.0.join("var/lib/cloud/seed/nocloud");
        fs::create_dir_all(&seed).unwrap();
        fs::write(seed.join("meta-data"), meta).unwrap();
        fs::write(seed.join("user-data"), user).unwrap();
        machine
    }

    fn without_cloud(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("wisp-imds-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("proc")).unwrap();
        fs::write(root.join("proc/cmdline"), "quiet\n").unwrap();
        Self(root)
    }

    fn usual(name: &str) -> Self {
        let meta = format!(
            "instance-id: i-1\nhostname: web.example.com\nlocal-hostname: web\n\
             public-keys:\n  - '{}'\n  - '{}'\n  - '{0}'\na:\n  b: 0755\n  c: [x, y]\n",
            KEYS[1], KEYS[0]
        );
        Self::new(name, &meta, b"#!/bin/sh\necho hello\n")
    }

    fn program(&self) -> Command {
        let path = std::env::var_os("WISP_UNDER_TEST").unwrap_or_else(|| env!("CARGO_BIN_EXE_wisp").into());
        let mut command = Command::new(path);
        command.stdin(Stdio::null()).env_remove("CLOUD");
        command
    }

    /// Exit code, standard output, standard error.
    fn imds(&self, items: &[&str]) -> (i32, String, String) {
        let mut command = self.program();
        command.arg("imds").arg("--root").arg(&self.0).args(items);
        finish(&mut command)
    }
}

fn finish(command: &mut Command) -> (i32, String, String) {
    let output = command.output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("the program prints UTF-8");
    (output.status.code().expect("it ends by itself"), text(output.stdout), text(output.stderr))
}

#[test]
fn items_are_printed_as_they_are_from_left_to_right() {
    let machine = Machine::usual("items");
    let keys = format!("{}\n{}\n", KEYS[0], KEYS[1]);
    for (items, wanted) in [
        (&["@hostname"][..], "web.example.com"),
        (&["@local-hostname", "+n", "+s", "+t", "@hostname"], "web\n \tweb.example.com"),
        (&["@hostname", "+n", "@ssh-keys"], &format!("web.example.com\n{keys}")),
        (&["@userdata"], "#!/bin/sh\necho hello\n"),
        (&["user-data"], "#!/bin/sh\necho hello\n"),
        (&["meta-data/a/b", "+s", "meta-data/a/c/1"], "0755 y"),
        (&["meta-data/a", "meta-data/a/c"], "b\nc\n0\n1\n"),
        (&["meta-data/"], "instance-id\nhostname\nlocal-hostname\npublic-keys\na\n"),
        (&["meta-data/a/b and-more"], "0755"),
        (&[], ""),
        (&["@local-hostname", "", "@hostname"], "web"),
    ] {
        assert_eq!(machine.imds(items), (0, wanted.to_owned(), String::new()), "{items:?}");
    }
}

#[test]
fn a_failed_lookup_ends_it_unless_it_is_to_be_skipped() {
    let machine = Machine::usual("failures");
    for (items, code, wanted, lines) in [
        (&["@local-hostname", "meta-data/none", "@hostname"][..], 1, "web", 1),
        (&["-e", "meta-data/none", "@local-hostname"], 0, "web", 1),
        (&["-e", "meta-data/none", "+e", "@local-hostname", "meta-data/none", "@hostname"], 1, "web", 2),
        (&["-E", "meta-data/none"], 1, "", 0),
        (&["-E", "-e", "meta-data/none", "+E", "none/a"], 0, "", 1),
        (&["-h-later", "-h"], 1, "", 1),
        (&["@nic:no-such-interface,@mac"], 1, "", 1),
        (&["vendor-data"], 1, "", 1),
    ] {
        let (got, out, err) = machine.imds(items);
        assert_eq!((got, out.as_str(), err.lines().count()), (code, wanted, lines), "{items:?}: {err}");
    }
}

#[test]
fn metadata_that_cannot_be_opened_fails_at_the_first_lookup() {
    let machine = Machine::without_cloud("unopened");
    fs::write(machine.0.join("proc/cmdline"), "ds=nocloud;s=/no/such/seed/\n").unwrap();
    for (items, code, wanted, lines) in [
        (&["+n", "+s"][..], 0, "\n ", 0),
        (&["+n", "@hostname", "+n"], 1, "\n", 1),
        (&["-e", "@hostname", "+n", "@userdata"], 0, "\n", 2),
        (&["-E", "-e", "@hostname", "+n", "user-data"], 0, "\n", 0),
    ] {
        let (got, out, err) = machine.imds(items);
        assert_eq!((got, out.as_str(), err.lines().count()), (code, wanted, lines), "{items:?}: {err}");
    }
    let (code, out, err) = machine.imds(&["--json"]);
    assert_eq!((code, out.as_str(), err.lines().count()), (3, "", 1), "{err}");
}

#[test]
fn of_several_seeds_the_nearest_key_and_the_last_file_count() {
    let machine = Machine::usual("merged");
    let other = machine.0.join("other");
    fs::create_dir_all(&other).unwrap();
    fs::write(other.join("meta-data"), "instance-id: other\nlocal-hostname: other\nregion: r\n").unwrap();
    fs::write(other.join("user-data"), "#!/bin/true\n").unwrap();
    // Below the root, as every path.
    fs::write(machine.0.join("proc/cmdline"), "ds=NoCloud;h=word;hostname=own;s=/other\n").unwrap();
    let own = fs::read_to_string(machine.0.join("var/lib/cloud/seed/nocloud/meta-data")).unwrap();
    for (items, wanted) in [
        (&["@local-hostname", "+n", "@hostname"][..], "word\nown"),
        (&["meta-data/instance-id", "+s", "meta-data/region"], "i-1 r"),
        (&["@userdata"], "#!/bin/true\n"),
        (&["meta-data"], &format!("local-hostname: word\nhostname: own\n{own}")),
    ] {
        assert_eq!(machine.imds(items), (0, wanted.to_owned(), String::new()), "{items:?}");
    }
}

#[test]
fn a_value_that_cannot_be_written_is_no_success() {
    let machine = Machine::usual("full");
    let mut command = machine.program();
    command.arg("imds").arg("--root").arg(&machine.0).arg("@userdata");
    let output = command.stdout(fs::File::create("/dev/full").unwrap()).stderr(Stdio::piped()).spawn().unwrap();
    let output = output.wait_with_output().unwrap();
    assert!(output.status.code() == Some(1) && !output.stderr.is_empty(), "{output:?}");
}

#[test]
fn the_name_alone_is_enough() {
    let machine = Machine::usual("name");
    let mut command = machine.program();
    command.arg0("/bin/imds").arg(format!("--root={}/", machine.0.display())).arg("@local-hostname");
    assert_eq!(finish(&mut command), (0, "web".to_owned(), String::new()));
    for option in ["-h", "--help"] {
        let (code, out, err) = finish(machine.program().arg0("imds").arg(option));
        assert!(code == 0 && err.is_empty() && out.contains("Usage: imds"), "{out}");
    }
}

#[test]
fn a_machine_of_no_cloud_is_told_before_any_item() {
    let machine = Machine::without_cloud("none");
    let (code, out, err) = machine.imds(&["+n", "@hostname"]);
    assert_eq!((code, out.as_str(), err.lines().count()), (2, "", 1), "{err}");
    let (code, out, err) = finish(machine.program().env("CLOUD", "cumulus").args(["imds", "+n"]));
    assert_eq!((code, out.as_str(), err.lines().count()), (2, "", 1), "{err}");
    assert!(err.contains("cumulus") && err.contains("hetzner"), "{err}");
}

#[test]
fn json_has_every_field() {
    let machine = Machine::usual("json");
    let wanted = format!(
        "{{\"cloud\":\"nocloud\",\"instance-id\":\"i-1\",\"hostname\":\"web.example.com\",\"region\":null,\"zone\":null,\
         \"ssh-keys\":[{{\"user\":null,\"key\":\"{}\"}},{{\"user\":null,\"key\":\"{}\"}}],\"nics\":[]}}\n",
        KEYS[0], KEYS[1]
    );
    assert_eq!(machine.imds(&["--json"]), (0, wanted, String::new()));
}

#[test]
fn user_data_is_saved_unpacked_and_for_root_alone() {
    let mut gzip =
        Command::new("gzip").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("gzip is installed");
    gzip.stdin.take().unwrap().write_all(b"#!/bin/sh\n# packed\n").unwrap();
    let packed = gzip.wait_with_output().unwrap().stdout;
    let machine = Machine::new("save", "instance-id: i-1\n", &packed);
    let path = machine.0.join("var/lib/cloud/user-data");
    for _ in 0..2 {
        assert_eq!(machine.imds(&["--save"]), (0, String::new(), String::new()));
        assert_eq!(fs::read(&path).unwrap(), b"#!/bin/sh\n# packed\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    }
    // The folders are made where they are missing.
    fs::create_dir_all(machine.0.join("etc")).unwrap();
    fs::write(machine.0.join("etc/wisp.conf"), format!("TINY_CLOUD_VAR={}/a/b\n", machine.0.display())).unwrap();
    assert_eq!(machine.imds(&["--save"]).0, 0);
    assert_eq!(fs::metadata(machine.0.join("a/b")).unwrap().permissions().mode() & 0o7777, 0o700);
    fs::remove_dir_all(machine.0.join("etc")).unwrap();
    // Damaged user-data leaves what was saved before.
    fs::write(machine.0.join("var/lib/cloud/seed/nocloud/user-data"), &packed[..packed.len() - 1]).unwrap();
    let (code, _, err) = machine.imds(&["--save"]);
    assert_eq!((code, err.lines().count()), (5, 1), "{err}");
    assert_eq!(fs::read(&path).unwrap(), b"#!/bin/sh\n# packed\n");
    let names: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "no temporary file stays: {names:?}");
}

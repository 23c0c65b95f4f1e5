//! `--root DIR`: the system below the directory is not trusted, and nothing outside of it is changed or taken over, wherever
//! its links lead.
#![cfg(feature = "full")]

#[path = "support/root.rs"]
mod root;
#[path = "support/skip.rs"]
mod skip;

use root::Root;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINwVUbSvy/CiaG+nE4No5v+ePG1uqGZ5k27HhlzQRxRV";

/// Directories in which the commands write.
const WRITTEN: [&str; 9] =
    ["etc", "var", "var/lib/cloud", "var/log", "run", "run/wisp", "home", "etc/ssh", "etc/network"];

/// Two systems: the first is the one that the commands work on, the second lies outside of it and must stay as it is.
struct Pair {
    inside: Root,
    outside: Root,
}

impl Pair {
    fn new(name: &str) -> Self {
        Self { inside: system(&format!("{name}-in")), outside: system(&format!("{name}-out")) }
    }

    /// Puts a link in the place of what is at `path` inside.
    fn plant(&self, path: &str, target: impl AsRef<Path>) {
        let place = self.inside.join(path);
        let _ = fs::remove_dir_all(&place);
        let _ = fs::remove_file(&place);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        symlink(target, place).unwrap();
    }

    /// Every command that takes `--root`.
    fn run_all(&self) {
        for words in [
            &["detect"][..],
            &["status"],
            &["enable"],
            &["boot"],
            &["early"],
            &["main"],
            &["final"],
            &["hotplug"],
            &["imds", "--save", "@hostname"],
            &["bootstrap", "complete"],
            &["bootstrap", "incomplete"],
            &["disable"],
            &["mkinitfs", "enable"],
        ] {
            let (name, options) = words.split_first().unwrap();
            // What the planted links break may fail; what counts is what is outside.
            let mut words = vec![*name, "--root", self.inside.path()];
            words.extend(options);
            let output = wisp(&words, None);
            assert!(output.status.code().is_some(), "{words:?}: {output:?}");
        }
    }
}

fn wisp(words: &[&str], user: Option<u32>) -> Output {
    let program = std::env::var("WISP_UNDER_TEST").unwrap_or_else(|_| env!("CARGO_BIN_EXE_wisp").to_owned());
    let mut command = match user {
        None => Command::new(program),
        Some(user) => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", &user.to_string(), "--regid", &user.to_string(), "--clear-groups", &program]);
            command
        }
    };
    command.args(words).env_remove("CLOUD").env("MDEV", "eth7").env("ACTION", "add").stdin(Stdio::null());
    command.output().unwrap()
}

/// A system with everything that a command looks for, and a seed.
fn system(name: &str) -> Root {
    let root = Root::empty(name);
    for (path, text) in [
        ("etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
        ("etc/group", "root:x:0:\n"),
        ("etc/shadow", "root:*:19000::::::\n"),
        ("etc/hostname", "old\n"),
        ("etc/hosts", "127.0.0.1 localhost\n"),
        ("etc/wisp.conf", "CLOUD_USER=ann\n"),
        ("etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
        ("etc/mdev.conf", "# rules\n"),
        ("etc/network/interfaces", "# old\n"),
        ("etc/network/interfaces.d/DEFAULT", "iface\n"),
        ("etc/ssh/sshd_config", "PermitRootLogin no\n"),
        ("etc/ssh/ssh_host_ed25519_key", "secret\n"),
        ("etc/ssh/ssh_host_ed25519_key.pub", "public\n"),
        ("etc/dropbear/dropbear_ed25519_host_key", "secret\n"),
        ("etc/mkinitfs/mkinitfs.conf", "features=\"base ext4\"\n"),
        ("etc/mkinitfs/features.d/wisp.files", "/usr/bin/wisp\n"),
        ("etc/skel/.profile", "# profile\n"),
        ("sbin/ifup", ""),
        ("sbin/mkinitfs", ""),
        ("sbin/openrc-run", ""),
        ("usr/sbin/sshd", ""),
        ("sys/class/dmi/id/product_uuid", "4c4c4544-0001\n"),
        ("sys/class/net/eth7/address", "02:00:00:00:00:07\n"),
        ("run/openrc/started/networking", ""),
        ("var/log/messages", ""),
        ("var/lib/cloud/seed/nocloud/user-data", "#!/bin/sh\necho hello\n"),
    ] {
        root.write(path, text);
    }
    root.write(
        "var/lib/cloud/seed/nocloud/meta-data",
        &format!("instance-id: {name}\nhostname: {name}.example.org\npublic-keys:\n- {KEY} me\n"),
    );
    for service in ["wisp-boot", "wisp-early", "wisp-main", "wisp-final", "sshd", "networking"] {
        root.write(&format!("etc/init.d/{service}"), "#!/sbin/openrc-run\n");
    }
    for folder in ["home", "run/wisp", "etc/runlevels/boot", "etc/runlevels/default", "etc/sudoers.d", "root"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    root
}

/// Every file below `folder`: its bytes or target, mode, owner and number.
fn picture(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    let mut ahead = vec![folder.to_owned()];
    while let Some(path) = ahead.pop() {
        let facts = fs::symlink_metadata(&path).unwrap();
        let content = match facts.file_type() {
            kind if kind.is_symlink() => format!("{:?}", fs::read_link(&path).unwrap()),
            kind if kind.is_file() => format!("{:?}", fs::read(&path).unwrap()),
            _ => String::new(),
        };
        if facts.is_dir() {
            ahead.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        all.insert(path, format!("{:o} {} {} {content}", facts.permissions().mode(), facts.uid(), facts.ino()));
    }
    all
}

#[test]
fn a_plain_system_is_set_up() {
    let pair = Pair::new("plain");
    pair.run_all();
    assert_eq!(pair.inside.read("etc/hostname"), "plain-in\n");
    assert!(pair.inside.read("home/ann/.ssh/authorized_keys").contains(KEY));
}

#[test]
fn no_directory_of_the_system_leads_out_of_it() {
    for (index, folder) in WRITTEN.into_iter().enumerate() {
        let pair = Pair::new(&format!("folder{index}"));
        let before = picture(&pair.outside.0);
        pair.plant(folder, pair.outside.join(folder));
        pair.run_all();
        assert_eq!(picture(&pair.outside.0), before, "{folder} by its absolute path");
        let up = "../".repeat(12);
        let outside = pair.outside.path().trim_start_matches('/');
        pair.plant(folder, format!("{up}{outside}/{folder}"));
        pair.run_all();
        assert_eq!(picture(&pair.outside.0), before, "{folder} by ..");
    }
}

#[test]
fn no_file_of_the_system_leads_out_of_it() {
    let pair = Pair::new("files");
    let before = picture(&pair.outside.0);
    for file in picture(&pair.inside.0).into_keys().filter(|path| path.is_file()) {
        let name = file.strip_prefix(&pair.inside.0).unwrap();
        // The seed says who the machine is; one from outside would be read, and is tested on its own.
        if !name.starts_with("var/lib/cloud") && !name.starts_with("sys") {
            pair.plant(name.to_str().unwrap(), pair.outside.join(name));
        }
    }
    for new in ["etc/wisp.disabled", "run/wisp/lock", "run/wisp/main.json", "var/lib/cloud/journal"] {
        pair.plant(new, pair.outside.join(format!("{new}.planted")));
    }
    pair.run_all();
    assert_eq!(picture(&pair.outside.0), before);
}

#[test]
fn a_configuration_of_the_system_names_no_directory_outside() {
    let pair = Pair::new("var");
    let before = picture(&pair.outside.0);
    let (var, logs) = (pair.outside.join("state"), pair.outside.join("logs"));
    let text = format!("CLOUD_USER=ann\nTINY_CLOUD_VAR={}\nTINY_CLOUD_LOGS={}\n", var.display(), logs.display());
    pair.inside.write("etc/wisp.conf", &text);
    pair.run_all();
    assert_eq!(picture(&pair.outside.0), before);
}

#[test]
fn metadata_outside_is_not_taken_for_the_systems_own() {
    let pair = Pair::new("seed");
    pair.plant("var/lib/cloud/seed", pair.outside.join("var/lib/cloud/seed"));
    pair.run_all();
    assert_eq!(pair.inside.read("etc/hostname"), "old\n");
    assert!(!pair.inside.has("home/ann/.ssh/authorized_keys"));
    // A file of the running system, which the owner of the directory may not read.
    let pair = Pair::new("secret");
    pair.outside.write("etc/secret", "#!/bin/sh\nhunter2\n");
    pair.plant("var/lib/cloud/seed/nocloud/user-data", pair.outside.join("etc/secret"));
    wisp(&["imds", "--root", pair.inside.path(), "--save"], None);
    let saved = fs::read_to_string(pair.inside.join("var/lib/cloud/user-data")).unwrap_or_default();
    assert!(!saved.contains("hunter2"), "{saved}");
}

#[test]
fn a_user_who_is_not_root_is_confined_too() {
    if !skip::needs_root() {
        return;
    }
    let pair = Pair::new("user");
    let owned = |root: &Root| {
        for path in picture(&root.0).into_keys() {
            std::os::unix::fs::lchown(path, Some(4321), Some(4321)).unwrap();
        }
    };
    [&pair.inside, &pair.outside].into_iter().for_each(owned);
    let before = picture(&pair.outside.0);
    pair.plant("etc", pair.outside.join("etc"));
    for phase in ["boot", "early", "main", "final"] {
        wisp(&[phase, "--root", pair.inside.path()], Some(4321));
    }
    assert_eq!(picture(&pair.outside.0), before);
    fs::remove_file(pair.inside.join("etc")).unwrap();
    let kept = system("user-kept");
    fs::rename(kept.join("etc"), pair.inside.join("etc")).unwrap();
    owned(&pair.inside);
    for phase in ["boot", "early", "main"] {
        let output = wisp(&[phase, "--root", pair.inside.path()], Some(4321));
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    assert_eq!(pair.inside.read("etc/hostname"), "user-in\n");
}

//! Accounts that exist and cannot log in: sshd itself says whether it lets them in, before and after.
//!
//! Each runs in a mount namespace, with the accounts of a root in place of this machine's own.
#![cfg(feature = "full")]

#[path = "support/root.rs"]
mod root;
#[path = "support/skip.rs"]
mod skip;

use root::Root;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use wisp::account;

/// Whether one account after the other can be tried in place of this machine's own; else the test is skipped.
#[track_caller]
fn may_log_in() -> bool {
    skip::needs_root() && skip::needs_namespaces("-m")
}

/// A machine with an account `ann`: what its line in shadow has behind the name, its shell, and what sshd is told.
fn machine(name: &str, shadow: &str, shell: &str, config: &str) -> Root {
    let root = Root::empty(name);
    let of_host = |path: &str| fs::read_to_string(path).unwrap();
    root.write("etc/passwd", &format!("{}ann:x:4321:4321::/home/ann:{shell}\n", of_host("/etc/passwd")));
    root.write("etc/shadow", &format!("{}ann:{shadow}\n", of_host("/etc/shadow")));
    root.write("etc/group", &format!("{}ann:x:4321:\nstaff2:x:4322:ann\n", of_host("/etc/group")));
    root.write("etc/ssh/sshd_config", config);
    root.write("etc/wisp.conf", "CLOUD_USER=ann\n");
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::copy("/bin/sh", root.join("bin/sh")).unwrap();
    for program in ["usr/sbin/nologin", "bin/other"] {
        root.write(program, "#!/bin/sh\nexit 1\n");
        fs::set_permissions(root.join(program), fs::Permissions::from_mode(0o755)).unwrap();
    }
    for key in ["host", "key"] {
        let path = root.join(key);
        let status = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path).status();
        assert!(status.unwrap().success());
    }
    root
}

/// Gives `ann` the key by a first boot with a seed; returns what it says.
fn first_boot(root: &Root, userdata: &str) -> String {
    let key = root.read("key.pub");
    root.write("var/lib/cloud/seed/nocloud/meta-data", &format!("instance-id: i-1\npublic-keys:\n- {key}"));
    root.write("var/lib/cloud/seed/nocloud/user-data", userdata);
    let program = std::env::var("WISP_UNDER_TEST").unwrap_or_else(|_| env!("CARGO_BIN_EXE_wisp").to_owned());
    let mut said = String::new();
    for phase in ["early", "main"] {
        let output = Command::new(&program).args([phase, "--root", root.path()]).env_remove("CLOUD").output().unwrap();
        said += &String::from_utf8_lossy(&output.stderr);
    }
    assert!(root.has("home/ann/.ssh/authorized_keys"), "{said}");
    said
}

/// Whether sshd lets `ann` in with her key and her shell runs a command; and what it says.
fn login(root: &Root) -> (bool, String) {
    let path = root.path();
    let config = format!(
        "HostKey {path}/host\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPidFile none\nLogLevel DEBUG\n{}",
        root.read("etc/ssh/sshd_config")
    );
    root.write("config", &config);
    fs::create_dir_all("/run/sshd").unwrap();
    let script = format!(
        "cd {path} && mount --make-rprivate / && mkdir -p /home /tmp/.wisp-none && \
         for file in passwd shadow group; do mount --bind etc/$file /etc/$file || exit 9; done && \
         chown 0:0 home && mount --bind home /home && \
         {{ [ ! -e etc/nologin ] || {{ mount -t tmpfs none /mnt && cp -a /etc/. /mnt/ && cp etc/nologin /mnt/ && mount --rbind /mnt /etc; }}; }} && \
         ssh -F none -i key -o 'ProxyCommand=/usr/sbin/sshd -i -e -f config' -o UserKnownHostsFile=/dev/null \
             -o StrictHostKeyChecking=no -o BatchMode=yes -o IdentitiesOnly=yes -o IdentityAgent=none ann@machine echo let in"
    );
    let output = Command::new("unshare").args(["-m", "sh", "-c", &script]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) == "let in\n";
    (said, String::from_utf8_lossy(&output.stderr).into_owned())
}

const SOUND: &str = "*:20000:0:99999:7:::";
const NO_PAM: &str = "UsePAM no\n";

#[test]
fn an_account_that_is_locked_without_a_password_is_let_in_with_its_keys() {
    if !may_log_in() {
        return;
    }
    for lock in ["!", "!!", "!*"] {
        let root = machine("locked", &format!("{lock}:20000:0:99999:7:::"), "/bin/sh", NO_PAM);
        fs::create_dir_all(root.join("home/ann")).unwrap();
        std::os::unix::fs::chown(root.join("home/ann"), Some(4321), Some(4321)).unwrap();
        let mode = fs::metadata(root.join("etc/shadow")).unwrap().mode();
        let said = first_boot(&root, "");
        assert!(said.contains("ann was locked and is not any more"), "{said}");
        assert!(!said.contains("cannot log in"), "{said}");
        assert!(root.read("etc/shadow").ends_with(&format!("ann:{SOUND}\n")));
        assert_eq!(fs::metadata(root.join("etc/shadow")).unwrap().mode(), mode);
        let (is_in, why) = login(&root);
        assert!(is_in, "{why}");
        // The same with the lock: this is what it was about.
        let shadow = root.read("etc/shadow").replace(&format!("ann:{SOUND}"), &format!("ann:{lock}:20000::::::"));
        root.write("etc/shadow", &shadow);
        let (is_in, why) = login(&root);
        assert!(!is_in && why.contains("account is locked"), "{why}");
    }
}

#[test]
fn what_keeps_an_account_out_is_said_and_sshd_agrees() {
    if !may_log_in() {
        return;
    }
    let hash = "!$6$abc$def:20000:0:99999:7:::";
    for (name, shadow, shell, config, reason) in [
        ("sound", SOUND, "/bin/sh", NO_PAM, ""),
        ("no-config", SOUND, "", "", ""),
        ("hash", hash, "/bin/sh", NO_PAM, "is locked (passwd -l)"),
        ("expired", "*:20000:0:99999:7::20001:", "/bin/sh", NO_PAM, "has expired"),
        ("far", "*:20000:0:99999:7::99999:", "/bin/sh", NO_PAM, ""),
        ("shell", SOUND, "/bin/none", NO_PAM, "has the shell /bin/none"),
        ("nologin", SOUND, "/usr/sbin/nologin", NO_PAM, "has the shell /usr/sbin/nologin"),
        ("allow", SOUND, "/bin/sh", "AllowUsers root adm*\nUsePAM no\n", "is kept out by AllowUsers"),
        ("allowed", SOUND, "/bin/sh", "AllowUsers root\nallowusers a?n\n", ""),
        ("deny", SOUND, "/bin/sh", "DenyUsers bob ann\n", "is kept out by DenyUsers"),
        ("groups", SOUND, "/bin/sh", "AllowGroups wheel sudo\n", "is kept out by AllowGroups"),
        ("own-group", SOUND, "/bin/sh", "AllowGroups ann\n", ""),
        ("other-group", SOUND, "/bin/sh", "AllowGroups staff*\n", ""),
        ("deny-group", SOUND, "/bin/sh", "DenyGroups staff2\n", "is kept out by DenyGroups"),
        ("match", SOUND, "/bin/sh", "Match User bob\nAllowUsers bob\n", ""),
        ("no-keys", SOUND, "/bin/sh", "PubkeyAuthentication no\n", "is kept out by PubkeyAuthentication"),
        ("quotes", SOUND, "/bin/sh", "DenyUsers = \"ann\" # why\n", "is kept out by DenyUsers"),
    ] {
        let root = machine(name, shadow, shell, config);
        let said = first_boot(&root, "");
        let is_warned = said.contains("ann cannot log in over SSH: it ");
        assert_eq!(is_warned, !reason.is_empty(), "{name}: {said}");
        assert!(said.contains(reason), "{name}: {said}");
        let program = std::env::var("WISP_UNDER_TEST").unwrap_or_else(|_| env!("CARGO_BIN_EXE_wisp").to_owned());
        let status = Command::new(program).args(["status", "--root", root.path()]).output().unwrap();
        let status = String::from_utf8_lossy(&status.stdout).into_owned();
        assert_eq!(status.contains("warning: ann cannot log in over SSH: it "), is_warned, "{name}: {status}");
        let (is_in, why) = login(&root);
        assert_eq!(is_in, reason.is_empty(), "{name}: {why}");
        assert!(root.read("etc/shadow").ends_with(&format!("ann:{shadow}\n")), "{name}: nothing else is touched");
    }
}

#[test]
fn a_system_that_lets_only_root_in_is_reported() {
    if !may_log_in() {
        return;
    }
    let root = machine("nologin-file", SOUND, "/bin/sh", NO_PAM);
    root.write("etc/nologin", "maintenance\n");
    let said = first_boot(&root, "");
    assert!(said.contains("ann cannot log in over SSH: it is kept out by /etc/nologin"), "{said}");
    let (is_in, why) = login(&root);
    assert!(!is_in, "{why}");
}

#[test]
fn a_shell_of_the_user_data_that_is_not_there_becomes_sh() {
    if !may_log_in() {
        return;
    }
    let root = machine("described", SOUND, "/bin/sh", NO_PAM);
    let passwd = root.read("etc/passwd").replace("ann:x:4321:4321::/home/ann:/bin/sh\n", "");
    root.write("etc/passwd", &passwd);
    let said = first_boot(&root, "#alpine-config\nuser: {name: ann, shell: /bin/ash2}\n");
    assert!(said.contains("ann has /bin/sh: the shell /bin/ash2 of the user-data is not there"), "{said}");
    assert!(root.read("etc/passwd").ends_with(":/home/ann:/bin/sh\n"));
    let (is_in, why) = login(&root);
    assert!(is_in, "{why}");
    // One that is there stays, and one that the image has given an account is the image's.
    let root = machine("described-there", SOUND, "/bin/sh", NO_PAM);
    root.write("etc/passwd", &passwd);
    let said = first_boot(&root, "#alpine-config\nuser: {name: ann, shell: /bin/other}\n");
    assert!(root.read("etc/passwd").ends_with(":/home/ann:/bin/other\n"), "{said}");
}

#[test]
fn an_account_that_expires_is_judged_by_todays_date() {
    if !may_log_in() {
        return;
    }
    let root = machine("today", SOUND, "/bin/sh", "UsePAM yes\n");
    fs::write(root.join("etc/shadow"), "ann:*:0:0:99999:7:::\n").unwrap();
    let ann = account::find(root.path(), "ann").unwrap().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let reasons = account::obstacles(root.path(), &ann, now).unwrap();
    assert_eq!(reasons, ["must change its password before anything else, and has none"]);
}

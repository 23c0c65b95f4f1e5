//! SSH keys of users: the file that they are written to, and attacks of a user on that path. Keys are compared with
//! `ssh-keygen`.
#![cfg(feature = "full")]

#[path = "support/root.rs"]
mod root;
#[path = "support/skip.rs"]
mod skip;

use root::Root;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::process::Command;
use wisp::account;
use wisp::account::key::Key;
use wisp::error::{Kind, Result};
use wisp::provider::{CLOUDS, Identity, Reader, Source};
use wisp::sys::dir::Owner;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE3VyMJz2n0hTxP8xYxMq9zKq9n0x0Yk5H4T1mE8w2Aq";
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nmallory:x:1000:1000::/home/mallory:/bin/sh\n\
                      bob:x:1001:1001::/home/bob:/bin/sh\noperator:x:11:0::/root:/bin/sh\n";

const ROOT: Owner = Owner { uid: 0, gid: 0 };
const MALLORY: Owner = Owner { uid: 1000, gid: 1000 };
const BOB: Owner = Owner { uid: 1001, gid: 1001 };

/// A root with this sshd_config, and homes.
fn with_config(name: &str, config: &str) -> Root {
    let root = Root::empty(name);
    root.write("etc/passwd", PASSWD);
    root.write("etc/group", "root:x:0:\nmallory:x:1000:\nbob:x:1001:\n");
    root.write("etc/ssh/sshd_config", config);
    for (path, mode, owner) in
        [("root", 0o700, ROOT), ("home", 0o755, ROOT), ("home/mallory", 0o755, MALLORY), ("home/bob", 0o755, BOB)]
    {
        folder(&root, path, mode, owner);
    }
    root
}

fn folder(root: &Root, path: &str, mode: u32, owner: Owner) {
    fs::create_dir_all(root.join(path)).unwrap();
    fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).unwrap();
    chown(root.join(path), Some(owner.uid), Some(owner.gid)).unwrap();
}

fn install(root: &Root, name: &str) -> Result<usize> {
    let account = account::find(root.path(), name).unwrap().unwrap();
    account::install_keys(root.path(), &account, &[Key::parse(KEY).unwrap()])
}

/// All files that have the key, with their owners.
fn holders(root: &Root) -> Vec<(String, u32)> {
    let (mut out, mut folders) = (Vec::new(), vec![root.0.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let facts = fs::symlink_metadata(&path).unwrap();
            if facts.is_dir() {
                folders.push(path);
            } else if facts.is_file() && fs::read_to_string(&path).unwrap().contains(KEY) {
                out.push((path.strip_prefix(&root.0).unwrap().to_str().unwrap().to_owned(), facts.uid()));
            }
        }
    }
    out.sort();
    out
}

#[track_caller]
fn expect(root: &Root, name: &str, wanted: &[(&str, u32)]) {
    install(root, name).unwrap();
    let found = holders(root);
    assert_eq!(found.iter().map(|(path, uid)| (&**path, *uid)).collect::<Vec<_>>(), wanted);
}

#[track_caller]
fn expect_refused(root: &Root, name: &str, kind: Kind) {
    let error = install(root, name).unwrap_err();
    assert_eq!((error.kind, holders(root)), (kind, vec![]), "{error}");
}

#[test]
fn a_file_for_the_keys_of_all_users_is_no_place_for_one_users_key() {
    // Only root can make files another user's.
    if !skip::needs_root() {
        return;
    }
    let root = with_config("all", "AuthorizedKeysFile /etc/ssh/authorized_keys %h/.ssh/authorized_keys\n");
    expect(&root, "mallory", &[("home/mallory/.ssh/authorized_keys", 1000)]);
    for value in ["/etc/ssh/authorized_keys", "/etc/ssh/%%u", "~/.ssh/authorized_keys", "none"] {
        let root = with_config("only-all", &format!("AuthorizedKeysFile {value}\n"));
        expect_refused(&root, "mallory", Kind::Refused);
    }
    // A file in the home of one account is for that account.
    let root = with_config("below", "AuthorizedKeysFile /home/mallory/keys\n");
    expect(&root, "mallory", &[("home/mallory/keys", 1000)]);
    let root = with_config("below", "AuthorizedKeysFile /home/mallory/keys\n");
    expect_refused(&root, "bob", Kind::Refused);
}

#[test]
fn a_home_is_known_by_what_it_is_and_not_by_its_path() {
    // Only root can make files another user's.
    if !skip::needs_root() {
        return;
    }
    let spelled = || {
        let root = with_config("spelled", "AuthorizedKeysFile /home/%u/.ssh/authorized_keys\n");
        fs::create_dir(root.join("var")).unwrap();
        fs::rename(root.join("home"), root.join("var/home")).unwrap();
        symlink("var/home", root.join("home")).unwrap();
        root.write("etc/passwd", &PASSWD.replace(":/home/", ":/var/home/"));
        root
    };
    expect(&spelled(), "mallory", &[("var/home/mallory/.ssh/authorized_keys", 1000)]);
    let root = spelled();
    symlink("/root/.ssh", root.join("var/home/mallory/.ssh")).unwrap();
    folder(&root, "root/.ssh", 0o755, ROOT);
    expect_refused(&root, "mallory", Kind::Os(20));
    // Installing keys does not create a home.
    let root = spelled();
    fs::remove_dir(root.join("var/home/mallory")).unwrap();
    expect_refused(&root, "mallory", Kind::Absent);
    assert!(!root.join("var/home/mallory").exists());
    // A link owned by root in a directory of root is followed.
    let root = with_config("moved", "");
    fs::rename(root.join("home/mallory"), root.join("data")).unwrap();
    symlink("/data", root.join("home/mallory")).unwrap();
    expect(&root, "mallory", &[("data/.ssh/authorized_keys", 1000)]);
    // A link that is not owned by root is not followed.
    std::os::unix::fs::lchown(root.join("home/mallory"), Some(1001), Some(1001)).unwrap();
    fs::remove_dir_all(root.join("data/.ssh")).unwrap();
    expect_refused(&root, "mallory", Kind::Os(20));
}

#[test]
fn outside_of_a_home_links_end_at_the_first_directory_that_is_not_roots() {
    // Only root can make files another user's.
    if !skip::needs_root() {
        return;
    }
    let root = with_config("data", "AuthorizedKeysFile /data/%u/ssh/authorized_keys\n");
    folder(&root, "data/mallory", 0o755, MALLORY);
    expect(&root, "mallory", &[("data/mallory/ssh/authorized_keys", 1000)]);
    let root = with_config("data", "AuthorizedKeysFile /data/%u/ssh/authorized_keys\n");
    folder(&root, "data/mallory", 0o755, MALLORY);
    folder(&root, "root/.ssh", 0o755, ROOT);
    symlink("/root/.ssh", root.join("data/mallory/ssh")).unwrap();
    expect_refused(&root, "mallory", Kind::Os(20));
    // A directory of bob is not for mallory.
    let root = with_config("data", "AuthorizedKeysFile /data/%u/ssh/authorized_keys\n");
    folder(&root, "data/mallory", 0o755, BOB);
    expect_refused(&root, "mallory", Kind::Refused);
    // In a directory that others can write to, root creates nothing that sshd would ignore.
    let root = with_config("data", "AuthorizedKeysFile /data/%u/ssh/authorized_keys\n");
    folder(&root, "data", 0o1777, ROOT);
    expect_refused(&root, "mallory", Kind::Refused);
    let root = with_config("data", "StrictModes no\nAuthorizedKeysFile /data/%u/ssh/authorized_keys\n");
    folder(&root, "data", 0o1777, ROOT);
    expect(&root, "mallory", &[("data/mallory/ssh/authorized_keys", 1000)]);
    // sshd reads as the user.
    let root = with_config("data", "AuthorizedKeysFile /etc/ssh/keys/%u\n");
    folder(&root, "etc/ssh/keys", 0o700, ROOT);
    expect_refused(&root, "mallory", Kind::Refused);
}

#[test]
fn a_home_shared_with_another_account_gets_no_key() {
    // Only root can make files another user's.
    if !skip::needs_root() {
        return;
    }
    let root = with_config("operator", "");
    expect_refused(&root, "operator", Kind::Refused);
    folder(&root, "root", 0o755, ROOT);
    expect_refused(&root, "operator", Kind::Refused);
    // The key of root itself is installed there: it gives no one new rights.
    expect(&root, "root", &[("root/.ssh/authorized_keys", 0)]);
    // A link to the home of root is the home of root.
    let root = with_config("alias", "");
    folder(&root, "root", 0o755, ROOT);
    symlink("/root", root.join("srv")).unwrap();
    root.write("etc/passwd", &PASSWD.replace("/home/mallory", "/srv"));
    expect_refused(&root, "mallory", Kind::Refused);
    for home in ["/", "//", "/home/bob", "/home/bob/.ssh", "/etc/.."] {
        let root = with_config("homes", "");
        folder(&root, "home/bob/.ssh", 0o700, BOB);
        root.write("etc/passwd", &PASSWD.replace("/home/mallory", home));
        expect_refused(&root, "mallory", Kind::Refused);
    }
    // In another's home, a home of one's own is reached through no link.
    let nested = || {
        let root = with_config("nested", "");
        root.write("etc/passwd", &PASSWD.replace("/home/mallory", "/home/bob/m"));
        root
    };
    let root = nested();
    folder(&root, "home/bob/m", 0o755, MALLORY);
    expect(&root, "mallory", &[("home/bob/m/.ssh/authorized_keys", 1000)]);
    let root = nested();
    folder(&root, "root", 0o755, ROOT);
    symlink("/root", root.join("home/bob/m")).unwrap();
    expect_refused(&root, "mallory", Kind::Os(20));
}

#[test]
fn directories_of_root_mounted_in_a_home_are_not_handed_over() {
    // Only root can make files another user's.
    if !skip::needs_root() {
        return;
    }
    let root = with_config("mounted", "");
    folder(&root, "root", 0o755, ROOT);
    folder(&root, "root/.ssh", 0o755, ROOT);
    folder(&root, "home/mallory/.ssh", 0o755, MALLORY);
    let run = |program: &str, arguments: &[&str]| Command::new(program).args(arguments).status().unwrap().success();
    let (from, to) = (format!("{}/root/.ssh", root.path()), format!("{}/home/mallory/.ssh", root.path()));
    if !run("mount", &["--bind", &from, &to]) {
        return skip::skip("mount is not allowed here");
    }
    let outcome = install(&root, "mallory");
    assert!(run("umount", &[&to]));
    assert_eq!((outcome.unwrap_err().kind, holders(&root)), (Kind::Refused, vec![]));
    assert_eq!(fs::metadata(root.join("root/.ssh")).unwrap().uid(), 0);
}

#[test]
fn in_a_home_of_roots_what_is_made_is_the_users() {
    // Only root can make files another user's.
    if !skip::needs_root() {
        return;
    }
    // As sshd's ChrootDirectory wants it.
    let root = with_config("chroot", "");
    folder(&root, "home/mallory", 0o755, ROOT);
    expect(&root, "mallory", &[("home/mallory/.ssh/authorized_keys", 1000)]);
    assert_eq!(fs::metadata(root.join("home/mallory/.ssh")).unwrap().uid(), 1000);
    assert_eq!(fs::metadata(root.join("home/mallory")).unwrap().uid(), 0);
    // A user's own link to another user's file does not prevent that user's key.
    folder(&root, "home/bob/.ssh", 0o700, BOB);
    symlink("/home/mallory/.ssh/authorized_keys", root.join("home/bob/.ssh/authorized_keys")).unwrap();
    fs::remove_dir_all(root.join("home/mallory/.ssh")).unwrap();
    install(&root, "mallory").unwrap();
}

#[test]
fn hard_links_and_pipes_of_a_user_change_and_show_nothing() {
    // Only root can make files another user's.
    if !skip::needs_root() {
        return;
    }
    let root = with_config("hard", "");
    folder(&root, "home/mallory/.ssh", 0o700, MALLORY);
    root.write("etc/shadow", "root:$6$secret:\n");
    fs::set_permissions(root.join("etc/shadow"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::hard_link(root.join("etc/shadow"), root.join("home/mallory/.ssh/authorized_keys")).unwrap();
    expect_refused(&root, "mallory", Kind::Refused);
    assert_eq!(fs::metadata(root.join("etc/shadow")).unwrap().mode() & 0o777, 0o640);
    fs::remove_file(root.join("home/mallory/.ssh/authorized_keys")).unwrap();
    assert!(Command::new("mkfifo").arg(root.join("home/mallory/.ssh/authorized_keys")).status().unwrap().success());
    let error = install(&root, "mallory").unwrap_err();
    assert_eq!(error.kind, Kind::Refused, "{error}");
}

#[test]
fn a_user_who_exchanges_directories_meanwhile_gains_nothing() {
    // Only root can make files another user's.
    if !skip::needs_root() {
        return;
    }
    let root = with_config("race", "");
    folder(&root, "root", 0o755, ROOT);
    folder(&root, "root/.ssh", 0o755, ROOT);
    root.write("root/.ssh/authorized_keys", "root's\n");
    let home = root.join("home/mallory");
    let is_done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = fs::create_dir(home.join("dir"));
                let _ = chown(home.join("dir"), Some(1000), Some(1000));
                let _ = fs::remove_dir_all(home.join(".ssh"));
                let _ = fs::rename(home.join("dir"), home.join(".ssh"));
                let _ = symlink("../../root/.ssh", home.join("link"));
                let _ = fs::remove_dir_all(home.join(".ssh"));
                let _ = fs::rename(home.join("link"), home.join(".ssh"));
                let _ = fs::remove_file(home.join(".ssh"));
            }
        });
        (0..300).for_each(|_| drop(install(&root, "mallory")));
        is_done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(root.read("root/.ssh/authorized_keys"), "root's\n");
    assert_eq!(fs::read_dir(root.join("root/.ssh")).unwrap().count(), 1);
    assert_eq!(fs::metadata(root.join("root/.ssh")).unwrap().uid(), 0);
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).env("LC_ALL", "C").output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    said
}

/// A string as it is in a blob.
fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

/// A key of each type that ssh-keygen makes here, and of those whose private half is in a security key.
fn corpus(root: &Root) -> Vec<(String, Vec<u8>)> {
    let file = |name: &str| format!("{}/{name}", root.path());
    let mut lines = Vec::new();
    run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &file("authority")]);
    let kinds =
        [("ed25519", "256"), ("rsa", "1024"), ("rsa", "2048"), ("ecdsa", "256"), ("ecdsa", "384"), ("ecdsa", "521")];
    for (kind, bits) in kinds {
        let name = format!("{kind}{bits}");
        run("ssh-keygen", &["-q", "-t", kind, "-b", bits, "-N", "", "-f", &file(&name)]);
        lines.push(root.read(&format!("{name}.pub")));
        run(
            "ssh-keygen",
            &["-q", "-s", &file("authority"), "-I", "me", "-n", "ann,bob", &file(&format!("{name}.pub"))],
        );
        lines.push(root.read(&format!("{name}-cert.pub")));
    }
    let mut keys: Vec<(String, Vec<u8>)> = lines
        .iter()
        .map(|line| {
            let (kind, rest) = line.split_once(' ').unwrap();
            (kind.to_owned(), wisp::text::base64::decode(rest.split(' ').next().unwrap().as_bytes()).unwrap())
        })
        .collect();
    for (kind, of) in
        [("sk-ssh-ed25519@openssh.com", "ssh-ed25519"), ("sk-ecdsa-sha2-nistp256@openssh.com", "ecdsa-sha2-nistp256")]
    {
        let plain = &keys.iter().find(|(name, _)| name == of).unwrap().1;
        let blob = [&string(kind.as_bytes()), &plain[string(of.as_bytes()).len()..], &string(b"ssh:")].concat();
        keys.push((kind.to_owned(), blob));
    }
    keys
}

#[test]
fn keys_are_accepted_as_ssh_keygen_accepts_them() {
    let root = Root::empty("corpus");
    let mut lines: Vec<String> = Vec::new();
    let mut push = |kind: &str, text: &str| lines.push(format!("{kind} {text} n{}", lines.len()));
    for (kind, blob) in corpus(&root) {
        let text = wisp::text::base64::encode(&blob);
        push(&kind, &text);
        (0..text.len()).for_each(|end| push(&kind, &text[..end]));
        (0..blob.len()).for_each(|end| push(&kind, &wisp::text::base64::encode(&blob[..end])));
        push(&kind, &wisp::text::base64::encode(&[&blob, &[0][..]].concat()));
        push(&kind, &wisp::text::base64::encode(&[&blob[..], &blob[..]].concat()));
        push("ssh-ed25519 ", &text);
        push("ssh-rsa", &text);
        push("ecdsa-sha2-nistp521", &text);
        push(&format!("restrict,from=\"a b\" {kind}"), &text);
        push(&format!("x\"y {kind}"), &text);
        push(&kind.to_uppercase(), &text);
        // Points that are not on their curve, and signatures that do not fit, are for ssh-keygen alone.
        if !kind.contains("ecdsa") && !kind.contains("-cert-") {
            for bit in 0..blob.len() * 8 {
                let mut flipped = blob.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                push(&kind, &wisp::text::base64::encode(&flipped));
            }
        }
    }
    for (number, of) in [(255_usize, 3), (1023, 3), (1024, 3), (1025, 0)] {
        // Moduli of so many bits.
        let mut modulus = vec![0xff; number.div_ceil(8)];
        modulus[0] = if number % 8 == 0 { 0xff } else { 0xff >> (8 - number % 8) };
        let modulus = if modulus[0] & 0x80 == 0 { modulus } else { [vec![0], modulus].concat() };
        let exponent = if of == 0 { vec![] } else { vec![of] };
        push(
            "ssh-rsa",
            &wisp::text::base64::encode(&[string(b"ssh-rsa"), string(&exponent), string(&modulus)].concat()),
        );
    }
    root.write("all", &format!("{}\n", lines.join("\n")));
    let accepted = run("ssh-keygen", &["-l", "-f", &format!("{}/all", root.path())]);
    let accepted: std::collections::BTreeSet<&str> =
        accepted.lines().filter_map(|line| line.split(' ').nth(2)).collect();
    assert!(accepted.len() > 500, "{}", accepted.len());
    for line in &lines {
        let name = line.rsplit(' ').next().unwrap();
        // ssh-keygen reads no options; what they are is judged by what sshd documents.
        assert_eq!(Key::parse(line).is_ok(), accepted.contains(name), "{line}: {:?}", Key::parse(line));
    }
}

/// A source with a fixed answer for each target.
struct Canned(Vec<(&'static str, String)>);

impl Source for Canned {
    fn get(&mut self, target: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.0.iter().find(|(known, _)| *known == target).map(|(_, text)| text.clone().into_bytes()))
    }
}

/// The keys of a cloud as `USER:KEY`, and how many lines are rejected.
fn keys_of(cloud: &str, bodies: &[(&'static str, &str)]) -> (Vec<String>, usize) {
    let cloud = CLOUDS.iter().find(|row| row.name == cloud).unwrap();
    let bodies = bodies.iter().map(|(target, text)| (*target, (*text).to_owned())).collect();
    let mut reader = Reader::new(cloud, Box::new(Canned(bodies)), Identity::default());
    let keys = reader.keys().unwrap();
    let keys = keys.into_iter().map(|key| format!("{}{}", key.user.map_or(String::new(), |user| user + ":"), key.line));
    (keys.collect(), reader.rejected_keys().len())
}

#[test]
fn a_line_of_metadata_that_is_not_a_key_changes_no_key() {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINwVUbSvy/CiaG+nE4No5v+ePG1uqGZ5k27HhlzQRxRV";
    let seed = |lines: &str| {
        let text = format!("instance-id: i\npublic-keys: |\n{}\n", lines.replace("KEY", key).replace('^', "  "));
        keys_of("nocloud", &[("meta-data", &text)])
    };
    assert_eq!(seed("^KEY\n^hello"), (vec![key.to_owned()], 1));
    assert_eq!(seed("^KEY a\n^\"KEY b\""), (vec![format!("{key} a"), format!("{key} b")], 0));
    assert_eq!(seed("^---- BEGIN SSH2 PUBLIC KEY ----\n^KEY\n^---- END SSH2 PUBLIC KEY ----").0, [key]);
    assert_eq!(seed("^ann:\n^KEY\n^bob:\n^KEY b"), (vec![key.to_owned(), format!("{key} b")], 2));
    let oci =
        format!("{{\"metadata\":{{\"ssh_authorized_keys\":\"ann:\\n{key}\\n\u{feff}\\\"{key} q\\\"\\r\\nbob:\"}}}}");
    assert_eq!(keys_of("oci", &[("/opc/v2/instance/", &oci)]), (vec![key.to_owned(), format!("{key} q")], 2));
}

#[test]
fn keys_in_tags_of_scaleway_are_keys() {
    let conf = "{\"ssh_public_keys\":[],\"tags\":[\"team=a_b\",\"AUTHORIZED_KEY=ssh-ed25519_AAAA_me\"]}";
    assert_eq!(keys_of("scaleway", &[("/conf?format=json", conf)]), (vec!["ssh-ed25519 AAAA me".to_owned()], 0));
}

#[test]
fn keys_of_a_cloud_config_are_read_on_nocloud_and_incus() {
    let config = "#cloud-config\nssh_authorized_keys:\n  - ssh-rsa AAAA top\nusers:\n  - default\n  - name: bob\n    \
                  ssh_authorized_keys: [ssh-rsa BBBB bob]\n";
    let both = vec!["ssh-rsa AAAA top".to_owned(), "bob:ssh-rsa BBBB bob".to_owned()];
    assert_eq!(keys_of("nocloud", &[("meta-data", "instance-id: i"), ("user-data", config)]), (both.clone(), 0));
    let incus = |config: &str| {
        let meta = "public-keys: ssh-rsa MMMM meta\n";
        keys_of("incus", &[("/1.0/meta-data", meta), ("/1.0/config/cloud-init.user-data", config)])
    };
    let meta = vec!["ssh-rsa MMMM meta".to_owned()];
    assert_eq!(incus(config), ([meta.clone(), both.clone()].concat(), 0));
    assert_eq!(incus(config.strip_prefix("#cloud-config\n").unwrap()), ([meta.clone(), both].concat(), 0));
    // What is wrong with the user-data costs no key of the meta-data.
    assert_eq!(incus("#cloud-config\nruncmd:\n  - a: b: c\n"), (meta.clone(), 0));
    assert_eq!(incus("#cloud-config\nssh_authorized_keys: [a: b: c]\n- x"), (meta.clone(), 1));
    assert_eq!(incus("#!/bin/sh\n# ssh_authorized_keys: [\n"), (meta, 0));
}

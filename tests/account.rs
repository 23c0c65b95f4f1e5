//! Accounts, keys and host keys: a root in, a root out. `pwck`, `grpck`, `ssh-keygen`, `ssh` and `sshd` are the judges.
#![cfg(feature = "full")]

#[path = "support/root.rs"]
mod root;
#[path = "support/skip.rs"]
mod skip;

use root::Root;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use wisp::account::host_keys::{self, Identity};
use wisp::account::key::Key;
use wisp::account::{self, Account, Wanted};
use wisp::error::Kind;
use wisp::sys::dir::Owner;

const DEBIAN_PASSWD: &str = "root:x:0:0:root:/:/bin/sh\ndaemon:x:1:1:daemon:/usr:/bin/sh\n";
const DEBIAN_GROUP: &str = "root:x:0:\ndaemon:x:1:\nsudo:x:27:\n";
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE3VyMJz2n0hTxP8xYxMq9zKq9n0x0Yk5H4T1mE8w2Aq";
const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJNZNcTs/jvZIV7ziF3tfHpM0tC7IkhQZKz6iAHQqDqm";

impl Root {
    fn new(name: &str) -> Self {
        let root = Self::empty(name);
        fs::create_dir(root.join("etc")).unwrap();
        root
    }

    fn debian(name: &str) -> Self {
        let root = Self::new(name);
        root.write("etc/passwd", DEBIAN_PASSWD);
        root.write("etc/group", DEBIAN_GROUP);
        root.write("etc/shadow", "root:*:20000:0:99999:7:::\ndaemon:*:20000:0:99999:7:::\n");
        root.write("etc/gshadow", "root:*::\ndaemon:*::\nsudo:*::\n");
        root.write("etc/login.defs", "UID_MIN\t\t\t 1000\nUMASK\t\t022\n#HOME_MODE\t0700\n");
        root.write("etc/skel/.profile", "# hello\n");
        root.write("etc/skel/.config/tool/settings", "a = b\n");
        symlink(".profile", root.join("etc/skel/.login")).unwrap();
        fs::create_dir_all(root.join("etc/sudoers.d")).unwrap();
        root.mode("etc/shadow", 0o640);
        root
    }

    fn alpine(name: &str) -> Self {
        let root = Self::new(name);
        root.write("etc/passwd", "root:x:0:0:root:/root:/bin/ash\n");
        root.write("etc/group", "root:x:0:root\nwheel:x:10:root\n");
        root.write("etc/shadow", "root:*::0:::::\n");
        fs::create_dir_all(root.join("etc/doas.d")).unwrap();
        root
    }

    /// With an account `ann`, whose home is there.
    fn with_ann(name: &str) -> (Self, Account) {
        let root = Self::alpine(name);
        let ann = account::create(root.path(), &Wanted { name: "ann", ..Wanted::default() }).unwrap();
        (root, ann)
    }

    fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Permission bits, and owner where that can be anybody: the superuser gives files away, others cannot.
    fn facts(&self, path: &str) -> (u32, Option<(u32, u32)>) {
        let facts = fs::symlink_metadata(self.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        let is_root = rustix::process::geteuid().is_root();
        (facts.mode() & 0o7777, is_root.then(|| (facts.uid(), facts.gid())))
    }

    #[track_caller]
    fn expect(&self, path: &str, mode: u32, owner: Owner) {
        let (found, owned) = self.facts(path);
        assert_eq!(format!("{found:o}"), format!("{mode:o}"), "{path}");
        assert!(owned.is_none_or(|owned| owned == (owner.uid, owner.gid)), "{path}: {owned:?}");
    }

    /// All files but locks, each with what changes when someone touches it.
    fn state(&self) -> Vec<(PathBuf, u64, i64, i64, u32)> {
        let (mut out, mut folders) = (Vec::new(), vec![self.0.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let facts = fs::symlink_metadata(&path).unwrap();
                if facts.is_dir() {
                    folders.push(path);
                } else {
                    out.push((path, facts.ino(), facts.mtime(), facts.mtime_nsec(), facts.mode()));
                }
            }
        }
        out.sort();
        out
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.join(folder)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[track_caller]
fn judge(tool: &str, arguments: &[&str]) -> String {
    let output = Command::new(tool).args(arguments).env("LC_ALL", "C").output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{tool} {arguments:?}: {said}");
    said
}

fn keys(lines: &[&str]) -> Vec<Key> {
    lines.iter().map(|line| Key::parse(line).unwrap()).collect()
}

#[test]
fn an_account_is_made_as_useradd_makes_it_and_making_it_again_changes_nothing() {
    let root = Root::debian("debian");
    let group = account::admin_group(root.path()).unwrap();
    assert_eq!(group, "sudo");
    let make = || {
        assert_eq!(account::permit(root.path(), "ann"), []);
        let wanted = Wanted { name: "ann", groups: &[group], gecos: "Ann", ..Wanted::default() };
        account::create(root.path(), &wanted).unwrap()
    };
    let ann = make();
    let owner = Owner { uid: 1000, gid: 1000 };
    assert_eq!(ann, Account { name: "ann".into(), owner, home: "/home/ann".into() });
    assert_eq!(root.read("etc/passwd"), format!("{DEBIAN_PASSWD}ann:x:1000:1000:Ann:/home/ann:/bin/sh\n"));
    assert_eq!(root.read("etc/group"), "root:x:0:\ndaemon:x:1:\nsudo:x:27:ann\nann:x:1000:\n");
    assert_eq!(root.read("etc/gshadow"), "root:*::\ndaemon:*::\nsudo:*::ann\nann:!::\n");
    assert_eq!(root.facts("etc/shadow").0, 0o640, "as it was");
    assert_eq!(root.names("etc/sudoers.d"), ["90-wisp-ann"]);
    root.expect("etc/sudoers.d/90-wisp-ann", 0o440, Owner::ROOT);
    assert_eq!(root.read("etc/sudoers.d/90-wisp-ann"), "ann ALL=(ALL) NOPASSWD:ALL\n");
    root.expect("home", 0o755, Owner::ROOT);
    root.expect("home/ann", 0o755, owner);
    root.expect("home/ann/.config/tool", 0o755, owner);
    root.expect("home/ann/.config/tool/settings", 0o644, owner);
    assert_eq!(root.read("home/ann/.profile"), "# hello\n");
    assert_eq!(fs::read_link(root.join("home/ann/.login")).unwrap(), Path::new(".profile"));
    root.expect("home/ann/.login", 0o777, owner);
    assert!(!root.names("etc").iter().any(|name| name.ends_with(".lock") && name != ".pwd.lock"));

    let state = root.state();
    assert_eq!(make(), ann);
    account::make_home(root.path(), &ann).unwrap();
    assert_eq!(root.state(), state);
    assert_eq!(account::find(root.path(), "ann").unwrap(), Some(ann));
    assert_eq!(account::find(root.path(), "an").unwrap(), None);
}

#[test]
fn pwck_and_grpck_find_nothing_to_say_of_an_account() {
    let root = Root::debian("pwck");
    // pwck looks for the home in the system that it runs on.
    let wanted = Wanted { name: "ann", home: "/usr", groups: &["sudo", "docker"], ..Wanted::default() };
    account::create(root.path(), &Wanted { is_homeless: true, ..wanted }).unwrap();
    let path = |name: &str| format!("{}/etc/{name}", root.path());
    judge("pwck", &["-r", &path("passwd"), &path("shadow")]);
    // grpck looks for members in the system that it runs on.
    let output =
        Command::new("grpck").args(["-r", &path("group"), &path("gshadow")]).env("LC_ALL", "C").output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let is_known = |line: &&str| {
        line.ends_with("no user ann") || line.starts_with("delete member 'ann'") || *line == "grpck: no changes"
    };
    assert_eq!(said.lines().find(|line| !is_known(line)), None);
    assert!(!root.join("home").exists());
}

#[test]
fn accounts_that_useradd_makes_meanwhile_are_not_lost() {
    let root = Root::debian("useradd");
    // For anybody but the superuser useradd ends before it begins, and what is left is our own.
    let mut others: Vec<_> = (0..3)
        .map(|number| {
            let mut useradd = Command::new("useradd");
            useradd.args(["--prefix", root.path(), "-M", &format!("other{number}")]);
            useradd.stderr(std::process::Stdio::null()).spawn().unwrap()
        })
        .collect();
    for number in 0..8 {
        let name = format!("ours{number}");
        account::create(root.path(), &Wanted { name: &name, groups: &["sudo"], ..Wanted::default() }).unwrap();
    }
    // Of several useradd at once, only one gets its locks; the others say so and end.
    let made: Vec<bool> = others.iter_mut().map(|other| other.wait().unwrap().success()).collect();
    let passwd = root.read("etc/passwd");
    for (number, is_made) in made.into_iter().enumerate() {
        assert_eq!(account::find(root.path(), &format!("other{number}")).unwrap().is_some(), is_made, "{passwd}");
    }
    assert_eq!(passwd.lines().filter(|line| line.starts_with("ours")).count(), 8, "{passwd}");
    let mut numbers: Vec<&str> = passwd.lines().filter_map(|line| line.split(':').nth(2)).collect();
    numbers.sort_unstable();
    assert!(numbers.windows(2).all(|pair| pair[0] != pair[1]), "{passwd}");
}

#[test]
fn doas_gets_a_rule_for_the_user_and_the_group_is_made_where_there_is_none() {
    let root = Root::alpine("doas");
    assert_eq!(account::admin_group(root.path()).unwrap(), "wheel");
    assert_eq!(account::permit(root.path(), "ann"), []);
    assert_eq!(root.names("etc/doas.d"), ["90-wisp-ann.conf"]);
    root.expect("etc/doas.d/90-wisp-ann.conf", 0o400, Owner::ROOT);
    assert_eq!(root.read("etc/doas.d/90-wisp-ann.conf"), "permit nopass ann as root\n");
    // What is read last wins, and Alpine's own file is read after numbers.
    root.write("etc/doas.d/doas.conf", "permit persist :wheel\n");
    assert_eq!(account::permit(root.path(), "bob"), []);
    assert_eq!(root.names("etc/doas.d"), ["90-wisp-ann.conf", "doas.conf", "zz-wisp-bob.conf"]);

    fs::remove_dir_all(root.join("etc/doas.d")).unwrap();
    assert_eq!(account::permit(root.path(), "ann"), []);
    assert!(!root.join("etc/doas.conf").exists(), "there is no doas");
    root.write("etc/doas.conf", "permit persist :wheel");
    root.mode("etc/doas.conf", 0o600);
    assert_eq!(account::permit(root.path(), "ann"), []);
    assert_eq!(account::permit(root.path(), "ann"), []);
    assert_eq!(root.read("etc/doas.conf"), "permit persist :wheel\npermit nopass ann as root\n");
    assert_eq!(root.facts("etc/doas.conf").0, 0o600, "as it was");

    root.write("etc/group", "root:x:0:\n");
    assert_eq!(account::admin_group(root.path()).unwrap(), "wheel");
    account::create(root.path(), &Wanted { name: "ann", groups: &["wheel"], ..Wanted::default() }).unwrap();
    assert_eq!(root.read("etc/group"), "root:x:0:\nann:x:1000:\nwheel:x:101:ann\n");
}

/// Names that sudoers or doas.conf would take for something else, or sudo would pass over as a file.
const ODD_NAMES: [&str; 7] = ["ann", "a.b", "ALL", "Defaults", "ADMINS", "User_Alias", "permit"];

#[test]
fn doas_understands_the_rule_and_permits_one_user_alone() {
    if !skip::needs_root() {
        return;
    }
    for name in ODD_NAMES.into_iter().chain(["nobody"]) {
        let root = Root::alpine("doas-rules");
        fs::remove_dir_all(root.join("etc/doas.d")).unwrap();
        root.write("etc/doas.conf", "permit persist :wheel\n");
        assert_eq!(account::permit(root.path(), name), []);
        let config = root.join("etc/doas.conf");
        let mut doas = Command::new("setpriv");
        doas.args(["--reuid=nobody", "--clear-groups", "doas", "-C"]).arg(config).arg("id");
        let output = doas.output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(said.trim(), if name == "nobody" { "permit nopass" } else { "deny" }, "{name}");
    }
}

/// What sudo says that `user` may do, with the rules of `root` in place of this machine's own, in a mount namespace.
fn sudo_allows(root: &Root, user: &str) -> String {
    let script = format!(
        "mount --make-rprivate / && mount -t tmpfs none /mnt && cp -r {0}/etc/sudoers {0}/etc/sudoers.d /mnt/ && \
         chown -R 0:0 /mnt && chmod 440 /mnt/sudoers /mnt/sudoers.d/* && mount --bind /mnt/sudoers /etc/sudoers && \
         mount --bind /mnt/sudoers.d /etc/sudoers.d && sed '$a {1}:x:4321:4321::/:/bin/sh' /etc/passwd >/mnt/p && \
         mount --bind /mnt/p /etc/passwd && visudo -c >/dev/null && sudo -n -l -U {1}; sudo -n -l -U nobody",
        root.path(),
        user
    );
    let output = Command::new("unshare").args(["-m", "sh", "-c", &script]).env("LC_ALL", "C").output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn sudo_makes_one_user_root_without_a_password_and_no_group() {
    if !skip::needs_root() || !skip::needs_namespaces("-m") {
        return;
    }
    for name in ODD_NAMES {
        let root = Root::debian("sudo");
        root.write("etc/sudoers", "User_Alias ADMINS = nobody\n%sudo ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n");
        root.write("etc/sudoers.d/README", "# nothing\nDefaults lecture=never\n");
        assert_eq!(account::permit(root.path(), name), []);
        let file = format!("etc/sudoers.d/90-wisp-{}", name.replace('.', "+"));
        assert!(root.has(&file), "{:?}", root.names("etc/sudoers.d"));
        judge("visudo", &["-cf", root.join(&file).to_str().unwrap()]);
        let said = sudo_allows(&root, name);
        assert!(said.contains(&format!("User {name} may run")) && said.contains("(ALL) NOPASSWD: ALL"), "{said}");
        assert!(said.contains("User nobody is not allowed"), "{name}: {said}");
    }
}

#[test]
fn the_rule_for_the_user_is_behind_those_of_the_image() {
    if !skip::needs_root() || !skip::needs_namespaces("-m") {
        return;
    }
    let root = Root::debian("sudo-order");
    root.write("etc/sudoers", "@includedir /etc/sudoers.d\n");
    root.write("etc/sudoers.d/local", "ALL ALL=(ALL) PASSWD: ALL\n");
    assert_eq!(account::permit(root.path(), "ann"), []);
    assert_eq!(root.names("etc/sudoers.d"), ["local", "zz-wisp-ann"]);
    let said = sudo_allows(&root, "ann");
    let ann = said.split("User nobody").next().unwrap();
    assert!(ann.trim_end().ends_with("(ALL) NOPASSWD: ALL"), "{said}");
    // What sudo passes over is in no one's way.
    let root = Root::debian("sudo-passed-over");
    root.write("etc/sudoers.d/z.local", "ALL ALL=(ALL) ALL\n");
    root.write("etc/sudoers.d/z~", "ALL ALL=(ALL) ALL\n");
    assert_eq!(account::permit(root.path(), "ann"), []);
    assert!(root.has("etc/sudoers.d/90-wisp-ann"));
}

#[test]
fn what_keeps_a_rule_from_working_is_said() {
    let warned = |sudoers: &str, files: &[(&str, &str)]| {
        let root = Root::debian("sudo-warned");
        root.write("etc/sudoers", sudoers);
        files.iter().for_each(|(name, text)| root.write(name, text));
        let warnings = account::permit(root.path(), "ann");
        warnings.iter().map(|error| error.why.clone().into_owned()).collect::<Vec<_>>()
    };
    let none: [&str; 0] = [];
    assert_eq!(warned("#includedir /etc/sudoers.d\n# end\n", &[]), none);
    assert_eq!(warned("root ALL=(ALL) ALL\n", &[]), ["it does not include /etc/sudoers.d"]);
    assert_eq!(
        warned("@includedir /etc/sudoers.d\n%sudo ALL=(ALL) ALL\n", &[]),
        ["rules behind its @includedir take precedence"]
    );
    assert_eq!(
        warned("", &[("etc/sudoers.d/zzz", "ALL ALL=(ALL) ALL\n")]),
        ["its rules are read after any that could be added"]
    );
    let group = warned("", &[("etc/sudoers.d/sudo", "%sudo ALL=(ALL) NOPASSWD: ALL\n")]);
    assert!(group.len() == 1 && group[0].starts_with("it makes every member of the group root"), "{group:?}");
}

#[test]
fn a_root_without_a_file_of_groups_gets_one() {
    let root = Root::debian("groupless");
    for name in ["group", "gshadow", "shadow"] {
        fs::remove_file(root.join("etc").join(name)).unwrap();
    }
    account::create(root.path(), &Wanted { name: "ann", groups: &["wheel"], ..Wanted::default() }).unwrap();
    assert_eq!(root.read("etc/group"), "ann:x:1000:\nwheel:x:101:ann\n");
    assert!(root.read("etc/passwd").ends_with("\nann:*:1000:1000::/home/ann:/bin/sh\n"));
}

#[test]
fn without_files_there_are_no_accounts() {
    let root = Root::new("empty");
    let wanted = Wanted { name: "ann", ..Wanted::default() };
    assert_eq!(account::find(root.path(), "ann").unwrap(), None);
    assert_eq!(account::create(root.path(), &wanted).unwrap_err().kind, Kind::Absent);
    root.write("etc/group", "root:x:0:\n");
    assert_eq!(account::create(root.path(), &wanted).unwrap_err().kind, Kind::Absent);
    assert_eq!(root.read("etc/group"), "root:x:0:\n", "nothing is written before all is known");
    root.write("etc/passwd", "ann:x:none:1::/home/ann:/bin/sh\n");
    assert_eq!(account::create(root.path(), &wanted).unwrap_err().kind, Kind::Corrupt);
}

#[test]
fn keys_join_those_that_are_there_and_modes_are_repaired() {
    let (root, ann) = Root::with_ann("keys");
    let file = "home/ann/.ssh/authorized_keys";
    assert_eq!(account::install_keys(root.path(), &ann, &keys(&[KEY])).unwrap(), 1);
    root.expect("home/ann/.ssh", 0o700, ann.owner);
    root.expect(file, 0o600, ann.owner);
    assert_eq!(root.read(file), format!("{KEY}\n"));
    let state = root.state();
    assert_eq!(account::install_keys(root.path(), &ann, &keys(&[KEY, KEY])).unwrap(), 0);
    assert_eq!(root.state(), state);

    let mine = format!("# mine\nno-pty {OTHER} old name\nfrom=\"10.0.0.1\" ssh-rsa AAAAB3 x");
    root.write(file, &mine);
    for (path, mode) in [(file, 0o666), ("home/ann/.ssh", 0o777), ("home/ann", 0o775)] {
        root.mode(path, mode);
    }
    assert_eq!(account::install_keys(root.path(), &ann, &keys(&[OTHER, KEY])).unwrap(), 1);
    assert_eq!(root.read(file), format!("{mine}\n{KEY}\n"));
    for (path, mode) in [(file, 0o600), ("home/ann/.ssh", 0o700), ("home/ann", 0o755)] {
        root.expect(path, mode, ann.owner);
    }
    root.mode(file, 0o644);
    assert_eq!(account::install_keys(root.path(), &ann, &keys(&[KEY])).unwrap(), 0);
    root.expect(file, 0o600, ann.owner);
}

#[test]
fn keys_are_where_sshd_is_configured_to_look() {
    let (root, ann) = Root::with_ann("told");
    root.write(
        "etc/ssh/sshd_config",
        "Include /etc/ssh/sshd_config.d/*.conf\nAuthorizedKeysFile .ssh/authorized_keys\n",
    );
    root.write("etc/ssh/sshd_config.d/keys.conf", "AuthorizedKeysFile /etc/ssh/keys/%u %h/other\n");
    account::install_keys(root.path(), &ann, &keys(&[KEY])).unwrap();
    root.expect("etc/ssh/keys", 0o755, Owner::ROOT);
    root.expect("etc/ssh/keys/ann", 0o644, Owner::ROOT);
    assert_eq!(root.read("etc/ssh/keys/ann"), format!("{KEY}\n"));
    assert!(!root.join("home/ann/.ssh").exists());
    root.write("etc/ssh/sshd_config.d/keys.conf", "AuthorizedKeysFile .config/ssh/keys\n");
    account::install_keys(root.path(), &ann, &keys(&[KEY])).unwrap();
    root.expect("home/ann/.config/ssh/keys", 0o600, ann.owner);
    root.write("etc/ssh/sshd_config.d/keys.conf", "AuthorizedKeysFile none\n");
    assert_eq!(account::install_keys(root.path(), &ann, &keys(&[KEY])).unwrap_err().kind, Kind::Refused);
}

#[test]
fn no_link_in_a_home_is_followed() {
    if !skip::needs_root() {
        return;
    }
    let (root, ann) = Root::with_ann("links");
    root.write("root/.ssh/authorized_keys", "the superuser's\n");
    let install = || account::install_keys(root.path(), &ann, &keys(&[KEY]));
    symlink("../../root/.ssh", root.join("home/ann/.ssh")).unwrap();
    assert_eq!(install().unwrap_err().kind, Kind::Os(20));
    fs::remove_file(root.join("home/ann/.ssh")).unwrap();
    fs::create_dir(root.join("home/ann/.ssh")).unwrap();
    symlink("../../../root/.ssh/authorized_keys", root.join("home/ann/.ssh/authorized_keys")).unwrap();
    assert_eq!(install().unwrap_err().kind, Kind::Os(40));
    assert_eq!(root.read("root/.ssh/authorized_keys"), "the superuser's\n");
    fs::remove_dir_all(root.join("home/ann")).unwrap();
    assert_eq!(install().unwrap_err().kind, Kind::Absent);
}

#[test]
fn what_is_another_users_is_not_handed_over() {
    // Only root can make files another user's.
    if !skip::needs_root() {
        return;
    }
    let (root, ann) = Root::with_ann("foreign");
    fs::create_dir(root.join("home/ann/.ssh")).unwrap();
    let file = root.join("home/ann/.ssh/authorized_keys");
    fs::write(&file, "root:$6$secret:").unwrap();
    std::os::unix::fs::chown(&file, Some(0), Some(0)).unwrap();
    root.mode("home/ann/.ssh/authorized_keys", 0o640);
    let outcome = account::install_keys(root.path(), &ann, &keys(&[KEY]));
    assert_eq!(outcome.unwrap_err().kind, Kind::Refused);
    // A folder that a power cut left before it had its owner is taken, one with something in it is not.
    root.mode("home/ann/.ssh", 0o700);
    std::os::unix::fs::chown(root.join("home/ann/.ssh"), Some(0), Some(0)).unwrap();
    let error = account::install_keys(root.path(), &ann, &keys(&[KEY])).unwrap_err();
    assert_eq!(error.kind, Kind::Os(39));
    fs::remove_file(&file).unwrap();
    account::install_keys(root.path(), &ann, &keys(&[KEY])).unwrap();
    root.expect("home/ann/.ssh", 0o700, ann.owner);
}

const OWN_KEYS: [&str; 5] =
    ["moduli", "ssh_host_ed25519_key", "ssh_host_ed25519_key.pub", "ssh_host_instance", "sshd_config"];

/// What becomes of the host keys below `root` in an instance that nothing tells from others.
fn renew(root: &Root) -> host_keys::Renewed {
    host_keys::renew(root.path(), &Identity { is_recorded: true, ..Identity::default() }).unwrap()
}

/// A root with sshd, and the keys of an image in it.
fn with_sshd(name: &str, config: &str) -> Root {
    let root = Root::new(name);
    root.write("etc/ssh/sshd_config", config);
    for name in ["rsa", "ecdsa", "ed25519"] {
        root.write(&format!("etc/ssh/ssh_host_{name}_key"), "the image's\n");
        root.write(&format!("etc/ssh/ssh_host_{name}_key.pub"), "the image's\n");
    }
    root.write("etc/ssh/moduli", "");
    root
}

#[test]
fn the_machine_gets_a_key_of_its_own_and_those_of_the_image_go() {
    let root = with_sshd("host", "");
    let line = renew(&root).public.pop().unwrap();
    assert_eq!(root.names("etc/ssh"), OWN_KEYS);
    let path = format!("{}/etc/ssh/ssh_host_ed25519_key", root.path());
    root.expect("etc/ssh/ssh_host_ed25519_key", 0o600, Owner::ROOT);
    root.expect("etc/ssh/ssh_host_ed25519_key.pub", 0o644, Owner::ROOT);
    assert_eq!(root.read("etc/ssh/ssh_host_ed25519_key.pub"), format!("{line}\n"));
    assert_eq!(judge("ssh-keygen", &["-y", "-P", "", "-f", &path]).trim(), line);
    assert!(judge("ssh-keygen", &["-l", "-f", &path]).starts_with("256 SHA256:"));
    // As OpenSSH writes it itself, byte for byte but for the numbers: reading and writing it again changes its length by
    // nothing.
    let before = root.read("etc/ssh/ssh_host_ed25519_key");
    judge("ssh-keygen", &["-q", "-p", "-P", "", "-N", "", "-f", &path]);
    let after = root.read("etc/ssh/ssh_host_ed25519_key");
    assert_eq!((before.len(), before.lines().count()), (after.len(), after.lines().count()));
    assert_eq!(judge("ssh-keygen", &["-y", "-P", "", "-f", &path]).trim(), line);

    assert_ne!(renew(&root).public, [line], "another one for another instance");
    assert_eq!(host_keys::renew(Root::new("no-sshd").path(), &Identity::default()), None);
}

/// Runs phases of the shipped program, each in a boot of its own or with those before it, where `prepare` has set the scene.
fn phases(root: &Root, prepare: &str, phases: &[&str]) -> Vec<String> {
    let program = std::env::var("WISP_UNDER_TEST").unwrap_or_else(|_| env!("CARGO_BIN_EXE_wisp").to_owned());
    let runs: String = phases.iter().map(|phase| format!("{program} {phase} --root . 2>&1; echo END\n")).collect();
    let script = format!("cd {} && mount --make-rprivate / && {prepare}\n{runs}", root.path());
    let output = Command::new("unshare").args(["-m", "sh", "-c", &script]).env_remove("CLOUD").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut parts: Vec<String> = said.split("END\n").map(String::from).collect();
    assert_eq!(parts.pop().as_deref(), Some(""), "{said}{}", String::from_utf8_lossy(&output.stderr));
    parts
}

#[test]
fn where_nothing_can_be_recorded_the_keys_of_the_machine_stay_what_they_are() {
    if !skip::needs_root() || !skip::needs_namespaces("-m") {
        return;
    }
    let root = with_sshd("full", "");
    root.write("etc/wisp.conf", "INIT_ACTIONS_MAIN=set_host_keys\n");
    root.write("etc/passwd", "root:x:0:0::/root:/bin/sh\n");
    fs::create_dir_all(root.join("var/lib/cloud")).unwrap();
    let full = "mount -t tmpfs -o size=4k none var/lib/cloud && head -c 4096 /dev/zero >var/lib/cloud/rest";
    let key = || root.read("etc/ssh/ssh_host_ed25519_key.pub");
    let said = phases(&root, full, &["main"]);
    let first = key();
    assert!(said[0].contains("no space left on device") && first.starts_with("ssh-ed25519 "), "{said:?}");
    // sshd has begun to show it by now; and so in the next boot.
    phases(&root, full, &["final"]);
    assert_eq!(key(), first);
    fs::remove_dir_all(root.join("run")).unwrap();
    phases(&root, full, &["main", "final"]);
    assert_eq!(key(), first);
    // With a record it is done once, and again for another instance.
    phases(&root, "true", &["main", "final"]);
    assert_ne!(key(), first, "nothing tells this machine from a copy of its disk");
    let second = key();
    phases(&root, "true", &["main", "final"]);
    assert_eq!(key(), second);
}

#[test]
fn a_disk_that_is_full_keeps_the_keys_of_the_image() {
    if !skip::needs_root() || !skip::needs_namespaces("-m") {
        return;
    }
    let root = with_sshd("full-etc", "");
    root.write("etc/wisp.conf", "INIT_ACTIONS_MAIN=set_host_keys\n");
    let full = "cp -r etc/ssh old && mount -t tmpfs -o size=64k none etc/ssh && cp old/* etc/ssh/ && \
                ! head -c 65536 /dev/zero >etc/ssh/rest";
    let said = phases(&root, &format!("{full}\ntrap 'cp -r etc/ssh after' EXIT"), &["main"]);
    assert!(said[0].contains("no space left on device"), "{said:?}");
    for name in ["rsa", "ecdsa", "ed25519"] {
        assert_eq!(root.read(&format!("after/ssh_host_{name}_key")), "the image's\n", "{said:?}");
        assert_eq!(root.read(&format!("after/ssh_host_{name}_key.pub")), "the image's\n");
    }
}

#[test]
fn keys_of_another_system_stay() {
    let root = with_sshd("elsewhere", "HostKey /etc/ssh/ssh_host_ed25519_key\nHostKey /keys/rsa\n");
    // A link of this root that means another place of this root; to anyone who looks from outside, it is his own.
    root.write("outside/rsa", "theirs");
    let outside = root.join("outside");
    symlink(&outside, root.join("keys")).unwrap();
    renew(&root);
    assert_eq!(root.read("outside/rsa"), "theirs");
}

#[test]
fn what_is_cut_off_is_done_again_from_the_beginning() {
    let root = with_sshd("cut", "");
    fs::remove_file(root.join("etc/ssh/ssh_host_ed25519_key.pub")).unwrap();
    root.write("etc/ssh/.wisp-new/ssh_host_ed25519_key", "half");
    root.mode("etc/ssh/.wisp-new/ssh_host_ed25519_key", 0o644);
    renew(&root);
    assert_eq!(root.names("etc/ssh"), OWN_KEYS);
    root.expect("etc/ssh/ssh_host_ed25519_key", 0o600, Owner::ROOT);
}

#[test]
fn keys_that_sshd_is_configured_to_use_are_made_where_it_looks() {
    let all = "HostKey /etc/ssh/ssh_host_rsa_key\nHostKey /srv/keys/my_ed25519\nHostKey /srv/keys/my_rsa\n";
    let root = with_sshd("told-host", all);
    root.write("srv/keys/my_rsa", "the image's\n");
    let renewed = renew(&root);
    assert_eq!(root.names("srv/keys"), ["my_ed25519", "my_ed25519.pub"]);
    assert_eq!(renewed.missing, ["/etc/ssh/ssh_host_rsa_key", "/srv/keys/my_rsa"], "no program of this root is run");
    assert_eq!(root.names("etc/ssh"), ["moduli", "ssh_host_instance", "sshd_config"]);

    let root = with_sshd("told-rsa", "HostKey /etc/ssh/ssh_host_rsa_key\n");
    let renewed = renew(&root);
    assert_eq!((renewed.failures[0].kind, renewed.public.len()), (Kind::Refused, 0));
    assert_eq!(root.read("etc/ssh/ssh_host_rsa_key"), "the image's\n", "else sshd would not start");
}

#[test]
fn sshd_shows_the_key_of_the_machine_and_lets_in_whose_key_was_installed() {
    let root = Root::new("login");
    fs::create_dir_all(root.join("etc/ssh")).unwrap();
    let machine = renew(&root).public.pop().unwrap();
    let user = judge("id", &["-un"]).trim().to_owned();
    let id = |flag| judge("id", &[flag]).trim().parse().unwrap();
    let me = Account { name: user.clone(), owner: Owner { uid: id("-u"), gid: id("-g") }, home: "/home/me".into() };
    account::make_home(root.path(), &me).unwrap();
    fs::create_dir_all(root.join("home/me")).unwrap();
    let file = |path: &str| format!("{}/{path}", root.path());
    for name in ["mine", "strange"] {
        judge("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &file(name)]);
    }
    account::install_keys(root.path(), &me, &keys(&[&root.read("mine.pub")])).unwrap();
    // StrictModes looks at all folders up to the root, and /tmp is everyone's.
    let config = format!(
        "HostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPidFile none\n\
         PermitRootLogin yes\nKbdInteractiveAuthentication no\n",
        file("etc/ssh/ssh_host_ed25519_key"),
        file("home/me/.ssh/authorized_keys")
    );
    root.write("config", &config);
    root.write("known", &format!("machine {machine}\n"));
    if me.owner.uid == 0 {
        // The superuser's sshd wants an empty folder, which its service makes.
        fs::create_dir_all("/run/sshd").unwrap();
    }
    judge("/usr/sbin/sshd", &["-t", "-f", &file("config")]);
    let login = |key: &str| {
        let arguments = [
            format!("ProxyCommand=/usr/sbin/sshd -i -f {}", file("config")),
            format!("UserKnownHostsFile={}", file("known")),
            "GlobalKnownHostsFile=none".into(),
            "StrictHostKeyChecking=yes".into(),
            "BatchMode=yes".into(),
            "IdentitiesOnly=yes".into(),
            "IdentityAgent=none".into(),
        ];
        let mut command = Command::new("ssh");
        command.args(["-F", "none", "-i", &file(key)]).args(arguments.iter().flat_map(|option| ["-o", option]));
        let output = command.arg(format!("{user}@machine")).arg("echo let in").output().unwrap();
        (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (said, complaint) = login("mine");
    assert_eq!(said, "let in\n", "{complaint}");
    let (said, complaint) = login("strange");
    assert!(said.is_empty() && complaint.contains("Permission denied"), "{complaint}");
}

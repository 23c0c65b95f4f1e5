//! What the user sent, done: scripts of every kind, run by this machine's own interpreters, and `#alpine-config`, a root
//! directory in and a root directory out.
//!
//! Programs are started only where the root is that of this machine; there, state and logs are in a folder of the test's own.
#![cfg(feature = "full")]

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use wisp::boot::actions;
use wisp::boot::context::Context;
use wisp::boot::journal::Journal;
use wisp::error::{Error, Kind, Result};
use wisp::log::Log;
use wisp::metadata::Machine;
use wisp::settings::Phase;
use wisp::userdata::Userdata;

/// A folder of its own, gone when the test is over.
struct Place {
    folder: PathBuf,
    machine: Machine,
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Place {
    /// The running machine, with its state in `below`.
    fn live_in(below: &str, name: &str) -> Self {
        let mut place = Self::tree_in(below, name);
        place.machine.root = String::new();
        place
    }

    fn live(name: &str) -> Self {
        Self::live_in(std::env::temp_dir().to_str().unwrap(), name)
    }

    /// A tree of files.
    fn tree(name: &str) -> Self {
        Self::tree_in(std::env::temp_dir().to_str().unwrap(), name)
    }

    fn tree_in(below: &str, name: &str) -> Self {
        let folder = PathBuf::from(below).join(format!("wisp-userdata-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let machine = Machine::look(folder.to_str().unwrap());
        Self { folder, machine }
    }

    fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.folder.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn mode(&self, path: &str) -> u32 {
        fs::symlink_metadata(self.folder.join(path)).unwrap().permissions().mode() & 0o7777
    }

    /// What becomes of `action` with this user-data.
    fn act(&self, action: &'static str, userdata: &str) -> Result<()> {
        self.acts(&[action], userdata).pop().unwrap()
    }

    /// What becomes of several actions of one phase.
    fn acts(&self, names: &[&'static str], userdata: &str) -> Vec<Result<()>> {
        self.write("var/lib/cloud/user-data", userdata);
        let (log, notify) = (Log::stderr(), |_: &str| {});
        let userdata = Userdata::parse(Some(userdata.into()));
        let journal = Journal::read(&self.machine.settings.var).unwrap();
        let mut context = Context::new(Phase::Final, &self.machine, None, (&log, &notify), userdata, journal);
        let run = |name: &&'static str| {
            let outcome = (actions::find(name).unwrap().run)(&mut context);
            context.failures.extend(outcome.clone().err().map(|error| (*name, error)));
            outcome
        };
        names.iter().map(run).collect()
    }

    /// How a script ends, what it says, and its exit code as it is kept.
    fn script(&self, text: &str) -> (Result<()>, String, String) {
        let outcome = self.act("run_userdata", text);
        (outcome, self.read("var/log/user-data.log"), self.read("var/log/user-data.exit"))
    }
}

fn told(outcome: Result<()>) -> String {
    outcome.unwrap_err().to_string()
}

/// Where an interpreter is, if this machine has it.
fn find(name: &str) -> Option<String> {
    let path = std::env::var("PATH").unwrap();
    let mut files = path.split(':').map(|folder| format!("{folder}/{name}"));
    files.find(|file| fs::metadata(file).is_ok_and(|facts| facts.is_file()))
}

#[test]
fn a_script_of_any_interpreter_is_run() {
    let place = Place::live("interpreters");
    let [sh, awk] = ["sh", "awk"].map(|name| find(name).expect("every Unix has it"));
    let mut cases = vec![
        (format!("#!{sh}\necho hello; echo error >&2"), "hello\nerror\n"),
        (
            format!("#! {sh} -e\nfalse || echo hello\nset -o | grep -q 'errexit.*on' && echo strict\n"),
            "hello\nstrict\n",
        ),
        (format!("#!{awk} -f\nBEGIN {{ print \"hello\" }}\n"), "hello\n"),
        // An interpreter that is no script language: it prints the script.
        ("#!/bin/cat\nhello\n".into(), "#!/bin/cat\nhello\n"),
        ("#!/usr/bin/env sh\necho $0 | sed 's|.*/||'\n".into(), "user-data\n"),
        // As shells run what no kernel knows.
        ("#!\necho hello\n".into(), "hello\n"),
    ];
    cases.extend(find("python3").map(|path| (format!("#!{path}\nprint('hello')\n"), "hello\n")));
    cases.extend(find("perl").map(|path| (format!("#!{path} -w\nprint \"hello\\n\"\n"), "hello\n")));
    for (text, wanted) in cases {
        let (outcome, said, exit) = place.script(&text);
        assert!(outcome.is_ok(), "{text}: {outcome:?}");
        assert_eq!((said.as_str(), exit.as_str()), (wanted, "0\n"), "{text}");
    }
    assert_eq!(place.mode("var/lib/cloud/user-data"), 0o700);
    assert_eq!((place.mode("var/log/user-data.log"), place.mode("var/log/user-data.exit")), (0o600, 0o644));
}

#[test]
fn a_script_that_fails_is_a_failure_without_its_text() {
    let place = Place::live("failures");
    for (body, exit, why) in [
        ("exit 3", "3\n", "script exited 3"),
        ("kill -9 $$", "137\n", "script was ended by signal 9"),
        ("secret-command-that-is-not-there", "127\n", "script exited 127"),
    ] {
        let (outcome, _, kept) = place.script(&format!("#!/bin/sh\n{body}\n"));
        assert_eq!((kept.as_str(), told(outcome)), (exit, format!("run the user-data: {why}")));
    }
    let (outcome, said, exit) = place.script("#!/opt/wisp/none -x\necho\n");
    assert_eq!((said.as_str(), exit.as_str()), ("", "127\n"));
    assert_eq!(told(outcome), "run the user-data: its interpreter /opt/wisp/none, or what that needs, is not there");
    // There, and nothing that could be executed.
    let (outcome, _, exit) = place.script("#!/etc/passwd\necho\n");
    assert_eq!((outcome.unwrap_err().kind, exit.as_str()), (Kind::Os(13), "126\n"));
}

#[test]
fn what_editors_leave_in_a_script_is_taken_out() {
    let place = Place::live("editors");
    for text in [
        "#!/bin/sh\r\nif true; then\r\n  echo hello\r\nfi\r\n",
        "\u{feff}#!/bin/sh\necho hello\n",
        "\n  #!/bin/sh\necho hello\n",
        "\u{feff}#!/bin/sh -e\r\necho hello\r\n",
    ] {
        let (outcome, said, _) = place.script(text);
        assert!(outcome.is_ok(), "{text:?}: {outcome:?}");
        assert_eq!(said, "hello\n", "{text:?}");
        assert_eq!(place.read("var/lib/cloud/user-data"), text, "what was sent stays as it was");
        assert!(!place.folder.join("var/lib/cloud/user-data.script").exists());
    }
}

#[test]
fn a_child_in_the_background_is_not_waited_for_at_the_end() {
    let place = Place::live("background");
    let begin = Instant::now();
    let (outcome, said, exit) = place.script("#!/bin/sh\nsleep 100 &\necho $! begun\n");
    assert!(outcome.is_ok() && begin.elapsed() < Duration::from_secs(50));
    assert_eq!((said.split_once(' ').unwrap().1, exit.as_str()), ("begun\n", "0\n"));
    let number = said.split(' ').next().unwrap();
    assert!(fs::exists(format!("/proc/{number}")).unwrap(), "and it is left alone");
    assert!(std::process::Command::new("kill").arg(number).status().unwrap().success());
}

#[test]
fn a_script_that_cannot_be_executed_is_read_by_its_interpreter() {
    let place = Place::live("busy");
    let path = place.write("var/lib/cloud/user-data", "");
    let open = File::options().append(true).open(path).unwrap();
    let (outcome, said, _) = place.script("#!/bin/sh -e\necho hello; false; echo on\n");
    assert_eq!((told(outcome).as_str(), said.as_str()), ("run the user-data: script exited 1", "hello\n"));
    drop(open);
    // Where nothing may be executed; machines mount one of these so, and which one is theirs to say.
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let forbids = |folder: &&&str| {
        let options = mounts.lines().rfind(|line| line.split(' ').nth(1) == Some(folder)).map(str::to_owned);
        options.is_some_and(|line| line.contains("noexec"))
    };
    for folder in ["/dev/shm", "/run", "/run/lock", "/tmp"].iter().filter(forbids) {
        if File::create(format!("{folder}/wisp-userdata-{}", std::process::id())).is_err() {
            continue;
        }
        fs::remove_file(format!("{folder}/wisp-userdata-{}", std::process::id())).unwrap();
        let (outcome, said, _) = Place::live_in(folder, "noexec").script("#!/bin/sh -e\necho hello; false\n");
        assert_eq!((told(outcome).as_str(), said.as_str()), ("run the user-data: script exited 1", "hello\n"));
    }
}

#[test]
fn what_is_no_script_and_what_lies_in_a_tree_is_not_run() {
    let place = Place::live("none");
    for text in ["", "echo hello", "#cloud-config\n", "\u{7f}ELF"] {
        assert!(place.act("run_userdata", text).is_ok());
    }
    assert!(!place.folder.join("var/log/user-data.exit").exists());
    let tree = Place::tree("tree");
    assert!(tree.act("run_userdata", &format!("#!/bin/sh\ntouch {}/ran\n", tree.folder.display())).is_ok());
    assert!(
        tree.act("userdata_runcmd", &format!("#alpine-config\nruncmd: [touch {}/ran]\n", tree.folder.display()))
            .is_ok()
    );
    assert!(!tree.folder.join("ran").exists());
}

#[test]
fn commands_are_run_in_order_and_a_bad_one_stops_none() {
    let place = Place::live("commands");
    let text = "#alpine-config\nruncmd:\n- echo one\n- [echo, 'two  three', '$HOME']\n- exit 4\n- {a: b}\n-\n\
                - [wisp-nobody-has-this]\n- [sh, -c, 'kill -15 $$']\n- echo $((2 + 2))\nbootcmd: [echo boot]\n";
    assert_eq!(told(place.act("userdata_runcmd", text)), "run runcmd[2]: ended with exit code 4");
    assert!(place.act("userdata_bootcmd", text).is_ok());
    assert_eq!(place.read("var/log/user-data.log"), "one\ntwo  three $HOME\n4\nboot\n");
    for (entry, why) in [
        ("[/nonexistent/wisp]", "run runcmd[0]: no such file or directory"),
        ("{a: b}", "heed the user-data's runcmd[0]: it is neither a text nor a list of texts"),
    ] {
        let error = told(place.act("userdata_runcmd", &format!("#alpine-config\nruncmd: [{entry}]\n")));
        assert!(error.starts_with(why), "{error}");
    }
}

/// The arguments of a process are for everyone to read.
#[test]
fn a_line_of_commands_is_in_no_list_of_processes() {
    let place = Place::live("argv");
    let text = "#alpine-config\nruncmd:\n- \": secret; tr '\\\\0' ' ' < /proc/$$/cmdline; stat -c %a $0\"\n";
    place.act("userdata_runcmd", text).unwrap();
    let said = place.read("var/log/user-data.log");
    assert!(said.starts_with("/bin/sh /") && said.ends_with("user-data.command 600\n"), "{said}");
    assert!(!said.contains("secret") && !place.folder.join("var/lib/cloud/user-data.command").exists());
}

#[test]
fn a_config_that_cannot_be_parsed_is_reported_once() {
    let place = Place::tree("damaged");
    let names = ["userdata_user", "userdata_bootcmd", "userdata_write_files", "userdata_packages", "userdata_ntp"];
    let outcomes = place.acts(&names, "#alpine-config\npackages: [secret\n");
    let errors: Vec<String> = outcomes.into_iter().filter_map(Result::err).map(|error| error.to_string()).collect();
    assert!(errors.len() == 1 && errors[0].contains("line ") && !errors[0].contains("secret"), "{errors:?}");
    let error = told(place.act("userdata_user", "#alpine-config\nuser: {name: [x]}\n"));
    assert_eq!(error, "heed the user-data's user: name is no text");
}

#[test]
fn a_user_without_a_name_is_the_default_user_as_described() {
    let place = Place::tree("nameless");
    place.write("etc/passwd", "root:x:0:0::/root:/bin/sh\n");
    place.write("etc/group", "root:x:0:\nwheel:x:10:root\n");
    place.write("etc/shadow", "root:*:19000::::::\n");
    let text = "#alpine-config\nuser:\n  gecos: Foo B. Baz\n  homedir: /srv/foo\n";
    let outcomes = place.acts(&["userdata_user", "create_default_user"], text);
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let passwd = place.read("etc/passwd");
    assert!(passwd.contains("\nalpine:x:1000:1000:Foo B. Baz:/srv/foo:"), "{passwd}");
}

#[test]
fn the_account_is_as_it_is_described() {
    let place = Place::tree("account");
    place.write("etc/passwd", "root:x:0:0::/root:/bin/sh\n");
    place.write("etc/group", "root:x:0:\nwheel:x:10:root\n");
    place.write("etc/shadow", "root:*:19000::::::\n");
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJgTvVVjHVkMVOJjjKXkXyW2eIuPXHtZaDPyzpcXWhV ann@desk";
    let text = format!(
        "#alpine-config\nuser: {{name: ann, gecos: Ann B, homedir: /srv/ann, shell: /bin/ash, groups: [wheel, audio]}}\n\
         ssh_authorized_keys:\n- {key}\n"
    );
    let outcomes = place.acts(&["userdata_user", "create_default_user", "ssh_authorized_keys"], &text);
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let passwd = place.read("etc/passwd");
    let line = passwd.lines().find(|line| line.starts_with("ann:")).unwrap();
    assert!(line.ends_with(":Ann B:/srv/ann:/bin/ash"), "{line}");
    let group = place.read("etc/group");
    assert!(
        group.contains("wheel:x:10:root,ann\n")
            && group.lines().any(|line| line.starts_with("audio:") && line.ends_with(":ann"))
    );
    assert_eq!(place.read("srv/ann/.ssh/authorized_keys").trim_end(), key);
}

#[test]
fn files_are_written_below_the_root() {
    let place = Place::tree("files");
    place.write("etc/passwd", "root:x:0:0::/root:/bin/sh\nann:x:1234:1234::/home/ann:/bin/sh\n");
    place.write("etc/group", "root:x:0:\nann:x:1234:\n");
    place.write("real/target", "old");
    place.write("etc/log", "first\n");
    fs::create_dir_all(place.folder.join("etc/empty")).unwrap();
    symlink("/real", place.folder.join("absolute")).unwrap();
    symlink("../../../../real/target", place.folder.join("etc/up")).unwrap();
    let text = "#alpine-config\nwrite_files:\n- {path: /new/deep/a, content: \"A\\n\"}\n\
                - {path: absolute/b, content: B, permissions: '04750', owner: ann:ann}\n\
                - {path: ../outside, content: C}\n- {path: /etc/up, content: D, permissions: 0600}\n\
                - {path: etc/log, content: \"second\\n\", append: true}\n- {path: etc/log, content: \"third\\n\", append: true}\n\
                - {path: etc/empty, content: E}\n- {path: etc/f, content: F, owner: nobody-here}\n\
                - {path: etc/g, content: aGVsbG8=, encoding: b64}\n";
    let mut pictures = Vec::new();
    for _ in 0..2 {
        let error = told(place.act("userdata_write_files", text));
        assert_eq!(error, "heed the user-data's write_files[2], ../outside: it is not the path of a file");
        let inode = |path: &str| fs::metadata(place.folder.join(path)).unwrap().ino();
        pictures.push(["new/deep/a", "real/b", "real/target", "etc/log", "etc/g"].map(inode));
    }
    assert_eq!(pictures[0], pictures[1], "the second run changes nothing");
    assert_eq!(
        (place.read("new/deep/a"), place.mode("new/deep/a"), place.mode("new/deep")),
        ("A\n".into(), 0o644, 0o755)
    );
    assert_eq!((place.read("real/b"), place.mode("real/b")), ("B".into(), 0o4750));
    let facts = fs::metadata(place.folder.join("real/b")).unwrap();
    let own = fs::metadata(&place.folder).unwrap();
    let wanted = if own.uid() == 0 { (1234, 1234) } else { (own.uid(), own.gid()) };
    assert_eq!((facts.uid(), facts.gid()), wanted);
    assert_eq!((place.read("real/target"), place.mode("real/target")), ("D".into(), 0o600));
    assert!(fs::symlink_metadata(place.folder.join("etc/up")).unwrap().is_symlink());
    assert_eq!((place.read("etc/log"), place.read("etc/g")), ("first\nsecond\nthird\n".into(), "hello".into()));
    assert!(!place.folder.join("etc/f").exists() && !place.folder.parent().unwrap().join("outside").exists());
    for (entry, why) in [
        ("{path: etc/empty}", "etc/empty: it is there and no regular file"),
        ("{path: etc/f, owner: nobody-here}", "etc/passwd: there is no nobody-here"),
        ("{path: etc/f, owner: 'ann:none'}", "etc/group: there is no none"),
        ("{path: etc/passwd/f}", "etc/passwd"),
        ("{path: loop}", "it is a link without end"),
        ("{path: shared/out}", "shared/out: it is a link that others than root can change"),
        ("{path: shared/up/log}", "shared/up: it is a link that others than root can change"),
    ] {
        if !place.folder.join("shared").is_dir() {
            fs::create_dir(place.folder.join("shared")).unwrap();
            fs::set_permissions(place.folder.join("shared"), fs::Permissions::from_mode(0o1777)).unwrap();
            symlink("../etc/log", place.folder.join("shared/out")).unwrap();
            symlink("../etc", place.folder.join("shared/up")).unwrap();
        }
        if !place.folder.join("loop").is_symlink() {
            symlink("loop", place.folder.join("loop")).unwrap();
        }
        let error = told(place.act("userdata_write_files", &format!("#alpine-config\nwrite_files: [{entry}]\n")));
        assert!(error.starts_with("write write_files[0], /") && error.ends_with(why), "{error}");
    }
}

#[test]
fn apk_gets_repositories_and_root() {
    let place = Place::tree("apk");
    place.write("etc/os-release", "ID=alpine\nVERSION_ID=3.20.1\n");
    place.write("etc/apk/repositories", "http://a/v3.20/main\n");
    let text = "#alpine-config\napk:\n  cache: /var/cache/apk\n  repositories:\n  - {base_url: 'http://a/', repos: [main, community]}\n\
                - {base_url: x}\n";
    let names = ["userdata_apk_cache", "userdata_apk_repositories"];
    let text = &text.replace("\n- {base_url: x}", "\n  - {base_url: x}");
    for _ in 0..2 {
        let outcomes = place.acts(&names, text);
        assert_eq!(outcomes[0], Ok(()));
        let error = Error::usage("heed the user-data's", "it has no repos").to("apk.repositories[1]");
        assert_eq!(outcomes[1], Err(error));
    }
    assert_eq!(place.read("etc/apk/repositories"), "http://a/v3.20/main\nhttp://a/v3.20/community\n");
    assert_eq!(fs::read_link(place.folder.join("etc/apk/cache")).unwrap(), PathBuf::from("../../var/cache/apk"));
    assert!(place.folder.join("etc/apk/cache").is_dir());
    assert!(place.act("userdata_apk_cache", "#alpine-config\napk: {cache: other}\n").is_ok());
    assert_eq!(fs::read_link(place.folder.join("etc/apk/cache")).unwrap(), PathBuf::from("other"));
}

#[test]
fn nothing_of_the_distribution_is_started_in_a_tree() {
    let place = Place::tree("asked");
    let text = "#alpine-config\nntp: {enabled: yes}\npackage_update: true\npackage_upgrade: true\npackages: [a, b]\n\
                autoinstall: true\n";
    let names = [
        "userdata_ntp",
        "userdata_package_update",
        "userdata_package_upgrade",
        "userdata_packages",
        "userdata_autoinstall",
        "userdata_apk_repositories",
    ];
    assert!(place.acts(&names, text).iter().all(Result::is_ok));
    // On a running system they are, and one that has no such program says so.
    let live = Place::live("asked-live");
    let error = told(live.act("userdata_packages", "#alpine-config\npackages: [wisp-none]\n"));
    assert!(error.starts_with("run apk add wisp-none: "), "{error}");
}

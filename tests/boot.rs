//! A root directory in, four phases, a root directory out: what is done once, again, or never a second time.
//!
//! The machines here are in no cloud or have a NoCloud seed, in a folder or at a URL of this machine's own: as an ordinary
//! user, nothing outside the tree is touched or asked.
#![cfg(feature = "full")]

#[path = "support/root.rs"]
mod root;

use root::Root as Machine;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use miniserde::json::{self, Value};
use wisp::sys::append_log::Lock;

/// What one run ended with.
#[derive(Debug)]
struct Outcome {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Outcome {
    /// The lines in the form of Tiny Cloud, without their blanks.
    fn marks(&self) -> Vec<&str> {
        let is_mark = |line: &&str| line.starts_with("++ ") || line.starts_with("-- ");
        self.err.lines().map(str::trim).filter(is_mark).collect()
    }
}

const STATE: &str = "var/lib/cloud";
const PHASES: [&str; 4] = ["boot", "early", "main", "final"];

impl Machine {
    /// A machine in no cloud.
    fn bare(name: &str) -> Self {
        let machine = Self::empty(name);
        machine.write("etc/wisp.conf", "CLOUD_USER=ann\n");
        machine.write("bin/sh", "");
        fs::set_permissions(machine.join("bin/sh"), fs::Permissions::from_mode(0o755)).unwrap();
        machine.write("etc/passwd", "root:x:0:0::/root:/bin/sh\n");
        machine.write("etc/group", "root:x:0:\n");
        machine.write("etc/shadow", "root:*:19000::::::\n");
        machine.firmware("4c4c4544-0001");
        machine
    }

    /// A machine with a seed in a folder.
    fn seeded(name: &str, instance: &str) -> Self {
        let machine = Self::bare(name);
        machine.seed(instance, "#!/bin/sh\necho hello\n");
        machine
    }

    fn seed(&self, instance: &str, userdata: &str) {
        let seed = format!("{STATE}/seed/nocloud");
        self.write(
            &format!("{seed}/meta-data"),
            &format!("instance-id: {instance}\nhostname: {instance}.example.org\n"),
        );
        self.write(&format!("{seed}/user-data"), userdata);
    }

    fn firmware(&self, uuid: &str) {
        self.write("sys/class/dmi/id/product_uuid", &format!("{uuid}\n"));
    }

    fn start(&self, words: &[&str]) -> Child {
        let program = std::env::var("WISP_UNDER_TEST").unwrap_or_else(|_| env!("CARGO_BIN_EXE_wisp").to_owned());
        let mut command = Command::new(program);
        command.args(words).arg("--root").arg(self.path()).stdin(Stdio::null()).env_remove("CLOUD");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn wisp(&self, words: &[&str]) -> Outcome {
        let output = self.start(words).wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Outcome { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// All four phases, each of which must work.
    fn boot(&self) -> Vec<Outcome> {
        let outcomes = self.try_boot();
        assert_eq!(codes(&outcomes), [0; 4], "{outcomes:?}");
        outcomes
    }

    /// All four phases.
    fn try_boot(&self) -> Vec<Outcome> {
        fs::remove_dir_all(self.join("run")).ok();
        PHASES.map(|phase| self.wisp(&[phase])).into()
    }

    fn remove(&self, path: &str) {
        fs::remove_file(self.join(path)).unwrap();
    }

    fn journal(&self) -> String {
        self.read(&format!("{STATE}/journal"))
    }

    fn status(&self) -> Value {
        let outcome = self.wisp(&["status", "--json"]);
        json::from_str(&outcome.out).unwrap_or_else(|_| panic!("{outcome:?}"))
    }

    /// Every file with its bytes, its mode and when it was changed, but for the facts of the boot.
    fn picture(&self) -> Vec<String> {
        fn walk(folder: &Path, lines: &mut Vec<String>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let facts = fs::symlink_metadata(&path).unwrap();
                if facts.is_dir() {
                    walk(&path, lines);
                    continue;
                }
                let bytes = fs::read(&path).unwrap_or_default();
                let when = (facts.mtime(), facts.mtime_nsec());
                lines.push(format!("{} {:o} {when:?} {bytes:?}", path.display(), facts.permissions().mode()));
            }
        }
        let mut lines = Vec::new();
        for folder in ["etc", "var", "home"] {
            let folder = self.join(folder);
            if folder.exists() {
                walk(&folder, &mut lines);
            }
        }
        lines.sort();
        lines
    }
}

fn codes(outcomes: &[Outcome]) -> Vec<i32> {
    outcomes.iter().map(|outcome| outcome.code.unwrap()).collect()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    let Value::Object(object) = value else { panic!("{value:?}") };
    match &object[name] {
        Value::String(text) => text,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn a_first_boot_does_everything_and_a_second_one_nothing() {
    let machine = Machine::seeded("twice", "i-1");
    assert_eq!(machine.wisp(&["bootstrap", "status"]).out, "incomplete\n");
    let outcomes = machine.boot();
    let main = outcomes[2].marks();
    for (before, after) in [("create_default_user", "set_hostname"), ("set_hostname", "set_ssh_keys")] {
        let place = |name: &str| main.iter().position(|mark| *mark == format!("++ {name}: done")).unwrap();
        assert!(place(before) < place(after), "{main:?}");
    }
    assert!(outcomes[3].marks().ends_with(&["++ bootstrap_complete: done"]));
    assert_eq!(machine.wisp(&["bootstrap", "status"]).out, "complete\n");
    assert_eq!(machine.read(&format!("{STATE}/.bootstrap-complete")), "nocloud/i-1\n");
    assert_eq!(
        (machine.read("etc/hostname"), machine.read(&format!("{STATE}/user-data"))),
        ("i-1\n".into(), "#!/bin/sh\necho hello\n".into())
    );
    for secret in ["user-data", "journal"] {
        let mode = fs::metadata(machine.join(STATE).join(secret)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{secret} is for root only");
    }
    let status = machine.status();
    assert_eq!((text(&status, "status"), text(&status, "instance")), ("done", "nocloud/i-1"));

    let before = machine.picture();
    for outcome in machine.boot() {
        assert!(outcome.marks().is_empty() && outcome.err.contains("the bootstrap is complete"), "{outcome:?}");
    }
    assert_eq!(machine.picture(), before, "nothing was touched");
    assert_eq!(text(&machine.status(), "status"), "done");
}

#[test]
fn a_phase_that_runs_twice_in_a_first_boot_does_nothing_twice() {
    let machine = Machine::seeded("again", "i-1");
    for phase in &PHASES[..3] {
        assert_eq!(machine.wisp(&[phase]).code, Some(0));
        let before = machine.picture();
        let again = machine.wisp(&[phase]);
        // What a boot undoes, and what user-data may still change.
        let is_again = |mark: &str| mark.contains("set_ephemeral_network") || mark.contains("create_default_user");
        let is_quiet = |mark: &&str| mark.ends_with(": done before") || is_again(mark);
        assert!(again.code == Some(0) && again.marks().iter().all(is_quiet), "{again:?}");
        assert_eq!(machine.picture(), before, "{phase}");
    }
}

#[test]
fn another_instance_is_a_first_boot_and_takes_nothing_along() {
    let machine = Machine::seeded("clone", "i-1");
    machine.boot();
    machine.seed("i-2", "#!/bin/sh\necho other\n");
    let outcomes = machine.boot();
    assert!(outcomes[0].err.contains("this disk was in nocloud/i-1 and is now in nocloud/i-2"), "{outcomes:?}");
    assert!(outcomes[2].marks().contains(&"++ set_hostname: done"));
    assert_eq!(
        (machine.read("etc/hostname"), machine.read("etc/hosts")),
        ("i-2\n".into(), "127.0.1.1\ti-2.example.org i-2\n".into())
    );
    assert_eq!(machine.read(&format!("{STATE}/user-data")), "#!/bin/sh\necho other\n");
    assert!(machine.journal().contains("instance nocloud/i-2\n"));
}

#[test]
fn the_identity_of_a_seed_is_what_its_author_wrote() {
    for (name, id) in [("blanks", "web server (1)"), ("at", "web@1+a#b"), ("umlaut", "b\u{fc}ro"), ("brace", "\"{x}\"")]
    {
        let machine = Machine::seeded(&format!("id-{name}"), id);
        machine.boot();
        let bound = format!("nocloud/{}", id.trim_matches('"'));
        assert_eq!(text(&machine.status(), "instance"), bound, "{}", machine.journal());
        assert!(machine.boot().iter().all(|outcome| outcome.marks().is_empty()), "{name}: it is the same instance");
    }
}

#[test]
fn a_seed_that_is_gone_leaves_the_instance_as_it_was() {
    let machine = Machine::seeded("gone", "i-1");
    machine.boot();
    fs::remove_dir_all(machine.join(STATE).join("seed")).unwrap();
    let before = machine.picture();
    machine.boot();
    assert_eq!(machine.picture(), before);
    // The same disk in a machine of which no one but the firmware says which it is.
    machine.firmware("4c4c4544-0002");
    let outcomes = machine.boot();
    assert!(outcomes[0].err.contains("is now in machine/4c4c4544-0002"), "{outcomes:?}");
}

#[test]
fn without_a_cloud_the_machine_is_known_by_its_firmware() {
    let machine = Machine::bare("bare");
    let outcomes = machine.boot();
    assert!(outcomes[2].marks().contains(&"-- set_hostname: skipped"), "{outcomes:?}");
    assert!(machine.journal().contains("instance machine/4c4c4544-0001\n"));
    assert_eq!(machine.wisp(&["bootstrap", "status"]).out, "complete\n");
    machine.firmware("4c4c4544-0002");
    assert!(machine.boot()[0].marks().contains(&"++ expand_root: done"));
}

#[test]
fn a_serial_number_that_names_a_seed_is_not_public() {
    let machine = Machine::bare("serial");
    machine.write("seeds/meta-data", "hostname: web\n");
    machine.write("sys/class/dmi/id/product_serial", "ds=nocloud;s=/seeds/;k=http://10.0.0.1/?secret\n");
    machine.boot();
    assert!(machine.journal().contains("instance machine/4c4c4544-0001\n"));
    let mut files = ["boot", "early", "main", "final"].map(|phase| format!("run/wisp/{phase}.json")).to_vec();
    files.extend(["run/wisp/instance".into(), format!("{STATE}/.bootstrap-complete")]);
    for file in files {
        assert!(!machine.read(&file).contains("secret"), "{file}");
    }
}

#[test]
fn an_identity_without_end_is_not_taken_down() {
    let machine = Machine::seeded("endless", &"i".repeat(5000));
    for phase in PHASES {
        machine.wisp(&[phase]);
    }
    assert!(!machine.journal().contains("iiii"));
    machine.seed("i-1", "");
    machine.boot();
    assert!(machine.journal().contains("instance nocloud/i-1\n"));
}

/// A service that answers with these files, unless it is down, until it is dropped; then its port is closed.
struct Service {
    port: u16,
    stop: Arc<AtomicBool>,
    is_down: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Service {
    fn start(instance: &'static str) -> Self {
        Self::with(instance, "#!/bin/sh\n")
    }

    fn with(instance: &'static str, userdata: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, is_down) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (ended, down) = (stop.clone(), is_down.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let mut stream = stream.unwrap();
                let mut request = [0; 4096];
                let Ok(count) = stream.read(&mut request) else { continue };
                let line = String::from_utf8_lossy(&request[..count]).into_owned();
                let body = match line.split(' ').nth(1) {
                    Some(path) if path.ends_with("/meta-data") => format!(
                        "instance-id: {instance}\nhostname: far\npublic-keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE3VyMJz2n0hTxP8xYxMq9zKq9n0x0Yk5H4T1mE8w2Aq]\n"
                    ),
                    Some(path) if path.ends_with("/user-data") => userdata.to_owned(),
                    _ => String::new(),
                };
                let (status, body) = match body.is_empty() {
                    _ if down.load(Ordering::SeqCst) => ("503 Service Unavailable", String::new()),
                    true => ("404 Not Found", body),
                    false => ("200 OK", body),
                };
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        Self { port, stop, is_down, thread: Some(thread) }
    }

    fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    /// Has `machine` look for its seed here.
    fn serve(&self, machine: &Machine) {
        let line = format!("ds=nocloud;s=http://127.0.0.1:{}/ wisp.metadata_deadline=1\n", self.port);
        machine.write("proc/cmdline", &line);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = std::net::TcpStream::connect(("127.0.0.1", self.port));
        self.thread.take().unwrap().join().unwrap();
    }
}

#[test]
fn a_service_that_does_not_answer_is_no_new_instance() {
    let machine = Machine::bare("silent");
    let service = Service::start("i-far");
    service.serve(&machine);
    machine.boot();
    assert!(machine.journal().contains("instance nocloud/i-far\n"));
    drop(service);
    let before = machine.picture();
    for (phase, outcome) in PHASES.iter().zip(machine.boot()) {
        assert!(outcome.marks().is_empty(), "{phase}: {outcome:?}");
    }
    assert_eq!(machine.picture(), before);
}

#[test]
fn a_first_boot_without_an_answer_is_finished_by_the_next_one() {
    let machine = Machine::bare("late");
    let service = Service::start("i-far");
    service.serve(&machine);
    drop(service);
    let codes: Vec<_> = PHASES.iter().map(|phase| machine.wisp(&[phase]).code).collect();
    assert_eq!(codes, [0, 1, 1, 1].map(Some), "what needs no answer works, and nothing is taken for complete");
    assert_eq!(text(&machine.status(), "status"), "error");
    assert!(machine.journal().contains("create_default_user done\n"), "{}", machine.journal());
    assert!(!machine.has("etc/hostname") && !machine.has(&format!("{STATE}/.bootstrap-complete")));

    // The port is this machine's own to give again; a seed in a folder says the same.
    machine.write("proc/cmdline", "quiet\n");
    machine.seed("i-far", "#!/bin/sh\n");
    let outcomes = machine.boot();
    assert!(outcomes[2].marks().contains(&"++ set_hostname: done"), "{outcomes:?}");
    assert!(outcomes[2].marks().contains(&"-- set_host_keys: done before"), "{outcomes:?}");
}

#[test]
fn a_cloud_that_is_none_is_no_reason_to_call_it_complete() {
    let machine = Machine::bare("lost");
    machine.write("etc/wisp.conf", "CLOUD=clowd\n");
    let outcomes: Vec<_> = PHASES.iter().map(|phase| machine.wisp(&[phase])).collect();
    assert_eq!(outcomes.iter().map(|outcome| outcome.code.unwrap()).collect::<Vec<_>>(), [0, 1, 1, 1]);
    assert!(
        outcomes[2].err.contains("clowd") && outcomes[2].marks().contains(&"++ create_default_user: done"),
        "{outcomes:?}"
    );
    machine.write("etc/wisp.conf", "");
    machine.boot();
    assert_eq!(machine.wisp(&["bootstrap", "status"]).out, "complete\n");
}

#[test]
fn the_users_own_work_is_not_done_a_second_time_after_a_power_cut() {
    let machine = Machine::seeded("cut", "i-1");
    for phase in &PHASES[..3] {
        assert_eq!(machine.wisp(&[phase]).code, Some(0));
    }
    let journal = machine.journal();
    machine.write(&format!("{STATE}/journal"), &format!("{journal}run_userdata started\n"));
    let outcome = machine.wisp(&["final"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.err.contains("cut off in an earlier boot and is not run a second time"), "{outcome:?}");
    assert!(outcome.marks().contains(&"++ bootstrap_complete: done"), "nothing is left that another boot could do");
    let status = machine.wisp(&["status", "--strict"]);
    assert_eq!(status.code, Some(2), "{status:?}");
    assert_eq!(machine.wisp(&["status"]).code, Some(0));
    machine.boot();
}

/// Power may go at any byte of the record: what stood in front of it counts, and the rest of the boot is done.
#[test]
fn a_record_that_was_cut_off_anywhere_is_gone_on_with() {
    let machine = Machine::seeded("torn", "i-1");
    machine.boot();
    let journal = machine.journal();
    let header = journal.find("expand_root").unwrap();
    let is_edge = |length: &usize| journal[..*length].ends_with('\n') || journal[*length..].starts_with(['\n', ' ']);
    for length in (header..=journal.len()).filter(is_edge) {
        machine.write(&format!("{STATE}/journal"), &journal[..length]);
        fs::remove_file(machine.join(STATE).join(".bootstrap-complete")).ok();
        fs::remove_dir_all(machine.join("run")).ok();
        let codes: Vec<_> = PHASES.iter().map(|phase| machine.wisp(&[phase]).code.unwrap()).collect();
        let is_cut = journal[..length].ends_with("run_userdata started\n")
            || journal[..length].contains("run_userdata started\n")
                && !journal[..length].contains("run_userdata done\n");
        assert_eq!(codes, [0, 0, 0, i32::from(is_cut)], "after {length} bytes");
        assert_eq!(machine.wisp(&["bootstrap", "status"]).out, "complete\n", "after {length} bytes");
    }
}

#[test]
fn actions_are_skipped_replaced_and_unknown_as_the_configuration_says() {
    let machine = Machine::seeded("lists", "i-1");
    machine.write(
        "etc/wisp.conf",
        "SKIP_INIT_ACTIONS='set_hostname bootstrap_complete'\nINIT_ACTIONS_BOOT=\nINIT_ACTIONS_MAIN='set_hostname magic'\n",
    );
    let outcomes = machine.boot();
    assert!(outcomes[0].marks().is_empty(), "{outcomes:?}");
    assert_eq!(outcomes[2].marks(), ["-- set_hostname: skipped", "++ magic: unknown"]);
    assert!(outcomes[3].marks().ends_with(&["++ bootstrap_complete: done"]), "the end of it cannot be skipped");
}

#[test]
fn the_owner_switches_it_off_and_says_what_is_complete() {
    let machine = Machine::seeded("owner", "i-1");
    for switch in ["etc/wisp.disabled", "etc/tiny-cloud.disabled"] {
        machine.write(switch, "");
        let before = machine.picture();
        assert!(machine.boot().iter().all(|outcome| outcome.err.contains("disabled") && outcome.marks().is_empty()));
        assert_eq!(text(&machine.status(), "status"), "disabled");
        assert_eq!(machine.picture(), before);
        fs::remove_file(machine.join(switch)).unwrap();
    }
    assert_eq!(machine.wisp(&["bootstrap", "complete"]).code, Some(0));
    assert!(machine.boot().iter().all(|outcome| outcome.marks().is_empty()), "completed by hand");
    assert!(machine.journal().contains("instance nocloud/i-1\n"), "and bound to the instance it was seen in");
    assert_eq!(machine.wisp(&["bootstrap", "incomplete"]).code, Some(0));
    assert!(!machine.has(&format!("{STATE}/user-data")));
    let outcomes = machine.boot();
    assert!(outcomes[2].marks().contains(&"++ set_hostname: done"), "{outcomes:?}");
    assert!(
        outcomes[2].marks().contains(&"-- set_host_keys: done before"),
        "the same machine is known by the same keys"
    );
    for words in [&["bootstrap"][..], &["bootstrap", "later"], &["bootstrap", "complete", "x"], &["boot", "x"]] {
        assert_eq!(machine.wisp(words).code, Some(2), "{words:?}");
    }
}

#[test]
fn a_disk_that_tiny_cloud_has_set_up_is_taken_over_as_it_is() {
    let machine = Machine::seeded("adopted", "i-1");
    machine.write(&format!("{STATE}/.bootstrap-complete"), "");
    let before = machine.picture();
    assert!(machine.boot().iter().all(|outcome| outcome.marks().is_empty()));
    let after = machine.picture();
    assert_eq!(after.len(), before.len() + 1, "only the record is new");
    machine.seed("i-2", "");
    assert!(machine.boot()[2].marks().contains(&"++ set_hostname: done"), "a clone of it is a first boot");
}

#[test]
fn a_phase_that_was_killed_is_not_running_for_ever() {
    let machine = Machine::seeded("killed", "i-1");
    assert_eq!(text(&machine.status(), "status"), "not started");
    machine.wisp(&["boot"]);
    assert_eq!(text(&machine.status(), "status"), "running", "the other phases have yet to come");
    machine.write("run/wisp/early.json", r#"{"phase":"early","state":"running","pid":4194305,"actions":[]}"#);
    assert_eq!(text(&machine.status(), "status"), "error");
    assert_eq!(machine.wisp(&["status", "--wait"]).code, Some(1), "nobody waits for it");
    let late = machine.wisp(&["boot"]);
    assert_eq!(late.code, Some(0), "{late:?}");
    fs::remove_file(machine.join("run/wisp/early.json")).unwrap();
    assert_eq!(machine.wisp(&["status", "--wait=0"]).code, Some(8));
}

#[test]
fn invalid_records_and_texts_are_reported() {
    let machine = Machine::seeded("corrupt", "i-1");
    machine.write(&format!("{STATE}/journal"), "something else\n");
    let outcome = machine.wisp(&["early"]);
    assert!(outcome.code == Some(5) && outcome.err.contains("read the journal"), "{outcome:?}");
    machine.write(&format!("{STATE}/journal"), "wisp journal 1\nmachine \n");
    fs::write(machine.join("etc/hosts"), b"# M\xfcller\n").unwrap();
    machine.wisp(&["early"]);
    let outcome = machine.wisp(&["main"]);
    assert!(outcome.code == Some(0) && outcome.marks().contains(&"++ set_ssh_keys: done"), "{outcome:?}");
    let hosts = fs::read(machine.join("etc/hosts")).unwrap();
    assert_eq!(hosts, b"# M\xfcller\n127.0.1.1\ti-1.example.org i-1\n", "bytes that are not UTF-8 stay");
}

#[test]
fn the_files_of_the_name_are_changed_as_they_are_found_and_one_does_not_disable_the_other() {
    use std::os::unix::fs::symlink;
    let machine = Machine::seeded("found", "i-1");
    machine.write("etc/passwd", "root:x:0:0::/root:/bin/sh\n");
    machine.write("data/hosts", "127.0.0.1 localhost\n127.0.1.1 old mail.local\n");
    machine.write("data/hostname", "old\n");
    symlink("/data/hosts", machine.join("etc/hosts")).unwrap();
    symlink("../data/hostname", machine.join("etc/hostname")).unwrap();
    machine.boot();
    assert_eq!(machine.read("data/hostname"), "i-1\n");
    assert_eq!(machine.read("data/hosts"), "127.0.0.1 localhost\n127.0.1.1\ti-1.example.org i-1 mail.local\n");
    assert!(machine.join("etc/hosts").is_symlink() && machine.join("etc/hostname").is_symlink());

    for (broken, other) in [("etc/hosts", "etc/hostname"), ("etc/hostname", "etc/hosts")] {
        let machine = Machine::seeded("half-found", "i-1");
        fs::create_dir_all(machine.join(broken)).unwrap();
        let outcomes = machine.try_boot();
        assert_eq!(codes(&outcomes), [0, 0, 1, 1], "{outcomes:?}");
        assert!(outcomes[2].err.contains(&format!("{broken}: not a regular file")), "{outcomes:?}");
        assert!(machine.read(other).contains("i-1\n"), "{other} is written all the same");
        fs::remove_dir(machine.join(broken)).unwrap();
        machine.boot();
        assert!(machine.read(broken).contains("i-1\n"));
    }
}

#[test]
fn a_name_is_what_systemd_makes_of_it_where_systemd_is() {
    for (is_systemd, name, hostname, hosts) in [
        (true, "web_1.example.org", "web1\n", "127.0.1.1\tweb1.example.org web1\n"),
        (false, "web_1.example.org", "web_1\n", "127.0.1.1\tweb_1.example.org web_1\n"),
        (true, "web-", "web\n", "127.0.1.1\tweb\n"),
        (false, "web-", "web\n", "127.0.1.1\tweb\n"),
    ] {
        let machine = Machine::seeded("systemd", "i-1");
        if is_systemd {
            machine.write("usr/lib/systemd/systemd", "");
        }
        machine.write(&format!("{STATE}/seed/nocloud/meta-data"), &format!("instance-id: i-1\nhostname: {name}\n"));
        let main = &machine.boot()[2];
        assert_eq!(
            (machine.read("etc/hostname"), machine.read("etc/hosts")),
            (hostname.into(), hosts.into()),
            "{name}"
        );
        let is_changed = !hosts.contains(name);
        assert_eq!(
            main.err.contains(&format!("the cloud gives the name {name}, which becomes")),
            is_changed,
            "{main:?}"
        );
    }
}

#[test]
fn a_machine_without_a_cloud_and_without_keys_says_so() {
    let machine = Machine::bare("keyless");
    let outcomes = machine.boot();
    let skipped = outcomes[2].err.lines().any(|line| line.contains("no cloud was found: this machine shows no mark"));
    assert!(skipped && outcomes[2].marks().contains(&"-- set_ssh_keys: skipped"), "{outcomes:?}");
    let status = machine.wisp(&["status", "--strict"]);
    assert_eq!(status.code, Some(2), "{status:?}");
    for line in ["status: done (degraded)\n", "warning: no cloud was found: ", "warning: no SSH key was installed"] {
        assert!(status.out.contains(line), "{status:?}");
    }
    assert_eq!(machine.wisp(&["status"]).code, Some(0));

    let machine = Machine::bare("somebody");
    machine.write(
        &format!("{STATE}/seed/nocloud/meta-data"),
        "instance-id: i-1\npublic-keys:\n- ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE3VyMJz2n0hTxP8xYxMq9zKq9n0x0Yk5H4T1mE8w2Aq\n",
    );
    machine.boot();
    let status = machine.wisp(&["status", "--strict"]);
    assert_eq!((status.code, status.out.as_str()), (Some(0), "status: done\ninstance: nocloud/i-1\n"), "{status:?}");
}

#[test]
fn user_data_that_is_kept_and_not_processed_is_a_warning() {
    for (userdata, kind) in [
        ("#cloud-config\nruncmd: []\n", "a #cloud-config"),
        ("#tiny-cloud-config\nx\n", "a #tiny-cloud-config"),
        ("#cloud-confg\n", "a #cloud-confg"),
        ("#pass word\n", "a #pass"),
        ("# hunter2\n", "of an unknown kind"),
        ("hunter2\n", "of an unknown kind"),
    ] {
        let machine = Machine::bare("kept");
        machine.seed("i-1", userdata);
        machine.boot();
        let status = machine.wisp(&["status", "--strict"]);
        assert_eq!(status.code, Some(2), "{status:?}");
        let warning = format!("warning: the user-data is {kind}, which wisp does not process");
        assert!(status.out.contains(&warning) && !status.out.contains("hunter2"), "{status:?}");
    }
}

#[test]
fn a_cloud_that_is_said_to_be_nocloud_and_has_no_seed_is_complete_until_one_comes() {
    let machine = Machine::bare("seedless");
    machine.write("etc/wisp.conf", "CLOUD=nocloud\nCLOUD_USER=ann\n");
    machine.write("etc/network/keep", "");
    let outcomes = machine.boot();
    assert!(outcomes[0].marks().contains(&"++ set_default_interfaces: done"), "{outcomes:?}");
    assert!(outcomes[2].marks().contains(&"-- set_hostname: skipped"), "{outcomes:?}");
    let status = machine.wisp(&["status", "--strict"]);
    assert!(status.code == Some(2) && status.out.contains("warning: no seed was found: "), "{status:?}");
    assert!(machine.boot().iter().all(|outcome| outcome.marks().is_empty()));
    machine.seed("i-1", "#!/bin/sh\n");
    let outcomes = machine.boot();
    assert!(outcomes[2].marks().contains(&"++ set_hostname: done"), "a later seed is a new instance: {outcomes:?}");
}

#[test]
fn words_of_the_kernel_command_line_that_name_no_source_end_in_a_complete_boot() {
    for (name, words, configuration, said) in [
        ("none", "ds=None", "", "no cloud was found"),
        ("none-over-nocloud", "ds=None", "CLOUD=nocloud\n", "no cloud was found"),
        ("unknown", "ds=xyz", "", "no cloud was found"),
        ("unknown-words", "quiet ds=maas;a=b ro", "", "no cloud was found"),
        ("older", "ci.ds=None", "", "no cloud was found"),
        ("alpine", "quiet", "CLOUD=alpine\n", "no seed was found"),
        ("word", "ds=nocloud", "", "no seed was found"),
    ] {
        let machine = Machine::bare(&format!("words-{name}"));
        machine.write("proc/cmdline", &format!("{words}\n"));
        machine.write("etc/wisp.conf", &format!("{configuration}CLOUD_USER=ann\n"));
        let outcomes = machine.boot();
        assert!(outcomes[2].marks().contains(&"++ create_default_user: done"), "{name}: {outcomes:?}");
        assert!(outcomes[2].marks().contains(&"-- set_ssh_keys: skipped"), "{name}: {outcomes:?}");
        assert!(outcomes[2].err.contains(said), "{name}: {outcomes:?}");
        assert_eq!(machine.wisp(&["bootstrap", "status"]).out, "complete\n", "{name}");
        let status = machine.wisp(&["status"]);
        assert!(status.code == Some(0) && status.out.starts_with("status: done"), "{name}: {status:?}");
        assert!(machine.boot().iter().all(|outcome| outcome.marks().is_empty()), "{name}: nothing is left to be done");
    }
    // The firmware's mark counts where the word names nothing that is known, and the word is reported.
    let machine = Machine::seeded("words-seed", "i-1");
    machine.write("proc/cmdline", "ds=xyz\n");
    let outcomes = machine.boot();
    assert!(outcomes[2].marks().contains(&"++ set_hostname: done"), "{outcomes:?}");
    assert!(outcomes[0].err.contains("xyz"), "{outcomes:?}");
}

#[test]
fn what_does_not_exist_here_is_nothing_to_do() {
    let machine = Machine::seeded("hotplugs", "i-1");
    machine.write("etc/wisp.conf", "HOTPLUG_MODULES='magic vnic_eth_hotplug nvme_ebs_links'\n");
    let outcomes = machine.boot();
    for line in [">> magic: unknown, and left out", ">> vnic_eth_hotplug: left out, since there is no /etc/mdev.conf"] {
        assert!(outcomes[0].err.contains(line), "{outcomes:?}");
    }
    let machine = Machine::seeded("hotplug-folder", "i-1");
    machine.write("etc/wisp.conf", "HOTPLUG_MODULES=vnic_eth_hotplug\n");
    machine.write("etc/mdev.conf", "null root:root 0666\n");
    machine.write("usr/bin/wisp", "");
    let outcomes = machine.boot();
    assert!(outcomes[0].err.contains("there is no /etc/network/interfaces.d"), "{outcomes:?}");
    assert!(machine.read("etc/mdev.conf").contains("wisp hotplug"));
}

#[test]
fn user_data_that_cannot_be_read_keeps_nothing_else_from_being_done() {
    let machine = Machine::seeded("unreadable", "i-1");
    machine.wisp(&["boot"]);
    fs::create_dir_all(machine.join(STATE).join("user-data")).unwrap();
    let main = machine.wisp(&["main"]);
    for mark in
        ["++ user-data: failed", "++ create_default_user: done", "++ set_hostname: done", "++ set_ssh_keys: done"]
    {
        assert!(main.marks().contains(&mark), "{main:?}");
    }
}

#[test]
fn a_dry_run_says_what_would_be_done_and_changes_nothing() {
    let machine = Machine::bare("dry");
    machine.seed("i-1", "#alpine-config\nuser: bob\nruncmd: [secret-word]\n");
    machine.write("etc/wisp.conf", "SKIP_INIT_ACTIONS=set_hostname\n");
    let dry = |phase: &str| {
        let before = machine.picture();
        let outcome = machine.wisp(&[phase, "--dry-run"]);
        assert_eq!((outcome.code, machine.picture()), (Some(0), before), "{outcome:?}");
        assert!(!machine.has("run") || phase == "final", "{phase}");
        assert!(!outcome.out.contains("secret-word") && !outcome.err.contains("secret-word"), "{outcome:?}");
        outcome.out
    };
    for (phase, line) in [
        ("boot", "++ enable_sshd: have the SSH server start at boot"),
        ("early", "++ save_userdata: fetch the user-data"),
        ("main", "main: what would be done in nocloud/i-1"),
        ("main", "++ userdata_user: read the name of the user"),
        ("main", "-- set_hostname: skipped, since SKIP_INIT_ACTIONS names it"),
        ("final", "++ userdata_runcmd: run the commands of runcmd"),
    ] {
        let out = dry(phase);
        assert!(out.contains(line), "{out}");
    }
    for phase in &PHASES[..3] {
        machine.wisp(&[phase]);
    }
    let out = machine.wisp(&["main", "--dry-run"]).out;
    assert!(out.contains("-- set_ssh_keys: done before") && !out.contains("++ set_host_keys"), "{out}");
    machine.wisp(&["final"]);
    assert!(dry("final").contains("the bootstrap of nocloud/i-1 is complete, so nothing would be done"));

    let machine = Machine::bare("dry-far");
    machine.write("proc/cmdline", "ds=nocloud;s=http://127.0.0.1:9/\n");
    let out = machine.wisp(&["main", "--dry-run"]).out;
    assert!(out.contains("a dry run asks no service") && out.contains("++ set_ssh_keys: "), "{out}");
    let machine = Machine::bare("dry-bare");
    let out = machine.wisp(&["main", "--dry-run"]).out;
    assert!(out.contains("-- set_ssh_keys: skipped, since no cloud was found: "), "{out}");
}

#[test]
fn bootstrap_complete_makes_the_folder_of_the_state() {
    let machine = Machine::bare("no-state");
    let outcome = machine.wisp(&["bootstrap", "complete"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(machine.wisp(&["bootstrap", "status"]).out, "complete\n");
}

#[test]
fn before_the_first_boot_the_status_says_whether_there_will_be_one() {
    let machine = Machine::seeded("enabled", "i-1");
    assert!(machine.wisp(&["status"]).out.starts_with("status: not started (not enabled)\n"));
    machine.write("sbin/openrc-run", "");
    for name in ["boot", "early", "main", "final"] {
        machine.write(&format!("etc/init.d/wisp-{name}"), &format!("start() {{ /usr/bin/wisp {name}; }}\n"));
    }
    machine.write("usr/bin/wisp", "");
    assert_eq!(machine.wisp(&["enable"]).code, Some(0));
    assert!(machine.wisp(&["status"]).out.starts_with("status: not started (enabled, runs at next boot)\n"));
    assert_eq!(text(&machine.status(), "status"), "not started");
    assert_eq!(machine.wisp(&["disable"]).code, Some(0));
    assert!(machine.wisp(&["status"]).out.starts_with("status: not started (not enabled)\n"));
}

const AZURE: &str = "7783-7084-3265-9085-8269-3286-77\n";

#[test]
fn an_identity_that_firmware_spells_otherwise_is_the_same() {
    let machine = Machine::bare("spelling");
    machine.write("sys/class/dmi/id/chassis_asset_tag", AZURE);
    machine.firmware("45e12aec-dcd1-b213-94ed-01234567890a");
    assert_eq!(machine.wisp(&["boot"]).code, Some(0));
    assert!(machine.journal().contains("instance azure/45e12aec-dcd1-b213-94ed-01234567890a\n"), "nobody was asked");
    assert_eq!(machine.wisp(&["bootstrap", "complete"]).code, Some(0));
    let before = machine.picture();
    for uuid in ["EC2AE145-D1DC-13B2-94ED-01234567890A", "45E12AEC-DCD1-B213-94ED-01234567890A"] {
        machine.firmware(uuid);
        assert!(machine.boot().iter().all(|outcome| outcome.marks().is_empty()), "{uuid}");
    }
    assert_eq!(machine.picture(), before);
    machine.firmware("45e12aec-dcd1-b213-94ed-01234567890b");
    assert!(machine.wisp(&["boot"]).err.contains("is now in azure/45e12aec-dcd1-b213-94ed-01234567890b"));
}

#[test]
fn an_instance_that_moves_to_another_machine_is_reported_and_recorded() {
    let machine = Machine::seeded("moved", "i-1");
    machine.boot();
    machine.firmware("4c4c4544-0002");
    let outcomes = machine.boot();
    assert!(outcomes[0].err.contains("nocloud/i-1 as before, and the firmware is another one's"), "{outcomes:?}");
    assert!(outcomes.iter().all(|outcome| outcome.marks().is_empty()), "{outcomes:?}");
    assert!(machine.boot().iter().all(|outcome| !outcome.err.contains("as before")), "told once");
    // What named it is gone, and it is where it was when it was named.
    fs::remove_dir_all(machine.join(STATE).join("seed")).unwrap();
    assert!(machine.boot().iter().all(|outcome| outcome.marks().is_empty()));
}

#[test]
fn a_seed_without_a_name_is_known_by_the_machine_and_not_by_its_own_place() {
    let machine = Machine::bare("nameless");
    machine.write("sys/class/dmi/id/product_serial", "ds=nocloud;h=web;password=hunter2\n");
    machine.boot();
    assert_eq!(machine.read("etc/hostname"), "web\n");
    assert!(machine.journal().contains("instance machine/4c4c4544-0001\n"));
    machine.write("sys/class/dmi/id/product_serial", "ds=nocloud;h=db\n");
    assert!(machine.boot().iter().all(|outcome| outcome.marks().is_empty()), "what it is told is not who it is");

    // Where the firmware tells nothing else, a copy of the disk is not told from the disk: its keys are not kept.
    machine.remove("sys/class/dmi/id/product_uuid");
    machine.wisp(&["bootstrap", "incomplete"]);
    fs::remove_file(machine.join(STATE).join("journal")).unwrap();
    machine.boot();
    assert_eq!(machine.read(&format!("{STATE}/.bootstrap-complete")), "machine/\n");
    machine.wisp(&["bootstrap", "incomplete"]);
    assert!(machine.boot()[2].marks().contains(&"++ set_host_keys: done"));
}

#[test]
fn what_early_asked_in_vain_is_asked_again_before_anything_is_decided_by_it() {
    let machine = Machine::bare("up");
    let service = Service::with("i-far", "#alpine-config\nuser: bob\n");
    service.serve(&machine);
    service.set_down(true);
    assert_eq!(["boot", "early"].map(|phase| machine.wisp(&[phase]).code), [Some(0), Some(1)]);
    assert!(machine.has("run/wisp/unanswered") && !machine.has("run/wisp/instance"), "nothing was learned");
    service.set_down(false);
    let main = machine.wisp(&["main"]);
    assert_eq!((main.code, main.marks()[1]), (Some(0), "++ save_userdata: done"), "{main:?}");
    assert!(main.err.contains("made bob") && !machine.read("etc/passwd").contains("ann"), "{main:?}");
    let last = machine.wisp(&["final"]);
    assert_eq!((last.code, last.marks()[0]), (Some(0), "++ userdata_runcmd: starting"), "{last:?}");
    assert_eq!(machine.wisp(&["bootstrap", "status"]).out, "complete\n");
}

#[test]
fn what_main_asked_in_vain_is_asked_again_at_the_end() {
    let machine = Machine::bare("end");
    let service = Service::start("i-far");
    service.serve(&machine);
    service.set_down(true);
    assert_eq!(PHASES[..3].iter().map(|phase| machine.wisp(&[phase]).code.unwrap()).collect::<Vec<_>>(), [0, 1, 1]);
    service.set_down(false);
    let last = machine.wisp(&["final"]);
    assert_eq!(last.code, Some(0), "{last:?}");
    for mark in
        ["++ save_userdata: done", "++ set_ssh_keys: done", "-- set_host_keys: done before", "++ run_userdata: done"]
    {
        assert!(last.marks().contains(&mark), "{last:?}");
    }
    assert_eq!((text(&machine.status(), "status"), machine.read("etc/hostname")), ("done", "far\n".into()));
    let status = machine.wisp(&["status", "--strict"]);
    assert_eq!(
        (status.code, status.out.as_str()),
        (Some(0), "status: done\ninstance: nocloud/i-far\n"),
        "what failed is done"
    );
}

#[test]
fn an_error_of_several_phases_is_in_the_status_once() {
    let machine = Machine::seeded("once", "i-1");
    let userdata = machine.join(STATE).join("seed/nocloud/user-data");
    fs::remove_file(&userdata).unwrap();
    fs::create_dir(&userdata).unwrap();
    let codes = PHASES.map(|phase| machine.wisp(&[phase]).code.unwrap());
    assert_eq!((codes, machine.read("etc/hostname")), ([0, 1, 1, 1], "i-1\n".into()), "the name does not depend on it");
    let status = machine.wisp(&["status"]);
    assert_eq!(status.code, Some(1), "{status:?}");
    let errors: Vec<&str> = status.out.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
    let actions: Vec<&str> = errors.iter().map(|error| error.split(':').next().unwrap()).collect();
    // Keys may be in the user-data, and the meta-data has none.
    assert_eq!(actions, ["save_userdata", "set_ssh_keys", "bootstrap_complete"], "{status:?}");
}

#[test]
fn user_data_that_comes_a_boot_later_names_its_user_all_the_same() {
    let machine = Machine::bare("later");
    let service = Service::with(
        "i-far",
        "#alpine-config\nuser: bob\nssh_authorized_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE3VyMJz2n0hTxP8xYxMq9zKq9n0x0Yk5H4T1mE8w2Aq]\n",
    );
    service.serve(&machine);
    service.set_down(true);
    assert_eq!(codes(&machine.try_boot()), [0, 1, 1, 1]);
    service.set_down(false);
    machine.boot();
    assert!(machine.read("etc/passwd").contains("\nbob:"));
    assert_eq!(machine.wisp(&["bootstrap", "status"]).out, "complete\n");
}

#[test]
fn a_clone_that_could_not_be_seen_by_early_is_seen_by_main() {
    let machine = Machine::bare("unseen");
    let service = Service::start("i-1");
    service.serve(&machine);
    machine.boot();
    drop(service);
    let service = Service::start("i-2");
    service.serve(&machine);
    service.set_down(true);
    fs::remove_dir_all(machine.join("run")).unwrap();
    for phase in ["boot", "early"] {
        let outcome = machine.wisp(&[phase]);
        assert!(outcome.code == Some(0) && outcome.marks().is_empty(), "{outcome:?}");
    }
    service.set_down(false);
    let main = machine.wisp(&["main"]);
    assert!(main.err.contains("this disk was in nocloud/i-1 and is now in nocloud/i-2"), "{main:?}");
    for mark in ["++ expand_root: done", "++ save_userdata: done", "++ set_host_keys: done"] {
        assert!(main.marks().contains(&mark), "{main:?}");
    }
    assert_eq!(machine.wisp(&["final"]).code, Some(0));
}

/// Who logs in waits for the phases, and for a silent service only once: in `early`, which has a network.
#[test]
fn a_silent_service_is_waited_for_once() {
    let service = Service::start("i-far");
    let place = format!("http://127.0.0.1:{}/", service.port);
    drop(service);
    let behind = Machine::bare("behind");
    behind.write("proc/cmdline", &format!("ds=nocloud;s={place} wisp.metadata_deadline=600\n"));
    behind.write("run/wisp/unanswered", "");
    let before = Machine::bare("before");
    before.write("proc/cmdline", "wisp.metadata_deadline=600\n");
    before.write("etc/network/interfaces", "auto lo\n");
    before.write(&format!("{STATE}/seed/nocloud/meta-data"), &format!("seedfrom: {place}\n"));
    let over = Machine::bare("over");
    over.write("proc/cmdline", &format!("ds=nocloud;s={place} wisp.metadata_deadline=600\n"));
    over.write("run/wisp/unanswered", "");
    over.write(&format!("{STATE}/.bootstrap-complete"), "");
    for (phase, code) in [(behind.start(&["main"]), 1), (before.start(&["boot"]), 1), (over.start(&["final"]), 0)] {
        let output = phase.wait_with_output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        let waited = told.split(", after ").nth(1).unwrap_or_else(|| panic!("{told}")).split(' ').next().unwrap();
        assert!(output.status.code() == Some(code) && waited.parse::<u32>().unwrap() <= 5, "{told}");
    }
}

#[test]
fn main_by_hand_in_front_of_early_does_what_early_does() {
    let machine = Machine::bare("hand");
    machine.seed("i-1", "#alpine-config\nuser: bob\n");
    for phase in ["boot", "main", "early", "main", "final"] {
        assert_eq!(machine.wisp(&[phase]).code, Some(0), "{phase}");
    }
    let names = machine.read("etc/passwd");
    assert!(names.contains("\nbob:") && !names.contains("\nann:"), "{names}");
    assert_eq!(machine.wisp(&["bootstrap", "status"]).out, "complete\n");
}

#[test]
fn a_phase_waits_for_another_one() {
    let machine = Machine::seeded("busy", "i-1");
    fs::create_dir_all(machine.join("run/wisp")).unwrap();
    let path = machine.join("run/wisp/lock");
    let lock = Lock::take(path.to_str().unwrap()).unwrap().unwrap();
    let mut boot = machine.start(&["boot"]);
    let mut lines = BufReader::new(boot.stderr.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "another phase still runs: waiting for its end");
    assert!(!machine.has(&format!("{STATE}/journal")), "nothing is done meanwhile");
    drop(lock);
    assert!(lines.any(|line| line.unwrap().contains("++ expand_root: done")));
    assert!(boot.wait().unwrap().success());
}

#[test]
fn without_a_place_for_facts_everything_is_done() {
    let machine = Machine::seeded("no-run", "i-1");
    machine.write("run", "");
    machine.write("var/log", "");
    let outcomes = PHASES.map(|phase| machine.wisp(&[phase]));
    assert_eq!(codes(&outcomes), [0; 4], "{outcomes:?}");
    assert!(outcomes[2].err.contains("run/wisp/main.json"), "it is told: {outcomes:?}");
    assert_eq!(machine.wisp(&["bootstrap", "status"]).out, "complete\n");
}

#[test]
fn without_a_record_people_can_log_in_and_no_script_runs() {
    let machine = Machine::seeded("no-record", "i-1");
    // Nothing can be put in the place of the record.
    let obstacle = machine.join(STATE).join("journal.wisp");
    fs::create_dir_all(&obstacle).unwrap();
    let outcomes = machine.try_boot();
    assert_eq!(codes(&outcomes), [1; 4], "{outcomes:?}");
    assert!(outcomes[2].marks().contains(&"++ create_default_user: done"), "{outcomes:?}");
    assert!(outcomes[2].marks().contains(&"++ set_ssh_keys: done"), "{outcomes:?}");
    assert!(outcomes[3].marks().contains(&"++ run_userdata: failed"), "{outcomes:?}");
    let status = machine.wisp(&["status"]);
    assert!(status.code == Some(1) && status.out.contains("error: journal: "), "{status:?}");
    assert!(outcomes[3].marks().contains(&"++ bootstrap_complete: failed"), "{outcomes:?}");
    fs::remove_dir(obstacle).unwrap();
    assert!(machine.boot()[3].marks().contains(&"++ run_userdata: done"));
}

#[test]
fn a_disk_that_cannot_keep_the_user_data_is_no_silent_cloud() {
    let machine = Machine::seeded("full", "i-1");
    let obstacle = machine.join(STATE).join("user-data.wisp");
    fs::create_dir_all(&obstacle).unwrap();
    let outcomes = machine.try_boot();
    assert_eq!(codes(&outcomes), [0, 1, 1, 1], "{outcomes:?}");
    for mark in ["++ save_userdata: failed", "++ set_hostname: done", "++ set_ssh_keys: done"] {
        assert!(outcomes[2].marks().contains(&mark), "{outcomes:?}");
    }
    fs::remove_dir(obstacle).unwrap();
    assert!(machine.boot()[3].marks().contains(&"++ run_userdata: done"));
}

#[test]
fn an_invalid_record_is_an_error_that_can_be_repaired() {
    let machine = Machine::seeded("broken", "i-1");
    machine.write(&format!("{STATE}/journal"), "wisp journal 2\n");
    assert_eq!(codes(&machine.try_boot()), [5; 4]);
    let status = machine.wisp(&["status", "--wait"]);
    assert_eq!(status.code, Some(1));
    assert!(status.out.contains("error: main: read the journal") && status.out.contains("bootstrap incomplete"));
    assert_eq!(machine.wisp(&["bootstrap", "incomplete"]).code, Some(0));
    machine.boot();
    assert_eq!(text(&machine.status(), "status"), "done");
}

#[test]
fn of_a_record_everything_that_is_sound_counts() {
    let machine = Machine::seeded("sound", "i-1");
    assert_eq!(PHASES[..3].iter().map(|phase| machine.wisp(&[phase]).code.unwrap()).collect::<Vec<_>>(), [0, 0, 0]);
    let path = machine.join(STATE).join("journal");
    let journal = fs::read(&path).unwrap();
    let long = "set_hostname failed\nset_hostname done\n".repeat(1000);
    for (behind, is_kept) in [
        (&b"future_action started\nrun_userdata paused\nseal 1 2 3\nalone\n"[..], true),
        (b"run_userdata star", false),
        (b"set_hostname failed\0\0\0\0", false),
        (b"\xff\xfe\nset_hostname failed\n", false),
        (long.as_bytes(), false),
    ] {
        fs::write(&path, [&journal, behind].concat()).unwrap();
        let last = machine.wisp(&["final"]);
        assert_eq!((last.code, last.marks()[1]), (Some(0), "++ run_userdata: done"), "{last:?}");
        let now = machine.journal();
        assert!(now.ends_with("\nrun_userdata started\nrun_userdata done\n") && now.len() < 1024, "{now}");
        assert!(now.contains("\nset_hostname done\n") && !now.contains("set_hostname failed"), "{now}");
        assert_eq!(now.contains("\nseal 1 2 3\n"), is_kept, "{now}");
        machine.remove(&format!("{STATE}/.bootstrap-complete"));
    }
}

/// Power goes between any two of the steps by which a disk forgets the instance it was in.
#[test]
fn forgetting_an_instance_can_be_cut_off_anywhere() {
    let machine = Machine::seeded("forget", "i-1");
    for cut in 0..5 {
        machine.seed("i-1", "#!/bin/sh\necho first\n");
        machine.boot();
        machine.seed("i-2", "");
        let steps: [&dyn Fn(); 4] = [
            &|| machine.remove(&format!("{STATE}/.bootstrap-complete")),
            &|| machine.remove(&format!("{STATE}/user-data")),
            &|| machine.write(&format!("{STATE}/journal.wisp"), "wisp journal 1\nmach"),
            &|| {
                machine
                    .write(&format!("{STATE}/journal"), "wisp journal 1\nmachine 4c4c4544-0001\ninstance nocloud/i-2\n")
            },
        ];
        steps[..cut].iter().for_each(|step| step());
        let outcomes = machine.boot();
        assert!(outcomes[2].marks().contains(&"++ set_host_keys: done"), "{cut}: {outcomes:?}");
        assert!(outcomes[2].marks().contains(&"++ missing_userdata: done"), "{cut}: nothing of i-1 is left");
        assert_eq!(machine.read(&format!("{STATE}/.bootstrap-complete")), "nocloud/i-2\n");
    }
}

/// The owner has said `incomplete`, and power goes in between; or the disk wakes up in another instance.
#[test]
fn incomplete_keeps_what_this_machine_is_known_by_and_no_other() {
    let machine = Machine::seeded("incomplete", "i-1");
    machine.boot();
    let record = "wisp journal 1\nmachine 4c4c4544-0001\ninstance nocloud/i-1\nset_host_keys done\n";
    assert_eq!(machine.wisp(&["bootstrap", "incomplete"]).code, Some(0));
    assert_eq!(machine.journal(), record);
    let kept = "-- set_host_keys: done before";
    assert!(machine.boot()[2].marks().contains(&kept));
    machine.write(&format!("{STATE}/journal"), record);
    assert!(machine.boot().iter().all(|outcome| outcome.marks().is_empty()), "cut off: it is complete as it was");
    machine.wisp(&["bootstrap", "incomplete"]);
    machine.seed("i-2", "");
    assert!(machine.boot()[2].marks().contains(&"++ set_host_keys: done"));
}

#[test]
fn a_clone_of_a_disk_that_is_half_done_starts_over() {
    for (name, phases) in [("half", 3), ("third", 1)] {
        let machine = Machine::seeded(name, "i-1");
        PHASES[..phases].iter().for_each(|phase| assert_eq!(machine.wisp(&[phase]).code, Some(0)));
        machine.seed("i-2", "#!/bin/sh\n");
        let outcomes = machine.boot();
        assert!(outcomes[0].marks().contains(&"++ expand_root: done"), "{outcomes:?}");
        assert!(outcomes[2].marks().contains(&"++ set_host_keys: done"), "{outcomes:?}");
    }
    // One that never learned which instance it was in, in another machine and in the same one.
    for (uuid, mark) in
        [("4c4c4544-0002", "++ set_host_keys: done"), ("4c4c4544-0001", "-- set_host_keys: done before")]
    {
        let machine = Machine::bare("pending");
        machine.write("etc/wisp.conf", "CLOUD=clowd\nCLOUD_USER=ann\n");
        assert_eq!(codes(&machine.try_boot()), [0, 1, 1, 1]);
        machine.write("etc/wisp.conf", "CLOUD_USER=ann\n");
        machine.firmware(uuid);
        machine.seed("i-1", "");
        let outcomes = machine.boot();
        assert!(outcomes[2].marks().contains(&mark), "{outcomes:?}");
    }
}

#[test]
fn the_users_own_work_that_failed_is_not_called_done() {
    let machine = Machine::seeded("failed", "i-1");
    PHASES[..3].iter().for_each(|phase| assert_eq!(machine.wisp(&[phase]).code, Some(0)));
    let journal = machine.journal();
    machine.write(&format!("{STATE}/journal"), &format!("{journal}run_userdata started\nrun_userdata failed\n"));
    machine.seed("i-1", "#!/bin/sh\necho mended\n");
    let last = machine.wisp(&["final"]);
    assert_eq!((last.code, last.marks()[0]), (Some(0), "-- run_userdata: failed before"), "{last:?}");
    machine.wisp(&["bootstrap", "incomplete"]);
    assert!(machine.boot()[3].marks().contains(&"++ run_userdata: done"), "the owner has it run again");
    assert_eq!(machine.read(&format!("{STATE}/user-data")), "#!/bin/sh\necho mended\n");
}

#[test]
fn what_a_power_cut_kept_locked_is_let_go_by_the_next_boot() {
    let machine = Machine::seeded("locked", "i-1");
    machine.write("etc/passwd", "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n");
    machine.write("etc/.pwd.wisp", "");
    fs::hard_link(machine.join("etc/.pwd.wisp"), machine.join("etc/passwd.lock")).unwrap();
    machine.boot();
    assert!(machine.journal().contains("create_default_user done"), "{}", machine.journal());
    assert!(!machine.has("etc/passwd.lock") && !machine.has("etc/.pwd.wisp"));
}

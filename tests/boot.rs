//! A root directory in, four phases, a root directory out: what is done once, again, or never a second time.
//!
//! The machines here are in no cloud or have a NoCloud seed, in a folder or at a URL of this machine's own: as an ordinary
//! user, nothing outside the tree is touched or asked.
#![cfg(feature = "full")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use miniserde::json::{self, Value};

/// A machine's files, gone when the test is over.
struct Machine {
    root: PathBuf,
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

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
        let root = std::env::temp_dir().join(format!("wisp-boot-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let machine = Self { root };
        machine.write("etc/wisp.conf", "CLOUD_USER=ann\n");
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

    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    fn wisp(&self, words: &[&str]) -> Outcome {
        let program = std::env::var("WISP_UNDER_TEST").unwrap_or_else(|_| env!("CARGO_BIN_EXE_wisp").to_owned());
        let mut command = Command::new(program);
        command.args(words).arg("--root").arg(&self.root).stdin(Stdio::null()).env_remove("CLOUD");
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Outcome { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// All four phases, each of which must work.
    fn boot(&self) -> Vec<Outcome> {
        fs::remove_dir_all(self.root.join("run")).ok();
        let run = |phase| {
            let outcome = self.wisp(&[phase]);
            assert_eq!(outcome.code, Some(0), "{phase}: {outcome:?}");
            outcome
        };
        PHASES.map(run).into()
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
            let folder = self.root.join(folder);
            if folder.exists() {
                walk(&folder, &mut lines);
            }
        }
        lines.sort();
        lines
    }
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
        let mode = fs::metadata(machine.root.join(STATE).join(secret)).unwrap().permissions().mode();
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
        let is_quiet = |mark: &&str| mark.ends_with(": done before") || mark.contains("set_ephemeral_network");
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
fn a_seed_that_is_gone_leaves_the_instance_as_it_was() {
    let machine = Machine::seeded("gone", "i-1");
    machine.boot();
    fs::remove_dir_all(machine.root.join(STATE).join("seed")).unwrap();
    let before = machine.picture();
    machine.boot();
    assert_eq!(machine.picture(), before);
    // The same disk in a machine of which nobody but the firmware says which it is.
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
fn a_serial_number_that_names_a_seed_is_not_told_to_everybody() {
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

/// A service that answers with these files until it is dropped; then its port is closed.
struct Service {
    port: u16,
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Service {
    fn start(instance: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let seen = stop.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if seen.load(std::sync::atomic::Ordering::SeqCst) {
                    return;
                }
                let mut stream = stream.unwrap();
                let mut request = [0; 4096];
                let Ok(count) = stream.read(&mut request) else { continue };
                let line = String::from_utf8_lossy(&request[..count]).into_owned();
                let body = match line.split(' ').nth(1) {
                    Some(path) if path.ends_with("/meta-data") => format!("instance-id: {instance}\nhostname: far\n"),
                    Some(path) if path.ends_with("/user-data") => "#!/bin/sh\n".to_owned(),
                    _ => String::new(),
                };
                let status = if body.is_empty() { "404 Not Found" } else { "200 OK" };
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        Self { port, stop, thread: Some(thread) }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.store(true, std::sync::atomic::Ordering::SeqCst);
        let _ = std::net::TcpStream::connect(("127.0.0.1", self.port));
        self.thread.take().unwrap().join().unwrap();
    }
}

#[test]
fn a_service_that_does_not_answer_is_no_new_instance() {
    let machine = Machine::bare("silent");
    let service = Service::start("i-far");
    let port = service.port;
    machine.write("proc/cmdline", &format!("ds=nocloud;s=http://127.0.0.1:{port}/ wisp.metadata_deadline=1\n"));
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
    let port = service.port;
    drop(service);
    machine.write("proc/cmdline", &format!("ds=nocloud;s=http://127.0.0.1:{port}/ wisp.metadata_deadline=1\n"));
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
    assert!(outcomes[2].marks().contains(&"-- create_default_user: done before"), "{outcomes:?}");
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
        fs::remove_file(machine.root.join(STATE).join(".bootstrap-complete")).ok();
        fs::remove_dir_all(machine.root.join("run")).ok();
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
        fs::remove_file(machine.root.join(switch)).unwrap();
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
    fs::remove_file(machine.root.join("run/wisp/early.json")).unwrap();
    assert_eq!(machine.wisp(&["status", "--wait=0"]).code, Some(8));
}

#[test]
fn what_is_no_record_and_no_text_is_told() {
    let machine = Machine::seeded("corrupt", "i-1");
    machine.write(&format!("{STATE}/journal"), "something else\n");
    let outcome = machine.wisp(&["early"]);
    assert!(outcome.code == Some(5) && outcome.err.contains("read the journal"), "{outcome:?}");
    machine.write(&format!("{STATE}/journal"), "wisp journal 1\nmachine \n");
    machine.write("etc/hosts", "127.0.0.1 localhost\n");
    fs::write(machine.root.join("etc/hosts"), b"\xff\xfe").unwrap();
    machine.wisp(&["early"]);
    let outcome = machine.wisp(&["main"]);
    assert!(outcome.code == Some(1) && outcome.err.contains("etc/hosts: it is no UTF-8"), "{outcome:?}");
    assert!(outcome.marks().contains(&"++ set_ssh_keys: done"), "the keys are installed all the same: {outcome:?}");
}

//! What the program does with odd answers of a metadata service at its real address: pages of HTML in place of values,
//! a wish to be left alone beyond the deadline, a service without tokens.
//!
//! Client and server are in network namespaces of their own; the client's root is a folder.
#![cfg(feature = "full")]

#[expect(dead_code, reason = "the tests of `link` use all of it")]
#[path = "netif/network.rs"]
mod network;
#[path = "support/root.rs"]
mod root;

use network::{Network, isolated};
use root::Root;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PHASES: [&str; 4] = ["boot", "early", "main", "final"];
const STATE: &str = "var/lib/cloud";
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE3VyMJz2n0hTxP8xYxMq9zKq9n0x0Yk5H4T1mE8w2Aq me";
const USERDATA: &str = "#alpine-config\nuser: ann\n";
const SENTENCE: &str = "upstream request timeout";
const PAGE: &str = "<html><body>Service temporarily unavailable</body></html>";

/// The status line behind the version, more headers, the body.
type Answer = (&'static str, &'static str, &'static str);

const NOTHING: Answer = ("404 Not Found", "", "");

/// What the service answers to a method and a target.
type Voice = fn(&str, &str) -> Answer;

/// A machine, and a service that the test gives one voice after another.
struct Machine {
    root: Root,
    client: Network,
    _server: Network,
    voice: Arc<Mutex<Voice>>,
    heard: Arc<Mutex<Vec<String>>>,
}

fn program() -> String {
    std::env::var("WISP_UNDER_TEST").unwrap_or_else(|_| env!("CARGO_BIN_EXE_wisp").to_owned())
}

/// What one run ended with.
#[derive(Debug)]
struct Outcome {
    code: Option<i32>,
    out: String,
    err: String,
    spent: Duration,
}

impl Machine {
    /// With these files, each `path=text`, and the service at `address`.
    fn new(name: &str, files: &[&str], address: &'static str, voice: Voice) -> Self {
        let root = Root::empty(name);
        for file in files {
            let (path, text) = file.split_once('=').unwrap();
            root.write(path, &format!("{text}\n"));
        }
        // Of the machine that the test runs on nothing may be grown.
        let own = if root.has("etc/wisp.conf") { root.read("etc/wisp.conf") } else { String::new() };
        root.write("etc/wisp.conf", &format!("{own}SKIP_INIT_ACTIONS=expand_root\n"));
        root.write("proc/cmdline", "quiet\n");
        root.write("etc/passwd", "root:x:0:0::/root:/bin/sh\n");
        root.write("etc/group", "root:x:0:\n");
        root.write("etc/shadow", "root:*:19000::::::\n");
        // The program with the libraries that it was linked with.
        let libraries = Command::new("ldd").arg(program()).output().unwrap().stdout;
        let libraries = String::from_utf8(libraries).unwrap();
        let paths = libraries.split_whitespace().filter(|word| word.starts_with('/')).map(|path| (path, path));
        for (from, to) in paths.chain([(program().as_str(), "/wisp")]) {
            let to = root.join(to.trim_start_matches('/'));
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(from, to).unwrap();
        }
        let (client, server) = (Network::new(), Network::new());
        client.connect("eth0", &server, "srv");
        client.ip(&["link set eth0 up"]);
        if address.contains(':') {
            client.ip(&["address add fd09::15/64 dev eth0 nodad", "-6 route add default via fd09::1"]);
            server.ip(&["address add fd09::1/64 dev srv nodad", &format!("address add {address}/128 dev srv nodad")]);
        } else {
            client.ip(&["address add 10.9.0.15/24 dev eth0", "route add default via 10.9.0.1"]);
            server.ip(&["address add 10.9.0.1/24 dev srv"]);
        }
        if !address.contains(':') && address != "10.9.0.1" {
            server.ip(&[&format!("address add {address}/32 dev srv")]);
        }
        let (voice, heard) = (Arc::new(Mutex::new(voice)), Arc::new(Mutex::new(Vec::new())));
        serve(&server, address, voice.clone(), heard.clone());
        Self { root, client, _server: server, voice, heard }
    }

    fn says(&self, voice: Voice) {
        *self.voice.lock().unwrap() = voice;
        self.heard.lock().unwrap().clear();
    }

    /// Runs the program on a root and a host name of its own.
    fn wisp(&self, words: &[&str]) -> Outcome {
        let started = Instant::now();
        let mut command = self.client.command("unshare");
        command.args(["--uts", "chroot"]).arg(&self.root.0).arg("/wisp").args(words).env_remove("CLOUD");
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (out, err) = (text(output.stdout), text(output.stderr));
        Outcome { code: output.status.code(), out, err, spent: started.elapsed() }
    }

    /// The lines of a phase whose standard error is the journal, each with its level in front.
    fn journal(&self, phase: &str) -> (Option<i32>, String) {
        let path = self.root.join("journal");
        let file = fs::File::create(&path).unwrap();
        let facts = file.metadata().unwrap();
        let mut command = self.client.command("unshare");
        command.args(["--uts", "chroot"]).arg(&self.root.0).arg("/wisp").arg(phase).env_remove("CLOUD").stderr(file);
        command.env("JOURNAL_STREAM", format!("{}:{}", facts.dev(), facts.ino()));
        let status = command.status().unwrap();
        (status.code(), self.root.read("journal"))
    }

    fn boot(&self) -> Vec<Outcome> {
        let _ = fs::remove_dir_all(self.root.join("run"));
        PHASES.map(|phase| self.wisp(&[phase])).into()
    }
}

fn serve(server: &Network, address: &'static str, voice: Arc<Mutex<Voice>>, heard: Arc<Mutex<Vec<String>>>) {
    let listener = server.inside(move || TcpListener::bind((address, 80)).unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let count = stream.read(&mut request).unwrap_or(0);
            let text = String::from_utf8_lossy(&request[..count]).into_owned();
            let mut words = text.split(' ');
            let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            heard.lock().unwrap().push(format!("{method} {target}"));
            let voice = *voice.lock().unwrap();
            let (status, headers, body) = voice(method, target);
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
            );
        }
    });
}

fn codes(outcomes: &[Outcome]) -> Vec<i32> {
    outcomes.iter().map(|outcome| outcome.code.unwrap()).collect()
}

/// An instance in the manner of EC2 that gives tokens.
fn ec2(method: &str, target: &str) -> Answer {
    match (method, target) {
        ("PUT", "/latest/api/token") => ("200 OK", "", "AQAEAtoken=="),
        ("GET", "/latest/meta-data/instance-id") => ("200 OK", "", "i-0123456789abcdef0"),
        ("GET", "/latest/meta-data/hostname" | "/latest/meta-data/local-hostname") => ("200 OK", "", "web-1.internal"),
        ("GET", "/latest/meta-data/public-keys" | "/latest/meta-data/public-keys/") => ("200 OK", "", "0=me"),
        ("GET", "/latest/meta-data/public-keys/0/openssh-key") => ("200 OK", "", KEY),
        ("GET", "/latest/user-data") => ("200 OK", "", USERDATA),
        _ => NOTHING,
    }
}

fn without_tokens(method: &str, target: &str) -> Answer {
    if method == "PUT" { NOTHING } else { ec2(method, target) }
}

/// Tokens as always, and a page for whatever else is asked.
fn pages_behind_tokens(method: &str, target: &str) -> Answer {
    if method == "PUT" { ec2(method, target) } else { ("200 OK", "Content-Type: text/html\r\n", PAGE) }
}

/// The same with a sentence, which does not look like anything.
fn sentences_behind_tokens(method: &str, target: &str) -> Answer {
    if method == "PUT" { ec2(method, target) } else { ("200 OK", "Content-Type: text/plain\r\n", SENTENCE) }
}

fn pages(_: &str, _: &str) -> Answer {
    ("200 OK", "Content-Type: text/html\r\n", PAGE)
}

fn exoscale(_: &str, target: &str) -> Answer {
    match target {
        "/1.0/meta-data/instance-id" => ("200 OK", "", "5f1c7a3e-0000-4000-8000-1234567890ab"),
        "/1.0/meta-data/local-hostname" => ("200 OK", "", "web-1"),
        "/1.0/meta-data/public-keys" => ("200 OK", "", KEY),
        "/1.0/user-data" => ("200 OK", "", USERDATA),
        _ => NOTHING,
    }
}

/// The answer of a cloud whose facts are one JSON document.
fn openstack(_: &str, target: &str) -> Answer {
    const META: &str = r#"{"uuid": "5f1c7a3e-0000-4000-8000-1234567890ab", "hostname": "web-1", "public_keys": {"me": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE3VyMJz2n0hTxP8xYxMq9zKq9n0x0Yk5H4T1mE8w2Aq me"}}"#;
    match target {
        "/openstack/latest/meta_data.json" => ("200 OK", "", META),
        "/openstack/latest/user_data" => ("200 OK", "", USERDATA),
        _ => NOTHING,
    }
}

fn oracle(_: &str, target: &str) -> Answer {
    const INSTANCE: &str = r#"{"id": "ocid1.instance.oc1.phx.abc", "hostname": "web-1", "metadata": {"user_data": "I2FscGluZS1jb25maWcKdXNlcjogYW5uCg==", "ssh_authorized_keys": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE3VyMJz2n0hTxP8xYxMq9zKq9n0x0Yk5H4T1mE8w2Aq me"}}"#;
    match target {
        "/opc/v2/instance/" => ("200 OK", "", INSTANCE),
        _ => NOTHING,
    }
}

fn seed(_: &str, target: &str) -> Answer {
    const META: &str = "instance-id: i-1\nhostname: web-1\npublic-keys:\n- ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE3VyMJz2n0hTxP8xYxMq9zKq9n0x0Yk5H4T1mE8w2Aq me\n";
    match target {
        "/meta-data" => ("200 OK", "", META),
        "/user-data" => ("200 OK", "", USERDATA),
        _ => NOTHING,
    }
}

const EVERYWHERE: &str = "169.254.169.254";
const CONFIGURATION: &str = "etc/wisp.conf=CLOUD_USER=ann\nMETADATA_DEADLINE=1";
const XEN: &str = "sys/hypervisor/uuid=ec2e1916-9099-7caf-fd21-012345abcdef";
const ALIBABA: &str = "sys/class/dmi/id/product_name=Alibaba Cloud ECS";
const SEED: &str = "sys/class/dmi/id/product_serial=ds=nocloud;s=http://10.9.0.1/";
const NOVA: &str = "sys/class/dmi/id/product_name=OpenStack Nova";
const ORACLE: &str = "sys/class/dmi/id/chassis_asset_tag=OracleCloud.com";
const EXOSCALE: &str = "sys/class/dmi/id/product_name=Exoscale Compute Platform";

/// Clouds whose firmware does not state the instance, each with its mark, its address and its voice.
const CLOUDS: [(&str, &str, &str, Voice); 6] = [
    ("aws", XEN, EVERYWHERE, ec2),
    ("alibaba", ALIBABA, "100.100.100.200", ec2),
    ("exoscale", EXOSCALE, EVERYWHERE, exoscale),
    ("openstack", NOVA, EVERYWHERE, openstack),
    ("oci", ORACLE, EVERYWHERE, oracle),
    ("nocloud", SEED, "10.9.0.1", seed),
];

fn another_instance() {
    for (name, mark, address, voice) in CLOUDS {
        let machine = Machine::new(&format!("page-{name}"), &[mark, CONFIGURATION], address, voice);
        let outcomes = machine.boot();
        assert_eq!(codes(&outcomes), [0; 4], "{outcomes:?}");
        let complete = machine.root.read(&format!("{STATE}/.bootstrap-complete"));
        assert!(complete.starts_with(&format!("{name}/")), "{complete}");
        let journal = machine.root.read(&format!("{STATE}/journal"));
        for (kind, voice) in
            [("page", pages_behind_tokens as Voice), ("all", pages), ("words", sentences_behind_tokens)]
        {
            machine.says(voice);
            let outcomes = machine.boot();
            assert_eq!(codes(&outcomes), [0; 4], "{name}: {outcomes:?}");
            for outcome in &outcomes {
                assert!(!outcome.err.contains("a first boot"), "{name}: {outcome:?}");
                assert!(!outcome.err.contains("temporarily unavailable"), "the page is not shown: {outcome:?}");
            }
            assert!(!machine.heard.lock().unwrap().is_empty(), "{name}: the service was asked");
            // A seed in the form of a sentence is one without keys, and so without an instance of its own.
            let is_read = (name, kind) == ("nocloud", "words");
            let warning = if is_read { "it is not a mapping" } else { "taken for the instance it was" };
            assert!(outcomes[1].err.contains(warning), "{name}: {outcomes:?}");
            assert_eq!(machine.root.read(&format!("{STATE}/journal")), journal, "{name}");
            assert_eq!(machine.root.read(&format!("{STATE}/.bootstrap-complete")), complete, "{name}");
        }
    }
}

#[test]
fn a_page_in_place_of_the_instance_is_no_other_instance() {
    isolated("a_page_in_place_of_the_instance_is_no_other_instance", another_instance);
}

fn first_instance() {
    for (name, mark, address, voice) in CLOUDS {
        for (kind, odd) in [("pages", pages_behind_tokens as Voice), ("all", pages), ("words", sentences_behind_tokens)]
        {
            // Of a seed in the form of a sentence nothing shows that it is none.
            if (name, kind) != ("nocloud", "words") {
                recovers(&Machine::new(&format!("first-{kind}-{name}"), &[mark, CONFIGURATION], address, odd), voice);
            }
        }
    }
}

/// A first boot of `machine`, whose service is not well, and a second one, in which it speaks with `voice`.
fn recovers(machine: &Machine, voice: Voice) {
    let name = machine.root.path();
    let outcomes = machine.boot();
    assert_eq!(codes(&outcomes)[2..], [1, 1], "{name}: {outcomes:?}");
    let journal = machine.root.read(&format!("{STATE}/journal"));
    assert!(!journal.contains("html") && !journal.contains("instance "), "{name}: {journal}");
    for file in ["etc/hostname", "home/ann/.ssh/authorized_keys", "var/lib/cloud/.bootstrap-complete"] {
        assert!(!machine.root.has(file), "{name}: {file}: {outcomes:?}");
    }
    machine.says(voice);
    let outcomes = machine.boot();
    assert_eq!(codes(&outcomes), [0; 4], "{name}: {outcomes:?}");
    assert_eq!(machine.root.read("home/ann/.ssh/authorized_keys"), format!("{KEY}\n"), "{name}");
    assert_eq!(machine.root.read("etc/hostname"), "web-1\n", "{name}");
    assert_eq!(machine.root.read(&format!("{STATE}/user-data")), USERDATA, "{name}");
}

#[test]
fn of_a_first_boot_with_pages_nothing_is_believed_and_the_next_one_completes_it() {
    isolated("of_a_first_boot_with_pages_nothing_is_believed_and_the_next_one_completes_it", first_instance);
}

fn six() {
    for (name, mark, address, voice) in [
        ("aws", XEN, "fd00:ec2::254", ec2 as Voice),
        ("alibaba", ALIBABA, "fd00:100::100:200", ec2),
        ("oci", ORACLE, "fd00:c1::a9fe:a9fe", oracle),
    ] {
        let machine = Machine::new(&format!("six-{name}"), &[mark, CONFIGURATION], address, voice);
        let outcomes = machine.boot();
        assert_eq!(codes(&outcomes), [0; 4], "{name}: {outcomes:?}");
        assert_eq!(machine.root.read("home/ann/.ssh/authorized_keys"), format!("{KEY}\n"), "{name}");
    }
}

#[test]
fn a_network_without_ipv4_leads_to_the_services_that_have_an_address_of_ipv6() {
    isolated("a_network_without_ipv4_leads_to_the_services_that_have_an_address_of_ipv6", six);
}

fn no_tokens() {
    const OUTSCALE: &str = "sys/class/dmi/id/sys_vendor=3DS Outscale";
    const FORCED: &str = "etc/wisp.conf=CLOUD=aws\nCLOUD_USER=ann\nMETADATA_DEADLINE=1";
    for (name, files) in [("outscale", &[OUTSCALE, CONFIGURATION][..]), ("forced", &[FORCED])] {
        let machine = Machine::new(&format!("tokenless-{name}"), files, EVERYWHERE, without_tokens);
        let asked = machine.wisp(&["imds", "@hostname", "+n", "@ssh-keys"]);
        let wanted = format!("web-1.internal\n{KEY}\n");
        assert_eq!((asked.code, asked.out, asked.err), (Some(0), wanted, String::new()), "{name}");
        let puts = || machine.heard.lock().unwrap().iter().filter(|line| line.starts_with("PUT")).count();
        assert_eq!(puts(), 1, "a service without tokens is asked for one once");
        let outcomes = machine.boot();
        assert_eq!(codes(&outcomes), [0; 4], "{name}: {outcomes:?}");
        assert_eq!(machine.root.read("home/ann/.ssh/authorized_keys"), format!("{KEY}\n"));
        assert_eq!(machine.root.read(&format!("{STATE}/.bootstrap-complete")), "aws/i-0123456789abcdef0\n");
    }
    // On Amazon's own machines an answer without a token is another's.
    for mark in ["sys/class/dmi/id/sys_vendor=Amazon EC2", XEN] {
        let machine = Machine::new("tokenless-amazon", &[mark, CONFIGURATION], EVERYWHERE, without_tokens);
        let asked = machine.wisp(&["imds", "@hostname"]);
        assert_eq!((asked.code, asked.out.as_str()), (Some(1), ""), "{asked:?}");
        assert!(asked.err.contains("PUT") && asked.err.contains("answered 404"), "{asked:?}");
        assert!(machine.heard.lock().unwrap().iter().all(|line| line.starts_with("PUT")), "nothing else is asked");
    }
}

#[test]
fn a_service_without_tokens_is_asked_without_one_where_it_is_not_amazons() {
    isolated("a_service_without_tokens_is_asked_without_one_where_it_is_not_amazons", no_tokens);
}

/// Out of service, and wants to be left alone for longer than anybody waits.
fn busy(_: &str, _: &str) -> Answer {
    ("503 Service Unavailable", "Retry-After: 60\r\n", "")
}

fn busy_without_a_wish(_: &str, _: &str) -> Answer {
    ("503 Service Unavailable", "", "")
}

/// The same once, and well again at the next request. One test has it, so the count is of one machine.
fn busy_at_first(method: &str, target: &str) -> Answer {
    static ASKED: AtomicBool = AtomicBool::new(false);
    if ASKED.swap(true, Ordering::SeqCst) { ec2(method, target) } else { busy(method, target) }
}

fn left_alone() {
    let patient = "etc/wisp.conf=CLOUD_USER=ann\nMETADATA_DEADLINE=4";
    let machine = Machine::new("retry-after", &[XEN, patient], EVERYWHERE, busy_at_first);
    let asked = machine.wisp(&["imds", "@hostname"]);
    assert_eq!((asked.code, asked.out.as_str()), (Some(0), "web-1.internal"), "{asked:?}");
    assert!(asked.spent < Duration::from_secs(20), "{asked:?}");

    for (voice, name) in [(busy as Voice, "the last try"), (busy_without_a_wish, "every try")] {
        machine.says(voice);
        let asked = machine.wisp(&["imds", "@hostname"]);
        assert_eq!((asked.code, asked.out.as_str()), (Some(1), ""), "{name}: {asked:?}");
        assert!(asked.err.contains("answered 503") && !asked.err.contains("hop limit"), "{name}: {asked:?}");
        assert!(machine.heard.lock().unwrap().len() >= 2, "{name}: a second try was made");
    }
}

#[test]
fn a_service_that_wants_to_be_left_alone_beyond_the_deadline_is_asked_once_more_before_it() {
    isolated("a_service_that_wants_to_be_left_alone_beyond_the_deadline_is_asked_once_more_before_it", left_alone);
}

/// A seed with one line that nothing can read, and a key that is none.
fn seed_with_faults(_: &str, target: &str) -> Answer {
    const META: &str = "instance-id: i-1\nmotd: @me\nhostname: web-1\npublic-keys:\n- ssh-ed25519 AAAA\n- ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE3VyMJz2n0hTxP8xYxMq9zKq9n0x0Yk5H4T1mE8w2Aq me\n";
    static ASKED: AtomicBool = AtomicBool::new(false);
    match target {
        "/meta-data" if !ASKED.swap(true, Ordering::SeqCst) => ("503 Service Unavailable", "", ""),
        "/meta-data" => ("200 OK", "", META),
        _ => NOTHING,
    }
}

fn levels() {
    let machine =
        Machine::new("levels", &[SEED, "etc/wisp.conf=CLOUD_USER=ann\nCLUOD=x"], "10.9.0.1", seed_with_faults);
    let mut said = String::new();
    for phase in PHASES {
        let (code, lines) = machine.journal(phase);
        assert_eq!(code, Some(0), "{lines}");
        said += &lines;
    }
    assert_eq!(machine.root.read("home/ann/.ssh/authorized_keys"), format!("{KEY}\n"));
    for problem in ["there is no such key", "answered 503", "continuing with what can be read", "a key is ignored"] {
        let lines: Vec<&str> = said.lines().filter(|line| line.contains(problem)).collect();
        assert!(!lines.is_empty() && lines.iter().all(|line| line.starts_with("<4>")), "{problem}: {said}");
    }
    assert!(!said.contains("<3>"), "nothing failed: {said}");
    let outage = Machine::new("levels-failed", &[XEN, CONFIGURATION], EVERYWHERE, busy_without_a_wish);
    let (code, said) = outage.journal("main");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.lines().any(|line| line.starts_with("<3>") && line.contains("answered 503")), "{said}");
}

#[test]
fn what_a_phase_continues_past_is_a_warning_and_what_failed_an_error() {
    isolated("what_a_phase_continues_past_is_a_warning_and_what_failed_an_error", levels);
}

fn out_of_service() {
    let machine = Machine::new("outage", &[XEN, CONFIGURATION], EVERYWHERE, busy);
    let outcomes = machine.boot();
    assert_eq!(codes(&outcomes), [0, 1, 1, 1], "{outcomes:?}");
    for outcome in &outcomes[1..] {
        assert!(outcome.err.contains("answered 503") && !outcome.err.contains("hop limit"), "{outcome:?}");
    }
    let status = machine.wisp(&["status"]);
    assert!(status.out.contains("answered 503") && !status.out.contains("hop limit"), "{status:?}");
    machine.says(ec2);
    let outcomes = machine.boot();
    assert_eq!(codes(&outcomes), [0; 4], "{outcomes:?}");
    assert_eq!(machine.root.read("home/ann/.ssh/authorized_keys"), format!("{KEY}\n"));
}

#[test]
fn an_outage_is_reported_as_one_and_the_next_boot_completes() {
    isolated("an_outage_is_reported_as_one_and_the_next_boot_completes", out_of_service);
}

//! Networks of their own to test in: a namespace for the client, one for the server, a cable between them.
//!
//! A namespace belongs to a thread, so tests call the library as they are, in a thread that has entered the client's.
//! Root may make namespaces; for everyone else the test starts itself again inside a user namespace.

#[path = "../support/skip.rs"]
mod skip;

use rustix::fd::AsFd;
use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// What a test waits for comes at once, or in a few seconds on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(20);

/// Set where a test has been started again.
const INSIDE: &str = "WISP_TEST_INSIDE";

/// Runs `test`, the body of the test called `name`, where namespaces may be made.
pub fn isolated(name: &str, test: fn()) {
    if rustix::process::geteuid().is_root() || std::env::var_os(INSIDE).is_some() {
        if skip::needs_namespaces("-n") {
            test();
        }
        return;
    }
    let own = std::env::current_exe().unwrap();
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["-Ur", "--"]).env(INSIDE, "yes");
        command
    };
    if !skip::needs_namespaces("-Ur") {
        return;
    }
    // What it says if it is skipped there must be seen here.
    let output = unshare().arg(own).args(["--exact", name]).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "inside a user namespace:\n{}", String::from_utf8_lossy(&output.stdout));
}

/// A network namespace, which lasts as long as the process inside it.
pub struct Network(Child);

impl Network {
    /// One with nothing in it but `lo`.
    pub fn new() -> Self {
        let mut command = Command::new("unshare");
        command.args(["-n", "sh", "-c", "ip link set lo up; echo; exec cat"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "\n", "the namespace is there");
        Self(child)
    }

    /// A program inside.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args([&format!("--net=/proc/{}/ns/net", self.0.id()), "--", program]);
        command
    }

    /// Runs `ip` with each of `lines`, one after the other.
    pub fn ip(&self, lines: &[&str]) {
        for line in lines {
            let output = self.command("ip").args(line.split(' ')).output().unwrap();
            assert!(output.status.success(), "ip {line}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }

    /// Lays a cable from the new interface `own` here to `other` in the other network, which is up; this end is not.
    pub fn connect(&self, own: &str, network: &Self, other: &str) {
        self.ip(&[&format!("link add {own} type veth peer name {other} netns {}", network.0.id())]);
        network.ip(&[&format!("link set {other} up")]);
    }

    /// Everything that `wisp` could have changed, as text.
    pub fn state(&self) -> String {
        let mut out = String::new();
        for line in ["-o link", "-o address", "-4 route show table all", "-6 route show table all"] {
            let output = self.command("ip").args(line.split(' ')).output().unwrap();
            assert!(output.status.success(), "ip {line}");
            out += &String::from_utf8(output.stdout).unwrap();
        }
        // An interface that was up once has its queue for ever.
        out.replace("qdisc noop ", "qdisc noqueue ")
    }

    /// Calls `work` in a thread inside.
    pub fn inside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let path = format!("/proc/{}/ns/net", self.0.id());
        let namespace = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let thread = std::thread::spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// A TCP server at `address`, which answers every connection by closing it.
    pub fn serve(&self, address: &'static str) {
        let listener = self.inside(move || TcpListener::bind(address).unwrap());
        std::thread::spawn(move || listener.incoming().for_each(drop));
    }

    /// Starts `program`, whose log tells that it is ready by a line with `ready`.
    pub fn start(&self, program: &str, arguments: &[&str], ready: &str) -> Daemon {
        let mut command = self.command(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        let log = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || log.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let daemon = Daemon { child, lines };
        daemon.wait_for(ready);
        daemon
    }

    /// Starts dnsmasq on `interface` with `arguments`, which are divided by blanks.
    pub fn dnsmasq(&self, interface: &str, arguments: &str) -> Daemon {
        let fixed = "--no-daemon --user=root --conf-file=/dev/null --no-resolv --no-hosts --no-ping --leasefile-ro \
             --dhcp-authoritative --log-dhcp --log-queries --bind-dynamic --except-interface=lo";
        let own = format!("--interface={interface}");
        let arguments: Vec<&str> = fixed.split_whitespace().chain([own.as_str()]).chain(arguments.split(' ')).collect();
        self.start("dnsmasq", &arguments, "started")
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A server that runs.
pub struct Daemon {
    child: Child,
    lines: Receiver<String>,
}

impl Daemon {
    /// Reads its log up to a line with `text`; what stood before that.
    pub fn wait_for(&self, text: &str) -> String {
        let mut seen = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            if line.contains(text) {
                return seen.join("\n");
            }
            seen.push(line);
        }
        panic!("no {text} in:\n{}", seen.join("\n"));
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

//! What starts at boot: a root in, a root out. `systemctl --root` and `systemd-analyze verify --root` are the judges of what
//! is made for systemd; they are given this machine's own units to judge it among.
#![cfg(feature = "full")]

#[path = "support/root.rs"]
mod root;

use root::Root;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use wisp::error::Kind;
use wisp::service::{self, Init};

impl Root {
    /// With OpenRC, before any of its runlevels was made.
    fn openrc(name: &str) -> Self {
        let root = Self::empty(name);
        root.write("sbin/openrc-run", "");
        root
    }

    /// The same with `make install-openrc` done.
    fn openrc_installed(name: &str) -> Self {
        let root = Self::openrc(name);
        let destination = format!("DESTDIR={}", root.path());
        root.judge("make", &["-s", "-C", env!("CARGO_MANIFEST_DIR"), "install-openrc", &destination, "PREFIX=/usr"]);
        root.write("usr/bin/wisp", "");
        root
    }

    /// With systemd, and `make install-systemd` done.
    fn systemd(name: &str) -> Self {
        let root = Self::empty(name);
        root.write("usr/lib/systemd/systemd", "");
        let destination = format!("DESTDIR={}", root.path());
        root.judge("make", &["-s", "-C", env!("CARGO_MANIFEST_DIR"), "install-systemd", &destination, "PREFIX=/usr"]);
        root.write("usr/bin/wisp", "");
        root
    }

    fn link(&self, path: &str, target: &str) {
        let path = self.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    /// Every symbolic link below `folder`, as `PATH -> TARGET`.
    fn links(&self, folder: &str) -> Vec<String> {
        let (mut out, mut folders) = (Vec::new(), vec![self.join(folder)]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_symlink() {
                    let name = path.strip_prefix(&self.0).unwrap().display();
                    out.push(format!("{name} -> {}", fs::read_link(&path).unwrap().display()));
                } else if path.is_dir() {
                    folders.push(path);
                }
            }
        }
        out.sort();
        out
    }

    /// What a tool says, on both its outputs.
    fn judge(&self, tool: &str, arguments: &[&str]) -> String {
        let output = Command::new(tool).args(arguments).env("LC_ALL", "C").output();
        let output = output.unwrap_or_else(|error| panic!("{tool} (package in tests/packages): {error}"));
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    }

    fn systemctl(&self, arguments: &[&str]) -> String {
        let root = format!("--root={}", self.path());
        self.judge("systemctl", &[&[root.as_str()], arguments].concat())
    }
}

const SERVICES: [&str; 4] = ["wisp-boot", "wisp-early", "wisp-main", "wisp-final"];

#[test]
fn openrc_gets_links_in_runlevels_and_loses_tiny_clouds() {
    let root = Root::openrc_installed("openrc");
    assert!(!service::is_enabled(root.path()).unwrap());
    root.link("etc/runlevels/boot/tiny-cloud-boot", "/etc/init.d/tiny-cloud-boot");
    root.link("etc/runlevels/sysinit/tiny-cloud-early", "/etc/init.d/tiny-cloud-early");
    root.link("etc/runlevels/sysinit/wisp-main", "/etc/init.d/wisp-main");
    root.link("etc/runlevels/default/wisp-final", "../../../srv/wisp-final");
    root.link("etc/runlevels/default/sshd", "/etc/init.d/sshd");

    let changes = service::enable(root.path()).unwrap();
    let links = [
        "etc/runlevels/boot/wisp-boot -> /etc/init.d/wisp-boot",
        "etc/runlevels/default/sshd -> /etc/init.d/sshd",
        "etc/runlevels/default/wisp-early -> /etc/init.d/wisp-early",
        "etc/runlevels/default/wisp-final -> /etc/init.d/wisp-final",
        "etc/runlevels/default/wisp-main -> /etc/init.d/wisp-main",
    ];
    assert_eq!(root.links("etc/runlevels"), links);
    assert_eq!(changes.len(), 7, "{changes:?}");
    assert!(changes[0] == "/etc/runlevels/boot/wisp-boot now leads to /etc/init.d/wisp-boot");
    assert!(changes[6] == "/etc/runlevels/sysinit/wisp-main is removed");
    assert!(service::is_enabled(root.path()).unwrap());
    assert_eq!(service::enable(root.path()).unwrap(), [""; 0], "a second run changes nothing");

    root.link("etc/runlevels/default/tiny-cloud-final", "/etc/init.d/tiny-cloud-final");
    assert_eq!(service::disable(root.path()).unwrap().len(), 5);
    assert_eq!(root.links("etc/runlevels"), ["etc/runlevels/default/sshd -> /etc/init.d/sshd"]);
    assert!(!service::is_enabled(root.path()).unwrap());
    assert_eq!(service::disable(root.path()).unwrap(), [""; 0]);
}

#[test]
fn what_is_no_link_is_never_replaced() {
    let root = Root::openrc_installed("file");
    root.write("etc/runlevels/default/wisp-main", "mine");
    assert_eq!(service::enable(root.path()).unwrap_err().kind, Kind::Os(17));
    assert_eq!(fs::read(root.join("etc/runlevels/default/wisp-main")).unwrap(), b"mine");
}

#[test]
fn systemd_gets_the_links_that_systemctl_makes() {
    let (ours, theirs) = (Root::systemd("ours"), Root::systemd("theirs"));
    assert!(!service::is_enabled(ours.path()).unwrap());
    assert_eq!(service::enable(ours.path()).unwrap().len(), 4);
    theirs.systemctl(&[&["enable"][..], &SERVICES].concat());
    assert_eq!(theirs.links("etc").len(), 4);
    assert_eq!(ours.links("etc"), theirs.links("etc"));
    assert_eq!(service::enable(ours.path()).unwrap(), [""; 0], "a second run changes nothing");
    assert_eq!(ours.systemctl(&[&["is-enabled"][..], &SERVICES].concat()), "enabled\n".repeat(4));
    assert!(service::is_enabled(theirs.path()).unwrap(), "what systemctl has enabled is enabled");

    ours.link(
        "etc/systemd/system/cloud.target.requires/wisp-main.service",
        "/usr/lib/systemd/system/wisp-main.service",
    );
    assert_eq!(service::disable(ours.path()).unwrap().len(), 5);
    assert_eq!(ours.systemctl(&[&["is-enabled"][..], &SERVICES].concat()), "disabled\n".repeat(4));
}

#[test]
fn units_are_linked_where_they_are_and_not_if_they_are_nowhere() {
    let root = Root::empty("nowhere");
    root.write("usr/lib/systemd/systemd", "");
    let error = service::enable(root.path()).unwrap_err();
    assert_eq!(error.to_string(), "enable the service wisp-boot.service: it is not installed");
    assert!(root.links("etc").is_empty(), "nothing half");
    root.write("bin/wisp", "");
    for service in SERVICES {
        root.write(&format!("etc/systemd/system/{service}.service"), "[Service]\nExecStart=/bin/wisp\n");
    }
    service::enable(root.path()).unwrap();
    let first = "etc/systemd/system/multi-user.target.wants/wisp-boot.service -> /etc/systemd/system/wisp-boot.service";
    assert_eq!(root.links("etc")[0], first);
}

#[test]
fn services_that_would_not_run_are_not_enabled() {
    let root = Root::openrc("missing");
    let error = service::enable(root.path()).unwrap_err();
    assert_eq!(
        (error.kind, error.to_string().as_str()),
        (Kind::Absent, "enable the service wisp-boot: it is not installed")
    );
    assert!(root.links("etc").is_empty(), "no link to nowhere");

    for root in [Root::openrc_installed("prefix-openrc"), Root::systemd("prefix-systemd")] {
        fs::remove_file(root.join("usr/bin/wisp")).unwrap();
        root.write("usr/local/bin/wisp", "");
        let error = service::enable(root.path()).unwrap_err();
        assert!(error.to_string().ends_with("it starts /usr/bin/wisp, which does not exist"), "{error}");
        assert!(root.links("etc").is_empty(), "nothing half");
    }
}

#[test]
fn of_two_init_systems_the_one_counts_that_runs_or_that_init_leads_to() {
    let root = Root::empty("two");
    assert_eq!(Init::find(root.path()).unwrap_err().kind, Kind::Absent);
    root.write("usr/sbin/openrc-run", "");
    assert_eq!(Init::find(root.path()), Ok(Init::OpenRc));
    root.write("lib/systemd/systemd", "");
    assert_eq!(Init::find(root.path()), Ok(Init::OpenRc), "whatever else /sbin/init is starts OpenRC");
    root.link("sbin/init", "../lib/systemd/systemd");
    assert_eq!(Init::find(root.path()), Ok(Init::Systemd));
    root.write("run/openrc/softlevel", "default");
    assert_eq!(Init::find(root.path()), Ok(Init::OpenRc));
}

/// The ordering of Debian's units for an SSH server behind a socket and for the network that is configured latest.
const OTHERS: [(&str, &str); 3] = [
    ("ssh.socket", "[Socket]\nListenStream=22\n[Install]\nWantedBy=sockets.target\n"),
    (
        "ssh.service",
        "[Unit]\nAfter=network.target\n[Service]\nExecStart=/bin/sh\n[Install]\nWantedBy=multi-user.target\n",
    ),
    (
        "NetworkManager.service",
        "[Unit]\nWants=network.target\nAfter=network-pre.target dbus.service\nBefore=network.target\n\
         [Service]\nExecStart=/bin/sh\n[Install]\nWantedBy=multi-user.target\n",
    ),
];

/// What `systemd-analyze` says of the order in which everything up to the graphical desktop starts.
fn order(root: &Root) -> String {
    let said = root.judge("systemd-analyze", &["verify", &format!("--root={}", root.path()), "graphical.target"]);
    said.lines()
        .filter(|line| line.contains("cycle") || line.contains("wisp"))
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn the_units_are_sound_and_their_order_is_no_circle() {
    let root = Root::systemd("order");
    root.write("usr/bin/wisp", "");
    fs::set_permissions(root.join("usr/bin/wisp"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let units = root.join("usr/lib/systemd/system");
    root.judge("cp", &["-an", "/lib/systemd/system/.", units.to_str().unwrap()]);
    assert!(Path::exists(&units.join("multi-user.target")), "this machine's units are there");
    for (unit, text) in OTHERS {
        root.write(&format!("usr/lib/systemd/system/{unit}"), text);
    }
    root.systemctl(&["enable", "ssh.socket", "ssh.service", "NetworkManager.service", "systemd-networkd.service"]);
    service::enable(root.path()).unwrap();
    assert_eq!(order(&root), "");

    // The judge would have seen one.
    root.write("usr/lib/systemd/system/wisp-main.service.d/a.conf", "[Unit]\nBefore=ssh.socket\n");
    let said = order(&root);
    assert!(said.contains("Found ordering cycle"), "{said}");
}

#[test]
fn the_ssh_server_is_started_by_openrc() {
    let root = Root::openrc("sshd-openrc");
    assert_eq!(service::enable_ssh_server(root.path()).unwrap(), ["there is no SSH server"]);
    root.write("etc/init.d/sshd", "");
    service::enable_ssh_server(root.path()).unwrap();
    assert_eq!(root.links("etc"), ["etc/runlevels/default/sshd -> /etc/init.d/sshd"]);
    assert_eq!(service::enable_ssh_server(root.path()).unwrap(), [""; 0]);
}

#[test]
fn the_ssh_server_is_started_by_systemd_as_systemctl_would() {
    let unit = |alias: &str| format!("[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n{alias}");
    for (name, text) in [("ssh.service", unit("Alias=sshd.service\n")), ("sshd.service", unit(""))] {
        let (ours, theirs) = (Root::systemd("sshd-ours"), Root::systemd("sshd-theirs"));
        assert_eq!(service::enable_ssh_server(ours.path()).unwrap(), ["there is no SSH server"]);
        for root in [&ours, &theirs] {
            root.write(&format!("usr/lib/systemd/system/{name}"), &text);
        }
        service::enable_ssh_server(ours.path()).unwrap();
        theirs.systemctl(&["enable", name]);
        assert_eq!(ours.links("etc"), theirs.links("etc"), "{name}");
        assert!(!ours.links("etc").is_empty());
        assert_eq!(service::enable_ssh_server(ours.path()).unwrap(), [""; 0], "{name}");
    }
}

#[test]
fn a_masked_ssh_server_and_one_behind_a_socket_stay_as_they_are() {
    let root = Root::systemd("sshd-masked");
    root.write("usr/lib/systemd/system/ssh.service", "");
    root.link("usr/lib/systemd/system/sockets.target.wants/ssh.socket", "../ssh.socket");
    assert_eq!(service::enable_ssh_server(root.path()).unwrap(), [""; 0], "its socket is there");
    root.link("etc/systemd/system/ssh.service", "/dev/null");
    assert_eq!(service::enable_ssh_server(root.path()).unwrap(), ["ssh.service is masked, and stays so"]);
    assert_eq!(root.links("etc"), ["etc/systemd/system/ssh.service -> /dev/null"]);
}

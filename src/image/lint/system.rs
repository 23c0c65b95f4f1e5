//! The system in the image: who configures its machines in their first boot, and what no two of them may share.

use super::files::Files;
use super::{Cloud, Findings, Severity};
use crate::service::{self, Init};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Folders of links to what starts at boot, of systemd and of OpenRC.
const STARTED: [&str; 5] = [
    "etc/systemd/system/multi-user.target.wants",
    "etc/systemd/system/cloud-init.target.wants",
    "usr/lib/systemd/system/multi-user.target.wants",
    "etc/runlevels/boot",
    "etc/runlevels/default",
];

/// Other first boot agents: how the names of their services begin, what switches them off, the one cloud they are for.
const AGENTS: [(&str, &str, &str, Option<Cloud>); 4] = [
    ("cloud-init", "cloud-init", "etc/cloud/cloud-init.disabled", None),
    ("Tiny Cloud", "tiny-cloud", "etc/tiny-cloud.disabled", None),
    ("Azure's agent", "walinuxagent", "", Some(Cloud::Azure)),
    ("Google's agent", "google-guest-agent", "", Some(Cloud::Gcp)),
];
const SWITCHES: [&str; 2] = ["etc/wisp.disabled", "etc/tiny-cloud.disabled"];

/// wisp's and Tiny Cloud's sign that the first boot is over.
const MARKER: &str = "var/lib/cloud/.bootstrap-complete";

const SSH_SERVERS: [&str; 3] = ["usr/sbin/sshd", "usr/sbin/dropbear", "usr/bin/dropbear"];

/// Seeds of the random number generator, with which all machines would begin alike.
const SEEDS: [&str; 4] = [
    "var/lib/systemd/random-seed",
    "var/lib/seedrng/seed.credit",
    "var/lib/seedrng/seed.no-credit",
    "var/lib/misc/random-seed",
];

/// Folders of DHCP leases, and how the names of their files end.
const LEASES: [(&str, &str); 4] = [
    ("var/lib/dhcp", ".leases"),
    ("var/lib/dhclient", ".leases"),
    ("var/lib/dhcpcd", ".lease"),
    ("var/lib/NetworkManager", ".lease"),
];

/// Judges the system on `root`.
pub(super) fn judge(root: &Files<'_>, cloud: Cloud, findings: &mut Findings) {
    judge_agent(root, cloud, findings);
    judge_state(root, findings);
    judge_keys(root, findings);
    judge_leftovers(root, findings);
}

/// Someone must make a machine of a cloud out of it.
fn judge_agent(root: &Files<'_>, cloud: Cloud, findings: &mut Findings) {
    let mut agents = Vec::new();
    if is_wisp_enabled(root) {
        match SWITCHES.iter().find(|path| root.has(path)) {
            Some(path) => findings.fault("agent", format!("wisp is enabled, and /{path} switches it off: remove it")),
            None => agents.push("wisp"),
        }
    }
    let started: Vec<String> = STARTED.iter().flat_map(|folder| root.names(folder)).collect();
    for (title, prefix, switch, only) in AGENTS {
        let is_started = started.iter().any(|name| name.starts_with(prefix));
        if is_started && only.is_none_or(|only| only == cloud) && !root.has(switch) {
            agents.push(title);
        }
    }
    match agents.as_slice() {
        [] => {
            let verdict = if cloud == Cloud::NoCloud { Severity::Warning } else { Severity::Error };
            let text = "nothing that configures a machine in its first boot is enabled: `wisp enable --root DIR`";
            findings.add(verdict, "agent", text);
        }
        ["Tiny Cloud"] if cloud == Cloud::Azure => {
            findings.fault("agent", "Tiny Cloud never tells Azure that a machine is ready: `wisp enable --root DIR`");
        }
        ["wisp", other @ ("cloud-init" | "Tiny Cloud"), ..] => {
            findings.doubt("agent", format!("both wisp and {other} configure the machine: disable one of them"));
        }
        [agent, ..] => findings.good("agent", format!("{agent} configures a machine in its first boot")),
    }
}

fn is_wisp_enabled(root: &Files<'_>) -> bool {
    let is_started = |init| service::links(init).iter().all(|link| root.has(link.trim_start_matches('/')));
    [Init::Systemd, Init::OpenRc].into_iter().any(is_started)
}

/// The first boot must still be to come.
fn judge_state(root: &Files<'_>, findings: &mut Findings) {
    if root.has(MARKER) {
        let advice = "`wisp bootstrap incomplete`, or remove it";
        findings.fault("state", format!("/{MARKER} says that the first boot is over: {advice}"));
    } else {
        findings.good("state", "the first boot is still to come");
    }
    if let Some(instance) = root.names("var/lib/cloud/instances").first() {
        let advice = "`cloud-init clean`, or remove it";
        findings.doubt("state", format!("/var/lib/cloud/instances has what was done on {instance}: {advice}"));
    }
}

/// What tells machines apart must not come with the image.
fn judge_keys(root: &Files<'_>, findings: &mut Findings) {
    let is_key = |name: &&String| name.starts_with("ssh_host_") && name.ends_with("_key");
    match root.names("etc/ssh").iter().find(is_key) {
        // As long as the image is one machine's own business, that is no fault.
        Some(name) if is_wisp_enabled(root) && !SWITCHES.iter().any(|path| root.has(path)) => {
            let text = format!("/etc/ssh/{name} is in the image: wisp replaces it in the first boot of each instance");
            findings
                .doubt("state", format!("{text}; who gets the image gets the key too: remove all ssh_host_* files"));
        }
        Some(name) => {
            let text =
                format!("/etc/ssh/{name}: every machine of this image would show, and could pretend to be, the same");
            findings.fault("state", format!("{text}: remove all ssh_host_* files"));
        }
        None => findings.good("state", "no SSH host keys"),
    }
    match root.text("etc/machine-id").as_deref().map(str::trim_ascii) {
        None | Some("" | "uninitialized") => findings.good("state", "no machine-id"),
        Some(_) => {
            let advice = "empty the file";
            findings.fault("state", format!("/etc/machine-id is set, and every machine would have the same: {advice}"));
        }
    }
    let shadow = root.text("etc/shadow");
    let password = shadow.as_deref().and_then(|text| text.lines().find_map(|line| line.strip_prefix("root:")));
    match password.map(|fields| fields.split(':').next().unwrap_or_default()) {
        Some("") => findings.doubt("state", "root has an empty password: lock it with `passwd -l root`"),
        Some(hash) if !hash.starts_with(['!', '*']) => {
            findings.doubt("state", "root has a password, the same on every machine: lock it with `passwd -l root`");
        }
        _ => {}
    }
    if !SSH_SERVERS.iter().any(|path| root.has(path)) {
        findings.doubt("state", "no SSH server was found: nobody can log in over the network");
    }
}

/// What a machine left behind on which the image was made.
fn judge_leftovers(root: &Files<'_>, findings: &mut Findings) {
    for path in SEEDS.iter().filter(|path| root.has(path)) {
        findings.doubt("state", format!("/{path} is the same on every machine: remove it"));
    }
    for (folder, ending) in LEASES {
        if let Some(name) = root.names(folder).iter().find(|name| name.ends_with(ending)) {
            findings.doubt("state", format!("/{folder}/{name} is another network's: remove it"));
        }
    }
    let has_server = |text: &String| text.lines().any(|line| line.trim_ascii_start().starts_with("nameserver"));
    if root.text("etc/resolv.conf").is_some_and(|text| has_server(&text)) {
        findings.doubt("state", "/etc/resolv.conf names servers of the network where the image was made: empty it");
    }
}

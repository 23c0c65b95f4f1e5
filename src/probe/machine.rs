//! What this machine shows of the cloud it runs in, and what it is told: firmware, hypervisor, kernel command line,
//! configuration. Below a root prefix, so that a test shows a machine of its own.
//!
//! What cannot be read is not there. `dmidecode` is never asked for it: it would read the memory of the machine.

#![forbid(unsafe_code)]

use crate::error::Kind;
use crate::provider::{self, CLOUDS, Evidence, Field, Fingerprint};
use crate::settings::{self, Agent, SOURCE_WORDS, Sources};
use crate::sys::{environment, file};
use crate::text::cmdline::{self, Cmdline};
use crate::text::shell_assignments;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// A string of the firmware is at most what one page of sysfs holds.
const LINE_LIMIT: usize = 4096;

/// `execve` accepts 2 MiB of environment from no one's shell; the first process has a few lines.
const ENVIRONMENT_LIMIT: usize = 128 << 10;

/// Permission denied, as from files that only root may read.
const EACCES: i32 = 13;

/// Where configuration is looked for; the first file that is there is the only one.
const CONFIGURATIONS: [&str; 2] = ["/etc/wisp.conf", "/etc/tiny-cloud.conf"];

/// Files by which container managers let the inside know.
const CONTAINER_FILES: [&str; 3] = ["/run/systemd/container", "/run/.containerenv", "/.dockerenv"];

/// What the machine below `root` shows.
#[must_use]
pub fn evidence(root: &str) -> Evidence {
    let environment = file::read(&format!("{root}/proc/1/environ"), ENVIRONMENT_LIMIT).unwrap_or_default();
    let container = variable(&environment, "container").is_some()
        || CONTAINER_FILES.iter().any(|path| file::exists(&format!("{root}{path}")));
    let mut evidence = Evidence { container, paths: paths(root), ..Evidence::default() };
    if container {
        evidence.cmdline = command_line(&format!("{root}/proc/1/cmdline"));
        // The one string of firmware that a manager hands in (Nova's, for its LXD guests).
        let product = variable(&environment, "product_name").map(|name| (Field::ProductName, name));
        evidence.firmware.extend(product);
        return evidence;
    }
    evidence.cmdline = command_line(&format!("{root}/proc/cmdline"));
    for field in Field::ALL {
        match file::read(&format!("{root}/sys/class/dmi/id/{}", field.name()), LINE_LIMIT) {
            Ok(text) => evidence.firmware.extend(first_line(&text).map(|text| (field, text))),
            Err(error) => evidence.hidden |= error.kind == Kind::Os(EACCES),
        }
    }
    let uuid = file::read(&format!("{root}/sys/hypervisor/uuid"), LINE_LIMIT);
    evidence.hypervisor_uuid = uuid.ok().and_then(|text| first_line(&text));
    let ports = format!("{root}/sys/class/virtio-ports");
    for port in file::list(&ports).unwrap_or_default() {
        let name = file::read(&format!("{ports}/{port}/name"), LINE_LIMIT);
        evidence.virtio_ports.extend(name.ok().and_then(|text| first_line(&text)));
    }
    evidence
}

/// What the agent of the machine below `root` is told, `cmdline` being the command line that it shows.
#[must_use]
pub fn settings(root: &str, cmdline: &Cmdline) -> Agent {
    let mut complaints = Vec::new();
    let mut text = None;
    for name in CONFIGURATIONS {
        let path = format!("{root}{name}");
        match file::read(&path, shell_assignments::LENGTH_LIMIT) {
            Ok(bytes) => text = Some((path, String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if matches!(error.kind, Kind::Os(2 | 20)) => continue,
            Err(error) => complaints.push(format!("{error}, continuing without it")),
        }
        break;
    }
    // Always this process's own: the environment is said to the command and not to the machine.
    let environment = environment::all().join(&0);
    let file = text.as_ref().map(|(path, text)| (&**path, &**text));
    let parse = |cmdline: &Cmdline| Agent::parse(&Sources { root, environment: &environment, file, cmdline });
    let mut agent = parse(cmdline);
    if let Some(complaint) = unknown_source(&agent) {
        agent = parse(&cmdline.without(&SOURCE_WORDS));
        complaints.push(complaint);
    }
    agent.complaints.extend(complaints);
    agent
}

/// Why a source that only cloud-init knows, on the kernel command line, is left out: the configuration may name the cloud,
/// or the machine may show it.
fn unknown_source(agent: &Agent) -> Option<String> {
    let settings::Cloud::Named { name, said } = &agent.cloud else { return None };
    let is_cloud_inits =
        SOURCE_WORDS.iter().any(|word| said.strip_prefix(word).is_some_and(|rest| rest.starts_with('=')));
    let is_unknown = is_cloud_inits && provider::named(name).is_none();
    is_unknown.then(|| format!("{said}: no known cloud is called {name}; the word is ignored"))
}

/// The words at `path`, divided by blanks or, for a process, by NUL bytes.
fn command_line(path: &str) -> Cmdline {
    let mut bytes = file::read(path, cmdline::LENGTH_LIMIT).unwrap_or_default();
    bytes.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b' ');
    Cmdline::parse(&String::from_utf8_lossy(&bytes))
}

/// The first line without the blanks around it, unless nothing is left.
fn first_line(bytes: &[u8]) -> Option<String> {
    let line = bytes.split(|byte| *byte == b'\n').next()?.trim_ascii();
    (!line.is_empty()).then(|| String::from_utf8_lossy(line).into_owned())
}

/// The value of a variable in an environment as the kernel shows it, unless it is empty.
fn variable(environment: &[u8], name: &str) -> Option<String> {
    environment.split(|byte| *byte == 0).find_map(|entry| {
        let value = entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        first_line(value)
    })
}

fn paths(root: &str) -> Vec<&'static str> {
    let path = |mark: &Fingerprint| match mark {
        Fingerprint::Path(path) | Fingerprint::Trace(path) => Some(*path),
        _ => None,
    };
    let all = CLOUDS.iter().flat_map(|cloud| cloud.marks).filter_map(path);
    all.filter(|path| file::exists(&format!("{root}{path}"))).collect()
}

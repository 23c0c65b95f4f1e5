//! The SSH server starts at boot: OpenSSH's, under the names that distributions give its service.

use super::init::Layout;
use super::{Init, Link};
use crate::error::Result;
use crate::sys::{device_node, tree};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Its services, and by which other name a unit is enabled too (Debian's `[Install]` has `Alias=`).
const SERVICES: [(&str, Option<&str>); 2] = [("ssh", Some("sshd")), ("sshd", None)];

/// Sockets that start it when someone calls.
const SOCKETS: [&str; 2] = ["ssh.socket", "sshd.socket"];

/// Where systemd finds what is not to start at all.
const MASK: &str = "/dev/null";

/// Makes the init system below `root` start the SSH server at boot. Returns a line for each change, or what kept it from
/// being made; none if it is started already.
///
/// # Errors
/// `Absent` where there is no init system that wisp knows; `Os`.
pub fn enable_ssh_server(root: &str) -> Result<Vec<String>> {
    let init = Init::find(root)?;
    let layout = init.layout();
    let full = |name: &str| format!("{name}{}", layout.extension);
    let found = SERVICES.iter().find_map(|(name, alias)| Some((*name, *alias, layout.find(root, &full(name))?)));
    let mut told = Vec::new();
    let Some((name, alias, folder)) = found else {
        told.push("there is no SSH server".into());
        return Ok(told);
    };
    let service = full(name);
    let target = format!("{folder}/{service}");
    if init == Init::Systemd {
        if is_masked(root, &service) {
            told.push(format!("{service} is masked, and stays so"));
            return Ok(told);
        }
        if is_wanted(root, layout, &service) || SOCKETS.iter().any(|socket| is_wanted(root, layout, socket)) {
            return Ok(told);
        }
        if let Some(alias) = alias {
            let path = format!("/etc/systemd/system/{}", full(alias));
            let link = Link { path, target: target.clone() };
            // A unit of the user's own by that name is not ours to replace.
            if !tree::is_there(&format!("{root}{}", link.path)) {
                link.make(root, &mut told)?;
            }
        }
    }
    Link { path: layout.link("default", name), target }.make(root, &mut told)?;
    if init == Init::Systemd && root.is_empty() {
        told.push("the SSH server starts from the next boot on".into());
    }
    Ok(told)
}

/// Whether the user or the distribution has ruled that the unit never starts.
fn is_masked(root: &str, unit: &str) -> bool {
    device_node::link_target(&format!("{root}/etc/systemd/system/{unit}")).is_ok_and(|target| target == MASK)
}

/// Whether anything starts the unit at boot, by a link of the user's or of the distribution's.
fn is_wanted(root: &str, layout: &Layout, unit: &str) -> bool {
    let mut folders = layout.services.iter().flat_map(|base| layout.folders_in(root, base));
    folders.any(|folder| tree::is_there(&format!("{root}{folder}/{unit}")))
}

//! Which init system a root has, and where it keeps what it starts at boot.
//!
//! systemd.unit(5) names the folders of units, of which those that images are built with are looked at; OpenRC's are
//! fixed.

use crate::error::{Error, Result};
use crate::sys::{device_node, file, tree};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// An init system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// OpenRC, whichever program is the first process.
    OpenRc,
    /// systemd.
    Systemd,
}

/// Where an init system keeps things, below the root.
pub(super) struct Layout {
    /// Where services are, the first one that has a service has it.
    pub(super) services: &'static [&'static str],
    /// How the names of services end.
    pub(super) extension: &'static str,
    /// The folder of the folders of links.
    base: &'static str,
    /// How the names of those folders end.
    endings: &'static [&'static str],
    /// The folder of links, if not the runlevel's name says it.
    folder: Option<&'static str>,
}

const OPENRC: Layout =
    Layout { services: &["/etc/init.d"], extension: "", base: "/etc/runlevels", endings: &[""], folder: None };

const SYSTEMD: Layout = Layout {
    services: &[
        "/etc/systemd/system",
        "/usr/local/lib/systemd/system",
        "/usr/lib/systemd/system",
        "/lib/systemd/system",
    ],
    extension: ".service",
    base: "/etc/systemd/system",
    endings: &[".wants", ".requires"],
    folder: Some("multi-user.target.wants"),
};

/// What only a root with this init system has; a bare `/etc/init.d` says nothing.
const MARKS: [(Init, &[&str]); 2] = [
    (Init::OpenRc, &["/etc/runlevels", "/sbin/openrc-run", "/usr/sbin/openrc-run"]),
    (Init::Systemd, &["/usr/lib/systemd/systemd", "/lib/systemd/systemd"]),
];

/// What only a running one makes.
const RUNNING: [(Init, &str); 2] = [(Init::Systemd, "/run/systemd/system"), (Init::OpenRc, "/run/openrc")];

impl Init {
    /// The one below `root`. Of two, the one that runs; where none does, the one that the first program is of.
    ///
    /// # Errors
    /// `Absent` where there is neither.
    pub fn find(root: &str) -> Result<Self> {
        let is_there = |path: &str| file::exists(&format!("{root}{path}"));
        let has = |(_, marks): &&(Self, &[&str])| marks.iter().any(|mark| is_there(mark));
        let mut found = MARKS.iter().filter(has).map(|(init, _)| *init);
        match (found.next(), found.next()) {
            (Some(init), None) => Ok(init),
            (Some(_), Some(_)) => Ok(Self::running(root).unwrap_or_else(|| Self::of_first_program(root))),
            (None, _) => {
                Err(Error::absent("find the init system of", "it has neither OpenRC nor systemd").to(shown(root)))
            }
        }
    }

    fn running(root: &str) -> Option<Self> {
        RUNNING.iter().find(|(_, path)| file::exists(&format!("{root}{path}"))).map(|(init, _)| *init)
    }

    /// `/sbin/init` is systemd where it leads there; OpenRC is started by a first program of any make.
    fn of_first_program(root: &str) -> Self {
        let target = device_node::link_target(&format!("{root}/sbin/init")).unwrap_or_default();
        if target.ends_with("/systemd") { Self::Systemd } else { Self::OpenRc }
    }

    pub(super) const fn layout(self) -> &'static Layout {
        match self {
            Self::OpenRc => &OPENRC,
            Self::Systemd => &SYSTEMD,
        }
    }
}

impl Layout {
    /// The link by which a service is started in a runlevel.
    pub(super) fn link(&self, runlevel: &str, service: &str) -> String {
        format!("{}/{}/{service}{}", self.base, self.folder.unwrap_or(runlevel), self.extension)
    }

    /// The folder that has the service of this full name.
    pub(super) fn find(&self, root: &str, service: &str) -> Option<&'static str> {
        self.services.iter().copied().find(|folder| tree::is_there(&format!("{root}{folder}/{service}")))
    }

    /// The folders of links that there are, of which only those in [`Self::base`] are the user's.
    pub(super) fn folders(&self, root: &str) -> Vec<String> {
        self.folders_in(root, self.base)
    }

    /// The folders of links in the folder `base`.
    pub(super) fn folders_in(&self, root: &str, base: &str) -> Vec<String> {
        let names = file::list(&format!("{root}{base}")).unwrap_or_default().into_iter();
        let folders = names.filter(|name| self.endings.iter().any(|ending| name.ends_with(ending)));
        let paths = folders.map(|name| format!("{base}/{name}"));
        paths.filter(|path| file::is_directory(&format!("{root}{path}"))).collect()
    }
}

/// A root as an operator knows it.
fn shown(root: &str) -> &str {
    if root.is_empty() { "/" } else { root }
}

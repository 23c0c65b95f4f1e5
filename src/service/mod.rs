//! The init system of a root, OpenRC or systemd: what it starts at boot is links, which are made and removed here.
//!
//! No init system is told of a change. OpenRC sees a new link when it enters the runlevel, systemd when it next loads its
//! units, which is the next boot. Paths in results and in links are those of the root, without what stands before it.
#![forbid(unsafe_code)]

mod init;
mod ssh_server;

pub use init::Init;
pub use ssh_server::enable_ssh_server;

use crate::error::{Error, Result};
use crate::sys::{device_node, file, tree};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use init::Layout;

/// wisp's own services and the runlevels of OpenRC that start them; systemd starts all of them on the way to
/// `multi-user.target`, each at the place its unit asks for.
const SERVICES: [(&str, &str); 4] =
    [("wisp-boot", "boot"), ("wisp-early", "default"), ("wisp-main", "default"), ("wisp-final", "default")];

/// How the names of Tiny Cloud's services begin. They run the same as ours: both together would run it twice.
const PREDECESSOR: &str = "tiny-cloud";

/// Bytes of the text of a service; those of wisp have a thousand.
const SERVICE_LIMIT: usize = 64 << 10;

/// What a service that starts at boot is to both init systems.
struct Link {
    path: String,
    target: String,
}

/// Makes the init system below `root` start the four phases at boot, and Tiny Cloud's no longer. Returns a line for each
/// change; none if all was so already.
///
/// # Errors
/// `Absent` where there is no init system that wisp knows, a service of ours is not installed, or it starts a program that
/// does not exist; `Os`.
pub fn enable(root: &str) -> Result<Vec<String>> {
    let layout = Init::find(root)?.layout();
    let mut links = Vec::new();
    for (name, runlevel) in SERVICES {
        links.push(Link { path: layout.link(runlevel, name), target: target(root, layout, name)? });
    }
    let mut changes = Vec::new();
    for link in &links {
        link.make(root, &mut changes)?;
    }
    clear(root, layout, &links, &mut changes)?;
    Ok(changes)
}

/// Makes no init system below `root` start the four phases, nor Tiny Cloud's. Returns a line for each change.
///
/// # Errors
/// `Os`.
pub fn disable(root: &str) -> Result<Vec<String>> {
    let mut changes = Vec::new();
    for init in [Init::OpenRc, Init::Systemd] {
        clear(root, init.layout(), &[], &mut changes)?;
    }
    Ok(changes)
}

/// Whether the init system below `root` starts all four phases at boot.
///
/// # Errors
/// `Absent` where there is no init system that wisp knows.
pub fn is_enabled(root: &str) -> Result<bool> {
    let layout = Init::find(root)?.layout();
    let is_there = |(name, runlevel): (&str, &str)| tree::is_there(&format!("{root}{}", layout.link(runlevel, name)));
    Ok(SERVICES.into_iter().all(is_there))
}

/// The links by which `init` starts the four phases, as [`enable`] makes them.
#[cfg(feature = "full")]
#[must_use]
pub fn links(init: Init) -> Vec<String> {
    SERVICES.into_iter().map(|(name, runlevel)| init.layout().link(runlevel, name)).collect()
}

/// What the link for the service `name` leads to. A service that is not installed, or that starts a program that does not
/// exist, would never run.
fn target(root: &str, layout: &Layout, name: &str) -> Result<String> {
    const DOING: &str = "enable the service";
    let service = format!("{name}{}", layout.extension);
    let folder =
        layout.find(root, &service).ok_or_else(|| Error::absent(DOING, "it is not installed").to(&*service))?;
    let path = format!("{folder}/{service}");
    // A link in the root may lead to what only exists there.
    let text = file::read(&format!("{root}{path}"), SERVICE_LIMIT).unwrap_or_default();
    if let Some(program) = program(&String::from_utf8_lossy(&text))
        && !tree::is_there(&format!("{root}{program}"))
    {
        return Err(Error::absent(DOING, format!("it starts {program}, which does not exist")).to(path));
    }
    Ok(path)
}

/// The path by which the text of a service calls wisp.
fn program(text: &str) -> Option<&str> {
    let mut words = text.split(|letter: char| letter.is_whitespace() || matches!(letter, '=' | '"' | '\''));
    words.find(|word| word.starts_with('/') && word.ends_with("/wisp"))
}

impl Link {
    /// Makes it below `root`, in place of a link to somewhere else.
    fn make(&self, root: &str, changes: &mut Vec<String>) -> Result<()> {
        let Self { path, target } = self;
        let place = format!("{root}{path}");
        if let Ok(old) = device_node::link_target(&place) {
            if old == *target {
                return Ok(());
            }
            tree::remove_file(&place)?;
        }
        let folder = place.rsplit_once('/').map_or("", |(folder, _)| folder);
        tree::make_directories(folder, 0o755)?;
        tree::make_link(target, &place)?;
        changes.push(format!("{path} now leads to {target}"));
        Ok(())
    }
}

/// Removes the links to our services and to Tiny Cloud's but those to `keep`.
fn clear(root: &str, layout: &Layout, keep: &[Link], changes: &mut Vec<String>) -> Result<()> {
    for folder in layout.folders(root) {
        for name in file::list(&format!("{root}{folder}"))? {
            let path = format!("{folder}/{name}");
            let service = name.strip_suffix(layout.extension).unwrap_or(&name);
            let is_meant = service.starts_with(PREDECESSOR) || SERVICES.iter().any(|(ours, _)| *ours == service);
            if is_meant && !keep.iter().any(|link| link.path == path) && tree::remove_file(&format!("{root}{path}"))? {
                changes.push(format!("{path} is removed"));
            }
        }
    }
    Ok(())
}

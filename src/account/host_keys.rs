//! The keys by which the machine is known (`ssh_host_*_key` of OpenSSH, `dropbear_*_host_key`): every clone of an image has
//! the same until they are renewed.
//!
//! New keys are made beside the old ones, in a directory that only root can enter, and are on the medium before anything is
//! replaced or removed: whatever fails or is cut off, the server has a key of each type that it had. Which keys were made
//! for which instance is recorded beside them, so that a state directory that cannot be written is no reason for new ones.

mod batch;
mod ed25519;
mod record;

use super::sshd::{self, Config};
use crate::error::{Error, Kind, Result};
use crate::sys::clock;
use crate::sys::dir::{Dir, FileType, Owner};
use crate::sys::exec::Program;
use crate::sys::fork::{self, ChildEvent};
use crate::sys::{file, stdio};
use crate::units::Deadline;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use batch::{Batch, Step};
use core::time::Duration;
use record::AppendLog;
pub use record::Identity;
use rustix::fd::AsFd as _;

const DOING: &str = "renew the host keys";
const MAKE: &str = "make the host key";

/// What is behind the name of a private half in that of the public one.
const PUBLIC: &str = ".pub";

/// Where new keys wait until all are made.
const NEW: &str = ".wisp-new";

/// How long a program may take for one key: RSA takes a second, and half a minute in a machine that is emulated.
const PATIENCE: Duration = Duration::from_secs(120);

/// Bytes of the public half of a key; one of RSA with 16384 bits has 3 KiB.
const PUBLIC_LIMIT: usize = 8 << 10;

/// An SSH server and its keys.
struct Server {
    /// Where it is configured.
    folder: &'static str,
    /// What the names of its keys begin and end with, in that folder.
    names: (&'static str, &'static str),
    /// The file that says which keys were made for whom. It is called so that what removes the keys of an image
    /// (`rm /etc/ssh/ssh_host_*`) removes it, too.
    record: &'static str,
    /// What makes keys of other types than Ed25519; it comes with the server.
    generator: &'static str,
    /// Its arguments besides `-t` and `-f`.
    arguments: &'static [&'static str],
    is_dropbear: bool,
}

const SERVERS: [Server; 2] = [
    Server {
        folder: sshd::FOLDER,
        names: ("ssh_host_", "_key"),
        record: "ssh_host_instance",
        generator: "/usr/bin/ssh-keygen",
        arguments: &["-q", "-N", "", "-C", ""],
        is_dropbear: false,
    },
    Server {
        folder: "/etc/dropbear",
        names: ("dropbear_", "_host_key"),
        record: "dropbear_host_instance",
        generator: "/usr/bin/dropbearkey",
        arguments: &[],
        is_dropbear: true,
    },
];

/// Types of keys, by the word in their names, which is that of ssh-keygen. `ed25519` before those that every server has.
const TYPES: [&str; 3] = [ED25519, "ecdsa", "rsa"];
const ED25519: &str = "ed25519";

/// What became of the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renewed {
    /// The keys that are the machine's own now, as far as there is a line for each: that of Ed25519 first.
    pub public: Vec<String>,
    /// Keys that the server is told to show and that no one could make.
    pub missing: Vec<String>,
    /// What kept keys from being made; those of the image stay in their place.
    pub failures: Vec<Error>,
}

/// Gives the system below `root` keys of its own in place of those of its image; `None` where no SSH server has any. Those
/// that were made for this instance before stay. Ed25519 is made here; where this is the running system, ssh-keygen and
/// dropbearkey make the other types that the server offers.
#[must_use]
pub fn renew(root: &str, identity: &Identity<'_>) -> Option<Renewed> {
    let mut all = None;
    for server in &SERVERS {
        let has_generator = root.is_empty() && file::exists(server.generator);
        let generator = Some(server.generator).filter(|_| has_generator);
        match server.renew(root, identity, generator) {
            Ok(None) => {}
            Ok(Some(renewed)) => {
                let all: &mut Renewed = all.get_or_insert_default();
                all.public.extend(renewed.public);
                all.missing.extend(renewed.missing);
                all.failures.extend(renewed.failures);
            }
            Err(error) => all.get_or_insert_default().failures.push(error),
        }
    }
    all
}

impl Server {
    /// What is to be shown: paths of private halves.
    fn offered(&self, root: &str, names: &[String]) -> Vec<String> {
        let told = if self.is_dropbear { Vec::new() } else { Config::read(root).host_keys };
        let is_path = |path: &String| path.starts_with('/') && !path.ends_with(PUBLIC);
        let mut offered: Vec<String> = Vec::new();
        for path in told.into_iter().filter(is_path) {
            if !offered.contains(&path) {
                offered.push(path);
            }
        }
        if !offered.is_empty() {
            return offered;
        }
        // What it has built in: of these the types that the image has, and all if it has none. dropbear makes those itself.
        let usual = TYPES.map(|kind| [self.names.0, kind, self.names.1].concat());
        let has_any = names.iter().any(|name| self.is_key(name));
        let is_wanted = |name: &&String| {
            let is_own = !self.is_dropbear && name.contains(ED25519);
            if has_any { is_own || names.contains(name) } else { !self.is_dropbear }
        };
        usual.iter().filter(is_wanted).map(|name| [self.folder, "/", name].concat()).collect()
    }

    /// Whether a file in the server's folder is half of a key, or of its certificate.
    fn is_key(&self, name: &str) -> bool {
        name.starts_with(self.names.0) && name.contains(self.names.1)
    }

    fn renew(&self, root: &str, identity: &Identity<'_>, generator: Option<&str>) -> Result<Option<Renewed>> {
        let Some((batch, renewed)) = self.prepare(root, identity, generator)? else { return Ok(None) };
        batch.steps().into_iter().try_for_each(Step::run)?;
        Ok(Some(renewed))
    }

    /// Makes all keys, and changes none that is there.
    fn prepare(
        &self,
        root: &str,
        identity: &Identity<'_>,
        generator: Option<&str>,
    ) -> Result<Option<(Batch, Renewed)>> {
        let Some(own) = Dir::open(root, self.folder)? else { return Ok(None) };
        let names = own.list()?;
        let offered = self.offered(root, &names);
        if offered.is_empty() {
            return Ok(None);
        }
        let (mut batch, mut renewed) = (Batch::default(), Renewed::default());
        let before = AppendLog::read(&own, self.record)?;
        let is_there = |path: &str| Ok(Dir::find(root, path)?.is_some_and(|found| found.file_type == FileType::File));
        // Paths of keys that are, or will be, this machine's own; and of those that stay although they are the image's.
        let (mut ours, mut stay): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
        for path in &offered {
            if before.has(path, identity) && is_there(path)? {
                renewed.public.extend(public_of(root, path));
                ours.push(path);
                continue;
            }
            match self.make(root, path, generator, &mut batch) {
                Ok(Some(public)) => {
                    renewed.public.extend(public);
                    ours.push(path);
                }
                Ok(None) => renewed.missing.push(path.clone()),
                Err(error) => {
                    renewed.failures.push(error);
                    stay.push(path);
                }
            }
        }
        if ours.is_empty() {
            let why = "only keys are configured that cannot be made here; those of the image stay";
            let refused = || Error::refused(DOING, why).to(self.folder);
            return Err(renewed.failures.pop().unwrap_or_else(refused));
        }
        if batch.made.is_empty() && own.look(NEW)?.is_none() {
            return Ok(Some((batch, renewed)));
        }
        let index = batch.place(root, self.folder)?;
        let is_kept = |path: &str| ours.iter().chain(&stay).any(|kept| *kept == path);
        for name in names.iter().filter(|name| self.is_key(name)) {
            if !is_kept(&[self.folder, "/", name.strip_suffix(PUBLIC).unwrap_or(name)].concat()) {
                batch.old.push((index, name.clone()));
            }
        }
        for (above, name) in renewed.missing.iter().filter_map(|path| path.rsplit_once('/')) {
            if above != self.folder && Dir::open(root, above)?.is_some() {
                let index = batch.place(root, above)?;
                batch.old.push((index, name.into()));
            }
        }
        if let Some(place) = batch.places.get(index) {
            place.new.write(self.record, before.emit(identity, &ours).as_bytes(), 0o644, Owner::ROOT)?;
            batch.record = Some((index, self.record));
        }
        Ok(Some((batch, renewed)))
    }

    /// Makes the key for `path`; its public half as a line, as far as it has one. `None` if nothing can make it.
    fn make(
        &self,
        root: &str,
        path: &str,
        generator: Option<&str>,
        batch: &mut Batch,
    ) -> Result<Option<Option<String>>> {
        let Some((above, name)) = path.rsplit_once('/') else { return Ok(None) };
        let Some(kind) = TYPES.into_iter().find(|kind| name.contains(kind)) else { return Ok(None) };
        if kind != ED25519 && generator.is_none() {
            return Ok(None);
        }
        let index = batch.place(root, above)?;
        let Some(place) = batch.places.get(index) else { return Ok(None) };
        let public = match generator.filter(|_| kind != ED25519) {
            None => Some(self.make_own(&place.new, name)?),
            Some(generator) => {
                let file = place.new.path(name);
                let arguments = [self.arguments, &["-t", kind, "-f", &file]].concat();
                let program = Program { path: generator, arguments: &arguments, environment: &[] };
                let deadline = Deadline::after(clock::now(), PATIENCE);
                run(&program, deadline).map_err(|error| error.to(path))?;
                place.new.flush_file(name)?;
                if !self.is_dropbear {
                    place.new.flush_file(&[name, PUBLIC].concat())?;
                }
                read_public(&place.new, name)
            }
        };
        batch.made.push((index, name.into()));
        Ok(Some(public))
    }

    /// Makes an Ed25519 key; its public half as a line.
    fn make_own(&self, folder: &Dir, name: &str) -> Result<String> {
        let put = |private: &[u8]| folder.write(name, private, 0o600, Owner::ROOT);
        let line = ed25519::make(self.is_dropbear, put)?;
        if !self.is_dropbear {
            let public = [&*line, "\n"].concat();
            folder.write(&[name, PUBLIC].concat(), public.as_bytes(), 0o644, Owner::ROOT)?;
        }
        Ok(line)
    }
}

/// Runs what makes a key, in a child process that is ended at the deadline.
fn run(program: &Program<'_>, deadline: Deadline) -> Result<()> {
    let mut child = fork::spawn(|teller| {
        let ended = program.run(stdio::error().as_fd(), &mut || ()).and_then(|ended| ended.success("run"));
        ended.err().map_or(0, |error| {
            teller.notify(&format!("{error}"));
            1
        })
    })?;
    let mut why = String::from("the program that makes it crashed");
    loop {
        match child.listen(deadline) {
            ChildEvent::Line(line) => why = line,
            ChildEvent::Ended(Ok(0)) => return Ok(()),
            ChildEvent::Ended(_) => return Err(Error::new(Kind::Ended, MAKE, why)),
            ChildEvent::Silence => {
                child.end();
                return Err(Error::new(Kind::TimedOut, MAKE, "it took too long and was ended"));
            }
        }
    }
}

/// The public half that lies beside the key at `path`.
fn public_of(root: &str, path: &str) -> Option<String> {
    let (above, name) = path.rsplit_once('/')?;
    read_public(&Dir::open(root, above).ok()??, name)
}

fn read_public(folder: &Dir, name: &str) -> Option<String> {
    let (line, _) = folder.read(&[name, PUBLIC].concat(), PUBLIC_LIMIT).ok()??;
    Some(String::from(core::str::from_utf8(&line).ok()?.trim()))
}

#[cfg(test)]
mod tests;

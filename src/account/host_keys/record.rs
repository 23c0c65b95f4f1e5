//! Which host keys were made for which instance: a file beside them, for the case that nothing else can be recorded.
//!
//! ```text
//! machine ec2e1916-9099-7caf-fd21-012345abcdef
//! instance aws/i-0123456789abcdef0
//! key /etc/ssh/ssh_host_ed25519_key
//! ```

use crate::error::Result;
use crate::sys::dir::Dir;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Bytes of the file: a few lines.
const LIMIT: usize = 64 << 10;

/// Whose the host keys are to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity<'a> {
    /// What the firmware says of the machine; empty where it says nothing.
    pub machine: &'a str,
    /// The instance, `CLOUD/ID`, if that is known.
    pub instance: Option<&'a str>,
    /// Whether what is done for this instance is recorded elsewhere, too.
    pub is_recorded: bool,
}

/// What is in the file.
#[derive(Debug, Default)]
pub(super) struct AppendLog {
    machine: String,
    instance: Option<String>,
    keys: Vec<String>,
}

impl AppendLog {
    /// Reads the file `name`; where there is none, nothing was made for anybody.
    pub(super) fn read(folder: &Dir, name: &str) -> Result<Self> {
        let content = folder.read(name, LIMIT)?.map_or_else(Vec::new, |(content, _)| content);
        let mut record = Self::default();
        for line in String::from_utf8_lossy(&content).lines() {
            match line.split_once(' ') {
                Some(("machine", machine)) => record.machine = machine.into(),
                Some(("instance", instance)) => record.instance = Some(instance.into()),
                Some(("key", path)) => record.keys.push(path.into()),
                _ => {}
            }
        }
        Ok(record)
    }

    /// The file once `keys` are those of this instance, of which more may be known from before.
    pub(super) fn emit(&self, identity: &Identity<'_>, keys: &[&str]) -> String {
        let before = Some(self).filter(|before| before.is_of(identity));
        let known = before.map_or("", |before| before.machine.as_str());
        let machine = if identity.machine.is_empty() { known } else { identity.machine };
        let mut text = String::new();
        if !machine.is_empty() {
            text.push_str(&format!("machine {machine}\n"));
        }
        if let Some(instance) = identity.instance.or(before.and_then(|before| before.instance.as_deref())) {
            text.push_str(&format!("instance {instance}\n"));
        }
        keys.iter().for_each(|key| text.push_str(&format!("key {key}\n")));
        text
    }

    /// Whether the key at `path` was made for this instance.
    pub(super) fn has(&self, path: &str, identity: &Identity<'_>) -> bool {
        self.is_of(identity) && self.keys.iter().any(|key| key == path)
    }

    /// Whether it is about this instance. Of two names of instances that are known only the same one is
    /// the same; else the firmware says it. Where that says nothing, a copy of the disk cannot be told from the original: what
    /// is recorded elsewhere then counts, and without a record the keys stay what they are.
    fn is_of(&self, identity: &Identity<'_>) -> bool {
        match (self.instance.as_deref(), identity.instance) {
            (Some(before), Some(now)) => before == now,
            _ if !self.machine.is_empty() && !identity.machine.is_empty() => self.machine == identity.machine,
            _ => !identity.is_recorded,
        }
    }
}

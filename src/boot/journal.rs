//! What was done for this instance: a file of lines that is only ever added to. That an action begins is on the medium
//! before it does anything.
//!
//! ```text
//! wisp journal 1
//! machine ec2e1916-9099-7caf-fd21-012345abcdef
//! instance aws/i-0123456789abcdef0
//! save_userdata started
//! save_userdata done
//! run_userdata started
//! run_userdata failed
//! ```
//!
//! Of several lines that begin alike the last counts, and one that is not understood tells nothing. So does a line without
//! its newline, and whatever is behind bytes that are no text: power failed while it was written. `machine` is what the
//! firmware says, as far as it says anything. A first boot that has not learned its instance yet has no line `instance`.
//! Another instance begins another file, which takes the place of this one at once.

use crate::error::{Error, Kind, Result};
use crate::sys::append_log::AppendLog;
use crate::sys::{file, tree};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Its name in the folder of the agent's state.
const NAME: &str = "journal";

const FIRST_LINE: &str = "wisp journal 1";

/// It names the instance, which is no secret, and stands in a folder with what is.
const MODE: u32 = 0o600;

/// Some 30 actions write two lines of 40 bytes, and one that fails two more in each boot: a longer file is rewritten
/// without what no longer counts.
const LONG: usize = 16 << 10;

/// No file of ours comes near it.
const LIMIT: usize = 1 << 20;

/// How far an action has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionState {
    /// It began, and no one knows how it ended.
    Started,
    /// It did what it is for.
    Done,
    /// It did not.
    Failed,
}

impl ActionState {
    const ALL: [(Self, &'static str); 3] = [(Self::Started, "started"), (Self::Done, "done"), (Self::Failed, "failed")];

    /// Its word in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(state, _)| *state == self).map_or("", |(_, name)| name)
    }
}

/// The record of one instance.
#[derive(Debug)]
pub struct Journal {
    path: String,
    /// Whether there is a file.
    is_begun: bool,
    /// That file, once something was added: of a bootstrap that is complete it may be on a medium that is read-only.
    file: Option<AppendLog>,
    /// What the firmware said when it was begun, or since.
    pub machine: String,
    /// `CLOUD/ID`.
    pub instance: Option<String>,
    entries: Vec<(String, ActionState)>,
    /// Whether something was added that may be in memory only.
    is_dirty: bool,
    /// Whether the file is to be rewritten before anything is added: what comes next must not become the rest of a line
    /// that was cut off.
    is_stale: bool,
}

impl Journal {
    /// Reads the journal in `folder`; where there is none, an empty one that is nowhere yet.
    ///
    /// # Errors
    /// `Os`; `Corrupt` when it is no journal.
    pub fn read(folder: &str) -> Result<Self> {
        let mut journal = Self::nowhere(folder);
        match file::read(&journal.path, LIMIT) {
            Ok(bytes) => journal.parse(&bytes).map_err(|error| error.to(journal.path.as_str()))?,
            Err(error) if matches!(error.kind, Kind::Os(2 | 20)) => {}
            Err(error) => return Err(error),
        }
        Ok(journal)
    }

    /// The journal that could be begun in `folder`.
    #[must_use]
    pub fn nowhere(folder: &str) -> Self {
        let path = format!("{folder}/{NAME}");
        let (machine, entries) = (String::new(), Vec::new());
        let (is_begun, is_dirty, is_stale) = (false, false, false);
        Self { path, is_begun, file: None, machine, instance: None, entries, is_dirty, is_stale }
    }

    fn parse(&mut self, bytes: &[u8]) -> Result<()> {
        let text = core::str::from_utf8(bytes).or_else(|error| {
            let sound = bytes.get(..error.valid_up_to()).unwrap_or_default();
            core::str::from_utf8(sound)
        });
        let text = text.unwrap_or_default();
        let end = text.rfind('\n').map_or(0, |end| end.saturating_add(1));
        let mut lines = text.get(..end).unwrap_or_default().lines();
        if lines.next() != Some(FIRST_LINE) {
            let why = format!("it does not begin with \"{FIRST_LINE}\"; to begin another: wisp bootstrap incomplete");
            return Err(Error::corrupt("read the journal", why));
        }
        for line in lines {
            match line.split_once(' ') {
                Some(("machine", machine)) => self.machine = machine.into(),
                Some(("instance", instance)) => self.instance = Some(instance.into()),
                Some((name, word)) => {
                    if let Some((state, _)) = ActionState::ALL.iter().find(|(_, known)| *known == word) {
                        self.set(name, *state);
                    }
                }
                None => {}
            }
        }
        self.is_begun = true;
        self.is_stale = end < bytes.len() || bytes.len() > LONG;
        Ok(())
    }

    fn emit(&self) -> String {
        let mut text = format!("{FIRST_LINE}\nmachine {}\n", self.machine);
        if let Some(instance) = &self.instance {
            text.push_str(&format!("instance {instance}\n"));
        }
        self.entries.iter().for_each(|(name, state)| text.push_str(&format!("{name} {}\n", state.name())));
        text
    }

    /// Whether a first boot has begun on this disk.
    #[must_use]
    pub const fn is_begun(&self) -> bool {
        self.is_begun
    }

    /// How far the action has come for this instance; `None` if it never began.
    #[must_use]
    pub fn state(&self, action: &str) -> Option<ActionState> {
        self.entries.iter().find(|(name, _)| name == action).map(|(_, state)| *state)
    }

    fn set(&mut self, action: &str, state: ActionState) {
        match self.entries.iter_mut().find(|(name, _)| name == action) {
            Some((_, known)) => *known = state,
            None => self.entries.push((action.into(), state)),
        }
    }

    /// Begins the record of another instance, in which `done` is done already. The old one is there until this one is; where
    /// it cannot be written, nothing can be noted.
    ///
    /// # Errors
    /// `Os`.
    pub fn begin(&mut self, machine: &str, instance: Option<&str>, done: &[&str]) -> Result<()> {
        (self.machine, self.instance, self.is_begun) = (machine.into(), instance.map(String::from), false);
        self.entries = done.iter().map(|action| (String::from(*action), ActionState::Done)).collect();
        self.write()
    }

    fn write(&mut self) -> Result<()> {
        file::write_atomically(&self.path, self.emit().as_bytes(), MODE)?;
        (self.is_begun, self.file) = (true, None);
        (self.is_dirty, self.is_stale) = (false, false);
        Ok(())
    }

    /// Removes it.
    ///
    /// # Errors
    /// `Os`.
    pub fn end(self) -> Result<()> {
        tree::remove_file(&self.path).map(drop)
    }

    /// The first boot that was begun turns out to be that of `instance`.
    ///
    /// # Errors
    /// `Os`.
    pub fn bind(&mut self, instance: &str) -> Result<()> {
        self.instance = Some(instance.into());
        self.add("instance", instance)?;
        self.flush()
    }

    /// The instance is in this machine now.
    ///
    /// # Errors
    /// `Os`.
    pub fn set_machine(&mut self, machine: &str) -> Result<()> {
        self.machine = machine.into();
        self.add("machine", machine)?;
        self.flush()
    }

    /// Notes how far `action` is. A start is on the medium when this returns.
    ///
    /// # Errors
    /// `Os`; `Absent` when it could not be begun.
    pub fn note(&mut self, action: &str, state: ActionState) -> Result<()> {
        let before = self.entries.clone();
        self.set(action, state);
        let added = self.add(action, state.name());
        let noted = if state == ActionState::Started { added.and_then(|()| self.flush()) } else { added };
        if noted.is_err() {
            self.entries = before;
        }
        noted
    }

    fn add(&mut self, name: &str, word: &str) -> Result<()> {
        if !self.is_begun {
            return Err(Error::absent("add to", "it could not be begun").to(self.path.as_str()));
        }
        if self.is_stale {
            return self.write();
        }
        let file = match self.file.take() {
            Some(file) => file,
            None => AppendLog::open(&self.path)?,
        };
        let added = file.append(format!("{name} {word}\n").as_bytes());
        // Of a line that did not fit there may be a part.
        (self.file, self.is_dirty, self.is_stale) = (Some(file), true, added.is_err());
        added
    }

    /// Waits until everything that was noted is on the medium.
    ///
    /// # Errors
    /// `Os`.
    pub fn flush(&mut self) -> Result<()> {
        if let (true, Some(file)) = (self.is_dirty, &self.file) {
            file.flush()?;
        }
        self.is_dirty = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_behind_one_that_found_no_room_is_its_own() {
        let folder = std::env::temp_dir().join(format!("wisp-journal-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.to_str().unwrap();
        let mut journal = Journal::read(path).unwrap();
        journal.begin("m", Some("i"), &[]).unwrap();
        journal.note("one", ActionState::Started).unwrap();
        // What a write leaves that stops in the middle.
        journal.file.as_ref().unwrap().append(b"one do").unwrap();
        journal.is_stale = true;
        journal.note("two", ActionState::Started).unwrap();
        journal.note("two", ActionState::Done).unwrap();
        let journal = Journal::read(path).unwrap();
        assert_eq!((journal.state("one"), journal.state("two")), (Some(ActionState::Started), Some(ActionState::Done)));
        std::fs::remove_dir_all(folder).unwrap();
    }
}

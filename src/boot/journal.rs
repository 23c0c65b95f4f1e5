//! What was done for this instance: a file of lines that is only ever added to. That an action begins is on the medium
//! before it does anything.
//!
//! ```text
//! wisp journal 1
//! machine ec2e1916-9099-7caf-fd21-012345abcdef ec2e1916-9099-7caf-fd21-012345abcdef
//! instance aws/i-0123456789abcdef0
//! save_userdata started
//! save_userdata done
//! run_userdata started
//! run_userdata failed
//! ```
//!
//! A line without its newline was cut off by a power failure, and tells nothing. `machine` is what the firmware says,
//! as far as it says anything. A first boot that has not learned its instance yet has no line `instance`. Another
//! instance begins another file, which takes the place of this one at once.

use crate::error::{Error, Kind, Result};
use crate::sys::file;
use crate::sys::record::Record;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Its name in the folder of the agent's state.
const NAME: &str = "journal";

const FIRST_LINE: &str = "wisp journal 1";

/// It names the instance, which is no secret, and stands in a folder with what is.
const MODE: u32 = 0o600;

/// Some 30 actions write two lines of 40 bytes; one that fails in every boot adds two in each of them.
const LIMIT: usize = 1 << 20;

/// How far an action has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It began, and nobody knows how it ended.
    Started,
    /// It did what it is for.
    Done,
    /// It did not.
    Failed,
}

impl State {
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
    file: Option<Record>,
    /// What the firmware said when it was begun.
    pub machine: String,
    /// `CLOUD/ID`.
    pub instance: Option<String>,
    entries: Vec<(String, State)>,
    /// Whether something was added that may be in memory only.
    is_dirty: bool,
    /// The lines in front of one that was cut off.
    sound: Option<String>,
    /// Whether the last line that was added may have no end, since the medium was full.
    is_torn: bool,
}

impl Journal {
    /// Reads the journal in `folder`; where there is none, an empty one that is nowhere yet.
    ///
    /// # Errors
    /// `Os`; `Corrupt` when it is no journal.
    pub fn read(folder: &str) -> Result<Self> {
        let path = format!("{folder}/{NAME}");
        let (machine, entries) = (String::new(), Vec::new());
        let mut journal =
            Self { path, file: None, machine, instance: None, entries, is_dirty: false, sound: None, is_torn: false };
        match file::read(&journal.path, LIMIT) {
            Ok(bytes) => {
                journal.parse(&bytes).map_err(|error| error.to(journal.path.as_str()))?;
                journal.file = Some(Record::open(&journal.path)?);
            }
            Err(error) if matches!(error.kind, Kind::Os(2 | 20)) => {}
            Err(error) => return Err(error),
        }
        Ok(journal)
    }

    fn parse(&mut self, bytes: &[u8]) -> Result<()> {
        const DOING: &str = "read the journal";
        let text = core::str::from_utf8(bytes).map_err(|_| Error::corrupt(DOING, "it is no UTF-8"))?;
        let mut lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        if lines.next() != Some(FIRST_LINE) {
            return Err(Error::corrupt(DOING, format!("it does not begin with \"{FIRST_LINE}\"")));
        }
        for line in lines {
            match line.split_once(' ') {
                Some(("machine", machine)) => self.machine = machine.into(),
                Some(("instance", instance)) => self.instance = Some(instance.into()),
                Some((name, word)) => {
                    let state = State::ALL.iter().find(|(_, known)| *known == word);
                    self.entries.extend(state.map(|(state, _)| (name.into(), *state)));
                }
                None => {}
            }
        }
        let end = text.rfind('\n').map_or(0, |end| end.saturating_add(1));
        self.sound = text.get(..end).filter(|sound| sound.len() < text.len()).map(String::from);
        Ok(())
    }

    /// Whether a first boot has begun on this disk.
    #[must_use]
    pub const fn is_begun(&self) -> bool {
        self.file.is_some()
    }

    /// How far the action has come for this instance; `None` if it never began.
    #[must_use]
    pub fn state(&self, action: &str) -> Option<State> {
        self.entries.iter().rev().find(|(name, _)| name == action).map(|(_, state)| *state)
    }

    /// Begins the record of another instance, in which `done` is done already. The old one is there until this one is.
    ///
    /// # Errors
    /// `Os`.
    pub fn begin(&mut self, machine: &str, instance: Option<&str>, done: &[&str]) -> Result<()> {
        let mut text = format!("{FIRST_LINE}\nmachine {machine}\n");
        if let Some(instance) = instance {
            text.push_str(&format!("instance {instance}\n"));
        }
        done.iter().for_each(|action| text.push_str(&format!("{action} {}\n", State::Done.name())));
        file::write_atomically(&self.path, text.as_bytes(), MODE)?;
        self.file = Some(Record::open(&self.path)?);
        (self.machine, self.instance, self.is_dirty) = (machine.into(), instance.map(String::from), false);
        self.entries = done.iter().map(|action| (String::from(*action), State::Done)).collect();
        Ok(())
    }

    /// The first boot that was begun turns out to be that of `instance`.
    ///
    /// # Errors
    /// `Os`.
    pub fn bind(&mut self, instance: &str) -> Result<()> {
        self.add("instance", instance)?;
        self.instance = Some(instance.into());
        self.flush()
    }

    /// Notes how far `action` is. A start is on the medium when this returns.
    ///
    /// # Errors
    /// `Os`.
    pub fn note(&mut self, action: &str, state: State) -> Result<()> {
        self.add(action, state.name())?;
        self.entries.push((action.into(), state));
        if state == State::Started { self.flush() } else { Ok(()) }
    }

    fn add(&mut self, name: &str, word: &str) -> Result<()> {
        // What comes next must not become the rest of a line that was cut off.
        if let Some(sound) = self.sound.take() {
            file::write_atomically(&self.path, sound.as_bytes(), MODE)?;
            self.file = Some(Record::open(&self.path)?);
        }
        if let Some(file) = &self.file {
            let start = if self.is_torn { "\n" } else { "" };
            self.is_torn = true;
            file.append(format!("{start}{name} {word}\n").as_bytes())?;
            self.is_torn = false;
        }
        self.is_dirty = true;
        Ok(())
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
        journal.note("one", State::Started).unwrap();
        // What a write leaves that stops in the middle.
        journal.file.as_ref().unwrap().append(b"one do").unwrap();
        journal.is_torn = true;
        journal.note("two", State::Started).unwrap();
        journal.note("two", State::Done).unwrap();
        let journal = Journal::read(path).unwrap();
        assert_eq!((journal.state("one"), journal.state("two")), (Some(State::Started), Some(State::Done)));
        std::fs::remove_dir_all(folder).unwrap();
    }
}

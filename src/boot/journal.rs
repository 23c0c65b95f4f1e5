//! What was done for this instance: a file of lines that is only ever added to, each on the medium before what it tells of
//! begins.
//!
//! ```text
//! wisp journal 1
//! instance aws/i-0123456789abcdef0
//! machine ec2e1916-9099-7caf-fd21-012345abcdef
//! save_userdata started
//! save_userdata done
//! run_userdata started
//! run_userdata failed ended with exit code 3
//! ```
//!
//! A line without its newline was cut off by a power failure and tells nothing. Another instance begins another file.

use alloc::string::String;
use alloc::vec::Vec;

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

/// The record of one instance.
#[derive(Debug, Default)]
pub struct Journal {
    entries: Vec<(String, State)>,
}

impl Journal {
    /// How far the action has come for this instance; `None` if it never began.
    #[must_use]
    pub fn state(&self, action: &str) -> Option<State> {
        self.entries.iter().rev().find(|(name, _)| name == action).map(|(_, state)| *state)
    }
}

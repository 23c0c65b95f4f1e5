//! Keys that are made and wait to take their place, and the steps in which they do: the server has a key of each type between
//! any two of them.

use super::{NEW, PUBLIC};
use crate::account::home::folder;
use crate::error::Result;
use crate::sys::dir::{Dir, Owner};
use alloc::string::String;
use alloc::vec::Vec;

/// A directory with keys, and the one in it where new ones wait.
pub(super) struct Place {
    path: String,
    folder: Dir,
    /// Where new ones wait.
    pub(super) new: Dir,
}

/// What is to be done when all keys are made, in this order.
pub(super) enum Step<'a> {
    /// The file, if it is there.
    Remove(&'a Dir, String),
    /// The new file into its place, if there is one.
    Move(&'a Place, String),
    Flush(&'a Dir),
    End(&'a Place),
}

impl Step<'_> {
    /// Does it.
    pub(super) fn run(self) -> Result<()> {
        match self {
            Self::Remove(folder, name) => folder.remove(&name),
            Self::Move(place, name) => place.new.move_to(&name, &place.folder),
            Self::Flush(folder) => folder.flush(),
            Self::End(place) => place.folder.remove_folder(NEW),
        }
    }
}

/// Files that are made, and wait to take their place.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) places: Vec<Place>,
    /// The new keys, each with the index of its place.
    pub(super) made: Vec<(usize, String)>,
    /// The new record, likewise.
    pub(super) record: Option<(usize, &'static str)>,
    /// Those of the image that go: a place and a name.
    pub(super) old: Vec<(usize, String)>,
}

impl Drop for Batch {
    /// What has not taken its place is of no use.
    fn drop(&mut self) {
        for place in &self.places {
            place.new.list().unwrap_or_default().iter().for_each(|name| drop(place.new.remove(name)));
            drop(place.folder.remove_folder(NEW));
        }
    }
}

impl Batch {
    /// The place at `path`, which is made if need be, with room for new keys.
    pub(super) fn place(&mut self, root: &str, path: &str) -> Result<usize> {
        if let Some(index) = self.places.iter().position(|place| place.path == path) {
            return Ok(index);
        }
        let folder = folder(root, path)?;
        let new = folder.make(NEW, 0o700, Owner::ROOT)?;
        // What a run left that was cut off.
        new.list()?.iter().try_for_each(|name| new.remove(name))?;
        self.places.push(Place { path: path.into(), folder, new });
        Ok(self.places.len().saturating_sub(1))
    }

    /// What is to be done now. Between any two of these the server has keys.
    pub(super) fn steps(&self) -> Vec<Step<'_>> {
        let mut steps = Vec::new();
        let at = |index: &usize| self.places.get(*index);
        for (place, name) in self.made.iter().filter_map(|(index, name)| Some((at(index)?, name))) {
            // Never a private half beside the public one of another key: the server would believe the latter.
            steps.push(Step::Remove(&place.folder, [name, PUBLIC].concat()));
            steps.push(Step::Move(place, name.clone()));
            steps.push(Step::Move(place, [name, PUBLIC].concat()));
        }
        let flush = || self.places.iter().map(|place| Step::Flush(&place.folder));
        steps.extend(flush());
        let old = self.old.iter().filter_map(|(index, name)| Some((at(index)?, name)));
        steps.extend(old.map(|(place, name)| Step::Remove(&place.folder, name.clone())));
        // It says that all of this is done, so nothing but it is left of this work by then.
        let last = self.record.as_ref().and_then(|(index, name)| Some((at(index)?, *name)));
        let is_last = |place: &&Place| last.is_some_and(|(last, _)| last.path == place.path);
        steps.extend(self.places.iter().filter(|place| !is_last(place)).map(Step::End));
        if let Some((place, name)) = last {
            steps.extend([Step::Move(place, name.into()), Step::End(place)]);
        }
        steps.extend(flush());
        steps
    }
}

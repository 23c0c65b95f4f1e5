//! Waits for devices, and loads drivers for what is there and what comes.

#![forbid(unsafe_code)]

use super::find_root::SYSFS;
use super::modules::Loader;
use crate::error::Result;
use crate::settings::Wait;
use crate::sys::clock;
use crate::sys::uevent::Listener;
use crate::units::Deadline;
use core::time::Duration;

/// Without an event the devices are looked at this often all the same: a medium that becomes ready sends none.
pub const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A wait that has begun.
pub struct Watch<'a> {
    events: Listener,
    /// Loads the drivers.
    pub drivers: Loader<'a>,
    /// When the wait began.
    pub begun: Duration,
    /// When it is over.
    pub deadline: Deadline,
}

impl<'a> Watch<'a> {
    /// Begins before the first look: what comes between a look and the subscription would be missed.
    ///
    /// # Errors
    /// `Os`.
    pub fn begin(drivers: Loader<'a>, wait: Wait) -> Result<Self> {
        let begun = clock::now();
        let deadline = match wait {
            Wait::AtMost(span) => Deadline::after(begun, span),
            Wait::Forever => Deadline::NEVER,
        };
        Ok(Self { events: Listener::open()?, drivers, begun, deadline })
    }

    /// Takes in the next event, if one comes within `patience`, and all that wait behind it; none comes from a medium
    /// that becomes ready.
    pub fn hear(&mut self, patience: Duration) {
        let mut until = self.deadline.sooner(Deadline::after(clock::now(), patience));
        while let Some(event) = self.events.next(until) {
            if event.value("ACTION") == Some("add")
                && let Some(alias) = event.value("MODALIAS")
            {
                self.drivers.load_for(alias);
            }
            until = Deadline::after(clock::now(), Duration::ZERO);
        }
    }

    /// Loads drivers for what comes within `span`.
    pub fn settle(&mut self, span: Duration) {
        let until = Deadline::after(clock::now(), span);
        while !until.has_passed(clock::now()) {
            self.hear(span);
            self.drivers.load_for_all(SYSFS.root);
        }
    }

    /// What `look` finds, as soon as it does; nothing when the time is up.
    pub fn look_for<T>(&mut self, look: &mut dyn FnMut() -> Option<T>) -> Option<T> {
        loop {
            // Each time, as announcements get lost when many come at once.
            self.drivers.load_for_all(SYSFS.root);
            // The bus that a driver brought has announced its devices by now.
            self.hear(Duration::ZERO);
            let found = look();
            if found.is_some() || self.deadline.has_passed(clock::now()) {
                return found;
            }
            if !self.drivers.release() {
                self.hear(LOOK_AGAIN);
            }
        }
    }
}

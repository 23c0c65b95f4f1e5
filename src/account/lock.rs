//! Keeps everyone else's hands off passwd and its kin while they are changed.
//!
//! Two locks are taken, since programs differ in which they honour: the one of glibc's `lckpwdf(3)`, a record lock on
//! `/etc/.pwd.lock`, and those of shadow, files `/etc/passwd.lock` that hold the number of a process. All are let go when
//! the guard is dropped. busybox honours neither.

use crate::error::{Error, Kind, Result};
use crate::sys::dir::{Dir, Lock};
use crate::sys::{clock, pid};
use crate::units::Deadline;
use alloc::format;
use core::time::Duration;

/// How long `lckpwdf` waits.
const PATIENCE: Duration = Duration::from_secs(15);

/// There is no event for the end of a lock that is a file; useradd holds one for some milliseconds.
const NAP: Duration = Duration::from_millis(20);

/// How far the time of a file and that of the machine may be apart by rounding.
const SLACK: u64 = 2;

/// What `lckpwdf` locks.
const RECORD: &str = ".pwd.lock";

/// What shadow calls its locks.
const NAMES: [&str; 4] = ["passwd.lock", "group.lock", "gshadow.lock", "shadow.lock"];

/// Bytes of a lock: a number.
const LOCK_LIMIT: usize = 32;

/// The file that shadow's locks are names of while they are ours. Made whole before it gets them, so that no one finds
/// a lock without a number. It goes last: after a power cut the locks may be empty, and by this they are known as ours.
const OWN: &str = ".pwd.wisp";

/// While it lives, no other process changes accounts.
pub(super) struct Guard<'a> {
    etc: &'a Dir,
    record: Option<Lock>,
    taken: usize,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        // One that stays names a process that is gone, and no one honours it.
        NAMES.iter().take(self.taken).for_each(|name| drop(self.etc.remove(name)));
        if self.record.is_some() {
            drop(self.etc.remove(OWN));
        }
    }
}

/// Takes all locks in `etc`.
///
/// # Errors
/// `Os`; `TimedOut` when someone holds one for 15 seconds.
pub(super) fn take(etc: &Dir) -> Result<Guard<'_>> {
    take_until(etc, Deadline::after(clock::now(), PATIENCE))
}

fn take_until(etc: &Dir, deadline: Deadline) -> Result<Guard<'_>> {
    let mut guard = Guard { etc, record: None, taken: 0 };
    loop {
        if guard.record.is_none() {
            guard.record = etc.lock(RECORD)?;
            if guard.record.is_some() {
                sweep_own(etc)?;
                etc.create(OWN, format!("{}\0", pid::own_number()).as_bytes())?;
            }
        }
        if guard.record.is_some() && guard.take_more()? {
            return Ok(guard);
        }
        if deadline.has_passed(clock::now()) {
            let name = if guard.record.is_none() { RECORD } else { NAMES.get(guard.taken).unwrap_or(&RECORD) };
            let error = Error::new(Kind::TimedOut, "take the lock", "another program holds it");
            return Err(error.to(etc.path(name)));
        }
        clock::pause(NAP);
    }
}

/// Lets go of what one of us kept locked who was cut off, if anybody was: shadow honours a lock without a number for
/// ever.
pub(super) fn release(etc: &Dir) -> Result<()> {
    if etc.look(OWN)?.is_some() { take(etc).map(drop) } else { Ok(()) }
}

impl Guard<'_> {
    /// Takes those that are free, in order; whether these are all.
    fn take_more(&mut self) -> Result<bool> {
        while let Some(name) = NAMES.get(self.taken) {
            let is_taken = self.etc.link(OWN, name)? || sweep(self.etc, name)? && self.etc.link(OWN, name)?;
            if !is_taken {
                return Ok(false);
            }
            self.taken = self.taken.saturating_add(1);
        }
        Ok(true)
    }
}

/// Removes the locks of one of us that was cut off. Who has the record lock is the only one of us.
fn sweep_own(etc: &Dir) -> Result<()> {
    let Some(own) = etc.look(OWN)? else { return Ok(()) };
    for name in NAMES {
        if etc.look(name)?.is_some_and(|lock| lock.number == own.number) {
            etc.remove(name)?;
        }
    }
    etc.remove(OWN)
}

/// Removes the lock `name` if the process that took it is gone; whether it was removed.
fn sweep(etc: &Dir, name: &str) -> Result<bool> {
    let Some((content, facts)) = etc.read(name, LOCK_LIMIT)? else { return Ok(true) };
    if is_of_this_boot(facts.changed) {
        let text = core::str::from_utf8(&content).unwrap_or_default();
        // shadow, too, lets a lock without a number be.
        let Ok(holder) = text.trim_end_matches('\0').parse() else { return Ok(false) };
        if holder != pid::own_number() && pid::is_running(holder) {
            return Ok(false);
        }
    }
    etc.remove(name)?;
    Ok(true)
}

/// Whether a file that was made at `made`, in seconds since 1970, was made since the kernel started. A lock that a power
/// cut left is empty, or bears the number of someone else by now.
fn is_of_this_boot(made: i64) -> bool {
    let since = i64::try_from(clock::wall().as_secs()).unwrap_or(i64::MAX).saturating_sub(made);
    u64::try_from(since).is_ok_and(|since| since <= clock::since_boot().as_secs().saturating_add(SLACK))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fork;
    use alloc::string::String;

    fn etc(name: &str) -> (String, Dir) {
        let path = std::env::temp_dir().join(format!("wisp-lock-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        let path = String::from(path.to_str().unwrap());
        let folder = Dir::open("", &path).unwrap().unwrap();
        (path, folder)
    }

    #[test]
    fn locks_are_those_of_shadow_and_go_with_the_guard() {
        let (path, etc) = etc("names");
        let guard = take(&etc).unwrap();
        for name in NAMES {
            assert_eq!(
                std::fs::read(format!("{path}/{name}")).unwrap(),
                format!("{}\0", std::process::id()).as_bytes()
            );
        }
        drop(guard);
        assert_eq!(crate::sys::file::list(&path).unwrap(), [RECORD]);
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_lock_of_a_dead_process_is_swept_and_one_of_a_live_one_stays() {
        let (path, etc) = etc("stale");
        for (holder, is_stale) in [("1\0", false), ("", false), ("soon", false), ("4194305", true), ("4194305\0", true)]
        {
            std::fs::write(format!("{path}/group.lock"), holder).unwrap();
            assert_eq!(sweep(&etc, "group.lock").unwrap(), is_stale, "{holder}");
        }
        assert!(sweep(&etc, "group.lock").unwrap(), "one that is not there is swept");
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_lock_from_before_the_boot_has_no_owner() {
        let now = i64::try_from(clock::wall().as_secs()).unwrap();
        let up = i64::try_from(clock::since_boot().as_secs()).unwrap();
        assert!(is_of_this_boot(now) && is_of_this_boot(now - up));
        assert!(!is_of_this_boot(now - up - 60) && !is_of_this_boot(now + 60));
    }

    #[test]
    fn locks_that_a_power_cut_left_are_swept_even_if_they_are_empty() {
        let (path, etc) = etc("cut");
        std::fs::write(format!("{path}/{OWN}"), "").unwrap();
        for name in ["passwd.lock", "group.lock"] {
            std::fs::hard_link(format!("{path}/{OWN}"), format!("{path}/{name}")).unwrap();
        }
        // Not ours, and its holder runs.
        std::fs::write(format!("{path}/shadow.lock"), "1\0").unwrap();
        let once = Deadline::after(clock::now(), Duration::ZERO);
        let error = take_until(&etc, once).err().unwrap();
        assert_eq!((error.kind, &*error.to), (Kind::TimedOut, &*format!("{path}/shadow.lock")));
        assert_eq!(crate::sys::file::list(&path).unwrap(), [RECORD, "shadow.lock"]);
        std::fs::remove_file(format!("{path}/shadow.lock")).unwrap();
        drop(take_until(&etc, once).unwrap());
        assert_eq!(crate::sys::file::list(&path).unwrap(), [RECORD]);
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn what_a_power_cut_kept_locked_is_let_go_and_else_nothing_is_touched() {
        let (path, etc) = etc("release");
        release(&etc).unwrap();
        assert_eq!(crate::sys::file::list(&path).unwrap(), [""; 0]);
        std::fs::write(format!("{path}/{OWN}"), "").unwrap();
        std::fs::hard_link(format!("{path}/{OWN}"), format!("{path}/passwd.lock")).unwrap();
        release(&etc).unwrap();
        assert_eq!(crate::sys::file::list(&path).unwrap(), [RECORD]);
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn what_another_process_holds_is_waited_for() {
        let (path, etc) = etc("record");
        let mut child = fork::spawn(|teller| {
            let lock = etc.lock(".pwd.lock");
            teller.notify(if matches!(lock, Ok(Some(_))) { "taken" } else { "failed" });
            clock::pause(Duration::from_secs(3600));
            0
        })
        .unwrap();
        let soon = Deadline::after(clock::now(), Duration::from_secs(20));
        assert_eq!(child.listen(soon), fork::ChildEvent::Line("taken".into()));
        let once = Deadline::after(clock::now(), Duration::ZERO);
        let error = take_until(&etc, once).err().unwrap();
        assert_eq!((error.kind, &*error.to), (Kind::TimedOut, &*format!("{path}/.pwd.lock")));
        child.kill();
        drop(take_until(&etc, soon).unwrap());
        std::fs::write(format!("{path}/gshadow.lock"), "1\0").unwrap();
        let error = take_until(&etc, once).err().unwrap();
        assert_eq!((error.kind, &*error.to), (Kind::TimedOut, &*format!("{path}/gshadow.lock")));
        assert_eq!(crate::sys::file::list(&path).unwrap(), [RECORD, "gshadow.lock"]);
        std::fs::remove_dir_all(path).unwrap();
    }
}

//! The one error type.
//!
//! An [`Error`] says what was being done, to what, and why it did not work, in words an operator can act on:
//! `read the backup GPT header of /dev/vda: checksum does not match`. Rooms return it; only `command` (and PID 1,
//! which has no one to return to) prints it. The [`Kind`] decides the exit code and whether trying again may help,
//! in one table, `Kind::row`.
#![forbid(unsafe_code)]

use crate::errno;
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::ops::Deref;

/// What went wrong, sorted by what the operator can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command line or the configuration says something that cannot be meant.
    Usage,
    /// The thing is not there.
    Absent,
    /// The thing is sound, and wisp does not know how to handle it.
    Unsupported,
    /// The thing contradicts its own specification.
    Corrupt,
    /// wisp knows how, and will not: doing it could lose data or was switched off.
    Refused,
    /// The kernel said no; the number is its `errno`.
    Os(i32),
    /// The remote side answered with this status.
    Remote(u16),
    /// The deadline passed.
    TimedOut,
    /// A program ended by a signal, or with an exit code other than 0.
    Ended,
}

impl Kind {
    /// The one table: name in JSON reports, exit code, and whether the same call may succeed a moment later.
    const fn row(self) -> (&'static str, u8, bool) {
        match self {
            Self::Usage => ("usage", 2, false),
            Self::Absent => ("absent", 3, true),
            Self::Unsupported => ("unsupported", 4, false),
            Self::Corrupt => ("corrupt", 5, false),
            Self::Refused => ("refused", 6, false),
            // A missing file is absent, whichever command opens it.
            Self::Os(errno::ENOENT) => ("absent", 3, true),
            Self::Os(errno) => ("os", 1, errno::may_pass(errno)),
            Self::Remote(_) => ("remote", 7, true),
            Self::TimedOut => ("timed-out", 8, true),
            Self::Ended => ("ended", 9, false),
        }
    }

    /// The word for this kind in JSON reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// The exit code of a command that ends with this kind of error.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        self.row().1
    }

    /// Whether the same call may succeed a moment later.
    #[must_use]
    pub const fn may_retry(self) -> bool {
        self.row().2
    }
}

/// Why something could not be done. Prints as `DOING TO: WHY`. Behind a pointer, because every `Result` is moved often
/// and is an error hardly ever: by value it made the program a tenth larger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(Box<Account>);

/// What an [`Error`] tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// What the operator can do about it.
    pub kind: Kind,
    /// What was being done, as an infinitive without subject: "read the backup GPT header of".
    pub doing: &'static str,
    /// The device, path or address it was being done to; empty while a pure room does not know it yet.
    pub to: String,
    /// The reason; for [`Kind::Os`] left empty, the errno speaks.
    pub why: Cow<'static, str>,
}

/// The result every fallible function of wisp returns.
pub type Result<T> = core::result::Result<T, Error>;

impl Error {
    /// An error of `kind` met while `doing` something, because of `why`. Name the thing with [`Error::to`].
    #[must_use]
    pub fn new(kind: Kind, doing: &'static str, why: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Account { kind, doing, to: String::new(), why: why.into() }))
    }

    /// The kernel refused `doing` with `errno`.
    #[must_use]
    pub fn os(errno: i32, doing: &'static str) -> Self {
        Self::new(Kind::Os(errno), doing, "")
    }

    /// Bytes that contradict their specification.
    #[must_use]
    pub fn corrupt(doing: &'static str, why: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Corrupt, doing, why)
    }

    /// Something wisp could do and will not.
    #[must_use]
    pub fn refused(doing: &'static str, why: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Refused, doing, why)
    }

    /// Something that is not there.
    #[must_use]
    pub fn absent(doing: &'static str, why: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Absent, doing, why)
    }

    /// Something sound that wisp cannot handle.
    #[must_use]
    pub fn unsupported(doing: &'static str, why: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Unsupported, doing, why)
    }

    /// A command line or configuration that cannot be meant.
    #[must_use]
    pub fn usage(doing: &'static str, why: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Usage, doing, why)
    }

    /// Names the thing, unless a deeper room already did.
    #[must_use]
    pub fn to(mut self, thing: impl Into<String>) -> Self {
        if self.0.to.is_empty() {
            self.0.to = thing.into();
        }
        self
    }
}

impl Deref for Error {
    type Target = Account;

    fn deref(&self) -> &Account {
        &self.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.doing)?;
        if !self.to.is_empty() {
            write!(out, " {}", self.to)?;
        }
        match self.kind {
            Kind::Os(errno) => {
                match errno::describe(errno) {
                    Some((name, text)) => write!(out, ": {text} ({name})")?,
                    None => write!(out, ": error {errno} of the kernel")?,
                }
                match self.why.is_empty() {
                    true => Ok(()),
                    false => write!(out, ", {}", self.why),
                }
            }
            Kind::Remote(status) => write!(out, ": answered {status} {}", self.why),
            _ => write!(out, ": {}", self.why),
        }
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn an_error_reads_as_a_sentence() {
        let error = Error::corrupt("read the backup GPT header of", "checksum does not match").to("/dev/vda");
        assert_eq!(error.to_string(), "read the backup GPT header of /dev/vda: checksum does not match");
        assert_eq!(
            Error::os(30, "mount").to("/dev/vda1").to_string(),
            "mount /dev/vda1: read-only file system (EROFS)"
        );
        let error = Error::new(Kind::Os(16), "grow", "a resize is running").to("/");
        assert_eq!(error.to_string(), "grow /: device or resource busy (EBUSY), a resize is running");
    }

    #[test]
    fn the_deepest_room_names_the_thing() {
        assert_eq!(Error::absent("find", "nothing matches").to("/dev/vda1").to("/dev/vda").to, "/dev/vda1");
    }

    #[test]
    fn every_kind_has_its_own_exit_code_and_usage_is_two() {
        let kinds = [
            Kind::Os(5),
            Kind::Usage,
            Kind::Absent,
            Kind::Unsupported,
            Kind::Corrupt,
            Kind::Refused,
            Kind::Remote(503),
            Kind::TimedOut,
            Kind::Ended,
        ];
        for (index, kind) in kinds.iter().enumerate() {
            assert_eq!(usize::from(kind.exit_code()), index + 1);
        }
        assert_eq!(
            Error::new(Kind::Remote(503), "fetch", "Slow down").to("x").to_string(),
            "fetch x: answered 503 Slow down"
        );
        assert!(Kind::TimedOut.may_retry() && !Kind::Corrupt.may_retry());
        assert_eq!((Kind::Os(2).exit_code(), Kind::Os(2).name()), (3, "absent"), "one exit code for a missing file");
        assert!(Kind::Os(11).may_retry() && !Kind::Os(22).may_retry(), "EAGAIN passes, EINVAL does not");
        assert_eq!(Kind::Refused.name(), "refused");
    }
}

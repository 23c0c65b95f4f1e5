//! Writes the image that the kernel command line names, before there is a root, and says on every console what came of it.
//!
//! All of it that may crash or hang is done by a child ([`task`]); this side waits, tries again, and ends the machine, which
//! it never switches off but after a success, or on the user's word for failures.

#![forbid(unsafe_code)]

mod already_written;
mod progress_log;
mod task;

pub use task::Task;

use super::bad_end;
use crate::error::{Error, Result};
use crate::log::Log;
use crate::settings::{After, Image, Wait};
use crate::sys::fork::{self, Child, ChildEvent};
use crate::sys::power::{self, End};
use crate::sys::{clock, uname};
use crate::text::cmdline::Cmdline;
use crate::text::device_spec::DeviceSpec;
use crate::units::Deadline;
use alloc::format;
use alloc::string::String;
use core::time::Duration;

/// A child from which nothing is heard for so long is given up: no server is waited for that long, and no disk takes it for
/// one request unless it is broken.
const SILENCE: Duration = Duration::from_secs(15 * 60);

/// Before the second try; each further pause is twice as long, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// What the caller knows of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The kernel command line, for the words that belong to modules.
    pub line: &'a Cmdline,
    /// How long to wait for a disk.
    pub wait: Wait,
    /// The root whose own initramfs this is: where it lies on the target, the image is not written yet.
    pub own_root: Option<&'a DeviceSpec>,
}

/// How a try ended.
enum Outcome {
    /// The image is on the disk now. What is told of that.
    Written(String),
    /// It was there before.
    There(String),
    /// It is not; whether another try may help, and what is told.
    Failed(bool, String),
}

/// Has `image` written, and ends the machine if that is asked for. Returns when the boot is to go on.
///
/// # Errors
/// `Refused` when no try brought the image onto the disk; why was told.
pub fn run(image: Result<Image>, place: Place<'_>, log: &Log) -> Result<()> {
    // `requested` has refused before; this lets the compiler leave the code for writing out of the small program.
    let image = match image.and_then(|image| if cfg!(feature = "full") { Ok(image) } else { Err(unsupported()) }) {
        Ok(image) => image,
        Err(error) => {
            log.verdict(&format!("image-write failed {}", task::account("words", &error)));
            return Err(failed());
        }
    };
    let mut pause = FIRST_PAUSE;
    for left in (0..image.tries).rev() {
        let (may_help, why) = match attempt(&image, place, log) {
            Outcome::Written(told) => {
                log.verdict(&format!("image-write ok {told}"));
                return end(image.after, log);
            }
            Outcome::There(told) => {
                log.verdict(&format!("image-write skipped {told}"));
                return Ok(());
            }
            Outcome::Failed(may_help, why) => (may_help, why),
        };
        log.verdict(&format!("image-write failed {why}"));
        if !may_help || left == 0 {
            break;
        }
        log.info(&format!("the image is tried again in {} s, {left} more times at most", pause.as_secs()));
        clock::pause(pause);
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
    Err(failed())
}

/// The image that the kernel command line names; `None` without one.
///
/// # Errors
/// As [`Image::from_cmdline`]; `Unsupported` in the small program, which writes no images and does not have the 6 KB of code
/// that parse the words.
#[must_use]
pub fn requested(line: &Cmdline) -> Option<Result<Image>> {
    if cfg!(feature = "full") {
        return Image::from_cmdline(line);
    }
    line.value("wisp.image").filter(|value| !value.is_empty()).map(|_| Err(unsupported()))
}

fn unsupported() -> Error {
    let why = "this is the small program, which writes none: `wisp initramfs --network` takes the large one";
    Error::unsupported("write the image", why)
}

fn failed() -> Error {
    Error::refused("write the image to", "see the line above").to("the target")
}

/// One try, in a child process.
fn attempt(image: &Image, place: Place<'_>, log: &Log) -> Outcome {
    let kernel = uname::release();
    let task = Task { image, place, kernel: &kernel };
    let deadline = match place.wait {
        Wait::AtMost(span) => Deadline::after(clock::now(), span.saturating_add(SILENCE)),
        Wait::Forever => Deadline::NEVER,
    };
    match fork::spawn(|teller| task::run(&task, log, teller)) {
        Ok(child) => listen(child, deadline),
        Err(error) => Outcome::Failed(true, task::account("child", &error)),
    }
}

/// What comes of a child from which something must be heard until `deadline`.
fn listen(mut child: Child, mut deadline: Deadline) -> Outcome {
    let mut outcome = None;
    loop {
        match child.listen(deadline) {
            ChildEvent::Line(line) => {
                outcome = Outcome::parse(&line).or(outcome);
                deadline = Deadline::after(clock::now(), SILENCE);
            }
            news => {
                return outcome.unwrap_or_else(|| {
                    let error = bad_end(&mut child, &news, "write the image in");
                    Outcome::Failed(true, task::account("child", &error.to("a child process")))
                });
            }
        }
    }
}

impl Outcome {
    /// What the child tells at its end; other lines only show that it lives.
    fn parse(line: &str) -> Option<Self> {
        let (word, told) = line.split_once(' ')?;
        match word {
            task::WRITTEN => Some(Self::Written(told.into())),
            task::THERE => Some(Self::There(told.into())),
            task::AGAIN => Some(Self::Failed(true, told.into())),
            task::NEVER => Some(Self::Failed(false, told.into())),
            _ => None,
        }
    }
}

/// What the user wants of the machine after a success.
fn end(after: After, log: &Log) -> Result<()> {
    let (how, words) = match after {
        After::Boot => return Ok(()),
        After::Reboot => (End::Reboot, "the machine starts again (wisp.after=reboot)"),
        After::PowerOff => (End::PowerOff, "the machine is switched off (wisp.after=poweroff)"),
    };
    log.info(words);
    power::end(how)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_message_of_the_child_is_parsed() {
        for (line, wanted) in [
            ("written sha256=unverified bytes=1", "ok sha256=unverified bytes=1"),
            ("there why=x", "skipped why=x"),
            ("again step=write why=a b", "true step=write why=a b"),
            ("never step=target why=", "false step=target why="),
            ("alive", "nothing"),
            ("root /dev/vda1 ext4", "nothing"),
        ] {
            let told = Outcome::parse(line).map_or_else(|| "nothing".into(), words);
            assert_eq!(told, wanted, "{line}");
        }
    }

    #[test]
    fn a_child_that_dies_is_a_failure_unless_it_was_done() {
        let heard = |line: &'static str| {
            let child = fork::spawn(|teller| {
                teller.notify(line);
                std::process::abort()
            });
            words(listen(child.unwrap(), Deadline::after(clock::now(), SILENCE)))
        };
        assert!(heard("alive").starts_with("true step=child why=write the image in a child process: signal 6"));
        assert_eq!(heard("written bytes=1"), "ok bytes=1");
    }

    #[test]
    fn a_child_from_which_nothing_is_heard_is_ended() {
        let child = fork::spawn(|_| {
            clock::pause(SILENCE);
            0
        });
        let told = words(listen(child.unwrap(), Deadline::after(clock::now(), Duration::ZERO)));
        assert!(told.ends_with("its time is up"), "{told}");
    }

    fn words(outcome: Outcome) -> String {
        match outcome {
            Outcome::Written(told) => format!("ok {told}"),
            Outcome::There(told) => format!("skipped {told}"),
            Outcome::Failed(may_help, why) => format!("{may_help} {why}"),
        }
    }
}

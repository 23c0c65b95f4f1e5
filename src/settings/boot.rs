//! Before `switch_root`: words of the kernel command line. There is no file yet that could say more.

#![forbid(unsafe_code)]

use super::Alpine;
use crate::text::cmdline::Cmdline;
use crate::text::device_spec::DeviceSpec;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

/// Whether to grow (`wisp.grow=`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `on`, the default.
    On,
    /// `off`: nothing on the disk is touched.
    Off,
    /// `repair`: also rebuild a damaged primary GPT from its good backup.
    Repair,
}

/// What to do when the root cannot be brought up (`wisp.onfail=`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFail {
    /// Offer a shell on the console if the initramfs has one, and try again when it ends; without one, as `Halt`.
    Shell,
    /// Start again after [`Boot::fail_pause`]; the default with `panic=`.
    Reboot,
    /// Switch the machine off.
    PowerOff,
    /// Stop with the message on the screen: else the default, since nothing can be lost by it.
    Halt,
}

/// How long to wait for the root to appear (`rootwait`, `rootwait=SECONDS`, `rootdelay=SECONDS`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// At most this long.
    AtMost(Duration),
    /// Until it is there.
    Forever,
}

/// Where a suspended system may lie, which would resume onto a root of the size it knew (`resume=`, `resume_offset=`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resume {
    /// Nowhere: not asked for, or `noresume`.
    Nowhere,
    /// On this device.
    Device(DeviceSpec),
    /// In a swap file of the filesystem on this device, that many pages behind its start.
    File(DeviceSpec, u64),
    /// Where wisp cannot look; the reason.
    Unclear(&'static str),
}

/// Long enough for a slow SAN or a USB stick, as initramfs-tools waits; short enough to see the message.
pub const ROOT_WAIT: Duration = Duration::from_secs(30);

/// Before `switch_root` growing takes at most this long; the rest is done by the running system. Twenty seconds grow
/// a filesystem of 4 KiB blocks by tens of TiB, and one of 1 KiB blocks by 200 GiB.
pub const BUDGET: Duration = Duration::from_secs(20);

/// No budget is longer: a boot that takes an hour is broken, whatever was typed.
const BUDGET_LIMIT: u64 = 3600;

/// Before a machine that failed starts again: long enough to read the message, short enough for an unattended one.
pub const FAIL_PAUSE: Duration = Duration::from_secs(10);

/// How the names begin of devices that a program puts together; of those in folders below `/dev`, too, none is the kernel's.
const MADE_LATER: [&str; 3] = ["nbd", "md", "dm-"];

/// The settings of a boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// `root=`.
    pub root: Option<DeviceSpec>,
    /// `rootfstype=`, to be tried in order; empty: whatever is found.
    pub filesystems: Vec<String>,
    /// `rootflags=`.
    pub mount_options: String,
    /// `ro`, the default as for the kernel, or `rw`.
    pub read_only: bool,
    /// `rootwait`, `rootdelay=`.
    pub wait: Wait,
    /// `init=`; `None`: the usual places.
    pub init: Option<String>,
    /// `wisp.init=`: after growing become this program of the initramfs instead of mounting and switching.
    pub stock_init: Option<String>,
    /// `resume=`, `resume_offset=`, unless `noresume`.
    pub resume: Resume,
    /// `wisp.onfail=`.
    pub on_fail: OnFail,
    /// How long the message of a machine that starts again can be read: as long as `panic=` says, or [`FAIL_PAUSE`].
    pub fail_pause: Duration,
    /// The words of Alpine's init.
    pub alpine: Alpine,
    /// `wisp.grow=`, or dracut's way to write it, `rd.wisp.grow=`.
    pub mode: Mode,
    /// `wisp.grow.budget=SECONDS`.
    pub budget: Duration,
    /// Words that could not be meant, each a sentence.
    pub complaints: Vec<String>,
}

impl Boot {
    /// Why wisp leaves the root to the init that comes after it, without so much as looking for it: what it could do is not
    /// wanted, or that init has to make the root's device first.
    #[must_use]
    pub fn leaves_root_alone(&self) -> Option<&'static str> {
        let alpine = &self.alpine;
        match &self.root {
            _ if self.mode == Mode::Off => Some("it is switched off (wisp.grow=off)"),
            _ if alpine.overlay.is_some() => Some("with overlaytmpfs the root stays as it is"),
            _ if alpine.single => Some("a shell is asked for, which comes first (single)"),
            None => Some("there is no root= that wisp understands"),
            Some(_) if alpine.hides_root() => Some("the root is behind what only another program opens"),
            Some(_) if self.waits_for_others() => Some("the root's device is made by what comes after wisp"),
            Some(_) => None,
        }
    }

    /// Whether another program has to make the root's device, or the link that names it.
    #[must_use]
    pub fn waits_for_others(&self) -> bool {
        let Some(DeviceSpec::Path(path)) = &self.root else { return false };
        let node = path.strip_prefix("/dev/").unwrap_or_default();
        node.contains('/') || MADE_LATER.iter().any(|start| node.starts_with(start))
    }

    /// The complaints about words for growing: those that are wisp's to tell where another program boots.
    pub fn complaints_of_growing(&self) -> impl Iterator<Item = &String> {
        self.complaints.iter().filter(|complaint| complaint.contains("wisp.grow"))
    }

    /// Reads the settings from a kernel command line.
    #[must_use]
    pub fn from_cmdline(line: &Cmdline) -> Self {
        let mut complaints = Vec::new();
        let grow = line.last_of(&["wisp.grow", "rd.wisp.grow"]).unwrap_or("wisp.grow");
        let after_panic = line.value("panic").and_then(|value| value.parse::<i32>().ok()).filter(|span| *span != 0);
        let on_fail = if after_panic.is_some() { OnFail::Reboot } else { OnFail::Halt };
        let text = |name| line.value(name).filter(|value| !value.is_empty()).map(String::from);
        Self {
            root: device(line, "root", &mut complaints),
            filesystems: line.value("rootfstype").map(list).unwrap_or_default(),
            mount_options: text("rootflags").unwrap_or_default(),
            read_only: line.last_of(&["ro", "rw"]) != Some("rw"),
            wait: wait(line, &mut complaints),
            init: text("init"),
            stock_init: text("wisp.init"),
            resume: resume(line, &mut complaints),
            on_fail: choice(line, "wisp.onfail", &ON_FAIL, on_fail, &mut complaints),
            fail_pause: after_panic.map_or(FAIL_PAUSE, |span| Duration::from_secs(u64::try_from(span).unwrap_or(0))),
            alpine: Alpine::from_cmdline(line),
            mode: choice(line, grow, &MODES, Mode::On, &mut complaints),
            budget: seconds(line, "wisp.grow.budget", &mut complaints)
                .map_or(BUDGET, |span| span.min(Duration::from_secs(BUDGET_LIMIT))),
            complaints,
        }
    }
}

const ON_FAIL: [(&str, OnFail); 4] =
    [("shell", OnFail::Shell), ("reboot", OnFail::Reboot), ("poweroff", OnFail::PowerOff), ("halt", OnFail::Halt)];

const MODES: [(&str, Mode); 7] = [
    ("on", Mode::On),
    ("off", Mode::Off),
    ("repair", Mode::Repair),
    ("yes", Mode::On),
    ("no", Mode::Off),
    ("1", Mode::On),
    ("0", Mode::Off),
];

/// A comma-separated list without empty items; `auto` stands for no wish at all.
pub(super) fn list(value: &str) -> Vec<String> {
    value.split(',').filter(|item| !item.is_empty() && *item != "auto").map(String::from).collect()
}

fn device(line: &Cmdline, name: &str, complaints: &mut Vec<String>) -> Option<DeviceSpec> {
    let value = line.value(name).filter(|value| !value.is_empty())?;
    match DeviceSpec::parse(value) {
        Ok(found) => Some(found),
        Err(error) => {
            complaints.push(format!("{name}=: {error}"));
            None
        }
    }
}

/// What is asked for and not understood must not read as nothing asked for.
fn resume(line: &Cmdline, complaints: &mut Vec<String>) -> Resume {
    let given = |name| line.value(name).filter(|value| !value.is_empty());
    if line.has("noresume") {
        return Resume::Nowhere;
    }
    let offset = given("resume_offset").map(str::parse);
    match (device(line, "resume", complaints), offset) {
        (Some(name), Some(Ok(offset))) => Resume::File(name, offset),
        (Some(name), None) => Resume::Device(name),
        (None, None) if given("resume").is_none() => Resume::Nowhere,
        (None, None) => Resume::Unclear("resume= names no device that wisp understands"),
        (_, Some(_)) => Resume::Unclear("resume_offset= is no number, or without a resume= that wisp understands"),
    }
}

/// One of a table of words; with anything else the default holds, and says so.
fn choice<T: Copy>(line: &Cmdline, name: &str, table: &[(&str, T)], default: T, complaints: &mut Vec<String>) -> T {
    let Some(value) = line.value(name) else { return default };
    if let Some((_, chosen)) = table.iter().find(|(word, _)| *word == value) {
        return *chosen;
    }
    complaints.push(format!("{name}={value}: {}; taken as if it were not there", one_of(table)));
    default
}

/// What to say of a word that is not in a table of them.
pub(super) fn one_of<T>(table: &[(&str, T)]) -> String {
    let words: Vec<&str> = table.iter().map(|(word, _)| *word).collect();
    format!("not one of {}", words.join(", "))
}

fn seconds(line: &Cmdline, name: &str, complaints: &mut Vec<String>) -> Option<Duration> {
    let value = line.value(name).filter(|value| !value.is_empty())?;
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    complaints.push(format!("{name}={value}: not a number of seconds; taken as if it were not there"));
    None
}

/// `rootwait` without a number has no end; a longer `rootdelay` than the usual wait lengthens it.
fn wait(line: &Cmdline, complaints: &mut Vec<String>) -> Wait {
    if line.value("rootwait").is_some_and(str::is_empty) {
        return Wait::Forever;
    }
    let asked = seconds(line, "rootwait", complaints);
    let delay = seconds(line, "rootdelay", complaints).map_or(ROOT_WAIT, |delay| delay.max(ROOT_WAIT));
    Wait::AtMost(asked.unwrap_or(delay))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot(text: &str) -> Boot {
        Boot::from_cmdline(&Cmdline::parse(text))
    }

    #[test]
    fn an_empty_line_means_the_defaults() {
        let settings = boot("");
        assert_eq!(settings.root, None);
        assert!(settings.read_only && settings.complaints.is_empty());
        assert_eq!((settings.mode, settings.on_fail, settings.budget), (Mode::On, OnFail::Halt, BUDGET));
        assert_eq!(settings.wait, Wait::AtMost(ROOT_WAIT));
    }

    #[test]
    fn every_word_is_understood() {
        let settings = boot(
            "root=LABEL=/ rootfstype=ext4,xfs rootflags=noatime,commit=5 rw rootwait init=/bin/sh wisp.init=/stock \
             resume=/dev/vda3 wisp.onfail=poweroff wisp.grow=repair wisp.grow.budget=90",
        );
        assert_eq!(settings.root, Some(DeviceSpec::Label("/".into())));
        assert_eq!(settings.filesystems, ["ext4", "xfs"]);
        assert_eq!(settings.mount_options, "noatime,commit=5");
        assert!(!settings.read_only);
        assert_eq!(settings.wait, Wait::Forever);
        assert_eq!(settings.init.as_deref(), Some("/bin/sh"));
        assert_eq!(settings.stock_init.as_deref(), Some("/stock"));
        assert_eq!(settings.resume, Resume::Device(DeviceSpec::Path("/dev/vda3".into())));
        assert_eq!((settings.on_fail, settings.mode), (OnFail::PowerOff, Mode::Repair));
        assert_eq!(settings.budget, Duration::from_secs(90));
        assert!(settings.complaints.is_empty());
    }

    #[test]
    fn an_invalid_parameter_is_reported_and_the_default_holds() {
        let settings = boot("root=nonsense wisp.grow=maybe wisp.grow.budget=-1 wisp.onfail=");
        assert_eq!(settings.complaints_of_growing().count(), 2);
        assert_eq!((settings.root, settings.mode, settings.budget), (None, Mode::On, BUDGET));
        assert_eq!(settings.complaints.len(), 4, "{:?}", settings.complaints);
        assert_eq!(boot("root=nonsense rd.wisp.grow=maybe").complaints_of_growing().count(), 1);
    }

    #[test]
    fn waits_have_an_end_unless_asked_otherwise() {
        assert_eq!(boot("rootwait=5").wait, Wait::AtMost(Duration::from_secs(5)));
        assert_eq!(boot("rootdelay=90").wait, Wait::AtMost(Duration::from_secs(90)));
        assert_eq!(boot("rootdelay=3").wait, Wait::AtMost(ROOT_WAIT));
        assert_eq!(boot("wisp.grow.budget=99999999").budget, Duration::from_secs(3600));
    }

    #[test]
    fn a_suspended_system_that_cannot_be_looked_for_is_not_taken_for_none() {
        for text in ["", "resume=", "resume=/dev/vda3 noresume", "resume=/dev/vda3 resume_offset=34816 noresume"] {
            assert_eq!(boot(text).resume, Resume::Nowhere, "{text}");
        }
        let file = Resume::File(DeviceSpec::Path("/dev/vda3".into()), 34816);
        assert_eq!(boot("resume=/dev/vda3 resume_offset=34816").resume, file);
        for (text, why) in [
            ("resume=/dev/vda3 resume_offset=0x100", "no number"),
            ("resume_offset=34816", "without a resume="),
            ("resume=ZFS=tank resume_offset=1", "without a resume="),
            ("resume=ZFS=tank", "no device"),
        ] {
            let Resume::Unclear(told) = boot(text).resume else { panic!("{text}") };
            assert!(told.contains(why), "{text}: {told}");
        }
    }

    #[test]
    fn what_comes_after_wisp_gets_the_root_as_it_is() {
        for (text, why) in [
            ("", "no root="),
            ("root=nfs:10.0.0.1:/srv modules=nfs", "no root="),
            ("root=ZFS=tank/root", "no root="),
            ("root=/dev/nbd0 nbd=10.0.0.1:10809", "another program"),
            ("root=/dev/nbd0p1", "made by"),
            ("root=/dev/etherd/e0.0p1", "made by"),
            ("root=/dev/vg0/root", "made by"),
            ("root=/dev/mapper/root cryptroot=UUID=1-2", "another program"),
            ("root=/dev/mapper/root", "made by"),
            ("root=/dev/md0", "made by"),
            ("root=/dev/disk/by-id/nvme-x", "made by"),
            ("root=LABEL=x overlaytmpfs=yes", "overlaytmpfs"),
            ("root=LABEL=x single", "single"),
            ("root=LABEL=x wisp.grow=off", "wisp.grow=off"),
        ] {
            let told = boot(text).leaves_root_alone().unwrap_or("nothing");
            assert!(told.contains(why), "{text}: {told}");
        }
        for text in [
            "root=/dev/vda1",
            "root=UUID=1-2 modules=ext4 quiet",
            "root=/dev/disk/by-uuid/1-2",
            "root=8:1 wisp.grow=repair",
        ] {
            assert_eq!(boot(text).leaves_root_alone(), None, "{text}");
        }
    }

    #[test]
    fn a_machine_that_is_to_start_again_after_a_panic_does_so_when_the_root_is_missing() {
        for (text, on_fail, pause) in [
            ("", OnFail::Halt, FAIL_PAUSE),
            ("panic=0", OnFail::Halt, FAIL_PAUSE),
            ("panic", OnFail::Halt, FAIL_PAUSE),
            ("panic=30", OnFail::Reboot, Duration::from_secs(30)),
            ("panic=-1", OnFail::Reboot, Duration::ZERO),
            ("panic=-1 wisp.onfail=poweroff", OnFail::PowerOff, Duration::ZERO),
            ("wisp.onfail=reboot", OnFail::Reboot, FAIL_PAUSE),
        ] {
            let settings = boot(text);
            assert_eq!((settings.on_fail, settings.fail_pause), (on_fail, pause), "{text}");
        }
    }

    #[test]
    fn every_choice_has_its_words() {
        for (words, mode) in [("on yes 1", Mode::On), ("off no 0", Mode::Off), ("repair", Mode::Repair)] {
            for word in words.split(' ') {
                let settings = boot(&format!("wisp.grow={word}"));
                assert_eq!((settings.mode, settings.complaints.len()), (mode, 0), "{word}");
            }
        }
        for (word, on_fail) in [
            ("shell", OnFail::Shell),
            ("reboot", OnFail::Reboot),
            ("poweroff", OnFail::PowerOff),
            ("halt", OnFail::Halt),
        ] {
            let settings = boot(&format!("wisp.onfail={word}"));
            assert_eq!((settings.on_fail, settings.complaints.len()), (on_fail, 0), "{word}");
        }
        let settings = boot("wisp.grow=sometimes");
        assert_eq!(
            settings.complaints,
            ["wisp.grow=sometimes: not one of on, off, repair, yes, no, 1, 0; taken as if it were not there"]
        );
    }

    #[test]
    fn the_last_word_wins() {
        assert!(boot("rw ro").read_only && !boot("ro rw").read_only && !boot("ro root=/dev/vda1 rw quiet").read_only);
        assert_eq!(boot("wisp.grow=off wisp.grow=repair").mode, Mode::Repair);
        assert_eq!(boot("wisp.grow=repair rd.wisp.grow=0").mode, Mode::Off);
        assert_eq!(boot("rd.wisp.grow=0 wisp.grow=on").mode, Mode::On);
        assert_eq!(boot("root=/dev/vda1 root=/dev/vda2").root, Some(DeviceSpec::Path("/dev/vda2".into())));
        assert_eq!(boot("rootwait rootwait=5").wait, Wait::AtMost(Duration::from_secs(5)));
        assert_eq!(boot("rootwait=5 rootwait").wait, Wait::Forever);
        assert_eq!(boot("init=/bin/sh init=").init, None);
    }

    #[test]
    fn parameters_for_init_are_ignored() {
        assert_eq!(boot("root=/dev/vda1 -- root=/dev/vda2 wisp.grow=off"), boot("root=/dev/vda1"));
    }

    #[test]
    fn a_list_of_filesystems_has_no_empty_items() {
        assert_eq!(boot("rootfstype=,ext4,,auto,xfs,").filesystems, ["ext4", "xfs"]);
        assert_eq!(boot("rootfstype=auto").filesystems, [""; 0]);
        assert_eq!(boot("rootfstype").filesystems, [""; 0]);
    }

    #[test]
    fn what_has_no_value_is_as_if_it_were_not_there() {
        assert_eq!(boot("root= resume= rootflags= init= wisp.init= wisp.grow.budget= rootdelay="), boot(""));
        assert_eq!(boot("root"), boot(""));
    }

    #[test]
    fn a_complaint_says_what_was_typed() {
        for (text, wanted) in [
            ("root=nonsense", "root=: understand the device name nonsense: "),
            ("root=LABEL=", "root=: understand the device name LABEL=: "),
            ("resume=ZFS=tank", "resume=: understand the device name ZFS=tank: "),
            ("rootwait=soon", "rootwait=soon: not a number of seconds; taken as if it were not there"),
            ("rootdelay=5s", "rootdelay=5s: not a number"),
            ("wisp.grow.budget=1.5", "wisp.grow.budget=1.5: not a number"),
            ("wisp.onfail=panic", "wisp.onfail=panic: not one of shell, reboot, poweroff, halt"),
        ] {
            let settings = boot(text);
            assert!(settings.complaints.len() == 1 && settings.complaints[0].starts_with(wanted), "{settings:?}");
            assert_eq!(Boot { complaints: Vec::new(), resume: Resume::Nowhere, ..settings }, boot(""), "{text}");
        }
        assert_eq!(boot("resume=nonsense noresume").complaints, [""; 0], "nobody wants to hear of what is not used");
    }
}

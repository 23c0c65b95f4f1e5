//! What there is to say about an image before a cloud sees it: `wisp image pack --check`.
//!
//! Looks into the disk without the kernel's drivers: its table, the boot files on FAT and ext, the system on ext. Every
//! sentence says what was found, and where that is bad what to do; what cannot be read is said to be unread, never
//! judged. Nothing is written, and nothing in the image is believed beyond the limits of the readers.
//!
//! A [`Severity::Error`] means that machines of this image would not start, not be configured, or share a secret; a
//! [`Severity::Warning`] that some would not, or that it cannot be told. Sources: what the clouds' documentation asks of
//! imported images; the UAPI Group's Boot Loader Specification; the kernel's `kernel-parameters.txt`.
#![forbid(unsafe_code)]

mod arguments;
mod disk;
mod drivers;
mod files;
mod firmware;
mod initramfs;
mod loader;
mod pe;
mod system;

use super::Cloud;
use crate::bytes::ReadAt;
use crate::error::Result;
use crate::units::ByteCount;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use disk::Disk;
use miniserde::Serialize;

/// Letters of one sentence: a path of the image, of which each part has at most 255, and what is said of it.
const TEXT_LIMIT: usize = 1000;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// As it should be.
    Ok,
    /// It may be as it should, or is so for some machines only.
    Warning,
    /// Machines of this image will not start, not be configured, or share a secret.
    Error,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub verdict: Severity,
    /// What was looked at, in one word: `table`, `firmware`, `root`, `loader`, `arguments`, `drivers`, `agent`, `state`.
    pub what: &'static str,
    /// What was found, and where that is bad what to do.
    pub text: String,
}

/// What was found so far.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    /// Names from the image come to a terminal in `text`, and may be anything.
    fn add(&mut self, verdict: Severity, what: &'static str, text: impl Into<String>) {
        let shown = |letter: char| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter };
        let text = text.into().chars().take(TEXT_LIMIT).map(shown).collect();
        self.0.push(Finding { verdict, what, text });
    }

    fn good(&mut self, what: &'static str, text: impl Into<String>) {
        self.add(Severity::Ok, what, text);
    }

    fn doubt(&mut self, what: &'static str, text: impl Into<String>) {
        self.add(Severity::Warning, what, text);
    }

    fn fault(&mut self, what: &'static str, text: impl Into<String>) {
        self.add(Severity::Error, what, text);
    }
}

/// Looks at `disk`, which has `size` bytes, as machines of `cloud` will.
///
/// # Errors
/// Those of `disk` while its partition table is read; later ones are findings.
pub fn run(disk: &dyn ReadAt, size: ByteCount, cloud: Cloud) -> Result<Vec<Finding>> {
    let mut findings = Findings::default();
    let disk = Disk::open(disk, size, &mut findings)?;
    let arch = firmware::judge(&disk, cloud, &mut findings);
    disk.judge_root(&mut findings);
    disk.judge_swap(cloud, &mut findings);
    let entries = loader::find(&disk, &mut findings);
    for entry in &entries {
        arguments::judge(entry, &disk, cloud, arch, &mut findings);
    }
    if let Some(root) = disk.root_files() {
        drivers::judge(entries.first(), &disk, root, cloud, arch, &mut findings);
        system::judge(root, cloud, &mut findings);
    }
    for part in &disk.parts {
        if let Some(error) = part.files.as_ref().and_then(|files| files.complaint()) {
            findings.doubt("root", format!("part of {} could not be read: {error}", part.name));
        }
    }
    Ok(findings.0)
}

/// The word for it at the beginning of a line and in JSON.
const fn word(verdict: Severity) -> &'static str {
    match verdict {
        Severity::Ok => "good",
        Severity::Warning => "doubt",
        Severity::Error => "fault",
    }
}

/// Whether a machine of the image would not start, not be configured, or share a secret.
#[must_use]
pub fn has_fault(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.verdict == Severity::Error)
}

/// A line for each: verdict, what was looked at, what was found.
#[must_use]
pub fn lines(findings: &[Finding]) -> String {
    let line = |finding: &Finding| format!("{:<6} {:<10} {}\n", word(finding.verdict), finding.what, finding.text);
    findings.iter().map(line).collect()
}

/// The same as a list in JSON, a stable format: `verdict` (`good`, `doubt`, `fault`), `what`, `text`.
#[must_use]
pub fn json(findings: &[Finding]) -> String {
    #[derive(Serialize)]
    struct FindingJson<'a> {
        verdict: &'static str,
        what: &'static str,
        text: &'a str,
    }
    fn json(finding: &Finding) -> FindingJson<'_> {
        FindingJson { verdict: word(finding.verdict), what: finding.what, text: &finding.text }
    }
    miniserde::json::to_string(&findings.iter().map(json).collect::<Vec<_>>())
}

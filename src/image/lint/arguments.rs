//! The kernel's arguments: a serial console that the cloud shows, and a root that is found on any disk.

use super::disk::{Disk, Part};
use super::firmware::Arch;
use super::loader::Entry;
use super::{Cloud, Findings};
use crate::text::cmdline::Cmdline;
use crate::text::device_spec::DeviceSpec;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Judges the arguments of `entry`.
pub(super) fn judge(entry: &Entry<'_>, disk: &Disk<'_>, cloud: Cloud, arch: Option<Arch>, findings: &mut Findings) {
    let line = Cmdline::parse(&entry.boot.arguments);
    judge_consoles(&entry.file, &line, cloud, arch, findings);
    judge_root(&entry.file, &line, disk, cloud, findings);
}

/// The port that the cloud shows.
fn judge_consoles(file: &str, line: &Cmdline, cloud: Cloud, arch: Option<Arch>, findings: &mut Findings) {
    let wanted = if arch == Some(Arch::Arm) && cloud != Cloud::Aws { "ttyAMA0" } else { "ttyS0" };
    let words = line.words().iter().filter(|word| word.name == "console").filter_map(|word| word.value.as_deref());
    let consoles: Vec<&str> = words.collect();
    if consoles.iter().any(|console| console.split(',').next() == Some(wanted)) {
        findings.good("arguments", format!("{file} has its console on {wanted}"));
    } else {
        let advice = format!("add console={wanted}, or the cloud shows nothing of a boot that fails");
        let found = consoles.join(" and ");
        let found = if found.is_empty() { "no console".into() } else { format!("its console on {found}") };
        findings.doubt("arguments", format!("{file} has {found}: {advice}"));
    }
}

/// The root, by a name that every machine knows it by.
fn judge_root(file: &str, line: &Cmdline, disk: &Disk<'_>, cloud: Cloud, findings: &mut Findings) {
    let Some(root) = line.value("root") else {
        let text = format!("{file} has no root=: say it by LABEL=, UUID= or PARTUUID= unless the initramfs knows");
        return findings.doubt("arguments", text);
    };
    let name = match DeviceSpec::parse(root) {
        Ok(name) => name,
        Err(error) => {
            return findings.doubt("arguments", format!("{file} has root={root}, which is not checked: {}", error.why));
        }
    };
    let is_named: &dyn Fn(&Part<'_>) -> bool = &|part| match &name {
        DeviceSpec::Uuid(uuid) => {
            superblock(part, |found| found.uuid.clone()).is_some_and(|own| own.eq_ignore_ascii_case(uuid))
        }
        DeviceSpec::Label(label) => superblock(part, |found| found.label.clone()).as_ref() == Some(label),
        DeviceSpec::PartUuid(uuid, _) => part.uuid.eq_ignore_ascii_case(uuid),
        DeviceSpec::PartLabel(label) => part.label.as_ref() == Some(label),
        DeviceSpec::Path(_) | DeviceSpec::Number(..) | DeviceSpec::Serial(_) | DeviceSpec::Wwn(_) => false,
    };
    let is_volume = root.starts_with("/dev/mapper/") || root.starts_with("/dev/dm-");
    let named: Vec<&Part<'_>> = disk.parts.iter().filter(|part| is_named(part)).collect();
    match (&name, named.as_slice()) {
        (DeviceSpec::Path(_), _) if is_volume => findings.good("arguments", format!("{file} has root={root}")),
        (DeviceSpec::Path(_) | DeviceSpec::Number(..) | DeviceSpec::Serial(_) | DeviceSpec::Wwn(_), _) => {
            let text = format!(
                "{file} has root={root}, a name that differs from machine to machine: say it by LABEL=, UUID= or PARTUUID="
            );
            if cloud == Cloud::NoCloud { findings.doubt("arguments", text) } else { findings.fault("arguments", text) }
        }
        (_, []) => {
            findings.fault("arguments", format!("{file} has root={root}, and nothing in the image is called so"))
        }
        (_, [part]) => findings.good("arguments", format!("{file} has root={root}, which is {}", part.name)),
        (_, [..]) => {
            findings.fault("arguments", format!("{file} has root={root}, and several filesystems are called so"));
        }
    }
}

fn superblock(part: &Part<'_>, name: impl Fn(&crate::filesystem::Superblock) -> Option<String>) -> Option<String> {
    part.superblock.as_ref().and_then(name)
}

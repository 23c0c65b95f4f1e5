//! The drivers that machines of a cloud need: those of the disk in the initramfs or the kernel, the others anywhere.

use super::disk::Disk;
use super::files::Files;
use super::firmware::Arch;
use super::loader::Entry;
use super::{Cloud, Findings, Severity, initramfs};
use crate::text::modules::{self, Name};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// A module, whether the root is not found without it, and what its absence means.
type Row = (&'static str, bool, Severity, &'static str);

const DISK: bool = true;
const LATER: bool = false;
const ALWAYS: &str = "machines need it";

const AWS: &[Row] = &[
    ("nvme", DISK, Severity::Error, "all but the oldest instance types need it"),
    ("ena", LATER, Severity::Error, "all but the oldest instance types need it"),
    ("xen_blkfront", DISK, Severity::Warning, "only instance types on Xen need it (t2, m4)"),
];
const AZURE: &[Row] = &[
    ("hv_vmbus", DISK, Severity::Error, ALWAYS),
    ("hv_storvsc", DISK, Severity::Error, ALWAYS),
    ("sd_mod", DISK, Severity::Error, ALWAYS),
    ("hv_netvsc", LATER, Severity::Error, ALWAYS),
    ("pci_hyperv", DISK, Severity::Warning, "sizes with NVMe disks or accelerated networking need it"),
    ("nvme", DISK, Severity::Warning, "sizes with NVMe disks need it"),
    ("udf", LATER, Severity::Warning, "agents other than wisp mount the provisioning medium with it"),
];
const GCP: &[Row] = &[
    ("virtio_pci", DISK, Severity::Error, ALWAYS),
    ("virtio_scsi", DISK, Severity::Error, ALWAYS),
    ("sd_mod", DISK, Severity::Error, ALWAYS),
    ("virtio_net", LATER, Severity::Error, ALWAYS),
    ("nvme", DISK, Severity::Warning, "machine series of the third generation on need it"),
    ("gve", LATER, Severity::Warning, "machine series of the third generation on need it"),
];
const OCI: &[Row] = &[
    ("virtio_pci", DISK, Severity::Error, ALWAYS),
    ("virtio_scsi", DISK, Severity::Error, ALWAYS),
    ("sd_mod", DISK, Severity::Error, ALWAYS),
    ("virtio_net", LATER, Severity::Error, ALWAYS),
    ("virtio_blk", DISK, Severity::Warning, "some launch modes need it"),
];
const NOCLOUD: &[Row] = &[
    ("virtio_pci", DISK, Severity::Error, ALWAYS),
    ("virtio_blk", DISK, Severity::Error, ALWAYS),
    ("virtio_net", LATER, Severity::Error, ALWAYS),
    ("virtio_scsi", DISK, Severity::Warning, "machines with SCSI disks need it"),
];

/// Where a driver was found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Nowhere,
    Kernel,
    /// A file of the root.
    Module,
    Initramfs,
}

/// Judges the kernel that `entry` starts, whose modules are on `root`.
pub(super) fn judge(
    entry: Option<&Entry<'_>>,
    disk: &Disk<'_>,
    root: &Files<'_>,
    cloud: Cloud,
    arch: Option<Arch>,
    findings: &mut Findings,
) {
    let Some(kernel) = find_kernel(entry, root) else {
        let text = "the root has no /lib/modules, so nothing is known of its kernel's drivers";
        return findings.doubt("drivers", text);
    };
    let rows = match cloud {
        Cloud::Aws => AWS,
        Cloud::Azure => AZURE,
        Cloud::Gcp => GCP,
        Cloud::Oci => OCI,
        Cloud::NoCloud => NOCLOUD,
    };
    let filesystem = disk.root().and_then(|part| part.superblock.as_ref()).and_then(|found| found.kind.module());
    let filesystem = filesystem.map(|module| (module, DISK, Severity::Error, "it is the filesystem of the root"));
    let is_of_arch = |row: &&Row| arch != Some(Arch::Arm) || row.0 != "xen_blkfront";
    let rows: Vec<Row> = rows.iter().filter(is_of_arch).copied().chain(filesystem).collect();
    let mut places = find_places(root, &kernel, &rows);

    let mut is_known = entry.is_some();
    if let Some(entry) = entry {
        let mark = &mut |name: Name<'_>| {
            for (row, place) in rows.iter().zip(&mut places).filter(|(row, _)| Name(row.0) == name) {
                // What comes later is loaded from the root, whatever the initramfs has.
                *place = if row.1 && *place != Place::Kernel { Place::Initramfs } else { *place };
            }
        };
        // Modules of another kernel are of no use. Which one it is, not every name of a file says.
        let is_said = is_version_of(&kernel, entry);
        let folder = if is_said { format!("modules/{kernel}/") } else { String::new() };
        if let Err(error) = initramfs::modules(entry, disk, &folder, mark) {
            findings.doubt("drivers", format!("the initramfs of {} is not judged: {error}", entry.file));
            is_known = false;
        }
    }
    notify(&kernel, &rows, &places, is_known, findings);
}

fn notify(kernel: &str, rows: &[Row], places: &[Place], is_known: bool, findings: &mut Findings) {
    let mut there: Vec<&str> = Vec::new();
    for ((module, is_early, verdict, why), place) in rows.iter().zip(places) {
        match place {
            Place::Nowhere => findings.add(*verdict, "drivers", format!("Linux {kernel} has no {module}; {why}")),
            Place::Module if *is_early && is_known => {
                let advice = "name it in /etc/initramfs-tools/modules, dracut's add_drivers or mkinitfs's features";
                findings.add(*verdict, "drivers", format!("{module} is not in the initramfs; {why}: {advice}"));
            }
            _ => there.push(module),
        }
    }
    if !there.is_empty() {
        let place = if is_known { "where they are needed" } else { "and whether its initramfs has them is not known" };
        findings.good("drivers", format!("Linux {kernel} has {}, {place}", there.join(", ")));
    }
}

/// The kernel's version, by which its modules are found.
fn find_kernel(entry: Option<&Entry<'_>>, root: &Files<'_>) -> Option<String> {
    let versions = root.names("lib/modules");
    let is_meant = |version: &&String| entry.is_some_and(|entry| is_version_of(version, entry));
    versions.iter().find(is_meant).or_else(|| versions.iter().max()).cloned()
}

/// Whether the kernel of `entry` is called by this version, as `vmlinuz-6.1.0-18-amd64` is.
fn is_version_of(version: &str, entry: &Entry<'_>) -> bool {
    let path = entry.boot.kernel.as_str();
    let name = path.rsplit('/').next().unwrap_or(path);
    !version.is_empty() && name.strip_suffix(version).is_some_and(|rest| rest.is_empty() || rest.ends_with('-'))
}

/// Where the kernel's own lists have each row's module.
fn find_places(root: &Files<'_>, kernel: &str, rows: &[Row]) -> Vec<Place> {
    let mut places = alloc::vec![Place::Nowhere; rows.len()];
    for (list, found) in [("modules.dep", Place::Module), ("modules.builtin", Place::Kernel)] {
        let text = root.text(&format!("lib/modules/{kernel}/{list}")).unwrap_or_default();
        for line in modules::lines(text.as_bytes()) {
            let name = Name::of_path(line.split(':').next().unwrap_or(line));
            for (_, place) in rows.iter().zip(&mut places).filter(|(row, _)| Name(row.0) == name) {
                *place = found;
            }
        }
    }
    places
}

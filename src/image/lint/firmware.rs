//! Which firmware starts the image, and whether the cloud's does.

use super::disk::Disk;
use super::{Cloud, Findings};
use crate::bytes::ReadAt as _;
use crate::units::ByteCount;
use alloc::format;

/// What the programs of the image are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arch {
    X86,
    Arm,
}

/// Programs that some system has; the first one found tells.
const PROGRAMS: [&str; 4] = ["usr/lib/systemd/systemd", "sbin/init", "bin/busybox", "bin/sh"];

/// What firmware that remembers nothing starts from an EFI system partition.
const LOADERS: [(Arch, &str); 2] = [(Arch::X86, "EFI/BOOT/BOOTX64.EFI"), (Arch::Arm, "EFI/BOOT/BOOTAA64.EFI")];

/// What is to be said when it is imported: for UEFI only, BIOS only, and both.
const IMPORTS: [(Cloud, [&str; 3]); 5] = [
    (
        Cloud::Aws,
        [
            "register it with --boot-mode uefi",
            "register it with --boot-mode legacy-bios",
            "register it with --boot-mode uefi-preferred",
        ],
    ),
    (
        Cloud::Azure,
        [
            "its generation is V2",
            "its generation is V1, which has no NVMe disks and no Trusted Launch",
            "its generation may be V1 or V2",
        ],
    ),
    (
        Cloud::Gcp,
        [
            "give it the feature UEFI_COMPATIBLE",
            "without UEFI it is no Shielded VM",
            "give it the feature UEFI_COMPATIBLE",
        ],
    ),
    (
        Cloud::Oci,
        [
            "set the firmware of its launch options to UEFI_64",
            "set the firmware of its launch options to BIOS",
            "either firmware starts it",
        ],
    ),
    (Cloud::NoCloud, ["its machines need OVMF or the like", "its machines need SeaBIOS", "either firmware starts it"]),
];

/// Says which firmware starts it; which architecture it is for.
pub(super) fn judge(disk: &Disk<'_>, cloud: Cloud, findings: &mut Findings) -> Option<Arch> {
    let arch = find_arch(disk);
    let has_bios = has_bios(disk, findings) && arch != Some(Arch::Arm);
    let has_uefi = has_uefi(disk, arch, findings);
    let mode = match (has_uefi, has_bios) {
        (true, false) => 0,
        (false, true) => 1,
        (true, true) => 2,
        (false, false) => {
            findings
                .fault("firmware", "no firmware starts it: it has neither a boot loader for UEFI nor code for a BIOS");
            return arch;
        }
    };
    let name = ["UEFI", "a BIOS", "UEFI and a BIOS"].get(mode).copied().unwrap_or_default();
    let imports = IMPORTS.iter().find(|(of, _)| *of == cloud).and_then(|(_, texts)| texts.get(mode));
    findings.good("firmware", format!("{name} can start it; {}", imports.copied().unwrap_or_default()));
    arch
}

/// A boot loader where firmware looks for one.
fn has_uefi(disk: &Disk<'_>, arch: Option<Arch>, findings: &mut Findings) -> bool {
    let mut parts = disk.parts.iter().filter(|part| part.is_esp);
    let Some(part) = parts.next() else { return false };
    let Some(files) = part.files.as_ref() else {
        findings.doubt("firmware", format!("{} is an EFI system partition without a FAT that can be read", part.name));
        return false;
    };
    let wanted = || LOADERS.iter().filter(|(of, _)| arch.is_none_or(|arch| arch == *of));
    if let Some((_, path)) = wanted().find(|(_, path)| files.file(path).is_some()) {
        findings.good("firmware", format!("/{path} is on {}", part.name));
        return true;
    }
    let path = wanted().next().map_or("", |(_, path)| *path);
    findings.doubt(
        "firmware",
        format!(
            "{} has no /{path}, which is what firmware starts on a machine's first boot: `grub-install --removable`, \
             `bootctl install`",
            part.name
        ),
    );
    false
}

/// Code where a BIOS runs it.
fn has_bios(disk: &Disk<'_>, findings: &mut Findings) -> bool {
    let second_half = disk.parts.iter().find(|part| part.is_bios_boot);
    if disk.has_boot_code {
        let place = second_half.map_or("", |_| ", and a BIOS boot partition");
        findings.good("firmware", format!("there is boot code in the first sector{place}"));
    } else if let Some(part) = second_half.filter(|_| disk.has_gpt) {
        let advice = "`grub-install --target=i386-pc` was not run";
        findings.doubt("firmware", format!("{} is for a BIOS, and there is no boot code: {advice}", part.name));
    }
    disk.has_boot_code
}

/// From the header of a program (ELF, `e_machine`), else from the loader on the EFI system partition.
fn find_arch(disk: &Disk<'_>) -> Option<Arch> {
    let machine = |path: &&str| {
        let mut header = [0; 20];
        disk.root_files()?.file(path)?.read_at(ByteCount(0), &mut header).ok()?;
        match header {
            [0x7f, b'E', b'L', b'F', .., 62, 0] => Some(Arch::X86),
            [0x7f, b'E', b'L', b'F', .., 183, 0] => Some(Arch::Arm),
            _ => None,
        }
    };
    let has =
        |path: &str| disk.parts.iter().filter_map(|part| part.files.as_ref()).any(|files| files.file(path).is_some());
    let from_loader = || LOADERS.iter().find(|(_, path)| has(path)).map(|(arch, _)| *arch);
    PROGRAMS.iter().find_map(machine).or_else(from_loader)
}

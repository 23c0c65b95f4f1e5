//! What the boot loaders would start: the files in which GRUB, systemd-boot, extlinux and unified kernel images have the
//! kernel's arguments.
//!
//! Of each file the entry is taken that is first, or that it names as its default where that takes no interpreter: GRUB's
//! language is not run.

use super::Findings;
use super::disk::Disk;
use super::files::Files;
use super::pe::{self, Section};
use crate::bytes::ReadAt;
use crate::units::ByteCount;
use crate::volume::File;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// Entries that are judged, one a file: an image for several boot loaders has two or three.
const ENTRIES_LIMIT: usize = 8;

/// Bytes of the kernel's command line in a unified image; the kernel takes less.
const CMDLINE_LIMIT: u64 = 64 << 10;

/// What is started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Boot {
    /// The path of the kernel, or its version.
    pub(super) kernel: String,
    /// The paths of what together is its initramfs.
    pub(super) initramfs: Vec<String>,
    pub(super) arguments: String,
}

/// What a boot loader would start.
pub(super) struct Entry<'d> {
    /// Where that is written, for the reader.
    pub(super) file: String,
    pub(super) boot: Boot,
    /// A unified kernel image, and the initramfs in it.
    pub(super) unified: Option<(File<'d>, Option<Section>)>,
}

/// Understands a configuration.
type Parse = fn(&str) -> Option<Boot>;

/// Where boot loaders have their configuration, below the top of a volume or its `/boot`.
const CONFIGURATIONS: [(&str, Parse); 6] = [
    ("extlinux/extlinux.conf", extlinux),
    ("extlinux.conf", extlinux),
    ("syslinux/syslinux.cfg", extlinux),
    ("grub/grub.cfg", grub),
    ("grub2/grub.cfg", grub),
    ("EFI/BOOT/grub.cfg", grub),
];

/// Folders of unified kernel images.
const UNIFIED: [&str; 2] = ["EFI/Linux", "EFI/BOOT"];

/// Everything that some boot loader would start first.
pub(super) fn find<'d>(disk: &'d Disk<'_>, findings: &mut Findings) -> Vec<Entry<'d>> {
    let mut entries = Vec::new();
    for (part, files) in disk.volumes() {
        for below in ["boot/", ""] {
            let mut add = |path: &str, boot: Option<Boot>| {
                let entry = |boot| Entry { file: format!("/{path} on {}", part.name), boot, unified: None };
                entries.extend(boot.map(entry));
            };
            for (path, parse) in CONFIGURATIONS {
                let path = format!("{below}{path}");
                add(&path, files.text(&path).and_then(|text| parse(&text)));
            }
            let folder = format!("{below}loader/entries");
            if let Some(path) = newest(files, &folder) {
                let environment = files.text(&format!("{below}grub2/grubenv")).unwrap_or_default();
                add(&path, files.text(&path).and_then(|text| specified(&text, &environment)));
            }
        }
        for folder in UNIFIED {
            let is_program = |name: &String| name.to_ascii_lowercase().ends_with(".efi");
            for name in files.names(folder).into_iter().filter(is_program).take(ENTRIES_LIMIT) {
                entries.extend(unified(files, &format!("{folder}/{name}"), &part.name));
            }
        }
    }
    entries.truncate(ENTRIES_LIMIT);
    if entries.is_empty() {
        let text = "no boot loader's configuration was found (GRUB, systemd-boot, extlinux, unified kernel image)";
        match disk.root_files() {
            Some(_) => findings.fault("loader", text),
            None => findings.doubt("loader", format!("{text}: it may be on what is not read")),
        }
    }
    for Entry { file, boot, unified } in &entries {
        let kernel = &boot.kernel;
        if unified.is_some() || disk.boot_file(kernel).is_some() {
            findings.good("loader", format!("{file} starts {kernel}"));
        } else {
            findings.doubt("loader", format!("{file} starts {kernel}, which was not found in the image"));
        }
    }
    entries
}

/// GRUB: the first kernel, and what is loaded with it.
fn grub(text: &str) -> Option<Boot> {
    let mut boot: Option<Boot> = None;
    for line in text.lines() {
        let (command, rest) = split_word(line);
        match (command, &mut boot) {
            ("linux" | "linux16" | "linuxefi", Some(_)) => break,
            ("linux" | "linux16" | "linuxefi", None) => {
                let (kernel, arguments) = split_word(rest);
                boot = Some(Boot { kernel: kernel.into(), arguments: arguments.into(), initramfs: Vec::new() });
            }
            ("initrd" | "initrd16" | "initrdefi", Some(boot)) => {
                boot.initramfs = rest.split_ascii_whitespace().map(String::from).collect();
            }
            _ => {}
        }
    }
    boot
}

/// extlinux and its kin: the entry that `DEFAULT` names, else the first.
fn extlinux(text: &str) -> Option<Boot> {
    let mut default = None;
    let mut boots: Vec<(&str, Boot)> = Vec::new();
    for line in text.lines() {
        let (command, rest) = split_word(line);
        let rest = rest.trim_ascii();
        match (command.to_ascii_uppercase().as_str(), boots.last_mut()) {
            ("DEFAULT", _) => default = Some(rest),
            ("LABEL", _) => boots.push((rest, Boot::default())),
            ("KERNEL" | "LINUX", Some((_, boot))) => boot.kernel = rest.into(),
            ("INITRD", Some((_, boot))) => boot.initramfs = rest.split(',').map(String::from).collect(),
            ("APPEND", Some((_, boot))) => boot.arguments = rest.into(),
            _ => {}
        }
    }
    let named = boots.iter().position(|(label, _)| Some(*label) == default).unwrap_or(0);
    let (_, mut boot) = boots.into_iter().nth(named)?;
    let within = boot.arguments.split_ascii_whitespace().find_map(|word| word.strip_prefix("initrd="));
    boot.initramfs.extend(within.map(String::from));
    Some(boot)
}

/// The Boot Loader Specification's type 1; `environment` is GRUB's, whose `kernelopts` some entries are made of.
fn specified(text: &str, environment: &str) -> Option<Boot> {
    let mut boot = Boot::default();
    for line in text.lines() {
        let (key, value) = split_word(line);
        let value = value.trim_ascii();
        match key {
            "linux" => boot.kernel = value.into(),
            "initrd" => boot.initramfs.extend(value.split_ascii_whitespace().map(String::from)),
            "options" => boot.arguments.extend([" ", value]),
            _ => {}
        }
    }
    let options = environment.lines().find_map(|line| line.strip_prefix("kernelopts=")).unwrap_or_default();
    boot.arguments = boot.arguments.replace("$kernelopts", options).trim_ascii().into();
    Some(boot).filter(|boot| !boot.kernel.is_empty())
}

/// The entry with the last name, as the newest version has it; rescue systems are not meant.
fn newest(files: &Files<'_>, folder: &str) -> Option<String> {
    let is_meant = |name: &String| name.ends_with(".conf") && !name.contains("rescue");
    let newest = files.names(folder).into_iter().filter(is_meant).max()?;
    Some(format!("{folder}/{newest}"))
}

/// A program that is kernel, arguments and initramfs in one.
fn unified<'d>(files: &'d Files<'d>, path: &str, part: &str) -> Option<Entry<'d>> {
    let file = files.file(path)?;
    let sections = pe::sections(&file).ok()?;
    pe::find(&sections, ".linux")?;
    let text = |name: &str| {
        let section = pe::find(&sections, name).filter(|section| section.length <= CMDLINE_LIMIT)?;
        let mut bytes = vec![0; section.length as usize];
        file.read_at(ByteCount(section.at), &mut bytes).ok()?;
        Some(String::from(String::from_utf8_lossy(&bytes).trim_end_matches(['\0', '\n'])))
    };
    let boot = Boot {
        kernel: text(".uname").unwrap_or_default(),
        initramfs: Vec::new(),
        arguments: text(".cmdline").unwrap_or_default(),
    };
    let initramfs = pe::find(&sections, ".initrd");
    Some(Entry { file: format!("/{path} on {part}"), boot, unified: Some((file, initramfs)) })
}

/// The first word of a line, and what follows it.
fn split_word(line: &str) -> (&str, &str) {
    let line = line.trim_ascii_start();
    line.split_once(|byte: char| byte.is_ascii_whitespace()).unwrap_or((line, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot(kernel: &str, initramfs: &[&str], arguments: &str) -> Option<Boot> {
        let initramfs = initramfs.iter().map(|path| String::from(*path)).collect();
        Some(Boot { kernel: kernel.into(), initramfs, arguments: arguments.into() })
    }

    #[test]
    fn grub_starts_the_first_kernel() {
        let text = "set default=\"0\"\nmenuentry 'Debian' {\n\tsearch --label root\n\tlinux\t/boot/vmlinuz-6.1 root=LABEL=r ro  quiet\n\
                    \tinitrd /boot/micro.img /boot/initrd.img-6.1\n}\nmenuentry 'old' {\n linux /old a\n initrd /b\n}\n";
        assert_eq!(
            grub(text),
            boot("/boot/vmlinuz-6.1", &["/boot/micro.img", "/boot/initrd.img-6.1"], "root=LABEL=r ro  quiet")
        );
        assert_eq!(grub("search --set root\nconfigfile ($root)/grub.cfg\ninitrd /x\n"), None);
    }

    #[test]
    fn extlinux_starts_its_default() {
        let text = "DEFAULT virt\nPROMPT 0\nLABEL lts\n  LINUX a\nLABEL virt\n  MENU LABEL x\n  LINUX vmlinuz-virt\n  \
                    INITRD initramfs-virt\n  APPEND root=LABEL=/ console=ttyS0\n";
        assert_eq!(extlinux(text), boot("vmlinuz-virt", &["initramfs-virt"], "root=LABEL=/ console=ttyS0"));
        let text = "default gone\nlabel a\nkernel k\nappend initrd=/i root=x\n";
        assert_eq!(extlinux(text), boot("k", &["/i"], "initrd=/i root=x"));
        assert_eq!(extlinux("DEFAULT linux\n"), None);
    }

    #[test]
    fn entries_of_the_specification_are_put_together() {
        let text = "title x\nlinux /vmlinuz\ninitrd /a\ninitrd /b $tuned\noptions $kernelopts\noptions quiet\n";
        let environment = "# GRUB Environment Block\nkernelopts=root=UUID=1 ro\n####";
        assert_eq!(specified(text, environment), boot("/vmlinuz", &["/a", "/b", "$tuned"], "root=UUID=1 ro quiet"));
        assert_eq!(specified("title x\nefi /shell.efi\n", ""), None);
    }
}

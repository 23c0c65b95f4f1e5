//! `wisp image pack --check`: a disk that every cloud can use, one defect at a time, other layouts, and damage.
#![cfg(feature = "full")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use wisp::bytes::ReadAt;
use wisp::container::cpio::Archive;
use wisp::error::Result;
use wisp::image::Cloud;
use wisp::image::lint::{self, Finding, Severity};
use wisp::units::ByteCount;

const MIB: usize = 1 << 20;
const VERSION: &str = "6.1.0-test-amd64";
const MODULES: [&str; 17] = [
    "virtio_blk",
    "virtio_scsi",
    "virtio_net",
    "nvme",
    "ena",
    "xen-blkfront",
    "gve",
    "hv_vmbus",
    "hv_storvsc",
    "hv_netvsc",
    "pci-hyperv",
    "udf",
    "sd_mod",
    "ext4",
    "xfs",
    "ixgbevf",
    "mana",
];
/// An ESP of 2 MiB and a root of 8 MiB.
const ESP_AND_ROOT: &str = "start=2MiB, size=2MiB, type=uefi\nstart=4MiB, size=8MiB, type=linux";
const ARGUMENTS: &str = "root=LABEL=system ro console=tty0 console=ttyS0,115200n8";

/// A folder with the tree of the root (`root`), of the ESP (`esp`), and the disk made of them.
struct Machine(PathBuf);

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Machine {
    /// A tree in which nothing is wrong for any cloud.
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("wisp-check-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let machine = Self(folder);
        let mut program = b"\x7fELF\x02\x01\x01".to_vec();
        program.resize(18, 0);
        program.extend([62, 0, 0, 0]);
        machine.put("root/usr/lib/systemd/systemd", &program);
        for phase in ["boot", "early", "main", "final"] {
            machine.put(&format!("root/usr/lib/systemd/system/wisp-{phase}.service"), b"[Unit]\n");
            let unit = format!("wisp-{phase}.service");
            machine.link(
                &format!("root/etc/systemd/system/multi-user.target.wants/{unit}"),
                &format!("/usr/lib/systemd/system/{unit}"),
            );
        }
        machine.put("root/etc/machine-id", b"uninitialized\n");
        machine.put("root/etc/fstab", b"LABEL=system / ext4 defaults 0 1\n");
        machine.put("root/etc/ssh/sshd_config", b"");
        machine.put("root/usr/sbin/sshd", &program);
        machine.link("root/etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf");
        machine.link("root/lib", "usr/lib");
        let dep: String = MODULES.iter().map(|module| format!("kernel/{module}.ko.xz: kernel/a.ko.xz\n")).collect();
        machine.put(&format!("root/usr/lib/modules/{VERSION}/modules.dep"), dep.as_bytes());
        machine
            .put(&format!("root/usr/lib/modules/{VERSION}/modules.builtin"), b"kernel/drivers/virtio/virtio_pci.ko\n");
        machine.put(&format!("root/boot/initrd.img-{VERSION}"), &initramfs(&MODULES));
        machine.put(&format!("root/boot/vmlinuz-{VERSION}"), b"kernel");
        machine.put_grub(ARGUMENTS);
        machine.put("esp/EFI/BOOT/BOOTX64.EFI", b"MZ");
        machine
    }

    fn put(&self, path: &str, bytes: &[u8]) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&path);
        fs::write(path, bytes).unwrap();
    }

    fn put_grub(&self, arguments: &str) {
        let text = format!(
            "menuentry 'x' {{\n linux /boot/vmlinuz-{VERSION} {arguments}\n initrd /boot/initrd.img-{VERSION}\n}}\n"
        );
        self.put("root/boot/grub/grub.cfg", text.as_bytes());
    }

    fn link(&self, path: &str, target: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    fn remove(&self, path: &str) {
        let path = self.0.join(path);
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }

    /// Runs a command of the shell in the folder.
    fn run(&self, command: &str) {
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        let output = Command::new("sh").args(["-c", command]).current_dir(&self.0).env("PATH", path).output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {complaint}; `make test` says which packages are needed");
    }

    fn ext4(&self, options: &str) {
        self.run(&format!("rm -f r && truncate -s 8M r && mkfs.ext4 -q -F -b 4096 -L system {options} -d root r"));
    }

    fn fat(&self) {
        self.run("rm -f e && truncate -s 2M e && mkfs.vfat -n ESP e >/dev/null && mcopy -s -i e esp/* ::");
    }

    /// BIOS boot partition, ESP, root, each where it should be.
    fn disk(&self) -> Vec<u8> {
        static TABLE: OnceLock<Vec<u8>> = OnceLock::new();
        self.ext4("");
        self.fat();
        let bios = "21686148-6449-6E6F-744E-656564454649";
        let table = || self.table(&format!("start=1MiB, size=1MiB, type={bios}\n{ESP_AND_ROOT}, name=top\n"));
        self.filled(TABLE.get_or_init(table), &[(2, "e"), (4, "r")])
    }

    /// A disk with this GPT.
    fn table(&self, layout: &str) -> Vec<u8> {
        fs::write(self.0.join("layout"), format!("label: gpt\n{layout}")).unwrap();
        self.run("rm -f d && truncate -s 13M d && sfdisk -q d <layout");
        fs::read(self.0.join("d")).unwrap()
    }

    /// The disk with boot code, and files at so many MiB.
    fn filled(&self, table: &[u8], places: &[(usize, &str)]) -> Vec<u8> {
        let mut disk = table.to_vec();
        disk[..5].copy_from_slice(b"\xeb\x63\x90GR");
        for (at, name) in places {
            let bytes = fs::read(self.0.join(name)).unwrap();
            disk[at * MIB..at * MIB + bytes.len()].copy_from_slice(&bytes);
        }
        disk
    }
}

/// An uncompressed archive before a packed one, as Debian's with microcode.
fn initramfs(modules: &[&str]) -> Vec<u8> {
    let mut early = Archive::new();
    early.add_file("kernel/x86/microcode/GenuineIntel.bin", 0o644, vec![1; 5000]).unwrap();
    let mut main = Archive::new();
    for module in modules {
        main.add_file(&format!("usr/lib/modules/{VERSION}/kernel/{module}.ko.xz"), 0o644, vec![2; 100]).unwrap();
    }
    // Left over, and of no use to this kernel.
    for module in MODULES {
        main.add_file(&format!("usr/lib/modules/6.0.0-amd64/kernel/{module}.ko.xz"), 0o644, vec![2; 100]).unwrap();
    }
    let mut bytes = early.emit();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes.extend(wisp::codec::Format::Zstd.encode(&main.emit()).unwrap());
    bytes
}

fn look(disk: &[u8], cloud: Cloud) -> Vec<Finding> {
    lint::run(&disk, ByteCount(disk.len() as u64), cloud).unwrap()
}

/// What is not good: verdict, what, text.
fn complaints(disk: &[u8], cloud: Cloud) -> Vec<(Severity, &'static str, String)> {
    let bad = look(disk, cloud).into_iter().filter(|finding| finding.verdict != Severity::Ok);
    bad.map(|finding| (finding.verdict, finding.what, finding.text)).collect()
}

#[track_caller]
fn only(disk: &[u8], cloud: Cloud, verdict: Severity, what: &str, text: &str) {
    let found = complaints(disk, cloud);
    let [(of, about, words)] = found.as_slice() else { panic!("{text}: {found:#?}") };
    assert!((*of, *about) == (verdict, what) && words.contains(text), "{text}: {found:#?}");
}

/// Whether something good was found with these words.
fn says(disk: &[u8], cloud: Cloud, words: &str) -> bool {
    look(disk, cloud).iter().any(|finding| finding.verdict == Severity::Ok && finding.text.contains(words))
}

#[test]
fn a_good_image_is_good_for_every_cloud() {
    let machine = Machine::new("good");
    let disk = machine.disk();
    for (cloud, _) in Cloud::ALL {
        assert_eq!(complaints(&disk, cloud), []);
    }
    for words in [
        "a GPT, with its backup at the end",
        "UEFI and a BIOS can start it; its generation may be V1 or V2",
        "/EFI/BOOT/BOOTX64.EFI is on partition 2",
        "ext4 on partition 3, with nothing behind it",
        "/boot/grub/grub.cfg on partition 3 starts /boot/vmlinuz-6.1.0-test-amd64",
        "has its console on ttyS0",
        "root=LABEL=system, which is partition 3",
        "Linux 6.1.0-test-amd64 has hv_vmbus, hv_storvsc, sd_mod, hv_netvsc, pci_hyperv, nvme, udf, ext4, where",
        "wisp configures a machine",
        "still to come",
        "no SSH host keys",
        "no machine-id",
    ] {
        assert!(says(&disk, Cloud::Azure, words), "{words}: {:#?}", look(&disk, Cloud::Azure));
    }
    let findings = look(&disk, Cloud::Aws);
    assert!(!lint::has_fault(&findings));
    assert!(lint::lines(&findings).starts_with("good   table      a GPT, with its backup at the end of the disk\n"));
    assert!(lint::json(&findings).starts_with(r#"[{"verdict":"good","what":"table","text":"a GPT"#));
}

/// What is done to the tree, for which cloud that is bad, how bad, and which words it is told in.
type Defect = (fn(&Machine), Cloud, Severity, &'static str, &'static str);

use Severity::{Error, Warning};

const DEFECTS: &[Defect] = &[
    (
        |m| m.remove("esp/EFI/BOOT/BOOTX64.EFI"),
        Cloud::Aws,
        Warning,
        "firmware",
        "partition 2 has no /EFI/BOOT/BOOTX64.EFI",
    ),
    (|m| m.put_grub("root=LABEL=system"), Cloud::Gcp, Warning, "arguments", "no console: add console=ttyS0"),
    (|m| m.put_grub("root=LABEL=system console=tty1"), Cloud::Gcp, Warning, "arguments", "its console on tty1: add"),
    (
        |m| m.put_grub("root=/dev/sda3 console=ttyS0"),
        Cloud::Aws,
        Error,
        "arguments",
        "root=/dev/sda3, a name that differs",
    ),
    (|m| m.put_grub("root=/dev/vda3 console=ttyS0"), Cloud::NoCloud, Warning, "arguments", "root=/dev/vda3, a name"),
    (
        |m| m.put_grub("root=LABEL=other console=ttyS0"),
        Cloud::Oci,
        Error,
        "arguments",
        "nothing in the image is called so",
    ),
    (|m| m.put_grub("console=ttyS0"), Cloud::Oci, Warning, "arguments", "has no root="),
    (
        |m| {
            m.put_grub(&format!(
                "{ARGUMENTS}\n initrd /a /b /c /d /e\n}}\nmenuentry 'y' {{\n linux /boot/vmlinuz-{VERSION}"
            ))
        },
        Cloud::Aws,
        Warning,
        "drivers",
        "it consists of too many files",
    ),
    (
        |m| m.remove("root/boot/vmlinuz-6.1.0-test-amd64"),
        Cloud::Azure,
        Warning,
        "loader",
        "which was not found in the image",
    ),
    (|m| m.remove("root/boot/grub"), Cloud::Azure, Error, "loader", "no boot loader's configuration"),
    (
        |m| m.put("root/boot/initrd.img-6.1.0-test-amd64", b"no initramfs"),
        Cloud::Aws,
        Warning,
        "drivers",
        "it is neither a cpio archive nor compressed",
    ),
    (|m| m.remove("root/boot/initrd.img-6.1.0-test-amd64"), Cloud::Aws, Warning, "drivers", "it is not in the image"),
    (
        |m| m.put(&format!("root/boot/initrd.img-{VERSION}"), &initramfs(&["ext4", "nvme"])),
        Cloud::Aws,
        Warning,
        "drivers",
        "xen_blkfront is not in the initramfs",
    ),
    (
        |m| m.put(&format!("root/boot/initrd.img-{VERSION}"), &initramfs(&MODULES[1..])),
        Cloud::NoCloud,
        Error,
        "drivers",
        "virtio_blk is not in the initramfs",
    ),
    (
        |m| m.put(&format!("root/usr/lib/modules/{VERSION}/modules.builtin"), b""),
        Cloud::Gcp,
        Error,
        "drivers",
        "has no virtio_pci",
    ),
    (|m| m.remove("root/usr/lib/modules"), Cloud::Gcp, Warning, "drivers", "no /lib/modules"),
    (
        |m| m.remove("root/etc/systemd/system/multi-user.target.wants/wisp-main.service"),
        Cloud::Aws,
        Error,
        "agent",
        "nothing that configures",
    ),
    (|m| m.remove("root/etc/systemd"), Cloud::NoCloud, Warning, "agent", "nothing that configures"),
    (
        |m| m.put("root/etc/systemd/system/cloud-init.target.wants/cloud-init.service", b""),
        Cloud::Aws,
        Warning,
        "agent",
        "both wisp and cloud-init",
    ),
    (|m| m.put("root/var/lib/cloud/.bootstrap-complete", b"i-1"), Cloud::Aws, Error, "state", "the first boot is over"),
    (|m| m.put("root/var/lib/cloud/instances/i-0123/x", b""), Cloud::Aws, Warning, "state", "what was done on i-0123"),
    (
        |m| m.put("root/etc/ssh/ssh_host_rsa_key", b"secret"),
        Cloud::Aws,
        Warning,
        "state",
        "wisp replaces it in the first boot",
    ),
    (
        |m| m.put("root/etc/shadow", b"root:$y$j9T$secret:19000::::::\n"),
        Cloud::Aws,
        Warning,
        "state",
        "root has a password",
    ),
    (|m| m.put("root/etc/shadow", b"root::19000::::::\n"), Cloud::Aws, Warning, "state", "root has an empty password"),
    (
        |m| m.put("root/etc/machine-id", b"0123456789abcdef0123456789abcdef\n"),
        Cloud::Gcp,
        Error,
        "state",
        "machine-id is set",
    ),
    (|m| m.remove("root/usr/sbin/sshd"), Cloud::Gcp, Warning, "state", "no SSH server"),
    (|m| m.put("root/var/lib/systemd/random-seed", b"seed"), Cloud::Gcp, Warning, "state", "random-seed is the same"),
    (|m| m.put("root/var/lib/dhcp/dhclient.eth0.leases", b"lease"), Cloud::Gcp, Warning, "state", "another network's"),
    (
        |m| m.put("root/etc/resolv.conf", b"nameserver 192.0.2.1\n"),
        Cloud::Gcp,
        Warning,
        "state",
        "/etc/resolv.conf names servers",
    ),
    (|m| m.put("root/etc/fstab", b"/swapfile none swap sw 0 0\n"), Cloud::Azure, Error, "state", "/swapfile as swap"),
];

#[test]
fn one_defect_is_one_complaint() {
    for (number, (defect, cloud, verdict, what, text)) in DEFECTS.iter().enumerate() {
        let machine = Machine::new(&format!("defect-{number}"));
        defect(&machine);
        only(&machine.disk(), *cloud, *verdict, what, text);
    }
}

#[test]
fn host_keys_that_nothing_replaces_are_a_fault() {
    let machine = Machine::new("host-keys");
    machine.remove("root/etc/systemd/system/multi-user.target.wants/wisp-main.service");
    machine.put("root/etc/systemd/system/cloud-init.target.wants/cloud-init.service", b"");
    machine.put("root/etc/ssh/ssh_host_rsa_key", b"secret");
    only(&machine.disk(), Cloud::Aws, Error, "state", "/etc/ssh/ssh_host_rsa_key: every machine");
}

#[test]
fn names_in_the_image_are_shown_without_what_a_terminal_obeys() {
    let machine = Machine::new("names");
    machine.put("root/var/lib/cloud/instances/\u{1b}]0;x\u{7}/y", b"");
    only(&machine.disk(), Cloud::Aws, Warning, "state", "what was done on \u{fffd}]0;x\u{fffd}: ");
}

#[test]
fn what_is_wrong_with_the_disk_is_one_complaint() {
    let machine = Machine::new("disk");
    let sound = machine.disk();
    let mut disk = sound.clone();
    disk.resize(14 * MIB, 0);
    only(&disk, Cloud::Gcp, Warning, "table", "not at the end of the disk");
    let mut disk = sound.clone();
    disk[512 + 20] ^= 1;
    only(&disk, Cloud::Gcp, Error, "table", "the primary GPT is damaged");
    let mut disk = sound.clone();
    disk[..5].fill(0);
    only(&disk, Cloud::Gcp, Warning, "firmware", "there is no boot code");

    let table = machine.table("start=1MiB, size=8MiB, type=linux\nstart=9MiB, size=2MiB, type=uefi\n");
    let disk = machine.filled(&table, &[(1, "r"), (9, "e")]);
    only(&disk, Cloud::Aws, Warning, "root", "partition 2 lies behind partition 1");
    let table = machine.table("start=1MiB, size=2MiB, type=uefi\nstart=6152, size=8MiB, type=linux\n");
    let mut disk = machine.filled(&table, &[(1, "e")]);
    let root = fs::read(machine.0.join("r")).unwrap();
    disk[6152 * 512..][..root.len()].copy_from_slice(&root);
    only(&disk, Cloud::Aws, Warning, "root", "does not begin at a multiple of 1 MiB");

    machine.run("truncate -s 1M s && mkswap s >/dev/null 2>&1");
    let table = machine.table(&format!("start=1MiB, size=1MiB, type=swap\n{ESP_AND_ROOT}\n"));
    let disk = machine.filled(&table, &[(1, "s"), (2, "e"), (4, "r")]);
    only(&disk, Cloud::Azure, Error, "state", "partition 1 is swap");
    assert_eq!(complaints(&disk, Cloud::Aws), []);

    machine.run("truncate -s 1M other && mkfs.ext4 -q -F -L system other");
    let disk = machine.filled(&table, &[(1, "other"), (2, "e"), (4, "r")]);
    only(&disk, Cloud::Aws, Error, "arguments", "several filesystems are called so");
    machine.ext4("-b 1024");
    let disk = machine.filled(&table, &[(2, "e"), (4, "r")]);
    only(&disk, Cloud::Aws, Warning, "root", "has blocks of 1024 bytes");
    assert!(lint::run(&&disk[..4096], ByteCount(4096), Cloud::Aws).is_err(), "no disk is so small");
}

#[test]
fn other_boot_loaders_and_layouts_are_understood() {
    // Alpine's for a BIOS: no table, extlinux, OpenRC.
    let machine = Machine::new("layouts");
    machine.remove("root/etc/systemd");
    machine.remove("root/boot/grub");
    for (phase, runlevel) in [("boot", "boot"), ("early", "default"), ("main", "default"), ("final", "default")] {
        machine.link(&format!("root/etc/runlevels/{runlevel}/wisp-{phase}"), &format!("/etc/init.d/wisp-{phase}"));
    }
    let text = format!(
        "DEFAULT virt\nLABEL virt\n LINUX vmlinuz-{VERSION}\n INITRD initrd.img-{VERSION}\n APPEND {ARGUMENTS}\n"
    );
    machine.put("root/boot/extlinux.conf", text.as_bytes());
    machine.ext4("");
    let mut disk = fs::read(machine.0.join("r")).unwrap();
    assert_eq!(
        complaints(&disk, Cloud::Oci),
        [(
            Error,
            "firmware",
            "no firmware starts it: it has neither a boot loader for UEFI nor code for a BIOS".into()
        )]
    );
    disk[..3].copy_from_slice(b"\xeb\x58\x90");
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    assert_eq!(complaints(&disk, Cloud::Oci), []);
    assert!(says(&disk, Cloud::Oci, "none: ext4 on the whole disk"));
    assert!(says(&disk, Cloud::Azure, "its generation is V1"));

    // The same for Arm: what a BIOS would run is of no use, and the console has another name.
    let mut program = fs::read(machine.0.join("root/usr/sbin/sshd")).unwrap();
    program[18] = 183;
    machine.put("root/usr/lib/systemd/systemd", &program);
    machine.put("esp/EFI/BOOT/BOOTAA64.EFI", b"MZ");
    machine.remove("esp/EFI/BOOT/BOOTX64.EFI");
    let disk = machine.disk();
    only(&disk, Cloud::Gcp, Warning, "arguments", "add console=ttyAMA0");
    assert_eq!(complaints(&disk, Cloud::Aws), []);
    assert!(says(&disk, Cloud::Aws, "register it with --boot-mode uefi"));

    // systemd-boot and a kernel of its own on the ESP.
    let machine = Machine::new("specification");
    machine.remove("root/boot");
    let entry = format!("linux /{VERSION}/linux\ninitrd /{VERSION}/initrd\noptions {ARGUMENTS}\n");
    machine.put("esp/loader/entries/0-rescue.conf", b"linux /x\noptions single\n");
    machine.put(&format!("esp/loader/entries/{VERSION}.conf"), entry.as_bytes());
    machine.put(&format!("esp/{VERSION}/linux"), b"kernel");
    machine.put(&format!("esp/{VERSION}/initrd"), &initramfs(&MODULES));
    assert_eq!(complaints(&machine.disk(), Cloud::Azure), []);

    // A unified kernel image instead, with the name of the partition's entry.
    machine.remove("esp/loader");
    machine.put("esp/EFI/Linux/linux.efi", &unified("root=PARTLABEL=top console=ttyS0", &initramfs(&MODULES)));
    let disk = machine.disk();
    assert_eq!(complaints(&disk, Cloud::Azure), []);
    assert!(says(&disk, Cloud::Azure, "/EFI/Linux/linux.efi on partition 2 starts 6.1.0-test-amd64"));
    machine.put("esp/EFI/Linux/linux.efi", &unified("root=PARTLABEL=top console=ttyS0", &initramfs(&["ext4"])));
    let missing: Vec<_> =
        complaints(&machine.disk(), Cloud::NoCloud).into_iter().map(|(verdict, what, _)| (verdict, what)).collect();
    assert_eq!(missing, [(Error, "drivers"), (Warning, "drivers")]);

    // A root that is not read, and of which only the beginning is there.
    machine.run("rm -f r && truncate -s 512M big && mkfs.xfs -q -L system big && head -c 8M big >r && rm big");
    let disk = machine.filled(&machine.table(ESP_AND_ROOT), &[(2, "e"), (4, "r")]);
    let found = complaints(&disk, Cloud::Aws);
    assert!(
        found[0].1 == "table" && found[0].2.starts_with("the image was cut off: the xfs of partition 2"),
        "{found:#?}"
    );
    assert!(found[1].2.starts_with("what is on partition 2, xfs, is not read: mount it"), "{found:#?}");
    assert!(found[1..].iter().all(|(_, what, _)| matches!(*what, "root" | "arguments")), "{found:#?}");
}

/// A PE file with the sections of a unified kernel image.
fn unified(cmdline: &str, initramfs: &[u8]) -> Vec<u8> {
    let sections: [(&[u8; 8], &[u8]); 4] = [
        (b".linux\0\0", b"kernel"),
        (b".uname\0\0", VERSION.as_bytes()),
        (b".cmdline", cmdline.as_bytes()),
        (b".initrd\0", initramfs),
    ];
    let mut header = vec![0; 64];
    header[..2].copy_from_slice(b"MZ");
    header[0x3c] = 64;
    header.extend(b"PE\0\0\x64\x86\x04\0");
    header.resize(64 + 24, 0);
    let (mut at, mut data) = (1024_u32, Vec::<u8>::new());
    for (name, bytes) in sections {
        header.extend(name);
        for number in [bytes.len() as u32, 0, bytes.len() as u32, at] {
            header.extend(number.to_le_bytes());
        }
        header.resize(header.len() + 16, 0);
        data.extend(bytes);
        at += bytes.len() as u32;
    }
    header.resize(1024, 0);
    header.extend(data);
    header
}

/// A disk with one byte that is another.
struct Damaged<'a>(&'a [u8], usize, u8);

impl ReadAt for Damaged<'_> {
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
        self.0.read_at(offset, buffer)?;
        let place = self.1.checked_sub(offset.0 as usize).and_then(|place| buffer.get_mut(place));
        place.into_iter().for_each(|byte| *byte ^= self.2);
        Ok(())
    }
}

/// A disk that fails behind this byte.
struct Cut<'a>(&'a [u8], usize);

impl ReadAt for Cut<'_> {
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
        if offset.0 as usize + buffer.len() > self.1 {
            return Err(wisp::error::Error::os(5, "read"));
        }
        self.0.read_at(offset, buffer)
    }
}

#[test]
fn whatever_is_damaged_an_answer_comes() {
    let machine = Machine::new("damage");
    let disk = machine.disk();
    let size = ByteCount(disk.len() as u64);
    // Where anything but zeros stands, every some bytes: table, superblock, descriptors, inodes, directories, files.
    let used: Vec<usize> = (0..disk.len()).filter(|at| disk[*at] != 0).collect();
    let mut noticed = 0;
    let sound = look(&disk, Cloud::Azure);
    for (step, at) in used.iter().step_by((used.len() / 300).max(1)).enumerate() {
        let value = [0x01, 0x80, 0xff][step % 3];
        let found = lint::run(&Damaged(&disk, *at, value), size, Cloud::Azure);
        noticed += usize::from(found.as_ref().ok() != Some(&sound));
    }
    assert!(noticed > 10, "damage to {noticed} of 300 places was noticed");
    for end in (0..disk.len()).step_by(disk.len() / 60) {
        let found = lint::run(&Cut(&disk, end), size, Cloud::Azure);
        assert!(found.is_err() || found.as_ref() != Ok(&sound), "{end}");
    }
}

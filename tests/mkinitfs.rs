//! wisp in the images that Alpine's mkinitfs makes, as its package puts it there and takes it away: a root like Alpine's, in
//! which the scripts run as apk runs them. What stands for mkinitfs is in `tests/mkinitfs`; the kernel boots its images in
//! `qemu/scenarios/mkinitfs-*`.
//!
//! `WISP_UNDER_TEST` names the program; without it, it is the hosted one that cargo just built. Where no one may make a
//! namespace this says so and tests nothing; `make test` runs as root, who needs none.
#![cfg(feature = "full")]

#[path = "support/root.rs"]
mod root;
#[path = "support/skip.rs"]
mod skip;

use root::Root;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output};

const CONFIGURATION: &str = "etc/mkinitfs/mkinitfs.conf";
const ORIGINAL: &str = "# run mkinitfs -L for a list\nfeatures=\"base ext4 virtio\"\ncomplevel_gzip=\"-1\" # fast\n";
const IMAGE: &str = "boot/initramfs-virt";
const VERSION: &str = "6.6.14-0-virt";

fn source(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn program() -> String {
    std::env::var("WISP_UNDER_TEST").unwrap_or_else(|_| env!("CARGO_BIN_EXE_wisp").to_owned())
}

/// What a command said, if it did what it is for.
#[track_caller]
fn done(output: Output) -> String {
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    said
}

impl Root {
    /// Alpine with mkinitfs and one kernel, whose modules are compressed; wisp's files are there, as from its package.
    fn alpine(name: &str) -> Self {
        let root = Self::empty(name);
        for folder in ["bin", "sbin", "boot", "tmp", "run", "usr/bin"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let busybox = Command::new("sh").args(["-c", "command -v busybox"]).output().unwrap();
        root.copy(String::from_utf8(busybox.stdout).unwrap().trim(), "bin/busybox");
        let applets = Command::new("busybox").arg("--list").output().unwrap();
        for applet in String::from_utf8(applets.stdout).unwrap().lines().filter(|applet| *applet != "busybox") {
            symlink("busybox", root.join(format!("bin/{applet}"))).unwrap();
        }
        root.copy(&program(), "usr/bin/wisp");
        let libraries = String::from_utf8(Command::new("ldd").arg(program()).output().unwrap().stdout).unwrap();
        for path in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
            root.copy(path, path.trim_start_matches('/'));
        }
        for (name, place) in
            [("mkinitfs", "sbin/"), ("nlplug-findfs", "sbin/"), ("initramfs-init", "usr/share/mkinitfs/")]
        {
            root.copy(source(&format!("tests/mkinitfs/{name}")).to_str().unwrap(), &format!("{place}{name}"));
        }
        for feature in fs::read_dir(source("tests/mkinitfs/features.d")).unwrap().map(Result::unwrap) {
            let name = feature.file_name().into_string().unwrap();
            root.copy(feature.path().to_str().unwrap(), &format!("etc/mkinitfs/features.d/{name}"));
        }
        for kind in ["files", "modules"] {
            let stock = source(&format!("tests/mkinitfs/stock.{kind}"));
            root.copy(stock.to_str().unwrap(), &format!("etc/mkinitfs/features.d/base.{kind}"));
        }
        root.write("dev/null", "");
        for name in ["fstab", "passwd", "group"] {
            root.write(&format!("usr/share/mkinitfs/{name}"), "");
        }
        root.write("etc/modprobe.d/aliases.conf", "");
        root.write(CONFIGURATION, ORIGINAL);
        root.kernel("virt", VERSION);
        let destination = format!("DESTDIR={}", root.path());
        let mut make = Command::new("make");
        make.args(["-s", "-C", env!("CARGO_MANIFEST_DIR"), "install-mkinitfs", &destination]);
        done(make.output().unwrap());
        root.write("usr/libexec/wisp/wisp-initramfs", "wisp, version 1");
        root
    }

    fn copy(&self, from: &str, to: &str) {
        let to = self.join(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }

    /// As its package brings it. What depmod would find in the modules is written down here.
    fn kernel(&self, flavour: &str, version: &str) {
        self.write(&format!("usr/share/kernel/{flavour}/kernel.release"), &format!("{version}\n"));
        let needs = [
            ("kernel/arch/x86/crypto/crc32c-intel.ko.gz", ""),
            ("kernel/crypto/crc32c_generic.ko.gz", ""),
            ("kernel/crypto/cts.ko.gz", ""),
            ("kernel/drivers/block/loop.ko.gz", ""),
            ("kernel/drivers/block/virtio_blk.ko.gz", "kernel/drivers/virtio/virtio.ko.gz"),
            ("kernel/drivers/nvme/host/nvme.ko.gz", ""),
            ("kernel/drivers/virtio/virtio.ko.gz", "kernel/drivers/virtio/virtio_ring.ko.gz"),
            ("kernel/drivers/virtio/virtio_ring.ko.gz", ""),
            ("kernel/fs/ext4/ext4.ko.gz", "kernel/fs/mbcache.ko.gz kernel/fs/jbd2/jbd2.ko.gz"),
            ("kernel/fs/jbd2/jbd2.ko.gz", ""),
            ("kernel/fs/mbcache.ko.gz", ""),
            ("kernel/fs/overlayfs/overlay.ko.gz", ""),
        ];
        let mut list = String::new();
        for (module, behind) in needs {
            // An empty gzip member.
            let path = self.join(format!("lib/modules/{version}/{module}"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, [31, 139, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
            list += &format!("{module}: {behind}\n");
        }
        self.write(&format!("lib/modules/{version}/modules.dep"), &list);
    }

    /// A command line, run as this root's.
    fn run(&self, line: &str) -> Output {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--", "chroot", self.path(), "/bin/busybox", "sh", "-c", line]);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().unwrap()
    }

    /// A script of the package, as apk runs it: from a file of its own.
    fn script(&self, kind: &str) -> Output {
        let path = self.join("tmp/script");
        fs::copy(source(&format!("mkinitfs/wisp-mkinitfs.{kind}")), &path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self.run("/tmp/script")
    }

    /// The names in an image.
    fn listing(&self, image: &str) -> BTreeSet<String> {
        let names = done(self.run(&format!("zcat /{image} | cpio -t 2>/dev/null")));
        names.lines().map(str::to_owned).collect()
    }

    /// One file of an image.
    fn in_image(&self, image: &str, name: &str) -> String {
        done(self.run(&format!(
            "rm -rf /tmp/x; mkdir /tmp/x && cd /tmp/x && zcat /{image} | cpio -id {name} 2>/dev/null; cat {name}"
        )))
    }
}

/// What the files of the kernel are called in an image.
fn modules<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().map(|name| format!("usr/lib/modules/{VERSION}/kernel/{name}.ko.gz")).collect()
}

/// The regular files and links of an image, without what every image has.
fn own_files(listing: &BTreeSet<String>) -> (BTreeSet<String>, BTreeSet<&str>) {
    let is_module = |name: &&String| name.ends_with(".ko.gz");
    let programs = listing.iter().map(String::as_str).filter(|name| {
        name.starts_with("usr/bin/") || name.starts_with("usr/sbin/") || name.starts_with("usr/share/mkinitfs/")
    });
    (listing.iter().filter(is_module).cloned().collect(), programs.collect())
}

#[test]
fn each_way_brings_what_it_needs_and_no_more() {
    if !skip::needs_namespaces("--map-root-user") {
        return;
    }
    let root = Root::alpine("features");
    let drivers = [
        "arch/x86/crypto/crc32c-intel",
        "crypto/crc32c_generic",
        "drivers/block/virtio_blk",
        "drivers/virtio/virtio",
        "drivers/virtio/virtio_ring",
        "fs/ext4/ext4",
        "fs/jbd2/jbd2",
        "fs/mbcache",
        "fs/overlayfs/overlay",
    ];
    for (option, more, programs) in [
        (
            "",
            Some("drivers/block/loop"),
            vec!["usr/bin/busybox", "usr/bin/sh", "usr/sbin/nlplug-findfs", "usr/share/mkinitfs/initramfs-init"],
        ),
        ("--own-init", None, vec![]),
    ] {
        let said = done(root.run(&format!("wisp mkinitfs enable {option}")));
        assert!(said.contains(&format!("/{IMAGE} made for {VERSION}")), "{said}");
        let listing = root.listing(IMAGE);
        let (found, names) = own_files(&listing);
        assert_eq!(found, modules(drivers.into_iter().chain(more)), "{option}");
        assert_eq!(names, programs.into_iter().collect(), "{option}");
        for name in ["init", "bin", "sbin", "lib", "etc/passwd", "etc/modprobe.d/aliases.conf"] {
            assert!(listing.contains(name), "{option}: {name} of {listing:?}");
        }
        assert!(listing.contains(&format!("usr/lib/modules/{VERSION}/modules.dep")));
        assert_eq!(root.in_image(IMAGE, "init"), "wisp, version 1");
    }
    assert!(!root.has("boot/initramfs-virt.wisp"));
}

#[test]
fn the_package_comes_is_upgraded_and_goes() {
    if !skip::needs_namespaces("--map-root-user") {
        return;
    }
    let root = Root::alpine("package");
    root.kernel("lts", "6.6.14-0-lts");
    let said = done(root.script("post-install"));
    assert!(said.contains("mkinitfs.conf changed"), "{said}");
    let init = "init=/usr/libexec/wisp/wisp-initramfs\n";
    let wanted = ORIGINAL.replace("virtio\"\n", &format!("virtio wisp\"\n{init}"));
    assert_eq!(root.read(CONFIGURATION), wanted);
    for image in [IMAGE, "boot/initramfs-lts"] {
        assert_eq!(root.in_image(image, "init"), "wisp, version 1");
        assert!(root.listing(image).contains("usr/share/mkinitfs/initramfs-init"), "{image}");
    }

    root.write("usr/libexec/wisp/wisp-initramfs", "wisp, version 2");
    done(root.script("post-upgrade"));
    assert_eq!((root.read(CONFIGURATION), root.in_image(IMAGE, "init")), (wanted, "wisp, version 2".into()));

    // What Alpine's own trigger does for a kernel that is new: wisp is in it without anybody's doing.
    root.kernel("virt", "6.6.15-0-virt");
    done(root.run("mkinitfs -o /boot/initramfs-virt 6.6.15-0-virt"));
    assert_eq!(root.in_image(IMAGE, "init"), "wisp, version 2");

    done(root.script("pre-deinstall"));
    assert_eq!(root.read(CONFIGURATION), ORIGINAL);
    let stock = fs::read_to_string(source("tests/mkinitfs/initramfs-init")).unwrap();
    for image in [IMAGE, "boot/initramfs-lts"] {
        assert_eq!(root.in_image(image, "init"), stock, "{image}");
    }
    // It leaves the configuration also where mkinitfs cannot be called: it may go with the same command.
    done(root.script("post-install"));
    fs::rename(root.join("sbin/mkinitfs"), root.join("sbin/gone")).unwrap();
    assert_eq!(root.script("pre-deinstall").status.code(), Some(3));
    assert_eq!(root.read(CONFIGURATION), ORIGINAL);
    fs::rename(root.join("sbin/gone"), root.join("sbin/mkinitfs")).unwrap();
    // Then the files go, and the next kernel comes.
    fs::remove_dir_all(root.join("usr/libexec/wisp")).unwrap();
    for file in ["wisp.files", "wisp.modules", "wisp-init.files", "wisp-init.modules"] {
        fs::remove_file(root.join(format!("etc/mkinitfs/features.d/{file}"))).unwrap();
    }
    done(root.run("mkinitfs -o /boot/initramfs-virt 6.6.15-0-virt"));
    assert_eq!(root.in_image(IMAGE, "init"), stock);
}

#[test]
fn an_upgrade_leaves_alone_who_does_not_use_it() {
    if !skip::needs_namespaces("--map-root-user") {
        return;
    }
    let root = Root::alpine("unused");
    for script in ["post-upgrade", "pre-deinstall"] {
        let said = done(root.script(script));
        assert!(said.contains("nothing done"), "{said}");
    }
    assert_eq!(root.read(CONFIGURATION), ORIGINAL);
    assert!(!root.has(IMAGE));
    fs::remove_file(root.join(CONFIGURATION)).unwrap();
    for script in ["post-upgrade", "pre-deinstall"] {
        done(root.script(script));
    }

    root.write(CONFIGURATION, &format!("{ORIGINAL}disable_trigger=YES\n"));
    let said = done(root.script("post-install"));
    assert!(said.contains("disable_trigger") && !root.has(IMAGE), "{said}");
    assert!(root.read(CONFIGURATION).contains("virtio wisp\""));
}

#[test]
fn an_image_in_which_wisp_would_not_be_takes_the_place_of_none() {
    if !skip::needs_namespaces("--map-root-user") {
        return;
    }
    let root = Root::alpine("missing");
    root.write(IMAGE, "the image so far");
    let unchanged = |said: &str| {
        assert_eq!(root.read(CONFIGURATION), ORIGINAL, "{said}");
        assert_eq!(root.read(IMAGE), "the image so far", "{said}");
        assert!(!root.has("boot/initramfs-virt.wisp"), "{said}");
    };
    let refused = |code| {
        let output = root.script("post-install");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        unchanged(&said);
        said
    };
    // mkinitfs says nothing of a file that is not there.
    let stock = root.join("usr/share/mkinitfs/initramfs-init");
    fs::rename(&stock, root.join("stock")).unwrap();
    assert!(refused(3).contains("usr/share/mkinitfs/initramfs-init"));
    fs::rename(root.join("stock"), &stock).unwrap();

    let mkinitfs = root.read("sbin/mkinitfs");
    for (line, code, why) in [
        ("[ -n \"$list\" ] || { echo 'no space left'; exit 1; }\n", 9, "no space left"),
        ("echo 'bad feature' >&2; exit 3\n", 9, "bad feature"),
        ("exit 0\n", 3, "./init"),
    ] {
        root.write("sbin/mkinitfs", &mkinitfs.replace("cd \"$tree\"\n", &format!("cd \"$tree\"\n{line}")));
        let said = refused(code);
        assert!(said.contains(why), "{said}");
    }
    fs::remove_file(root.join("sbin/mkinitfs")).unwrap();
    refused(3);
    fs::remove_file(root.join("etc/mkinitfs/features.d/wisp.files")).unwrap();
    refused(3);
    fs::remove_file(root.join("usr/libexec/wisp/wisp-initramfs")).unwrap();
    refused(3);
}

/// Below another root only the configuration is changed.
#[test]
fn a_configuration_is_changed_whole_or_not_at_all() {
    let root = Root::empty("root");
    let wisp = |words: &str| {
        let line = format!("mkinitfs {words} --root {}", root.path());
        let output = Command::new(program()).args(line.split_whitespace()).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(wisp("enable").0, 3, "there is no program for images");
    root.write("usr/local/libexec/wisp/wisp-initramfs", "");
    root.write("etc/mkinitfs/features.d/wisp.files", "");
    root.write("etc/mkinitfs/features.d/wisp-init.files", "");
    assert_eq!(wisp("enable").0, 3, "there is no mkinitfs");

    root.write(CONFIGURATION, ORIGINAL);
    fs::set_permissions(root.join(CONFIGURATION), fs::Permissions::from_mode(0o600)).unwrap();
    for (words, features) in [("enable", "base ext4 virtio wisp"), ("enable --own-init", "wisp-init ext4 virtio")] {
        let (code, said) = wisp(words);
        assert!(code == 0 && said.contains("no image is made"), "{said}");
        let text = root.read(CONFIGURATION);
        assert!(
            text.contains(&format!("features=\"{features}\"\ninit=/usr/local/libexec/wisp/wisp-initramfs\n")),
            "{text}"
        );
        assert_eq!(wisp(words).0, 0);
        assert_eq!(root.read(CONFIGURATION), text, "a second time changes nothing");
    }
    assert_eq!(root.join(CONFIGURATION).metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(wisp("disable").0, 0);
    assert_eq!(root.read(CONFIGURATION), ORIGINAL);

    for (text, why) in [
        (format!("{ORIGINAL}init=/etc/my-init\n"), "line 4 says init=/etc/my-init"),
        (format!("{ORIGINAL}[ -e /x ] && features=\"$features x\"\n"), "line 4"),
        ("initfscomp=zstd\n".into(), "no line features="),
    ] {
        root.write(CONFIGURATION, &text);
        let (code, said) = wisp("enable");
        assert!(code == 6 && said.contains(why) && said.contains("/etc/mkinitfs/mkinitfs.conf"), "{said}");
        assert_eq!(root.read(CONFIGURATION), text);
        assert_eq!(wisp("disable").0, 0, "nothing of wisp's is in it");
    }
    for words in ["", "grow", "rebuild", "enable disable", "enable --init", "disable --own-init"] {
        assert_eq!(wisp(words).0, 2, "{words}");
    }
}

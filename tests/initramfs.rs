//! The initramfs builder: what is in the archive according to cpio(1), from a small tree of modules made here.
#![cfg(feature = "full")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use wisp::codec::Format;
use wisp::container::cpio::Archive;
use wisp::error::Kind;
use wisp::error::Result;
use wisp::initramfs::build::drivers::{FILESYSTEMS, MACHINES};
use wisp::initramfs::build::running::modules_of;
use wisp::initramfs::build::{Addition, Recipe};
use wisp::probe::block::Sysfs;
use wisp::text::modules::Index;

const KERNEL: &str = "6.1.0-test";

/// The bytes of the initramfs.
fn build(recipe: &Recipe) -> Result<Vec<u8>> {
    wisp::initramfs::build::build(recipe).map(|image| image.bytes)
}

/// The first bytes of a static ELF program, which is all that the builder looks at.
fn program() -> Vec<u8> {
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(64, 0);
    elf.extend_from_slice(b"the program");
    elf
}

/// A root directory with modules, gone when the test is over.
struct Tree {
    root: PathBuf,
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

impl Tree {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("wisp-initramfs-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let tree = Self { root };
        tree.write("wisp", &program());
        for (path, pack) in [
            ("kernel/drivers/block/virtio_blk.ko", None),
            ("kernel/drivers/virtio/virtio.ko.xz", Some(["xz", "--check=crc32"])),
            ("kernel/drivers/virtio/virtio_ring.ko.gz", Some(["gzip", "-n"])),
            ("kernel/fs/btrfs/btrfs.ko.zst", Some(["zstd", "-q"])),
            ("kernel/lib/xxhash-generic.ko", None),
            ("kernel/drivers/md/dm-crypt.ko", None),
            ("kernel/sound/loud.ko", None),
        ] {
            let content = content(path.split('.').next().unwrap());
            let content = pack.map_or(content.clone(), |pack| through(pack[0], &[pack[1], "-c"], &content));
            tree.write_list(path, &content);
        }
        tree.write_list(
            "modules.dep",
            b"kernel/drivers/block/virtio_blk.ko: kernel/drivers/virtio/virtio.ko.xz kernel/drivers/virtio/virtio_ring.ko.gz\n\
            kernel/drivers/virtio/virtio.ko.xz: kernel/drivers/virtio/virtio_ring.ko.gz\n\
            kernel/drivers/virtio/virtio_ring.ko.gz:\n\
            kernel/fs/btrfs/btrfs.ko.zst:\n\
            kernel/lib/xxhash-generic.ko:\n\
            kernel/drivers/md/dm-crypt.ko:\n\
            kernel/sound/loud.ko:\n",
        );
        tree.write_list(
            "modules.alias",
            b"# Aliases\n\
            alias virtio:d00000002v* virtio_blk\n\
            alias fs-btrfs btrfs\n\
            alias xxhash64 xxhash_generic\n\
            alias crypto-* dm_crypt\n\
            alias pci:v*d*sv*sd*bc04sc03i* loud\n",
        );
        tree.write_list(
            "modules.softdep",
            b"softdep loud pre: virtio\nsoftdep btrfs pre: xxhash64 post: sha256\nsoftdep xts pre: ecb\n",
        );
        tree.write_list(
            "modules.builtin",
            b"kernel/fs/ext4/ext4.ko\nkernel/crypto/sha256.ko\nkernel/net/ipv6/ipv6.ko\nkernel/crypto/ecb.ko\n",
        );
        tree
    }

    fn write(&self, path: &str, content: &[u8]) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Writes below the directory of the kernel's modules.
    fn write_list(&self, path: &str, content: &[u8]) {
        self.write(&format!("lib/modules/{KERNEL}/{path}"), content);
    }

    fn path(&self, path: &str) -> String {
        self.root.join(path).to_str().unwrap().to_string()
    }

    /// As the command makes it by default.
    fn recipe(&self) -> Recipe {
        self.recipe_for("all", "all")
    }

    fn recipe_for(&self, machines: &str, filesystems: &str) -> Recipe {
        let mut recipe = Recipe {
            kernel: KERNEL.to_string(),
            modules_dir: self.path(&format!("lib/modules/{KERNEL}")),
            drivers: Vec::new(),
            modules: Vec::new(),
            compression: None,
            program: self.path("wisp"),
            files: Vec::new(),
            expected: Vec::new(),
        };
        recipe.choose(MACHINES, machines).unwrap();
        recipe.choose(FILESYSTEMS, filesystems).unwrap();
        recipe
    }

    /// Unpacks `archive` with cpio(1) into a new directory of the tree. Device nodes need root and are left out.
    fn unpack(&self, archive: &[u8]) -> PathBuf {
        let target = self.root.join("unpacked");
        let _ = fs::remove_dir_all(&target);
        fs::create_dir(&target).unwrap();
        let directory = target.to_str().unwrap();
        through("cpio", &["-i", "-d", "--quiet", "-D", directory, "--nonmatching", "dev/console"], archive);
        target
    }
}

/// What the module whose path begins with `stem` holds.
fn content(stem: &str) -> Vec<u8> {
    format!("\x7fELF {stem} ").repeat(2_000).into_bytes()
}

fn through(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // cpio does not read on behind the trailer.
        scope.spawn(move || stdin.write_all(input).is_ok());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{program} {arguments:?}");
    output.stdout
}

/// What `cpio -tv` says about each path: permissions, links, owner, group, then size or device numbers.
fn listing(archive: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8(through("cpio", &["-t", "-v", "-n", "--quiet"], archive)).unwrap();
    let mut listing = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        // Behind them, the time in three words and the path, perhaps with ` -> target`.
        let facts = if words[0].starts_with('c') { 6 } else { 5 };
        listing.insert(words[facts + 3..].join(" "), words[..facts].join(" "));
    }
    listing
}

#[test]
fn the_archive_holds_the_program_the_closure_and_nothing_else() {
    let tree = Tree::new("closure");
    let archive = build(&tree.recipe()).unwrap();
    let listing = listing(&archive);
    let paths: Vec<&str> = listing.keys().map(String::as_str).collect();
    assert_eq!(
        paths,
        [
            "dev",
            "dev/console",
            "init",
            "lib",
            "lib/modules",
            "lib/modules/6.1.0-test",
            "lib/modules/6.1.0-test/kernel",
            "lib/modules/6.1.0-test/kernel/drivers",
            "lib/modules/6.1.0-test/kernel/drivers/block",
            "lib/modules/6.1.0-test/kernel/drivers/block/virtio_blk.ko",
            "lib/modules/6.1.0-test/kernel/drivers/virtio",
            "lib/modules/6.1.0-test/kernel/drivers/virtio/virtio.ko",
            "lib/modules/6.1.0-test/kernel/drivers/virtio/virtio_ring.ko",
            "lib/modules/6.1.0-test/kernel/fs",
            "lib/modules/6.1.0-test/kernel/fs/btrfs",
            "lib/modules/6.1.0-test/kernel/fs/btrfs/btrfs.ko",
            "lib/modules/6.1.0-test/kernel/lib",
            "lib/modules/6.1.0-test/kernel/lib/xxhash-generic.ko",
            "lib/modules/6.1.0-test/modules.alias",
            "lib/modules/6.1.0-test/modules.builtin",
            "lib/modules/6.1.0-test/modules.dep",
            "lib/modules/6.1.0-test/modules.softdep",
            "proc",
            "run",
            "sys",
            "sysroot",
        ]
    );
    assert_eq!(listing["init"], "-rwxr-xr-x 1 0 0 75");
    assert_eq!(listing["dev"], "drwxr-xr-x 2 0 0 0");
    assert_eq!(listing["dev/console"], "crw------- 1 0 0 5, 1");
}

#[test]
fn files_are_unpacked_and_lists_are_trimmed() {
    let tree = Tree::new("unpacked");
    let unpacked = tree.unpack(&build(&tree.recipe()).unwrap());
    assert_eq!(fs::read(unpacked.join("init")).unwrap(), program());
    assert_eq!(fs::metadata(unpacked.join("init")).unwrap().permissions().mode() & 0o777, 0o755);
    let modules = unpacked.join("lib/modules").join(KERNEL);
    for stem in ["kernel/drivers/virtio/virtio", "kernel/drivers/virtio/virtio_ring", "kernel/fs/btrfs/btrfs"] {
        assert!(fs::read(modules.join(format!("{stem}.ko"))).unwrap() == content(stem), "{stem}");
    }
    let list = |name: &str| fs::read_to_string(modules.join(name)).unwrap();
    assert_eq!(
        list("modules.dep"),
        "kernel/drivers/block/virtio_blk.ko: kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko\n\
        kernel/drivers/virtio/virtio.ko: kernel/drivers/virtio/virtio_ring.ko\n\
        kernel/drivers/virtio/virtio_ring.ko:\n\
        kernel/fs/btrfs/btrfs.ko:\n\
        kernel/lib/xxhash-generic.ko:\n"
    );
    assert_eq!(
        list("modules.alias"),
        "alias virtio:d00000002v* virtio_blk\nalias fs-btrfs btrfs\nalias xxhash64 xxhash_generic\n"
    );
    assert_eq!(list("modules.softdep"), "softdep btrfs pre: xxhash64 post: sha256\n");
    assert_eq!(list("modules.builtin"), "kernel/fs/ext4/ext4.ko\nkernel/crypto/sha256.ko\n");
}

/// What `/init` finds with the trimmed lists is what the full ones say, and each file is there.
#[test]
fn the_trimmed_lists_resolve_as_the_full_ones() {
    let tree = Tree::new("resolve");
    let unpacked = tree.unpack(&build(&tree.recipe()).unwrap()).join("lib/modules").join(KERNEL);
    let full = Path::new(&tree.recipe().modules_dir).to_path_buf();
    let read = |directory: &Path| {
        ["dep", "alias", "softdep", "builtin"].map(|list| fs::read(directory.join(format!("modules.{list}"))).unwrap())
    };
    let (full, trimmed) = (read(&full), read(&unpacked));
    fn index(texts: &[Vec<u8>; 4]) -> Index<'_> {
        let mut index = Index::new();
        index.add_dep(&texts[0]);
        index.add_alias(&texts[1]);
        index.add_softdep(&texts[2]);
        index.add_builtin(&texts[3]);
        index
    }
    for wanted in ["virtio:d00000002v00001AF4", "virtio_blk", "fs-btrfs", "btrfs", "ext4"] {
        let stem = |path: &str| path.split('.').next().unwrap().to_string();
        let loads = index(&trimmed).resolve(wanted);
        let paths: Vec<String> = loads.iter().map(|load| stem(load.path)).collect();
        let expected: Vec<String> = index(&full).resolve(wanted).iter().map(|load| stem(load.path)).collect();
        assert_eq!(paths, expected, "{wanted}");
        assert!(index(&trimmed).contains(wanted), "{wanted}");
        assert!(loads.iter().all(|load| unpacked.join(load.path).exists()), "{wanted}");
    }
}

#[test]
fn a_named_module_goes_in_and_a_missing_one_is_named() {
    let tree = Tree::new("named");
    let mut recipe = tree.recipe();
    recipe.modules = vec!["dm_crypt".into(), "ext4".into(), "pci:v1d2sv3sd4bc04sc03i00".into()];
    let listing = listing(&build(&recipe).unwrap());
    for name in ["drivers/md/dm-crypt.ko", "sound/loud.ko"] {
        assert!(listing.contains_key(&format!("lib/modules/{KERNEL}/kernel/{name}")), "{name}");
    }
    recipe.modules = vec!["dm_crypt".into(), "reiserfs".into()];
    let error = build(&recipe).unwrap_err();
    assert_eq!(error.kind, Kind::Absent);
    assert_eq!(error.to_string(), "find reiserfs: kernel 6.1.0-test has no module of that name");
}

#[test]
fn what_was_chosen_goes_in_and_no_more() {
    let tree = Tree::new("chosen");
    for (machines, filesystems, expected) in [
        ("virtio", "ext4", vec!["virtio/virtio", "virtio/virtio_ring", "virtio_blk"]),
        ("virtio-blk", "none", vec!["virtio/virtio", "virtio/virtio_ring", "virtio_blk"]),
        ("none", "btrfs,ext4", vec!["btrfs", "xxhash-generic"]),
        ("none", "none", vec![]),
    ] {
        let archive = build(&tree.recipe_for(machines, filesystems)).unwrap();
        let paths = listing(&archive);
        let modules: Vec<&String> = paths.keys().filter(|path| path.ends_with(".ko")).collect();
        let found: Vec<_> =
            expected.iter().filter(|name| modules.iter().any(|path| path.ends_with(&format!("/{name}.ko")))).collect();
        assert_eq!(
            (found.len(), modules.len()),
            (expected.len(), expected.len()),
            "{machines} {filesystems}: {modules:?}"
        );
    }
    let error = build(&tree.recipe_for("virtio,xen", "ext4")).unwrap_err();
    assert_eq!(error.to_string(), "find xen-blkfront: kernel 6.1.0-test has no module of that name");
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let tree = Tree::new("same");
    let other = Tree::new("same-again");
    for compression in [None, Some(Format::Gzip), Some(Format::Xz), Some(Format::Zstd)] {
        let one = build(&Recipe { compression, ..tree.recipe() }).unwrap();
        let two = build(&Recipe { compression, ..other.recipe() }).unwrap();
        assert!(one == two, "{compression:?}");
        let archive = match compression {
            None => one,
            Some(Format::Gzip) => through("gzip", &["-dc"], &one),
            Some(Format::Xz) => through("xz", &["-dc"], &one),
            Some(Format::Zstd) => through("zstd", &["-dcq"], &one),
            #[cfg(feature = "formats")]
            Some(other) => panic!("{} is none of them", other.name()),
        };
        assert!(archive == build(&tree.recipe()).unwrap(), "{compression:?}");
    }
}

#[test]
fn the_configuration_beside_the_modules_goes_in() {
    let tree = Tree::new("config");
    tree.write("etc/modprobe.d/b.conf", b"blacklist loud\n");
    tree.write("usr/lib/modprobe.d/b.conf", b"hidden by the one in etc\n");
    tree.write("usr/lib/modprobe.d/a.conf", b"softdep btrfs post: dm_crypt\n");
    tree.write("usr/lib/modprobe.d/readme", b"no configuration\n");
    std::os::unix::fs::symlink("nowhere", tree.root.join("etc/modprobe.d/c.conf")).unwrap();
    let unpacked = tree.unpack(&build(&tree.recipe()).unwrap());
    let read = |name: &str| fs::read_to_string(unpacked.join("etc/modprobe.d").join(name)).ok();
    assert_eq!(read("a.conf").as_deref(), Some("softdep btrfs post: dm_crypt\n"));
    assert_eq!(read("b.conf").as_deref(), Some("blacklist loud\n"));
    assert_eq!(read("c.conf").as_deref(), Some(""));
    assert_eq!(read("readme"), None);
    let modules = unpacked.join("lib/modules").join(KERNEL).join("kernel");
    assert!(modules.join("drivers/md/dm-crypt.ko").exists(), "what the configuration depends on");
}

#[test]
fn what_is_missing_or_damaged_is_said() {
    let tree = Tree::new("missing");
    tree.write_list("kernel/drivers/virtio/virtio.ko.xz", b"\xfd7zXZ\0 and no more");
    let error = build(&tree.recipe()).unwrap_err();
    assert_eq!(error.kind, Kind::Corrupt);
    assert!(error.to.ends_with("virtio.ko.xz"), "{error}");
    fs::remove_file(tree.root.join(format!("lib/modules/{KERNEL}/kernel/drivers/virtio/virtio.ko.xz"))).unwrap();
    let error = build(&tree.recipe()).unwrap_err();
    assert_eq!(error.kind, Kind::Os(2));
    assert!(error.to.ends_with("virtio.ko.xz"), "{error}");
    fs::remove_file(tree.root.join(format!("lib/modules/{KERNEL}/modules.dep"))).unwrap();
    let error = build(&tree.recipe()).unwrap_err();
    assert_eq!(error.kind, Kind::Absent);
    assert!(error.to_string().ends_with("modules.dep: it is not there; `depmod 6.1.0-test` writes it"), "{error}");
    tree.write("wisp", b"#!/bin/sh\n");
    assert_eq!(build(&tree.recipe()).unwrap_err().kind, Kind::Refused);
}

/// What ext4 asks modprobe for at the mount goes in with it, and into no image without it.
#[test]
fn what_a_mount_requests_goes_in() {
    let tree = Tree::new("requests");
    let dep = format!("{}kernel/fs/quota/quota_v2.ko:\nkernel/fs/fat/vfat.ko:\nkernel/fs/nls/nls_cp437.ko:\n", {
        fs::read_to_string(tree.root.join(format!("lib/modules/{KERNEL}/modules.dep"))).unwrap()
    });
    tree.write_list("modules.dep", dep.as_bytes());
    for path in ["kernel/fs/quota/quota_v2.ko", "kernel/fs/fat/vfat.ko", "kernel/fs/nls/nls_cp437.ko"] {
        tree.write_list(path, &content(path));
    }
    let has = |recipe: &Recipe, name: &str| listing(&build(recipe).unwrap()).keys().any(|path| path.ends_with(name));
    assert!(has(&tree.recipe_for("none", "ext4"), "/quota_v2.ko"));
    assert!(has(&tree.recipe(), "/quota_v2.ko"));
    assert!(!has(&tree.recipe_for("none", "btrfs"), "/quota_v2.ko"));
    assert!(!has(&tree.recipe(), "/nls_cp437.ko"));
    assert!(has(&Recipe { modules: vec!["vfat".into()], ..tree.recipe() }, "/nls_cp437.ko"));
}

#[test]
fn a_list_of_modules_that_is_none_is_an_error() {
    let tree = Tree::new("garbage");
    let message = |dep: &[u8]| {
        tree.write_list("modules.dep", dep);
        let error = build(&tree.recipe_for("none", "none")).unwrap_err();
        assert_eq!(error.kind, Kind::Corrupt, "{error}");
        assert!(error.to.ends_with("modules.dep"), "{error}");
        error.why.to_string()
    };
    assert!(message(b"\x00\xff random\n").starts_with("line 1 is not one"));
    assert!(message(b"kernel/a.ko: kernel/b.ko\nkernel/b.ko\n").starts_with("line 2 is not one"));
    // A kernel of which nothing is a module has an empty list, and a full one of what is built in.
    tree.write_list("modules.dep", b"");
    assert!(build(&tree.recipe_for("none", "none")).is_ok());
    tree.write_list("modules.builtin", b"");
    assert!(message(b"").starts_with("it is empty"));
}

#[test]
fn a_directory_of_modules_that_is_not_there_is_the_error() {
    let tree = Tree::new("nowhere");
    let mut recipe = tree.recipe();
    recipe.kernel = "9.9".into();
    recipe.modules_dir = tree.path("lib/modules/9.9");
    let error = build(&recipe).unwrap_err();
    assert_eq!(error.kind, Kind::Absent);
    assert_eq!(error.why, format!("no such directory; kernel 9.9 is not installed, there is {KERNEL}"));
}

#[test]
fn files_of_the_user_go_in() {
    let tree = Tree::new("files");
    tree.write("tool", b"#!/bin/sh\n");
    tree.write("data", b"text");
    fs::set_permissions(tree.root.join("tool"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(tree.root.join("data"), fs::Permissions::from_mode(0o600)).unwrap();
    let add = |file: &str, path: &str| Addition::parse(&format!("{}:{path}", tree.path(file))).unwrap();
    let recipe = Recipe { files: vec![add("tool", "/bin/sh"), add("data", "/etc/data")], ..tree.recipe() };
    let listing = listing(&build(&recipe).unwrap());
    assert_eq!(listing["bin/sh"], "-rwxr-xr-x 1 0 0 10");
    assert_eq!(listing["etc/data"], "-rw-r--r-- 1 0 0 4");
    let own = Addition::parse("/bin/busybox").unwrap();
    assert_eq!((own.file.as_str(), own.path.as_str()), ("/bin/busybox", "/bin/busybox"));
    let twice = Recipe { files: vec![add("data", "/init")], ..tree.recipe() };
    assert_eq!(build(&twice).unwrap_err().kind, Kind::Usage, "nothing takes the place of /init");
    let nowhere = Recipe { files: vec![add("nowhere", "/x")], ..tree.recipe() };
    assert_eq!(build(&nowhere).unwrap_err().kind, Kind::Os(2));
}

/// A disk on a controller whose driver the image has not is named when the image is built where it runs.
#[test]
fn modules_that_this_machine_needs_are_reported() {
    let tree = Tree::new("machine");
    let device = "sys/devices/pci0000:00/0000:00:05.0";
    tree.write(&format!("{device}/host0/block/sda/dev"), b"8:0\n");
    tree.write(&format!("{device}/host0/block/sda/size"), b"2048\n");
    tree.write("sys/module/loud/x", b"");
    tree.write("sys/bus/pci/drivers/loud/x", b"");
    fs::create_dir_all(tree.root.join("sys/class/block")).unwrap();
    let link = |target: &str, path: &str| std::os::unix::fs::symlink(target, tree.root.join(path)).unwrap();
    link("../../../bus/pci/drivers/loud", &format!("{device}/driver"));
    link("../../../../module/loud", "sys/bus/pci/drivers/loud/module");
    link("../../devices/pci0000:00/0000:00:05.0/host0/block/sda", "sys/class/block/sda");
    let root = tree.path("sys");
    let sysfs = Sysfs { root: &root };
    let mut needed = modules_of(sysfs, &sysfs.named("sda").unwrap());
    assert_eq!(needed, ["loud"]);
    needed.extend(["ext4", "btrfs", "overlay"].map(String::from));
    let image = wisp::initramfs::build::build(&Recipe { expected: needed, ..tree.recipe() }).unwrap();
    assert_eq!((image.modules, image.missing), (5, vec!["loud".to_string()]));
}

#[test]
fn modules_outside_of_the_directory_come_from_the_root() {
    let tree = Tree::new("outside");
    tree.write("opt/extra/fast.ko", b"\x7fELF fast");
    tree.write_list("modules.dep", b"/opt/extra/fast.ko:\n");
    let mut recipe = tree.recipe();
    recipe.modules = vec!["fast".into()];
    let unpacked = tree.unpack(&build(&recipe).unwrap()).join("lib/modules").join(KERNEL);
    assert_eq!(fs::read(unpacked.join("opt/extra/fast.ko")).unwrap(), b"\x7fELF fast");
    assert_eq!(fs::read_to_string(unpacked.join("modules.dep")).unwrap(), "opt/extra/fast.ko:\n");
}

#[test]
fn the_command_writes_the_file() {
    let tree = Tree::new("command");
    let (output, init) = (tree.path("out.img"), tree.path("wisp"));
    let modules_dir = tree.path(&format!("lib/modules/{KERNEL}/"));
    let wisp = std::env::var("WISP_UNDER_TEST").unwrap_or_else(|_| env!("CARGO_BIN_EXE_wisp").to_string());
    let run = |more: &[&str]| {
        let mut command = Command::new(&wisp);
        command.args(["initramfs", "-o", &output, "--kernel", KERNEL, "--modules-dir", &modules_dir, "--init", &init]);
        let output = command.args(more).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, summary) = run(&["--module", "dm-crypt", "--compress=none"]);
    assert_eq!(code, Some(0));
    let size = fs::metadata(&output).unwrap().len();
    assert!(summary.starts_with(&format!("wisp: {output}: kernel {KERNEL}, 6 modules, {size} bytes (")), "{summary}");
    let expected = build(&Recipe { modules: vec!["dm-crypt".into()], ..tree.recipe() }).unwrap();
    assert!(fs::read(&output).unwrap() == expected);
    let absent = format!("wisp: find reiserfs: kernel {KERNEL} has no module of that name\n");
    assert_eq!(run(&["--module", "reiserfs"]), (Some(3), absent));
    assert!(fs::read(&output).unwrap() == expected, "an error leaves the old file");
    assert_eq!(run(&[]).0, Some(0));
    assert_eq!(Format::sniff(&fs::read(&output).unwrap()), Some(Format::Zstd));
    let mut command = Command::new(&wisp);
    command.args(["initramfs", "-o", "-", "--kernel", KERNEL, "--modules-dir", &modules_dir, "--init", &init]);
    let to_pipe = command.args(["--compress=none"]).current_dir(&tree.root).output().unwrap();
    assert!(to_pipe.status.success() && to_pipe.stdout == build(&tree.recipe()).unwrap());
    assert!(!tree.root.join("-").exists(), "standard output is no file");
}

/// The machine that builds an image for others runs another kernel.
#[test]
fn the_directory_of_the_modules_names_the_kernel() {
    let tree = Tree::new("version");
    let (output, init) = (tree.path("out.img"), tree.path("wisp"));
    let wisp = std::env::var("WISP_UNDER_TEST").unwrap_or_else(|_| env!("CARGO_BIN_EXE_wisp").to_string());
    for end in ["", "/"] {
        let modules_dir = tree.path(&format!("lib/modules/{KERNEL}{end}"));
        let mut command = Command::new(&wisp);
        command.args(["initramfs", "-o", &output, "--modules-dir", &modules_dir, "--init", &init, "--compress=none"]);
        assert_eq!(command.status().unwrap().code(), Some(0));
        assert!(fs::read(&output).unwrap() == build(&tree.recipe()).unwrap());
    }
}

#[test]
fn cpio_reads_every_kind_of_entry() {
    let tree = Tree::new("kinds");
    let mut archive = Archive::new();
    archive.add_symlink("/b/link", "../a/file").unwrap();
    archive.add_character_device("dev/null", 0o666, 1, 3).unwrap();
    // Every length of name and content modulo four.
    for length in 0..9 {
        let name = format!("a/{}", "n".repeat(length + 1));
        archive.add_file(&name, 0o600, vec![b'x'; length]).unwrap();
    }
    archive.add_file("a/file", 0o4755, b"content".as_slice()).unwrap();
    archive.add_directory("a").unwrap();
    let bytes = archive.emit();
    assert_eq!(bytes.len() % 4, 0);
    let listing = listing(&bytes);
    assert_eq!(listing.len(), 3 + 9 + 3);
    assert_eq!(listing["a/file"], "-rwsr-xr-x 1 0 0 7");
    assert_eq!(listing["b/link -> ../a/file"], "lrwxrwxrwx 1 0 0 9");
    assert_eq!(listing["dev/null"], "crw-rw-rw- 1 0 0 1, 3");
    let target = tree.unpack(&{
        let mut plain = Archive::new();
        for length in 0..9 {
            plain.add_file(&format!("a/{}", "n".repeat(length + 1)), 0o600, vec![b'x'; length]).unwrap();
        }
        plain.add_symlink("b/link", "../a/n").unwrap();
        plain.emit()
    });
    for length in 0..9 {
        let path = target.join(format!("a/{}", "n".repeat(length + 1)));
        assert_eq!(fs::read(path).unwrap(), vec![b'x'; length]);
    }
    assert_eq!(fs::read(target.join("b/link")).unwrap(), b"", "the link leads to the file of its target's name");
}

#[test]
fn an_archive_takes_no_path_out_of_it_and_no_path_twice() {
    let mut archive = Archive::new();
    for path in ["", "/", "a//b", "../a", "a/../b", "./a", "a\0b", "TRAILER!!!", &"a/".repeat(3_000)] {
        assert_eq!(archive.add_directory(path).unwrap_err().kind, Kind::Usage, "{path:?}");
    }
    archive.add_file("a", 0o644, b"one".as_slice()).unwrap();
    archive.add_file("a", 0o644, b"one".as_slice()).unwrap();
    assert_eq!(archive.add_file("a", 0o644, b"two".as_slice()).unwrap_err().kind, Kind::Usage);
    assert_eq!(archive.add_file("a/b", 0o644, b"two".as_slice()).unwrap_err().kind, Kind::Usage);
}

//! The module for dracut, on files: what dracut would put into an image, by its own functions played in bash, and whether
//! systemd finds the units of such an image sound. Real images boot in qemu/scenarios/dracut-*.

#[path = "support/root.rs"]
mod root;

use root::Root;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

/// What dracut offers to a module, put to work on the folder `image` beside it.
const DRACUT: &str = r#"
set -eu
cd "$1"
initdir=$PWD/image systemdsystemunitdir=/usr/lib/systemd/system
SYSTEMCTL=systemctl mount_needs=
require_binaries() { for binary; do [ -x "$PWD$binary" ] || return 1; done; }
put() { mkdir -p "${2%/*}" && cp "$1" "$2"; }
inst_simple() { case $1 in "$moddir"/*) put "$1" "$initdir$2" ;; *) put "$PWD$1" "$initdir$2" ;; esac; }
inst_hook() { put "$3" "$initdir/hooks/$1/$2-${3##*/}"; }
dracut_module_included() { case " $modules " in *" $1 "*) ;; *) return 1 ;; esac; }
module() { moddir=$PWD/usr/lib/dracut/modules.d/$1; . "$moddir/module-setup.sh"; }
module 50wisp
"#;

/// What `make install` puts there: the small program, and the one that writes images.
const PROGRAMS: [&str; 2] = ["usr/libexec/wisp/wisp-initramfs", "usr/bin/wisp"];

impl Root {
    /// After `make install-dracut` for /usr.
    fn installed(name: &str) -> Self {
        let root = Self::empty(name);
        let destination = format!("DESTDIR={}", root.path());
        root.judge("make", &["-s", "-C", env!("CARGO_MANIFEST_DIR"), "install-dracut", &destination, "PREFIX=/usr"]);
        for program in PROGRAMS {
            root.write(program, "");
            fs::set_permissions(root.join(program), fs::Permissions::from_mode(0o755)).unwrap();
        }
        root
    }

    /// What a program says on both its outputs, and its exit code where that is not 0.
    fn judge(&self, tool: &str, arguments: &[&str]) -> String {
        let output = Command::new(tool).args(arguments).env("LC_ALL", "C").output();
        let output = output.unwrap_or_else(|error| panic!("{tool} (package in tests/packages): {error}"));
        let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        if output.status.success() { said } else { format!("{said}{}", output.status) }
    }

    /// What bash says to `words` among dracut's functions and the module's.
    fn dracut(&self, words: &str) -> String {
        self.judge("bash", &["-c", &format!("{DRACUT}{words}"), "dracut", self.path()])
    }

    /// The image of dracut with these modules and both of wisp's: the files in it that are wisp's, sorted.
    fn image(&self, modules: &str) -> Vec<String> {
        assert_eq!(self.dracut(&format!("modules='{modules}'; install; module 50wisp-image; install")), "");
        let found = self.judge(
            "find",
            &[self.join("image").to_str().unwrap(), "-name", "*wisp*", "!", "-type", "d", "-printf", "%P\n"],
        );
        let mut files: Vec<String> = found.lines().map(String::from).collect();
        files.sort();
        files
    }
}

#[test]
fn it_goes_into_every_image_that_boots_this_machine() {
    let root = Root::installed("check");
    assert_eq!(root.dracut("check && echo in"), "in\n");
    assert_eq!(root.dracut("mount_needs=1; check || echo out"), "out\n");
    fs::remove_file(root.join(PROGRAMS[0])).unwrap();
    assert_eq!(root.dracut("check || echo out"), "out\n");
}

#[test]
fn what_writes_images_goes_in_by_name_only() {
    const CHECK: &str = "module 50wisp-image; check || echo $?";
    let root = Root::installed("image");
    assert_eq!(root.dracut(CHECK), "255\n");
    fs::remove_file(root.join(PROGRAMS[1])).unwrap();
    assert_eq!(root.dracut(CHECK), "1\n");
}

#[test]
fn with_systemd_units_call_it() {
    let root = Root::installed("systemd");
    root.write("image/usr/lib/systemd/system/sysroot.mount", "[Mount]\nWhat=/dev/vda1\nWhere=/sysroot\n");
    root.judge("cp", &["-an", "/lib/systemd/system/.", root.join("image/usr/lib/systemd/system").to_str().unwrap()]);
    let files = [
        "etc/systemd/system/initrd-root-fs.target.wants/wisp-grow.service",
        "etc/systemd/system/initrd.target.wants/wisp-image.service",
        "etc/systemd/system/initrd.target.wants/wisp-restore.timer",
        "usr/bin/wisp",
        "usr/lib/systemd/system/wisp-grow.service",
        "usr/lib/systemd/system/wisp-image.service",
        "usr/lib/systemd/system/wisp-restore.service",
        "usr/lib/systemd/system/wisp-restore.timer",
        "usr/libexec/wisp/wisp",
    ];
    assert_eq!(root.image("base systemd"), files);

    let order = || {
        let path = format!("--root={}", root.join("image").display());
        let said = root.judge("systemd-analyze", &["verify", &path, "initrd.target", "wisp-restore.service"]);
        let telling = said.lines().filter(|line| line.contains("cycle") || line.contains("wisp"));
        telling.map(String::from).collect::<Vec<_>>()
    };
    assert_eq!(order(), [""; 0]);

    // The judge would have seen a circle.
    let unit = "image/usr/lib/systemd/system/wisp-grow.service";
    root.write(unit, &root.read(unit).replace("After=", "After=initrd.target "));
    assert!(order().iter().any(|line| line.contains("cycle")), "{:?}", order());
}

#[test]
fn without_systemd_hooks_call_it_and_the_boot_goes_on() {
    let root = Root::installed("hooks");
    let hooks = [
        ("hooks/initqueue/settled/50-wisp-restore.sh", "grow-root /sysroot"),
        ("hooks/pre-mount/05-wisp-image.sh", "write-root"),
        ("hooks/pre-pivot/05-wisp-grow.sh", "grow-root /sysroot"),
    ];
    assert_eq!(
        root.image("base rootfs-block"),
        [hooks[0].0, hooks[1].0, hooks[2].0, "usr/bin/wisp", "usr/libexec/wisp/wisp"]
    );

    let program = "#!/bin/sh\necho \"$*\"\nexit 1\n";
    root.write("image/usr/bin/wisp", program);
    // In an image it is called where it lies.
    let (hook, program) = (root.read("image/hooks/pre-mount/05-wisp-image.sh"), "/usr/libexec/wisp/wisp");
    assert!(hook.contains(program), "{hook}");
    root.write("image/hooks/pre-mount/05-wisp-image.sh", &hook.replace(program, "wisp"));
    for (hook, call) in hooks {
        // dracut sources hooks.
        let words =
            format!("NEWROOT=/sysroot PATH={0}/usr/bin:$PATH; . {0}/{hook}; echo on", root.join("image").display());
        assert_eq!(root.judge("sh", &["-c", &words]), format!("{call}\non\n"));
    }
}

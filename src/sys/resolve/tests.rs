//! What the walk finds is what the kernel finds; and it is used where the kernel has no openat2 or a filter forbids it.

#![expect(unsafe_code, reason = "prctl comes from the C library")]

use super::*;
use crate::sys::fork::{self, ChildEvent};
use crate::units::Deadline;
use core::ffi::{c_int, c_ulong};
use core::time::Duration;
use std::fs as disk;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::PathBuf;
use std::string::{String, ToString as _};

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// A root with links of every kind, and beside it what none of them may reach.
fn root(name: &str) -> PathBuf {
    let base = std::env::temp_dir().join(std::format!("wisp-resolve-{name}-{}", std::process::id()));
    let _ = disk::remove_dir_all(&base);
    let root = base.join("root");
    for folder in ["real/etc/ssh", "a/b/c", "outside"] {
        disk::create_dir_all(root.join(folder)).unwrap();
    }
    disk::create_dir_all(base.join("outside/secret")).unwrap();
    disk::write(root.join("real/etc/file"), "inside").unwrap();
    let outside = base.join("outside");
    for (link, target) in [
        // To anyone who follows it in the outer system, this is the outer system's.
        ("etc", "/real/etc"),
        ("host", "/etc"),
        ("up", "../../../../../../../../../../etc"),
        ("a/up", "../../../a/b/c"),
        ("a/absolute", "/a/b"),
        ("a/b/dots", "../.././../real/./etc//"),
        ("chain", "a/absolute/dots/ssh"),
        ("loop", "loop"),
        ("ping", "pong"),
        ("pong", "/ping"),
        ("dangling", "a/none/x"),
        ("slash", "/"),
        ("self", "."),
        ("file", "etc/file"),
        ("through-file", "/real/etc/file/x"),
        ("out", outside.to_str().unwrap()),
    ] {
        symlink(target, root.join(link)).unwrap();
    }
    // As many links one after the other as the kernel follows, and one more.
    symlink("/a", root.join("l0")).unwrap();
    for number in 1..=LINKS_LIMIT {
        symlink(std::format!("l{}", number - 1), root.join(std::format!("l{number}"))).unwrap();
    }
    root
}

const PATHS: &[&str] = &[
    "/",
    "",
    "//",
    ".",
    "/..",
    "/../..",
    "../../../..",
    "/etc",
    "etc/ssh",
    "/etc/ssh/",
    "/etc/ssh/..",
    "/etc/ssh/../../..",
    "/host",
    "/host/ssh",
    "/up",
    "/up/ssh",
    "/a/up",
    "/a/up/../..",
    "/a/absolute/c",
    "/a/absolute/..",
    "/a/b/dots",
    "/a/b/dots/ssh",
    "/chain",
    "/chain/..",
    "/loop",
    "/loop/x",
    "/ping",
    "/dangling",
    "/none",
    "/none/..",
    "/slash/slash/a",
    "/self/self/self/a",
    "/file",
    "/file/",
    "/file/x",
    "/file/..",
    "/file/.",
    "/through-file",
    "/real/etc/file/..",
    "/out",
    "/out/secret",
    "/outside",
    "/outside/secret",
    "/a/../outside/../../outside/secret",
    "/proc/self/root",
    "/l38",
    "/l39",
    "/l40",
    "/l40/..",
];

/// Which file it is, or why there is none.
fn outcome(opened: rustix::io::Result<OwnedFd>) -> Result<(u64, u64), Errno> {
    opened.and_then(|file| fs::fstat(&file)).map(|found| (found.st_dev, found.st_ino))
}

#[test]
fn the_walk_finds_what_the_kernel_finds() {
    let root = root("oracle");
    let name = CString::new(root.to_str().unwrap()).unwrap();
    let top = fs::openat(CWD, &*name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
    for flags in [DIRECTORY, OFlags::PATH, OFlags::RDONLY] {
        for path in PATHS {
            let whole = CString::new(*path).unwrap();
            let kernel = fs::openat2(&top, &*whole, flags | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT);
            let kernel = outcome(kernel);
            assert_ne!(kernel, Err(Errno::NOSYS), "this test needs a kernel with openat2");
            assert_eq!(outcome(walk(&top, path.as_bytes(), flags)), kernel, "{path:?} {flags:?}");
        }
    }
    disk::remove_dir_all(root.parent().unwrap()).unwrap();
}

#[test]
fn a_path_has_a_longest_form() {
    let root = root("long");
    let long = "a/../".repeat(NAMES_LIMIT);
    let name = CString::new(root.to_str().unwrap()).unwrap();
    let top = fs::openat(CWD, &*name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
    assert_eq!(outcome(walk(&top, long.as_bytes(), DIRECTORY)), Err(Errno::NAMETOOLONG));
    disk::remove_dir_all(root.parent().unwrap()).unwrap();
}

/// `struct sock_filter` and `struct sock_fprog` (linux/filter.h).
#[repr(C)]
struct Filter {
    code: u16,
    on_true: u8,
    on_false: u8,
    value: u32,
}

#[repr(C)]
struct Filters {
    count: u16,
    first: *const Filter,
}

unsafe extern "C" {
    fn prctl(option: c_int, a: c_ulong, b: c_ulong, c: c_ulong, d: c_ulong) -> c_int;
}

/// From here on openat2 fails with `errno` in this process; whether that could be arranged.
fn forbid_openat2(errno: Errno) -> bool {
    const OPENAT2: u32 = 437;
    const ERRNO: u32 = 0x0005_0000;
    const ALLOW: u32 = 0x7fff_0000;
    let filter = |code, on_true, on_false, value| Filter { code, on_true, on_false, value };
    let filters = [
        filter(0x20, 0, 0, 0), // load the number of the call
        filter(0x15, 0, 1, OPENAT2),
        filter(0x06, 0, 0, ERRNO | u32::try_from(errno.raw_os_error()).unwrap()),
        filter(0x06, 0, 0, ALLOW),
    ];
    let program = Filters { count: 4, first: filters.as_ptr() };
    // SAFETY: PR_SET_NO_NEW_PRIVS takes plain numbers.
    let is_bound = unsafe { prctl(38, 1, 0, 0, 0) } == 0;
    // SAFETY: PR_SET_SECCOMP in filter mode reads a program of four filters, which outlives the call.
    is_bound && unsafe { prctl(22, 2, (&raw const program).addr() as c_ulong, 0, 0) } == 0
}

#[test]
fn without_openat2_no_link_leads_out_of_the_root() {
    let root = root("filter");
    let inside = |path: &str| disk::metadata(root.join(path)).unwrap().ino().to_string();
    let ssh = || inside("real/etc/ssh");
    let wanted = [ssh(), ssh(), ssh(), "Errno(2)".into(), inside("")];
    for errno in [Errno::NOSYS, Errno::PERM, Errno::AGAIN] {
        let mut child = fork::spawn(|teller| {
            if !forbid_openat2(errno) {
                return 1;
            }
            let path = root.to_str().unwrap();
            for path_inside in ["/etc/ssh", "/chain", "/host/ssh", "/out/secret", "/../.."] {
                let said = match open(path, path_inside, DIRECTORY) {
                    Ok(found) => fs::fstat(&found).unwrap().st_ino.to_string(),
                    Err(errno) => std::format!("Errno({})", errno.raw_os_error()),
                };
                teller.notify(&said);
            }
            let kernel = fs::openat2(CWD, c"/", OFlags::PATH, Mode::empty(), ResolveFlags::IN_ROOT);
            if kernel.err() == Some(errno) { 0 } else { 2 }
        })
        .unwrap();
        let deadline = Deadline::after(crate::sys::clock::now(), Duration::from_secs(20));
        for line in &wanted {
            assert_eq!(child.listen(deadline), ChildEvent::Line(String::from(line)), "{errno:?}");
        }
        assert_eq!(child.listen(deadline), ChildEvent::Ended(Ok(0)), "the filter was in force");
    }
    disk::remove_dir_all(root.parent().unwrap()).unwrap();
}

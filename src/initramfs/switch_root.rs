//! The last steps before the real init: mounting the root, freeing the initramfs, moving the mounts, `switch_root`.

#![forbid(unsafe_code)]

use super::{EBUSY, MOUNTS, Root};
use crate::error::{Error, Kind, Result};
use crate::log::Log;
use crate::settings::Boot;
use crate::sys::kmsg::Limit;
use crate::sys::{clock, console, file, fork, mount, tree};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use mount::Flags;

/// Where an init is looked for when none is named, in the kernel's own order (`init/main.c`).
const INITS: [&str; 4] = ["/sbin/init", "/etc/init", "/bin/init", "/bin/sh"];

/// Not there: nothing to tell of the usual places.
const ENOENT: i32 = 2;

/// What the kernel says when a read-only device is to be mounted writable: EROFS, or EACCES on older ones.
const READ_ONLY: [Kind; 2] = [Kind::Os(30), Kind::Os(13)];

/// Mounts the root at `point` as the settings say; read-only where the device allows nothing else.
///
/// A child that hangs may still have the root mounted, out of sight. The kernel refuses a second mount that differs in
/// being writable: where the child's is, the root is mounted writable and made read-only at `point` alone; where the child's
/// is read-only still, it is mounted so and then made writable. Init gets what was asked for.
///
/// # Errors
/// `Unsupported` when no one knows its type; `Os` of the last type tried.
pub fn mount_root(settings: &Boot, root: &Root, point: &str, log: &Log) -> Result<()> {
    let detected = Some(&root.kind).filter(|kind| !kind.is_empty());
    let kinds: Vec<&String> = match settings.filesystems.is_empty() {
        true => detected.into_iter().collect(),
        false => settings.filesystems.iter().collect(),
    };
    let why = "wisp does not know what it holds; rootfstype= would say it";
    let mut error = Error::unsupported("mount the root", why).to(&*root.node);
    let (mut flags, options) = mount::flags_of(&root.all_options(&settings.mount_options));
    flags.set(Flags::RDONLY, settings.read_only || flags.contains(Flags::RDONLY));
    for kind in kinds {
        let attempt = |flags| mount::mount(&root.node, point, kind, flags, &options);
        let result = match attempt(flags) {
            Err(refused) if refused.kind == Kind::Os(EBUSY) && flags.contains(Flags::RDONLY) => {
                log.warning(&format!("{refused}, it is in use writable; continuing with this mount alone read-only"));
                attempt(flags.difference(Flags::RDONLY)).and_then(|()| mount::remount(point, flags | Flags::BIND))
            }
            Err(refused) if refused.kind == Kind::Os(EBUSY) => {
                log.warning(&format!("{refused}, it is in use read-only; continuing by making it writable"));
                attempt(flags | Flags::RDONLY).and_then(|()| mount::reconfigure(point, flags, &options))
            }
            Err(refused) if READ_ONLY.contains(&refused.kind) && !flags.contains(Flags::RDONLY) => {
                log.warning(&format!("{refused}, continuing with it read-only"));
                attempt(flags | Flags::RDONLY)
            }
            result => result,
        };
        match result {
            Ok(()) => return Ok(()),
            Err(refused) => error = refused,
        }
    }
    Err(error)
}

/// Makes `point` the root and becomes its init. Comes back only with an error; before anything was given up if the
/// new root holds no init at all.
pub fn switch(settings: &Boot, point: &str, arguments: &[Vec<u8>], log: &Log, limit: &Limit) -> Error {
    let inits: Vec<&str> = settings.init.as_deref().into_iter().chain(INITS).collect();
    let Some(first) = inits.iter().find(|init| tree::is_there_in(point, init)) else {
        // Nothing is lost by leaving it mounted should this fail: the user's policy decides what comes next.
        let _ = mount::unmount(point, true);
        return Error::absent("find an init in the root", format!("none of {}", inits.join(", "))).to(point);
    };
    limit.restore();
    for (_, from, ..) in MOUNTS {
        let to = format!("{point}{from}");
        // A root without the directory does without the mount, and is better off than without a boot.
        if !file::is_directory(&to) || mount::shift(from, &to).is_err() {
            let _ = mount::unmount(from, true);
        }
    }
    if let Err(error) = tree::empty_initramfs() {
        log.warning(&format!("{error}, continuing with it in memory"));
    }
    log.info(&farewell(first));
    if let Err(error) = mount::make_root(point) {
        return error;
    }
    console::adopt("/dev/console");
    let more = &settings.alpine.init_arguments;
    let mut error = Error::absent("execute", "nothing to execute").to("init");
    for init in inits {
        error = fork::become_program(init, with_name(init, arguments).chain(more.iter().map(|word| word.as_bytes())));
        let named = settings.init.as_deref() == Some(init);
        if named || error.kind != Kind::Os(ENOENT) {
            log.error(&format!("{error}, continuing with the next init"));
        }
    }
    error
}

/// The line that tells how long everything until here took. The clock starts with the kernel.
#[must_use]
pub fn farewell(init: &str) -> String {
    let now = clock::now();
    format!("{}.{:03} s from kernel start to execve of {init}", now.as_secs(), now.subsec_millis())
}

/// The arguments that the kernel gave to wisp, for the program that takes its place.
pub fn with_name<'a>(name: &'a str, arguments: &'a [Vec<u8>]) -> impl Iterator<Item = &'a [u8]> {
    core::iter::once(name.as_bytes()).chain(arguments.iter().skip(1).map(Vec::as_slice))
}

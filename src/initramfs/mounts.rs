//! What is mounted besides a plain root: an overlay in memory above it, and `/usr` where that is a filesystem of its own.

#![forbid(unsafe_code)]

use super::{Root, handover};
use crate::error::Result;
use crate::log::Log;
use crate::settings::Boot;
use crate::sys::{file, mount, tree};
use crate::text::device::Name;
use crate::text::fstab;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use mount::Flags;

/// Where the root lies below the overlay, and the memory above it: Alpine's names, in the initramfs and in the new root.
const LOWER: &str = "/media/root-ro";
const UPPER: &str = "/media/root-rw";

/// An fstab has some ten lines.
const FSTAB_LIMIT: usize = 64 << 10;

/// Mounts `root` at `point` as the settings say, below a tmpfs if they want it to stay as it is.
///
/// # Errors
/// As [`handover::mount_root`]; `Os` where the kernel has no overlayfs.
pub fn mount_root(settings: &Boot, root: &Root, point: &str, log: &Log) -> Result<()> {
    let Some(options) = &settings.alpine.overlay else {
        return handover::mount_root(settings, root, point, log);
    };
    let below = Boot { read_only: true, mount_options: format!("{},ro", settings.mount_options), ..settings.clone() };
    for folder in [LOWER, UPPER] {
        tree::make_directories(folder, 0o755)?;
    }
    handover::mount_root(&below, root, LOWER, log)?;
    let (flags, options) = mount::flags_of(options);
    mount::mount("root-tmpfs", UPPER, "tmpfs", flags.difference(Flags::RDONLY), &options)?;
    let [upper, work] = ["root", "work"].map(|folder| format!("{UPPER}/{folder}"));
    for folder in [&upper, &work] {
        tree::make_directory(folder, 0o755)?;
    }
    let layers = format!("lowerdir={LOWER},upperdir={upper},workdir={work}");
    mount::mount("overlay", point, "overlay", Flags::empty(), &layers)?;
    for folder in [LOWER, UPPER] {
        let shown = format!("{point}{folder}");
        // The overlay lives without its layers being seen.
        if let Err(error) = tree::make_directories(&shown, 0o755).and_then(|()| mount::shift(folder, &shown)) {
            log.warning(&format!("{error}, continuing without it"));
        }
    }
    Ok(())
}

/// The settings by which the `/usr` of the root at `point` is mounted, if its fstab has one and the user does not mind.
pub fn usr(settings: &Boot, point: &str, log: &Log) -> Option<Boot> {
    let options = settings.alpine.usr_options.clone()?;
    let bytes = file::read(&format!("{point}/etc/fstab"), FSTAB_LIMIT).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let line = fstab::at(&text, "/usr")?;
    match Name::parse(line.device) {
        Ok(name) => Some(Boot {
            root: Some(name),
            filesystems: line.kind.split(',').filter(|kind| *kind != "auto").map(String::from).collect::<Vec<_>>(),
            read_only: !options.split(',').any(|option| option == "rw"),
            mount_options: options,
            ..settings.clone()
        }),
        Err(error) => {
            log.warning(&format!("/usr: {error}, continuing without it"));
            None
        }
    }
}

//! What is mounted besides a plain root: an overlay in memory above it, and `/usr` where that is a filesystem of its own.

#![forbid(unsafe_code)]

use super::{Root, switch_root};
use crate::error::{Error, Result};
use crate::log::Log;
use crate::settings::Boot;
use crate::sys::{file, mount, tree};
use crate::text::device_spec::DeviceSpec;
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
/// As [`switch_root::mount_root`]; `Os` where the kernel has no overlayfs.
pub fn mount_root(settings: &Boot, root: &Root, point: &str, log: &Log) -> Result<()> {
    let Some(options) = &settings.alpine.overlay else {
        return switch_root::mount_root(settings, root, point, log);
    };
    let below = Boot { read_only: true, ..settings.clone() };
    for folder in [LOWER, UPPER] {
        tree::make_directories(folder, 0o755)?;
    }
    switch_root::mount_root(&below, root, LOWER, log)?;
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
    let wish = settings.alpine.usr_options.as_deref()?;
    let bytes = file::read(&format!("{point}/etc/fstab"), FSTAB_LIMIT).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let line = fstab::at(&text, "/usr")?;
    match usr_of(settings, &line, wish) {
        Ok(usr) => Some(usr),
        Err(error) => {
            log.warning(&format!("/usr: {error}, continuing without it"));
            None
        }
    }
}

/// As `line` of the fstab and the user's `wish` say. Without a wish the line's own options hold, of which a subvolume
/// says what is mounted at all; but read-only, as the init that comes checks it before it makes it writable.
fn usr_of(settings: &Boot, line: &fstab::Line<'_>, wish: &str) -> Result<Boot> {
    let usr = Boot {
        root: Some(DeviceSpec::parse(line.device)?),
        filesystems: line.kind.split(',').filter(|kind| *kind != "auto").map(String::from).collect::<Vec<_>>(),
        read_only: !wish.split(',').any(|option| option == "rw"),
        mount_options: String::from(if wish.is_empty() { line.options } else { wish }),
        ..settings.clone()
    };
    // The kernel itself may have put an array together.
    if usr.waits_for_others() && !tree::is_there(line.device) {
        return Err(Error::unsupported("wait for", "only another program could make it").to(line.device));
    }
    Ok(usr)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::cmdline::Cmdline;

    #[test]
    fn usr_is_mounted_by_its_own_options_unless_the_user_wishes_others() {
        let settings = Boot::from_cmdline(&Cmdline::parse("rw rootflags=subvol=@"));
        let line = fstab::at("LABEL=usr /usr btrfs,auto rw,subvol=@usr 0 0", "/usr").unwrap();
        for (wish, options, read_only) in
            [("", "rw,subvol=@usr", true), ("noatime", "noatime", true), ("rw,noatime", "rw,noatime", false)]
        {
            let usr = usr_of(&settings, &line, wish).unwrap();
            assert_eq!(
                (usr.root, usr.filesystems),
                (Some(DeviceSpec::Label("usr".into())), alloc::vec!["btrfs".into()])
            );
            assert_eq!((usr.mount_options.as_str(), usr.read_only), (options, read_only), "{wish}");
        }
        for text in ["server:/usr /usr nfs ro", "/dev/vg0/usr /usr ext4", "/dev/mapper/usr /usr ext4"] {
            assert!(usr_of(&settings, &fstab::at(text, "/usr").unwrap(), "").is_err(), "{text}");
        }
    }
}

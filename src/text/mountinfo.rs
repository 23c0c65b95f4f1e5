//! `/proc/self/mountinfo` (proc(5)): what is mounted where.

#![forbid(unsafe_code)]

use alloc::string::String;
use alloc::vec::Vec;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Major and minor number; major 0 where no block device is behind it, btrfs included.
    pub device: (u32, u32),
    /// Where.
    pub point: String,
    /// The kernel's name of the filesystem.
    pub kind: String,
    /// What, as it was given: a node, `/dev/root`, or no device at all.
    pub source: String,
    /// Whether this mount is read-only; others of the same filesystem may be writable.
    pub read_only: bool,
    /// The options of the filesystem itself, which hold for all its mounts: "rw,errors=remount-ro".
    pub options: String,
}

/// The topmost mount at `point`: of several on one point the last hides the others.
#[must_use]
pub fn find(text: &str, point: &str) -> Option<Mount> {
    text.lines().filter_map(parse).rfind(|mount| mount.point == point)
}

/// The first mount of the block device with this major and minor number that no later mount on its point hides.
#[must_use]
pub fn find_device(text: &str, device: (u32, u32)) -> Option<Mount> {
    first(text, |mount| mount.device == device)
}

/// The first mount like that which no later mount on its point hides.
pub fn first(text: &str, is_meant: impl Fn(&Mount) -> bool) -> Option<Mount> {
    let mut mounts = text.lines().filter_map(parse).filter(|mount| is_meant(mount));
    mounts.find(|mount| find(text, &mount.point).as_ref() == Some(mount))
}

/// One line; `None` when it does not look like one.
fn parse(line: &str) -> Option<Mount> {
    let (place, what) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(2);
    let (major, minor) = place.next()?.split_once(':')?;
    let point = place.nth(1)?;
    let options = place.next()?;
    let mut what = what.split(' ');
    let kind = what.next()?;
    let source = what.next()?;
    Some(Mount {
        device: (major.parse().ok()?, minor.parse().ok()?),
        point: unescape(point),
        kind: kind.into(),
        source: unescape(source),
        read_only: has(options, "ro"),
        options: what.next().unwrap_or_default().into(),
    })
}

impl Mount {
    /// Whether the whole filesystem is read-only, whatever this mount says.
    #[must_use]
    pub fn filesystem_is_read_only(&self) -> bool {
        has(&self.options, "ro")
    }
}

/// Whether `option` is in a comma-separated list.
fn has(options: &str, option: &str) -> bool {
    options.split(',').any(|word| word == option)
}

/// Blanks, tabs, newlines and backslashes are written as three octal digits.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        if let ([b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..], Some(after)) = (rest, rest.get(4..)) {
            bytes.push(((a & 3) << 6) | ((b & 7) << 3) | (c & 7));
            rest = after;
        } else {
            bytes.push(first);
            rest = behind;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "\
1 1 0:2 / / rw - rootfs rootfs rw
22 1 254:2 / / rw,relatime shared:1 - ext4 /dev/root rw,errors=remount-ro
23 22 0:20 /sub /mnt/my\\040disk ro,noatime shared:2 master:1 - btrfs /dev/vdb1 rw,subvol=/sub
24 22 0:21 / /ro rw - ext4 /dev/vdc ro
garbage
25 22 x:y / /bad rw - a b c";

    #[test]
    fn the_last_mount_on_a_point_counts() {
        let root = find(SAMPLE, "/").unwrap();
        assert_eq!((root.device, root.kind.as_str(), root.source.as_str()), ((254, 2), "ext4", "/dev/root"));
        assert!(!root.read_only);
    }

    #[test]
    fn escapes_and_both_kinds_of_read_only_are_understood() {
        let disk = find(SAMPLE, "/mnt/my disk").unwrap();
        assert_eq!((disk.device, disk.source.as_str(), disk.read_only), ((0, 20), "/dev/vdb1", true));
        let mount = find(SAMPLE, "/ro").unwrap();
        assert!(mount.filesystem_is_read_only() && !mount.read_only, "the filesystem is read-only, the mount is not");
    }

    #[test]
    fn lines_that_are_no_mounts_are_passed_over() {
        assert_eq!(find(SAMPLE, "/bad"), None);
        assert_eq!(find(SAMPLE, "/none"), None);
        for end in 0..SAMPLE.len() {
            let _ = find(&SAMPLE[..end], "/");
        }
    }

    #[test]
    fn a_device_is_found_where_it_was_mounted_first() {
        let text = format!(
            "{SAMPLE}\n26 22 254:2 /srv /srv ro - ext4 /dev/root rw\n27 22 253:0 / /home rw - xfs /dev/dm-0 rw"
        );
        let root = find_device(&text, (254, 2)).unwrap();
        assert_eq!((root.point.as_str(), root.read_only), ("/", false), "and not through a bind mount of a part of it");
        assert_eq!(find_device(&text, (253, 0)).unwrap().point, "/home");
        assert_eq!(find_device(&text, (254, 0)), None);
        assert_eq!(find_device(&text, (0, 2)), None, "the root hides what it was mounted on");
        assert_eq!(find_device("", (254, 2)), None);
    }
}

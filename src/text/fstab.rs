//! `/etc/fstab` (fstab(5)): a device, where it is mounted, its type and its options a line.

#![forbid(unsafe_code)]

/// A line that mounts something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The device as it is named there. Blanks in a name, which are written as `\040`, stay so.
    pub device: &'a str,
    /// Its type, or several with commas between them.
    pub kind: &'a str,
    /// Its options, with commas between them; empty if it has none.
    pub options: &'a str,
}

/// What `text` mounts at `point`; of several, the last, as it would lie above the others.
#[must_use]
pub fn at<'a>(text: &'a str, point: &str) -> Option<Line<'a>> {
    text.lines().rev().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let device = fields.next().filter(|device| !device.starts_with('#'))?;
        let is_meant = fields.next()?.trim_end_matches('/') == point;
        let kind = fields.next()?;
        Some(Line { device, kind, options: fields.next().unwrap_or_default() }).filter(|_| is_meant)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_by_its_mount_point() {
        let text = "# /dev/sda1 /usr ext4\nUUID=1-2 / ext4 rw 0 1\n\n/dev/vda2\t/usr/  xfs,ext4 ro 0 2\r\nshm /dev/shm tmpfs\n/dev/x";
        assert_eq!(at(text, "/usr"), Some(Line { device: "/dev/vda2", kind: "xfs,ext4", options: "ro" }));
        assert_eq!(at(text, "/dev/shm").map(|line| (line.kind, line.options)), Some(("tmpfs", "")));
        assert_eq!((at(text, "/home"), at("", "/usr"), at("/dev/vda2 /usr", "/usr")), (None, None, None));
        assert_eq!(at("/dev/a /usr xfs\n/dev/b /usr xfs", "/usr").unwrap().device, "/dev/b");
    }
}

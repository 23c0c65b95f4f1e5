//! The disk that is written to: whether it may be, what is on it, and who else has it.
#![forbid(unsafe_code)]

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::layout::{self, Layout};
use super::overlap;
use crate::error::{Error, Kind, Result};
use crate::filesystem::Superblock;
use crate::probe::block::{Block, Sysfs};
use crate::sys::block::{Access, Device};
use crate::sys::{device_node, file};
use crate::table::Geometry;
use crate::text::mountinfo;
use crate::units::{ByteCount, SectorSize};

const DOING: &str = "write to";
const EBUSY: i32 = 16;
const ENOENT: i32 = 2;

/// What standard input was opened from.
const STANDARD_INPUT: &str = "/proc/self/fd/0";

/// A machine with thousands of containers lists some MiB of mounts.
pub(super) const MOUNTINFO_LIMIT: usize = 16 << 20;
/// A line for each swap, of which there are a few.
const SWAPS_LIMIT: usize = 1 << 16;

/// A whole disk or a partition that no other process uses, for as long as this lasts.
pub struct Target {
    /// Its node.
    pub node: String,
    /// Its size.
    pub size: ByteCount,
    /// Its logical sectors.
    pub sector: SectorSize,
    /// What is on it, in words: what would be overwritten.
    pub holds: String,
    /// What sysfs says of it.
    pub(super) block: Block,
    /// It, past the page cache.
    pub(super) device: Device,
    /// It, through the page cache: the first descriptor, from which every other one is opened. As long as it is open, the
    /// kernel gives its number and name to no other device.
    pub(super) pinned: Device,
}

impl Target {
    /// Opens `path` so that no one can mount it meanwhile.
    ///
    /// # Errors
    /// `Refused` when it is not a block device, mounted, held by another device, read-only, or empty; `Absent`; `Os`.
    pub fn open(sysfs: Sysfs<'_>, path: &str) -> Result<Self> {
        Self::look(sysfs, path)?.claim(sysfs)
    }

    /// Opens the same device, whatever has its path by now, so that nothing can mount it meanwhile.
    fn claim(self, sysfs: Sysfs<'_>) -> Result<Self> {
        let path = &*self.node;
        if self.device.is_read_only()? {
            return Err(Error::refused(DOING, "it is read-only").to(path));
        }
        if let Some(over) = overlap::find_loop_over(sysfs, &self.pinned.own_path()) {
            return Err(Error::refused(DOING, format!("{over} was made over it")).to(path));
        }
        let device = self.pinned.reopen(Access::WriteAlone).map_err(|error| match error.kind {
            Kind::Os(EBUSY) => Error::refused(DOING, user_of(sysfs, &self.block)).to(path),
            _ => error,
        })?;
        self.block.require(&device)?;
        Ok(Self { device, ..self })
    }

    /// Lets other programs mount it again; until the result is dropped, no other device can get its name and number.
    pub(super) fn release(self) -> (Block, Device) {
        (self.block, self.pinned)
    }

    /// Opens `path` to read it.
    ///
    /// # Errors
    /// `Refused` when it is not a block device, or empty; `Absent`; `Os`.
    pub fn look(sysfs: Sysfs<'_>, path: &str) -> Result<Self> {
        // Opening a pipe would wait for its other end.
        device_node::block_number(path).map_err(|error| match error.kind {
            Kind::Os(ENOENT) => Error::absent(DOING, "there is nothing of that name").to(path),
            _ => error,
        })?;
        let pinned = Device::open(path, Access::Read)?;
        // From here on the path is only a word in messages: a rename or another disk in its place changes nothing.
        let block = sysfs.block(pinned.number()?)?;
        let (size, sector) = (pinned.size()?, pinned.sector_size()?);
        if size == ByteCount(0) {
            return Err(Error::refused(DOING, "it has no size: no medium is in it").to(path));
        }
        let holds = contents(&pinned, size);
        let device = pinned.reopen(Access::ReadDirect)?;
        block.require(&device)?;
        Ok(Self { node: path.into(), size, sector, holds, block, device, pinned })
    }

    /// Refuses a source that lies on this target. What lies in a file system on it needs no look: while that is mounted,
    /// the target cannot be had.
    ///
    /// # Errors
    /// `Refused`.
    pub fn refuse_source(&self, sysfs: Sysfs<'_>, path: &str) -> Result<()> {
        // Standard input may be the very device.
        let way = if path == "-" { STANDARD_INPUT } else { path };
        let is_within = overlap::is_shared(sysfs, &self.pinned.own_path(), way);
        if is_within {
            let source = if path == "-" { "standard input" } else { path };
            return Err(Error::refused(DOING, format!("the source, {source}, lies on it")).to(&*self.node));
        }
        Ok(())
    }

    /// How its partition table counts.
    #[must_use]
    pub const fn geometry(&self) -> Geometry {
        Geometry { sector: self.sector, sectors: self.sector.sectors_in(self.size) }
    }
}

/// What is on a disk, in words.
fn contents(disk: &Device, size: ByteCount) -> String {
    let named = |found: &Superblock| match &found.label {
        Some(label) => format!("{} \"{label}\"", found.kind.name()),
        None => found.kind.name().into(),
    };
    let Layout { table, partitions, holds, notes, .. } = layout::look(disk, Some(size));
    if let Some(kind) = table {
        let held: Vec<String> = partitions.iter().filter_map(|part| part.holds.as_ref()).map(named).collect();
        let kind = if kind == "gpt" { "GPT" } else { "MBR" };
        let (count, colon) = (partitions.len(), if held.is_empty() { "" } else { ": " });
        let plural = if count == 1 { "" } else { "s" };
        return format!("a partition table ({kind}) with {count} partition{plural}{colon}{}", held.join(", "));
    }
    match holds {
        Some(found) => named(&found),
        None if notes.is_empty() => "nothing that wisp knows".into(),
        None => "a damaged partition table".into(),
    }
}

/// Who has `block` or a partition of it, as far as the kernel tells.
fn user_of(sysfs: Sysfs<'_>, block: &Block) -> String {
    let all = sysfs.all();
    let is_part = |other: &&Block| other.slice.as_ref().is_some_and(|slice| slice.disk == block.name);
    let parts: Vec<&Block> =
        all.iter().filter(|other| other.number == block.number).chain(all.iter().filter(is_part)).collect();
    let text = |path, limit| {
        file::read(path, limit).map(|text| String::from_utf8_lossy(&text).to_string()).unwrap_or_default()
    };
    let mounts = text("/proc/self/mountinfo", MOUNTINFO_LIMIT);
    let swaps = text("/proc/swaps", SWAPS_LIMIT);
    for part in parts {
        let node = part.node();
        if let Some(mount) = mountinfo::find_device(&mounts, part.number) {
            return format!("{node} is mounted at {}", mount.point);
        }
        if let Some(holder) = file::list(&sysfs.path(&part.name, "holders")).unwrap_or_default().first() {
            return format!("{node} is part of {holder}");
        }
        if swaps.lines().any(|line| line.split_ascii_whitespace().next() == Some(&*node)) {
            return format!("{node} is used as swap");
        }
    }
    "it is in use: mounted, or held by another program".into()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::skip::skip;
    use crate::sys::block::Access;
    use std::path::Path;
    use std::process::Command;

    const SYSFS: Sysfs<'static> = Sysfs { root: "/sys" };

    /// A loop device over a new file of this size, as long as this lasts; `None` where the machine allows none: the
    /// test is skipped.
    pub(crate) struct Loop(pub String);

    impl Loop {
        #[track_caller]
        pub fn over(file: &Path, size: u64) -> Option<Self> {
            std::fs::File::create(file).unwrap().set_len(size).unwrap();
            let output = Command::new("losetup").args(["-f", "--show"]).arg(file).output().ok();
            let Some(output) = output.filter(|output| output.status.success()) else {
                skip("losetup makes no loop device");
                return None;
            };
            Some(Self(String::from_utf8(output.stdout).unwrap().trim().into()))
        }
    }

    impl Drop for Loop {
        fn drop(&mut self) {
            let _ = Command::new("losetup").args(["-d", &self.0]).status();
        }
    }

    #[test]
    fn a_disk_that_takes_the_path_after_the_look_is_not_opened() {
        let folder = std::env::temp_dir().join(format!("wisp-target-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (right, wrong) = (Loop::over(&folder.join("right"), 4 << 20), Loop::over(&folder.join("wrong"), 8 << 20));
        if let (Some(right), Some(wrong)) = (right, wrong) {
            let link = folder.join("link");
            let point_to = |it: &Loop| {
                let _ = std::fs::remove_file(&link);
                std::os::unix::fs::symlink(&it.0, &link).unwrap();
            };
            let number = |it: &Loop| device_node::block_number(&it.0).unwrap();
            point_to(&right);
            let found = Target::look(SYSFS, link.to_str().unwrap()).unwrap();
            point_to(&wrong);
            let target = found.claim(SYSFS).unwrap();
            assert_eq!(target.device.number().unwrap(), number(&right), "what was judged is what is written");
            assert_eq!((target.size, target.device.size().unwrap()), (ByteCount(4 << 20), ByteCount(4 << 20)));
            assert_eq!(target.block.number, number(&right));
            // The kernel's own name may be another device's, too.
            let block = Block { name: wrong.0.trim_start_matches("/dev/").into(), ..target.block.clone() };
            let error = block.open(Access::Read).unwrap_err();
            assert!(error.kind == Kind::Refused && error.why.starts_with("it is the device 7:"), "{error}");
            // Detached, it stays what it is until it is closed.
            let (block, pinned) = target.release();
            drop(right);
            assert_eq!((pinned.number(), pinned.size()), (Ok(block.number), Ok(ByteCount(4 << 20))));
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}

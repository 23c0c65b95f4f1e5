//! Block devices: open, read, write, flush, their geometry, the lock that keeps udev away, and `BLKPG`.

#![expect(unsafe_code, reason = "block device geometry and BLKPG are ioctls")]

use super::device_node::{self, Number};
use super::{ioctl, refused};
use crate::bytes::ReadAt;
use crate::error::{Error, Kind, Result};
use crate::units::{ByteCount, SectorSize};
use alloc::format;
use alloc::string::String;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{FallocateFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

/// An open block device (or, for tests and images, a file).
#[derive(Debug)]
pub struct Device {
    descriptor: OwnedFd,
    path: String,
}

/// For what a device is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only looking; closing it afterwards tells udev nothing.
    Read,
    /// The same for a drive whose medium can be taken out: one that is empty or open stays so, instead of being closed
    /// and waited for.
    ReadRemovable,
    /// Reading past the page cache, aligned as for writing.
    ReadDirect,
    /// Writing straight to the device, past the page cache: each write is one request, each read-back is the medium's
    /// own answer. Buffers, offsets and lengths must be multiples of the logical sector.
    WriteDirect,
    /// The same for the whole device: no other process has it mounted or otherwise for himself, or can as long as it is
    /// open.
    WriteAlone,
}

/// `struct blkpg_ioctl_arg` of `linux/blkpg.h`.
#[repr(C)]
#[derive(Clone, Copy)]
struct BlkpgArgument {
    op: i32,
    flags: i32,
    datalen: i32,
    data: *const BlkpgPartition,
}

/// `struct blkpg_partition` of `linux/blkpg.h`; `start` and `length` in bytes.
#[repr(C)]
#[derive(Clone, Copy)]
struct BlkpgPartition {
    start: i64,
    length: i64,
    pno: i32,
    devname: [u8; 64],
    volname: [u8; 64],
}

const _: () = assert!(size_of::<BlkpgPartition>() == 152 && size_of::<BlkpgArgument>() == 24);

const BLKROGET: u32 = 0x125e;
const BLKRRPART: u32 = 0x125f;
const BLKFLSBUF: u32 = 0x1261;
const BLKSSZGET: u32 = 0x1268;
const BLKPG: u32 = 0x1269;
const BLKDISCARD: u32 = 0x1277;
const BLKZEROOUT: u32 = 0x127f;
const BLKGETSIZE64: u32 = 0x8008_1272;
const CDROMEJECT: u32 = 0x5309;
const CDROM_DRIVE_STATUS: u32 = 0x5326;
const CDROM_LOCKDOOR: u32 = 0x5329;
/// Of the slots of a CD changer the one in use (`linux/cdrom.h`); other drives have no slots.
const CDSL_CURRENT: usize = i32::MAX as usize;
/// The drive's answers that are no obstacle to reading: it cannot tell, and there is a disc.
const CDS_NO_INFO: i32 = 0;
const CDS_DISC_OK: i32 = 4;
const BLKPG_RESIZE_PARTITION: i32 = 3;

impl Device {
    /// Opens `path`.
    ///
    /// # Errors
    /// `Os` with the kernel's reason.
    pub fn open(path: &str, access: Access) -> Result<Self> {
        Self::open_as(path, path, access)
    }

    /// Opens the same device again, even if its path leads to another one by now.
    ///
    /// # Errors
    /// `Os` with the kernel's reason.
    pub fn reopen(&self, access: Access) -> Result<Self> {
        Self::open_as(&self.own_path(), &self.path, access)
    }

    /// A path that leads to this open device as long as it is open, whatever is renamed.
    #[must_use]
    pub fn own_path(&self) -> String {
        format!("/proc/self/fd/{}", self.descriptor.as_raw_fd())
    }

    /// The number of the device that is open; as long as it is, the kernel gives this number to no other.
    ///
    /// # Errors
    /// `Os`; `Refused` when it is not a block device.
    pub fn number(&self) -> Result<Number> {
        device_node::open_block_number(self.as_fd()).map_err(|error| error.to(&*self.path))
    }

    fn open_as(path: &str, shown: &str, access: Access) -> Result<Self> {
        let flags = match access {
            Access::Read => OFlags::RDONLY,
            Access::ReadRemovable => OFlags::RDONLY | OFlags::NONBLOCK,
            Access::ReadDirect => OFlags::RDONLY | OFlags::DIRECT,
            Access::WriteDirect => OFlags::RDWR | OFlags::DIRECT,
            Access::WriteAlone => OFlags::RDWR | OFlags::DIRECT | OFlags::EXCL,
        };
        let descriptor =
            rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty()).map_err(|errno| match errno {
                // A missing permission is EACCES; for a device node that may be opened, EPERM comes from the device cgroup.
                Errno::PERM => {
                    let why = "a container's device rules do not allow it";
                    Error::new(Kind::Os(errno.raw_os_error()), "open", why).to(shown)
                }
                _ => refused(errno, "open").to(shown),
            })?;
        Ok(Self { descriptor, path: shown.into() })
    }

    /// What standard input was opened from; its own position is neither honoured nor moved by what is read at an
    /// offset.
    ///
    /// # Errors
    /// `Os` with the kernel's reason.
    pub fn standard_input() -> Result<Self> {
        const NAME: &str = "standard input";
        let own = rustix::io::fcntl_dupfd_cloexec(super::stdio::input(), 0);
        Ok(Self { descriptor: own.map_err(|errno| refused(errno, "open").to(NAME))?, path: NAME.into() })
    }

    /// A file that is open for reading and writing; `path` is what messages call it.
    #[cfg(feature = "full")]
    pub(super) fn of(descriptor: OwnedFd, path: &str) -> Self {
        Self { descriptor, path: path.into() }
    }

    /// The path it was opened by.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Takes the exclusive lock that udev respects, if no other process holds it. It lasts until the device is dropped.
    ///
    /// # Errors
    /// `Os` other than "someone else holds it", for which the result is `false`.
    pub fn try_lock(&self) -> Result<bool> {
        match rustix::fs::flock(&self.descriptor, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(errno) => Err(refused(errno, "lock").to(&*self.path)),
        }
    }

    /// The size of the whole device.
    ///
    /// # Errors
    /// `Os`: not a block device.
    pub fn size(&self) -> Result<ByteCount> {
        // SAFETY: linux/fs.h: BLKGETSIZE64 fills a u64.
        let got = unsafe { ioctl::run(self.as_fd(), BLKGETSIZE64, 0u64, "ask for the size of") };
        Ok(ByteCount(got.map_err(|error| error.to(&*self.path))?.1))
    }

    /// Where it ends, for a file as well as for a device.
    ///
    /// # Errors
    /// `Os`: it is neither.
    pub fn end(&self) -> Result<ByteCount> {
        let end = rustix::fs::seek(&self.descriptor, rustix::fs::SeekFrom::End(0));
        end.map(ByteCount).map_err(|errno| refused(errno, "ask for the end of").to(&*self.path))
    }

    /// Whether the drive has a disc in it that can be read; true as well for what is no CD drive or cannot tell.
    #[must_use]
    pub fn has_medium(&self) -> bool {
        // SAFETY: linux/cdrom.h: CDROM_DRIVE_STATUS takes the number of a slot.
        let status = unsafe { ioctl::ask(self.as_fd(), CDROM_DRIVE_STATUS, CDSL_CURRENT, "ask for the disc in") };
        status.is_err() || status.is_ok_and(|status| matches!(status, CDS_NO_INFO | CDS_DISC_OK))
    }

    /// Opens the drive, of which udev may have locked the door when it saw the disc.
    ///
    /// # Errors
    /// `Os`: EBUSY while anybody else has the drive open; ENOSYS: it cannot; ENOTTY: not a drive for discs.
    pub fn eject(&self) -> Result<()> {
        const DOING: &str = "eject the disc in";
        // SAFETY: linux/cdrom.h: CDROM_LOCKDOOR takes 1 or 0.
        let unlocked = unsafe { ioctl::ask(self.as_fd(), CDROM_LOCKDOOR, 0, DOING) };
        // SAFETY: linux/cdrom.h: CDROMEJECT takes nothing, and ignores the number.
        let ejected = unsafe { ioctl::ask(self.as_fd(), CDROMEJECT, 0, DOING) };
        // A door that cannot be locked needs no unlocking; one that stays locked is told by the second call.
        let _ = unlocked;
        ejected.map(|_| ()).map_err(|error| error.to(&*self.path))
    }

    /// The logical sector size.
    ///
    /// # Errors
    /// `Os`: not a block device; `Unsupported`: a size no disk has.
    pub fn sector_size(&self) -> Result<SectorSize> {
        const DOING: &str = "ask for the sector size of";
        // SAFETY: linux/fs.h: BLKSSZGET fills an int.
        let (_, bytes) = unsafe { ioctl::run(self.as_fd(), BLKSSZGET, 0i32, DOING) }.map_err(|e| e.to(&*self.path))?;
        u32::try_from(bytes)
            .ok()
            .and_then(SectorSize::new)
            .ok_or_else(|| Error::unsupported(DOING, "not a power of two from 512 to 65536").to(&*self.path))
    }

    /// Whether the kernel refuses to write to it.
    ///
    /// # Errors
    /// `Os`: not a block device.
    pub fn is_read_only(&self) -> Result<bool> {
        // SAFETY: linux/fs.h: BLKROGET fills an int.
        let got = unsafe { ioctl::run(self.as_fd(), BLKROGET, 0i32, "ask whether writable:") };
        Ok(got.map_err(|error| error.to(&*self.path))?.1 != 0)
    }

    /// Tells the kernel the new length of partition `number`, which starts at `start`; works while it is mounted.
    ///
    /// # Errors
    /// `Os`: EINVAL when the start differs from the kernel's, EBUSY when it would overlap another.
    pub fn resize_partition(&self, number: u32, start: ByteCount, length: ByteCount) -> Result<()> {
        const DOING: &str = "tell the kernel the new partition size on";
        let wide = || Error::unsupported(DOING, "it lies behind what the kernel can address").to(&*self.path);
        let partition = BlkpgPartition {
            start: i64::try_from(start.0).map_err(|_| wide())?,
            length: i64::try_from(length.0).map_err(|_| wide())?,
            pno: i32::try_from(number).map_err(|_| wide())?,
            devname: [0; 64],
            volname: [0; 64],
        };
        let argument = BlkpgArgument { op: BLKPG_RESIZE_PARTITION, flags: 0, datalen: 152, data: &raw const partition };
        // SAFETY: linux/blkpg.h: BLKPG reads this structure and the partition behind `data`, which outlives the call.
        unsafe { ioctl::run(self.as_fd(), BLKPG, argument, DOING) }.map_err(|error| error.to(&*self.path))?;
        Ok(())
    }

    /// Makes the kernel read the partition table again. Only for a disk of which nothing is in use.
    ///
    /// # Errors
    /// `Os`: EBUSY while any partition is open or mounted.
    pub fn reread_partitions(&self) -> Result<()> {
        // SAFETY: linux/fs.h: BLKRRPART ignores its argument.
        let done = unsafe { ioctl::run(self.as_fd(), BLKRRPART, 0usize, "re-read the partition table of") };
        done.map(|_| ()).map_err(|error| error.to(&*self.path))
    }

    /// Tells the device that no one needs what it holds in these bytes, which then read as anything.
    ///
    /// # Errors
    /// `Os`: EOPNOTSUPP when it has no use for that.
    pub fn discard(&self, offset: ByteCount, length: ByteCount) -> Result<()> {
        // SAFETY: linux/fs.h: BLKDISCARD reads two u64, offset and length.
        let done = unsafe { ioctl::run(self.as_fd(), BLKDISCARD, [offset.0, length.0], "discard what is on") };
        done.map(|_| ()).map_err(|error| error.to(&*self.path))
    }

    /// Makes these bytes, whole sectors, zeros: by the device's own command where it has one, and then it need not keep
    /// room for them; else the kernel writes them.
    ///
    /// # Errors
    /// `Os`.
    pub fn zero(&self, offset: ByteCount, length: ByteCount) -> Result<()> {
        // Kernels have this since 4.9, and refuse it where they would have to write.
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if rustix::fs::fallocate(&self.descriptor, hole, offset.0, length.0).is_ok() {
            return Ok(());
        }
        // SAFETY: linux/fs.h: BLKZEROOUT reads two u64, offset and length.
        let done = unsafe { ioctl::run(self.as_fd(), BLKZEROOUT, [offset.0, length.0], "write zeros to") };
        done.map(|_| ()).map_err(|error| error.to(&*self.path))
    }

    /// Empties the page cache of what it holds of this device, after that is on the medium.
    ///
    /// # Errors
    /// `Os`.
    pub fn empty_cache(&self) -> Result<()> {
        // SAFETY: linux/fs.h: BLKFLSBUF ignores its argument.
        let done = unsafe { ioctl::run(self.as_fd(), BLKFLSBUF, 0usize, "empty the cache of") };
        done.map(|_| ()).map_err(|error| error.to(&*self.path))
    }

    /// Writes the whole of `bytes` at `offset`.
    ///
    /// # Errors
    /// `Os`; then part of it may have been written.
    pub fn write_at(&self, offset: ByteCount, bytes: &[u8]) -> Result<()> {
        let mut offset = offset.0;
        let mut rest = bytes;
        while !rest.is_empty() {
            let written = retry(|| rustix::io::pwrite(&self.descriptor, rest, offset))
                .map_err(|errno| refused(errno, "write to").to(&*self.path))?;
            rest = rest.get(written..).unwrap_or_default();
            if written == 0 {
                return Err(Error::os(Errno::NOSPC.raw_os_error(), "write to").to(&*self.path));
            }
            offset = offset.saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
        }
        Ok(())
    }

    /// Waits until everything written is on the medium.
    ///
    /// # Errors
    /// `Os`; then nothing may be assumed about what was written.
    pub fn flush(&self) -> Result<()> {
        rustix::fs::fsync(&self.descriptor).map_err(|errno| refused(errno, "flush").to(&*self.path))
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl ReadAt for Device {
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
        let mut offset = offset.0;
        let mut rest = buffer;
        while !rest.is_empty() {
            let count = retry(|| rustix::io::pread(&self.descriptor, &mut *rest, offset))
                .map_err(|errno| refused(errno, "read").to(&*self.path))?;
            if count == 0 {
                return Err(Error::corrupt("read", "the range lies behind the end").to(&*self.path));
            }
            rest = rest.get_mut(count..).unwrap_or_default();
            offset = offset.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        }
        Ok(())
    }
}

/// Repeats a call that a signal interrupted before it did anything.
fn retry<T>(mut call: impl FnMut() -> core::result::Result<T, Errno>) -> core::result::Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

//! The filesystems' own calls for growing while mounted, and for asking how large they are.
//!
//! Numbers and structures: `fs/ext4/ext4.h`, `fs/xfs/libxfs/xfs_fs.h`, `include/uapi/linux/btrfs.h`; they are the same
//! on every architecture that uses the generic `_IOC` encoding (x86-64, aarch64, riscv64, arm).

#![expect(unsafe_code, reason = "filesystems are grown by ioctl")]

use super::{ioctl, refused};
use crate::error::{Error, Kind, Result};
use crate::units::ByteCount;
use alloc::format;
use alloc::string::String;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};

const EPERM: i32 = 1;
const EBUSY: i32 = 16;

const EXT4_IOC_RESIZE_FS: u32 = 0x4008_6610;
const XFS_IOC_FSGEOMETRY_V1: u32 = 0x8070_5864;
const XFS_IOC_FSGROWFSDATA: u32 = 0x4010_586e;
const BTRFS_IOC_RESIZE: u32 = 0x5000_9403;
const BTRFS_IOC_SCAN_DEV: u32 = 0x5000_9404;
const BTRFS_IOC_DEV_INFO: u32 = 0xd000_941e;
const BTRFS_IOC_FS_INFO: u32 = 0x8400_941f;

/// An open directory of a mounted filesystem.
#[derive(Debug)]
pub struct Mounted {
    descriptor: OwnedFd,
    device: String,
}

/// `struct xfs_fsop_geom_v1`: offsets 0 blocksize, 8 agblocks, 12 agcount, 28 imaxpct, 32 datablocks.
type XfsGeometry = [u64; 14];

/// `struct xfs_growfs_data`.
#[repr(C)]
#[derive(Clone, Copy)]
struct XfsGrow {
    newblocks: u64,
    imaxpct: u32,
    padding: u32,
}

/// `struct btrfs_ioctl_vol_args`.
#[repr(C)]
#[derive(Clone, Copy)]
struct BtrfsVolume {
    fd: i64,
    name: [u8; 4088],
}

impl BtrfsVolume {
    /// A name that is too long is cut, and then is the name of nothing.
    fn named(text: &str) -> Self {
        let mut name = [0; 4088];
        for (place, byte) in name.iter_mut().zip(text.bytes().take(4087)) {
            *place = byte;
        }
        Self { fd: 0, name }
    }
}

/// `struct btrfs_ioctl_dev_info_args`: 0 devid, 8 uuid, 24 bytes used, 32 total bytes.
type BtrfsDevice = [u64; 512];

/// `struct btrfs_ioctl_fs_info_args`: 0 max_id, 8 num_devices, 16 fsid.
type BtrfsFilesystem = [u64; 128];

const _: () = assert!(size_of::<XfsGeometry>() == 112 && size_of::<XfsGrow>() == 16);
const _: () = assert!(size_of::<BtrfsFilesystem>() == 1024);
const _: () = assert!(size_of::<BtrfsVolume>() == 4096 && size_of::<BtrfsDevice>() == 4096);

/// Size of a mounted XFS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XfsSize {
    /// Bytes in a block.
    pub block_size: u32,
    /// Blocks in the data section.
    pub blocks: u64,
    /// Blocks in an allocation group.
    pub group_blocks: u32,
    /// The share of inodes, passed back unchanged when growing.
    pub inode_percent: u32,
}

impl Mounted {
    /// Opens the root of the filesystem of `device`, which is mounted at `point`. Errors will name the device: a point
    /// that only wisp sees says nothing to an operator.
    ///
    /// # Errors
    /// `Os`.
    pub fn open(point: &str, device: &str) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = rustix::fs::open(point, flags, Mode::empty()).map_err(|e| refused(e, "open").to(point))?;
        Ok(Self { descriptor, device: device.into() })
    }

    /// Grows ext2, ext3 or ext4 to `blocks` filesystem blocks.
    ///
    /// # Errors
    /// `Os`: EPERM without `CAP_SYS_RESOURCE` or with errors marked in the superblock, EBUSY, ENOSPC when the device
    /// is shorter, EROFS.
    pub fn resize_ext(&self, blocks: u64) -> Result<()> {
        // SAFETY: ext4.h: EXT4_IOC_RESIZE_FS reads a u64.
        let done = unsafe { ioctl::run(self.descriptor.as_fd(), EXT4_IOC_RESIZE_FS, blocks, "grow the filesystem on") };
        done.map(|_| ()).map_err(|error| {
            match error.kind {
                // One number for two reasons (`ext4_resize_begin`).
                Kind::Os(EPERM) => {
                    Error::new(error.kind, error.doing, "it takes CAP_SYS_RESOURCE, and no errors in it")
                }
                _ => error,
            }
            .to(&*self.device)
        })
    }

    /// How large the mounted XFS is.
    ///
    /// # Errors
    /// `Os`.
    pub fn xfs_size(&self) -> Result<XfsSize> {
        let empty: XfsGeometry = [0; 14];
        // SAFETY: xfs_fs.h: XFS_IOC_FSGEOMETRY_V1 fills 112 bytes.
        let got =
            unsafe { ioctl::run(self.descriptor.as_fd(), XFS_IOC_FSGEOMETRY_V1, empty, "ask the size of XFS on") };
        let [first, groups, _, percent, blocks, ..] = got.map_err(|error| error.to(&*self.device))?.1;
        let halves = |word: u64| {
            let [a, b, c, d, e, f, g, h] = word.to_ne_bytes();
            (u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]))
        };
        Ok(XfsSize {
            block_size: halves(first).0,
            blocks,
            group_blocks: halves(groups).0,
            inode_percent: halves(percent).1,
        })
    }

    /// Grows XFS to `blocks` filesystem blocks.
    ///
    /// # Errors
    /// `Os`: EWOULDBLOCK while another grow runs, EINVAL for a smaller size, EROFS.
    pub fn resize_xfs(&self, blocks: u64, inode_percent: u32) -> Result<()> {
        let argument = XfsGrow { newblocks: blocks, imaxpct: inode_percent, padding: 0 };
        // SAFETY: xfs_fs.h: XFS_IOC_FSGROWFSDATA reads this structure.
        let done =
            unsafe { ioctl::run(self.descriptor.as_fd(), XFS_IOC_FSGROWFSDATA, argument, "grow the filesystem on") };
        done.map(|_| ()).map_err(|error| error.to(&*self.device))
    }

    /// The UUID of the mounted btrfs, as its bytes are stored.
    ///
    /// # Errors
    /// `Os`: ENOTTY where it is not btrfs.
    pub fn btrfs_uuid(&self) -> Result<[u8; 16]> {
        let empty: BtrfsFilesystem = [0; 128];
        // SAFETY: btrfs.h: BTRFS_IOC_FS_INFO fills 1024 bytes.
        let got = unsafe { ioctl::run(self.descriptor.as_fd(), BTRFS_IOC_FS_INFO, empty, "ask the UUID of btrfs on") };
        let (_, info) = got.map_err(|error| error.to(&*self.device))?;
        let mut uuid = [0; 16];
        let bytes = info.iter().skip(2).flat_map(|word| word.to_ne_bytes());
        uuid.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
        Ok(uuid)
    }

    /// How many bytes of device `devid` the mounted btrfs uses.
    ///
    /// # Errors
    /// `Os`: ENODEV when the filesystem has no such device.
    pub fn btrfs_device_size(&self, devid: u64) -> Result<ByteCount> {
        let mut argument: BtrfsDevice = [0; 512];
        if let Some(first) = argument.first_mut() {
            *first = devid;
        }
        // SAFETY: btrfs.h: BTRFS_IOC_DEV_INFO reads devid and uuid and fills 4096 bytes.
        let got =
            unsafe { ioctl::run(self.descriptor.as_fd(), BTRFS_IOC_DEV_INFO, argument, "ask the size of btrfs on") };
        let (_, info) = got.map_err(|error| error.to(&*self.device))?;
        Ok(ByteCount(info.get(4).copied().unwrap_or(0)))
    }

    /// Grows device `devid` of btrfs to all of its block device.
    ///
    /// # Errors
    /// `Os`: EROFS, EBUSY while another exclusive operation (balance, replace) runs.
    pub fn resize_btrfs(&self, devid: u64) -> Result<()> {
        const DOING: &str = "grow the filesystem on";
        let volume = BtrfsVolume::named(&format!("{devid}:max"));
        // SAFETY: btrfs.h: BTRFS_IOC_RESIZE reads this structure; the name is NUL-terminated.
        let done = unsafe { ioctl::run(self.descriptor.as_fd(), BTRFS_IOC_RESIZE, volume, DOING) };
        let (returned, _) = done.map_err(|error| error.to(&*self.device))?;
        if returned > 0 {
            let why = "another exclusive btrfs operation is running";
            return Err(Error::new(Kind::Os(EBUSY), DOING, why).to(&*self.device));
        }
        Ok(())
    }
}

/// Tells btrfs that the device `node` belongs to one of its filesystems; one that spreads over several devices can only
/// be mounted when it has heard of all of them.
///
/// # Errors
/// `Os`.
pub fn register_btrfs(node: &str) -> Result<()> {
    const DOING: &str = "tell btrfs of";
    let failed = |errno| refused(errno, DOING).to(node);
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let control = rustix::fs::open("/dev/btrfs-control", flags, Mode::empty()).map_err(failed)?;
    // SAFETY: btrfs.h: BTRFS_IOC_SCAN_DEV reads this structure; the name is NUL-terminated.
    let done = unsafe { ioctl::run(control.as_fd(), BTRFS_IOC_SCAN_DEV, BtrfsVolume::named(node), DOING) };
    done.map(|_| ()).map_err(|error| error.to(node))
}

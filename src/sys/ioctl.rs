//! `ioctl` with one argument passed by address, returning both what the kernel put there and its own return value.
//!
//! rustix's ready-made patterns drop the return value, in which btrfs says "another exclusive operation is running".

#![expect(unsafe_code, reason = "an ioctl number is a promise about the type behind a pointer")]

use crate::error::Result;
use core::ffi::c_void;
use rustix::fd::BorrowedFd;
use rustix::io;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode};

/// A call's argument, owned while the kernel reads or fills it.
pub(super) struct Call<T> {
    opcode: Opcode,
    argument: T,
}

// SAFETY: `as_ptr` points to `argument`, which lives as long as the call; `run` demands that `T` is the type the
// opcode is documented with.
unsafe impl<T: Copy> Ioctl for Call<T> {
    type Output = (i32, T);
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.opcode
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut self.argument).cast()
    }

    unsafe fn output_from_ptr(returned: IoctlOutput, argument: *mut c_void) -> io::Result<Self::Output> {
        // SAFETY: `argument` is what `as_ptr` returned; any bit pattern is valid for the plain integers in `T`.
        Ok((returned, unsafe { *argument.cast::<T>() }))
    }
}

/// Issues `opcode` on `descriptor` with `argument`.
///
/// # Safety
/// `T` is the structure that the kernel's header names for `opcode`, and holds only plain integers and arrays.
///
/// # Errors
/// `Os` with the kernel's errno, described by `doing`.
pub(super) unsafe fn run<T: Copy>(
    descriptor: BorrowedFd<'_>,
    opcode: u32,
    argument: T,
    doing: &'static str,
) -> Result<(i32, T)> {
    // SAFETY: the caller vouches for the type.
    unsafe { rustix::ioctl::ioctl(descriptor, Call { opcode, argument }) }.map_err(|errno| super::refused(errno, doing))
}

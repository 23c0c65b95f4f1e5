//! `ioctl` with one argument, returning its own return value and, where the argument is passed by address, what the
//! kernel put there.
//!
//! rustix's ready-made patterns drop the return value, in which btrfs says "another exclusive operation is running" and
//! a CD drive whether a disc is in it.

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

/// A call whose argument is a number.
struct Question {
    opcode: Opcode,
    argument: usize,
}

// SAFETY: nothing is passed by address; `ask` demands that the opcode is documented to take a number.
unsafe impl Ioctl for Question {
    type Output = i32;
    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        self.opcode
    }

    fn as_ptr(&mut self) -> *mut c_void {
        core::ptr::without_provenance_mut(self.argument)
    }

    unsafe fn output_from_ptr(returned: IoctlOutput, _: *mut c_void) -> io::Result<i32> {
        Ok(returned)
    }
}

/// Issues `opcode` on `descriptor` with the number `argument`; its answer is what it returns.
///
/// # Safety
/// The kernel's header says that `opcode` takes a number, and no address.
///
/// # Errors
/// `Os` with the kernel's errno, described by `doing`.
pub(super) unsafe fn ask(descriptor: BorrowedFd<'_>, opcode: u32, argument: usize, doing: &'static str) -> Result<i32> {
    // SAFETY: the caller vouches for the argument.
    unsafe { rustix::ioctl::ioctl(descriptor, Question { opcode, argument }) }
        .map_err(|errno| super::refused(errno, doing))
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

//! Dispositions of signals: what wisp itself ignores, and what the programs that it starts must find.

#![expect(unsafe_code, reason = "the dispositions of signals are the C library's")]

use core::ffi::c_int;

unsafe extern "C" {
    fn signal(number: c_int, disposition: usize) -> usize;
    fn sigprocmask(how: c_int, new: *const SignalSet, old: *mut SignalSet) -> c_int;
}

/// `sigset_t` of musl and glibc: 128 bytes, a bit each.
#[repr(C, align(8))]
struct SignalSet([u8; 128]);

const SIG_DFL: usize = 0;
const SIG_IGN: usize = 1;
const SIG_SETMASK: c_int = 2;
const SIGPIPE: c_int = 13;

/// The signals of POSIX; the higher numbers are real-time signals and those of the C library itself.
const SIGNALS: core::ops::RangeInclusive<c_int> = 1..=31;

/// Makes a write to a pipe without a reader fail with `EPIPE` instead of ending the process: whatever shows the progress of
/// an image that is being written must not be able to end that in the middle.
pub fn ignore_broken_pipes() {
    // SAFETY: an ignored signal runs no function of ours, and SIGPIPE may be ignored.
    unsafe { signal(SIGPIPE, SIG_IGN) };
}

/// Undoes that and whatever a service manager set, before another program replaces this process: it inherits ignored
/// signals and the mask.
pub(super) fn restore_defaults() {
    for number in SIGNALS {
        // SAFETY: the default disposition is no function of ours; KILL and STOP, which have no other, are refused.
        unsafe { signal(number, SIG_DFL) };
    }
    let none = SignalSet([0; 128]);
    // SAFETY: the set is as large as the C library's, outlives the call, and a null takes no answer.
    unsafe { sigprocmask(SIG_SETMASK, &raw const none, core::ptr::null_mut()) };
}

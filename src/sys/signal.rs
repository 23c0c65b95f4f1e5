//! Dispositions of signals: what wisp itself ignores or passes on, and what the programs that it starts must find.

#![expect(unsafe_code, reason = "the dispositions of signals are the C library's")]

use core::ffi::c_int;
use core::sync::atomic::{AtomicI32, Ordering};

unsafe extern "C" {
    fn signal(number: c_int, disposition: usize) -> usize;
    fn sigprocmask(how: c_int, new: *const SignalSet, old: *mut SignalSet) -> c_int;
    fn kill(process: c_int, number: c_int) -> c_int;
}

/// `sigset_t` of musl and glibc: 128 bytes, a bit each.
#[repr(C, align(8))]
struct SignalSet([u8; 128]);

const NO_SIGNALS: SignalSet = SignalSet([0; 128]);
const ALL_SIGNALS: SignalSet = SignalSet([u8::MAX; 128]);

const SIG_DFL: usize = 0;
const SIG_IGN: usize = 1;
const SIG_ERR: usize = usize::MAX;
const SIG_SETMASK: c_int = 2;
const SIGPIPE: c_int = 13;

/// The signals of POSIX; the higher numbers are real-time signals and those of the C library itself.
const SIGNALS: core::ops::RangeInclusive<c_int> = 1..=31;

/// By these a service manager or a terminal ends a service: SIGHUP, SIGINT, SIGQUIT, SIGTERM.
const TERMINATION: [c_int; 4] = [1, 2, 3, 15];

/// The process group that termination signals are passed on to; 0: none. Only one program runs at a time.
static GROUP: AtomicI32 = AtomicI32::new(0);

/// The termination signal that was received; 0: none.
static RECEIVED: AtomicI32 = AtomicI32::new(0);

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
    set_mask(&NO_SIGNALS);
}

/// Keeps all signals waiting that can wait.
pub(super) fn block_all() {
    set_mask(&ALL_SIGNALS);
}

/// Ends this process by the signal of this number, as the child ended that it stands for. Comes back where the signal does
/// not end a process.
pub(super) fn end_by(number: c_int) {
    for other in SIGNALS {
        // What was sent to the group and is still blocked must not end this process another way: ignoring discards it.
        // SAFETY: both dispositions are no functions of ours; KILL and STOP, which have no other, are refused.
        unsafe { signal(other, if other == number { SIG_DFL } else { SIG_IGN }) };
    }
    set_mask(&NO_SIGNALS);
    // SAFETY: kill takes any numbers; 0 would be the group, and this is the process's own number.
    unsafe { kill(super::fork::own_number(), number) };
}

/// The termination signal that was received since a [`Relay`] was installed for the first time.
pub(super) fn received() -> Option<c_int> {
    Some(RECEIVED.load(Ordering::SeqCst)).filter(|number| *number != 0)
}

/// While this lives, termination signals that wisp receives go to the group of the program that runs.
pub(super) struct Relay {
    /// The dispositions before, which are set again.
    before: [usize; TERMINATION.len()],
}

impl Relay {
    pub(super) fn install() -> Self {
        GROUP.store(0, Ordering::SeqCst);
        let before = TERMINATION.map(|number| {
            // SAFETY: the function lives as long as the program and calls only what a signal handler may call.
            let before = unsafe { signal(number, pass_on as extern "C" fn(c_int) as usize) };
            if before == SIG_IGN {
                // What is ignored stays ignored, as nohup has it.
                // SAFETY: SIG_IGN is a disposition and no function.
                unsafe { signal(number, SIG_IGN) };
            }
            before
        });
        Self { before }
    }

    /// Signals go to the group that the process `leader` leads, also one that was received before the group was known.
    pub(super) fn set_group(leader: i32) {
        GROUP.store(leader, Ordering::SeqCst);
        let number = RECEIVED.load(Ordering::SeqCst);
        if number != 0 {
            send(number);
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        GROUP.store(0, Ordering::SeqCst);
        for (number, before) in TERMINATION.into_iter().zip(self.before) {
            if before != SIG_ERR {
                // SAFETY: the disposition is the one that was set before.
                unsafe { signal(number, before) };
            }
        }
    }
}

/// The handler of [`TERMINATION`].
extern "C" fn pass_on(number: c_int) {
    RECEIVED.store(number, Ordering::SeqCst);
    send(number);
}

/// Sends a signal to the group, if there is one.
fn send(number: c_int) {
    let group = GROUP.load(Ordering::SeqCst);
    // Of 1 the negative would be every process.
    if group > 1 {
        // SAFETY: kill takes any numbers and may be called by a signal handler.
        unsafe { kill(group.wrapping_neg(), number) };
    }
}

/// Blocks the signals of `set` and no others.
fn set_mask(set: &SignalSet) {
    // SAFETY: the set is as large as the C library's, outlives the call, and a null takes no answer.
    unsafe { sigprocmask(SIG_SETMASK, set, core::ptr::null_mut()) };
}

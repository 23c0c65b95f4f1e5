//! Other processes, by their numbers (proc(5)).

#![forbid(unsafe_code)]

use super::file;

/// The number of this process.
#[must_use]
pub fn own_number() -> u32 {
    rustix::process::getpid().as_raw_nonzero().get().unsigned_abs()
}

/// Whether there is a process of this number.
#[must_use]
pub fn is_running(number: u32) -> bool {
    file::exists(&alloc::format!("/proc/{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_there_or_not() {
        assert_eq!(own_number(), std::process::id());
        assert!(is_running(own_number()) && is_running(1) && !is_running(u32::MAX));
    }
}

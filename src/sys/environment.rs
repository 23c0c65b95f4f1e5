//! The environment this program was started with.

#![expect(unsafe_code, reason = "without std only the C library knows where the environment lies")]

use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::{CStr, c_char};

unsafe extern "C" {
    fn getenv(name: *const c_char) -> *const c_char;
    static environ: *const *const c_char;
}

/// The value of the variable `name`, if it is set and is not empty. What is no UTF-8 becomes U+FFFD: anyone who uses it
/// finds that it is wrong, and does not take it for not being set.
#[must_use]
pub fn variable(name: &CStr) -> Option<String> {
    // SAFETY: `name` is a NUL-terminated string, and wisp never changes its environment while this reads it.
    let value = unsafe { getenv(name.as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: what `getenv` returns, other than null, is a NUL-terminated string that lives to the end of the program.
    text(unsafe { CStr::from_ptr(value) })
}

/// Every variable, as `NAME=value`.
#[must_use]
pub fn all() -> Vec<Vec<u8>> {
    let mut entries = Vec::new();
    // SAFETY: `environ` is set by the C library's start code, and wisp never changes it.
    let mut next = unsafe { environ };
    while !next.is_null() {
        // SAFETY: `next` points into a vector of pointers that a null ends, and has not passed that.
        let entry = unsafe { *next };
        if entry.is_null() {
            break;
        }
        // SAFETY: each pointer before the null is to a NUL-terminated string that lives to the end of the program.
        entries.push(unsafe { CStr::from_ptr(entry) }.to_bytes().to_vec());
        // SAFETY: behind an entry lies another one or the null.
        next = unsafe { next.add(1) };
    }
    entries
}

fn text(value: &CStr) -> Option<String> {
    (!value.is_empty()).then(|| value.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_what_the_shell_says() {
        assert_eq!(variable(c"PATH"), std::env::var("PATH").ok());
        assert_eq!(variable(c"WISP_NOBODY_SETS_THIS"), None);
    }

    #[test]
    fn what_is_no_text_is_still_set() {
        assert_eq!(text(c"").as_deref(), None);
        assert_eq!(text(c"/etc/\xff").as_deref(), Some("/etc/\u{fffd}"));
    }
}

//! The environment this program was started with.

#![expect(unsafe_code, reason = "without std only the C library knows where the environment lies")]

use alloc::string::String;
use core::ffi::{CStr, c_char};

unsafe extern "C" {
    fn getenv(name: *const c_char) -> *const c_char;
}

/// The value of the variable `name`, if it is set, is not empty and is UTF-8.
#[must_use]
pub fn variable(name: &CStr) -> Option<String> {
    // SAFETY: `name` is a NUL-terminated string, and wisp never changes its environment while this reads it.
    let value = unsafe { getenv(name.as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: what `getenv` returns, other than null, is a NUL-terminated string that lives to the end of the program.
    let text = unsafe { CStr::from_ptr(value) }.to_str().ok()?;
    (!text.is_empty()).then(|| String::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_what_the_shell_says() {
        assert_eq!(variable(c"PATH"), std::env::var("PATH").ok());
        assert_eq!(variable(c"WISP_NOBODY_SETS_THIS"), None);
    }
}

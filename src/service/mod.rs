//! The init system of a root, OpenRC or systemd: what it starts at boot is links, which are made and removed here.
#![forbid(unsafe_code)]

/// Soon.
///
/// # Errors
/// None.
pub fn enable(_root: &str) -> crate::error::Result<alloc::vec::Vec<alloc::string::String>> {
    Ok(alloc::vec::Vec::new())
}
/// Soon.
///
/// # Errors
/// None.
pub fn disable(_root: &str) -> crate::error::Result<alloc::vec::Vec<alloc::string::String>> {
    Ok(alloc::vec::Vec::new())
}

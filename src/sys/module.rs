//! Loading kernel modules.

use super::refused;
use crate::error::{Error, Result};
use alloc::ffi::CString;
use rustix::io::Errno;

/// Loads the module whose ELF `image` is given, with its parameters ("a=1 b=2").
///
/// # Errors
/// `Os`: what the kernel or the module's own start says; a module that is already there is no error.
pub fn load(image: &[u8], parameters: &str) -> Result<()> {
    const DOING: &str = "load the kernel module";
    let parameters = CString::new(parameters).map_err(|_| Error::usage(DOING, "its parameters hold a NUL byte"))?;
    match rustix::system::init_module(image, &parameters) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(refused(errno, DOING)),
    }
}

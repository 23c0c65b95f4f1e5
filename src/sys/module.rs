//! Loading kernel modules.

use super::file::Stream;
use super::refused;
use crate::error::{Error, Result};
use alloc::ffi::CString;
use rustix::io::{self, Errno};

const DOING: &str = "load the kernel module";

/// Loads the module whose ELF `image` is given, with its parameters ("a=1 b=2").
///
/// # Errors
/// `Os`: what the kernel or the module's own start says; a module that is already there is no error.
pub fn load(image: &[u8], parameters: &str) -> Result<()> {
    outcome(rustix::system::init_module(image, &text(parameters)?))
}

/// Loads the module in the file at `path`, which the kernel reads by itself: it must be unpacked.
///
/// # Errors
/// Those of [`load`], and `Os` when the file cannot be opened.
pub fn load_file(path: &str, parameters: &str) -> Result<()> {
    let parameters = text(parameters)?;
    let file = Stream::open(path)?.0;
    outcome(rustix::system::finit_module(&file, &parameters, 0))
}

fn text(parameters: &str) -> Result<CString> {
    CString::new(parameters).map_err(|_| Error::usage(DOING, "its parameters hold a NUL byte"))
}

fn outcome(result: io::Result<()>) -> Result<()> {
    match result {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(refused(errno, DOING)),
    }
}

//! Text formats. Pure: text in, values out, and nothing in them is ever executed.
#![forbid(unsafe_code)]

pub mod base64;
pub mod checksum;
pub mod cmdline;
pub mod device_spec;
pub mod document;
pub mod fstab;
mod json;
mod lenient;
pub mod modules;
pub mod mountinfo;
pub mod shell_assignments;
pub mod ssh_key;
pub mod xml;
mod yaml;

use alloc::format;
use alloc::string::String;

/// Two lowercase digits for each byte, as digests are written.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

//! Text formats. Pure: text in, values out, and nothing in them is ever executed.
#![forbid(unsafe_code)]

pub mod base64;
pub mod cmdline;
pub mod conf;
pub mod device;
pub mod document;
pub mod fstab;
mod json;
pub mod modules;
pub mod mountinfo;
pub mod xml;
mod yaml;

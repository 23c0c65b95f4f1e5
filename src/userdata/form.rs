//! What kind of thing the user sent, by its first line, as Tiny Cloud tells it.

use alloc::vec::Vec;

/// A kind of user-data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// There is none, or nothing but white space.
    Missing,
    /// A script (`#!`).
    Script,
    /// Tiny Cloud's own subset of cloud-config (`#alpine-config`).
    AlpineConfig,
    /// cloud-init's configuration (`#cloud-config`).
    CloudConfig,
    /// Anything else.
    Unknown,
}

/// What the user sent, as it was saved.
#[derive(Clone, Debug)]
pub struct Userdata {
    /// Its kind.
    pub form: Form,
    /// Its bytes, unpacked.
    pub bytes: Vec<u8>,
}

impl Userdata {
    /// Tells what `bytes` are; `None` where nothing was saved.
    #[must_use]
    pub fn parse(bytes: Option<Vec<u8>>) -> Self {
        let bytes = bytes.unwrap_or_default();
        let first = bytes.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        let form = match first {
            _ if bytes.trim_ascii().is_empty() => Form::Missing,
            b"#alpine-config" => Form::AlpineConfig,
            b"#cloud-config" => Form::CloudConfig,
            _ if first.starts_with(b"#!") => Form::Script,
            _ => Form::Unknown,
        };
        Self { form, bytes }
    }

    /// The account that it names as the one that is made and given the keys.
    #[must_use]
    pub const fn user(&self) -> Option<&str> {
        None
    }
}

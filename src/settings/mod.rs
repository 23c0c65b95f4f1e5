//! What the user asked for. Every word of the kernel command line and every key of the configuration that wisp heeds is
//! in one of these files.
//!
//! Pure: they are given texts, and whoever calls them has read these. A word that cannot be meant does not stop a boot:
//! it is told in `complaints` and its default holds.

#![forbid(unsafe_code)]

mod agent;
mod alpine;
mod boot;
mod image;
mod network;

pub use agent::{Agent, Cloud, DEFAULT_USER, Phase, SOURCE_WORDS, Sources, is_user_name};
pub use alpine::Alpine;
pub use boot::{BUDGET, Boot, FAIL_PAUSE, Mode, OnFail, ROOT_WAIT, Resume, Wait};
pub use image::{After, Image, Origin};
pub use network::{Fixed, Network};

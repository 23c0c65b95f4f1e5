//! What the user asked for. Every word of the kernel command line and every key of the configuration that wisp honours
//! is in one of these files.
//!
//! Pure: they are given texts, and anyone who calls them has read these. A word that cannot be meant does not stop a
//! boot: it is told in `complaints` and its default holds.

#![forbid(unsafe_code)]

mod boot;
mod image;
mod mkinitfs_cmdline;
mod network;
mod tiny_cloud;

pub use boot::{BUDGET, Boot, FAIL_PAUSE, Mode, OnFail, ROOT_WAIT, Resume, Wait};
pub use image::{After, Image, Origin};
pub use mkinitfs_cmdline::Alpine;
pub use network::{Fixed, Network};
pub use tiny_cloud::{Agent, Cloud, DEFAULT_USER, Phase, SOURCE_WORDS, Sources, is_user_name};

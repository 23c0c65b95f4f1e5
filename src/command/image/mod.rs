//! `wisp image write`, `verify`, `info`, `pack`: lets [`crate::image`] do it. One file each.

pub(super) mod info;
pub(super) mod pack;
mod progress;
pub(super) mod write;

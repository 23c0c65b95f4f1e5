//! wisp: one small static program that brings a machine image to life.
//!
//! This file is the map. Rooms are listed from the lowest to the highest; **a room uses only rooms above its line in
//! this list** (`tests/house.rs` enforces it), so reading downwards never needs what comes later.

#![cfg_attr(not(test), no_std)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

extern crate alloc;

// Words.
pub mod error;
pub mod units;

pub mod bytes;

// Pure rooms: bytes in, values out.
pub mod codec;

pub mod table;

pub mod filesystem;

pub mod container;

pub mod text;

pub mod settings;

pub mod plan;

// The world.
pub mod sys;

pub mod log;

pub mod disk;

pub mod probe;

pub mod grow;

pub mod initramfs;

pub mod command;

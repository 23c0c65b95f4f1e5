//! Facts in, steps out. Pure: a plan is a value, a refusal is a value with its reason, and nothing here can touch a
//! disk. A dry run prints the plan; a run carries it out; a second run finds an empty one.

#![forbid(unsafe_code)]

pub mod claim;
pub mod first_boot;
pub mod grow;

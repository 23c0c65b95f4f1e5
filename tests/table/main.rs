//! Partition tables from outside: what is accepted and refused, what growing writes, what a power cut leaves, and what
//! other people's tools say of the result.
//!
//! The numbers in comments (F.1/7) are the rows of the list of real failures in the specification of this project.

#[path = "../support/mod.rs"]
mod support;

mod gpt;
mod hostile;
mod make;
mod mbr;
mod names;
mod oracle;
mod power_cut;

use support::MemoryDisk;
use wisp::table::{self, Growth, Rule, Table};

/// Reads a table that must be there.
fn read(disk: &MemoryDisk) -> Table {
    table::read(disk, disk.geometry()).unwrap().expect("a table")
}

/// Plans the growth of partition `number` by the usual rule, and carries it out; a second run must then do nothing.
fn grow(disk: &mut MemoryDisk, number: u32) -> Growth {
    grow_by(disk, number, Rule::default())
}

/// As [`grow`], by another rule.
fn grow_by(disk: &mut MemoryDisk, number: u32, rule: Rule) -> Growth {
    let growth = read(disk).grow(disk, number, rule).unwrap();
    for write in &growth.writes {
        disk.apply(write);
    }
    let again = read(disk).grow(disk, number, rule).unwrap();
    assert_eq!(again.writes, [], "a second run changes nothing");
    assert_eq!((again.before, again.after), (growth.after, growth.after));
    growth
}

/// Why growing partition `number` is not done.
fn refusal(disk: &MemoryDisk, number: u32) -> wisp::error::Error {
    read(disk).grow(disk, number, Rule::default()).unwrap_err()
}

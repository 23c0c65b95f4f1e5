//! wisp: one small static program that brings a machine image to life.
//!
//! This file is the map. The modules below are the rooms of the house, from the lowest to the highest; **a room uses
//! only rooms above its line** (`tests/house/` enforces it), so reading downwards never needs what comes later.
//!
//! # One way through
//!
//! ```text
//! kernel command line, arguments ─► settings ─┐
//!                                             ├─► plan ─► [step, step, …] ─► grow ─► report ─► console, JSON, exit code
//! /proc /sys /dev ────────────────► probe ────┘    │
//!                                                  └─► --dry-run prints the plan and stops
//! ```
//!
//! and, once the machine runs,
//!
//! ```text
//! firmware, command line, sockets, labels ─► probe ─► provider::detect ─► one cloud, a row of one table
//!                                                                                 │
//! a service (fetch over http), a volume, a seed ─► metadata, one provider::Source ┴─► provider::Reader ─► imds, JSON
//! ```
//!
//! and, in the first boot of an instance, once for each of its four phases,
//!
//! ```text
//! settings, the cloud, the kind of user-data ─► plan::first_boot ─► names ─► boot::actions, one table ─► account, service,
//!                                                                  │         hotplug, grow, metadata
//!                     boot::journal: started, done, failed ◄───────┘
//! ```
//!
//! and, where another system is to be on a disk, or a disk in a file that a cloud imports,
//!
//! ```text
//! file, device, pipe, URL ─► image::Source ─► codec, container, digest ─► pieces of the disk, in order ─┬─► image::write, a disk
//!                                                                                                       └─► image::pack, a file
//! ```
//!
//! The first packet is sent when the first value is asked for; `--network` (a lease) and a seed with a URL are earlier.
//!
//! The rooms listed before `sys` are pure: bytes and text in, values out; no clock, no device. A plan is a value, and a refusal is a
//! value with its reason, so a dry run, the log of what is meant and "a second run changes nothing" come for free.
//!
//! # How the disk is changed
//!
//! [`initramfs`] (before `switch_root`, in a child process with a deadline) and `wisp grow` both call [`grow::run`]:
//!
//! 1. The whole disk is opened read-only and locked, so that udev stays away. [`probe`] reads the partition table, the
//!    superblock, and where the kernel thinks the partition lies. Nothing is open for writing.
//! 2. [`plan::grow`] judges both halves: the partition in its table, and the filesystem in its partition. On any doubt
//!    it refuses, and nothing has been written. If both have their size, that is all: no write, no mount.
//! 3. A filesystem that is not mounted is mounted read-only where only wisp sees it, to look for the owner's word
//!    against growing. (A dirty journal is replayed by that, as by any mount; where it is not, nothing is written.) Where
//!    the mount fails, nothing is touched, unless the filesystem is larger than its partition.
//! 4. A signature that an earlier use of the disk left where the partition is going to end, and by which it would be taken
//!    for something else, becomes zeros. [`table`] has planned the other writes. For GPT: the new backup at the end of the disk; flush; then the primary, from
//!    sector 0 to the one sector of the entry that changed and on to a multiple of 4 KiB, in one request (4 KiB for the
//!    first 24 partitions of a disk with 512-byte sectors); flush. For an MBR: one sector (with logical partitions,
//!    container first). Each write bypasses the page cache and is read back; a device that answers with other bytes
//!    gets the old ones back.
//! 5. The kernel is told about this one partition (`BLKPG`), which works while it is mounted.
//! 6. The filesystem is asked to grow by its own call, on a mount that is writable for that long.
//!
//! # What happens when the power goes
//!
//! Disks write whole physical sectors; on this wisp relies, on nothing more.
//!
//! | cut | what is on the disk | next boot |
//! |---|---|---|
//! | while a stale signature is erased | zeros in space of no partition | boots, and grows |
//! | before or while the backup is written | the old primary, untouched | boots, and grows |
//! | while the primary is written | header or entry is old and the other new; the new backup is sound | the kernel may see no partition; wisp detects its own trace (the sound backup differs in the end of one partition and in nothing else), completes the primary, and grows |
//! | between the sectors of an MBR with logical partitions | a container larger than it need be | boots, and grows on |
//! | after the table, before the filesystem | a larger partition, the old filesystem | boots, the filesystem grows |
//! | while the filesystem grows | the business of its journal or copy-on-write | boots, and grows on |
//! | while an image is written over the disk | zeros where a table or boot code would begin: the first MiB is written when all else is on the medium and its digest right | nothing that looks like a system; the same command line has it written again |
//!
//! A filesystem is never larger than a table that is already on the medium. Any other damage of a primary GPT with a
//! sound backup is repaired only on the user's word (`wisp.grow=repair`); with both copies damaged nothing is touched.
//!
//! # What is done once
//!
//! [`boot`] notes in a journal that an action begins, and has that on the medium before the action does anything. Every
//! action but the user's own can be done twice: it looks first, and replaces files whole. So after a cut the next boot does
//! again what was not noted as done, and the user's own work, which may not bear it, is told and left. The journal belongs
//! to one instance; in another one it is begun anew, and with it the keys that the machine shows.
//!
//! # What is nowhere
//!
//! * Outside `sys` there is no `unsafe`, no `unwrap`, no unchecked arithmetic or index.
//! * No room listed before `sys` knows what time it is.
//! * wisp starts no other program for its own work, only the init that takes its place, what the user sent or asked for, and
//!   what is the distribution's business: its packages, its services, its `ifup`.
//! * No room but `command` (and the first process) prints an error; it is returned.

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

// Words: one error type, quantities with units, checked access to foreign bytes.
pub mod errno;

pub mod error;
pub mod units;

pub mod bytes;

// Pure rooms: bytes or text in, values out.

// gzip, bzip2, xz, lzma, lzop, lz4, zstd: checksums verified, output limited.
pub mod codec;

// GPT and MBR: what stands in them, and the writes that make one partition larger.
pub mod table;

// Superblocks: what a device holds, how it is called, how far it reaches.
pub mod filesystem;

// Disk images: qcow2, VHD, VMDK, tar, raw; where in the file the disk's bytes are, and the files that clouds import. And
// cpio, the archive an initramfs is.
pub mod container;

// FAT, ISO 9660 and UDF: a few files read from a small volume, without the kernel's drivers; and ext, in an image.
pub mod volume;

// The kernel command line, device names, mountinfo, the lists of kernel modules; JSON, YAML, XML, KEY=value.
pub mod text;

// Messages as bytes: HTTP/1.1; DHCP, DNS, netlink.
pub mod http;
pub mod packet;

// Every word of the kernel command line and of the configuration that wisp heeds.
pub mod settings;

// What the user sent: unpacked, its kind, and what it says.
pub mod userdata;

// Clouds as rows of one table: how each is detected, asked and understood.
pub mod provider;

// Facts and settings in, steps out.
pub mod plan;

// The world.

// The only unsafe: system calls, typed.
pub mod sys;

// Lines for the operator.
pub mod log;

// Users, groups, the keys that may log in, the keys that the machine shows.
pub mod account;

// OpenRC or systemd below a root: what starts at boot.
pub mod service;

// Writes that are verified.
pub mod disk;

// Facts about this machine.
pub mod probe;

// Requests with deadlines and second tries, over TCP, Unix sockets and TLS.
pub mod fetch;

// A network that reaches as far as metadata needs.
pub mod netif;

// The metadata of this machine: the right source for its cloud, opened and asked.
pub mod metadata;

// Carries out a growing plan, and accounts for it.
pub mod grow;

// Images from anywhere onto disks, and into the files that clouds import.
pub mod image;

// What mdev does when a device comes or goes.
pub mod hotplug;

// PID 1 before switch_root, the builder of its initramfs, and what the hooks of other initramfs call.
pub mod initramfs;

// First boot: four phases, one table of actions, and a record of what was done for this instance.
pub mod boot;

// The command line: one table, one file a command.
pub mod command;

// What a unit test says that this machine cannot run.
#[cfg(test)]
#[path = "../tests/support/skip.rs"]
mod skip;

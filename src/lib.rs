//! wisp: one small static program that brings a machine image to life.
//!
//! This file is the architecture. The modules are listed in layers, from the lowest to the highest: **a module uses only
//! modules above its line** (`tests/rules/` enforces it), so a reader who goes downwards never needs what comes later.
//!
//! # Data flow
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
//!                                                                              │
//! a service (fetch over http), a volume, a seed ─► metadata, a provider::Source ┴─► provider::Reader ─► imds, JSON
//! ```
//!
//! and, in the first boot of an instance, once for each of its four phases,
//!
//! ```text
//! settings, cloud, kind of user-data ─► plan::first_boot ─► names ─► boot::actions, one table ─► account, service,
//!                                                                 │                              hotplug, grow, metadata
//!                    boot::journal: started, done, failed ◄───────┘
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
//! The modules listed before `sys` are pure: bytes and text in, values out; no clock, no device. A plan is a value, and a
//! refusal is a value with its reason. So a dry run prints the plan, the log names each step before it is done, and a second
//! run has an empty plan.
//!
//! # How the disk is changed
//!
//! [`initramfs`] (before `switch_root`, in a child process with a deadline) and `wisp grow` both call [`grow::run`]:
//!
//! 1. The whole disk is opened read-only and locked, so that udev stays away. [`probe`] reads the partition table, the
//!    superblock, and where the kernel thinks the partition lies. Nothing is open for writing.
//! 2. [`plan::grow`] decides about the partition in its table and about the filesystem in its partition. On any doubt it
//!    refuses, and nothing has been written. If both have their final size, nothing is done: no write, no mount.
//! 3. A filesystem that is not mounted is mounted read-only in a private mount namespace, to look for the opt-out file. (The
//!    mount replays a dirty journal; where it does not, nothing is written.) If the mount fails, nothing is changed, unless
//!    the filesystem is larger than its partition.
//! 4. A stale signature where the partition is going to end, by which the partition would be detected as something else, is
//!    overwritten with zeros. [`table`] has planned the other writes. For GPT: the new backup at the end of the disk; flush;
//!    then the primary, from sector 0 to the one sector of the entry that changed and on to a multiple of 4 KiB, in one
//!    request (4 KiB for the first 24 partitions of a disk with 512-byte sectors); flush. For an MBR: one sector (with
//!    logical partitions, the container first). Each write bypasses the page cache and is read back; if other bytes come
//!    back, the old ones are restored.
//! 5. The kernel gets the new size of this one partition (`BLKPG`), which works while it is mounted.
//! 6. The filesystem grows by its own system call, on a mount that is writable for that long.
//!
//! # What happens when the power goes
//!
//! wisp relies on one property of a disk: it writes whole physical sectors.
//!
//! | cut | what is on the disk | next boot |
//! |---|---|---|
//! | while a stale signature is erased | zeros in space of no partition | boots, and grows |
//! | before or while the backup is written | the old primary, unchanged | boots, and grows |
//! | while the primary is written | header or entry is old and the other new; the new backup is sound | the kernel may see no partition; wisp detects its interrupted update (the sound backup differs in the end of one partition and in nothing else), completes the primary, and grows |
//! | between the sectors of an MBR with logical partitions | a container larger than it need be | boots, and grows on |
//! | after the table, before the filesystem | a larger partition, the old filesystem | boots, the filesystem grows |
//! | while the filesystem grows | the filesystem's journal or copy-on-write keeps it consistent | boots, and grows on |
//! | while an image is written over the disk | zeros where a table or boot code would begin: the first MiB is written last, when the rest is flushed and its digest is right | nothing bootable; with the same command line the image is written again |
//!
//! A filesystem never grows past a table that is not yet on the disk. Any other damage of a primary GPT with a sound backup
//! is repaired only on request (`wisp.grow=repair`); with both copies damaged nothing is written.
//!
//! # What is done once
//!
//! [`boot`] records in a journal that an action starts, and flushes the record before the action does anything. Every action
//! except the user's own is idempotent: it checks first, and replaces files atomically. After a power cut the next boot
//! repeats each action that is not recorded as done. The user's own work, which may not be idempotent, is reported and not
//! repeated. The journal belongs to one instance; a new instance starts a new journal, and gets new host keys.
//!
//! # Invariants
//!
//! * Outside `sys` there is no `unsafe`, no `unwrap`, no unchecked arithmetic or index.
//! * No module listed before `sys` reads the clock.
//! * wisp starts no other program for its own work, only the init that it hands over to, what the user sent or asked for, and
//!   what the distribution owns: packages, services, `ifup`.
//! * Modules return errors; only `command` and PID 1 print them.

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

// Pure modules: bytes or text in, values out.

// gzip, bzip2, xz, lzma, lzop, lz4, zstd: checksums verified, output limited.
pub mod codec;

// GPT and MBR: what they contain, and the writes that make one partition larger.
pub mod table;

// Superblocks: the content of a device, its names, its size.
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

// Every parameter of the kernel command line and of the configuration file.
pub mod settings;

// User-data: decompressed, its kind, its content.
pub mod userdata;

// Clouds as rows of one table: how each is detected and queried.
pub mod provider;

// Facts and settings in, steps out.
pub mod plan;

// The world.

// The only unsafe: system calls, typed.
pub mod sys;

// Lines for the operator.
pub mod log;

// Users, groups, authorized keys, host keys.
pub mod account;

// The services of OpenRC or systemd below a root.
pub mod service;

// Writes that are verified.
pub mod disk;

// Facts about this machine.
pub mod probe;

// Requests with deadlines and second tries, over TCP, Unix sockets and TLS.
pub mod fetch;

// Network interfaces: a network that is enough to reach metadata.
pub mod netif;

// The metadata of this machine: the source for its cloud.
pub mod metadata;

// Carries out a growing plan, and reports on it.
pub mod grow;

// Images from anywhere onto disks, and into the files that clouds import.
pub mod image;

// What mdev runs when a device is added or removed.
pub mod hotplug;

// PID 1 before switch_root, the builder of its initramfs, and the entry points for the hooks of other initramfs.
pub mod initramfs;

// First boot: four phases, one table of actions, and a record of what was done for this instance.
pub mod boot;

// The command line: one table, one file per command.
pub mod command;

// How a unit test reports that it cannot run on this machine.
#[cfg(test)]
#[path = "../tests/support/skip.rs"]
mod skip;

//! Facts about this machine, read from /proc, /sys and the first sectors of devices. Never writes, never guesses from
//! names: what a device is, sysfs says.

#![forbid(unsafe_code)]

pub mod block;
pub mod disk_serial;
pub mod grow_facts;
pub mod machine;
pub mod media;
pub mod search;

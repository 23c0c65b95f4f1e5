//! Facts about this machine, read from /proc, /sys and /dev.
#![forbid(unsafe_code)]

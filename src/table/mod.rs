//! Partition tables: GPT and MBR, read, checked and grown as bytes. Pure: no device, no clock.
#![forbid(unsafe_code)]

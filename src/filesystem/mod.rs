//! What a partition holds: superblocks recognised and read. Pure: no device, no clock.
#![forbid(unsafe_code)]

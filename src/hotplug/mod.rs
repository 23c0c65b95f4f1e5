//! What mdev does when a device comes or goes.
#![forbid(unsafe_code)]

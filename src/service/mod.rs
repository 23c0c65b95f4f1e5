//! The init system of a root, OpenRC or systemd: what it starts at boot is links, which are made and removed here.
#![forbid(unsafe_code)]

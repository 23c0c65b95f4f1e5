//! Accounts below a root: users and groups, the keys that may log in as them, the keys by which the machine is known.
#![forbid(unsafe_code)]

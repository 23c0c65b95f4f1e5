//! Network interfaces: brought up as far as metadata needs, and put back.
#![forbid(unsafe_code)]

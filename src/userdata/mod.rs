//! What the user sent along with the machine, as the bytes that were meant. Pure.
#![forbid(unsafe_code)]

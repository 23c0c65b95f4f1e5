//! What the user asked for, from the command line of the kernel and of the program.
#![forbid(unsafe_code)]

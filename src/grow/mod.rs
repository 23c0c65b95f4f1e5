//! Carries out a growing plan; decides nothing.
#![forbid(unsafe_code)]

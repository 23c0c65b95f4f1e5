//! Lines for the operator.
#![forbid(unsafe_code)]

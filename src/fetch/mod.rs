//! Requests to a server: connections, deadlines, second tries, tokens.
#![forbid(unsafe_code)]

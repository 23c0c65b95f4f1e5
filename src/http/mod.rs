//! HTTP/1.x as bytes: requests out, replies in; no socket, no clock (RFC 9110, RFC 9112).
#![forbid(unsafe_code)]

//! HTTP/1.x as bytes: requests out, replies in; no socket, no clock (RFC 9110, RFC 9112).
//!
//! Only what a client needs that speaks to one server about small things. Where a server contradicts itself or leaves
//! the length of a body in doubt, the reply is refused: what lies about its own length is not to be trusted with keys.
//! It must never follow, decode or remember anything: no redirect, no content coding, no cookie.
#![forbid(unsafe_code)]

mod body;
mod reply;
mod request;

pub use reply::{Headers, Parser, Reply};
pub use request::{Method, Request, path_of};

/// Bytes that the heads of one reply may have together, the interim ones too, and as many again the extensions and
/// trailers around its chunks. Metadata services send below 1 KiB; web servers refuse requests above 8 to 16 KiB, and
/// replies are shorter.
pub const HEAD_LIMIT: usize = 16 << 10;

/// Header fields in a reply; the most talkative object stores send about thirty.
const FIELDS_LIMIT: usize = 100;

/// Interim (1xx) replies before the real one. No service sends more than one.
const INTERIM_LIMIT: u32 = 8;

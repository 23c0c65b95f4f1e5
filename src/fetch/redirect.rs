//! Where a reply leads that says that something is elsewhere (RFC 9110, 15.4).
#![forbid(unsafe_code)]

use alloc::format;

use super::Url;
use crate::error::{Error, Result};

/// Where `url` was moved.
pub(super) fn redirect(url: &Url, location: Option<&str>) -> Result<Url> {
    let Some(location) = location else { return Err(Error::corrupt("", "it redirects, and says not where")) };
    let next = url.join(location.trim());
    let next = next.map_err(|error| Error::new(error.kind, "", format!("it redirects to no URL: {}", error.why)))?;
    if url.is_secure && !next.is_secure {
        return Err(Error::refused("", format!("it redirects from https to http, {next}")));
    }
    Ok(next)
}

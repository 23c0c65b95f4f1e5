//! The end of the bootstrap.

use super::context::Context;
use crate::error::Result;

pub(super) fn bootstrap_complete(_context: &mut Context<'_>) -> Result<()> {
    Ok(())
}

//! Tells the cloud how far the machine is.

use super::context::Context;
use crate::error::Result;

pub(super) fn eject_media(_context: &mut Context<'_>) -> Result<()> {
    Ok(())
}

pub(super) fn report_ready(_context: &mut Context<'_>) -> Result<()> {
    Ok(())
}

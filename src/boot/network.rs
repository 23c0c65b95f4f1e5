//! The network until the system configures its own, and the file by which it does.

use super::context::Context;
use crate::error::Result;

pub(super) fn set_ephemeral_network(_context: &mut Context<'_>) -> Result<()> {
    Ok(())
}

pub(super) fn set_default_interfaces(_context: &mut Context<'_>) -> Result<()> {
    Ok(())
}

pub(super) fn set_network_interfaces(_context: &mut Context<'_>) -> Result<()> {
    Ok(())
}

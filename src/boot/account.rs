//! The default user, who may log in, and by which keys the machine is known.

use super::context::Context;
use crate::error::Result;

/// The action that renews the keys by which the machine is known.
pub(super) const HOST_KEYS: &str = "set_host_keys";

pub(super) fn create_default_user(_context: &mut Context<'_>) -> Result<()> {
    Ok(())
}

pub(super) fn set_ssh_keys(_context: &mut Context<'_>) -> Result<()> {
    Ok(())
}

pub(super) fn ssh_authorized_keys(_context: &mut Context<'_>) -> Result<()> {
    Ok(())
}

pub(super) fn set_host_keys(_context: &mut Context<'_>) -> Result<()> {
    Ok(())
}

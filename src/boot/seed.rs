//! What the user sent is fetched and kept.

use super::context::Context;
use crate::error::Result;

pub(super) fn save_userdata(_context: &mut Context<'_>) -> Result<()> {
    Ok(())
}

pub(super) fn missing_userdata(_context: &mut Context<'_>) -> Result<()> {
    Ok(())
}

pub(super) fn unknown_userdata(_context: &mut Context<'_>) -> Result<()> {
    Ok(())
}

//! Runs the user's script.

use super::context::Context;
use crate::error::Result;

pub(super) fn run_userdata(_context: &mut Context<'_>) -> Result<()> {
    Ok(())
}

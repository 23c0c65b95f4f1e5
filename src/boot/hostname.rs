//! The name of the machine.

use super::context::Context;
use crate::error::Result;

pub(super) fn set_hostname(_context: &mut Context<'_>) -> Result<()> {
    Ok(())
}

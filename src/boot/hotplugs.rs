//! Rules by which mdev calls wisp.

use super::context::Context;
use crate::error::Result;

pub(super) fn install_hotplugs(_context: &mut Context<'_>) -> Result<()> {
    Ok(())
}

//! The SSH server starts at boot.

use super::context::Context;
use crate::error::{Kind, Result};
use crate::service;
use alloc::format;

/// A root whose init system is neither of the two that wisp knows has its services from someone who knows it.
pub(super) fn enable_sshd(context: &mut Context<'_>) -> Result<()> {
    match service::enable_ssh_server(context.root()) {
        Ok(lines) => lines.iter().for_each(|line| context.say(line)),
        Err(error) if error.kind == Kind::Absent => context.warn(&format!("{error}")),
        Err(error) => return Err(error),
    }
    Ok(())
}

//! What an `#alpine-config` asks for.

use super::context::Context;
use crate::error::Result;

pub(super) fn userdata_user(_context: &mut Context<'_>) -> Result<()> {
    Ok(())
}

pub(super) fn userdata_bootcmd(_context: &mut Context<'_>) -> Result<()> {
    Ok(())
}

pub(super) fn userdata_write_files(_context: &mut Context<'_>) -> Result<()> {
    Ok(())
}

pub(super) fn userdata_ntp(_context: &mut Context<'_>) -> Result<()> {
    Ok(())
}

pub(super) fn userdata_apk_cache(_context: &mut Context<'_>) -> Result<()> {
    Ok(())
}

pub(super) fn userdata_apk_repositories(_context: &mut Context<'_>) -> Result<()> {
    Ok(())
}

pub(super) fn userdata_package_update(_context: &mut Context<'_>) -> Result<()> {
    Ok(())
}

pub(super) fn userdata_package_upgrade(_context: &mut Context<'_>) -> Result<()> {
    Ok(())
}

pub(super) fn userdata_packages(_context: &mut Context<'_>) -> Result<()> {
    Ok(())
}

pub(super) fn userdata_runcmd(_context: &mut Context<'_>) -> Result<()> {
    Ok(())
}

pub(super) fn userdata_autoinstall(_context: &mut Context<'_>) -> Result<()> {
    Ok(())
}

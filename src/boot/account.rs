//! The default user, who may log in, and by which keys the machine is known.

use super::context::Context;
use crate::account::key::Key;
use crate::account::{self, Account, Wanted};
use crate::error::{Error, Result};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The action that renews the keys by which the machine is known.
pub(super) const HOST_KEYS: &str = "set_host_keys";

/// Makes the account, who may become root without a password; one that is there is adopted as it is.
pub(super) fn create_default_user(context: &mut Context<'_>) -> Result<()> {
    let name = context.user();
    let account = match account::find(context.root(), &name)? {
        None => create_admin(context, &name)?,
        Some(account) => {
            context.say(&format!("{name} is there already"));
            account
        }
    };
    account::make_home(context.root(), &account)
}

/// The keys that the cloud has. One that names an account is that account's, which is made if it is not there, as
/// Google's own agent does.
pub(super) fn set_ssh_keys(context: &mut Context<'_>) -> Result<()> {
    let keys = context.ask(crate::provider::Reader::keys)?;
    if keys.is_empty() {
        context.say("the cloud has no keys");
        return Ok(());
    }
    let default = context.user();
    let mut names: Vec<&str> = Vec::new();
    for key in &keys {
        let name = key.user.as_deref().unwrap_or(&default);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut failure = None;
    for name in names {
        let own: Vec<_> = keys.iter().filter(|key| key.user.as_deref().unwrap_or(&default) == name).collect();
        let is_named = own.iter().all(|key| key.user.is_some()) && name != default;
        let outcome = match owner(context, name, is_named) {
            Ok(Some(account)) => install(context, &account, own.iter().map(|key| &*key.line), false),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            context.warn(&format!("{error}"));
            failure = failure.or(Some(error));
        }
    }
    failure.map_or(Ok(()), Err)
}

/// The keys that the user-data lists.
pub(super) fn ssh_authorized_keys(context: &mut Context<'_>) -> Result<()> {
    let keys = listed(context);
    if keys.is_empty() {
        return Ok(());
    }
    let name = context.user();
    let Some(account) = owner(context, &name, false)? else { return Ok(()) };
    install(context, &account, keys.iter().flat_map(|text| text.lines()), true)
}

/// Keys that no other machine has. The journal sees to it that this happens once for an instance.
#[cfg(feature = "full")]
pub(super) fn set_host_keys(context: &mut Context<'_>) -> Result<()> {
    let Some(renewed) = account::host::renew(context.root())? else {
        context.say("there is no sshd");
        return Ok(());
    };
    for error in &renewed.missing {
        context.warn(&format!("{error}"));
    }
    if let Some(line) = &renewed.public {
        context.say(&format!("the machine's key is {line}"));
    }
    Ok(())
}

/// The initramfs has no agent.
#[cfg(not(feature = "full"))]
pub(super) fn set_host_keys(_context: &mut Context<'_>) -> Result<()> {
    Err(Error::unsupported("renew the host keys", "this program cannot"))
}

fn listed(_context: &Context<'_>) -> Vec<String> {
    Vec::new()
}

/// A new account of somebody who administers the machine.
fn create_admin(context: &Context<'_>, name: &str) -> Result<Account> {
    let root = context.root();
    let group = account::admin_group(root)?;
    // First, since whoever finds the account finds everything of it.
    account::permit(root, group)?;
    let account = account::create(root, &Wanted { name, groups: &[group], ..Wanted::default() })?;
    context.say(&format!("made {name}, in the group {group}"));
    Ok(account)
}

/// Whose keys are installed. Who is named by a key and not by the configuration is not root, and made if need be; `None`
/// if that cannot be.
fn owner(context: &Context<'_>, name: &str, is_named: bool) -> Result<Option<Account>> {
    if is_named && account::check_name(name).is_err() {
        context.warn("a key is for an account that cannot be: its name is none");
        return Ok(None);
    }
    match account::find(context.root(), name)? {
        Some(account) if is_named && account.owner.uid == 0 => {
            context.warn(&format!("the keys for {name} are left out: they would be root's"));
            Ok(None)
        }
        Some(account) => Ok(Some(account)),
        None if is_named => create_admin(context, name).map(Some),
        None => Err(Error::absent("install keys for", "there is no such account").to(name)),
    }
}

/// Lets keys log in as `account`; those that are none are told, and the others are installed.
fn install<'a>(
    context: &Context<'_>,
    account: &Account,
    lines: impl Iterator<Item = &'a str>,
    has_options: bool,
) -> Result<()> {
    let mut keys = Vec::new();
    for (number, line) in lines.filter(|line| !line.trim().is_empty()).enumerate() {
        match Key::parse(line, has_options) {
            Ok(key) => keys.push(key),
            Err(error) => {
                context.warn(&format!(
                    "key {} for {} is left out: {}",
                    number.saturating_add(1),
                    account.name,
                    error.why
                ));
            }
        }
    }
    if keys.is_empty() {
        return Ok(());
    }
    let added = account::install_keys(context.root(), account, &keys)?;
    context.say(&format!("{added} of {} keys are new to {}", keys.len(), account.name));
    Ok(())
}

//! An account that was given keys can log in with them, as far as that is wisp's to see to; what keeps it out is reported.

use super::context::Context;
use crate::account::{self, Account};
use crate::error::Result;
use crate::sys::clock;
use alloc::format;

/// Takes what keeps `account` from logging in with keys that were just installed, and warns of the rest.
pub(super) fn admit(context: &mut Context<'_>, account: &Account) -> Result<()> {
    let (root, name) = (context.root(), &*account.name);
    if account::unlock(root, name)? {
        context.say(&format!("{name} was locked and is not any more; it has no password"));
    }
    // Here and not where the account is made: packages that bring a shell are installed in between.
    let described = context.userdata.account().filter(|described| described.name == name);
    if let Some(shell) = described.and_then(|described| described.shell)
        && account::replace_missing_shell(root, name, shell)?
    {
        context.warn(&format!("{name} has /bin/sh: the shell {shell} of the user-data is not there"));
    }
    let reasons = account::obstacles(root, account, clock::wall())?;
    for reason in reasons {
        context.degrade(&format!("{name} cannot log in over SSH: it {reason}"));
    }
    Ok(())
}

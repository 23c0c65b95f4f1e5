//! The default user, who may log in, and by which keys the machine is known.

use super::context::Context;
#[cfg(feature = "full")]
use super::instance;
use super::login;
#[cfg(feature = "full")]
use crate::account::host::Identity;
use crate::account::key::Key;
use crate::account::{self, Account, Wanted};
use crate::error::{Error, Result};
use crate::provider::{self, Reader};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The action that renews the keys by which the machine is known.
pub(super) const HOST_KEYS: &str = "set_host_keys";

/// Makes the account, who may become root without a password; one that is there is adopted as it is.
pub(super) fn create_default_user(context: &mut Context<'_>) -> Result<()> {
    let name = context.user()?;
    let account = match account::adopt(context.root(), &name)? {
        None => create_admin(context, &name)?,
        Some(account) => {
            context.say(&[&*name, " is there already"].concat());
            account
        }
    };
    account::make_home(context.root(), &account)
}

/// The keys that the cloud has. One that names an account is that account's, which is made if it is not there, as
/// Google's own agent does.
pub(super) fn set_ssh_keys(context: &mut Context<'_>) -> Result<()> {
    let keys = context.ask(Reader::keys)?;
    install_all(context, &keys)
}

fn install_all(context: &mut Context<'_>, keys: &[provider::Key]) -> Result<()> {
    if keys.is_empty() {
        context.say("the cloud has no keys");
        return Ok(());
    }
    let default = context.user()?;
    let user = |key: &provider::Key| key.user.as_ref().unwrap_or(&default).clone();
    let mut failure = None;
    let mut seen: Vec<String> = Vec::new();
    for name in keys.iter().map(user) {
        if seen.contains(&name) {
            continue;
        }
        let own: Vec<&str> = keys.iter().filter(|key| user(key) == name).map(|key| &*key.line).collect();
        if let Err(error) = give(context, &name, name != default, &own) {
            context.warn(&format!("{error}"));
            failure = failure.or(Some(error));
        }
        seen.push(name);
    }
    failure.map_or(Ok(()), Err)
}

/// The keys that the user-data lists.
pub(super) fn ssh_authorized_keys(context: &mut Context<'_>) -> Result<()> {
    let keys = context.userdata.authorized_keys();
    if keys.is_empty() {
        return Ok(());
    }
    let name = context.user()?;
    let account = account::find(context.root(), &name)?.ok_or_else(|| absent(&name))?;
    let lines: Vec<&str> = keys.iter().map(String::as_str).collect();
    install(context, &account, &lines, true)
}

/// Keys that no other machine has. The journal sees to it that this happens once for an instance.
#[cfg(feature = "full")]
pub(super) fn set_host_keys(context: &mut Context<'_>) -> Result<()> {
    let machine = instance::machine(context);
    let identity = Identity {
        machine: &machine,
        instance: context.journal.instance.as_deref().filter(|instance| *instance != instance::NOBODY),
        is_recorded: context.journal.is_begun(),
    };
    let Some(renewed) = account::host::renew(context.root(), &identity) else {
        context.say("no SSH server is installed");
        return Ok(());
    };
    for path in &renewed.missing {
        context.warn(&["a host key is configured that cannot be made: ", path].concat());
    }
    renewed.public.iter().for_each(|line| context.say(&["the machine's key is ", line].concat()));
    let mut failures = renewed.failures.into_iter();
    let first = failures.next();
    failures.for_each(|error| context.warn(&format!("{error}")));
    first.map_or(Ok(()), Err)
}

/// The initramfs has no agent.
#[cfg(not(feature = "full"))]
pub(super) fn set_host_keys(_context: &mut Context<'_>) -> Result<()> {
    Err(Error::unsupported("renew the host keys", "this program cannot"))
}

/// A new account of somebody who administers the machine; of the one that the user-data describes, as it says.
fn create_admin(context: &Context<'_>, name: &str) -> Result<Account> {
    let root = context.root();
    let group = account::admin_group(root)?;
    // First, since whoever finds the account finds everything of it. Rules that cannot be changed keep nobody out.
    for error in account::permit(root, name) {
        context.warn(&format!("{error}"));
    }
    let described = context.userdata.account().filter(|described| described.name == name);
    let mut groups = Vec::from([group]);
    let mut wanted = Wanted { name, ..Wanted::default() };
    if let Some(described) = &described {
        groups.extend(described.groups.iter().filter(|other| **other != group));
        wanted.gecos = described.gecos.unwrap_or_default();
        wanted.shell = described.shell.unwrap_or_default();
        wanted.home = described.home.unwrap_or_default();
        wanted.group = described.primary_group.unwrap_or_default();
    }
    let account = account::create(root, &Wanted { groups: &groups, ..wanted })?;
    context.say(&["made ", name, ", in the group ", group].concat());
    Ok(account)
}

/// Installs the keys of one account. Who is named by a key and by nobody else is not root, and made if need be.
fn give(context: &Context<'_>, name: &str, is_named: bool, keys: &[&str]) -> Result<()> {
    if is_named && account::check_name(name).is_err() {
        context.warn("keys are left out: they are for a name that nobody can have");
        return Ok(());
    }
    let account = match account::adopt(context.root(), name)? {
        Some(account) if is_named && account.owner.uid == 0 => {
            context.warn(&["keys are left out that would be root's, for ", name].concat());
            return Ok(());
        }
        Some(account) => account,
        None if is_named => create_admin(context, name)?,
        None => return Err(absent(name)),
    };
    install(context, &account, keys, false)
}

fn absent(name: &str) -> Error {
    Error::absent("install keys for", "there is no such account").to(name)
}

/// Lets keys log in as `account`; those that are none are told, and the others are installed.
fn install(context: &Context<'_>, account: &Account, lines: &[&str], has_options: bool) -> Result<()> {
    let mut keys = Vec::new();
    for line in lines.iter().filter(|line| !line.trim().is_empty()) {
        match Key::parse(line, has_options) {
            Ok(key) => keys.push(key),
            Err(error) => context.warn(&["a key is left out for ", &account.name, ": ", &error.why].concat()),
        }
    }
    if !keys.is_empty() {
        let added = account::install_keys(context.root(), account, &keys)?;
        context.say(&format!("{added} of {} keys are new to {}", keys.len(), account.name));
        login::admit(context, account)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::journal::Journal;
    use crate::log::Log;
    use crate::metadata::Machine;
    use crate::settings::Phase;
    use crate::userdata::Userdata;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE3VyMJz2n0hTxP8xYxMq9zKq9n0x0Yk5H4T1mE8w2Aq";

    /// What `act` leaves of a root with two accounts, the superuser and `alpine`, which has a home.
    fn after(name: &str, act: impl FnOnce(&mut Context<'_>)) -> impl Fn(&str) -> Option<String> {
        let root = std::env::temp_dir().join(format!("wisp-account-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        for folder in ["etc", "home/alpine", "root"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        let accounts = "root:x:0:0::/root:/bin/sh\nalpine:x:1000:1000::/home/alpine:/bin/sh\n";
        std::fs::write(root.join("etc/passwd"), accounts).unwrap();
        std::fs::write(root.join("etc/group"), "root:x:0:\nwheel:x:10:\n").unwrap();
        let machine = Machine::look(root.to_str().unwrap());
        let journal = Journal::read(&machine.settings.var).unwrap();
        let (log, userdata) = (Log::stderr(), Userdata::parse(None));
        act(&mut Context::new(Phase::Main, &machine, None, (&log, &|_| ()), userdata, journal));
        move |path| std::fs::read_to_string(root.join(path)).ok()
    }

    fn key(user: Option<&str>, comment: &str) -> provider::Key {
        provider::Key { line: format!("{KEY} {comment}"), user: user.map(String::from) }
    }

    #[test]
    fn keys_go_to_whom_they_name_and_who_is_not_there_is_made() {
        let keys = [
            key(None, "default"),
            key(Some("ann"), "hers"),
            key(Some("root"), "all"),
            key(Some("../etc"), "odd"),
            key(Some("-x"), "odd"),
            provider::Key { line: "ssh-rsa AAAA broken".into(), user: Some("ann".into()) },
        ];
        let file = after("named", |context| {
            install_all(context, &keys).unwrap();
            install_all(context, &keys).unwrap();
        });
        assert_eq!(file("home/alpine/.ssh/authorized_keys"), Some(format!("{KEY} default\n")));
        assert_eq!(file("home/ann/.ssh/authorized_keys"), Some(format!("{KEY} hers\n")));
        assert_eq!(file("root/.ssh/authorized_keys"), None);
        assert!(file("etc/passwd").unwrap().ends_with("\nann:*:1001:1001::/home/ann:/bin/sh\n"));
        assert_eq!(file("etc/group").unwrap(), "root:x:0:\nwheel:x:10:ann\nann:x:1001:\n");
    }

    #[test]
    fn a_user_without_an_account_fails_and_the_others_have_their_keys() {
        let keys = [key(None, "default"), key(Some("ann"), "hers")];
        let file = after("absent", |context| {
            std::fs::write(format!("{}/etc/passwd", context.root()), "root:x:0:0::/root:/bin/sh\n").unwrap();
            let error = install_all(context, &keys).unwrap_err();
            assert_eq!((error.kind, error.to.as_str()), (crate::error::Kind::Absent, "alpine"));
        });
        assert_eq!(file("home/ann/.ssh/authorized_keys"), Some(format!("{KEY} hers\n")));
    }

    #[test]
    fn the_default_user_is_made_once_and_one_that_is_there_gets_its_home() {
        let file = after("default", |context| {
            std::fs::remove_dir(format!("{}/home/alpine", context.root())).unwrap();
            create_default_user(context).unwrap();
            assert!(std::fs::metadata(format!("{}/home/alpine", context.root())).unwrap().is_dir());
        });
        assert_eq!(file("etc/group").unwrap(), "root:x:0:\nwheel:x:10:\n", "it is adopted as it is");
    }

    #[test]
    fn rules_that_cannot_be_changed_keep_nobody_out() {
        let file = after("rules", |context| {
            std::fs::write(format!("{}/etc/sudoers.d", context.root()), "no folder").unwrap();
            std::fs::create_dir_all(format!("{}/etc/doas.d/90-wisp-ann.conf", context.root())).unwrap();
            install_all(context, &[key(Some("ann"), "hers")]).unwrap();
        });
        assert_eq!(file("home/ann/.ssh/authorized_keys"), Some(format!("{KEY} hers\n")));
    }
}

//! The default user, who may log in, and by which keys the machine is known.

use super::context::Context;
#[cfg(feature = "full")]
use super::instance;
use super::login;
#[cfg(feature = "full")]
use crate::account::host_keys::Identity;
use crate::account::key::Key;
use crate::account::{self, Account, Wanted};
use crate::error::{Error, Kind, Result};
use crate::provider::{self, Rejected};
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

/// Installs the keys of the cloud. A key that names an account is for that account; on Google's cloud it is created if it
/// does not exist, as Google's own agent does.
pub(super) fn set_ssh_keys(context: &mut Context<'_>) -> Result<()> {
    let (keys, rejected) = context.ask(|reader| Ok((reader.keys()?, reader.rejected_keys())))?;
    install_all(context, &keys, &rejected)
}

fn install_all(context: &mut Context<'_>, keys: &[provider::Key], rejected: &[provider::Rejected]) -> Result<()> {
    if keys.is_empty() && rejected.is_empty() {
        context.say("the cloud has no keys");
        return Ok(());
    }
    let mut tally = Tally::default();
    for Rejected { number, why } in rejected {
        tally.leave_out(context, &format!("number {number}"), why);
    }
    let default = context.user()?;
    let user = |key: &provider::Key| key.user.as_ref().unwrap_or(&default).clone();
    let mut failure = None;
    let mut seen: Vec<String> = Vec::new();
    for name in keys.iter().map(user) {
        if seen.contains(&name) {
            continue;
        }
        let own: Vec<&provider::Key> = keys.iter().filter(|key| user(key) == name).collect();
        if let Err(error) = give(context, &name, name != default, &own, &mut tally) {
            context.warn(&format!("{error}"));
            failure = failure.or(Some(error));
        }
        seen.push(name);
    }
    failure.map_or(Ok(()), Err).and_then(|()| tally.outcome())
}

/// The keys that the user-data lists.
pub(super) fn ssh_authorized_keys(context: &mut Context<'_>) -> Result<()> {
    let keys = context.userdata.authorized_keys();
    if keys.is_empty() {
        return Ok(());
    }
    let name = context.user()?;
    let account = account::find(context.root(), &name)?.ok_or_else(|| absent(&name))?;
    let mut tally = Tally::default();
    install(context, &account, keys.iter().map(String::as_str), &mut tally)?;
    tally.outcome()
}

/// How many keys were installed, and why others were not.
#[derive(Default)]
struct Tally {
    installed: usize,
    /// Why the others were not.
    problems: Vec<String>,
}

impl Tally {
    /// Problems named in the error; all of them were logged as warnings before.
    const NAMED: usize = 8;

    fn leave_out(&mut self, context: &Context<'_>, which: &str, why: &str) {
        let problem = [which, ": ", why].concat();
        context.warn(&["a key is ignored, ", &problem].concat());
        self.problems.push(problem);
    }

    /// Fails if keys were sent and no key could be used: the owner is locked out and must see why.
    fn outcome(self) -> Result<()> {
        if self.installed > 0 || self.problems.is_empty() {
            return Ok(());
        }
        let named = self.problems.iter().take(Self::NAMED).map(String::as_str).collect::<Vec<_>>().join("; ");
        let rest = self.problems.len().saturating_sub(Self::NAMED);
        let more = if rest > 0 { format!("; and {rest} more") } else { String::new() };
        Err(Error::refused("install keys", format!("none of the keys that were sent can be used: {named}{more}")))
    }
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
    let Some(renewed) = account::host_keys::renew(context.root(), &identity) else {
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

/// A new account of someone who administers the machine; of the one that the user-data describes, as it says.
fn create_admin(context: &Context<'_>, name: &str) -> Result<Account> {
    let root = context.root();
    let group = account::admin_group(root)?;
    // First, since anyone who finds the account finds everything of it. Rules that cannot be changed keep no one out.
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

/// Installs the keys of one account. An account that only keys name is neither root nor a system account; it is created if
/// a key says so.
fn give(
    context: &mut Context<'_>,
    name: &str,
    is_named: bool,
    keys: &[&provider::Key],
    tally: &mut Tally,
) -> Result<()> {
    if is_named && account::check_name(name).is_err() {
        context.warn("keys are ignored: they are for a name that is not a valid user name");
        return Ok(());
    }
    let leave_out = |why: &str| {
        context.warn(&["keys for ", name, " are ignored: ", why].concat());
        Ok(())
    };
    let account = match account::adopt(context.root(), name) {
        Err(error) if is_named && error.kind == Kind::Corrupt => {
            return leave_out("its line in /etc/passwd is not valid");
        }
        found => found?,
    };
    let account = match account {
        Some(account) if is_named && account.owner.uid == 0 => return leave_out("it is the superuser"),
        Some(account) if is_named => {
            if let Some(why) = account::no_login_reason(context.root(), &account)? {
                return leave_out(why);
            }
            account::make_home(context.root(), &account)?;
            account
        }
        Some(account) => account,
        None if is_named && keys.iter().any(|key| key.creates_user) => create_admin(context, name)?,
        None if is_named => return leave_out("there is no such account"),
        None => return Err(absent(name)),
    };
    install(context, &account, keys.iter().map(|key| &*key.line), tally)
}

fn absent(name: &str) -> Error {
    Error::absent("install keys for", "there is no such account").to(name)
}

/// Installs the usable lines as keys of `account`; the others are reported.
fn install<'a>(
    context: &mut Context<'_>,
    account: &Account,
    lines: impl Iterator<Item = &'a str>,
    tally: &mut Tally,
) -> Result<()> {
    let mut keys = Vec::new();
    for (number, line) in lines.enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match Key::parse(line) {
            Ok(key) => {
                if let Some(option) = key.unknown_option() {
                    let what = ["a key of ", &account.name, " has the option ", option].concat();
                    context.warn(&[&what, ", which sshd may not know: it ignores such a key"].concat());
                }
                keys.push(key);
            }
            Err(error) => {
                let which = format!("number {} of {}", number.saturating_add(1), account.name);
                tally.leave_out(context, &which, &error.why);
            }
        }
    }
    if keys.is_empty() {
        return Ok(());
    }
    let added = account::install_keys(context.root(), account, &keys)?;
    tally.installed = tally.installed.saturating_add(keys.len());
    context.say(&format!("{added} of {} keys are new to {}", keys.len(), account.name));
    login::admit(context, account)?;
    if let Some(warning) = account::keys_warning(context.root(), account)? {
        context.warn(&warning);
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
        provider::Key { line: format!("{KEY} {comment}"), user: user.map(String::from), creates_user: true }
    }

    #[test]
    fn keys_go_to_whom_they_name_and_who_is_not_there_is_made() {
        let keys = [
            key(None, "default"),
            key(Some("ann"), "hers"),
            key(Some("root"), "all"),
            key(Some("../etc"), "odd"),
            key(Some("-x"), "odd"),
            provider::Key { line: "ssh-rsa AAAA broken".into(), ..key(Some("ann"), "") },
        ];
        let file = after("named", |context| {
            install_all(context, &keys, &[]).unwrap();
            install_all(context, &keys, &[]).unwrap();
        });
        assert_eq!(file("home/alpine/.ssh/authorized_keys"), Some(format!("{KEY} default\n")));
        assert_eq!(file("home/ann/.ssh/authorized_keys"), Some(format!("{KEY} hers\n")));
        assert_eq!(file("root/.ssh/authorized_keys"), None);
        assert!(file("etc/passwd").unwrap().ends_with("\nann:*:1001:1001::/home/ann:/bin/sh\n"));
        assert_eq!(file("etc/group").unwrap(), "root:x:0:\nwheel:x:10:ann\nann:x:1001:\n");
    }

    #[test]
    fn keys_with_options_are_installed_as_they_are() {
        let line = format!("from=\"10.0.0.0/8,!10.1.1.1\",command=\"a \\\" b\",frobnicate {KEY} me");
        let keys = [provider::Key { line: line.clone(), ..key(None, "") }];
        let file = after("options", |context| install_all(context, &keys, &[]).unwrap());
        assert_eq!(file("home/alpine/.ssh/authorized_keys"), Some(format!("{line}\n")));
    }

    #[test]
    fn keys_of_which_none_can_be_used_are_a_failure_that_names_each() {
        let bad = |line: &str| provider::Key { line: line.into(), ..key(None, "") };
        let rejected = [Rejected { number: 1, why: "odd" }];
        let file = after("unusable", |context| {
            let keys = [bad("ssh-ed25519 keydata"), bad(&KEY[..60]), bad("ssh-dss AAAA")];
            let error = install_all(context, &keys, &rejected).unwrap_err().to_string();
            for part in
                ["number 1: odd", "number 1 of alpine: ", "number 2 of alpine: the key is truncated", "not supported"]
            {
                assert!(error.contains(part), "{part}: {error}");
            }
            assert!(!error.contains("keydata") && !error.contains("AAAA"), "{error}");
            assert!(install_all(context, &[], &rejected).is_err());
            assert!(install_all(context, &[bad("x"), key(None, "good")], &rejected).is_ok());
            assert!(install_all(context, &[], &[]).is_ok());
        });
        assert_eq!(file("home/alpine/.ssh/authorized_keys"), Some(format!("{KEY} good\n")));
    }

    #[test]
    fn system_accounts_get_no_key_and_cause_no_failure() {
        let passwd = "root:x:0:0::/root:/bin/sh\nalpine:x:1000:1000::/home/alpine:/bin/sh\nsync:x:4:65534::/bin:/bin/sync\n\
                      nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\n\
                      odd:x:99:99:::/bin/false\nbob:x:1001:1001::/home/bob:/bin/sh\n";
        let keys = ["sync", "nobody", "www-data", "odd", "bob", "root"].map(|user| key(Some(user), user));
        let not_made = provider::Key { creates_user: false, ..key(Some("carol"), "") };
        let file = after("system", |context| {
            std::fs::write(format!("{}/etc/passwd", context.root()), passwd).unwrap();
            std::fs::create_dir_all(format!("{}/var/www", context.root())).unwrap();
            std::fs::create_dir_all(format!("{}/bin", context.root())).unwrap();
            install_all(context, &keys, &[]).unwrap();
            install_all(context, &[not_made], &[]).unwrap();
            assert!(!std::fs::exists(format!("{}/bin/.ssh", context.root())).unwrap());
            assert!(!std::fs::exists(format!("{}/var/www/.ssh", context.root())).unwrap());
        });
        assert_eq!(file("home/bob/.ssh/authorized_keys"), Some(format!("{KEY} bob\n")), "its home is made");
        assert_eq!(file("etc/passwd").as_deref(), Some(passwd));
        assert_eq!(file("root/.ssh/authorized_keys"), None);
    }

    #[test]
    fn a_user_without_an_account_fails_and_the_others_have_their_keys() {
        let keys = [key(None, "default"), key(Some("ann"), "hers")];
        let file = after("absent", |context| {
            std::fs::write(format!("{}/etc/passwd", context.root()), "root:x:0:0::/root:/bin/sh\n").unwrap();
            let error = install_all(context, &keys, &[]).unwrap_err();
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
    fn rules_that_cannot_be_changed_lock_no_user_out() {
        let file = after("rules", |context| {
            std::fs::write(format!("{}/etc/sudoers.d", context.root()), "no folder").unwrap();
            std::fs::create_dir_all(format!("{}/etc/doas.d/90-wisp-ann.conf", context.root())).unwrap();
            install_all(context, &[key(Some("ann"), "hers")], &[]).unwrap();
        });
        assert_eq!(file("home/ann/.ssh/authorized_keys"), Some(format!("{KEY} hers\n")));
    }
}

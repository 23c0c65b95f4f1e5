//! What a phase would do, as text, with nothing changed: no file is written, no program is run, no packet is sent.

use super::actions::{self, Action, Frequency};
use super::context::Context;
use super::instance::{self, InstanceMatch};
use super::journal::{ActionState, Journal};
use super::{completion, is_disabled, names, userdata_store};
use crate::error::{Error, Kind, Result};
use crate::log::Log;
use crate::metadata::{Access, Machine};
use crate::provider::Reader;
use crate::settings::Phase;
use crate::userdata::{self, Userdata};
use alloc::format;
use alloc::string::String;

/// What each action is for.
const SUMMARIES: &[(&str, &str)] = &[
    ("expand_root", "grow the root partition and filesystem, as `wisp grow --dry-run` shows"),
    ("install_hotplugs", "add rules to /etc/mdev.conf"),
    ("set_ephemeral_network", "configure the network for a seed that is on it"),
    ("set_default_interfaces", "write /etc/network/interfaces, unless it exists"),
    ("set_network_interfaces", "write /etc/network/interfaces as the seed says"),
    ("enable_sshd", "have the SSH server start at boot"),
    ("save_userdata", "fetch the user-data, unpack and save it"),
    ("missing_userdata", "log that there is no user-data"),
    ("unknown_userdata", "log that the user-data is not processed"),
    ("userdata_user", "read the name of the user from the user-data"),
    ("create_default_user", "create the user, with a home and root's rights"),
    ("set_hostname", "set the host name, /etc/hostname and /etc/hosts"),
    ("userdata_bootcmd", "run the commands of bootcmd"),
    ("userdata_write_files", "write the files of write_files"),
    ("userdata_ntp", "install and start an NTP client"),
    ("userdata_apk_cache", "set the cache of apk"),
    ("userdata_apk_repositories", "add repositories of apk"),
    ("userdata_package_update", "run apk update"),
    ("userdata_package_upgrade", "run apk upgrade"),
    ("userdata_packages", "install packages"),
    ("set_ssh_keys", "install the SSH keys that the cloud has"),
    ("ssh_authorized_keys", "install the SSH keys of the user-data"),
    ("set_host_keys", "replace the SSH host keys"),
    ("eject_media", "eject the provisioning disc"),
    ("report_ready", "report to the cloud that the machine is ready"),
    ("run_userdata", "run the user's script"),
    ("userdata_runcmd", "run the commands of runcmd"),
    ("userdata_autoinstall", "install the system on an empty disk"),
    ("bootstrap_complete", "mark the bootstrap complete, if everything was done"),
];

/// What `phase` would do on the machine below `root`, a line for each action.
///
/// # Errors
/// `Os`, `Corrupt`: the record of what was done cannot be read.
pub fn describe(phase: Phase, root: &str) -> Result<String> {
    let head = |what: &str| format!("{}: {what}\n", phase.name());
    if is_disabled(root) {
        return Ok(head("wisp is disabled, so nothing would be done"));
    }
    let machine = Machine::look(root);
    let (access, lost) = match machine.access() {
        Ok(access) => (Some(access), None),
        Err(error) if error.kind == Kind::Absent => (None, None),
        Err(error) => (None, Some(error)),
    };
    let log = Log::stderr();
    let journal = Journal::read(&machine.settings.var)?;
    let mut context = Context::new(phase, &machine, access.as_ref(), (&log, &|_| ()), Userdata::parse(None), journal);
    let is_silent = context.access.is_some_and(Access::is_remote);
    context.missing = Some(format!("no cloud was found: {}", machine.unknown().why)).filter(|_| !context.has_cloud());
    context.lost = lost;
    if is_silent {
        context.hush(Error::refused("ask the cloud", "a dry run sends nothing"));
    }
    context.has_lost_seed();
    let is_complete = completion::is_complete(&machine.settings.var);
    let (standing, _) = instance::judge(&mut context, is_complete);
    let is_new = matches!(standing, InstanceMatch::New(_));
    let known = match &standing {
        InstanceMatch::New(name) | InstanceMatch::Bound(name) => Some(name.clone()),
        InstanceMatch::Same | InstanceMatch::Moved => context.journal.instance.clone(),
        InstanceMatch::Pending => None,
    };
    if is_complete && !is_new {
        let name = known.as_deref().unwrap_or("this instance");
        return Ok(head(&format!("the bootstrap of {name} is complete, so nothing would be done")));
    }
    if is_new {
        context.journal = Journal::nowhere(&machine.settings.var);
    }
    context.userdata = userdata_of(&mut context, is_new, is_silent);
    let mut text = head(&match known {
        Some(name) => format!("what would be done in {name}"),
        None => "what would be done, in an instance that is not known yet".into(),
    });
    if is_silent && !is_saved(&context) {
        text.push_str("      the user-data is not saved yet, and a dry run asks no service: it may add actions\n");
    }
    let first = if is_new { Phase::Boot } else { completion::first_list(&context, phase) };
    for each in Phase::ALL.into_iter().filter(|each| (first..=phase).contains(each)) {
        for name in names(each, &context) {
            text.push_str(&line(&context, &name));
        }
    }
    Ok(text)
}

fn is_saved(context: &Context<'_>) -> bool {
    context.journal.state("save_userdata") == Some(ActionState::Done)
}

/// The user-data by which the lists would be made: as saved, else as a seed on this machine has it.
fn userdata_of(context: &mut Context<'_>, is_new: bool, is_silent: bool) -> Userdata {
    let saved = userdata_store::read(&context.settings().var).ok().filter(|_| !is_new && is_saved(context));
    let of_seed = |context: &mut Context<'_>| {
        let packed = context.ask(Reader::userdata).ok().flatten()?;
        userdata::decode(&packed).ok().map(|bytes| Userdata::parse(Some(bytes.into_owned())))
    };
    let found = saved.or_else(|| if is_silent { None } else { of_seed(context) });
    found.unwrap_or_else(|| Userdata::parse(None))
}

/// A line in the form of the log's.
fn line(context: &Context<'_>, name: &str) -> String {
    let Some(action) = actions::find(name) else { return format!("   ++ {name}: unknown\n") };
    let is_skipped = name != "bootstrap_complete" && context.settings().skip.iter().any(|skipped| skipped == name);
    if is_skipped {
        return format!("   -- {name}: skipped, since SKIP_INIT_ACTIONS names it\n");
    }
    if action.asks && !context.has_cloud() {
        return format!("   -- {name}: skipped, since {}\n", context.missing.as_deref().unwrap_or_default());
    }
    match before(context, action) {
        Some(before) => format!("   -- {name}: {before}\n"),
        None => {
            let summary = SUMMARIES.iter().find(|(known, _)| *known == name).map_or("", |(_, summary)| summary);
            format!("   ++ {name}: {summary}\n")
        }
    }
}

/// What keeps an action from being run again.
fn before(context: &Context<'_>, action: &Action) -> Option<&'static str> {
    match (context.journal.state(action.name), action.again) {
        (Some(ActionState::Done), Frequency::UntilDone | Frequency::Never) => Some("done before"),
        (Some(ActionState::Failed), Frequency::Never) => Some("failed before"),
        (Some(ActionState::Started), Frequency::Never) => Some("cut off in an earlier boot, and not run again"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_its_summary() {
        for action in actions::ACTIONS {
            assert!(SUMMARIES.iter().any(|(name, _)| *name == action.name), "{}", action.name);
        }
        assert_eq!(SUMMARIES.len(), actions::ACTIONS.len());
    }
}

//! The one table of actions.

use super::context::Context;
use super::{
    account, cloud_ready, completion, config, grow_root, hostname, hotplug_rules, network, sshd, user_script,
    userdata_store,
};
use crate::error::Result;

/// One action.
#[derive(Debug)]
pub struct Action {
    /// Its name in lists, logs and records.
    pub name: &'static str,
    /// When it runs again.
    pub again: Frequency,
    /// Whether it asks the metadata: where no cloud shows itself, there is nothing to do.
    pub asks: bool,
    /// Does it. Running it twice changes nothing more, unless `again` says [`Frequency::Never`].
    pub run: fn(&mut Context<'_>) -> Result<()>,
}

/// When an action runs again for the same instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frequency {
    /// Until it was done once. One that failed keeps the bootstrap open, and the next boot tries it again.
    UntilDone,
    /// Like these, and again as long as the bootstrap is open: user-data that arrives late may want something else.
    UntilComplete,
    /// In every boot until the bootstrap is complete: what it does is gone after a boot.
    EachBoot,
    /// Never, not even if it failed or was cut off: it is the user's own and may not bear it.
    Never,
}

const fn action(name: &'static str, again: Frequency, asks: bool, run: fn(&mut Context<'_>) -> Result<()>) -> Action {
    Action { name, again, asks, run }
}

const ASKS: bool = true;
const LOCAL: bool = false;

/// Every action that a list may name.
pub const ACTIONS: &[Action] = &[
    action("expand_root", Frequency::UntilDone, LOCAL, grow_root::expand_root),
    action("install_hotplugs", Frequency::UntilDone, LOCAL, hotplug_rules::install_hotplugs),
    action("set_ephemeral_network", Frequency::EachBoot, LOCAL, network::set_ephemeral_network),
    action("set_default_interfaces", Frequency::UntilDone, LOCAL, network::set_default_interfaces),
    action("set_network_interfaces", Frequency::UntilDone, ASKS, network::set_network_interfaces),
    action("enable_sshd", Frequency::UntilDone, LOCAL, sshd::enable_sshd),
    action("save_userdata", Frequency::UntilDone, ASKS, userdata_store::save_userdata),
    action("missing_userdata", Frequency::EachBoot, LOCAL, userdata_store::missing_userdata),
    action("unknown_userdata", Frequency::EachBoot, LOCAL, userdata_store::unknown_userdata),
    action("userdata_user", Frequency::EachBoot, LOCAL, config::userdata_user),
    action("create_default_user", Frequency::UntilComplete, LOCAL, account::create_default_user),
    action("set_hostname", Frequency::UntilDone, ASKS, hostname::set_hostname),
    action("userdata_bootcmd", Frequency::Never, LOCAL, config::userdata_bootcmd),
    action("userdata_write_files", Frequency::UntilDone, LOCAL, config::userdata_write_files),
    action("userdata_ntp", Frequency::UntilDone, LOCAL, config::userdata_ntp),
    action("userdata_apk_cache", Frequency::UntilDone, LOCAL, config::userdata_apk_cache),
    action("userdata_apk_repositories", Frequency::UntilDone, LOCAL, config::userdata_apk_repositories),
    action("userdata_package_update", Frequency::UntilDone, LOCAL, config::userdata_package_update),
    action("userdata_package_upgrade", Frequency::UntilDone, LOCAL, config::userdata_package_upgrade),
    action("userdata_packages", Frequency::UntilDone, LOCAL, config::userdata_packages),
    action("set_ssh_keys", Frequency::UntilDone, ASKS, account::set_ssh_keys),
    action("ssh_authorized_keys", Frequency::UntilDone, LOCAL, account::ssh_authorized_keys),
    action("set_host_keys", Frequency::UntilDone, LOCAL, account::set_host_keys),
    action("eject_media", Frequency::UntilDone, ASKS, cloud_ready::eject_media),
    action("report_ready", Frequency::UntilDone, ASKS, cloud_ready::report_ready),
    action("run_userdata", Frequency::Never, LOCAL, user_script::run_userdata),
    action("userdata_runcmd", Frequency::Never, LOCAL, config::userdata_runcmd),
    action("userdata_autoinstall", Frequency::Never, LOCAL, config::userdata_autoinstall),
    action("bootstrap_complete", Frequency::EachBoot, LOCAL, completion::bootstrap_complete),
];

/// The action called `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Action> {
    ACTIONS.iter().find(|action| action.name == name)
}

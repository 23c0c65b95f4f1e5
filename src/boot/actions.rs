//! The one table of actions.

use super::context::Context;
use super::{account, config, end, expand, hostname, hotplugs, network, report, script, seed, sshd};
use crate::error::Result;

/// One action.
#[derive(Debug)]
pub struct Action {
    /// Its name in lists, logs and records.
    pub name: &'static str,
    /// When it runs again.
    pub again: Again,
    /// Whether it asks the metadata: where no cloud shows itself, there is nothing to do.
    pub asks: bool,
    /// Does it. Running it twice changes nothing more, unless `again` says [`Again::Never`].
    pub run: fn(&mut Context<'_>) -> Result<()>,
}

/// When an action runs again for the same instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Until it was done once. One that failed keeps the bootstrap open, and the next boot tries it again.
    UntilDone,
    /// Like these, and again as long as the bootstrap is open: user-data that arrives late may want something else.
    UntilComplete,
    /// In every boot until the bootstrap is complete: what it does is gone after a boot.
    EachBoot,
    /// Never, not even if it failed or was cut off: it is the user's own and may not bear it.
    Never,
}

const fn action(name: &'static str, again: Again, asks: bool, run: fn(&mut Context<'_>) -> Result<()>) -> Action {
    Action { name, again, asks, run }
}

const ASKS: bool = true;
const LOCAL: bool = false;

/// Every action that a list may name.
pub const ACTIONS: &[Action] = &[
    action("expand_root", Again::UntilDone, LOCAL, expand::expand_root),
    action("install_hotplugs", Again::UntilDone, LOCAL, hotplugs::install_hotplugs),
    action("set_ephemeral_network", Again::EachBoot, LOCAL, network::set_ephemeral_network),
    action("set_default_interfaces", Again::UntilDone, LOCAL, network::set_default_interfaces),
    action("set_network_interfaces", Again::UntilDone, ASKS, network::set_network_interfaces),
    action("enable_sshd", Again::UntilDone, LOCAL, sshd::enable_sshd),
    action("save_userdata", Again::UntilDone, ASKS, seed::save_userdata),
    action("missing_userdata", Again::EachBoot, LOCAL, seed::missing_userdata),
    action("unknown_userdata", Again::EachBoot, LOCAL, seed::unknown_userdata),
    action("userdata_user", Again::EachBoot, LOCAL, config::userdata_user),
    action("create_default_user", Again::UntilComplete, LOCAL, account::create_default_user),
    action("set_hostname", Again::UntilDone, ASKS, hostname::set_hostname),
    action("userdata_bootcmd", Again::Never, LOCAL, config::userdata_bootcmd),
    action("userdata_write_files", Again::UntilDone, LOCAL, config::userdata_write_files),
    action("userdata_ntp", Again::UntilDone, LOCAL, config::userdata_ntp),
    action("userdata_apk_cache", Again::UntilDone, LOCAL, config::userdata_apk_cache),
    action("userdata_apk_repositories", Again::UntilDone, LOCAL, config::userdata_apk_repositories),
    action("userdata_package_update", Again::UntilDone, LOCAL, config::userdata_package_update),
    action("userdata_package_upgrade", Again::UntilDone, LOCAL, config::userdata_package_upgrade),
    action("userdata_packages", Again::UntilDone, LOCAL, config::userdata_packages),
    action("set_ssh_keys", Again::UntilDone, ASKS, account::set_ssh_keys),
    action("ssh_authorized_keys", Again::UntilDone, LOCAL, account::ssh_authorized_keys),
    action("set_host_keys", Again::UntilDone, LOCAL, account::set_host_keys),
    action("eject_media", Again::UntilDone, ASKS, report::eject_media),
    action("report_ready", Again::UntilDone, ASKS, report::report_ready),
    action("run_userdata", Again::Never, LOCAL, script::run_userdata),
    action("userdata_runcmd", Again::Never, LOCAL, config::userdata_runcmd),
    action("userdata_autoinstall", Again::Never, LOCAL, config::userdata_autoinstall),
    action("bootstrap_complete", Again::EachBoot, LOCAL, end::bootstrap_complete),
];

/// The action called `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Action> {
    ACTIONS.iter().find(|action| action.name == name)
}

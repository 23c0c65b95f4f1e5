//! Which actions a phase runs, in which order: Tiny Cloud's lists, what the cloud and the user-data change in them, what
//! the configuration says instead. Pure: names in, names out; `boot` knows what they do.

use crate::settings::{Agent, Phase};
use crate::userdata::UserdataKind;
use alloc::string::String;
use alloc::vec::Vec;

/// The last action of all, whatever the lists say: without it the bootstrap would never end.
pub const COMPLETE: &str = "bootstrap_complete";

/// The actions of each phase before anything is changed.
const USUAL: [(Phase, &[&str]); 4] = [
    (
        Phase::Boot,
        &["expand_root", "install_hotplugs", "set_ephemeral_network", "set_default_interfaces", "enable_sshd"],
    ),
    (Phase::Early, &["save_userdata"]),
    (Phase::Main, &["create_default_user", "set_hostname", "set_ssh_keys", "set_host_keys"]),
    (Phase::Final, &[]),
];

/// A change of a list. One whose anchor is not in the list, because the user replaced that, changes nothing.
#[derive(Clone, Copy, Debug)]
enum Change {
    First(&'static str),
    Last(&'static [&'static str]),
    Before(&'static str, &'static str),
    After(&'static str, &'static [&'static str]),
    Replace(&'static str, &'static str),
}

/// What a cloud changes.
const OF_CLOUD: &[(&str, Phase, Change)] = &[
    ("nocloud", Phase::Boot, Change::Replace("set_default_interfaces", "set_network_interfaces")),
    ("azure", Phase::Main, Change::Last(&["eject_media", "report_ready"])),
    ("scaleway", Phase::Final, Change::Last(&["report_ready"])),
    ("incus", Phase::Final, Change::Last(&["report_ready"])),
];

/// What a kind of user-data changes.
const OF_USERDATA: &[(UserdataKind, Phase, Change)] = &[
    (UserdataKind::Missing, Phase::Main, Change::First("missing_userdata")),
    (UserdataKind::Unknown, Phase::Main, Change::First("unknown_userdata")),
    (UserdataKind::CloudConfig, Phase::Main, Change::First("unknown_userdata")),
    (UserdataKind::Script, Phase::Final, Change::Last(&["run_userdata"])),
    (UserdataKind::AlpineConfig, Phase::Main, Change::Before("create_default_user", "userdata_user")),
    (
        UserdataKind::AlpineConfig,
        Phase::Main,
        Change::After(
            "set_hostname",
            &[
                "userdata_bootcmd",
                "userdata_write_files",
                "userdata_apk_cache",
                "userdata_apk_repositories",
                "userdata_package_update",
                "userdata_package_upgrade",
                "userdata_packages",
                // Tiny Cloud has it in front of these, where its package cannot be found yet.
                "userdata_ntp",
            ],
        ),
    ),
    (UserdataKind::AlpineConfig, Phase::Main, Change::After("set_ssh_keys", &["ssh_authorized_keys"])),
    (UserdataKind::AlpineConfig, Phase::Final, Change::Last(&["userdata_runcmd", "userdata_autoinstall"])),
];

/// The actions of `phase`, in order, for a machine in `cloud` (empty where none shows itself) with user-data of this form.
#[must_use]
pub fn actions(phase: Phase, settings: &Agent, cloud: &str, form: UserdataKind) -> Vec<String> {
    let own = settings.actions.iter().rev().find(|(said, _)| *said == phase).map(|(_, names)| names.clone());
    let mut names = own.unwrap_or_else(|| usual(phase));
    for (kind, of, change) in OF_USERDATA {
        if *kind == form && *of == phase {
            change.make(&mut names);
        }
    }
    // A cloud is told of an end when the user's own work has ended too.
    for (name, of, change) in OF_CLOUD {
        if *name == cloud && *of == phase {
            change.make(&mut names);
        }
    }
    if phase == Phase::Final {
        names.retain(|name| name != COMPLETE);
        names.push(COMPLETE.into());
    }
    names
}

fn usual(phase: Phase) -> Vec<String> {
    let list = USUAL.iter().find(|(of, _)| *of == phase).map_or(&[][..], |(_, names)| names);
    list.iter().map(|name| String::from(*name)).collect()
}

impl Change {
    /// Makes it, at every place where its anchor stands.
    fn make(self, names: &mut Vec<String>) {
        let mut changed = Vec::with_capacity(names.len());
        let mut put = |name: &str| changed.push(String::from(name));
        if let Self::First(new) = self {
            put(new);
        }
        for name in &*names {
            match self {
                Self::Before(anchor, new) if name == anchor => [new, anchor].into_iter().for_each(&mut put),
                Self::After(anchor, new) if name == anchor => {
                    put(anchor);
                    new.iter().for_each(|name| put(name));
                }
                Self::Replace(old, new) if name == old => put(new),
                _ => put(name),
            }
        }
        if let Self::Last(new) = self {
            new.iter().for_each(|name| put(name));
        }
        *names = changed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Sources;
    use crate::text::cmdline::Cmdline;

    fn list(phase: Phase, file: &str, cloud: &str, form: UserdataKind) -> String {
        let cmdline = Cmdline::parse("");
        let sources = Sources { root: "", environment: b"", file: Some(("f", file)), cmdline: &cmdline };
        actions(phase, &Agent::parse(&sources), cloud, form).join(" ")
    }

    #[test]
    fn the_lists_are_tiny_clouds_and_clouds_and_user_data_change_them() {
        use Phase::{Boot, Early, Final, Main};
        const BOOT: &str = "expand_root install_hotplugs set_ephemeral_network set_default_interfaces enable_sshd";
        const MAIN: &str = "create_default_user set_hostname set_ssh_keys set_host_keys";
        for (phase, cloud, form, wanted) in [
            (Boot, "aws", UserdataKind::Missing, BOOT),
            (Boot, "nocloud", UserdataKind::Script, &BOOT.replace("set_default_interfaces", "set_network_interfaces")),
            (Early, "gcp", UserdataKind::Missing, "save_userdata"),
            (Main, "", UserdataKind::Script, MAIN),
            (Main, "aws", UserdataKind::Missing, &format!("missing_userdata {MAIN}")),
            (Main, "aws", UserdataKind::Unknown, &format!("unknown_userdata {MAIN}")),
            (Main, "azure", UserdataKind::Script, &format!("{MAIN} eject_media report_ready")),
            (
                Main,
                "aws",
                UserdataKind::AlpineConfig,
                "userdata_user create_default_user set_hostname userdata_bootcmd userdata_write_files \
                 userdata_apk_cache userdata_apk_repositories userdata_package_update userdata_package_upgrade \
                 userdata_packages userdata_ntp set_ssh_keys ssh_authorized_keys set_host_keys",
            ),
            (Final, "aws", UserdataKind::Missing, "bootstrap_complete"),
            (Final, "incus", UserdataKind::Script, "run_userdata report_ready bootstrap_complete"),
            (Final, "aws", UserdataKind::AlpineConfig, "userdata_runcmd userdata_autoinstall bootstrap_complete"),
        ] {
            assert_eq!(list(phase, "", cloud, form), wanted, "{phase:?} {cloud} {form:?}");
        }
    }

    #[test]
    fn what_the_user_says_is_the_list_and_lost_anchors_lose_their_insertions() {
        let form = UserdataKind::AlpineConfig;
        assert_eq!(
            list(Phase::Main, "INIT_ACTIONS_MAIN=set_hostname", "azure", UserdataKind::Script),
            "set_hostname eject_media report_ready"
        );
        assert_eq!(list(Phase::Main, "INIT_ACTIONS_MAIN=''", "aws", form), "");
        assert_eq!(
            list(Phase::Main, "INIT_ACTIONS_MAIN='set_ssh_keys x'", "aws", form),
            "set_ssh_keys ssh_authorized_keys x"
        );
        assert_eq!(
            list(Phase::Final, "INIT_ACTIONS_FINAL=\"bootstrap_complete a\"", "aws", UserdataKind::Script),
            "a run_userdata bootstrap_complete"
        );
        assert_eq!(list(Phase::Early, "INIT_ACTIONS_EARLY=a\nINIT_ACTIONS_EARLY=b", "aws", form), "b");
    }
}

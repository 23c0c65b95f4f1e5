//! The rules of `/etc/mdev.conf` by which devices come to our notice. Pure.
//!
//! The first line whose expression matches a device decides, but for lines that begin with a hyphen, behind which mdev
//! looks on.

use alloc::format;
use alloc::vec::Vec;

/// Where rules are.
pub const RULES: &str = "/etc/mdev.conf";

/// A line of the distribution's file behind which is what no other line wanted.
const FALLBACK: &str = "# fallback";

/// What can be installed.
#[derive(Debug, PartialEq, Eq)]
pub struct Module {
    /// Its name in `HOTPLUG_MODULES`.
    pub name: &'static str,
    /// How the lines for the same devices begin.
    devices: &'static str,
    /// Tiny Cloud's program for it.
    pub predecessor: &'static str,
}

/// Tiny Cloud's other module. It gave each disk two names of which one is wrong, and fought for them with
/// the distribution's own rules, which give the right one.
pub const LEFT_OUT: &str = "nvme_ebs_links";

/// All that can be installed.
const MODULES: [Module; 1] =
    [Module { name: "vnic_eth_hotplug", devices: "eth", predecessor: "/lib/mdev/vnic-eth-hotplug" }];

/// The module of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Module> {
    MODULES.iter().find(|module| module.name == name)
}

impl Module {
    /// The text of the rules with the one by which mdev calls `command`: before the first line for the same devices, and
    /// then that one still counts; else before the last resort; else at the end. A text that has one stays as it is.
    #[must_use]
    pub fn insert(&self, rules: &[u8], command: &str) -> Vec<u8> {
        let call = format!("*{command}");
        if rules.windows(call.len()).any(|part| part == call.as_bytes()) {
            return rules.into();
        }
        let rule = format!("{}[0-9]+\troot:root 0644 {call}", self.devices);
        let (place, text) = match (line(rules, self.devices), line(rules, FALLBACK)) {
            (Some(place), _) => (place, format!("-{rule}\n")),
            (None, Some(place)) => (place, format!("{rule}\n\n")),
            (None, None) => (rules.len(), format!("{rule}\n")),
        };
        let (before, behind) = rules.split_at_checked(place).unwrap_or((rules, b""));
        let gap = if before.is_empty() || before.ends_with(b"\n") { "" } else { "\n" };
        [before, gap.as_bytes(), text.as_bytes(), behind].concat()
    }
}

/// Where the first line begins that begins with `start`.
fn line(text: &[u8], start: &str) -> Option<usize> {
    let mut place = 0usize;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(start.as_bytes()) {
            return Some(place);
        }
        place = place.saturating_add(line.len());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMAND: &str = "/usr/bin/wisp hotplug";
    const RULE: &str = "eth[0-9]+\troot:root 0644 */usr/bin/wisp hotplug\n";

    #[test]
    fn a_rule_is_inserted_once_where_it_counts() {
        let module = find("vnic_eth_hotplug").unwrap();
        for (old, wanted) in [
            ("null root:root 0666\neth0 a\neth1 b\n", format!("null root:root 0666\n-{RULE}eth0 a\neth1 b\n")),
            ("null a\n\n# fallback\n.* b\n# fallback", format!("null a\n\n{RULE}\n# fallback\n.* b\n# fallback")),
            ("null a", format!("null a\n{RULE}")),
            ("", RULE.into()),
            ("ethernet\n", format!("-{RULE}ethernet\n")),
            ("# eth0\n", format!("# eth0\n{RULE}")),
        ] {
            let new = module.insert(old.as_bytes(), COMMAND);
            assert_eq!(new, wanted.as_bytes(), "{old:?}");
            assert_eq!(module.insert(&new, COMMAND), wanted.as_bytes(), "a second time changes nothing");
        }
        assert_eq!((find("nvme_ebs_links"), find("")), (None, None));
    }
}

//! Whether an account is for logins.

use super::{Account, DEFAULTS_LIMIT, TABLE_LIMIT, read, table};
use crate::error::Result;
use crate::sys::dir::walk::Walk;

/// The first UID of users unless login.defs sets another (`UID_MIN`, login.defs(5)).
const UID_MIN: u32 = 1000;

/// The UID of the overflow user, a system account above `UID_MIN`.
const OVERFLOW_UID: u32 = 65534;

/// Programs that end at once when used as a login shell.
const NO_SHELLS: [&[u8]; 6] = [b"nologin", b"false", b"true", b"sync", b"shutdown", b"halt"];

/// Why `account` is not for logins; `None` if it is. A system account (below `UID_MIN`) is for logins if it has a login
/// shell and owns its home.
///
/// # Errors
/// `Os`.
pub fn no_login_reason(root: &str, account: &Account) -> Result<Option<&'static str>> {
    let passwd = read(root, "passwd", TABLE_LIMIT)?;
    let shell = table::find(&passwd, &account.name).map_or(&[][..], |line| table::field(line, 6));
    let name = shell.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let has_shell = !NO_SHELLS.contains(&name);
    let home = Walk::to_folder(root, &account.home).ok().filter(|walk| walk.rest.is_empty());
    let home = home.as_ref().and_then(Walk::last).map(|step| step.facts.owner.uid);
    let is_system =
        account.owner.uid < uid_min(&read(root, "login.defs", DEFAULTS_LIMIT)?) || account.owner.uid == OVERFLOW_UID;
    Ok(match (is_system, has_shell, home) {
        (true, false, _) => Some("it is a system account without a login shell"),
        (true, true, home) if home != Some(account.owner.possible().uid) => {
            Some("it is a system account without a home of its own")
        }
        (false, false, None) => Some("it has neither a login shell nor a home"),
        _ => None,
    })
}

fn uid_min(defaults: &[u8]) -> u32 {
    let text = core::str::from_utf8(defaults).unwrap_or_default();
    let mut values = text.lines().filter_map(|line| line.trim().strip_prefix("UID_MIN"));
    values.find_map(|value| value.trim().parse().ok()).unwrap_or(UID_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn system_accounts_are_login_accounts_if_they_have_a_shell_and_own_their_home() {
        let root = std::env::temp_dir().join(format!("wisp-login-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        for folder in ["etc", "bin", "home/core", "home/ann"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        let own = crate::sys::dir::Owner { uid: 500, gid: 500 }.possible();
        std::os::unix::fs::chown(root.join("home/core"), Some(own.uid), Some(own.gid)).unwrap();
        let path = root.to_str().unwrap();
        for (line, may_log_in) in [
            ("core:x:500:500::/home/core:/bin/bash", true),
            ("core:x:500:500::/home/core:", true),
            ("core:x:500:500::/home/core:/sbin/nologin", false),
            ("sync:x:4:65534:sync:/bin:/bin/sync", false),
            ("nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin", false),
            ("www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin", false),
            ("nobody:x:65534:65534:nobody:/nonexistent:/bin/sh", false),
            ("ann:x:1000:1000::/home/ann:/usr/sbin/nologin", true),
            ("ann:x:1000:1000::/nonexistent:/usr/sbin/nologin", false),
            ("ann:x:1000:1000::/home/none:/bin/sh", true),
        ] {
            std::fs::write(root.join("etc/passwd"), format!("{line}\n")).unwrap();
            let account = Account::parse(line.as_bytes()).unwrap();
            assert_eq!(no_login_reason(path, &account).unwrap().is_none(), may_log_in, "{line}");
        }
        std::fs::write(root.join("etc/login.defs"), "# UID_MIN 1\nUID_MIN\t\t  400\n").unwrap();
        let core = Account::parse(b"core:x:500:500::/home/core:/sbin/nologin").unwrap();
        assert_eq!(no_login_reason(path, &core).unwrap(), None);
        std::fs::remove_dir_all(root).unwrap();
    }
}

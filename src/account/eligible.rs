//! Whether an account is one that people log in as.

use super::{Account, DEFAULTS_LIMIT, TABLE_LIMIT, read, table};
use crate::error::Result;
use crate::sys::folder::walk::Walk;

/// The first number of users if login.defs does not say another (`UID_MIN`, login.defs(5)).
const UID_MIN: u32 = 1000;

/// `nobody`, where 16 bits end: a system account by another number than the others.
const NOBODY: u32 = 65534;

/// Shells that let nobody in.
const NO_SHELLS: [&[u8]; 6] = [b"nologin", b"false", b"true", b"sync", b"shutdown", b"halt"];

/// Why nobody logs in as `account`; `None` if somebody may. A system account (login.defs(5), `UID_MIN`) is for logging in
/// if it has a shell and a home of its own.
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
        account.owner.uid < uid_min(&read(root, "login.defs", DEFAULTS_LIMIT)?) || account.owner.uid == NOBODY;
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
    fn system_accounts_are_for_logging_in_if_they_have_a_shell_and_a_home() {
        let root = std::env::temp_dir().join(format!("wisp-login-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        for folder in ["etc", "bin", "home/core", "home/ann"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        let own = crate::sys::folder::Owner { uid: 500, gid: 500 }.possible();
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

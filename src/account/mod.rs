//! Accounts below a root: users and groups, the keys that may log in as them, the keys by which the machine is known.
//!
//! The files are those of passwd(5), group(5), shadow(5), gshadow(5); accounts that come from elsewhere (LDAP, NIS) are
//! not seen. What is there is left as it is: an account is adopted, a key is added to others, a foreign line stays.
//! Each file is replaced whole, in an order that lets no one in too early: anyone who finds an account in passwd finds
//! everything else of it.
#![forbid(unsafe_code)]

mod authorized;
mod create;
mod eligible;
mod glob;
mod home;
#[cfg(feature = "full")]
pub mod host_keys;
pub mod key;
mod lock;
mod login;
mod sshd;
mod sudo;
mod table;

pub use authorized::{install_keys, keys_warning};
pub use create::{Wanted, create};
pub use eligible::no_login_reason;
pub use home::make_home;
pub use login::{obstacles, replace_missing_shell, unlock};
pub use sudo::{admin_group, permit};

use crate::error::{Error, Result};
use crate::settings::is_user_name;
use crate::sys::dir::{Dir, Owner};
use alloc::string::String;
use alloc::vec::Vec;

/// Bytes of passwd and its kin; a hundred thousand accounts have 6 MiB.
const TABLE_LIMIT: usize = 16 << 20;

/// Bytes of login.defs; Debian's has 12 KiB, nearly all comments.
const DEFAULTS_LIMIT: usize = 256 << 10;

/// A user who is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Whose its files are: its number, and that of its own group.
    pub owner: Owner,
    /// Its home, below the root.
    pub home: String,
}

impl Account {
    /// Reads a line of passwd; `None` if numbers or home are none.
    fn parse(line: &[u8]) -> Option<Self> {
        let text = |place| core::str::from_utf8(table::field(line, place)).ok().map(String::from);
        let owner = Owner { uid: table::number(line, 2)?, gid: table::number(line, 3)? };
        let home = text(5).filter(|home| home.starts_with('/'))?;
        Some(Self { name: text(0)?, owner, home })
    }
}

/// The account called `name`, if `ROOT/etc/passwd` has it.
///
/// # Errors
/// `Os`; `Corrupt` when its line has no numbers or no home.
pub fn find(root: &str, name: &str) -> Result<Option<Account>> {
    parse(&read(root, "passwd", TABLE_LIMIT)?, name)
}

/// The same for an account that a power cut may have interrupted the making of: whole it is then, or not there at all, but
/// its files may be locked still.
///
/// # Errors
/// As [`find`]; `TimedOut` when another program keeps the files locked.
pub fn adopt(root: &str, name: &str) -> Result<Option<Account>> {
    if let Some(etc) = Dir::open(root, "/etc")? {
        lock::release(&etc)?;
    }
    find(root, name)
}

/// The account called `name` in a passwd.
fn parse(passwd: &[u8], name: &str) -> Result<Option<Account>> {
    let Some(line) = table::find(passwd, name) else { return Ok(None) };
    let broken = || Error::corrupt("understand the account", "its line in passwd is broken").to(name);
    Account::parse(line).map(Some).ok_or_else(broken)
}

/// What `ROOT/etc/NAME` holds; nothing if it is not there.
fn read(root: &str, name: &str, limit: usize) -> Result<Vec<u8>> {
    let content = match Dir::open(root, "/etc")? {
        Some(etc) => etc.read(name, limit)?,
        None => None,
    };
    Ok(content.map_or_else(Vec::new, |(content, _)| content))
}

/// Refuses a name that no user and no group can have.
///
/// # Errors
/// `Usage`.
pub fn check_name(name: &str) -> Result<()> {
    if is_user_name(name) {
        return Ok(());
    }
    // What is no name may be long, and anything.
    Err(Error::usage("take the name of", "it is not a name for a user or a group").to("an account"))
}

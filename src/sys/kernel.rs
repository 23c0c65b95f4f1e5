//! Which kernel this is.

use alloc::string::String;

/// Its release, as in `/lib/modules/RELEASE`.
#[must_use]
pub fn release() -> String {
    String::from_utf8_lossy(rustix::system::uname().release().to_bytes()).into_owned()
}

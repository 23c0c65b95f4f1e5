//! Kernel modules that a filesystem driver requests while it mounts (`request_module`, `symbol_request`).
//!
//! The kernel starts modprobe for them, which an initramfs without modprobe does not have, so that the mount fails. They
//! are not in `modules.dep`, and only some are in `modules.softdep`. Sources: `fs/quota/dquot.c` (`find_quota_format`),
//! `fs/unicode/utf8-core.c` (`utf8_load`), `fs/nls/nls_base.c` (`load_nls`), the crypto API (`crypto_alloc_shash`).
#![forbid(unsafe_code)]

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Details, Superblock};

/// Quota files of the formats `vfsv0` and `vfsv1`.
const QUOTA: &str = "quota_v2";
/// Case folding; in the kernel itself before Linux 5.17.
const CASEFOLD: &str = "utf8data";
/// Files that fs-verity protects, `/sbin/init` among them.
const VERITY: &str = "sha256";

/// Names of character sets: the defaults that kernels are configured with.
const NLS: &[&str] = &["nls_cp437", "nls_ascii", "nls_iso8859-1", "nls_utf8"];

/// A driver, and the modules that it may request.
const REQUESTED: &[(&str, &[&str])] = &[
    ("ext4", &["crc32c", QUOTA, CASEFOLD, VERITY]),
    ("xfs", &["crc32c"]),
    ("btrfs", &["crc32c", "xxhash64", "sha256", "blake2b-256"]),
    ("f2fs", &["crc32", QUOTA, CASEFOLD, VERITY]),
    ("ocfs2", &[QUOTA]),
    ("vfat", NLS),
    ("exfat", NLS),
    ("ntfs3", NLS),
    ("isofs", NLS),
    ("udf", NLS),
];

/// The modules that the driver `module` may request while it mounts a filesystem.
#[must_use]
pub fn requested_by(module: &str) -> &'static [&'static str] {
    REQUESTED.iter().find(|(driver, _)| *driver == module).map_or(&[], |(_, modules)| modules)
}

/// The modules that the kernel requests when it mounts `superblock` with the mount `options`.
#[must_use]
pub fn requests(superblock: &Superblock, options: &str) -> Vec<String> {
    let possible = superblock.kind.module().map_or(&[] as &[_], requested_by);
    let wanted = |module: &str| match superblock.details {
        Details::Ext(ext) => match module {
            QUOTA => ext.mount.quota,
            CASEFOLD => ext.mount.casefold,
            VERITY => ext.mount.verity,
            _ => true,
        },
        _ => true,
    };
    let mut modules: Vec<String> =
        possible.iter().filter(|module| wanted(module)).map(|module| String::from(*module)).collect();
    for (key, value) in options.split(',').filter_map(|option| option.split_once('=')) {
        match key {
            "jqfmt" if value == "vfsold" => modules.push("quota_v1".into()),
            "jqfmt" => modules.push(QUOTA.into()),
            "iocharset" | "nls" => modules.push(format!("nls_{value}")),
            "codepage" => modules.push(format!("nls_cp{value}")),
            _ => {}
        }
    }
    modules
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filesystem::Kind;

    #[test]
    fn mount_options_name_modules() {
        let fat = Superblock { kind: Kind::Vfat, uuid: None, label: None, extent: None, details: Details::Plain };
        let modules = requests(&fat, "ro,iocharset=koi8-r,codepage=850");
        assert!(modules.iter().any(|module| module == "nls_koi8-r"), "{modules:?}");
        assert!(modules.iter().any(|module| module == "nls_cp850"), "{modules:?}");
        assert!(modules.iter().any(|module| module == "nls_cp437"), "{modules:?}");
        let ext = Superblock { kind: Kind::Swap, ..fat };
        assert_eq!(requests(&ext, "usrjquota=aquota.user,jqfmt=vfsv1"), ["quota_v2"]);
        assert_eq!(requests(&ext, "jqfmt=vfsold"), ["quota_v1"]);
        assert!(requests(&ext, "").is_empty());
    }
}

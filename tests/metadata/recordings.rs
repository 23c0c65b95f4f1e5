//! Every folder of recorded replies is whole, and belongs to a cloud that wisp knows.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::server::folder;
use crate::server::recorded::Recorded;

fn folders(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).expect("the folder can be listed");
    let mut out: Vec<PathBuf> = entries.map(|entry| entry.expect("the folder can be listed").path()).collect();
    out.retain(|path| path.join("replies").exists());
    out.sort();
    out
}

fn name(path: &Path) -> String {
    path.strip_prefix(folder()).expect("it is below the folder").to_str().expect("names are UTF-8").to_owned()
}

#[test]
fn every_cloud_has_a_folder_and_every_folder_a_cloud() {
    let have: BTreeSet<String> = folders(folder()).iter().map(|path| name(path)).collect();
    let want: BTreeSet<String> = wisp::provider::CLOUDS.iter().map(|cloud| cloud.name.to_owned()).collect();
    assert_eq!(have, want);
}

#[test]
fn every_folder_can_be_read() {
    for cloud in folders(folder()) {
        assert!(Recorded::read(&name(&cloud)).targets().count() > 3, "{}: replies were found", cloud.display());
        let machine = fs::read_to_string(cloud.join("machine")).expect("every cloud has a machine");
        let known = ["bios_", "sys_", "product_", "board_", "chassis_", "mac="];
        for line in machine.lines() {
            assert!(known.iter().any(|begin| line.starts_with(begin)) && line.contains('='), "{}", cloud.display());
        }
        for folder in folders(&cloud).iter().chain([&cloud]) {
            Recorded::read(&name(folder));
            let refused = folder.join("expected/refused").exists();
            for item in ["hostname", "ssh-keys", "userdata"].iter().filter(|_| !refused) {
                assert!(folder.join("expected").join(item).exists(), "{}: {item}", folder.display());
            }
        }
    }
}

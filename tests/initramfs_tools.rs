//! What `make install-initramfs-tools` puts where update-initramfs looks. What becomes of it in an initramfs, the
//! scenarios `initramfs-tools-*` show.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

const FILES: [&str; 3] = ["hooks/wisp", "scripts/local-block/wisp", "scripts/local-bottom/00-wisp"];

/// Every file below `folder`, by its path there, sorted.
fn files(folder: &Path, below: &str) -> Vec<String> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder.join(below)).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        if entry.file_type().unwrap().is_dir() { out.extend(files(folder, &path)) } else { out.push(path) }
    }
    out.sort();
    out
}

#[test]
fn a_package_has_the_scripts_and_they_name_its_program() {
    let tree = Path::new(env!("CARGO_TARGET_TMPDIR")).join("initramfs-tools");
    let _ = fs::remove_dir_all(&tree);
    let destination = format!("DESTDIR={}", tree.display());
    let arguments = ["-s", "-C", env!("CARGO_MANIFEST_DIR"), "install-initramfs-tools", "PREFIX=/usr", &destination];
    assert!(Command::new("make").args(arguments).status().unwrap().success());

    let folder = tree.join("usr/share/initramfs-tools");
    assert_eq!(files(&tree, ""), FILES.map(|file| format!("usr/share/initramfs-tools/{file}")));
    for file in FILES {
        let path = folder.join(file);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o755, "{file}");
        assert!(!fs::read_to_string(&path).unwrap().contains("/usr/local"), "{file}");
        // update-initramfs and mkinitramfs ask each script what has to run before it, on a machine that is not booting.
        let asked = Command::new(&path).arg("prereqs").env_clear().output().unwrap();
        assert!(asked.status.success() && asked.stdout.is_empty() && asked.stderr.is_empty(), "{file}: {asked:?}");
    }
    let hook = folder.join(FILES[0]);
    let text = fs::read_to_string(&hook).unwrap();
    assert!(text.contains("\nprogram=/usr/libexec/wisp/wisp-initramfs\n"), "{text}");
    // Without its program it says so, and the kernel gets an initramfs all the same.
    fs::write(&hook, text.replace("/usr/libexec", "/nowhere")).unwrap();
    let run = Command::new(&hook).env_clear().output().unwrap();
    assert!(run.status.success() && String::from_utf8_lossy(&run.stderr).contains("/nowhere/wisp/"), "{run:?}");
    fs::remove_dir_all(&tree).unwrap();
}

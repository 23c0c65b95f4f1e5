//! Links the program against musl where Rust's own musl target is not installed.
//!
//! With a `*-musl` target rustc does everything itself and this script only sets `cfg(freestanding)`. With a
//! `*-gnu` target and the feature `static`, the program (and only the program: build scripts, proc-macros and
//! tests stay as they are) is linked with the start files and the archive that Debian's `musl-dev` installs.

use std::env;
use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=WISP_MUSL");
    println!("cargo:rustc-check-cfg=cfg(freestanding)");
    let musl_target = env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|libc| libc == "musl");
    let forced = env::var_os("CARGO_FEATURE_STATIC").is_some();
    if !musl_target && !forced {
        return;
    }
    println!("cargo:rustc-cfg=freestanding");
    if musl_target {
        return;
    }
    let cpu = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let folder = env::var("WISP_MUSL").unwrap_or_else(|_| format!("/usr/lib/{cpu}-linux-musl"));
    if !Path::new(&folder).join("crt1.o").exists() {
        println!("cargo:warning=no musl in {folder}: install musl-dev (or musl-dev:arm64), or set WISP_MUSL");
    }
    for argument in ["-nostdlib", "-nostartfiles", "-static", "-no-pie", "-Wl,--gc-sections", "-Wl,--build-id=none"] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
    for object in ["crt1.o", "crti.o", "libc.a", "crtn.o"] {
        println!("cargo:rustc-link-arg-bins={folder}/{object}");
    }
}

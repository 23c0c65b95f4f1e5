//! Links the program, and only the program (build scripts, proc-macros and tests stay as they are), against musl.
//!
//! With a `*-musl` target rustc brings the start files and the folder of the archive; the archive must be asked for,
//! because `std`, which does so elsewhere, is absent. With a `*-gnu` target and the feature `static` both are those
//! that Debian's `musl-dev` installs. Without either, nothing is done and the program is an ordinary hosted one.

use std::env;
use std::path::Path;

/// What zstd's encoder refers to in its tables and never calls for us: the level that `codec::zstd` packs at is of
/// strategy `btultra2` whatever the length, there is no dictionary, one frame is packed in one go, and the window is too
/// small for matches over long distances to be searched apart. A call would abort.
const ZSTD_NEVER: [&str; 12] = [
    "compressBlock_fast",
    "compressBlock_fast_dictMatchState",
    "compressBlock_fast_extDict",
    "compressBlock_btultra",
    "compressBlock_btultra_dictMatchState",
    "compressBlock_btultra_extDict",
    "compressSuperBlock",
    "fillHashTable",
    "ldm_blockCompress",
    "ldm_fillHashTable",
    "ldm_generateSequences",
    "ldm_skipSequences",
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=WISP_MUSL");
    println!("cargo:rustc-check-cfg=cfg(freestanding)");
    let musl_target = env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|libc| libc == "musl");
    let forced = env::var_os("CARGO_FEATURE_STATIC").is_some();
    if env::var_os("CARGO_FEATURE_FULL").is_some() {
        replace_table(if musl_target || forced { "bins" } else { "tests" });
    }
    if !musl_target && !forced {
        return;
    }
    println!("cargo:rustc-cfg=freestanding");
    if env::var_os("CARGO_FEATURE_FULL").is_some() {
        for function in ZSTD_NEVER {
            println!("cargo:rustc-link-arg-bins=-Wl,--wrap=ZSTD_{function},--defsym=__wrap_ZSTD_{function}=abort");
        }
    }
    if musl_target {
        // By its file name: a `libc.so` beside it would be preferred to it.
        println!("cargo:rustc-link-arg-bins=-l:libc.a");
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
    // A dependency that asks for `-lc` (the libc crate does, on aarch64) must get this one.
    println!("cargo:rustc-link-arg-bins=-L{folder}");
    for object in ["crt1.o", "crti.o", "libc.a", "crtn.o"] {
        println!("cargo:rustc-link-arg-bins={folder}/{object}");
    }
}

/// Sends two functions of ring to those of `src/sys/curve.rs`, which must be linked in for it: in the shipped program,
/// and where the same is tested.
fn replace_table(targets: &str) {
    for function in ["p256_point_mul_base", "p256_point_mul_base_vartime"] {
        println!("cargo:rustc-link-arg-{targets}=-Wl,--wrap=ring_core_0_17_14__{function}");
        println!("cargo:rustc-link-arg-{targets}=-Wl,--undefined=__wrap_ring_core_0_17_14__{function}");
    }
}

//! Links the program, and only the program (build scripts, proc-macros and tests stay as they are), against musl.
//!
//! With a `*-musl` target rustc brings the start files and the folder of the archive; the archive must be asked for,
//! because `std`, which does so elsewhere, is absent. With a `*-gnu` target and the feature `static` both are those
//! that Debian's `musl-dev` installs. Without either, nothing is done and the program is an ordinary hosted one.

use std::env;
use std::path::Path;
use std::{fs, io};

use webpki_roots::TLS_SERVER_ROOTS;

/// What is referred to and never called; a call would abort, and the code goes.
///
/// zstd's encoder names all it has in its tables. The level that `codec::zstd` packs at is of strategy `btultra2`
/// whatever the length; there is no dictionary, one frame is packed in one go, and the window is too small for matches over
/// long distances to be searched apart. ring's squares lie beside `src/sys/square.rs`'s products.
/// Random bytes come from a file, which a lock is for, where the kernel has no call for them: before Linux 3.17.
const NEVER_CALLED: [&str; 16] = [
    "ZSTD_compressBlock_fast",
    "ZSTD_compressBlock_fast_dictMatchState",
    "ZSTD_compressBlock_fast_extDict",
    "ZSTD_compressBlock_btultra",
    "ZSTD_compressBlock_btultra_dictMatchState",
    "ZSTD_compressBlock_btultra_extDict",
    "ZSTD_compressSuperBlock",
    "ZSTD_fillHashTable",
    "ZSTD_ldm_blockCompress",
    "ZSTD_ldm_fillHashTable",
    "ZSTD_ldm_generateSequences",
    "ZSTD_ldm_skipSequences",
    "pthread_mutex_lock",
    "pthread_mutex_unlock",
    "ring_core_0_17_14__bn_sqr8x_internal",
    "ring_core_0_17_14__bn_sqrx8x_internal",
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_FULL").is_some() {
        let folder = env::var_os("OUT_DIR").expect("cargo names a folder for what is made here");
        pack_authorities(&Path::new(&folder).join("authorities.gz")).expect("that folder can be written to");
    }
    println!("cargo:rerun-if-env-changed=WISP_MUSL");
    println!("cargo:rustc-check-cfg=cfg(freestanding)");
    let musl_target = env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|libc| libc == "musl");
    let forced = env::var_os("CARGO_FEATURE_STATIC").is_some();
    if !musl_target && !forced {
        return;
    }
    println!("cargo:rustc-cfg=freestanding");
    if env::var_os("CARGO_FEATURE_FULL").is_some() {
        replace_parts_of_ring();
        for function in NEVER_CALLED {
            println!("cargo:rustc-link-arg-bins=-Wl,--wrap={function},--defsym=__wrap_{function}=abort");
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

/// Sends functions of ring to those of `src/sys/{curve,digest,square}.rs`. `tests/imds.rs` lets the shipped program meet
/// certificates of every kind that these have a part in.
fn replace_parts_of_ring() {
    const RING: &str = "ring_core_0_17_14__";
    for function in [
        "p256_point_mul_base",
        "p256_point_mul_base_vartime",
        "sha256_block_data_order_nohw",
        "sha512_block_data_order_nohw",
    ] {
        println!("cargo:rustc-link-arg-bins=-Wl,--wrap={RING}{function},--undefined=__wrap_{RING}{function}");
    }
    if env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|cpu| cpu == "x86_64") {
        let function = format!("{RING}bn_sqr8x_mont");
        println!("cargo:rustc-link-arg-bins=-Wl,--wrap={function},--undefined=__wrap_{function}");
    }
    for (hash, kinds) in [("sha256", ["ssse3", "avx", "hw"].as_slice()), ("sha512", &["avx", "hw"])] {
        let function = format!("{RING}{hash}_block_data_order");
        for kind in kinds {
            let (from, to) = (format!("{function}_{kind}"), format!("__wrap_{function}_nohw"));
            println!("cargo:rustc-link-arg-bins=-Wl,--wrap={from},--defsym=__wrap_{from}={to}");
        }
    }
}

/// Writes Mozilla's authorities as `src/fetch/trust.rs` reads them, 16 KB less than the library's table of them: a gzip
/// file of all names, then all keys, then all constraints, each behind its length in two bytes.
fn pack_authorities(path: &Path) -> io::Result<()> {
    const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255];
    let names = TLS_SERVER_ROOTS.iter().map(|authority| &authority.subject[..]);
    let keys = TLS_SERVER_ROOTS.iter().map(|authority| &authority.subject_public_key_info[..]);
    let constraints = TLS_SERVER_ROOTS.iter().map(|authority| authority.name_constraints.as_deref().unwrap_or(&[]));
    let mut bytes = Vec::new();
    for field in names.chain(keys).chain(constraints) {
        let length = u16::try_from(field.len()).map_err(io::Error::other)?;
        bytes.extend(length.to_be_bytes());
        bytes.extend(field);
    }
    let mut packed = HEADER.to_vec();
    packed.extend(miniz_oxide::deflate::compress_to_vec(&bytes, 10));
    packed.extend(crc32fast::hash(&bytes).to_le_bytes());
    packed.extend((bytes.len() as u32).to_le_bytes());
    fs::write(path, packed)
}

//! Links the program, and only the program (build scripts, proc-macros and tests stay as they are), against musl.
//!
//! With a `*-musl` target rustc brings the start files and the folder of the archive; the archive must be asked for,
//! because `std`, which does so elsewhere, is absent. A compiler without them (Debian's), and a `*-gnu` target with the
//! feature `static`, take both from the folder `WISP_MUSL`, by default that of Debian's `musl-dev`. Without either, nothing
//! is done and the program is an ordinary hosted one.

use std::env;
use std::path::Path;
use std::{fs, io};

use webpki_roots::TLS_SERVER_ROOTS;

/// Unwind tables: nothing unwinds (panic = "abort"), and they are 33 KB of each program. `strip -R` could remove them, but
/// the one of binutils loses the RELRO header by that.
const DISCARD: &str =
    "SECTIONS { /DISCARD/ : { *(.eh_frame) *(.gcc_except_table*) *(.comment) } } INSERT AFTER .rodata;";

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
    let folder = env::var("OUT_DIR").expect("cargo names a folder for what is made here");
    let script = Path::new(&folder).join("discard.ld");
    fs::write(&script, DISCARD).expect("that folder can be written to");
    println!("cargo:rustc-link-arg-bins=-Wl,--no-eh-frame-hdr,-T,{}", script.display());
    println!("cargo:rustc-link-arg-bins=-Wl,-z,relro,-z,now,--build-id=sha1,-z,pack-relative-relocs,-e,wisp_start");
    if musl_target && env::var_os("WISP_MUSL").is_none() {
        // By its file name: a `libc.so` beside it would be preferred to it.
        println!("cargo:rustc-link-arg-bins=-l:libc.a");
        return;
    }
    let cpu = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let folder = env::var("WISP_MUSL").unwrap_or_else(|_| format!("/usr/lib/{cpu}-linux-musl"));
    if !Path::new(&folder).join("rcrt1.o").exists() {
        println!("cargo:warning=no musl in {folder}: install musl-dev (or musl-dev:arm64), or set WISP_MUSL");
    }
    for argument in ["-nostdlib", "-nostartfiles", "-static-pie", "-Wl,--gc-sections"] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
    // A dependency that asks for `-lc` (the libc crate does, on aarch64) must get this one.
    println!("cargo:rustc-link-arg-bins=-L{folder}");
    for object in ["rcrt1.o", "crti.o", "libc.a", "crtn.o"] {
        println!("cargo:rustc-link-arg-bins={folder}/{object}");
    }
}

/// Writes Mozilla's authorities as `src/fetch/tls_config.rs` reads them, 16 KB less than the library's table of them: a gzip
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

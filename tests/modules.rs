//! What to load and in which order, against answers recorded from `modprobe`, and against malformed texts.

use wisp::text::modules::{Index, Load, Name};

/// From Debian's linux-image-6.1.0-cloud-amd64 after `depmod`, cut to some lines; one file compressed for the suffix.
const DEP: &[u8] = b"\
kernel/arch/x86/crypto/crc32c-intel.ko:
kernel/arch/x86/crypto/sha256-ssse3.ko:
kernel/crypto/blake2b_generic.ko:
kernel/crypto/ecb.ko:
kernel/crypto/xor.ko:
kernel/crypto/xts.ko:
kernel/crypto/xxhash_generic.ko:
kernel/drivers/block/virtio_blk.ko: kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/virtio/virtio.ko: kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/virtio/virtio_pci.ko: kernel/drivers/virtio/virtio_pci_legacy_dev.ko \
kernel/drivers/virtio/virtio_pci_modern_dev.ko kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/virtio/virtio_pci_legacy_dev.ko:
kernel/drivers/virtio/virtio_pci_modern_dev.ko:
kernel/drivers/virtio/virtio_ring.ko:
kernel/drivers/vfio/vfio.ko:
kernel/drivers/vfio/vfio_iommu_type1.ko: kernel/drivers/vfio/vfio.ko
kernel/fs/btrfs/btrfs.ko: kernel/crypto/xor.ko kernel/lib/raid6/raid6_pq.ko kernel/lib/zstd/zstd_compress.ko \
kernel/lib/libcrc32c.ko
kernel/fs/xfs/xfs.ko.xz: kernel/lib/libcrc32c.ko
kernel/lib/libcrc32c.ko:
kernel/lib/raid6/raid6_pq.ko:
kernel/lib/zstd/zstd_compress.ko:
";

const ALIAS: &[u8] = b"\
# Aliases extracted from modules themselves.
alias crypto-crc32c crc32c_intel
alias crc32c crc32c_intel
alias virtio:d00000002v* virtio_blk
alias pci:v00001AF4d*sv*sd*bc*sc*i* virtio_pci
alias fs-btrfs btrfs
alias fs-xfs xfs
alias crypto-blake2b-256 blake2b_generic
alias blake2b-256 blake2b_generic
alias sha256 sha256_ssse3
alias xxhash64 xxhash_generic
";

const SOFTDEP: &[u8] = b"\
# Soft dependencies extracted from modules themselves.
softdep btrfs pre: blake2b-256
softdep btrfs pre: crypto-crc32c
softdep xts pre: ecb
softdep libcrc32c pre: crc32c
softdep vfio post: vfio_iommu_type1 vfio_iommu_spapr_tce
softdep cifs gcm
";

const BUILTIN: &[u8] = b"\
kernel/fs/ext4/ext4.ko
kernel/drivers/nvme/host/nvme-core.ko
";

fn index() -> Index<'static> {
    let mut index = Index::new();
    index.add_dep(DEP);
    index.add_alias(ALIAS);
    index.add_softdep(SOFTDEP);
    index.add_builtin(BUILTIN);
    index
}

/// The names of what is loaded for `wanted`.
fn names<'a>(index: &Index<'a>, wanted: &str) -> Vec<&'a str> {
    index.resolve(wanted).iter().map(|load| Name::of_path(load.path).0).collect()
}

fn options(index: &Index<'_>, wanted: &str) -> String {
    index.resolve(wanted).pop().unwrap().options
}

/// Recorded: `modprobe -d ROOT -S 6.1.0-56-cloud-amd64 --show-depends NAME`, kmod 30.
#[test]
fn the_order_is_that_of_modprobe() {
    let index = index();
    for (wanted, expected) in [
        ("xfs", "crc32c-intel libcrc32c xfs"),
        ("btrfs", "crc32c-intel libcrc32c zstd_compress raid6_pq xor blake2b_generic btrfs"),
        ("virtio_blk", "virtio_ring virtio virtio_blk"),
        ("virtio-blk", "virtio_ring virtio virtio_blk"),
        ("virtio:d00000002v00001AF4", "virtio_ring virtio virtio_blk"),
        (
            "pci:v00001AF4d00001001sv00001AF4sd00000002bc01sc00i00",
            "virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci",
        ),
        ("crypto-crc32c", "crc32c-intel"),
        ("crypto_crc32c", "crc32c-intel"),
        ("xts", "ecb xts"),
        ("vfio", "vfio vfio_iommu_type1"),
        ("vfio_iommu_type1", "vfio vfio_iommu_type1"),
        ("ext4", ""),
        ("nvme_core", ""),
        ("virtio:d00000099v00001AF4", ""),
    ] {
        assert_eq!(names(&index, wanted).join(" "), expected, "{wanted}");
    }
}

#[test]
fn every_softdep_line_of_a_module_counts() {
    let mut index = index();
    index.add_softdep(b"softdep btrfs pre: sha256 xxhash64 post: xts\n");
    assert_eq!(
        names(&index, "btrfs"),
        [
            "crc32c-intel",
            "libcrc32c",
            "zstd_compress",
            "raid6_pq",
            "xor",
            "blake2b_generic",
            "sha256-ssse3",
            "xxhash_generic",
            "btrfs",
            "ecb",
            "xts"
        ]
    );
}

#[test]
fn the_path_is_as_written() {
    let load = Load { path: "kernel/fs/xfs/xfs.ko.xz", options: String::new() };
    assert_eq!(index().resolve("fs-xfs").last(), Some(&load));
    assert_eq!(Name::of_path("kernel/a/crc32c-intel.ko.zst"), Name("crc32c_intel"));
    assert_eq!(Name::of_path("/extra/x.ko"), Name("x"));
}

#[test]
fn what_is_there_or_built_in_is_contained() {
    let index = index();
    for wanted in ["xfs", "ext4", "nvme-core", "fs-btrfs", "virtio:d00000002v00000001"] {
        assert!(index.contains(wanted), "{wanted}");
    }
    for wanted in ["", "reiserfs", "virtio:d00000009v00000001", "kernel/fs/ext4/ext4.ko"] {
        assert!(!index.contains(wanted), "{wanted}");
    }
}

#[test]
fn a_blacklist_stops_aliases_but_neither_names_nor_dependencies() {
    let arguments = [
        ("modprobe.blacklist", "a,virtio-blk"),
        ("module_blacklist", "virtio_blk"),
        ("rd.driver.blacklist", "virtio_blk,"),
    ];
    for (key, value) in arguments {
        let mut index = index();
        index.add_argument(key, Some(value));
        assert_eq!(names(&index, "virtio:d00000002v00001AF4"), [""; 0], "{key}");
        assert_eq!(names(&index, "virtio_blk"), ["virtio_ring", "virtio", "virtio_blk"], "{key}");
    }
    let mut index = index();
    index.add_config(b"blacklist virtio_ring\nblacklist crc32c_intel # a comment is more words\n");
    assert_eq!(names(&index, "virtio:d00000002v00001AF4"), ["virtio_ring", "virtio", "virtio_blk"]);
    assert_eq!(names(&index, "xfs"), ["libcrc32c", "xfs"]);
}

#[test]
fn options_come_from_files_first_and_the_command_line_last() {
    let mut index = index();
    index.add_config(
        b"options virtio-blk  num_request_queues=4 \\\n\tqueue_depth=64\noptions virtio_blk name=\"a  b\"\n",
    );
    index.add_argument("virtio_blk.queue-depth", Some("1"));
    index.add_argument("virtio_blk.flag", None);
    index.add_argument("virtio_blk.text", Some("two words"));
    index.add_argument("root", Some("/dev/vda1"));
    let expected = "num_request_queues=4  \tqueue_depth=64 name=\"a  b\" queue-depth=1 flag text=\"two words\"";
    assert_eq!(options(&index, "virtio_blk"), expected);
    assert_eq!(options(&index, "virtio"), "");
}

#[test]
fn aliases_of_the_configuration_win() {
    let mut index = index();
    index.add_config(
        b"alias fs-* xts\nalias virtio_blk off\ninstall xfs /bin/false\nremove x y\nsoftdep ecb pre: xor\n",
    );
    assert_eq!(names(&index, "fs-xfs"), ["xor", "ecb", "xts"]);
    assert_eq!(names(&index, "virtio_blk"), [""; 0]);
    assert!(!index.contains("virtio_blk"));
    assert_eq!(names(&index, "xfs").last(), Some(&"xfs"), "install lines are not executed");
}

#[test]
fn one_alias_may_mean_several_modules() {
    let mut index = index();
    index.add_alias(b"alias sha256 xor\nalias sha* ecb\n");
    assert_eq!(names(&index, "sha256"), ["sha256-ssse3", "xor", "ecb"]);
}

#[test]
fn cycles_end() {
    let mut index = Index::new();
    index.add_dep(b"a.ko: b.ko a.ko\nb.ko: c.ko\nc.ko: a.ko\n");
    index.add_softdep(b"softdep c pre: x post: a\n");
    index.add_alias(b"alias x x\nalias x b\n");
    assert_eq!(names(&index, "a"), ["c", "b", "a"]);
}

#[test]
fn a_long_chain_ends_without_a_deep_stack() {
    let dep: String = (0..100_000).map(|at| format!("m{at}.ko: m{}.ko\n", at + 1)).collect();
    let mut index = Index::new();
    index.add_dep(dep.as_bytes());
    assert_eq!(names(&index, "m0").last(), Some(&"m0"));
    assert!(names(&index, "m0").len() < 100);
}

#[test]
fn lines_that_make_no_sense_are_left_out() {
    let mut index = Index::new();
    for text in [
        b"\xff\xfe: a.ko\n: b.ko\nno colon\n\n#x.ko:\n".as_slice(),
        b"alias\nalias one\nalias \xff x\nsoftdep\nsoftdep a\noptions\noptions a\nblacklist\nbl",
        b"alias [ a\nalias [a- a\nalias \\ a\nsoftdep a pre:\nsoftdep a : :\n\\\n\\",
    ] {
        index.add_dep(text);
        index.add_alias(text);
        index.add_softdep(text);
        index.add_builtin(text);
        index.add_config(text);
    }
    index.add_argument("", None);
    index.add_argument(".", Some(""));
    index.add_argument("modprobe.blacklist", None);
    for wanted in ["", "a", "one", "[", "x.ko", "\\"] {
        assert!(index.resolve(wanted).is_empty(), "{wanted}");
    }
}

/// Each text cut at every length and with every bit flipped: an answer, no panic.
#[test]
fn damaged_texts_still_give_an_answer() {
    for text in [DEP, ALIAS, SOFTDEP, BUILTIN, b"options a b=c \\\n d\nblacklist a\nalias a* b\nsoftdep a pre: b\n"] {
        for bit in 0..text.len() * 8 {
            let mut damaged = text.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            if bit % 8 == 0 {
                damaged.truncate(bit / 8);
            }
            let mut index = Index::new();
            index.add_dep(DEP);
            index.add_dep(&damaged);
            index.add_alias(&damaged);
            index.add_softdep(&damaged);
            index.add_builtin(&damaged);
            index.add_config(&damaged);
            let _ = (index.resolve("btrfs"), index.contains("virtio:d00000002v00001AF4"));
        }
    }
}

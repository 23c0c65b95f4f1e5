//! `wisp image info` as a user meets it. `WISP_UNDER_TEST` names the program, as in `program.rs`.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

#[path = "support/root.rs"]
mod root;
use root::Root;

fn program() -> std::ffi::OsString {
    std::env::var_os("WISP_UNDER_TEST").unwrap_or_else(|| env!("CARGO_BIN_EXE_wisp").into())
}

/// Runs a command of the shell in the folder, where `$WISP` is the program.
fn run(root: &Root, command: &str) -> Output {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(&root.0).env("WISP", program()).stdin(Stdio::null());
    // Where `sfdisk` and `mkfs` are, which an ordinary user's PATH may lack.
    shell.env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap()));
    shell.output().unwrap()
}

/// What it printed.
#[track_caller]
fn out(root: &Root, command: &str) -> String {
    let output = run(root, command);
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A disk of 64 MiB as images have it: the partitions out of order, the root behind the ESP.
const GPT: &str = "truncate -s 64M disk.raw && sfdisk -q disk.raw <<'END'
label: gpt
14: start=2048, size=1MiB, type=21686148-6449-6E6F-744E-656564454649
15: start=4096, size=8MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=\"EFI\"
1: start=20480, size=53MiB, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709
2: start=129024, size=512KiB, type=01234567-89AB-CDEF-0123-456789ABCDEF
END
truncate -s 8M fat && mkfs.fat -i 2AB3AF4D -n UEFI fat >/dev/null
truncate -s 53M root && mkfs.ext4 -q -L 'the root' -U 7cd0ab37-072f-40df-b882-31345ecb84b9 root
dd if=fat of=disk.raw bs=1M seek=2 conv=notrunc,sparse status=none
dd if=root of=disk.raw bs=1M seek=10 conv=notrunc,sparse status=none";

const PARTITIONS: &str = "
    1      53 MiB from 10 MiB      Linux root (x86-64)                   ext4 \"the root\" 7cd0ab37-072f-40df-b882-31345ecb84b9
    2     512 KiB from 63 MiB      01234567-89ab-cdef-0123-456789abcdef
   14       1 MiB from 1 MiB       BIOS boot
   15       8 MiB from 2 MiB       EFI system                            vfat \"UEFI\" 2AB3-AF4D
";

#[test]
fn an_image_is_described_in_text() {
    let root = Root::empty("words");
    out(&root, GPT);
    out(
        &root,
        "qemu-img convert -t unsafe -f raw -O qcow2 -c disk.raw disk.qcow2; gzip -1k disk.raw; zstd -q disk.raw.gz",
    );
    let text = out(&root, "$WISP image info disk.raw");
    let facts = "disk.raw\n  format      raw\n  disk        64 MiB (67108864 bytes), ";
    assert!(text.starts_with(facts) && text.ends_with(PARTITIONS), "{text}");
    assert!(
        text.contains("\n  source      64 MiB (67108864 bytes)\n  table       gpt, for sectors of 512 bytes\n"),
        "{text}"
    );
    let text = out(&root, "$WISP image info disk.qcow2");
    let facts = "disk.qcow2\n  format      qcow2, version 3\n  disk        64 MiB (67108864 bytes), ";
    assert!(text.starts_with(facts) && text.ends_with(PARTITIONS), "{text}");
    // Of a stream only the beginning is read, whatever its length.
    let text = out(&root, "cat disk.raw.gz.zst | $WISP image info -");
    let facts = "standard input\n  format      raw, in gzip, in zstd\n  disk        known at its end only\n";
    assert!(text.starts_with(facts) && text.contains("15       8 MiB from 2 MiB       EFI system\n"), "{text}");
    let text = out(&root, "$WISP image info root");
    assert!(
        text.ends_with("  table       none\n  holds       ext4 \"the root\" 7cd0ab37-072f-40df-b882-31345ecb84b9\n")
    );
}

#[test]
fn an_image_is_described_in_json() {
    let root = Root::empty("json");
    out(&root, GPT);
    out(&root, "gzip -1k disk.raw");
    let text = out(&root, "$WISP image info --json --sha256 $(sha256sum disk.raw.gz | cut -c-64) disk.raw.gz");
    let size = std::fs::metadata(root.0.join("disk.raw.gz")).unwrap().len();
    let facts = format!(
        "{{\"source\":\"disk.raw.gz\",\"source_size\":{size},\"format\":\"raw\",\"variant\":null,\
         \"compression\":[\"gzip\"],\"size\":67108864,\"data\":null,\"verified\":true,\"sector\":512,\"table\":\"gpt\",\
         \"partitions\":[{{\"number\":1,\"start\":10485760,\"size\":55574528,\
         \"type\":\"4f68bce3-e8cd-4db1-96e7-fbcaf984b709\",\"title\":\"Linux root (x86-64)\",\"name\":null,\
         \"filesystem\":null,\"label\":null,\"uuid\":null}},"
    );
    assert!(text.starts_with(&facts), "{text}");
    let esp = "\"name\":\"EFI\",\"filesystem\":null,\"label\":null,\"uuid\":null}],\"holds\":null,\"notes\":[]}\n";
    assert!(text.ends_with(esp), "{text}");
    let text = out(&root, "$WISP image info --json root");
    let holds = "\"sector\":null,\"table\":null,\"partitions\":[],\"holds\":{\"filesystem\":\"ext4\",\
                 \"label\":\"the root\",\"uuid\":\"7cd0ab37-072f-40df-b882-31345ecb84b9\"},\"notes\":[]}\n";
    assert!(text.ends_with(holds), "{text}");
}

#[test]
fn an_old_table_and_larger_sectors_are_described() {
    let root = Root::empty("tables");
    let dos = "truncate -s 64M dos && printf 'label: dos\n2048,8M,c\n20480,16M,5\n22528,1M,82\n' | sfdisk -q dos";
    out(&root, dos);
    let text = out(&root, "$WISP image info dos");
    let lines = "\n    1       8 MiB from 1 MiB       FAT32\n    2      16 MiB from 10 MiB      extended\n    \
                 5       1 MiB from 11 MiB      Linux swap\n";
    assert!(text.contains("  table       dos\n") && text.ends_with(lines), "{text}");
    // What is behind the beginning of a stream is not made up.
    let text = out(&root, "gzip -c dos | $WISP image info -");
    assert!(text.contains("  note  ") && text.contains("only its first 2 MiB"), "{text}");
    // As a disk with sectors of 4096 bytes has it.
    out(&root, "truncate -s 64M large && printf 'EFI PART' | dd of=large bs=4096 seek=1 conv=notrunc status=none");
    out(&root, "printf '\\356' | dd of=large bs=1 seek=450 conv=notrunc status=none");
    out(&root, "printf '\\125\\252' | dd of=large bs=1 seek=510 conv=notrunc status=none");
    assert!(out(&root, "$WISP image info --json large").contains("\"sector\":4096,"));
}

#[test]
fn what_cannot_be_described_ends_with_its_reason() {
    let root = Root::empty("errors");
    out(&root, "head -c 1M /dev/urandom > disk; printf QED > qed; head -c 600 /dev/zero >> qed; : > empty");
    out(&root, "printf 'QED\\0' | dd of=qed conv=notrunc status=none");
    for (words, code, why) in [
        ("", 2, "SOURCE is missing"),
        ("''", 2, "SOURCE is empty"),
        ("disk disk", 2, "one SOURCE is enough"),
        ("--sha256 0 disk", 2, "64 hexadecimal digits are meant"),
        ("--all disk", 2, "unknown option"),
        ("none", 3, "open the image none: there is nothing of that name"),
        ("qed", 4, "its format, QED, is not read"),
        (".", 1, "is a directory"),
        ("empty", 6, "read the image empty: it is empty"),
        ("ftp://a/b", 4, "only http and https are spoken"),
        ("http://me:secret@a/b", 2, "a user or password in it is not sent"),
        ("--sha256 $(sha256sum empty | cut -c-64) disk", 6, "read the image disk: its SHA-256 is "),
    ] {
        let output = run(&root, &format!("$WISP image info {words}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words}: {said}");
        assert!(said.contains(why) && !said.contains("secret"), "{words}: {said}");
        assert!(output.stdout.is_empty(), "{words}");
    }
    for (words, code, kind) in [("none", 3, "absent"), ("qed", 4, "unsupported"), ("empty", 6, "refused")] {
        let output = run(&root, &format!("$WISP image info --json {words}"));
        let said = String::from_utf8_lossy(&output.stderr);
        let why = said.strip_prefix("wisp: ").unwrap().trim_end();
        let wanted = format!("{{\"event\":\"failed\",\"kind\":\"{kind}\",\"why\":\"{why}\"}}\n");
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned()), (Some(code), wanted));
    }
}

/// 128 MiB in an address space of 40 MiB, as `decode` has it: whatever the image, so much goes through the same memory.
#[test]
fn memory_is_bounded() {
    let root = Root::empty("memory");
    out(&root, "head -c 128M /dev/zero | tr '\\0' x > disk; gzip -1k disk; xz -1kT1 disk; zstd -qk disk");
    out(&root, "qemu-img convert -t unsafe -f raw -O qcow2 -c -o cluster_size=2M disk disk.qcow2");
    for name in ["disk", "disk.gz", "disk.xz", "disk.zst", "disk.qcow2"] {
        let command =
            format!("ulimit -v 40960; $WISP image info --json --sha256 $(sha256sum {name} | cut -c-64) {name}");
        let text = out(&root, &command);
        assert!(text.contains("\"size\":134217728,") && text.contains("\"verified\":true"), "{name}: {text}");
    }
}

/// No program listens at port 1 of this machine: a person at a prompt must not wait five minutes for that.
#[test]
fn a_server_that_refuses_connections_is_reported_within_ten_seconds() {
    for (arguments, most) in [(&["image", "info"][..], 11), (&["image", "info", "--timeout", "1"], 3)] {
        let started = std::time::Instant::now();
        let output =
            Command::new(program()).args(arguments).arg("http://127.0.0.1:1/x").output().expect("the program starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains("connection refused (ECONNREFUSED)") && said.contains("trying again for up to"),
            "{said}"
        );
        assert!(started.elapsed().as_secs() <= most, "{arguments:?}: {:?}", started.elapsed());
    }
}

/// Each kind of error has an exit code of its own; that of an answer over HTTP is 7.
#[test]
fn the_status_of_a_server_that_refuses_is_printed() {
    let root = Root::empty("refused");
    for status in ["403 Forbidden", "404 Not Found"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 2048]);
                let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        });
        let output = run(&root, &format!("$WISP image info http://{address}/disk.raw"));
        let printed = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(7), "{printed}");
        assert!(printed.contains(&format!("answered {}", &status[..3])) && printed.lines().count() == 1, "{printed}");
    }
}

//! `imds` as scripts call it, on a machine that has all its metadata in a seed: what is printed, and the exit codes.
//!
//! `WISP_UNDER_TEST` names the program; without it, it is the hosted one that cargo just built.
#![cfg(feature = "full")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const KEYS: [&str; 2] = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPCQ one", "ssh-rsa AAAAB3NzaC1yc2E two"];

/// A machine's files, gone when the test is over.
struct Machine(PathBuf);

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Machine {
    /// One with a seed of this meta-data and user-data.
    fn new(name: &str, meta: &str, user: &[u8]) -> Self {
        let machine = Self::without_cloud(name);
        let seed = machine.0.join("var/lib/cloud/seed/nocloud");
        fs::create_dir_all(&seed).unwrap();
        fs::write(seed.join("meta-data"), meta).unwrap();
        fs::write(seed.join("user-data"), user).unwrap();
        machine
    }

    fn without_cloud(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("wisp-imds-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("proc")).unwrap();
        fs::write(root.join("proc/cmdline"), "quiet\n").unwrap();
        Self(root)
    }

    fn usual(name: &str) -> Self {
        let meta = format!(
            "instance-id: i-1\nhostname: web.example.com\nlocal-hostname: web\n\
             public-keys:\n  - '{}'\n  - '{}'\n  - '{0}'\na:\n  b: 0755\n  c: [x, y]\n",
            KEYS[1], KEYS[0]
        );
        Self::new(name, &meta, b"#!/bin/sh\necho hello\n")
    }

    fn program(&self) -> Command {
        let path = std::env::var_os("WISP_UNDER_TEST").unwrap_or_else(|| env!("CARGO_BIN_EXE_wisp").into());
        let mut command = Command::new(path);
        command.stdin(Stdio::null()).env_remove("CLOUD");
        command
    }

    /// Exit code, standard output, standard error.
    fn imds(&self, items: &[&str]) -> (i32, String, String) {
        let mut command = self.program();
        command.arg("imds").arg("--root").arg(&self.0).args(items);
        finish(&mut command)
    }
}

fn finish(command: &mut Command) -> (i32, String, String) {
    let output = command.output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("the program prints UTF-8");
    (output.status.code().expect("it ends by itself"), text(output.stdout), text(output.stderr))
}

#[test]
fn items_are_printed_as_they_are_from_left_to_right() {
    let machine = Machine::usual("items");
    let keys = format!("{}\n{}\n", KEYS[0], KEYS[1]);
    for (items, wanted) in [
        (&["@hostname"][..], "web.example.com"),
        (&["@local-hostname", "+n", "+s", "+t", "@hostname"], "web\n \tweb.example.com"),
        (&["@hostname", "+n", "@ssh-keys"], &format!("web.example.com\n{keys}")),
        (&["@userdata"], "#!/bin/sh\necho hello\n"),
        (&["user-data"], "#!/bin/sh\necho hello\n"),
        (&["meta-data/a/b", "+s", "meta-data/a/c/1"], "0755 y"),
        (&["meta-data/a", "meta-data/a/c"], "b\nc\n0\n1\n"),
        (&["meta-data/"], "instance-id\nhostname\nlocal-hostname\npublic-keys\na\n"),
        (&["meta-data/a/b and-more"], "0755"),
        (&[], ""),
        (&["@local-hostname", "", "@hostname"], "web"),
    ] {
        assert_eq!(machine.imds(items), (0, wanted.to_owned(), String::new()), "{items:?}");
    }
}

#[test]
fn a_failed_lookup_ends_it_unless_it_is_to_be_skipped() {
    let machine = Machine::usual("failures");
    for (items, code, wanted, lines) in [
        (&["@local-hostname", "meta-data/none", "@hostname"][..], 1, "web", 1),
        (&["-e", "meta-data/none", "@local-hostname"], 0, "web", 1),
        (&["-e", "meta-data/none", "+e", "@local-hostname", "meta-data/none", "@hostname"], 1, "web", 2),
        (&["-E", "meta-data/none"], 1, "", 0),
        (&["-E", "-e", "meta-data/none", "+E", "none/a"], 0, "", 1),
        (&["-h-later", "-h"], 1, "", 1),
        (&["@nic:no-such-interface,@mac"], 1, "", 1),
        (&["vendor-data"], 1, "", 1),
    ] {
        let (got, out, err) = machine.imds(items);
        assert_eq!((got, out.as_str(), err.lines().count()), (code, wanted, lines), "{items:?}: {err}");
    }
}

#[test]
fn metadata_that_cannot_be_opened_fails_at_the_first_lookup() {
    let machine = Machine::without_cloud("unopened");
    fs::write(machine.0.join("proc/cmdline"), "ds=nocloud;s=/no/such/seed/\n").unwrap();
    for (items, code, wanted, lines) in [
        (&["+n", "+s"][..], 0, "\n ", 0),
        (&["+n", "@hostname", "+n"], 1, "\n", 1),
        (&["-e", "@hostname", "+n", "@userdata"], 0, "\n", 2),
        (&["-E", "-e", "@hostname", "+n", "user-data"], 0, "\n", 0),
    ] {
        let (got, out, err) = machine.imds(items);
        assert_eq!((got, out.as_str(), err.lines().count()), (code, wanted, lines), "{items:?}: {err}");
    }
    let (code, out, err) = machine.imds(&["--json"]);
    assert_eq!((code, out.as_str(), err.lines().count()), (3, "", 1), "{err}");
}

#[test]
fn of_several_seeds_the_nearest_key_and_the_last_file_count() {
    let machine = Machine::usual("merged");
    let other = machine.0.join("other");
    fs::create_dir_all(&other).unwrap();
    fs::write(other.join("meta-data"), "instance-id: other\nlocal-hostname: other\nregion: r\n").unwrap();
    fs::write(other.join("user-data"), "#!/bin/true\n").unwrap();
    // Below the root, as every path.
    fs::write(machine.0.join("proc/cmdline"), "ds=NoCloud;h=word;hostname=own;s=/other\n").unwrap();
    let own = fs::read_to_string(machine.0.join("var/lib/cloud/seed/nocloud/meta-data")).unwrap();
    for (items, wanted) in [
        (&["@local-hostname", "+n", "@hostname"][..], "word\nown"),
        (&["meta-data/instance-id", "+s", "meta-data/region"], "i-1 r"),
        (&["@userdata"], "#!/bin/true\n"),
        (&["meta-data"], &format!("local-hostname: word\nhostname: own\n{own}")),
    ] {
        assert_eq!(machine.imds(items), (0, wanted.to_owned(), String::new()), "{items:?}");
    }
}

#[test]
fn a_bad_line_of_meta_data_costs_neither_the_other_lines_nor_the_other_files() {
    for (name, meta) in [
        ("tab", &b"instance-id: i-1\n\tlocal-hostname: web\n"[..]),
        ("tab-value", b"instance-id:\ti-1\n"),
        ("nul", b"instance-id: i-1\nmotd: a\0\x1a\x0c\n"),
        ("at", b"owner: @me\nmotd: %d\ndescription: foo: bar\ninstance-id: i-1\n"),
        ("latin", b"# caf\xe9\ninstance-id: i-1\n"),
    ] {
        let machine = Machine::new(name, "", b"#!/bin/sh\n");
        fs::write(machine.0.join("var/lib/cloud/seed/nocloud/meta-data"), meta).unwrap();
        let (code, out, err) = machine.imds(&["meta-data/instance-id", "+s", "@userdata"]);
        assert_eq!((code, out.as_str()), (0, "i-1 #!/bin/sh\n"), "{name}: {err}");
        assert!(err.contains("meta-data"), "{name}: a warning: {err}");
    }
}

#[test]
fn a_file_that_cannot_be_read_costs_only_itself() {
    for broken in ["user-data", "vendor-data", "network-config"] {
        let machine = Machine::usual(broken);
        let path = machine.0.join("var/lib/cloud/seed/nocloud").join(broken);
        let _ = fs::remove_file(&path);
        fs::create_dir(&path).unwrap();
        let (code, out, err) = machine.imds(&["@hostname"]);
        assert_eq!((code, out.as_str(), err.as_str()), (0, "web.example.com", ""), "{broken}");
        let (code, _, err) = machine.imds(&["@userdata"]);
        assert_eq!(code != 0, broken == "user-data", "{broken}: {err}");
    }
}

#[test]
fn a_seed_on_a_server_needs_no_file_but_meta_data() {
    use std::io::Read as _;
    for status in [301, 401, 403, 404, 500] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut heard = [0; 2048];
                let length = stream.read(&mut heard).unwrap_or(0);
                let heard = String::from_utf8_lossy(&heard[..length]).into_owned();
                let (status, body) = match heard.split(' ').nth(1).unwrap_or_default() {
                    "/meta-data" => (200, "instance-id: i-1\n"),
                    "/user-data" => (200, "#!/bin/sh\n"),
                    _ => (status, ""),
                };
                let reply =
                    format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
                let _ = stream.write_all(reply.as_bytes());
            }
        });
        let machine = Machine::without_cloud(&format!("served-{status}"));
        fs::write(machine.0.join("proc/cmdline"), format!("ds=nocloud;s=http://{address}/\n")).unwrap();
        let started = std::time::Instant::now();
        let (code, out, err) = machine.imds(&["meta-data/instance-id", "+s", "@userdata"]);
        assert_eq!(
            (code, out.as_str(), err.as_str()),
            (0, "i-1 #!/bin/sh\n", ""),
            "{status}: vendor-data is not asked"
        );
        let (_, out, err) = machine.imds(&["-e", "vendor-data", "network-config", "@userdata"]);
        assert_eq!(out, "#!/bin/sh\n", "{status}: {err}");
        assert!(started.elapsed() < std::time::Duration::from_secs(15), "{status}");
    }
}

#[test]
fn a_cloud_that_the_configuration_names_and_that_has_no_seed_gives_no_value() {
    let machine = Machine::without_cloud("seedless");
    fs::create_dir_all(machine.0.join("etc")).unwrap();
    fs::write(machine.0.join("etc/wisp.conf"), "CLOUD=nocloud\n").unwrap();
    let (code, out, err) = machine.imds(&["-e", "@hostname", "@ssh-keys"]);
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
    assert!(err.contains("find the seed of NoCloud: no word, folder or volume has it"), "{err}");
    assert_eq!(machine.imds(&["@hostname"]).0, 1);
}

#[test]
fn a_value_that_cannot_be_written_is_no_success() {
    let machine = Machine::usual("full");
    let mut command = machine.program();
    command.arg("imds").arg("--root").arg(&machine.0).arg("@userdata");
    let output = command.stdout(fs::File::create("/dev/full").unwrap()).stderr(Stdio::piped()).spawn().unwrap();
    let output = output.wait_with_output().unwrap();
    assert!(output.status.code() == Some(1) && !output.stderr.is_empty(), "{output:?}");
}

#[test]
fn the_name_alone_is_enough() {
    let machine = Machine::usual("name");
    let mut command = machine.program();
    command.arg0("/bin/imds").arg(format!("--root={}/", machine.0.display())).arg("@local-hostname");
    assert_eq!(finish(&mut command), (0, "web".to_owned(), String::new()));
    for option in ["-h", "--help"] {
        let (code, out, err) = finish(machine.program().arg0("imds").arg(option));
        assert!(code == 0 && err.is_empty() && out.contains("Usage: imds"), "{out}");
    }
}

/// What is closed must not become a connection or a disk that messages are written into.
#[test]
fn closed_descriptors_have_no_owner() {
    let machine = Machine::usual("closed");
    let program = machine.program().get_program().to_owned();
    let shell = |redirect: &str| {
        let line = format!("exec \"$0\" imds --root \"$1\" @hostname meta-data/none +n @local-hostname {redirect}");
        let mut command = Command::new("sh");
        command.args(["-c", &line]).arg(&program).arg(&machine.0).stdin(Stdio::null()).env_remove("CLOUD");
        finish(&mut command)
    };
    assert_eq!(shell("2>&-"), (1, "web.example.com".to_owned(), String::new()));
    let (code, out, err) = shell(">&-");
    assert_eq!((code, out.as_str(), err.lines().count()), (1, "", 1), "{err}");
    // The hosted program does not see the closed descriptor: Rust's std opens /dev/null there before `main`.
    let hosted = std::env::var_os("WISP_UNDER_TEST").is_none();
    let first = if hosted { "meta-data/none" } else { "@hostname: write standard output: bad file descriptor (EBADF)" };
    assert!(err.contains(first), "{err}");
}

/// The answer needs no cloud, so none is asked.
#[test]
fn an_unknown_item_is_a_usage_error_before_any_lookup() {
    let machine = Machine::usual("unknown");
    for (items, hint) in [
        (&["+n", "@hostnam"][..], "@hostnam: unknown item, did you mean @hostname?"),
        (&["--hostname"], "--hostname: unknown item, did you mean @hostname?"),
        (&["@local-hostname", "@"], "@: unknown item; items are @hostname"),
        (&["--timeout"], "--timeout: its value is missing"),
        (&["--timeout=0", "@hostname"], "--timeout 0: not a number of seconds from 1 to 86400"),
    ] {
        let (code, out, err) = machine.imds(items);
        assert_eq!((code, out.as_str(), err.lines().count()), (2, "", 1), "{items:?}: {err}");
        assert!(err.contains(hint), "{items:?}: {err}");
    }
}

#[test]
fn a_service_that_refuses_connections_is_given_up_within_ten_seconds() {
    let machine = Machine::without_cloud("refused");
    // No program listens at port 1 of this machine.
    fs::write(machine.0.join("proc/cmdline"), "ds=nocloud;s=http://127.0.0.1:1/\n").unwrap();
    for (items, least, most) in [(&["@hostname"][..], 2, 11), (&["--timeout", "1", "@hostname"], 0, 4)] {
        let started = std::time::Instant::now();
        let (code, out, err) = machine.imds(items);
        let spent = started.elapsed().as_secs();
        assert_eq!((code, out.as_str()), (1, ""), "{err}");
        assert!(err.contains("connection refused (ECONNREFUSED)"), "{err}");
        assert!((least..=most).contains(&spent), "{items:?}: {spent} s");
    }
}

#[test]
fn a_machine_of_no_cloud_is_reported_before_any_item() {
    let machine = Machine::without_cloud("none");
    let (code, out, err) = machine.imds(&["+n", "@hostname"]);
    assert_eq!((code, out.as_str(), err.lines().count()), (2, "", 1), "{err}");
    let (code, out, err) = finish(machine.program().env("CLOUD", "cumulus").args(["imds", "+n"]));
    assert_eq!((code, out.as_str(), err.lines().count()), (2, "", 1), "{err}");
    assert!(err.contains("cumulus") && err.contains("hetzner"), "{err}");
}

#[test]
fn json_has_every_field() {
    let machine = Machine::usual("json");
    let wanted = format!(
        "{{\"cloud\":\"nocloud\",\"instance-id\":\"i-1\",\"hostname\":\"web.example.com\",\"region\":null,\"zone\":null,\
         \"ssh-keys\":[{{\"user\":null,\"key\":\"{}\"}},{{\"user\":null,\"key\":\"{}\"}}],\"nics\":[]}}\n",
        KEYS[0], KEYS[1]
    );
    assert_eq!(machine.imds(&["--json"]), (0, wanted, String::new()));
}

/// A server with TLS and the authority that vouches for it; gone when the test is over.
struct Tls {
    folder: PathBuf,
    server: std::process::Child,
    port: u16,
}

impl Drop for Tls {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Tls {
    /// Serves a seed from a folder, with keys of these kinds for the authority and for the server.
    fn serve(name: &str, authority: &str, key: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("wisp-imds-server-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let openssl = |arguments: &str| {
            let output = Command::new("openssl").args(arguments.split(' ')).current_dir(&folder).output();
            let output = output.expect("openssl is installed");
            assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
        };
        fs::write(folder.join("leaf.cnf"), "subjectAltName = DNS:localhost\nbasicConstraints = CA:false\n").unwrap();
        openssl(&format!("genpkey {authority} -out ca.key"));
        openssl("req -x509 -new -key ca.key -sha384 -days 30 -subj /CN=test -out ca.pem");
        openssl(&format!("genpkey {key} -out leaf.key"));
        openssl("req -new -key leaf.key -subj /CN=leaf -out leaf.csr");
        openssl("x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -sha256 -days 30 -extfile leaf.cnf -out leaf.pem");
        fs::write(folder.join("meta-data"), "instance-id: i-1\nlocal-hostname: over-tls\n").unwrap();
        let mut server = Command::new("openssl")
            .args("s_server -WWW -cert leaf.pem -key leaf.key -accept 127.0.0.1:0".split(' '))
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is installed");
        // It says where it listens when it does.
        let mut said = BufReader::new(server.stdout.take().unwrap()).lines().map(Result::unwrap);
        let port = said.find_map(|line| line.strip_prefix("ACCEPT 127.0.0.1:")?.parse().ok()).expect("a port");
        std::thread::spawn(move || said.for_each(drop));
        Self { folder, server, port }
    }
}

/// The shipped program has parts of its TLS from elsewhere (`build.rs`), so it is the one that must show its handshakes.
#[test]
fn a_seed_is_read_over_tls_from_the_verified_server_only() {
    const P256: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";
    const P384: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-384";
    for (name, authority, key) in [
        ("ec", P384, P256),
        ("ec384", P256, P384),
        ("rsa", "-algorithm RSA -pkeyopt rsa_keygen_bits:4096", "-algorithm RSA -pkeyopt rsa_keygen_bits:2048"),
    ] {
        let tls = Tls::serve(name, authority, key);
        let machine = Machine::without_cloud(&format!("tls-{name}"));
        let ask = |host: &str, authorities: &str| {
            let words = format!("ds=nocloud;s=https://{host}:{}/ wisp.metadata_deadline=5\n", tls.port);
            fs::write(machine.0.join("proc/cmdline"), words).unwrap();
            let mut command = machine.program();
            command.args(["imds", "--root"]).arg(&machine.0).arg("@hostname");
            finish(command.env("SSL_CERT_FILE", tls.folder.join(authorities)))
        };
        assert_eq!(ask("localhost", "ca.pem"), (0, "over-tls".to_owned(), String::new()), "{name}");
        let (code, out, err) = ask("127.0.0.1", "ca.pem");
        assert!(code == 1 && out.is_empty() && err.contains("for another name"), "{name}: {err}");
        let (code, out, err) = ask("localhost", "leaf.pem");
        assert!(code == 1 && out.is_empty() && !err.is_empty(), "{name}: {err}");
    }
}

#[test]
fn user_data_is_saved_unpacked_and_for_root_alone() {
    let mut gzip =
        Command::new("gzip").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("gzip is installed");
    gzip.stdin.take().unwrap().write_all(b"#!/bin/sh\n# packed\n").unwrap();
    let packed = gzip.wait_with_output().unwrap().stdout;
    let machine = Machine::new("save", "instance-id: i-1\n", &packed);
    let path = machine.0.join("var/lib/cloud/user-data");
    for _ in 0..2 {
        assert_eq!(machine.imds(&["--save"]), (0, String::new(), String::new()));
        assert_eq!(fs::read(&path).unwrap(), b"#!/bin/sh\n# packed\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    }
    // The folders are made where they are missing; all paths are below the root.
    fs::create_dir_all(machine.0.join("etc")).unwrap();
    fs::write(machine.0.join("etc/wisp.conf"), "TINY_CLOUD_VAR=/a/b\n").unwrap();
    assert_eq!(machine.imds(&["--save"]).0, 0);
    assert_eq!(fs::metadata(machine.0.join("a/b")).unwrap().permissions().mode() & 0o7777, 0o755);
    fs::remove_dir_all(machine.0.join("etc")).unwrap();
    // Damaged user-data leaves what was saved before, and is kept as it came for anyone who wants to know what it was.
    fs::write(machine.0.join("var/lib/cloud/seed/nocloud/user-data"), &packed[..packed.len() - 1]).unwrap();
    let (code, _, err) = machine.imds(&["--save"]);
    assert_eq!((code, err.lines().count()), (5, 1), "{err}");
    assert_eq!(fs::read(&path).unwrap(), b"#!/bin/sh\n# packed\n");
    let raw = path.with_extension("raw");
    assert_eq!(fs::read(&raw).unwrap(), packed[..packed.len() - 1]);
    assert_eq!(fs::metadata(&raw).unwrap().permissions().mode() & 0o7777, 0o600);
    let names: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "no temporary file stays: {names:?}");
}

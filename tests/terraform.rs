//! The modules of `terraform/`: Terraform's own tests of them, cloud-init's judgement of what they make, and their two
//! scripts at work: the one of stage one as far as a machine that is not to be overwritten can go, the one that makes a
//! snapshot against a cloud that is played here. Providers are not there: of them `tests/terraform/providers.json` has the
//! attributes of the resources in use, as their documentation lists them, and Terraform's mocks the rest.

#[path = "support/root.rs"]
mod root;
#[path = "support/skip.rs"]
mod skip;

use root::Root;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::panic::{self, AssertUnwindSafe};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::thread;

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

/// Of nothing.
const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What a program said on both its outputs; it must have succeeded.
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {text}", output.status);
    text
}

impl Root {
    /// Terraform in the module, with its own files in this root. The first call may have to fetch it.
    fn terraform(&self, arguments: &[&str]) -> Output {
        static FETCHED: OnceLock<()> = OnceLock::new();
        let program = format!("{REPOSITORY}/tests/terraform/terraform");
        FETCHED.get_or_init(|| _ = said(&Command::new(&program).arg("version").output().unwrap()));
        let mut command = Command::new(&program);
        command.args(arguments).current_dir(format!("{REPOSITORY}/terraform/cloud-init"));
        command.env("TF_DATA_DIR", self.join("data")).output().unwrap()
    }

    /// What Terraform's own tests of a module say that needs providers, with its own files in this root.
    fn mocked(&self, module: &str, variables: &[(&str, &str)]) -> String {
        let run = |arguments: &[&str]| {
            let mut command = Command::new(format!("{REPOSITORY}/tests/terraform/provider"));
            command.args(arguments).current_dir(format!("{REPOSITORY}/terraform/{module}"));
            said(&command.env("TF_DATA_DIR", self.join(module)).envs(variables.iter().copied()).output().unwrap())
        };
        run(&["init", "-backend=false", "-input=false"]);
        run(&["validate", "-no-color"]);
        run(&["test", "-no-color"])
    }

    /// The cloud-config that the module makes of these variables.
    fn render(&self, variables: &[(&str, &str)]) -> String {
        let state = format!("-state={}", self.join("state").display());
        let given = [("name", "test"), ("wisp_sha256", DIGEST), ("wisp_url", "https://images.example/wisp")];
        let given = given.iter().chain(variables).map(|(name, value)| format!("-var={name}={value}"));
        let given: Vec<String> = given.collect();
        let mut arguments = vec!["apply", "-input=false", "-auto-approve", "-no-color", &state];
        arguments.extend(given.iter().map(String::as_str));
        said(&self.terraform(&arguments));
        said(&self.terraform(&["output", "-raw", &state, "cloud_init"]))
    }

    fn mode(&self, path: &str) -> u32 {
        fs::metadata(self.join(path)).unwrap_or_else(|error| panic!("{path}: {error}")).permissions().mode() & 0o7777
    }
}

#[test]
fn they_are_formatted_valid_and_pass_terraforms_own_tests() {
    let root = Root::empty("own");
    assert_eq!(said(&root.terraform(&["fmt", "-check", "-diff", "-recursive", ".."])), "");
    said(&root.terraform(&["init", "-backend=false", "-input=false"]));
    said(&root.terraform(&["validate", "-no-color"]));
    let told = said(&root.terraform(&["test", "-no-color"]));
    assert!(told.contains("Success! ") && !told.contains("Success! 0 passed"), "{told}");
}

#[test]
fn cloud_init_accepts_what_they_make_and_makes_the_files_of_it() {
    let root = Root::empty("cloud-init");
    let url = "https://images.example/a.qcow2?key=%20$HOME&b=#1";
    let image = [("image", url), ("image_sha256", DIGEST), ("user", "looker"), ("hashed_passwd", "$6$salt$hash")];
    let context = [("context", "./tests/context"), ("volume_dev", "/dev/disk/by-id/scsi-0HC_Volume_1")];
    for (folder, variables) in [("image", image.as_slice()), ("context", &context)] {
        root.write(&format!("{folder}.yaml"), &root.render(variables));
        fs::create_dir(root.join(folder)).unwrap();
        let judge = format!("{REPOSITORY}/tests/terraform/cloud-init");
        let told = said(
            &Command::new(judge).args([format!("{folder}.yaml"), folder.into()]).current_dir(&root.0).output().unwrap(),
        );
        assert!(told.starts_with("Valid cloud-config"), "{told}");

        let script = format!("{folder}/usr/local/sbin/wisp-image");
        assert_eq!(
            root.read(&script),
            fs::read_to_string(format!("{REPOSITORY}/terraform/cloud-init/wisp-image")).unwrap()
        );
        let settings = format!("{folder}/usr/local/lib/wisp-image/settings");
        let unit = format!("{folder}/etc/systemd/system/wisp-image.service");
        assert_eq!([root.mode(&script), root.mode(&settings), root.mode(&unit)], [0o700, 0o600, 0o644]);
        let verified = Command::new("systemd-analyze").arg("verify").arg(root.join(&unit)).output().unwrap();
        let verified = String::from_utf8(verified.stderr).unwrap();
        assert!(!verified.contains("wisp-image.service:"), "{verified}");
    }
    let shell = "set -eu; . ./settings; echo \"$IMAGE $AFTER\"";
    let told = Command::new("sh").args(["-c", shell]).current_dir(root.join("image/usr/local/lib/wisp-image")).output();
    assert_eq!(said(&told.unwrap()), format!("{url} poweroff\n"));

    let place = "context/usr/local/lib/wisp-image/context";
    for file in ["Containerfile", "files/install.sh", "files/logo.bin"] {
        let original = fs::read(format!("{REPOSITORY}/terraform/cloud-init/tests/context/{file}")).unwrap();
        assert_eq!(fs::read(root.join(format!("{place}/{file}"))).unwrap(), original, "{file}");
    }
    assert_eq!(root.mode(&format!("{place}/files/install.sh")), 0o700);
}

/// What the script of stage one says with these settings in a namespace, on the console and to the kernel, and what it
/// leaves for who looks later; it must fail.
fn refused(root: &Root, settings: &str) -> (String, String, String) {
    root.write("settings", settings);
    root.write("kmsg", "");
    let script = format!(
        "set -a; . ./settings; for place in /var/lib /usr/local/sbin; do mount -t tmpfs tmpfs $place; done
        mount --bind kmsg /dev/kmsg
        ! sh {REPOSITORY}/terraform/cloud-init/wisp-image >console 2>&1
        cp /var/lib/wisp-image/failed ."
    );
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-ec", &script]).current_dir(&root.0);
    said(&command.output().unwrap());
    (root.read("console"), root.read("kmsg"), root.read("failed"))
}

#[test]
fn stage_one_says_everywhere_why_it_does_not_go_on() {
    if !skip::needs_namespaces("--user --map-root-user --mount") {
        return;
    }
    let root = Root::empty("stage-one");
    root.write("wisp", "");
    let fetched = format!("NAME=test AFTER=poweroff WISP_SHA256={DIGEST} WISP_URL=file://{}/wisp", root.path());
    let other = fetched.replace("e3b0", "0000");
    let absent = fetched.replace("/wisp", "/absent");
    let disks = said(
        &Command::new("lsblk").args(["--noheadings", "--paths", "--raw", "--output", "TYPE,NAME"]).output().unwrap(),
    );
    let disk = disks.lines().find_map(|line| line.strip_prefix("disk ")).expect("a machine with a disk");
    for (settings, why) in [
        (other, "fetch wisp: its SHA-256 is not 0000c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (absent, "fetch wisp: exit status 37"),
        (format!("{fetched} TARGET=/dev/null"), "find the root disk: /dev/null is no block device"),
        (
            format!("{fetched} TARGET={disk} CONTEXT=. VOLUME=/dev/absent VOLUME_WAIT=0"),
            "wait for the volume /dev/absent: it is not there after 0 seconds",
        ),
    ] {
        let (console, kernel, marker) = refused(&root, &settings);
        assert_eq!(marker.trim_end(), why, "{console}");
        let line = format!("<3>wisp-image test: FAILED, and nothing was written to the root disk: {why}\n");
        assert_eq!(kernel, line);
        assert!(console.contains("wisp-image test: fetch wisp\n"), "{console}");
    }
}

/// A cloud's replies, one for each request that it expects, in this order.
type Play<'a> = &'a [(&'a str, u16, &'a str)];

const NO_IMAGES: &str = r#"{"images":[]}"#;
const ASK: (&str, u16, &str) =
    ("GET /images?type=snapshot&status=available&label_selector=wisp-image%3Dleap,wisp-server%3D42", 200, NO_IMAGES);

/// What `client` makes of the play, which must be played to its end, at the address it is given; what was sent in bodies.
fn played<T>(play: Play<'_>, client: impl FnOnce(&str) -> T) -> (T, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let endpoint = format!("http://{address}");
    thread::scope(|scope| {
        // With the play the listener goes: a request too many fails at once.
        let cloud = scope.spawn(move || play.iter().map(|part| answer(&listener, part)).collect());
        let made = panic::catch_unwind(AssertUnwindSafe(|| client(&endpoint)));
        // A request that no one made ends the play that waits for it.
        _ = TcpStream::connect(address);
        let bodies = cloud.join();
        (made.unwrap_or_else(|failure| panic::resume_unwind(failure)), bodies.unwrap())
    })
}

/// Runs the script against the play; what it says, and what it sent in bodies.
fn snapshot(play: Play<'_>) -> (bool, String, Vec<String>) {
    let (output, bodies) = played(play, |endpoint| {
        let mut command = Command::new("sh");
        command.arg(format!("{REPOSITORY}/terraform/hetzner/snapshot")).envs([
            ("HCLOUD_TOKEN", "secret"),
            ("SERVER", "42"),
            ("NAME", "leap"),
            ("DEADLINE", "0"),
            ("POLL_SECONDS", "0"),
            ("HCLOUD_ENDPOINT", endpoint),
        ]);
        command.output().unwrap()
    });
    let told = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.success(), told, bodies)
}

/// One request, which must be this one, with the token; its body.
fn answer(listener: &TcpListener, (expected, status, reply): &(&str, u16, &str)) -> String {
    let (mut socket, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(socket.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
    }
    assert!(head.starts_with(&format!("{expected} HTTP/1.1\r\n")), "{expected}: {head}");
    assert!(head.contains("Authorization: Bearer secret\r\n"), "{head}");
    let length =
        head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let length = reply.len();
    write!(socket, "HTTP/1.1 {status} x\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{reply}").unwrap();
    String::from_utf8(body).unwrap()
}

/// A server is off, and a snapshot is made of it; what is sent for it in bodies.
const MADE: Play<'_> = &[
    ASK,
    ("GET /servers/42", 200, r#"{"server":{"status":"off"}}"#),
    ("POST /servers/42/actions/create_image", 201, r#"{"action":{"id":9,"status":"running"},"image":{"id":7}}"#),
    ("GET /actions/9", 200, r#"{"action":{"id":9,"status":"success"}}"#),
];
const SENT: [&str; 4] =
    ["", "", r#"{"type":"snapshot","description":"leap","labels":{"wisp-image":"leap","wisp-server":"42"}}"#, ""];

#[test]
fn a_snapshot_is_made_of_a_server_that_is_off() {
    let (success, told, bodies) = snapshot(MADE);
    assert_eq!((success, told.as_str()), (true, "snapshot 7 of server 42\n"));
    assert_eq!(bodies, SENT);
}

#[test]
fn with_a_mocked_provider_a_server_is_made_and_its_snapshot() {
    let root = Root::empty("hetzner");
    let (told, bodies) =
        played(MADE, |endpoint| root.mocked("hetzner", &[("HCLOUD_TOKEN", "secret"), ("HCLOUD_ENDPOINT", endpoint)]));
    assert!(told.contains("Success! 4 passed, 0 failed."), "{told}");
    assert_eq!(bodies, SENT);
}

#[test]
fn with_a_mocked_provider_a_domain_is_made() {
    let told = Root::empty("libvirt").mocked("libvirt", &[]);
    assert!(told.contains("Success! 3 passed, 0 failed."), "{told}");
}

#[test]
fn a_snapshot_that_is_there_is_not_made_again() {
    let (success, told, _) = snapshot(&[(ASK.0, 200, r#"{"images":[{"id":7}]}"#)]);
    assert_eq!((success, told.as_str()), (true, "there is a snapshot of server 42\n"));
}

#[test]
fn no_snapshot_is_made_of_anything_else() {
    let off = ("GET /servers/42", 200, r#"{"server":{"status":"off"}}"#);
    let make = "POST /servers/42/actions/create_image";
    let refused = r#"{"error":{"code":"forbidden","message":"insufficient permissions"}}"#;
    for (play, why) in [
        (vec![(ASK.0, 401, refused)], "HTTP 401: insufficient permissions"),
        (vec![(ASK.0, 200, "not json")], "the reply has no .images | length"),
        (vec![ASK, ("GET /servers/42", 404, "")], "GET servers/42: HTTP 404"),
        (
            vec![ASK, ("GET /servers/42", 200, r#"{"server":{"status":"running"}}"#)],
            "servers/42 is still running after 0 seconds: its console says what went wrong",
        ),
        (
            vec![ASK, ("GET /servers/42", 200, r#"{"server":{"status":"deleting"}}"#)],
            "deleting, which does not become off",
        ),
        (vec![ASK, ("GET /servers/42", 200, r#"{"server":{}}"#)], "the reply has no .server.status"),
        (vec![ASK, off, (make, 503, "")], "HTTP 503"),
        (vec![ASK, off, (make, 201, r#"{"action":{"id":9}}"#)], "the reply has no .image.id"),
        (
            vec![
                ASK,
                off,
                (make, 201, r#"{"action":{"id":9},"image":{"id":7}}"#),
                ("GET /actions/9", 200, r#"{"action":{"status":"error"}}"#),
            ],
            "actions/9 is error, which does not become success",
        ),
    ] {
        let (success, told, _) = snapshot(&play);
        assert!(!success && told.contains(why), "{why}: {told}");
    }
}

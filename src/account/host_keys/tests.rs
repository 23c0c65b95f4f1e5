//! Keys of every type by the real ssh-keygen and dropbearkey, and what is left when the work fails or is cut off at any step.

use super::*;
use alloc::format;
use alloc::string::ToString as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const AWS: Identity<'_> = Identity { machine: "m1", instance: Some("aws/i-1"), is_recorded: true };
const KEYGEN: Option<&str> = Some("/usr/bin/ssh-keygen");
const IMAGE: &str = "the image's\n";

struct Root(PathBuf);

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Root {
    /// With keys of an image for each of these types.
    fn new(name: &str, server: &Server, kinds: &[&str]) -> Self {
        let root = Self(std::env::temp_dir().join(format!("wisp-host-{name}-{}", std::process::id())));
        let _ = fs::remove_dir_all(&root.0);
        fs::create_dir_all(root.0.join(&server.folder[1..])).unwrap();
        for kind in kinds {
            let path = format!("{}/{}{kind}{}", server.folder, server.names.0, server.names.1);
            root.write(&path, IMAGE);
            if !server.is_dropbear {
                root.write(&format!("{path}.pub"), IMAGE);
            }
        }
        root
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(&path[1..]);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.0.join(&path[1..])).unwrap()
    }

    fn names(&self, folder: &str) -> Vec<String> {
        file::list(&format!("{}{folder}", self.path())).unwrap()
    }

    /// The public half of a key as OpenSSH reads the private one; `None` if that is no key.
    fn public(&self, kind: &str) -> Option<String> {
        let path = format!("{}/etc/ssh/ssh_host_{kind}_key", self.path());
        let output = Command::new("ssh-keygen").args(["-y", "-P", "", "-f", &path]).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_string())
    }
}

fn ssh() -> &'static Server {
    &SERVERS[0]
}

#[test]
fn every_type_that_the_image_has_is_made_and_no_other() {
    let root = Root::new("types", ssh(), &["rsa", "ecdsa", "ed25519", "dsa"]);
    let renewed = ssh().renew(root.path(), &AWS, KEYGEN).unwrap().unwrap();
    assert_eq!((renewed.public.len(), &*renewed.missing, &*renewed.failures), (3, &[][..], &[][..]));
    let mut names = Vec::from(["ssh_host_instance".to_string()]);
    for kind in ["ecdsa", "ed25519", "rsa"] {
        let public = root.public(kind).unwrap();
        assert_eq!(root.read(&format!("/etc/ssh/ssh_host_{kind}_key.pub")).trim(), public);
        assert!(renewed.public.contains(&public));
        names.extend([format!("ssh_host_{kind}_key"), format!("ssh_host_{kind}_key.pub")]);
    }
    names.sort();
    assert_eq!(root.names("/etc/ssh"), names);
    let record = "machine m1\ninstance aws/i-1\nkey /etc/ssh/ssh_host_ed25519_key\nkey /etc/ssh/ssh_host_ecdsa_key\n\
                  key /etc/ssh/ssh_host_rsa_key\n";
    assert_eq!(root.read("/etc/ssh/ssh_host_instance"), record);
    // sshd starts with them.
    let config = format!("{}/config", root.path());
    let lines: String = ["rsa", "ecdsa", "ed25519"]
        .map(|kind| format!("HostKey {}/etc/ssh/ssh_host_{kind}_key\n", root.path()))
        .concat();
    fs::write(&config, lines).unwrap();
    fs::create_dir_all("/run/sshd").unwrap();
    assert!(Command::new("/usr/sbin/sshd").args(["-t", "-f", &config]).status().unwrap().success());

    let root = Root::new("one-type", ssh(), &["ed25519"]);
    ssh().renew(root.path(), &AWS, KEYGEN).unwrap().unwrap();
    assert_eq!(root.names("/etc/ssh"), ["ssh_host_ed25519_key", "ssh_host_ed25519_key.pub", "ssh_host_instance"]);
    let root = Root::new("no-type", ssh(), &[]);
    assert_eq!(ssh().renew(root.path(), &AWS, KEYGEN).unwrap().unwrap().public.len(), 3);
}

#[test]
fn a_generator_that_fails_leaves_the_keys_of_the_image() {
    for generator in ["/bin/false", "/nonexistent/ssh-keygen"] {
        let root = Root::new("only-rsa", ssh(), &["rsa"]);
        root.write("/etc/ssh/sshd_config", "HostKey /etc/ssh/ssh_host_rsa_key\n");
        let error = ssh().renew(root.path(), &AWS, Some(generator)).unwrap_err();
        let said = error.to_string();
        assert!(said.starts_with("make the host key /etc/ssh/ssh_host_rsa_key: run"), "{said}");
        assert_eq!(root.read("/etc/ssh/ssh_host_rsa_key"), IMAGE);
        assert_eq!(root.read("/etc/ssh/ssh_host_rsa_key.pub"), IMAGE);
        assert_eq!(root.names("/etc/ssh"), ["ssh_host_rsa_key", "ssh_host_rsa_key.pub", "sshd_config"]);
    }
    // Where others were made these count, and are not made again when the rest is tried once more.
    let root = Root::new("some", ssh(), &["rsa", "ed25519"]);
    let renewed = ssh().renew(root.path(), &AWS, Some("/bin/false")).unwrap().unwrap();
    assert_eq!((renewed.public.len(), renewed.failures.len()), (1, 1));
    assert_eq!(root.read("/etc/ssh/ssh_host_rsa_key"), IMAGE);
    let first = root.public(ED25519).unwrap();
    let renewed = ssh().renew(root.path(), &AWS, KEYGEN).unwrap().unwrap();
    assert_eq!((renewed.public.len(), renewed.failures.len()), (2, 0));
    assert_eq!(root.public(ED25519).unwrap(), first);
    assert!(root.public("rsa").is_some());
}

#[test]
fn cut_off_at_any_step_the_server_has_its_keys_and_the_next_run_completes_it() {
    let kinds = ["ecdsa", "ed25519"];
    let image = ["ecdsa", "ed25519", "dsa"];
    let total = {
        let root = Root::new("count", ssh(), &image);
        ssh().prepare(root.path(), &AWS, KEYGEN).unwrap().unwrap().0.steps().len()
    };
    assert!(total > 10);
    for done in 0..=total {
        let root = Root::new("steps", ssh(), &image);
        let old: Vec<String> = kinds.iter().map(|kind| format!("/etc/ssh/ssh_host_{kind}_key")).collect();
        let (batch, _) = ssh().prepare(root.path(), &AWS, KEYGEN).unwrap().unwrap();
        assert!(old.iter().all(|path| root.read(path) == IMAGE), "nothing is touched before all is made");
        batch.steps().into_iter().take(done).for_each(|step| step.run().unwrap());
        for (kind, path) in kinds.iter().zip(&old) {
            let Some(public) = root.public(kind) else {
                assert_eq!(root.read(path), IMAGE, "after {done} steps");
                continue;
            };
            if let Ok(beside) = fs::read_to_string(format!("{}{path}.pub", root.path())) {
                assert_eq!(beside.trim(), public, "after {done} steps");
            }
        }
        // Nothing cleans up behind a cut.
        core::mem::forget(batch);
        ssh().renew(root.path(), &AWS, KEYGEN).unwrap().unwrap();
        assert!(kinds.iter().all(|kind| root.public(kind).is_some()), "after {done} steps");
        let wanted = ["ecdsa_key", "ecdsa_key.pub", "ed25519_key", "ed25519_key.pub", "instance"];
        assert_eq!(root.names("/etc/ssh"), wanted.map(|name| format!("ssh_host_{name}")), "after {done} steps");
    }
}

#[test]
fn keys_stay_with_their_instance_and_its_clones_get_others() {
    let root = Root::new("instance", ssh(), &["ed25519"]);
    let key = |machine, instance, is_recorded| {
        ssh().renew(root.path(), &Identity { machine, instance, is_recorded }, None).unwrap();
        root.public(ED25519).unwrap()
    };
    let first = key("m1", Some("aws/i-1"), true);
    assert_eq!(key("m1", Some("aws/i-1"), false), first);
    assert_eq!(key("m2", Some("aws/i-1"), false), first, "the instance was moved");
    assert_eq!(key("m1", None, false), first, "the cloud does not answer");
    assert!(root.read("/etc/ssh/ssh_host_instance").starts_with("machine m1\ninstance aws/i-1\n"));
    let second = key("m1", Some("aws/i-2"), true);
    assert_ne!(second, first);
    let third = key("m2", None, false);
    assert_ne!(third, second, "a copy in another machine");
    assert_eq!(key("m2", None, false), third);
    // Nothing tells a copy from the original.
    let fourth = key("", None, true);
    assert_ne!(fourth, third, "the record of the state says that it is to be done");
    assert_eq!(key("", None, false), fourth, "without that record the keys stay");
    fs::remove_file(root.0.join("etc/ssh/ssh_host_ed25519_key")).unwrap();
    assert_ne!(key("", None, false), fourth, "one that is gone is made again");
}

#[test]
fn a_generator_has_a_deadline() {
    let sleep = Program { path: "sleep", arguments: &["5"], environment: &[] };
    let begin = clock::now();
    let error = run(&sleep, Deadline::after(begin, Duration::from_millis(50))).unwrap_err();
    assert_eq!(error.kind, Kind::TimedOut);
    assert!(clock::now() - begin < Duration::from_secs(4));
}

#[test]
fn dropbear_has_keys_of_its_own_that_it_understands() {
    let dropbear = &SERVERS[1];
    let read = |root: &Root, kind: &str| {
        let path = format!("{}/etc/dropbear/dropbear_{kind}_host_key", root.path());
        let output = Command::new("dropbearkey").args(["-y", "-f", &path]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let generator = Some("/usr/bin/dropbearkey");
    let root = Root::new("dropbear", dropbear, &["rsa", "ed25519", "dss"]);
    let renewed = dropbear.renew(root.path(), &AWS, generator).unwrap().unwrap();
    assert_eq!((renewed.public.len(), &*renewed.failures), (1, &[][..]));
    assert_eq!(
        root.names("/etc/dropbear"),
        ["dropbear_ed25519_host_key", "dropbear_host_instance", "dropbear_rsa_host_key"]
    );
    assert!(read(&root, ED25519).contains(&renewed.public[0]) && read(&root, "rsa").contains("ssh-rsa AAAA"));
    // Its own format, byte for byte.
    let own = fs::read(root.0.join("etc/dropbear/dropbear_ed25519_host_key")).unwrap();
    let path = root.0.join("theirs");
    assert!(Command::new("dropbearkey").args(["-t", "ed25519", "-f"]).arg(&path).output().unwrap().status.success());
    let theirs = fs::read(&path).unwrap();
    assert_eq!((own.len(), &own[..19]), (theirs.len(), &theirs[..19]));
    // It shows that key: what is not let in is the user, not the host.
    let key = format!("{}/etc/dropbear/dropbear_ed25519_host_key", root.path());
    let known = root.0.join("known");
    fs::write(&known, format!("machine {}\n", renewed.public[0])).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut ssh = Command::new("ssh");
    ssh.args(["-F", "none", "-p", &port, "-o", "HostKeyAlias=machine", "-o", "GlobalKnownHostsFile=none"]);
    ssh.args(["-o", &format!("UserKnownHostsFile={}", known.display()), "-o", "StrictHostKeyChecking=yes"]);
    ssh.args(["-o", "BatchMode=yes", "nobody@127.0.0.1", "true"]).stderr(std::process::Stdio::piped());
    let client = ssh.spawn().unwrap();
    let socket = std::os::fd::OwnedFd::from(listener.accept().unwrap().0);
    let mut server = Command::new("dropbear");
    server.args(["-i", "-s", "-r", &key]).stdin(socket.try_clone().unwrap()).stdout(socket);
    let mut server = server.spawn().unwrap();
    let said = String::from_utf8_lossy(&client.wait_with_output().unwrap().stderr).into_owned();
    server.wait().unwrap();
    assert!(said.contains("Permission denied"), "{said}");

    // One that has only types that cannot be made here keeps them; one without keys makes them itself.
    let root = Root::new("dropbear-rsa", dropbear, &["rsa"]);
    let error = dropbear.renew(root.path(), &AWS, None).unwrap_err();
    assert_eq!(error.kind, crate::error::Kind::Refused);
    assert_eq!(root.read("/etc/dropbear/dropbear_rsa_host_key"), IMAGE);
    let root = Root::new("dropbear-none", dropbear, &[]);
    assert_eq!(dropbear.renew(root.path(), &AWS, generator).unwrap(), None);
}

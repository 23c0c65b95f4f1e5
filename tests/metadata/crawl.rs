//! Every cloud, asked over a real socket, says what its recordings say it should.

use std::fs;
use std::path::PathBuf;

use wisp::error::Kind;
use wisp::fetch::{Endpoint, Policy};
use wisp::metadata::service::{Http, Way};
use wisp::provider::{CLOUDS, Cloud, Field, Identity, Local, Reader, Source};

use crate::server::{Options, Server, folder};

/// The strings of the firmware that a recording's machine has.
pub fn identity(cloud: &str) -> Identity {
    let machine = fs::read_to_string(folder().join(cloud).join("machine")).expect("every cloud has a machine");
    let string = |field: Field| {
        let text = machine.lines().find_map(|line| line.strip_prefix(field.name())?.strip_prefix('='))?;
        Some((field, text.to_owned()))
    };
    Identity {
        firmware: Field::ALL.into_iter().filter_map(string).collect(),
        now: 1_800_000_000,
        interfaces: Vec::new(),
    }
}

/// A way to the server of a test.
pub fn way(server: &Server, policy: Policy) -> Way {
    Way { endpoints: vec![Endpoint::Tcp(server.address())], interface: None, token_optional: false, policy }
}

/// What is expected of an item of a recording, where it says so.
pub fn expected(recording: &str, item: &str) -> Option<Vec<u8>> {
    fs::read(folder().join(recording).join("expected").join(item)).ok()
}

/// Clouds that are asked over HTTP, each with its recording and its variants.
fn recordings() -> Vec<(&'static Cloud, String)> {
    let mut out = Vec::new();
    for cloud in CLOUDS.iter().filter(|cloud| cloud.service.is_some()) {
        out.push((cloud, cloud.name.to_owned()));
        let entries = fs::read_dir(folder().join(cloud.name)).expect("every cloud has a folder");
        let variants: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
        for path in variants.iter().filter(|path| path.join("replies").exists()) {
            out.push((cloud, format!("{}/{}", cloud.name, path.file_name().unwrap().to_str().unwrap())));
        }
    }
    out
}

fn show(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_cloud_is_understood_as_recorded() {
    let mut complaints = Vec::new();
    for (cloud, recording) in recordings().into_iter().filter(|(_, recording)| expected(recording, "refused").is_none())
    {
        let server = Server::start(Options::of(&recording));
        let notify = |line: &str| eprintln!("{recording}: {line}");
        let service = cloud.service.as_ref().unwrap();
        let http = Http::new(service, way(&server, Policy::METADATA), "300", &notify);
        let mut reader = Reader::new(cloud, Box::new(http), identity(cloud.name));
        let mut hold = |item: &str, found: wisp::error::Result<Option<Vec<u8>>>| {
            let Some(wanted) = expected(&recording, item) else { return };
            match found {
                Ok(found) if found.clone().unwrap_or_default() == wanted => {}
                Ok(found) => complaints.push(format!(
                    "{recording} {item}: {:?}, not {:?}",
                    found.map(|b| show(&b)),
                    show(&wanted)
                )),
                Err(error) => complaints.push(format!("{recording} {item}: {error}")),
            }
        };
        hold("hostname", reader.hostname());
        hold("local-hostname", reader.bytes(&cloud.local_hostname));
        hold("ssh-keys", reader.keys_text().map(Some));
        hold("userdata", reader.userdata());
        hold("admin", reader.admin().map(|name| name.map(String::into_bytes)));
        for (item, place) in [("instance-id", &cloud.id), ("region", &cloud.region), ("zone", &cloud.zone)] {
            hold(item, reader.line(place).map(|line| line.map(|text| text.into_bytes())));
        }
        match reader.instance() {
            Ok(instance) => eprintln!("{recording}: {}", instance.json()),
            Err(error) => complaints.push(format!("{recording} instance: {error}")),
        }
        assert_eq!(server.connections(), 1, "{recording}");
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// As cloud-init has it on Azure: custom data of the disc first, names and keys of the service first.
#[test]
fn a_provisioning_disc_fills_what_the_service_has_not() {
    let cloud = CLOUDS.iter().find(|cloud| cloud.name == "azure").unwrap();
    let local = || Local {
        admin: Some("disc".to_owned()),
        hostname: Some("on-disc".to_owned()),
        userdata: Some(b"#!/bin/sh".to_vec()),
        keys: vec!["ssh-rsa AAAA disc".to_owned()],
    };
    let notify = |_: &str| {};
    for (recording, on_disc) in [("azure", false), ("azure/bare", true)] {
        let server = Server::start(Options::of(recording));
        let http = Http::new(cloud.service.as_ref().unwrap(), way(&server, Policy::METADATA), "300", &notify);
        let mut reader = Reader::new(cloud, Box::new(http), identity("azure"));
        reader.set_local(local());
        assert_eq!(reader.userdata().unwrap().unwrap(), b"#!/bin/sh");
        assert_eq!(reader.hostname().unwrap().unwrap(), b"web-1");
        assert_eq!(reader.admin().unwrap().unwrap(), "azureuser");
        assert_eq!(reader.keys_text().unwrap() == b"ssh-rsa AAAA disc\n", on_disc, "{recording}");
    }
}

#[test]
fn nothing_that_a_stranger_says_is_believed() {
    let strangers: Vec<_> =
        recordings().into_iter().filter(|(_, recording)| expected(recording, "refused").is_some()).collect();
    assert!(strangers.len() > 1, "the recordings were found");
    let mut complaints = Vec::new();
    for (cloud, recording) in strangers {
        let server = Server::start(Options::of(&recording));
        let notify = |_: &str| {};
        // A reader of its own for each, as a command may ask for one thing only.
        let new = || {
            let http = Http::new(cloud.service.as_ref().unwrap(), way(&server, Policy::METADATA), "300", &notify);
            Reader::new(cloud, Box::new(http), identity(cloud.name))
        };
        for (item, found) in [
            ("hostname", new().hostname()),
            ("ssh-keys", new().keys_text().map(Some)),
            ("userdata", new().userdata()),
            ("a raw key", new().raw("instance/name")),
            ("instance", new().instance().map(|_| None)),
        ] {
            if !found.as_ref().is_err_and(|error| error.kind == Kind::Refused) {
                complaints.push(format!("{recording} {item}: {found:?}"));
            }
        }
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// What a service says of the user.
struct Named(String);

impl Source for Named {
    fn get(&mut self, _: &str) -> wisp::error::Result<Option<Vec<u8>>> {
        Ok(Some(format!("{{\"compute\":{{\"osProfile\":{{\"adminUsername\":\"{}\"}}}}}}", self.0).into_bytes()))
    }
}

#[test]
fn invalid_user_names_are_refused() {
    let cloud = CLOUDS.iter().find(|cloud| cloud.name == "azure").unwrap();
    let of = |said: &str, on_disc: Option<&str>| {
        let mut reader = Reader::new(cloud, Box::new(Named(said.to_owned())), Identity::default());
        reader.set_local(Local { admin: on_disc.map(str::to_owned), ..Local::default() });
        reader.admin()
    };
    assert_eq!(of("ann-b.2", None).unwrap().as_deref(), Some("ann-b.2"));
    assert_eq!(of("", Some("disc")).unwrap().as_deref(), Some("disc"));
    assert_eq!(of("", None).unwrap(), None);
    let long = "a".repeat(33);
    for hostile in ["../root", "a:0:0", "a b", "-rf", "1a", "a/b", "ü", "%wheel", long.as_str()] {
        for found in [of(hostile, None), of(hostile, Some("disc")), of("", Some(hostile))] {
            let error = found.unwrap_err();
            assert_eq!(error.kind, Kind::Refused);
            assert!(!error.to_string().contains(hostile), "{error}");
        }
    }
}

//! Every cloud against every fault ends in a value, an absence or one clear error, within its deadline.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use wisp::error::{Error, Kind};
use wisp::fetch::{Endpoint, Policy};
use wisp::metadata::service::{Http, Way};
use wisp::provider::{CLOUDS, Cloud, Reader};

use crate::crawl::{expected, identity};
use crate::server::fault::{FAULTS, Fault, Leaves};
use crate::server::recorded::TOKEN_PREFIX;
use crate::server::{Options, Place, Server};

/// As patient as with a real service in everything but the sums, so that what passes has passed long before.
const PATIENT: Policy = Policy { first_pause: Duration::from_millis(1), ..Policy::METADATA };

/// For what does not pass. A busy machine must still be able to answer within it.
const IMPATIENT: Policy = Policy {
    connect: Duration::from_millis(300),
    reply: Duration::from_millis(300),
    total: Duration::from_millis(500),
    later: Duration::from_millis(300),
    first_pause: Duration::from_millis(20),
    longest_pause: Duration::from_millis(80),
    again: &[],
};

/// What is asked of each service, and how often at most a request of it may use up its time.
const ITEMS: u32 = 4;

/// What a busy machine may add.
const SLACK: Duration = Duration::from_secs(3);

/// One item: its name, and what the reader said.
type Found = (&'static str, Result<Option<Vec<u8>>, Error>);

/// A cloud with a fault: where it is served, and where a client of it is to connect.
fn serve(cloud: &Cloud, fault: &'static Fault) -> (Server, Endpoint, Option<PathBuf>) {
    let options = Options::of(cloud.name).with(fault);
    if cloud.name != "incus" {
        let server = Server::start(options);
        let endpoint = Endpoint::Tcp(server.address());
        return (server, endpoint, None);
    }
    let path = std::env::temp_dir().join(format!("wisp-fault-{}-{}.sock", std::process::id(), fault.name));
    let server = Server::start(options.at(Place::Unix(path.clone())));
    (server, Endpoint::Unix(path.to_str().expect("it is text").to_owned()), Some(path))
}

fn ask(cloud: &'static Cloud, endpoint: Endpoint, policy: Policy) -> Vec<Found> {
    let service = cloud.service.as_ref().expect("only clouds with a service are asked");
    let way = Way { endpoints: vec![endpoint], interface: None, policy };
    let tell = |_: &str| {};
    let http = Http::new(service, way, "300", &tell);
    let mut reader = Reader::new(cloud, Box::new(http), identity(cloud.name));
    vec![
        ("hostname", reader.hostname()),
        ("ssh-keys", reader.keys_text().map(Some)),
        ("userdata", reader.userdata()),
        ("instance", reader.instance().map(|instance| Some(instance.json().into_bytes()))),
    ]
}

/// What is wrong with what was found.
fn judge(cloud: &Cloud, fault: &Fault, found: &[Found]) -> Vec<String> {
    let mut complaints = Vec::new();
    // Who needs no token does not notice that it is useless.
    let needs_token = cloud.service.as_ref().is_some_and(|service| service.token.is_some());
    let leaves = if fault.name == "useless-token" && !needs_token { Leaves::Values } else { fault.leaves };
    for (item, result) in found {
        let wanted = expected(cloud.name, item);
        match (leaves, result) {
            (Leaves::Values, Ok(value)) if wanted.is_none() || value.as_ref() == wanted.as_ref() => {}
            (Leaves::Values, other) => complaints.push(format!("{item} is {other:?}")),
            (Leaves::Error, Ok(value)) => complaints.push(format!("{item} is no error: {value:?}")),
            (Leaves::Absence | Leaves::Late, Ok(None)) => {}
            (Leaves::Absence | Leaves::Late, Ok(Some(value))) if value.is_empty() || *item == "instance" => {}
            (Leaves::Late, Ok(value)) if value.as_ref() == wanted.as_ref() => {}
            (Leaves::Absence | Leaves::Late, Ok(value)) => complaints.push(format!("{item} is {value:?}")),
            _ => {}
        }
        if let Err(error) = result {
            let text = error.to_string();
            let clear = !error.to.is_empty() && !error.doing.is_empty() && text.lines().count() == 1;
            let kind = !matches!(error.kind, Kind::Usage | Kind::Unsupported);
            if !clear || !kind || text.contains('?') || text.contains(TOKEN_PREFIX) {
                complaints.push(format!("{item}: not clear, or says too much: {:?}: {text}", error.kind));
            }
        }
    }
    complaints
}

/// One cloud against all faults.
fn face(cloud: &'static Cloud) -> Vec<String> {
    let mut complaints = Vec::new();
    for fault in FAULTS {
        let (server, endpoint, path) = serve(cloud, fault);
        let policy = if fault.leaves == Leaves::Values { PATIENT } else { IMPATIENT };
        let limit = IMPATIENT.total + IMPATIENT.later * ITEMS + SLACK;
        let started = Instant::now();
        let found = ask(cloud, endpoint, policy);
        let took = started.elapsed();
        let place = |complaint: String| format!("{} with {}: {complaint}", cloud.name, fault.name);
        complaints.extend(judge(cloud, fault, &found).into_iter().map(place));
        if took > limit {
            complaints.push(place(format!("took {took:?}")));
        }
        if server.asked().iter().any(|asked| asked.request.target.starts_with("/elsewhere")) {
            complaints.push(place("followed a redirect".to_owned()));
        }
        drop(server);
        if let Some(path) = path {
            drop(std::fs::remove_file(path));
        }
    }
    complaints
}

#[test]
fn every_cloud_survives_every_fault() {
    let clouds = CLOUDS.iter().filter(|cloud| cloud.service.is_some());
    // Together: nearly all of it is waiting.
    let faces: Vec<_> = clouds.map(|cloud| thread::spawn(move || face(cloud))).collect();
    assert!(faces.len() > 10, "the clouds were found");
    let complaints: Vec<String> =
        faces.into_iter().flat_map(|face| face.join().expect("no fault is a panic")).collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

//! Every cloud against every fault ends in a value, an absence or one clear error, within its deadline.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use wisp::error::{Error, Kind};
use wisp::fetch::{Endpoint, Policy};
use wisp::metadata::Machine;
use wisp::metadata::service::{Http, Way};
use wisp::provider::{CLOUDS, Cloud, Reader};

use crate::crawl::{expected, identity};
use crate::server::fault::{FAULTS, Fault, Leaves};
use crate::server::recorded::TOKEN_PREFIX;
use crate::server::{Options, Place, Server};

/// As patient as with a real service, but for the first pause: what passes here passes at the second or third try.
const PATIENT: Policy = Policy { first_pause: Duration::from_millis(1), ..Policy::METADATA };

/// For what does not pass. A machine too busy to answer within it only makes one error of another.
const IMPATIENT: Policy = Policy {
    connect: Duration::from_millis(120),
    reply: Duration::from_millis(120),
    total: Duration::from_millis(250),
    later: Duration::from_millis(120),
    first_pause: Duration::from_millis(20),
    longest_pause: Duration::from_millis(80),
    again: &[],
};

/// How many items are asked for, each of which ends at its first request that has used up its time.
const ITEMS: u32 = 4;

/// What a busy machine may add; a limit that does not hold would cost twenty seconds and more.
const SLACK: Duration = Duration::from_secs(10);

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

/// What a service says.
fn ask(cloud: &'static Cloud, endpoint: Endpoint, policy: Policy) -> Vec<Found> {
    let service = cloud.service.as_ref().expect("only clouds with a service are asked");
    let way = Way { endpoints: vec![endpoint], interface: None, token_optional: false, policy };
    let notify = |_: &str| {};
    let http = Http::new(service, way, "300", &notify);
    items(&mut Reader::new(cloud, Box::new(http), identity(cloud.name)))
}

fn items(reader: &mut Reader<'_>) -> Vec<Found> {
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

/// One cloud with one fault.
fn face(cloud: &'static Cloud, fault: &'static Fault) -> Vec<String> {
    let (server, endpoint, path) = serve(cloud, fault);
    let policy = if fault.leaves == Leaves::Values { PATIENT } else { IMPATIENT };
    let limit = IMPATIENT.total + IMPATIENT.later * ITEMS + SLACK;
    let started = Instant::now();
    let found = ask(cloud, endpoint, policy);
    let took = started.elapsed();
    let mut complaints = judge(cloud, fault, &found);
    if took > limit {
        complaints.push(format!("took {took:?}"));
    }
    if server.asked().iter().any(|asked| asked.request.target.starts_with("/elsewhere")) {
        complaints.push("followed a redirect".to_owned());
    }
    if let Some(path) = path {
        drop(fs::remove_file(path));
    }
    complaints.into_iter().map(|complaint| format!("{} with {}: {complaint}", cloud.name, fault.name)).collect()
}

#[test]
fn every_cloud_survives_every_fault() {
    let clouds = CLOUDS.iter().filter(|cloud| cloud.service.is_some());
    // Together: nearly all of it is waiting.
    let all = |cloud| move || FAULTS.iter().flat_map(|fault| face(cloud, fault)).collect::<Vec<String>>();
    let threads: Vec<_> = clouds.map(|cloud| thread::spawn(all(cloud))).collect();
    assert!(threads.len() > 10, "the clouds were found");
    let complaints: Vec<String> =
        threads.into_iter().flat_map(|thread| thread.join().expect("no fault is a panic")).collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// A machine whose command line names a seed on this server, and whose configuration has little patience.
fn seeded(server: &Server, fault: &Fault) -> Machine {
    let root = std::env::temp_dir().join(format!("wisp-seed-{}-{}", std::process::id(), fault.name));
    let put = |name: &str, text: &str| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("a folder can be made");
        fs::write(path, text).expect("a file can be written");
    };
    put("proc/cmdline", &format!("ro ds=nocloud;s=http://{}/seed/ quiet\n", server.address()));
    // In whole seconds.
    put("etc/wisp.conf", "METADATA_DEADLINE=1\n");
    let machine = Machine::look(root.to_str().expect("it is text"));
    drop(fs::remove_dir_all(&root));
    machine
}

#[test]
fn a_seed_on_a_web_server_survives_every_fault() {
    let nocloud = CLOUDS.iter().find(|cloud| cloud.name == "nocloud").expect("it is in the table");
    let face = |fault: &'static Fault| {
        let server = Server::start(Options::of("nocloud").with(fault));
        let machine = seeded(&server, fault);
        let notify = |_: &str| {};
        let started = Instant::now();
        let access = machine.access().expect("the command line says which cloud it is");
        let found = match access.open(&notify) {
            Ok(mut reader) => items(&mut reader),
            Err(error) => vec![("seed", Err(error))],
        };
        let took = started.elapsed();
        let mut complaints = judge(nocloud, fault, &found);
        if took > Duration::from_secs(1) + SLACK {
            complaints.push(format!("took {took:?}"));
        }
        complaints.into_iter().map(|complaint| format!("{}: {complaint}", fault.name)).collect::<Vec<String>>()
    };
    let threads: Vec<_> = FAULTS.iter().map(|fault| thread::spawn(move || face(fault))).collect();
    let complaints: Vec<String> =
        threads.into_iter().flat_map(|thread| thread.join().expect("no fault is a panic")).collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

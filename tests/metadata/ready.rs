//! What clouds are told: every report is delivered or ends in one clear error, whatever goes wrong with the service.

use std::thread;
use std::time::{Duration, Instant};

use wisp::error::{Kind, Result};
use wisp::fetch::{Endpoint, Policy};
use wisp::metadata::ready::report;
use wisp::metadata::service::Way;
use wisp::provider::{CLOUDS, Cloud, Ready};

use crate::server::fault::{self, FAULTS, Fault, Leaves};
use crate::server::{Options, Place, Server};

/// Time for what passes; what does not pass takes all of it.
const POLICY: Policy = Policy {
    connect: Duration::from_millis(120),
    reply: Duration::from_millis(120),
    total: Duration::from_millis(400),
    later: Duration::from_millis(200),
    first_pause: Duration::from_millis(1),
    longest_pause: Duration::from_millis(80),
    again: &[],
};

/// What a busy machine may add.
const SLACK: Duration = Duration::from_secs(10);

fn cloud(name: &str) -> &'static Cloud {
    CLOUDS.iter().find(|cloud| cloud.name == name).expect("it is in the table")
}

fn with(cloud: &str, fault: &'static Fault) -> Server {
    Server::start(Options::of(cloud).with(fault))
}

fn send(cloud: &'static Cloud, server: &Server, failure: Option<&str>) -> Result<bool> {
    let way = Way {
        endpoints: vec![Endpoint::Tcp(server.address())],
        interface: None,
        token_optional: false,
        policy: POLICY,
    };
    report(cloud, way, failure, &|_| {})
}

/// Every request with a body that was accepted: method, target, body.
fn delivered(server: &Server) -> Vec<(String, String, String)> {
    let accepted = server.asked().into_iter().filter(|asked| matches!(asked.status, 200 | 201));
    let text = |body: Vec<u8>| String::from_utf8(body).expect("reports are text");
    let sent = accepted.filter(|asked| !asked.request.body.is_empty());
    sent.map(|asked| (asked.request.method, asked.request.target, text(asked.request.body))).collect()
}

fn one(server: &Server) -> (String, String, String) {
    let mut all = delivered(server);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// One cloud with one fault.
fn face(cloud: &'static Cloud, fault: &'static Fault) -> Vec<String> {
    let server = if cloud.name == "scaleway" {
        // Only root has low ports, and here they are not what is tested.
        Server::start(Options { ports: false, ..Options::of(cloud.name).with(fault) })
    } else {
        with(cloud.name, fault)
    };
    let started = Instant::now();
    let outcome = send(cloud, &server, None);
    let took = started.elapsed();
    let mut complaints = Vec::new();
    let accepted = !delivered(&server).is_empty();
    let needs_xml = fault.name == "xml-moving" && cloud.ready == Ready::WireServer;
    let leaves = if needs_xml { Leaves::Error } else { fault.leaves };
    match (&outcome, leaves) {
        // No service of reports wants a token.
        _ if fault.name == "useless-token" => {}
        (Ok(true), _) if !accepted => complaints.push("taken for delivered, and was not".to_owned()),
        (Ok(_), Leaves::Error) => complaints.push("is no error".to_owned()),
        (Ok(false) | Err(_), Leaves::Values) => complaints.push(format!("is {outcome:?}")),
        _ => {}
    }
    if let Err(error) = &outcome {
        let text = error.to_string();
        if error.to.is_empty() || text.lines().count() != 1 || text.contains('?') || error.kind == Kind::Usage {
            complaints.push(format!("not clear: {text}"));
        }
    }
    if took > POLICY.total + 2 * POLICY.later + SLACK {
        complaints.push(format!("took {took:?}"));
    }
    complaints.into_iter().map(|complaint| format!("{} with {}: {complaint}", cloud.name, fault.name)).collect()
}

#[test]
fn every_fault_ends_in_a_report_or_an_error() {
    let clouds: Vec<_> = CLOUDS.iter().filter(|cloud| cloud.ready != Ready::Unasked).collect();
    assert_eq!(clouds.iter().map(|cloud| cloud.name).collect::<Vec<_>>(), ["incus", "azure", "scaleway"]);
    let all = |cloud| move || FAULTS.iter().flat_map(|fault| face(cloud, fault)).collect::<Vec<String>>();
    let threads: Vec<_> = clouds.into_iter().map(|cloud| thread::spawn(all(cloud))).collect();
    let complaints: Vec<String> =
        threads.into_iter().flat_map(|thread| thread.join().expect("no fault is a panic")).collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn azure_takes_the_simple_form() {
    let server = with("azure", &fault::NONE);
    assert!(send(cloud("azure"), &server, None).unwrap());
    assert_eq!(one(&server), ("POST".into(), "/provisioning/health".into(), r#"{"state":"Ready"}"#.into()));
    assert_eq!(server.asked().len(), 1);

    let server = with("azure", &fault::NONE);
    assert!(send(cloud("azure"), &server, Some("set_ssh_keys: no \"key\"\nis sound")).unwrap());
    let wanted = r#"{"state":"NotReady","details":{"subStatus":"ProvisioningFailed","description":"set_ssh_keys: no \"key\" is sound"}}"#;
    assert_eq!(one(&server).2, wanted);
}

#[test]
fn azure_takes_xml_where_it_takes_nothing_else() {
    for (name, posts) in [("xml", 1), ("xml-moved", 3)] {
        let server = with("azure", fault::find(name).unwrap());
        assert!(send(cloud("azure"), &server, None).unwrap());
        let (_, target, body) = one(&server);
        assert_eq!(target, "/machine?comp=health");
        assert!(body.contains(&format!("<GoalStateIncarnation>{posts}</GoalStateIncarnation>")), "{body}");
        assert!(body.contains("<Health><State>Ready</State></Health>"), "{body}");
        let asked: Vec<u16> = server.asked().iter().map(|asked| asked.status).collect();
        let wanted: &[u16] = if posts == 1 { &[404, 200, 200] } else { &[404, 200, 410, 200, 410, 200, 200] };
        assert_eq!((asked.as_slice(), server.connections()), (wanted, 1), "a goal state before each report");
    }
    let server = with("azure", fault::find("xml").unwrap());
    assert!(send(cloud("azure"), &server, Some("create_default_user: <wheel> & co")).unwrap());
    let body = one(&server).2;
    let details = "<State>NotReady</State><Details><SubStatus>ProvisioningFailed</SubStatus>\
                   <Description>create_default_user: &lt;wheel&gt; &amp; co</Description></Details>";
    assert!(body.contains(details), "{body}");
}

#[test]
fn an_incarnation_that_never_rests_is_given_up() {
    let server = with("azure", fault::find("xml-moving").unwrap());
    let error = send(cloud("azure"), &server, None).unwrap_err();
    assert_eq!(error.kind, Kind::TimedOut);
    assert_eq!(error.to_string(), "report to the wire server: the incarnation of this machine moves on all the time");
    let posts = server.asked().iter().filter(|asked| asked.request.target == "/machine?comp=health").count();
    assert!((1..=5).contains(&posts), "{posts}");
}

#[test]
fn others_are_notified_of_success_only() {
    for (name, target, body) in
        [("scaleway", "/state", r#"{"state_detail":"booted"}"#), ("incus", "/1.0", r#"{"state":"Ready"}"#)]
    {
        let server = Server::start(Options { ports: false, ..Options::of(name) });
        assert!(!send(cloud(name), &server, Some("create_default_user: no")).unwrap());
        assert!(server.asked().is_empty(), "a failure has no form");
        let outcome = send(cloud(name), &server, None);
        assert!(outcome.unwrap());
        assert_eq!(one(&server), ("PATCH".into(), target.into(), body.into()));
    }
    let server = with("aws", &fault::NONE);
    assert!(!send(cloud("aws"), &server, None).unwrap());
    assert!(server.asked().is_empty());
}

/// As it is where everything goes over a socket.
#[test]
fn a_host_is_notified_over_its_socket() {
    let path = std::env::temp_dir().join(format!("wisp-ready-{}.sock", std::process::id()));
    let server = Server::start(Options::of("incus").at(Place::Unix(path.clone())));
    let endpoint = Endpoint::Unix(path.to_str().expect("it is text").to_owned());
    let way = Way { endpoints: vec![endpoint], interface: None, token_optional: false, policy: POLICY };
    assert!(report(cloud("incus"), way, None, &|_| {}).unwrap());
    assert_eq!(one(&server).1, "/1.0");
    drop(std::fs::remove_file(path));
}

/// The real one takes no word from anyone who does not say who he is and which version he speaks.
#[test]
fn the_wire_server_of_the_tests_wants_what_the_real_one_wants() {
    use std::io::{Read, Write};
    let server = with("azure", &fault::NONE);
    let status = |line: &str, headers: &str, body: &str| {
        let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
        write!(stream, "{line} HTTP/1.0\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply.split(' ').nth(1).unwrap_or("none").to_owned()
    };
    let (version, agent) = ("x-ms-version: 2012-11-30\r\n", "x-ms-agent-name: a\r\n");
    let both = [version, agent].concat();
    assert_eq!(
        status("POST /provisioning/health", "Content-Type: application/json\r\n", r#"{"state":"Ready"}"#),
        "400"
    );
    for (headers, wanted) in [("", "400"), (version, "400"), (agent, "400"), (both.as_str(), "200")] {
        assert_eq!(status("GET /machine/?comp=goalstate", headers, ""), wanted, "{headers}");
    }
    assert_eq!(status("POST /machine?comp=health", &both, "<Health/>"), "400");
}

//! The server does what its recordings and its faults say, over real sockets, seen by a client that knows no HTTP.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use crate::server::fault::{self, FAULTS};
use crate::server::{Options, Place, Server};

/// Sends `request` and returns everything up to the end of the stream, and whether the end was a reset.
fn exchange(mut stream: impl Read + Write, request: &str) -> (Vec<u8>, bool) {
    stream.write_all(request.as_bytes()).expect("the server takes a request");
    let mut out = Vec::new();
    let reset = stream.read_to_end(&mut out).is_err_and(|error| error.kind() == ErrorKind::ConnectionReset);
    (out, reset)
}

fn ask(server: &Server, request: &str) -> String {
    let stream = TcpStream::connect(server.address()).expect("the server listens");
    String::from_utf8_lossy(&exchange(stream, request).0).into_owned()
}

/// A request for `target`, over a connection of its own.
fn get(target: &str, headers: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n")
}

fn status(reply: &str) -> &str {
    reply.split(' ').nth(1).unwrap_or("none")
}

fn body(reply: &str) -> &str {
    reply.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

fn with(name: &str) -> Server {
    Server::start(Options::of("hetzner").with(fault::find(name).expect("the fault exists")))
}

const HOSTNAME: &str = "/hetzner/v1/metadata/hostname";

#[test]
fn a_token_is_wanted_issued_and_taken() {
    let server = Server::start(Options::of("aws"));
    let put = |seconds: &str| {
        let header = format!("X-aws-ec2-metadata-token-ttl-seconds: {seconds}\r\nConnection: close\r\n");
        ask(&server, &format!("PUT /latest/api/token HTTP/1.1\r\nHost: a\r\n{header}\r\n"))
    };
    let of = |token: &str| ask(&server, &get("/latest/meta-data/instance-id", token));
    assert_eq!(status(&of("")), "401");
    assert_eq!(status(&of("X-aws-ec2-metadata-token: guessed\r\n")), "401");
    assert_eq!([status(&put("0")), status(&put("21601")), status(&put("soon"))], ["400"; 3]);
    let token = put("300");
    let with_token = format!("x-AWS-ec2-metadata-token: {}\r\n", body(&token));
    assert_eq!(body(&of(&with_token)), "i-0a1b2c3d4e5f60718");
    assert_eq!(status(&of(&format!("{with_token}X-Forwarded-For: 10.0.0.1\r\n"))), "403");
    assert_eq!((server.asked().len(), server.connections()), (8, 8));
}

#[test]
fn parameters_choose_the_reply() {
    let server = Server::start(Options::of("azure"));
    let of = |target: &str| ask(&server, &get(target, "Metadata: true\r\n"));
    let target = "/metadata/instance/compute/publicKeys";
    assert_eq!(status(&of(target)), "400");
    assert_eq!(body(&of(&format!("{target}?format=text&api-version=2021-05-01"))), "0/\n1/");
    assert!(body(&of(&format!("{target}?api-version=2021-05-01"))).starts_with("[{"));
    assert_eq!(status(&ask(&server, &get(&format!("{target}?api-version=2021-05-01"), ""))), "400");
    assert_eq!(body(&of("/metadata/instance/none?api-version=2021-05-01")), "{ \"error\": \"Not found\" }");
}

#[test]
fn bodies_are_as_recorded_to_the_last_byte() {
    let server = Server::start(Options::of("gcp"));
    let of = |target: &str| ask(&server, &get(target, "Metadata-Flavor: Google\r\n"));
    assert_eq!(body(&of("/computeMetadata/v1/")), "instance/\noslogin/\nproject/\n");
    assert_eq!(body(&of("/computeMetadata/v1/instance/name")), "web-1");
    assert!(of("/computeMetadata/v1/instance/name").contains("\r\nMetadata-Flavor: Google\r\n"));
    assert_eq!(status(&of("/computeMetadata/v1/instance")), "404");
}

#[test]
fn a_variant_replaces_and_drops() {
    let server = Server::start(Options::of("hetzner/bare"));
    assert_eq!(status(&ask(&server, &get("/hetzner/v1/userdata", ""))), "204");
    assert_eq!(body(&ask(&server, &get(HOSTNAME, ""))), "web-1");
    let server = Server::start(Options::of("aws/bare"));
    let token = ask(&server, "PUT /latest/api/token HTTP/1.0\r\nX-aws-ec2-metadata-token-ttl-seconds: 5\r\n\r\n");
    let token = format!("X-aws-ec2-metadata-token: {}\r\n", body(&token));
    for target in ["/latest/user-data", "/latest/meta-data/public-keys", "/latest/meta-data/public-keys/0/openssh-key"]
    {
        assert_eq!(status(&ask(&server, &get(target, &token))), "404");
    }
}

#[test]
fn a_connection_serves_many_requests_if_the_client_wants() {
    let server = Server::start(Options::of("hetzner"));
    let first = format!("GET {HOSTNAME} HTTP/1.1\r\nHost: a\r\n\r\n");
    let reply = ask(&server, &(first.repeat(2) + &get(HOSTNAME, "")));
    assert_eq!((reply.matches("web-1").count(), server.connections()), (3, 1));
    let reply = ask(&server, &format!("GET {HOSTNAME} HTTP/1.0\n\n"));
    assert_eq!((body(&reply), server.connections()), ("web-1", 2));
    let numbers: Vec<usize> = server.asked().iter().map(|asked| asked.connection).collect();
    assert_eq!(numbers, [1, 1, 1, 2]);
}

#[test]
fn a_unix_socket_serves_as_a_port_does() {
    let path = std::env::temp_dir().join(format!("wisp-metadata-{}.sock", std::process::id()));
    let server = Server::start(Options::of("hetzner").at(Place::Unix(path.clone())));
    let stream = UnixStream::connect(&path).expect("the server listens");
    let (reply, _) = exchange(stream, &get(HOSTNAME, ""));
    assert_eq!(body(&String::from_utf8_lossy(&reply)), "web-1");
    assert_eq!(server.asked().len(), 1);
    drop(server);
    drop(std::fs::remove_file(path));
}

#[test]
fn names_of_faults_are_unique() {
    for fault in FAULTS {
        assert!(std::ptr::eq(fault::find(fault.name).expect("it is in the table"), fault), "{}", fault.name);
    }
}

#[test]
fn faults_that_pass_pass() {
    for (name, first) in
        [("404-first", "404"), ("410-first", "410"), ("429-first", "429"), ("500-first", "500"), ("503-first", "503")]
    {
        let server = with(name);
        let of = || ask(&server, &get(HOSTNAME, ""));
        assert_eq!([status(&of()), status(&of()), status(&of())], [first, first, "200"], "{name}");
    }
    let server = with("changed");
    let of = || ask(&server, &get(HOSTNAME, ""));
    assert_eq!([body(&of()), body(&of())], ["web-1", "web-2"]);
}

#[test]
fn tokens_expire() {
    let server = Server::start(Options::of("aws").with(fault::find("expired-token").expect("the fault exists")));
    let token = ask(&server, "PUT /latest/api/token HTTP/1.0\nX-aws-ec2-metadata-token-ttl-seconds: 5\n\n");
    let of = || ask(&server, &get("/latest/meta-data/mac", &format!("X-aws-ec2-metadata-token: {}\r\n", body(&token))));
    assert_eq!([status(&of()), status(&of()), status(&of())], ["200", "200", "401"]);
}

#[test]
fn statuses_that_stay_stay() {
    for name in ["401", "403", "404", "410", "429", "500", "503"] {
        let server = with(name);
        let reply = ask(&server, &get(HOSTNAME, ""));
        assert_eq!(status(&reply), name);
        assert_eq!(reply.contains("Retry-After: 3600"), name == "503");
    }
    let reply = ask(&with("redirect"), &get(HOSTNAME, ""));
    assert_eq!(status(&reply), "302");
    assert!(reply.contains(&format!("Location: /elsewhere{HOSTNAME}\r\n")));
}

#[test]
fn unusual_ways_carry_the_same_body() {
    for name in ["until-close", "close-said", "close-unsaid", "pieces"] {
        assert_eq!(body(&ask(&with(name), &get(HOSTNAME, ""))), "web-1", "{name}");
    }
    let reply = ask(&with("chunked"), &get(HOSTNAME, ""));
    assert_eq!(body(&reply), "1;name=\"value\"\r\nw\r\n4;name=\"value\"\r\neb-1\r\n000\r\nX-Trailer: value\r\n\r\n");
}

#[test]
fn wrong_lengths_are_reported() {
    for (name, lie, end) in [
        ("length-too-large", "Content-Length: 6\r\n", "web-1"),
        ("length-too-small", "Content-Length: 4\r\n", "web-1"),
        ("huge-length", "Content-Length: 18446744073709551617\r\n", "web-1"),
        ("chunk-cut", "Transfer-Encoding: chunked\r\n", "\r\n6\r\nweb-1"),
        ("chunk-size", "Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\nweb-1\r\n0\r\n\r\n"),
        ("empty", "Content-Length: 0\r\n", "\r\n\r\n"),
    ] {
        let reply = ask(&with(name), &get(HOSTNAME, ""));
        assert!(reply.contains(lie) && reply.ends_with(end), "{name}: {reply}");
    }
}

#[test]
fn broken_streams_break() {
    let whole = ask(&with("none"), &get(HOSTNAME, ""));
    for (name, wanted, resets) in
        [("half", &whole[..whole.len() / 2], false), ("hang-up", "", false), ("reset", "", true)]
    {
        let server = with(name);
        let stream = TcpStream::connect(server.address()).expect("the server listens");
        let (reply, reset) = exchange(stream, &get(HOSTNAME, ""));
        assert_eq!(reset, resets, "{name}");
        // What comes before a reset may be lost with it.
        assert!(reset || reply == wanted.as_bytes(), "{name}");
    }
    let garbage = ask(&with("garbage"), &get(HOSTNAME, ""));
    assert!(garbage.len() > 1000 && !garbage.contains("HTTP"));
    assert!(
        TcpStream::connect(with("refused").address()).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    );
}

#[test]
fn the_endless_outlasts_any_limit() {
    /// More than wisp would ever take.
    const MUCH: usize = 40 * 1024 * 1024;
    for name in ["endless-head", "endless-body", "chunk-endless"] {
        let server = with(name);
        let mut stream = TcpStream::connect(server.address()).expect("the server listens");
        stream.write_all(get(HOSTNAME, "").as_bytes()).expect("the server takes a request");
        let (mut buffer, mut seen) = (vec![0; 1 << 20], 0);
        while seen < MUCH {
            let count = stream.read(&mut buffer).expect("the stream goes on");
            assert!(count > 0, "{name} ended after {seen} bytes");
            seen += count;
        }
    }
}

#[test]
fn silence_lasts_until_the_client_goes_and_slowness_arrives() {
    let server = with("black-hole");
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    stream.write_all(get(HOSTNAME, "").as_bytes()).expect("the server takes a request");
    stream.set_read_timeout(Some(std::time::Duration::from_millis(100))).expect("a socket has a limit");
    assert!(stream.read(&mut [0; 1]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock));
    stream.shutdown(std::net::Shutdown::Write).expect("the client may go");
    assert_eq!(stream.read(&mut [0; 1]).expect("the server goes too"), 0);
    let server = with("slow-bytes");
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    stream.write_all(get(HOSTNAME, "").as_bytes()).expect("the server takes a request");
    let mut first = [0; 4];
    stream.read_exact(&mut first[..1]).expect("a byte comes");
    let started = std::time::Instant::now();
    stream.read_exact(&mut first[1..]).expect("more come");
    assert!(started.elapsed().as_millis() >= 90, "one after another");
}

//! The resolver against servers that are told what to answer.

use super::*;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};

const FOUR: [u8; 4] = [192, 0, 2, 7];

fn within(millis: u64) -> Deadline {
    Deadline::after(clock::now(), Duration::from_millis(millis))
}

fn asking(servers: &[SocketAddr]) -> Resolver {
    Resolver { servers: servers.into(), ..Resolver::default() }
}

/// A server that answers each question, distinguished by its family, with what `answer` makes of it: any messages.
fn serve(answer: impl Fn(&[u8], Family) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    serve_at(UdpSocket::bind("127.0.0.1:0").unwrap(), answer)
}

fn serve_at(socket: UdpSocket, answer: impl Fn(&[u8], Family) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let question = &buffer[..length];
            for message in answer(question, family(question)) {
                // The test may be over already.
                let _ = socket.send_to(&message, from);
            }
        }
    });
    address
}

fn family(question: &[u8]) -> Family {
    if question[question.len() - 3] == 1 { Family::V4 } else { Family::V6 }
}

/// The response to `question` with this code and, for IPv4, one address.
fn response(question: &[u8], code: u8, has_address: bool) -> Vec<u8> {
    let mut out = question.to_vec();
    out[2] = 0x81;
    out[3] = code;
    if has_address {
        out[7] = 1;
        out.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        out.extend(FOUR);
    }
    out
}

fn honest(question: &[u8], family: Family) -> Vec<Vec<u8>> {
    vec![response(question, 0, family == Family::V4)]
}

#[test]
fn addresses_and_hosts_need_no_server() {
    let hosts = "127.0.0.1 localhost\n# 192.0.2.1 seed\n192.0.2.2\tSeed.example seed # mine\nx seed\n::1 seed\n";
    let resolver = Resolver { hosts: hosts.into(), ..asking(&[]) };
    let expected: Vec<IpAddr> = vec!["192.0.2.2".parse().unwrap(), "::1".parse().unwrap()];
    assert_eq!(resolver.lookup("seed", within(0)).unwrap(), expected);
    assert_eq!(resolver.lookup("sEED.example.", within(0)).unwrap(), expected[..1]);
    assert_eq!(resolver.lookup("a..b", within(0)).unwrap_err().kind, Kind::Usage);
    assert_eq!(resolver.lookup("2001:db8::1", within(0)).unwrap(), ["2001:db8::1".parse::<IpAddr>().unwrap()]);
}

#[test]
fn the_configuration_is_read_as_libc_does() {
    let conf = "# made by hand\nnameserver 192.0.2.1\nsearch example.org example.net\nnameserver fe80::1%lo\n\
         nameserver fe80::2%7\nnameserver 192.0.2.4\noptions ndots:2\n";
    let resolver = Resolver::parse(conf);
    let servers: Vec<String> = resolver.servers.iter().map(|server| format!("{server}")).collect();
    assert_eq!(servers, ["192.0.2.1:53", "[fe80::1%1]:53", "[fe80::2%7]:53"]);
    assert_eq!(resolver.domains, ["example.org", "example.net"]);
    assert_eq!(Resolver::parse("nameserver rubbish\n").servers, ["127.0.0.1:53".parse().unwrap()]);
    assert_eq!(Resolver::read("/nonexistent"), Resolver::parse(""));
}

#[test]
fn a_name_has_its_address() {
    let found = asking(&[serve(honest)]).lookup("seed.example.org", within(10_000)).unwrap();
    assert_eq!(found, [IpAddr::from(FOUR)]);
}

#[test]
fn a_domain_that_makes_no_name_is_passed_over() {
    // What systemd-resolved and container engines write where there is none; and one that is too long.
    let conf = format!("search . {} example.org", "a.".repeat(126));
    let domains = Resolver::parse(&conf).domains;
    let resolver = Resolver { domains, ..asking(&[serve(honest)]) };
    assert_eq!(resolver.lookup("seed", within(10_000)).unwrap(), [IpAddr::from(FOUR)]);
    let resolver = Resolver { domains: vec![".".into()], ..resolver };
    assert_eq!(resolver.lookup("seed", within(10_000)).unwrap(), [IpAddr::from(FOUR)]);
    assert_eq!(resolver.lookup("a b", within(10_000)).unwrap_err().kind, Kind::Usage);
}

#[test]
fn a_name_that_is_not_there_is_absent() {
    let none = serve(|question, _| vec![response(question, 3, false)]);
    let empty = serve(|question, _| vec![response(question, 0, false)]);
    for server in [none, empty] {
        let error = asking(&[server]).lookup("seed.example.org", within(10_000)).unwrap_err();
        assert_eq!((error.kind, error.to.as_str()), (Kind::Absent, "seed.example.org"));
    }
}

#[test]
fn forged_answers_do_not_count() {
    let server = serve(|question, family| {
        let right = response(question, 0, family == Family::V4);
        let mut other_number = response(question, 3, false);
        other_number[0] ^= 1;
        let mut other_name = response(question, 3, false);
        other_name[13] ^= 1;
        let cut = right[..right.len() - 1].to_vec();
        vec![other_number, other_name, question.to_vec(), vec![], cut, right]
    });
    let found = asking(&[server]).lookup("seed.example.org", within(10_000)).unwrap();
    assert_eq!(found, [IpAddr::from(FOUR)]);
}

#[test]
fn a_server_that_fails_refuses_or_is_silent_is_not_the_last() {
    let failing = serve(|question, _| vec![response(question, 2, false)]);
    let silent = serve(|_, _| vec![]);
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let found = asking(&[failing, gone, silent, serve(honest)]).lookup("seed.example.org", within(10_000)).unwrap();
    assert_eq!(found, [IpAddr::from(FOUR)]);
    for (server, why) in [(failing, "answered 2"), (silent, "no DNS server answers"), (gone, "refused")] {
        let error = asking(&[server]).lookup("seed.example.org", within(500)).unwrap_err();
        assert_eq!(error.kind, Kind::TimedOut);
        assert!(error.why.contains(why), "{error}");
    }
}

#[test]
fn a_server_that_knows_no_ipv6_costs_no_second_try() {
    let server = serve(|question, family| if family == Family::V4 { honest(question, family) } else { vec![] });
    let before = clock::now();
    let found = asking(&[server]).lookup("seed.example.org", within(10_000)).unwrap();
    assert_eq!(found, [IpAddr::from(FOUR)]);
    assert!(clock::now() - before >= OTHER_WAIT, "the other answer was waited for");
}

#[test]
fn a_name_without_a_dot_is_looked_for_in_the_domains_first() {
    let server = serve(|question, family| {
        let is_known = question.windows(5).any(|bytes| bytes == b"\x03net\0");
        vec![response(question, if is_known { 0 } else { 3 }, is_known && family == Family::V4)]
    });
    let domains = vec!["example.org".into(), "example.net".into()];
    let resolver = Resolver { domains, ..asking(&[server]) };
    assert_eq!(resolver.lookup("seed", within(10_000)).unwrap(), [IpAddr::from(FOUR)]);
    assert_eq!(resolver.lookup("seed.example", within(10_000)).unwrap_err().kind, Kind::Absent);
}

/// A server whose answers are too long for UDP; by TCP it sends `answer`.
fn serve_by_tcp(answer: fn(&[u8]) -> Vec<u8>) -> SocketAddr {
    // A port that is free for both.
    let (listener, socket) = loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()) {
            break (listener, socket);
        }
    };
    let server = serve_at(socket, |question, _| {
        let mut cut = response(question, 0, false);
        cut[2] |= 2;
        vec![cut]
    });
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut question = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut question).unwrap();
            // In two pieces, as a stream may come.
            let bytes = answer(&question);
            stream.write_all(&bytes[..bytes.len() / 2]).unwrap();
            stream.write_all(&bytes[bytes.len() / 2..]).unwrap();
        }
    });
    server
}

fn framed(message: &[u8]) -> Vec<u8> {
    [(message.len() as u16).to_be_bytes().as_slice(), message].concat()
}

#[test]
fn what_is_too_long_for_udp_comes_by_tcp() {
    let server = serve_by_tcp(|question| framed(&response(question, 0, family(question) == Family::V4)));
    let found = asking(&[server]).lookup("seed.example.org", within(10_000)).unwrap();
    assert_eq!(found, [IpAddr::from(FOUR)]);
}

#[test]
fn tcp_may_fail_too() {
    let cut: fn(&[u8]) -> Vec<u8> = |question| framed(question)[..20].to_vec();
    let other: fn(&[u8]) -> Vec<u8> = |question| framed(question);
    for (answer, why) in [(cut, "ends too early"), (other, "another question")] {
        let error = asking(&[serve_by_tcp(answer)]).lookup("seed.example.org", within(500)).unwrap_err();
        assert_eq!(error.kind, Kind::TimedOut);
        assert!(error.why.contains(why), "{error}");
    }
}

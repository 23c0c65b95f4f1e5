//! Routes that are not for everyone: the lock of systemd 261, ports below 1024, one interface only.

#[expect(dead_code, reason = "DHCP servers and what they leave behind are for the tests of link")]
#[path = "../netif/network.rs"]
mod network;

use super::server::{Server, answer, dial};
use super::{ONCE, PATIENT, get};
use network::{Network, isolated};
use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Duration;
use wisp::error::Kind;
use wisp::fetch::{Connector, Policy, Session};

/// For what no one answers.
const HASTY_ONCE: Policy = Policy { connect: Duration::from_millis(100), ..ONCE };

const METADATA: &str = "169.254.169.254:80";

fn lock() {
    let (network, neighbour) = (Network::new(), Network::new());
    network.connect("other", &neighbour, "end");
    // systemd's lock is a route that prohibits, and a rule that lets its mark pass; here the service is on the same
    // machine, so the lock hangs at the port, or its answers would not come out either.
    network.ip(&[
        "address add 169.254.169.254/32 dev lo",
        "link set other up",
        "rule add pref 10 fwmark 0x7FFF0815 lookup local",
        "rule add pref 20 to 169.254.169.254 ipproto tcp dport 80 prohibit",
        "rule add pref 30 lookup local",
        "rule del pref 0",
    ]);
    let heard = network.inside(|| {
        let server = Server::at(METADATA, vec![answer(200, "", "a").into()]);
        assert_eq!(TcpStream::connect(METADATA).unwrap_err().kind(), ErrorKind::PermissionDenied, "others stay out");
        let way = |interface: &str| Connector { interface: Some(interface.into()), low_port: true, ..server.dial() };
        let error = Session::new(way("none0"), ONCE, &[], None).get("/x").unwrap_err();
        assert_eq!(error.kind, Kind::Os(19), "no such interface: {error}");
        let error = Session::new(way("other"), HASTY_ONCE, &[], None).get("/x").unwrap_err();
        assert!(matches!(error.kind, Kind::Os(_) | Kind::TimedOut), "no way through that one: {error}");
        assert_eq!(get(&mut Session::new(way("lo"), PATIENT, &[], None)).as_deref(), Some("a"));
        server.heard()
    });
    assert_eq!(heard.len(), 1);
}

#[test]
fn a_locked_route_is_passed_by_its_mark() {
    isolated("locked::a_locked_route_is_passed_by_its_mark", lock);
}

fn unreachable() {
    Network::new().inside(|| {
        let far = wisp::fetch::Endpoint::Tcp(METADATA.parse().unwrap());
        let error = Session::new(dial(vec![far]), ONCE, &[], None).get("/x").unwrap_err();
        assert_eq!(error.kind, Kind::Os(101));
        assert!(
            error.to_string().contains("network is unreachable (ENETUNREACH), 169.254.169.254:80; given up"),
            "{error}"
        );
    });
}

#[test]
fn a_machine_without_a_network_says_so() {
    isolated("locked::a_machine_without_a_network_says_so", unreachable);
}

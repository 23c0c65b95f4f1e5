//! `link` against the kernel and against the DHCP servers that others wrote, in network namespaces.

mod network;

use network::{Network, isolated};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6, TcpStream};
use std::time::Duration;
use wisp::error::Kind;
use wisp::link::{Want, candidates, interfaces, is_reachable, reach};
use wisp::log::Log;
use wisp::sys::clock;
use wisp::units::Deadline;

const METADATA: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));
const BY_DHCP: Want = Want { server: METADATA, dhcp: true, link_local: false, prefer: None };

/// Long enough for a busy machine; where something must take its time, `within` says how long.
fn soon() -> Deadline {
    within(20_000)
}

fn within(millis: u64) -> Deadline {
    Deadline::after(clock::now(), Duration::from_millis(millis))
}

/// Whether `server` answers at port 80.
fn answers(server: SocketAddr) -> bool {
    TcpStream::connect_timeout(&server, Duration::from_secs(5)).is_ok()
}

/// A client with the interface `up0`, which is down, and a server behind it with these addresses; the metadata server
/// runs there.
fn pair(addresses: &[&str]) -> (Network, Network) {
    let (client, server) = (Network::new(), Network::new());
    client.connect("up0", &server, "srv");
    for address in addresses {
        server.ip(&[&format!("address add {address} dev srv")]);
    }
    server.ip(&["address add 169.254.169.254/32 dev lo"]);
    server.serve("169.254.169.254:80");
    (client, server)
}

/// Reaches the metadata server through the only interface, twice, and lets it go: what then differs from before?
fn reach_and_release(client: &Network, want: Want, look: fn(&wisp::link::Held)) {
    let before = client.state();
    assert!(!before.contains("LOWER_UP> mtu 1500"), "the interface is down: {before}");
    client.inside(move || {
        assert!(!is_reachable(want.server).unwrap());
        let held = reach(&want, soon(), &Log::stderr()).unwrap();
        assert!(!held.is_untouched());
        look(&held);
        assert!(is_reachable(want.server).unwrap());
        assert!(answers(SocketAddr::new(want.server, 80)), "the way that was found leads there");
        let again = reach(&want, soon(), &Log::stderr()).unwrap();
        assert!(again.is_untouched() && again.lease.is_none() && again.index == held.index);
        again.release().unwrap();
        held.release().unwrap();
        assert!(!is_reachable(want.server).unwrap());
    });
    assert_eq!(client.state(), before, "everything is as it was");
}

fn plain_lease() {
    let (client, server) = pair(&["10.9.0.1/24"]);
    let dnsmasq = server.dnsmasq(
        "srv",
        "--port=0 --dhcp-range=10.9.0.20,10.9.0.20,255.255.255.0,1h --dhcp-option=3,10.9.0.1 --dhcp-option=26,1400 \
         --dhcp-option=6,10.9.0.2,10.9.0.3 --domain=example.org --dhcp-host=set:known,id:*,wisp-1",
    );
    reach_and_release(&client, BY_DHCP, |held| {
        let lease = held.lease.as_ref().unwrap();
        assert_eq!((held.interface.as_str(), lease.address, lease.prefix), ("up0", Ipv4Addr::new(10, 9, 0, 20), 24));
        assert_eq!((lease.server, lease.seconds, lease.mtu), (Ipv4Addr::new(10, 9, 0, 1), 3600, Some(1400)));
        assert_eq!(lease.dns, [Ipv4Addr::new(10, 9, 0, 2), Ipv4Addr::new(10, 9, 0, 3)]);
        assert_eq!(lease.domain.as_deref(), Some("example.org"));
        let all = interfaces().unwrap();
        let own = all.iter().find(|it| it.name == "up0").unwrap();
        assert!(own.is_up && own.has_carrier && own.kind.as_deref() == Some("veth"));
        assert!(own.addresses.contains(&(IpAddr::V4(Ipv4Addr::new(10, 9, 0, 20)), 24)));
    });
    let log = dnsmasq.wait_for("DHCPRELEASE(srv) 10.9.0.20");
    assert!(!log.contains("unknown"), "{log}");
}

#[test]
fn a_lease_is_taken_used_and_given_back() {
    isolated("a_lease_is_taken_used_and_given_back", plain_lease);
}

//! `link` against the kernel and against the DHCP servers that others wrote, in network namespaces.

mod network;

use network::{Network, isolated};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, TcpStream, UdpSocket};
use std::time::Duration;
use wisp::error::Kind;
use wisp::fetch::resolve::Resolver;
use wisp::log::Log;
use wisp::netif::dhcp::{Channel, acquire};
use wisp::netif::{Target, assign, candidates, connect, interfaces};
use wisp::settings::Fixed;
use wisp::sys::clock;
use wisp::sys::datagram::Udp;
use wisp::units::Deadline;

const METADATA: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));
const BY_DHCP: Target = Target { server: METADATA, other: None, dhcp: true, link_local: false, prefer: None };

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
fn reach_and_release(client: &Network, want: Target<'static>, look: fn(&wisp::netif::Connection)) {
    let before = client.state();
    assert!(!before.contains("LOWER_UP> mtu 1500"), "the interface is down: {before}");
    client.inside(move || {
        let held = connect(&want, soon(), &Log::stderr()).unwrap();
        assert!(!held.is_untouched());
        look(&held);
        assert!(answers(SocketAddr::new(want.server, 80)), "the way that was found leads there");
        let again = connect(&want, soon(), &Log::stderr()).unwrap();
        assert!(again.is_untouched() && again.lease.is_none() && again.index == held.index);
        again.release().unwrap();
        held.release().unwrap();
    });
    assert_eq!(client.state(), before, "everything is as it was");
}

fn plain() {
    let (client, server) = pair(&["10.9.0.1/24"]);
    let dnsmasq = server.dnsmasq(
        "srv",
        "--port=0 --dhcp-range=10.9.0.20,10.9.0.20,255.255.255.0,1h --dhcp-option=3,10.9.0.1 --dhcp-option=26,1400 \
         --dhcp-option=6,10.9.0.2,10.9.0.3 --domain=example.org",
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
        assert!(own.addresses.contains(&(IpAddr::V4(lease.address), 24)));
    });
    dnsmasq.wait_for("DHCPRELEASE(srv) 10.9.0.20");
}

/// A lease of one address, and a router that is on the link because a route says so.
fn google() {
    let (client, server) = pair(&["10.128.0.1/24"]);
    let _dnsmasq = server.dnsmasq(
        "srv",
        "--port=0 --dhcp-range=10.128.0.7,10.128.0.7,255.255.255.0,1h --dhcp-option=1,255.255.255.255 \
         --dhcp-option=121,10.128.0.1/32,0.0.0.0,0.0.0.0/0,10.128.0.1 --dhcp-option=12,vm-1",
    );
    reach_and_release(&client, BY_DHCP, |held| {
        let lease = held.lease.as_ref().unwrap();
        assert_eq!((lease.prefix, lease.routes.len(), lease.host_name.as_deref()), (32, 2, Some("vm-1")));
    });
}

/// The same, but only the router option says so.
fn hetzner() {
    let (client, server) = pair(&["172.31.1.1/24"]);
    let _dnsmasq = server.dnsmasq(
        "srv",
        "--port=0 --dhcp-range=172.31.1.7,172.31.1.7,255.255.255.0,1h --dhcp-option=1,255.255.255.255 \
         --dhcp-option=3,172.31.1.1",
    );
    reach_and_release(&client, BY_DHCP, |held| assert_eq!(held.lease.as_ref().unwrap().prefix, 32));
}

/// Two interfaces have leases; only that of the second leads to the metadata server.
fn azure() {
    let (client, server) = pair(&["10.0.0.1/24"]);
    let other = Network::new();
    client.connect("up1", &other, "srv");
    other.ip(&["address add 10.9.0.1/24 dev srv"]);
    let fast = "--port=0 --dhcp-range=10.9.0.20,10.9.0.20,255.255.255.0,1h --dhcp-option=3";
    let other_dnsmasq = other.dnsmasq("srv", fast);
    let dnsmasq = server.dnsmasq(
        "srv",
        "--port=0 --dhcp-range=10.0.0.4,10.0.0.4,255.255.255.0 --dhcp-option-force=245,168.63.129.16 --dhcp-option=3 \
         --dhcp-option=121,168.63.129.16/32,10.0.0.1,169.254.169.254/32,10.0.0.1",
    );
    reach_and_release(&client, Target { prefer: Some("up1"), ..BY_DHCP }, |held| {
        let lease = held.lease.as_ref().unwrap();
        assert_eq!(held.interface, "up0");
        assert_eq!(lease.wire_server, Some(Ipv4Addr::new(168, 63, 129, 16)));
        let all = interfaces().unwrap();
        assert!(all.iter().any(|it| it.name == "up1" && !it.is_up), "what is of no use is set down again");
    });
    dnsmasq.wait_for("DHCPRELEASE(srv) 10.0.0.4");
    other_dnsmasq.wait_for("DHCPRELEASE(srv) 10.9.0.20");
}

/// A lease without any route: the server is asked for on the link itself.
fn no_router() {
    let (client, server) = pair(&["10.9.0.1/24"]);
    let _dnsmasq = server.dnsmasq("srv", "--port=0 --dhcp-range=10.9.0.20,10.9.0.20,255.255.255.0 --dhcp-option=3");
    reach_and_release(&client, BY_DHCP, |held| assert!(held.lease.as_ref().unwrap().routes.is_empty()));
}

/// No DHCP at all.
fn digitalocean() {
    let (client, _server) = pair(&["169.254.0.1/16"]);
    let want = Target { dhcp: false, link_local: true, ..BY_DHCP };
    reach_and_release(&client, want, |held| assert!(held.lease.is_none() && held.interface == "up0"));
}

/// The other small DHCP server.
fn udhcpd() {
    let (client, server) = pair(&["10.9.0.1/24"]);
    let path = std::env::temp_dir().join(format!("wisp-udhcpd-{}", std::process::id()));
    let leases = path.with_extension("leases");
    std::fs::write(&leases, "").unwrap();
    let text = format!(
        "start 10.9.0.30\nend 10.9.0.30\ninterface srv\noption subnet 255.255.255.0\noption router 10.9.0.1\n\
         option lease 600\noption staticroutes 169.254.169.254/32 10.9.0.1, 10.8.0.0/14 10.9.0.1\nlease_file {}\n",
        leases.display()
    );
    std::fs::write(&path, text).unwrap();
    let daemon = server.start("busybox", &["udhcpd", "-f", path.to_str().unwrap()], "started");
    reach_and_release(&client, BY_DHCP, |held| {
        let lease = held.lease.as_ref().unwrap();
        assert_eq!((lease.address, lease.routes.len()), (Ipv4Addr::new(10, 9, 0, 30), 2));
    });
    drop(daemon);
    std::fs::remove_file(path).unwrap();
    std::fs::remove_file(leases).unwrap();
}

/// Kernels without packet sockets have UDP only.
fn by_udp() {
    let (client, server) = pair(&["10.9.0.1/24"]);
    let dnsmasq = server.dnsmasq("srv", "--port=0 --dhcp-range=10.9.0.20,10.9.0.20,255.255.255.0");
    client.ip(&["link set up0 up"]);
    client.inside(|| {
        let all = interfaces().unwrap();
        let interface = candidates(&all, None)[0];
        let channel = Channel::Udp(Udp::open("up0", 68).unwrap());
        let (lease, _) = acquire(channel, interface, soon()).unwrap();
        assert_eq!(lease.address, Ipv4Addr::new(10, 9, 0, 20));
    });
    dnsmasq.wait_for("DHCPACK(srv) 10.9.0.20");
}

/// A server that says much that must not be believed, refuses what it offered, and then means it.
fn rude() {
    const CLIENT_PORT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::BROADCAST, 68);
    let (client, server) = pair(&["10.9.0.1/24"]);
    server.ip(&["route add default dev srv"]);
    let socket = server.inside(|| UdpSocket::bind("0.0.0.0:67").unwrap());
    socket.set_broadcast(true).unwrap();
    let served = std::thread::spawn(move || {
        let (mut buffer, mut refused) = ([0; 1500], false);
        loop {
            let (length, _) = socket.recv_from(&mut buffer).unwrap();
            let question = &buffer[..length];
            // The message type stands first among the options, behind the magic cookie.
            let kind = match question[242] {
                1 => 2,
                3 if refused => 5,
                3 => 6,
                7 => return,
                other => panic!("a message of type {other}"),
            };
            refused |= kind == 6;
            let right = reply(question, kind);
            let wrong = |kind, at: usize| {
                let mut message = reply(question, kind);
                message[at] ^= 0xff;
                message
            };
            // Transaction, client, cookie, length of an option; another server's refusal, nothing, no options.
            let damaged = [wrong(kind, 4), wrong(kind, 28), wrong(kind, 236), wrong(kind, 250)];
            let wrong = damaged.into_iter().chain([wrong(6, 248), vec![], right[..240].to_vec()]);
            for message in wrong.chain([right.clone()]) {
                socket.send_to(&message, CLIENT_PORT).unwrap();
            }
        }
    });
    reach_and_release(&client, BY_DHCP, |held| {
        assert_eq!(held.lease.as_ref().unwrap().address, Ipv4Addr::new(10, 9, 0, 77));
    });
    served.join().unwrap();
}

/// The answer of type `kind` to a client's message.
fn reply(question: &[u8], kind: u8) -> Vec<u8> {
    let mut out = question[..240].to_vec();
    out[0] = 2;
    out[16..20].copy_from_slice(&[10, 9, 0, 77]);
    out.extend([53, 1, kind, 54, 4, 10, 9, 0, 1, 1, 4, 255, 255, 255, 0, 255]);
    out
}

/// Names, from dnsmasq's own table: short answers by UDP, and one that only TCP can carry.
fn names() {
    let (client, server) = pair(&["10.9.0.1/24"]);
    client.ip(&["link set up0 up", "address add 10.9.0.2/24 dev up0"]);
    let many: String = (1..=60).map(|last| format!(" --host-record=many.example,10.1.0.{last}")).collect();
    let arguments = format!(
        "--no-dhcp-interface=srv --auth-ttl=1 --local=/example/ --cname=alias.example,seed.example \
         --host-record=seed.example,10.9.0.7,fd00::7{many}"
    );
    let dnsmasq = server.dnsmasq("srv", &arguments);
    client.inside(|| {
        let resolver = Resolver { domains: vec!["example".into()], ..Resolver::parse("nameserver 10.9.0.1") };
        let seed: Vec<IpAddr> = vec!["10.9.0.7".parse().unwrap(), "fd00::7".parse().unwrap()];
        assert_eq!(resolver.lookup("seed.example", soon()).unwrap(), seed);
        assert_eq!(resolver.lookup("Alias.Example.", soon()).unwrap(), seed);
        assert_eq!(resolver.lookup("alias", soon()).unwrap(), seed);
        assert_eq!(resolver.lookup("many.example", soon()).unwrap().len(), 16, "more are not looked at");
        assert_eq!(resolver.lookup("none.example", soon()).unwrap_err().kind, Kind::Absent);
    });
    dnsmasq.wait_for("alias.example");
}

/// IPv6 without any server: the kernel's own address, and one that everyone knows.
fn assigned() {
    let (client, _server) = pair(&["10.9.0.1/24"]);
    let before = client.state();
    let fixed = Fixed { address: [10, 9, 0, 7].into(), prefix: 24, gateway: Some([10, 9, 0, 1].into()) };
    client.inside(move || {
        let error = assign(Some("up1"), &fixed, soon(), &Log::stderr()).unwrap_err();
        assert_eq!((error.kind, error.to.as_str()), (Kind::Absent, "10.9.0.7"));
        let held = assign(Some("up0"), &fixed, soon(), &Log::stderr()).unwrap();
        assert_eq!((held.interface.as_str(), &held.lease), ("up0", &None));
        assert!(answers(SocketAddr::new(METADATA, 80)), "through the router");
        held.release().unwrap();
    });
    assert_eq!(client.state(), before, "everything is as it was");
}

fn link_local6() {
    let (client, server) = (Network::new(), Network::new());
    client.connect("up0", &server, "srv");
    server.ip(&["address add fe80::a9fe:a9fe/64 dev srv nodad"]);
    server.serve("[::]:80");
    let before = client.state();
    client.inside(|| {
        let address: Ipv6Addr = "fe80::a9fe:a9fe".parse().unwrap();
        let want = Target { server: address.into(), dhcp: true, ..BY_DHCP };
        let held = connect(&want, soon(), &Log::stderr()).unwrap();
        assert!(answers(SocketAddrV6::new(address, 80, 0, held.index).into()));
        assert!(connect(&want, soon(), &Log::stderr()).unwrap().is_untouched());
        held.release().unwrap();
    });
    assert_eq!(client.state(), before);
}

/// A machine without IPv4: the other address is taken when no lease comes, and at once when IPv6 is configured.
fn only6() {
    let (client, server) = (Network::new(), Network::new());
    client.connect("up0", &server, "srv");
    server.ip(&["address add fe80::a9fe:a9fe/64 dev srv nodad"]);
    server.serve("[::]:80");
    let before = client.state();
    let address: Ipv6Addr = "fe80::a9fe:a9fe".parse().unwrap();
    let want = Target { other: Some(address.into()), ..BY_DHCP };
    client.inside(move || {
        let held = connect(&want, soon(), &Log::stderr()).unwrap();
        assert!(!held.is_untouched() && held.lease.is_none());
        assert!(answers(SocketAddrV6::new(address, 80, 0, held.index).into()));
        held.release().unwrap();
    });
    assert_eq!(client.state(), before);
    client.ip(&["link set up0 up", "address add 2001:db8::2/64 dev up0 nodad"]);
    client.inside(move || {
        let held = connect(&want, soon(), &Log::stderr()).unwrap();
        assert!(held.is_untouched(), "somebody has configured IPv6, and not IPv4");
        held.keep();
    });
}

/// IPv6 by router advertisements, which the kernel hears itself.
fn router6() {
    let (client, server) = pair(&["fd00:42::42/64 nodad"]);
    server.serve("[fd00:42::42]:80");
    let _dnsmasq = server.dnsmasq("srv", "--port=0 --enable-ra --dhcp-range=fd00:42::,ra-only");
    let before = client.state();
    client.inside(|| {
        let want = Target { server: "fd00:42::42".parse().unwrap(), ..BY_DHCP };
        let held = connect(&want, soon(), &Log::stderr()).unwrap();
        assert!(answers(SocketAddr::new(want.server, 80)));
        held.release().unwrap();
    });
    assert_eq!(client.state(), before);
}

/// No one answers, there is no partner, there is no interface: an error, and everything as it was.
fn nothing() {
    let fails = |client: &Network, want: Target<'static>, kind: Kind, why: &'static str| {
        let before = client.state();
        client.inside(move || {
            let error = connect(&want, within(700), &Log::stderr()).unwrap_err();
            assert!(error.kind == kind && error.why.contains(why), "{error}");
        });
        assert_eq!(client.state(), before);
    };
    let (client, server) = pair(&[]);
    fails(&client, BY_DHCP, Kind::TimedOut, "no DHCP server answered");
    fails(&client, Target { dhcp: false, ..BY_DHCP }, Kind::Refused, "no means");
    let server6 = "fd00:42::42".parse().unwrap();
    fails(&client, Target { server: server6, ..BY_DHCP }, Kind::TimedOut, "no interface leads there");
    server.ip(&["link set srv down"]);
    fails(&client, BY_DHCP, Kind::TimedOut, "no interface has a carrier");
    client.ip(&["link delete up0"]);
    fails(&client, BY_DHCP, Kind::Absent, "no network interface");
}

/// What is kept stays, and the next one finds it.
fn kept() {
    let (client, server) = pair(&["10.9.0.1/24"]);
    let _dnsmasq = server.dnsmasq("srv", "--port=0 --dhcp-range=10.9.0.20,10.9.0.20,255.255.255.0");
    client.inside(|| connect(&BY_DHCP, soon(), &Log::stderr()).unwrap().keep());
    let state = client.state();
    assert!(state.contains("inet 10.9.0.20/24 brd 10.9.0.255 scope global dynamic up0"), "{state}");
    assert!(state.contains("default via 10.9.0.1 dev up0 proto dhcp src 10.9.0.20 onlink"), "{state}");
    client.inside(|| {
        let again = connect(&BY_DHCP, soon(), &Log::stderr()).unwrap();
        assert!(again.is_untouched() && again.interface == "up0");
        again.release().unwrap();
        assert!(answers(SocketAddr::new(METADATA, 80)), "who made nothing removes nothing");
    });
}

/// Another client has the address and has lost its route: the same lease is his, and is not given back.
fn lost_route() {
    let (client, server) = pair(&["10.9.0.1/24"]);
    let dnsmasq = server.dnsmasq("srv", "--port=0 --dhcp-range=10.9.0.20,10.9.0.20,255.255.255.0");
    client.ip(&["link set up0 up", "address add 10.9.0.20/24 dev up0"]);
    let before = client.state();
    client.inside(|| {
        let held = connect(&BY_DHCP, soon(), &Log::stderr()).unwrap();
        assert!(answers(SocketAddr::new(METADATA, 80)));
        held.release().unwrap();
    });
    assert_eq!(client.state(), before);
    dnsmasq.wait_for("DHCPACK");
    client.inside(|| {
        let all = interfaces().unwrap();
        let interface = candidates(&all, None)[0];
        acquire(Channel::open(interface).unwrap(), interface, soon()).unwrap();
    });
    let between = dnsmasq.wait_for("DHCPACK");
    assert!(!between.contains("DHCPRELEASE"), "{between}");
}

/// systemd's lock: a route that prohibits, and a rule that lets its mark pass. The network behind it is another's.
fn locked() {
    let (client, server) = pair(&["10.9.0.1/24"]);
    let _dnsmasq = server.dnsmasq("srv", "--port=0 --dhcp-range=10.9.0.20,10.9.0.20,255.255.255.0");
    client.ip(&[
        "link set up0 up",
        "address add 10.9.0.2/24 dev up0",
        "route add default via 10.9.0.1",
        "route add prohibit 169.254.169.254",
    ]);
    client.inside(|| assert!(!answers(SocketAddr::new(METADATA, 80)), "nobody may pass"));
    client.ip(&["rule add fwmark 0x7FFF0815 lookup 100", "route add default via 10.9.0.1 table 100"]);
    client.inside(|| {
        let held = connect(&BY_DHCP, soon(), &Log::stderr()).unwrap();
        assert!(held.is_untouched() && held.interface == "up0", "who has the mark may");
        held.release().unwrap();
    });
}

macro_rules! isolated_tests {
    ($($name:ident: $body:ident,)*) => { $(
        #[test]
        fn $name() {
            isolated(stringify!($name), $body);
        }
    )* };
}

isolated_tests! {
    a_lease_is_taken_used_and_given_back: plain,
    a_router_may_be_on_the_link_by_its_own_route: google,
    a_router_outside_the_network_is_on_the_link: hetzner,
    the_lease_that_leads_to_the_server_wins: azure,
    without_a_router_the_server_is_on_the_link: no_router,
    an_address_of_the_link_needs_no_server: digitalocean,
    busyboxs_server_is_understood: udhcpd,
    lies_of_a_server_are_not_believed: rude,
    names_are_looked_up: names,
    udp_does_where_packet_sockets_are_missing: by_udp,
    an_address_that_is_given_needs_no_server: assigned,
    a_link_local_server_of_ipv6_is_reached: link_local6,
    a_machine_with_ipv6_only_takes_the_other_address: only6,
    the_kernel_listens_to_routers_of_ipv6: router6,
    a_failed_search_leaves_no_trace: nothing,
    what_is_kept_stays: kept,
    the_lease_of_another_client_is_not_given_back: lost_route,
    a_locked_route_is_a_way: locked,
}

//! Any bytes as what comes from a network: DHCP and DNS answers, IPv4 packets, the kernel's netlink.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wisp::packet::dhcp4::{Answer, Client};
use wisp::packet::dns::{self, Family, Name, Query};
use wisp::packet::ipv4::Datagram;
use wisp::packet::netlink::{Answers, Attributes, Messages};
use wisp::packet::rtnetlink::{parse_address, parse_link, parse_route_lookup};

/// The `N` bytes at `at`, or zeros.
fn bytes<const N: usize>(input: &[u8], at: usize) -> [u8; N] {
    input.get(at..at + N).map_or([0; N], |bytes| bytes.try_into().unwrap())
}

/// An answer to whichever client it names.
fn dhcp4(message: &[u8]) {
    let client =
        Client { transaction: u32::from_be_bytes(bytes(message, 4)), mac: bytes(message, 28), wants_broadcast: false };
    if let Ok(Some(Answer::Offer(lease) | Answer::Acknowledged(lease))) = client.find_answer(message) {
        assert!(lease.prefix <= 32 && !lease.address.is_unspecified());
        assert!(lease.routes.iter().all(|route| route.prefix <= 32) && lease.routes.len() <= message.len() / 5);
    }
}

/// An answer to a question for one of a few names, whatever its number.
fn dns(message: &[u8]) {
    for (name, family) in [("seed.example.org", Family::V4), ("x", Family::V6)] {
        let query = Query { id: u16::from_be_bytes(bytes(message, 0)), name: Name::parse(name).unwrap(), family };
        if let Ok(Some(dns::Answer::Addresses(addresses))) = query.find_answer(message) {
            assert!(addresses.len() <= 16 && addresses.iter().all(|it| it.is_ipv4() == (family == Family::V4)));
        }
    }
    let _ = Name::parse(&String::from_utf8_lossy(message));
}

fn ipv4(packet: &[u8]) {
    if let Some(datagram) = Datagram::find(packet) {
        let again = datagram.emit().unwrap();
        assert_eq!(Datagram::find(&again), Some(datagram));
    }
}

fn netlink(datagram: &[u8]) {
    let _ = Answers::new(u32::from_ne_bytes(bytes(datagram, 8))).take(datagram, "fuzz");
    assert!(Messages::new(datagram).count() <= datagram.len() / 16 + 1);
    assert!(Attributes::after(datagram, 0).count() <= datagram.len() / 4);
    let _ = (parse_link(datagram), parse_address(datagram), parse_route_lookup(datagram));
}

fuzz_target!(|input: &[u8]| {
    let Some((kind, message)) = input.split_first() else { return };
    match kind % 4 {
        0 => dhcp4(message),
        1 => dns(message),
        2 => ipv4(message),
        _ => netlink(message),
    }
});

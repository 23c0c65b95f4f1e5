//! Messages built by hand from the headers of the kernel; `tests/netif` has the kernel itself.

use super::*;
use crate::packet::netlink::Messages;

/// A fixed part with attributes behind it.
fn message(header: &[u8], attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let request =
        attributes.iter().fold(Request::new(0, 0, header), |request, (kind, value)| request.with(*kind, value));
    request.emit(0)[16..].to_vec()
}

/// `4: eth0@if5: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 ... link/ether 02:..:01`, a veth.
fn veth() -> Vec<u8> {
    let header = [0, 0, 1, 0, 4, 0, 0, 0, 0x43, 0x10, 1, 0, 0, 0, 0, 0];
    message(
        &header,
        &[(3, b"eth0\0"), (4, &[0xdc, 5, 0, 0]), (1, &[2, 0, 0, 0, 0, 1]), (0x8000 | 18, b"\x09\0\x01\0veth\0\0\0\0")],
    )
}

#[test]
fn an_interface_is_read() {
    let link = parse_link(&veth()).unwrap();
    let expected = Link {
        index: 4,
        name: "eth0".into(),
        mac: Some([2, 0, 0, 0, 0, 1]),
        kind: Some("veth".into()),
        is_up: true,
        has_carrier: true,
        mtu: 1500,
        ..Link::default()
    };
    assert_eq!(link, expected);
    let mut down = veth();
    down[8] = 0x02;
    assert!(!parse_link(&down).unwrap().is_up && !parse_link(&down).unwrap().has_carrier, "LOWER_UP is not enough");
    let loopback =
        message(&[0, 0, 4, 3, 1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0], &[(3, b"lo\0"), (1, &[0; 6]), (10, &[0; 4])]);
    let loopback = parse_link(&loopback).unwrap();
    assert!(loopback.is_loopback && loopback.mac.is_none() && loopback.master.is_none());
    let slave = message(&[0, 0, 1, 0, 4, 0, 0, 0, 3, 0, 1, 0, 0, 0, 0, 0], &[(10, &[7, 0, 0, 0])]);
    assert_eq!(parse_link(&slave).unwrap().master, Some(7));
}

#[test]
fn an_address_is_read() {
    let own =
        message(&[2, 24, 0x80, 0, 4, 0, 0, 0], &[(1, &[10, 0, 0, 1]), (2, &[10, 0, 0, 2]), (8, &[0x80, 0, 0, 0])]);
    let expected = Address { index: 4, address: [10, 0, 0, 2].into(), prefix: 24, is_usable: true };
    assert_eq!(parse_address(&own), Ok(Some(expected)), "the other end of a point-to-point link is not ours");
    let six = |flags: u8| message(&[10, 64, flags, 253, 4, 0, 0, 0], &[(1, &[0xfe; 16])]);
    let usable = |flags| parse_address(&six(flags)).unwrap().unwrap().is_usable;
    // Permanent; tentative; tentative and optimistic; duplicate.
    assert!(usable(0x80) && !usable(0xc0) && usable(0xc4) && !usable(0x88));
    assert_eq!(parse_address(&message(&[17, 0, 0, 0, 1, 0, 0, 0], &[(1, &[1; 4])])), Ok(None));
    assert_eq!(parse_address(&message(&[2, 8, 0, 0, 1, 0, 0, 0], &[(2, &[1; 5])])), Ok(None));
}

#[test]
fn a_way_leads_out_or_is_none() {
    let way = |kind: u8, flags: u8, attributes: &[(u16, &[u8])]| {
        parse_route_lookup(&message(&[2, 32, 0, 0, 254, 0, 0, kind, flags, 2, 0, 0], attributes)).unwrap()
    };
    let full: &[(u16, &[u8])] = &[(1, &[1, 1, 1, 1]), (4, &[4, 0, 0, 0]), (7, &[10, 0, 0, 2]), (5, &[10, 0, 0, 1])];
    assert_eq!(way(1, 0, full), Some(RouteLookup { index: 4, source: [10, 0, 0, 2].into() }));
    assert!(way(2, 0, full).is_some(), "one's own address");
    for (kind, flags) in [(1, 1), (1, 16), (3, 0), (6, 0), (7, 0), (8, 0)] {
        assert_eq!(way(kind, flags, full), None, "type {kind}, flags {flags}");
    }
    assert_eq!(way(1, 0, &full[..2]), None, "there is no address to send from");
    assert_eq!(way(1, 0, &[(4, &[4, 0, 0, 0]), (7, &[0; 4])]), None);
    assert_eq!(way(1, 0, &[(7, &[10, 0, 0, 2])]), None);
}

#[test]
fn orders_have_the_kernels_form() {
    let body = |request: Request| {
        let bytes = request.emit(1);
        let message = Messages::new(&bytes).next().unwrap().unwrap();
        (message.kind, message.flags, message.body.to_vec())
    };
    assert_eq!(body(set_link(3, true)), (16, 5, vec![0, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]));
    assert_eq!(body(set_link(3, false)).2[8..], [0, 0, 0, 0, 1, 0, 0, 0]);
    let address = Ipv4Addr::new(10, 1, 2, 3);
    let (kind, flags, bytes) = body(add_address(3, address, 22, 600));
    assert_eq!((kind, flags, &bytes[..8]), (20, 0x605, &[2, 22, 0, 0, 3, 0, 0, 0][..]));
    let attributes = Attributes::after(&bytes, 8);
    assert_eq!((attributes.value(2), attributes.value(4)), (Some(&[10, 1, 2, 3][..]), Some(&[10, 1, 3, 255][..])));
    assert_eq!(attributes.value(6).unwrap()[..8], [88, 2, 0, 0, 88, 2, 0, 0]);
    for prefix in [31, 32] {
        assert_eq!(Attributes::after(&body(add_address(3, address, prefix, 600)).2, 8).value(4), None);
    }
    let link_local = body(remove_address(3, Ipv4Addr::new(169, 254, 1, 1), 16));
    assert_eq!((link_local.0, link_local.1, link_local.2[3]), (21, 5, 253), "its scope is the link");

    let default = Route {
        index: 3,
        destination: Ipv4Addr::UNSPECIFIED,
        prefix: 0,
        gateway: Some(Ipv4Addr::new(172, 31, 1, 1)),
        source: address,
        mtu: Some(1460),
    };
    let (kind, flags, bytes) = body(add_route(&default));
    assert_eq!((kind, flags, &bytes[..12]), (24, 0x605, &[2, 0, 0, 0, 254, 16, 0, 1, 4, 0, 0, 0][..]));
    let attributes = Attributes::after(&bytes, 12);
    assert_eq!(attributes.value(5), Some(&[172, 31, 1, 1][..]));
    assert_eq!(attributes.value(8), Some(&[8, 0, 2, 0, 0xb4, 5, 0, 0][..]));
    let direct = Route { gateway: None, mtu: None, prefix: 32, destination: address, ..default };
    let (kind, flags, bytes) = body(remove_route(&direct));
    assert_eq!((kind, flags, &bytes[..12]), (25, 5, &[2, 32, 0, 0, 254, 16, 253, 1, 0, 0, 0, 0][..]));

    let (kind, flags, bytes) = body(get_route("fd00::1".parse().unwrap(), 7));
    assert_eq!((kind, flags, bytes[0], bytes[1]), (26, 5, 10, 128));
    assert_eq!(Attributes::after(&bytes, 12).number(16), Some(7));
    assert_eq!(Attributes::after(&bytes, 12).value(1).unwrap()[..2], [0xfd, 0]);
}

#[test]
fn cut_and_damaged_messages_end_in_a_value_or_an_error() {
    let samples = [
        veth(),
        message(&[2, 24, 0x80, 0, 4, 0, 0, 0], &[(1, &[10, 0, 0, 1]), (8, &[0x80, 0, 0, 0])]),
        message(&[2, 32, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0], &[(4, &[4, 0, 0, 0]), (7, &[10, 0, 0, 2])]),
    ];
    let parse = |bytes: &[u8]| {
        let _ = (parse_link(bytes), parse_address(bytes), parse_route_lookup(bytes));
    };
    for sample in &samples {
        (0..sample.len()).for_each(|length| parse(&sample[..length]));
        for bit in 0..sample.len() * 8 {
            let mut bad = sample.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            parse(&bad);
        }
    }
    assert!(parse_link(&[0; 11]).is_err() && parse_address(&[0; 7]).is_err() && parse_route_lookup(&[0; 11]).is_err());
}

//! DHCP messages built by hand from the RFCs.

use super::*;
use crate::error::Kind;

const CLIENT: Client =
    Client { transaction: 0x3903_f326, mac: [0x52, 0x54, 0, 0x12, 0x34, 0x56], wants_broadcast: false };
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 128, 0, 7);
const SERVER: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// A server's message of type `kind` with `options` behind it.
fn reply(kind: u8, options: &[u8]) -> Vec<u8> {
    let mut out = vec![2, 1, 6, 0, 0x39, 0x03, 0xf3, 0x26];
    out.extend([0; 8]);
    out.extend(ADDRESS.octets());
    out.extend([0; 8]);
    out.extend(CLIENT.mac);
    out.resize(236, 0);
    out.extend([99, 130, 83, 99, 53, 1, kind, 54, 4, 169, 254, 169, 254]);
    out.extend(options);
    out.push(255);
    out
}

fn lease(options: &[u8]) -> Result<Lease> {
    match CLIENT.find_answer(&reply(5, options))? {
        Some(Answer::Acknowledged(lease)) => Ok(lease),
        other => panic!("{other:?}"),
    }
}

/// What Google's servers send: /32, and a router that is reached by a route of its own.
const GCP: &[u8] = &[
    51, 4, 0, 1, 81, 128, // one day
    1, 4, 255, 255, 255, 255, //
    3, 4, 10, 128, 0, 1, //
    121, 14, 32, 10, 128, 0, 1, 0, 0, 0, 0, 0, 10, 128, 0, 1, //
    6, 4, 169, 254, 169, 254, //
    12, 4, b'v', b'm', b'-', b'1', //
    15, 9, b'i', b'n', b't', b'e', b'r', b'n', b'a', b'l', 0, //
    26, 2, 5, 180, //
];

#[test]
fn the_client_says_what_the_rfc_wants() {
    let discover = CLIENT.emit(Request::Discover, 3);
    assert_eq!(discover.len(), 300);
    assert_eq!(discover[..12], [1, 1, 6, 0, 0x39, 0x03, 0xf3, 0x26, 0, 3, 0, 0]);
    assert_eq!(discover[28..34], CLIENT.mac);
    assert_eq!(
        discover[236..273],
        [
            99, 130, 83, 99, 53, 1, 1, 61, 7, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 57, 2, 5, 192, 55, 8, 121, 1, 3, 6,
            12, 15, 26, 245, 255, 0, 0, 0, 0, 0, 0
        ]
    );
    let request = CLIENT.emit(Request::Request { address: ADDRESS, server: SERVER }, 0);
    assert_eq!(request[12..16], [0; 4], "an address that is only offered is no ciaddr");
    assert_eq!(request[252..264], [50, 4, 10, 128, 0, 7, 54, 4, 169, 254, 169, 254]);
    let release = CLIENT.emit(Request::Release { address: ADDRESS, server: SERVER }, 0);
    assert_eq!(release[12..16], ADDRESS.octets());
    assert_eq!(release[252..259], [54, 4, 169, 254, 169, 254, 255]);
    let broadcast = Client { wants_broadcast: true, ..CLIENT }.emit(Request::Discover, 0);
    assert_eq!(broadcast[10..12], [0x80, 0]);
}

#[test]
fn a_lease_has_what_metadata_needs() {
    let expected = Lease {
        address: ADDRESS,
        prefix: 32,
        server: SERVER,
        seconds: 86_400,
        routes: vec![
            Route { destination: Ipv4Addr::new(10, 128, 0, 1), prefix: 32, gateway: None },
            Route::to_everywhere(Ipv4Addr::new(10, 128, 0, 1)),
        ],
        dns: vec![SERVER],
        host_name: Some("vm-1".into()),
        domain: Some("internal".into()),
        mtu: Some(1460),
        wire_server: None,
    };
    assert_eq!(lease(GCP), Ok(expected));
}

#[test]
fn the_router_counts_only_where_no_routes_are() {
    let hetzner = lease(&[1, 4, 255, 255, 255, 255, 3, 4, 172, 31, 1, 1]).unwrap();
    assert_eq!(hetzner.routes, [Route::to_everywhere(Ipv4Addr::new(172, 31, 1, 1))]);
    assert_eq!(hetzner.seconds, u32::MAX);
    let azure = lease(&[
        1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 0, 9, 121, 8, 32, 168, 63, 129, 16, 10, 0, 0, 1, 245, 4, 168, 63, 129, 16,
    ]);
    let azure = azure.unwrap_err();
    assert_eq!(azure.kind, Kind::Corrupt, "the option is one byte short");
    let azure = lease(&[
        1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 0, 9, 121, 9, 32, 168, 63, 129, 16, 10, 0, 0, 1, 245, 4, 168, 63, 129, 16,
    ])
    .unwrap();
    let to_wire =
        Route { destination: Ipv4Addr::new(168, 63, 129, 16), prefix: 32, gateway: Some(Ipv4Addr::new(10, 0, 0, 1)) };
    assert_eq!((azure.prefix, azure.routes), (24, vec![to_wire]));
    assert_eq!(azure.wire_server, Some(Ipv4Addr::new(168, 63, 129, 16)));
}

#[test]
fn routes_are_read_as_rfc_3442_writes_them() {
    // The examples of its table: 0, 10/8, 10/24, 10.17/16, 10.27.129/24, 10.229.0.128/25, 10.198.122.47/32.
    let value = [
        0, 1, 1, 1, 1, 8, 10, 2, 2, 2, 2, 24, 10, 0, 0, 3, 3, 3, 3, 16, 10, 17, 4, 4, 4, 4, 24, 10, 27, 129, 5, 5, 5,
        5, 25, 10, 229, 0, 128, 6, 6, 6, 6, 32, 10, 198, 122, 47, 7, 7, 7, 7,
    ];
    let routes = parse_routes(&value).unwrap();
    let texts: Vec<String> = routes.iter().map(|route| format!("{}/{}", route.destination, route.prefix)).collect();
    assert_eq!(
        texts,
        [
            "0.0.0.0/0",
            "10.0.0.0/8",
            "10.0.0.0/24",
            "10.17.0.0/16",
            "10.27.129.0/24",
            "10.229.0.128/25",
            "10.198.122.47/32"
        ]
    );
    assert_eq!(routes[6].gateway, Some(Ipv4Addr::new(7, 7, 7, 7)));
    assert_eq!(parse_routes(&[9, 10, 255, 1, 1, 1, 1]).unwrap()[0].destination, Ipv4Addr::new(10, 128, 0, 0));
    assert_eq!(parse_routes(&[33, 1, 1, 1, 1, 1, 1, 1, 1, 1]).unwrap_err().kind, Kind::Corrupt);
    assert_eq!(parse_routes(&[]), Ok(vec![]));
}

#[test]
fn options_lie_in_other_fields_and_in_parts() {
    let mut overloaded = reply(5, &[52, 1, 3]);
    // `file` begins the list of DNS servers and `sname` ends it.
    overloaded[108..117].copy_from_slice(&[6, 6, 1, 1, 1, 1, 2, 2, 255]);
    overloaded[44..49].copy_from_slice(&[6, 2, 2, 2, 255]);
    let Some(Answer::Acknowledged(lease)) = CLIENT.find_answer(&overloaded).unwrap() else { panic!() };
    assert_eq!(lease.dns, [Ipv4Addr::new(1, 1, 1, 1), Ipv4Addr::new(2, 2, 2, 2)]);
    overloaded[242] = 5;
    overloaded[251] = 1;
    let Some(Answer::Acknowledged(lease)) = CLIENT.find_answer(&overloaded).unwrap() else { panic!() };
    assert_eq!(lease.dns, [Ipv4Addr::new(1, 1, 1, 1)], "sname is a name when the option says so");
}

#[test]
fn answers_are_distinguished() {
    assert!(matches!(CLIENT.find_answer(&reply(2, &[])), Ok(Some(Answer::Offer(lease))) if lease.prefix == 32));
    assert_eq!(CLIENT.find_answer(&reply(6, &[])), Ok(Some(Answer::Refused(SERVER))));
    assert_eq!(CLIENT.find_answer(&reply(9, &[])), Ok(None));
    // Operation, hardware type, transaction, client, cookie.
    for at in [0, 1, 2, 4, 7, 28, 33, 236, 239] {
        let mut other = reply(5, GCP);
        other[at] ^= 0x10;
        assert_eq!(CLIENT.find_answer(&other), Ok(None), "byte {at}");
    }
}

#[test]
fn nonsense_is_no_lease() {
    for at in [16..20, 242..252] {
        let mut bad = reply(5, GCP);
        bad[at].fill(0);
        assert!(!matches!(CLIENT.find_answer(&bad), Ok(Some(_))));
    }
    for address in [Ipv4Addr::LOCALHOST, Ipv4Addr::BROADCAST, Ipv4Addr::new(224, 0, 0, 1)] {
        let mut bad = reply(5, GCP);
        bad[16..20].copy_from_slice(&address.octets());
        assert_eq!(CLIENT.find_answer(&bad).unwrap_err().kind, Kind::Corrupt);
    }
    assert_eq!(lease(&[1, 4, 255, 0, 255, 0]).unwrap_err().kind, Kind::Corrupt);
    let strange = lease(&[12, 3, b'a', b'\n', b'b', 15, 1, 0, 26, 2, 0, 67, 51, 3, 1, 2, 3]).unwrap();
    assert_eq!((strange.host_name, strange.domain, strange.mtu, strange.seconds), (None, None, None, u32::MAX));
}

#[test]
fn cut_and_damaged_answers_end_in_a_value_or_an_error() {
    let good = reply(5, GCP);
    for length in 0..good.len() {
        let _ = CLIENT.find_answer(&good[..length]);
    }
    assert_eq!(CLIENT.find_answer(&good[..good.len() - 3]).unwrap_err().kind, Kind::Corrupt);
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        if let Ok(Some(Answer::Acknowledged(lease))) = CLIENT.find_answer(&bad) {
            assert!(lease.prefix <= 32 && lease.routes.len() <= 4);
        }
    }
}

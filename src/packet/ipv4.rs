//! The IPv4 and UDP headers around a DHCP message, for an interface that has no address to send it from (RFC 791,
//! RFC 768).
//!
//! Received checksums are not looked at: between guests of one host they are often left to hardware that nothing passes
//! through, and what is inside is detected by its transaction number.

use crate::bytes::ByteReader;
use crate::error::{Error, Result};
use alloc::vec::Vec;
use core::net::SocketAddrV4;

const IP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
/// `IPPROTO_UDP`.
const UDP: u8 = 17;
/// The lifetime that RFC 1700 recommends.
const TIME_TO_LIVE: u8 = 64;

/// A UDP message and where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Who sent it.
    pub source: SocketAddrV4,
    /// Whom it is for.
    pub destination: SocketAddrV4,
    /// What is inside.
    pub payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// The IPv4 packet.
    ///
    /// # Errors
    /// `Refused`: the payload does not fit into one.
    pub fn emit(&self) -> Result<Vec<u8>> {
        let too_large = || Error::refused("emit an IPv4 packet", "it is larger than 65535 bytes");
        let udp_length = u16::try_from(self.payload.len().saturating_add(UDP_HEADER)).map_err(|_| too_large())?;
        let total_length = udp_length.checked_add(IP_HEADER as u16).ok_or_else(too_large)?;
        let (source, destination) = (self.source.ip().octets(), self.destination.ip().octets());

        // Version 4 and five words of header; no service, no identification, "don't fragment".
        let begin = [[0x45, 0], total_length.to_be_bytes(), [0, 0], [0x40, 0], [TIME_TO_LIVE, UDP]];
        let header = |sum: u16| [begin.as_flattened(), &sum.to_be_bytes(), &source, &destination].concat();
        let ports = [self.source.port().to_be_bytes(), self.destination.port().to_be_bytes()];
        let length = udp_length.to_be_bytes();
        let message = |sum: u16| [ports.as_flattened(), &length, &sum.to_be_bytes(), self.payload].concat();
        let pseudo_header = [source.as_slice(), &destination, &[0, UDP], &length].concat();
        let sum = checksum(&[pseudo_header, message(0)].concat());
        // 0 means "no checksum", and its complement is equal to it.
        let sum = if sum == 0 { u16::MAX } else { sum };
        Ok([header(checksum(&header(0))), message(sum)].concat())
    }

    /// The UDP message in an IPv4 packet; `None` when it holds something else, or only a fragment.
    #[must_use]
    pub fn find(packet: &'a [u8]) -> Option<Self> {
        let fields = ByteReader::new(packet, "parse an IPv4 packet");
        let version_ihl = fields.u8(0).ok()?;
        let header = usize::from(version_ihl & 0xf).checked_mul(4)?;
        let total_length = usize::from(fields.u16_be(2).ok()?);
        let fragment = fields.u16_be(6).ok()?;
        // The upper bit of the three flags means nothing, "don't fragment" is fine, the rest makes it a part.
        if version_ihl >> 4 != 4 || header < IP_HEADER || fragment & 0x3fff != 0 || fields.u8(9).ok()? != UDP {
            return None;
        }
        let udp = ByteReader::new(packet.get(header..total_length)?, "parse a UDP message");
        let length = usize::from(udp.u16_be(4).ok()?).checked_sub(UDP_HEADER)?;
        let address = |at| fields.array::<4>(at).ok();
        Some(Self {
            source: SocketAddrV4::new(address(12)?.into(), udp.u16_be(0).ok()?),
            destination: SocketAddrV4::new(address(16)?.into(), udp.u16_be(2).ok()?),
            payload: udp.slice(UDP_HEADER, length).ok()?,
        })
    }
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u64 = 0;
    for pair in bytes.chunks(2) {
        let high = pair.first().copied().unwrap_or_default();
        let low = pair.get(1).copied().unwrap_or_default();
        sum = sum.saturating_add(u16::from_be_bytes([high, low]).into());
    }
    // A packet has at most 2^15 words, so two folds bring the sum below 2^16.
    for _ in 0..2 {
        sum = (sum & 0xffff).saturating_add(sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    const FROM: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 68);
    const TO: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::BROADCAST, 67);

    #[test]
    fn a_packet_is_found_as_it_was_sent() {
        for length in [0, 1, 2, 300, 1400] {
            let payload = vec![0xa5; length];
            let datagram = Datagram { source: FROM, destination: TO, payload: &payload };
            let mut packet = datagram.emit().unwrap();
            assert_eq!(packet.len(), 28 + length);
            assert_eq!(checksum(&packet[..20]), 0, "a header with its checksum sums up to nothing");
            packet.extend([0; 7]);
            assert_eq!(Datagram::find(&packet), Some(datagram), "Ethernet pads short packets");
        }
    }

    #[test]
    fn checksums_are_those_of_the_rfcs() {
        // RFC 1071, section 3: the sum is ddf2.
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
        let packet = Datagram { source: FROM, destination: TO, payload: b"abc" }.emit().unwrap();
        assert_eq!(checksum(&[&packet[12..20], &[0, 17, 0, 11], &packet[20..]].concat()), 0);
    }

    #[test]
    fn other_packets_are_left_alone() {
        let good = Datagram { source: FROM, destination: TO, payload: b"abcd" }.emit().unwrap();
        for (at, value) in
            [(0, 0x65), (0, 0x44), (0, 0x4f), (3, 19), (3, 200), (6, 0x20), (7, 1), (9, 6), (24, 1), (25, 7)]
        {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(Datagram::find(&bad), None, "byte {at} is {value}");
        }
        for length in 0..good.len() {
            assert_eq!(Datagram::find(&good[..length]), None);
        }
        let large = vec![0; 65_508];
        assert!(Datagram { source: FROM, destination: TO, payload: &large }.emit().is_err());
    }
}

//! Which interfaces metadata may be reached by, and in which order they are tried. Pure.

use super::Interface;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;

/// Virtual interfaces that are what a container has for a network card.
const OF_CONTAINERS: [&str; 3] = ["veth", "macvlan", "ipvlan"];

/// The driver whose interface has a faster twin with the same Ethernet address, which must be left alone: what the twin
/// does, the interface does through it.
const HAS_TWIN: &str = "hv_netvsc";

/// The interfaces of `all` that are worth a try, best first: those with a carrier; among them the ones that `prefer`
/// names by driver, name or beginning of the Ethernet address; among them by name, `eth2` before `eth10`.
///
/// Left out are `lo`, what is no Ethernet, parts of a bridge, bond or failover pair (their master counts), and whatever
/// is made of other interfaces. A container's own end of a pair is taken where there is no hardware.
#[must_use]
pub fn candidates<'a>(all: &'a [Interface], prefer: Option<&str>) -> Vec<&'a Interface> {
    let is_chosen: &dyn Fn(&Interface) -> bool =
        if all.iter().any(|it| is_own_hardware(it, all)) { &|it| is_own_hardware(it, all) } else { &is_of_container };
    let rank = |it: &Interface| (!it.has_carrier, !prefer.is_some_and(|word| is_called(it, word)));
    let mut chosen: Vec<&Interface> = Vec::new();
    // Put in where it belongs: the library's sorting is 4 KB of program for lists of one or two.
    for it in all.iter().filter(|it| is_chosen(it)) {
        let is_before = |other: &&Interface| {
            let order = rank(other).cmp(&rank(it)).then_with(|| natural_order(&other.name, &it.name));
            order != Ordering::Greater
        };
        chosen.insert(chosen.partition_point(is_before), it);
    }
    chosen
}

/// Whether it is hardware to be used itself, and not through another interface.
fn is_own_hardware(interface: &Interface, all: &[Interface]) -> bool {
    is_hardware(interface) && !is_twin(interface, all)
}

fn is_free_ethernet(interface: &Interface) -> bool {
    !interface.is_loopback && interface.mac.is_some() && interface.master.is_none()
}

/// Whether a driver stands behind it: drivers of hardware do not register a kind, but for a few that sysfs shows.
fn is_hardware(interface: &Interface) -> bool {
    is_free_ethernet(interface) && (interface.driver.is_some() || interface.kind.is_none())
}

fn is_of_container(interface: &Interface) -> bool {
    is_free_ethernet(interface) && interface.kind.as_deref().is_some_and(|kind| OF_CONTAINERS.contains(&kind))
}

fn is_twin(interface: &Interface, all: &[Interface]) -> bool {
    let has_twin = |it: &Interface| it.driver.as_deref() == Some(HAS_TWIN);
    !has_twin(interface) && all.iter().any(|it| has_twin(it) && it.mac == interface.mac)
}

fn is_called(interface: &Interface, word: &str) -> bool {
    interface.driver.as_deref() == Some(word)
        || interface.name == word
        || interface.mac.is_some_and(|mac| mac_text(mac).starts_with(word))
}

/// An Ethernet address as Linux prints it.
#[must_use]
pub fn mac_text(mac: [u8; 6]) -> String {
    let [a, b, c, d, e, f] = mac;
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

/// The order in which a person counts: runs of digits by their number, everything else by its bytes.
fn natural_order(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    loop {
        let (left_run, left_rest) = first_run(left);
        let (right_run, right_rest) = first_run(right);
        // Without leading zeros, the longer number is the larger one.
        let by_length = match (left_run.first(), right_run.first()) {
            (Some(a), Some(b)) if a.is_ascii_digit() && b.is_ascii_digit() => left_run.len().cmp(&right_run.len()),
            _ => Ordering::Equal,
        };
        let order = by_length.then_with(|| left_run.cmp(right_run));
        if order != Ordering::Equal || left_rest.is_empty() || right_rest.is_empty() {
            return order.then_with(|| left_rest.len().cmp(&right_rest.len()));
        }
        (left, right) = (left_rest, right_rest);
    }
}

/// What begins `text`, a run of digits (leading zeros cut) or one of anything else, and the rest.
fn first_run(text: &[u8]) -> (&[u8], &[u8]) {
    let is_digit = text.first().is_some_and(u8::is_ascii_digit);
    let length = text.iter().position(|byte| byte.is_ascii_digit() != is_digit).unwrap_or(text.len());
    let (run, rest) = text.split_at_checked(length).unwrap_or((text, &[]));
    let zeros = run.iter().take_while(|byte| **byte == b'0').count();
    (run.get(zeros..).unwrap_or(run), rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::rtnetlink::Link;

    fn interface(name: &str, driver: Option<&str>, kind: Option<&str>) -> Interface {
        let mac = Some([0xf2, 0x3c, 0x91, 0, 0, name.len() as u8]);
        let link = Link { name: name.into(), mac, kind: kind.map(Into::into), ..Link::default() };
        Interface { link, driver: driver.map(Into::into), addresses: Vec::new() }
    }

    fn with(mut interface: Interface, change: impl Fn(&mut Link)) -> Interface {
        change(&mut interface.link);
        interface
    }

    fn names<'a>(all: &'a [Interface], prefer: Option<&str>) -> Vec<&'a str> {
        candidates(all, prefer).iter().map(|it| it.name.as_str()).collect()
    }

    #[test]
    fn cards_come_in_the_order_of_counting() {
        let cards = ["eth10", "ens5", "eth2", "eth1", "enp0s10", "enp0s9", "eth01"];
        let all: Vec<Interface> = cards.iter().map(|name| interface(name, Some("virtio_net"), None)).collect();
        assert_eq!(names(&all, None), ["enp0s9", "enp0s10", "ens5", "eth1", "eth01", "eth2", "eth10"]);
    }

    #[test]
    fn a_carrier_is_worth_more_than_a_preference_and_that_more_than_a_name() {
        let mut all = vec![
            interface("eth0", Some("ixgbevf"), None),
            interface("eth1", Some("ena"), None),
            interface("eth2", Some("ena"), None),
        ];
        assert_eq!(names(&all, Some("ena")), ["eth1", "eth2", "eth0"]);
        all[2].link.has_carrier = true;
        assert_eq!(names(&all, Some("ena")), ["eth2", "eth1", "eth0"]);
        all[2].link.has_carrier = false;
        assert_eq!(names(&all, Some("eth2")), ["eth2", "eth0", "eth1"]);
        all[1].link.mac = Some([0xf0, 0x3c, 0, 0, 0, 1]);
        all[2].link.mac = Some([0x02, 0x3c, 0, 0, 0, 1]);
        assert_eq!(names(&all, Some("f0:3")), ["eth1", "eth0", "eth2"]);
    }

    #[test]
    fn only_what_stands_alone_is_tried() {
        let mut all: Vec<Interface> = ["bridge", "bond", "team", "vlan", "tun", "dummy", "veth", "ifb", "wireguard"]
            .iter()
            .map(|kind| interface(kind, None, Some(kind)))
            .collect();
        assert_eq!(names(&all, None), ["veth"], "it may be all that a container has");
        all.push(interface("eth0", Some("virtio_net"), None));
        let slave = with(interface("eth1", Some("virtio_net"), None), |link| link.master = Some(4));
        let loopback = with(interface("lo", None, None), |link| link.is_loopback = true);
        let infiniband = with(interface("ib0", Some("mlx5_core"), None), |link| link.mac = None);
        all.extend([slave, loopback, infiniband, interface("failover", None, None)]);
        assert_eq!(names(&all, None), ["eth0", "failover"]);
        assert!(names(&[], None).is_empty());
    }

    #[test]
    fn the_faster_twin_is_left_alone() {
        let all = [
            with(interface("enP1s1", Some("mlx5_core"), None), |link| link.mac = Some([1; 6])),
            with(interface("eth0", Some("hv_netvsc"), Some("hv_netvsc")), |link| link.mac = Some([1; 6])),
            with(interface("eth1", Some("hv_netvsc"), Some("hv_netvsc")), |link| link.mac = Some([2; 6])),
            with(interface("ib", Some("mlx5_core"), None), |link| link.mac = Some([3; 6])),
        ];
        assert_eq!(names(&all, Some("hv_netvsc")), ["eth0", "eth1", "ib"]);
    }

    #[test]
    fn names_that_differ_only_in_zeros_still_have_an_order() {
        for (left, right) in [("eth1", "eth01"), ("a", "a1"), ("a1", "a1b"), ("", "a"), ("a09", "a10"), ("1a", "a")] {
            assert_eq!(natural_order(left, right).is_lt(), left != "eth1", "{left} {right}");
            assert_eq!(natural_order(left, left), Ordering::Equal);
        }
    }
}

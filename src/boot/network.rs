//! The network until the system configures its own, and the file by which it does: `interfaces` of ifupdown, in the
//! syntax of whichever ifupdown the root has. A system that is configured by something else is left to that.
//!
//! What is told by metadata goes into files only after it was looked at: text without control characters, addresses.

use super::context::Context;
use super::journal::ActionState;
use crate::error::{Error, Result};
use crate::hotplug::{INTERFACES, TEXT_LIMIT, find_ifup};
use crate::metadata::Access;
use crate::netif::{self, Interface};
use crate::provider::nocloud;
use crate::sys::amend::amend;
use crate::sys::{device_node, file, tree};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

/// Its own folder tells ifupdown-ng from the others.
const IFUPDOWN_NG: &str = "/usr/libexec/ifupdown-ng";

/// Programs that configure a network by other files.
const OTHERS: [&str; 5] = [
    "/usr/lib/systemd/systemd-networkd",
    "/lib/systemd/systemd-networkd",
    "/usr/sbin/NetworkManager",
    "/usr/sbin/dhcpcd",
    "/sbin/dhcpcd",
];

const RESOLVERS: &str = "/etc/resolv.conf";

const NO_IFUPDOWN: &str = "there is no ifupdown: whatever configures the network has files of its own";

/// The names of these actions, by which one knows how another ended.
const EPHEMERAL_ACTION: &str = "set_ephemeral_network";
const INTERFACES_ACTION: &str = "set_network_interfaces";

/// The C library honours three; more are a mistake, and this many a hostile one.
const SERVERS_LIMIT: usize = 16;

/// How lines of [`INTERFACES`] begin that are not part of others: a text without one is something else.
const WORDS: [&str; 4] = ["auto ", "iface ", "allow-", "source"];

/// Who says what of the network in the meta-data of a seed.
const TEXT_KEY: &str = "meta-data/network-interfaces";
const SERVERS_KEY: &str = "meta-data/resolv_conf/nameservers";

/// For a seed that is on the network when no one has configured that, and only where someone is going to ask for it
/// before the system configures its own: that begins with a network that no one has touched.
pub(super) fn set_ephemeral_network(context: &mut Context<'_>) -> Result<()> {
    let is_meant = |access: &&Access<'_>| access.verdict.cloud.name == nocloud::NAME && access.is_remote();
    let Some(access) = context.access.filter(is_meant).filter(|_| context.is_live()) else { return Ok(()) };
    let is_asked_for = reads_interfaces("") && context.journal.state(INTERFACES_ACTION) != Some(ActionState::Done);
    let is_all_there_is = !reads_interfaces("") && !OTHERS.iter().any(|path| file::exists(path));
    if !is_asked_for && !is_all_there_is || netif::interfaces()?.iter().any(has_address) {
        return Ok(());
    }
    let Some(held) = access.reach(context.log)? else { return Ok(()) };
    if is_asked_for {
        context.held = Some(held);
    } else {
        context.say("nothing here configures a network: this one stays");
        held.keep();
    }
    Ok(())
}

/// Unless there is a configuration: DHCP on the first interface.
pub(super) fn set_default_interfaces(context: &mut Context<'_>) -> Result<()> {
    let root = context.root();
    let path = format!("{root}{INTERFACES}");
    if tree::is_there(&path) {
        context.say(&format!("{INTERFACES} is there, and stays"));
        return Ok(());
    }
    if !reads_interfaces(root) {
        context.say(NO_IFUPDOWN);
        return Ok(());
    }
    let name = first_interface(context)?;
    write(context, &interfaces(name.as_deref(), file::exists(&format!("{root}{IFUPDOWN_NG}"))))
}

/// The configuration that a seed has, else the default one; and servers of names, where no DHCP server tells them. A seed
/// that does not answer has the default one written, since without it no one could ask again.
pub(super) fn set_network_interfaces(context: &mut Context<'_>) -> Result<()> {
    if !reads_interfaces(context.root()) {
        context.say(NO_IFUPDOWN);
        return Ok(());
    }
    let answer = of_seed(context);
    let text = checked(answer.as_deref().unwrap_or_default()).unwrap_or_else(|error| {
        // Another boot would find the same.
        context.degrade(&format!("{error}"));
        String::new()
    });
    if text.is_empty() {
        set_default_interfaces(context)?;
    } else {
        write(context, &format!("{text}\n"))?;
    }
    answer?;
    if context.ask(|reader| reader.raw("network-config"))?.is_some_and(|text| !text.is_empty()) {
        context.warn("the seed's network-config is left out: only network-interfaces in meta-data counts");
    }
    let text = file::read(&format!("{}{INTERFACES}", context.root()), TEXT_LIMIT)?;
    if text.windows(4).any(|word| word == b"dhcp") { Ok(()) } else { set_resolvers(context) }
}

/// What the seed has for [`INTERFACES`]; empty if nothing. It is not asked again where the way to it was not found.
fn of_seed(context: &mut Context<'_>) -> Result<Vec<u8>> {
    if let Some((_, error)) = context.failures.iter().find(|(action, _)| *action == EPHEMERAL_ACTION) {
        return Err(error.clone());
    }
    Ok(context.ask(|reader| reader.raw(TEXT_KEY))?.unwrap_or_default())
}

/// Adds the servers of names that the seed has, each once.
fn set_resolvers(context: &mut Context<'_>) -> Result<()> {
    let servers = servers(context)?;
    let path = format!("{}{RESOLVERS}", context.root());
    if servers.is_empty() {
        return Ok(());
    }
    if device_node::link_target(&path).is_ok() {
        context.warn(&format!("{RESOLVERS} is a link, which its owner sees to: no nameserver is added"));
        return Ok(());
    }
    amend(context.root(), RESOLVERS, TEXT_LIMIT, 0o644, &mut |old| with_servers(old, &servers)).map(|_| ())
}

/// The addresses at [`SERVERS_KEY`], which is a list or one text of several.
fn servers(context: &mut Context<'_>) -> Result<Vec<IpAddr>> {
    let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default();
    let all = text(context.ask(|reader| reader.raw(SERVERS_KEY))?);
    let mut found = Vec::new();
    for word in all.split([' ', '\n', '\t', ',']).filter(|word| !word.is_empty()).take(SERVERS_LIMIT) {
        let value = if word.bytes().all(|byte| byte.is_ascii_digit()) {
            text(context.ask(|reader| reader.raw(&format!("{SERVERS_KEY}/{word}")))?)
        } else {
            String::from(word)
        };
        match value.trim().parse() {
            Ok(address) if !found.contains(&address) => found.push(address),
            Ok(_) => {}
            Err(_) => context.warn("one of the seed's nameservers is no address"),
        }
    }
    Ok(found)
}

/// Whether the root has a program that takes up [`INTERFACES`]. Of systems without systemd the folder says it too; of
/// those with it, packages bring that folder along for their own hooks.
fn reads_interfaces(root: &str) -> bool {
    let has = |path: &str| tree::is_there(&format!("{root}{path}"));
    find_ifup(root).is_some() || has("/etc/network") && !has("/lib/systemd/systemd") && !has(OTHERS[0])
}

/// Whether someone has configured it: an address of the link's own is there as soon as it is up.
fn has_address(interface: &Interface) -> bool {
    let is_given = |address: &IpAddr| match address {
        IpAddr::V4(_) => true,
        IpAddr::V6(address) => !address.is_unicast_link_local(),
    };
    !interface.is_loopback && interface.addresses.iter().any(|(address, _)| is_given(address))
}

/// The interface by which the seed was reached, else the first one that has a carrier, else the first, as the kernel
/// counts them.
fn first_interface(context: &Context<'_>) -> Result<Option<String>> {
    if let Some(held) = &context.held {
        return Ok(Some(held.interface.clone()));
    }
    if context.is_live() {
        // Of a container they are there from its beginning.
        return netif::find_connected(context.settings().link_wait, !context.machine.evidence.container);
    }
    Ok(netif::connected(&netif::from_sysfs(context.root())).map(|it| it.name.clone()))
}

fn write(context: &Context<'_>, text: &str) -> Result<()> {
    let path = format!("{}{INTERFACES}", context.root());
    if let Some((folder, _)) = path.rsplit_once('/') {
        tree::make_directories(folder, 0o755)?;
    }
    if amend(context.root(), INTERFACES, TEXT_LIMIT, 0o644, &mut |_| text.into())? {
        context.say(&format!("{INTERFACES} is written"));
    }
    Ok(())
}

/// DHCP on the interface of this name, in the syntax of ifupdown-ng or in the one that all the others understand.
fn interfaces(name: Option<&str>, is_ng: bool) -> String {
    let own = match name {
        Some(name) if is_ng => format!("auto {name}\niface {name}\n\tuse dhcp\n\n"),
        Some(name) => format!("auto {name}\niface {name} inet dhcp\n\n"),
        None => String::new(),
    };
    format!("auto lo\niface lo inet loopback\n\n{own}")
}

/// What a seed says, as text without the white space at its end.
fn checked(bytes: &[u8]) -> Result<String> {
    const DOING: &str = "take up the seed's network-interfaces";
    if bytes.len() > TEXT_LIMIT {
        return Err(Error::refused(DOING, format!("it is larger than {TEXT_LIMIT} bytes")));
    }
    let text = core::str::from_utf8(bytes).map_err(|_| Error::corrupt(DOING, "it is no UTF-8"))?;
    let text = text.trim_end().replace('\r', "");
    if text.contains(|letter: char| letter.is_control() && !matches!(letter, '\n' | '\t')) {
        return Err(Error::corrupt(DOING, "it has control characters"));
    }
    if !text.is_empty() && !text.lines().any(|line| WORDS.iter().any(|word| line.starts_with(word))) {
        return Err(Error::corrupt(DOING, "it is no text that ifupdown would read"));
    }
    Ok(text)
}

/// The text with a line for each server that has none.
fn with_servers(old: &[u8], servers: &[IpAddr]) -> Vec<u8> {
    let mut text = Vec::from(old);
    for server in servers {
        let line = format!("nameserver {server}");
        let is_it = |known: &[u8]| {
            let words = known.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            words.eq(line.split(' ').map(str::as_bytes))
        };
        if !text.split(|byte| *byte == b'\n').any(is_it) {
            let gap = if text.is_empty() || text.ends_with(b"\n") { "" } else { "\n" };
            text.extend_from_slice(format!("{gap}{line}\n").as_bytes());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn each_ifupdown_gets_its_own_syntax() {
        assert_eq!(interfaces(None, true), "auto lo\niface lo inet loopback\n\n");
        let ng = "auto lo\niface lo inet loopback\n\nauto eth0\niface eth0\n\tuse dhcp\n\n";
        assert_eq!(interfaces(Some("eth0"), true), ng);
        let classic = "auto lo\niface lo inet loopback\n\nauto ens3\niface ens3 inet dhcp\n\n";
        assert_eq!(interfaces(Some("ens3"), false), classic);
    }

    #[test]
    fn servers_of_names_stand_once() {
        let servers: Vec<IpAddr> = ["10.0.0.1", "fd00::1", "10.0.0.11"].iter().map(|it| it.parse().unwrap()).collect();
        let text = with_servers(b"# mine\nnameserver\t10.0.0.11\nnameserver 10.0.0.2", &servers);
        let wanted = b"# mine\nnameserver\t10.0.0.11\nnameserver 10.0.0.2\nnameserver 10.0.0.1\nnameserver fd00::1\n";
        assert_eq!(text, wanted);
        assert_eq!(with_servers(&text, &servers), text);
    }

    #[test]
    fn what_a_seed_says_is_text_and_short() {
        assert_eq!(checked(b"auto lo\r\niface lo\n\tuse dhcp\n\n\n").unwrap(), "auto lo\niface lo\n\tuse dhcp");
        for (bytes, kind) in [
            (&b"auto lo\0"[..], Kind::Corrupt),
            (b"auto \x1b[2J", Kind::Corrupt),
            (b"\xff", Kind::Corrupt),
            (b"version\nethernets", Kind::Corrupt),
            (&[b'a'; TEXT_LIMIT + 1], Kind::Refused),
        ] {
            assert_eq!(checked(bytes).unwrap_err().kind, kind);
        }
    }

    #[test]
    fn an_address_of_the_link_alone_configures_nothing() {
        let with = |address: &str| Interface { addresses: vec![(address.parse().unwrap(), 8)], ..Interface::default() };
        assert!(has_address(&with("10.0.0.1")) && has_address(&with("2001:db8::1")));
        assert!(!has_address(&with("fe80::1")) && !has_address(&Interface::default()));
        let mut own = with("127.0.0.1");
        own.link.is_loopback = true;
        assert!(!has_address(&own));
    }
}

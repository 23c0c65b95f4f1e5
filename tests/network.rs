//! The network of a root as the phases leave it: ifupdown's files and mdev's rules, and on a cable to a DHCP server the
//! network that is there for the boot phase alone.
//!
//! `WISP_UNDER_TEST` names the program; without it, it is the hosted one that cargo just built.
#![cfg(feature = "full")]

#[expect(dead_code, reason = "the tests of `link` use all of it")]
#[path = "netif/network.rs"]
mod network;
#[path = "support/port.rs"]
mod port;
#[path = "support/root.rs"]
mod root;

use network::{Network, isolated};
use root::Root;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

fn program() -> String {
    std::env::var("WISP_UNDER_TEST").unwrap_or_else(|_| env!("CARGO_BIN_EXE_wisp").to_owned())
}

const INTERFACES: &str = "etc/network/interfaces";

/// What both ifupdowns read of the loopback interface.
const LOOPBACK: &str = "auto lo\niface lo inet loopback\n\n";

impl Root {
    /// With ifupdown, no network card, and no word of any cloud.
    fn new(name: &str) -> Self {
        let root = Self::empty(name);
        root.write("sbin/ifup", "");
        root.write("proc/cmdline", "quiet\n");
        root
    }

    fn card(&self, name: &str, index: u32, state: &str) {
        self.write(&format!("sys/class/net/{name}/ifindex"), &format!("{index}\n"));
        self.write(&format!("sys/class/net/{name}/operstate"), &format!("{state}\n"));
    }

    /// A seed in a folder of the root.
    fn seed(&self, meta: &str) {
        self.write("var/lib/cloud/seed/nocloud/meta-data", &format!("instance-id: i-1\n{meta}"));
    }

    /// Runs a command on the root, with these variables.
    fn wisp(&self, words: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new(program());
        command.args(words).arg("--root").arg(&self.0).env_remove("CLOUD").envs(variables.iter().copied());
        command.output().unwrap()
    }

    /// Runs only these actions in the boot phase, as in a first boot, and says what became of them.
    fn boot(&self, actions: &str) -> String {
        let _ = fs::remove_file(self.join("var/lib/cloud/journal"));
        let output = self.wisp(&["boot"], &[("INIT_ACTIONS_BOOT", actions)]);
        String::from_utf8(output.stderr).unwrap()
    }
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

#[test]
fn the_first_card_gets_dhcp_in_the_syntax_of_the_roots_ifupdown() {
    let root = Root::new("default");
    root.card("lo", 1, "unknown");
    root.card("wlan0", 2, "up");
    root.card("eth1", 3, "down");
    root.card("eth0", 4, "down");
    assert!(root.boot("set_default_interfaces").contains("set_default_interfaces: done"));
    assert_eq!(root.read(INTERFACES), format!("{LOOPBACK}auto eth1\niface eth1 inet dhcp\n\n"), "by number");
    let before = inode(&root.join(INTERFACES));
    root.card("eth0", 4, "up");
    assert!(root.boot("set_default_interfaces").contains("/etc/network/interfaces is there, and stays"));
    assert_eq!(inode(&root.join(INTERFACES)), before);

    fs::remove_file(root.join(INTERFACES)).unwrap();
    root.write("usr/libexec/ifupdown-ng/dhcp", "");
    root.boot("set_default_interfaces");
    assert_eq!(root.read(INTERFACES), format!("{LOOPBACK}auto eth0\niface eth0\n\tuse dhcp\n\n"), "by carrier");

    fs::remove_file(root.join(INTERFACES)).unwrap();
    fs::remove_dir_all(root.join("sys")).unwrap();
    root.boot("set_default_interfaces");
    assert_eq!(root.read(INTERFACES), LOOPBACK);
}

#[test]
fn without_ifupdown_nothing_is_written() {
    let root = Root::new("none");
    fs::remove_file(root.join("sbin/ifup")).unwrap();
    root.write("lib/systemd/systemd", "");
    root.write("etc/network/if-up.d/hook", "");
    root.seed("network-interfaces: auto lo\nresolv_conf: {nameservers: [10.0.0.1]}\n");
    let said = root.boot("set_network_interfaces");
    assert!(said.contains("there is no ifupdown") && said.contains("set_network_interfaces: done"), "{said}");
    fs::remove_dir_all(root.join("var/lib/cloud")).unwrap();
    let said = root.boot("set_default_interfaces");
    assert!(said.contains("there is no ifupdown") && said.contains("set_default_interfaces: done"), "{said}");
    assert!(!root.has(INTERFACES) && !root.has("etc/resolv.conf"));
    fs::remove_file(root.join("lib/systemd/systemd")).unwrap();
    root.boot("set_default_interfaces");
    assert_eq!(root.read(INTERFACES), LOOPBACK, "of a system without systemd its folder says that ifupdown is meant");
}

#[test]
fn a_seed_has_its_own_interfaces_and_servers_of_names() {
    let root = Root::new("seed");
    root.card("eth0", 2, "up");
    root.write(INTERFACES, "auto lo\n");
    root.seed(
        "network-interfaces: |\n  auto eth0\n  iface eth0\n  \taddress 10.0.0.9/24\n\
         resolv_conf:\n  nameservers: [10.0.0.1, 'fd00::1', 10.0.0.1, nonsense]\n",
    );
    let said = root.boot("set_network_interfaces");
    assert!(said.contains("nameservers is no address") && said.contains("set_network_interfaces: done"), "{said}");
    assert_eq!(root.read(INTERFACES), "auto eth0\niface eth0\n\taddress 10.0.0.9/24\n");
    assert_eq!(root.read("etc/resolv.conf"), "nameserver 10.0.0.1\nnameserver fd00::1\n");
    let before = [INTERFACES, "etc/resolv.conf"].map(|path| inode(&root.join(path)));
    root.boot("set_network_interfaces");
    assert_eq!([INTERFACES, "etc/resolv.conf"].map(|path| inode(&root.join(path))), before, "nothing to change");

    fs::remove_file(root.join("etc/resolv.conf")).unwrap();
    symlink("../run/systemd/resolve/stub-resolv.conf", root.join("etc/resolv.conf")).unwrap();
    assert!(root.boot("set_network_interfaces").contains("no nameserver is added"));
    fs::remove_file(root.join("etc/resolv.conf")).unwrap();

    root.seed("network-interfaces: \"auto \\x1b[2J\"\n");
    let said = root.boot("set_network_interfaces");
    let line = "take up the seed's network-interfaces: it has control characters";
    assert!(said.contains("set_network_interfaces: done") && said.contains(line) && !said.contains('\x1b'), "{said}");
    assert!(root.read(INTERFACES).starts_with("auto eth0"), "what was there stays");

    fs::remove_file(root.join(INTERFACES)).unwrap();
    root.seed("resolv_conf: {nameservers: [10.0.0.1]}\n");
    root.boot("set_network_interfaces");
    assert_eq!(root.read(INTERFACES), format!("{LOOPBACK}auto eth0\niface eth0 inet dhcp\n\n"));
    assert!(!root.has("etc/resolv.conf"), "the DHCP server tells them");
}

#[test]
fn a_seed_out_of_reach_leaves_a_network_by_which_it_may_be_reached_later() {
    let root = Root::new("silent");
    root.card("eth0", 2, "up");
    let port = port::reserve();
    root.write("proc/cmdline", &format!("ds=nocloud;s=http://127.0.0.1:{port}/ wisp.metadata_deadline=1\n"));
    assert!(root.boot("set_network_interfaces").contains("set_network_interfaces: failed"));
    assert_eq!(root.read(INTERFACES), format!("{LOOPBACK}auto eth0\niface eth0 inet dhcp\n\n"));
}

/// The lines about a network card that comes, or goes.
fn hotplug(root: &Root, action: &str) -> (Option<i32>, String) {
    let output = root.wisp(&["hotplug"], &[("MDEV", "eth1"), ("ACTION", action)]);
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn mdev_has_one_rule_and_interfaces_are_put_together() {
    let root = Root::new("hotplug");
    root.write("etc/wisp.conf", "HOTPLUG_MODULES='vnic_eth_hotplug magic'\n");
    root.write("usr/bin/wisp", "");
    let install = || {
        // As in the first boot of another instance.
        let _ = fs::remove_dir_all(root.join("var/lib/cloud"));
        let said = root.boot("install_hotplugs");
        assert!(said.contains("install_hotplugs: done"), "{said}");
        said
    };
    assert!(install().contains("this system has no mdev"));
    root.write("etc/mdev.conf", "null root:root 0666\n# fallback\n.* root:root 0660\n");
    let said = install();
    assert!(
        said.contains(">> vnic_eth_hotplug: installed") && said.contains("there is no /etc/network/interfaces.d"),
        "{said}"
    );
    assert!(!root.has(INTERFACES));

    root.card("lo", 1, "unknown");
    root.card("eth0", 2, "up");
    root.card("docker0", 3, "up");
    root.write("etc/network/interfaces.d/DEFAULT", "auto %%\niface %%\n\tuse dhcp\n");
    root.write("etc/network/interfaces.d/lo", "auto lo\niface lo\n\tuse link\n\tuse loopback");
    root.write("etc/network/interfaces.d/eth7", "absent");
    root.write("etc/network/interfaces.d/bond", "auto bond0\n");
    root.write(INTERFACES, "old\n");
    let said = install();
    assert!(said.contains(">> vnic_eth_hotplug: installed") && said.contains(">> magic: unknown"), "{said}");
    let rules =
        "null root:root 0666\neth[0-9]+\troot:root 0644 */usr/bin/wisp hotplug\n\n# fallback\n.* root:root 0660\n";
    assert_eq!(root.read("etc/mdev.conf"), rules);
    let wanted =
        "\nauto eth0\niface eth0\n\tuse dhcp\n\nauto lo\niface lo\n\tuse link\n\tuse loopback\n\nauto bond0\n\n";
    let text = root.read(INTERFACES);
    assert!(text.starts_with("# NOTE: ") && text.ends_with(wanted), "{text}");
    assert_eq!(root.read("etc/network/interfaces.d/eth0"), "auto eth0\niface eth0\n\tuse dhcp\n");
    assert_eq!(root.read("etc/network/interfaces.bak"), "old\n");
    let before = inode(&root.join(INTERFACES));
    install();
    assert_eq!((root.read("etc/mdev.conf").as_str(), inode(&root.join(INTERFACES))), (rules, before));

    root.card("eth1", 4, "down");
    assert_eq!(hotplug(&root, "add"), (Some(0), String::new()));
    assert!(root.read(INTERFACES).contains("iface eth1\n"));
    root.write("run/openrc/started/networking", "");
    root.write("run/ifstate", "lo=lo\neth1=eth1\n");
    root.write("run/ifstate.eth1.lock", "");
    fs::remove_dir_all(root.join("sys/class/net/eth1")).unwrap();
    assert_eq!(hotplug(&root, "remove"), (Some(0), String::new()));
    assert_eq!(root.read("run/ifstate"), "lo=lo\n");
    assert!(!root.has("run/ifstate.eth1.lock") && !root.read(INTERFACES).contains("eth1"));
    assert_eq!(hotplug(&root, "change").0, Some(2));
    assert_eq!(root.wisp(&["hotplug"], &[]).status.code(), Some(2));
}

#[test]
fn a_file_of_an_interface_that_cannot_be_read_affects_only_itself() {
    let root = Root::new("unreadable");
    root.write("etc/wisp.conf", "HOTPLUG_MODULES=vnic_eth_hotplug\n");
    root.write("usr/bin/wisp", "");
    fs::write(root.join("etc/mdev.conf"), b"# r\xe8gles\n").unwrap();
    root.card("eth0", 2, "up");
    root.card("eth1", 3, "up");
    root.card("eth2", 4, "up");
    root.write("etc/network/interfaces.d/DEFAULT", "iface %%\n");
    fs::write(root.join("etc/network/interfaces.d/eth0"), b"# r\xe9seau\niface eth0\n").unwrap();
    fs::create_dir_all(root.join("etc/network/interfaces.d/eth1")).unwrap();
    fs::create_dir_all(root.join("etc/network/interfaces.d/bond")).unwrap();
    root.write("etc/network/interfaces.d/large", &"#".repeat(65 << 10));
    root.write("etc/network/interfaces.d/too-much", &"#".repeat((64 << 10) - 100));
    symlink("nowhere", root.join("etc/network/interfaces.d/link")).unwrap();
    root.write("etc/network/interfaces.d/vlan", "auto vlan7\n");
    fs::write(root.join(INTERFACES), b"# r\xe9seau\n").unwrap();
    let expected: &[u8] = b"# r\xe9seau\niface eth0\n\niface eth2\n\nauto vlan7\n\n";
    let left_out = |said: &str| {
        for name in ["eth1", "bond", "large", "link", "too-much"] {
            let lines = said.lines().filter(|line| line.contains(&format!("interfaces.d/{name}: "))).count();
            assert_eq!(lines, 1, "{name}: {said}");
        }
        assert!(fs::read(root.join(INTERFACES)).unwrap().ends_with(expected));
    };
    let (code, said) = hotplug(&root, "add");
    assert_eq!(code, Some(0), "{said}");
    left_out(&said);
    assert_eq!(fs::read(root.join("etc/network/interfaces.bak")).unwrap(), b"# r\xe9seau\n");
    let said = root.boot("install_hotplugs");
    assert!(said.contains("install_hotplugs: done"), "{said}");
    left_out(&said);
    assert!(fs::read(root.join("etc/mdev.conf")).unwrap().starts_with(b"# r\xe8gles\neth[0-9]+\t"));
}

#[test]
fn tiny_clouds_own_program_is_called_where_it_is_and_a_missing_template_leaves_nothing_half() {
    let root = Root::new("predecessor");
    root.write("etc/wisp.conf", "HOTPLUG_MODULES=vnic_eth_hotplug\n");
    root.write("lib/mdev/vnic-eth-hotplug", "");
    root.write("etc/mdev.conf", "eth.* a\n");
    root.write("etc/network/interfaces.d/lo", "auto lo\n");
    root.card("eth0", 2, "up");
    assert!(root.boot("install_hotplugs").contains("interfaces.d/DEFAULT: no such file"));
    assert!(root.read("etc/mdev.conf").starts_with("-eth[0-9]+\troot:root 0644 */lib/mdev/vnic-eth-hotplug\neth.* a"));
    assert!(!root.has(INTERFACES) && !root.has("etc/network/interfaces.d/eth0"));
}

/// Answers with a seed's meta-data, and for everything else that it is not there.
fn serve_seed(server: &Network, address: &'static str, meta: &'static str) {
    let listener = server.inside(move || TcpListener::bind(address).unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let count = stream.read(&mut request).unwrap_or(0);
            let is_meta = String::from_utf8_lossy(&request[..count]).starts_with("GET /meta-data ");
            let (status, body) = if is_meta { ("200 OK", meta) } else { ("404 Not Found", "") };
            let length = body.len();
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        }
    });
}

/// A running system whose root is a folder: the program with the libraries that it was linked with.
fn live(name: &str) -> Root {
    let root = Root::new(name);
    let put = |from: &str, to: &str| {
        let to = root.join(to.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    };
    put(&program(), "/wisp");
    let libraries = Command::new("ldd").arg(program()).output().unwrap();
    let text = String::from_utf8(libraries.stdout).unwrap();
    text.split_whitespace().filter(|word| word.starts_with('/')).for_each(|path| put(path, path));
    root
}

fn ephemeral() {
    let (client, server) = (Network::new(), Network::new());
    client.connect("up0", &server, "srv");
    server.ip(&["address add 10.9.0.1/24 dev srv"]);
    let lease = "--port=0 --dhcp-range=10.9.0.20,10.9.0.20,255.255.255.0,1h --dhcp-option=3,10.9.0.1";
    let dnsmasq = server.dnsmasq("srv", lease);
    let meta = "instance-id: i-1\nnetwork-interfaces: |\n  auto up0\nresolv_conf: {nameservers: 10.9.0.2}\n";
    serve_seed(&server, "10.9.0.1:80", meta);
    let root = live("ephemeral");
    root.write("proc/cmdline", "ds=nocloud-net;s=http://10.9.0.1/\n");
    let before = client.state();
    let boot = || {
        let mut command = client.command("chroot");
        command.arg(&root.0).args(["/wisp", "boot"]);
        command.env("INIT_ACTIONS_BOOT", "set_ephemeral_network set_default_interfaces").env("CLOUD", "nocloud");
        String::from_utf8(command.output().unwrap().stderr).unwrap()
    };
    let said = boot();
    assert!(said.contains("10.9.0.20/24 leased from 10.9.0.1"), "{said}");
    assert_eq!(root.read(INTERFACES), "auto up0\n", "{said}");
    assert_eq!(root.read("etc/resolv.conf"), "nameserver 10.9.0.2\n");
    dnsmasq.wait_for("DHCPRELEASE(srv) 10.9.0.20");
    assert_eq!(client.state(), before, "the system begins with a network that nobody has touched");
    let again = boot();
    assert!(!again.contains("leased"), "what has been read is not asked for again: {again}");
}

#[test]
fn a_seed_on_the_network_is_read_and_the_lease_given_back() {
    isolated("a_seed_on_the_network_is_read_and_the_lease_given_back", ephemeral);
}

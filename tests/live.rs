//! First boots of a system that runs: its root is a filesystem in memory or an overlay, made for the test in namespaces of
//! its own (mounts, network, host name, processes), with this machine's programs in `/usr`.
//!
//! What a tree of files cannot show is shown here: what is done about a root without a block device, files that are mount
//! points, a state that cannot be written, signals, network cards. Root is needed for that.
#![cfg(feature = "full")]

#[path = "support/root.rs"]
mod root;
#[path = "support/skip.rs"]
mod skip;

use root::Root;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Makes the root `$1/root` on a `$2`, copies `$1/files` into it and `$3` as wisp, runs `$4` outside, and `$5` inside.
const MAKE: &str = r#"
mount --make-rprivate /
place=$1 kind=$2 program=$3
root=$place/root
mkdir -p "$root"
case $kind in
tmpfs) mount -t tmpfs tmpfs "$root" ;;
overlay)
    mkdir "$place/memory"
    mount -t tmpfs tmpfs "$place/memory"
    mkdir "$place/memory/lower" "$place/memory/upper" "$place/memory/work"
    mount -t overlay overlay -o "lowerdir=$place/memory/lower,upperdir=$place/memory/upper,workdir=$place/memory/work" "$root"
    ;;
esac
cp -a "$place/files/." "$root/"
for folder in bin sbin lib lib64; do
    if [ -L "/$folder" ]; then cp -P "/$folder" "$root/$folder"
    elif [ -d "/$folder" ]; then mkdir "$root/$folder"; mount --rbind "/$folder" "$root/$folder"; fi
done
mkdir -p "$root/usr" "$root/proc" "$root/dev" "$root/tmp" "$root/run" "$root/root"
mount --rbind /usr "$root/usr"
mount -t proc proc "$root/proc"
for node in null zero random urandom; do : >"$root/dev/$node"; mount --bind "/dev/$node" "$root/dev/$node"; done
cp "$program" "$root/wisp"
eval "$4"
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" sh -c "$5"
"#;

/// A machine that is not switched on yet.
struct Live(Root);

impl Live {
    /// A machine with a NoCloud seed in a folder.
    fn new(name: &str) -> Self {
        let live = Self(Root::empty(name));
        live.file("etc/wisp.conf", "CLOUD=nocloud\nCLOUD_USER=ann\n");
        live.file("etc/passwd", "root:x:0:0::/root:/bin/sh\n");
        live.file("etc/group", "root:x:0:\nsudo:x:27:\n");
        live.file("etc/shadow", "root:*:19000::::::\n");
        live.seed("#!/bin/sh\nexit 0\n");
        live
    }

    fn file(&self, path: &str, text: &str) {
        self.0.write(&format!("files/{path}"), text);
    }

    fn seed(&self, userdata: &str) {
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE3VyMJz2n0hTxP8xYxMq9zKq9n0x0Yk5H4T1mE8w2Aq";
        self.file(
            "var/lib/cloud/seed/nocloud/meta-data",
            &format!("instance-id: i-1\nhostname: web\npublic-keys:\n- {key}\n"),
        );
        self.file("var/lib/cloud/seed/nocloud/user-data", userdata);
    }

    #[track_caller]
    fn command(&self, kind: &str, outside: &str, inside: &str) -> Option<Command> {
        if !skip::needs_root() || !skip::needs_namespaces("--mount --net --uts --pid --fork") {
            return None;
        }
        let program = std::env::var("WISP_UNDER_TEST").unwrap_or_else(|_| env!("CARGO_BIN_EXE_wisp").to_owned());
        let mut command = Command::new("unshare");
        command.args(["--mount", "--net", "--uts", "--pid", "--fork", "--kill-child", "sh", "-euc", MAKE, "make"]);
        command.args([self.0.path(), kind, &program, outside, inside]).stdin(Stdio::null());
        Some(command)
    }

    /// What `inside` prints, on both outputs, in the machine on a root of this `kind` that `outside` has prepared.
    #[track_caller]
    fn run(&self, kind: &str, outside: &str, inside: &str) -> Option<String> {
        let output = self.command(kind, outside, &format!("exec 2>&1\n{inside}"))?.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success(), "{said}");
        Some(said)
    }
}

/// Runs the four phases, and prints the exit code of each.
const BOOT: &str =
    "for phase in boot early main final; do /wisp $phase && code=0 || code=$?; echo \"$phase=$code\"; done\n";

fn has(said: &str, lines: &[&str]) {
    for line in lines {
        assert!(said.contains(line), "no {line:?} in:\n{said}");
    }
}

#[test]
fn a_root_without_a_block_device_is_nothing_to_grow_and_completes() {
    for kind in ["tmpfs", "overlay"] {
        let live = Live::new(&format!("no-device-{kind}"));
        let Some(said) = live.run(kind, "", &format!("{BOOT}/wisp status --strict; echo strict=$?")) else { return };
        has(&said, &["++ expand_root: done", "boot=0", "early=0", "main=0", "final=0", "strict=0", "status: done\n"]);
        has(&said, &[&format!("find the device mounted at /: it is {kind}, with no block device to grow")]);
    }
}

#[test]
fn files_of_the_name_that_are_mount_points_are_written_in_place() {
    let live = Live::new("mounted");
    live.file("etc/hosts", "127.0.0.1 localhost\n127.0.1.1 old mail.local\n");
    live.file("etc/hostname", "old\n");
    let outside = r#"for name in hosts hostname; do
        cp "$root/etc/$name" "$place/$name"; mount --bind "$place/$name" "$root/etc/$name"; done"#;
    let Some(said) = live.run("tmpfs", outside, &format!("{BOOT}hostname; cat /etc/hostname /etc/hosts")) else {
        return;
    };
    has(&said, &["main=0", "web\nweb\n127.0.0.1 localhost\n127.0.1.1\tweb mail.local\n"]);
}

#[test]
fn without_the_right_to_name_the_machine_its_files_are_written() {
    let live = Live::new("unnamed");
    let boot = BOOT.replace("/wisp", "setpriv --bounding-set -sys_admin --inh-caps -sys_admin /wisp");
    let inside = format!("{boot}cat /etc/hostname /etc/hosts; /wisp status --strict; echo strict=$?");
    let Some(said) = live.run("tmpfs", "hostname before", &inside) else { return };
    has(&said, &["main=0", "final=0", "web\n127.0.1.1\tweb\n", "warning: name this machine web: ", "strict=2"]);
}

#[test]
fn a_state_that_cannot_be_written_does_not_keep_people_out() {
    let live = Live::new("read-only");
    let outside = r#"mount --bind "$root/var/lib/cloud" "$root/var/lib/cloud"
        mount -o remount,bind,ro "$root/var/lib/cloud""#;
    let inside = format!("{BOOT}cat /home/ann/.ssh/authorized_keys /etc/hostname");
    let Some(said) = live.run("tmpfs", outside, &inside) else { return };
    for mark in ["++ create_default_user: done", "++ set_hostname: done", "++ set_ssh_keys: done"] {
        has(&said, &[mark]);
    }
    has(&said, &["main=1", "ssh-ed25519 AAAA", "\nweb\n"]);
    assert!(!said.contains("remove /var/lib/cloud/.bootstrap-complete"), "there is no such file: {said}");
    assert_eq!(said.matches("it could not be begun").count(), 4, "once in each phase: {said}");
}

#[test]
fn a_state_without_room_does_not_keep_people_out() {
    let live = Live::new("full");
    let outside = r#"mkdir "$place/state"; cp -a "$root/var/lib/cloud/." "$place/state/"
        mount -t tmpfs -o size=64k tmpfs "$root/var/lib/cloud"; cp -a "$place/state/." "$root/var/lib/cloud/"
        cat /dev/zero >"$root/var/lib/cloud/filler" 2>/dev/null || :"#;
    let inside = format!(
        "{BOOT}cat /home/ann/.ssh/authorized_keys /etc/hostname; rm /var/lib/cloud/filler
        rm -r /run/wisp; {BOOT}/wisp status"
    );
    let Some(said) = live.run("tmpfs", outside, &inside) else { return };
    has(
        &said,
        &[
            "++ create_default_user: done",
            "++ set_ssh_keys: done",
            "++ set_hostname: done",
            "main=1",
            "ssh-ed25519 AAAA",
        ],
    );
    has(&said, &["no space left on device", "++ run_userdata: done", "final=0", "status: done\n"]);
}

#[test]
fn what_the_script_exited_with_is_what_status_says() {
    let live = Live::new("exit");
    live.seed("#!/bin/sh\nexit 7\n");
    let inside = format!("{BOOT}/wisp status --wait; echo status=$?; /wisp status --strict >/dev/null; echo strict=$?");
    let Some(said) = live.run("tmpfs", "", &inside) else { return };
    has(&said, &["final=1", "status: done (degraded)\n", "error: run_userdata: run the user-data: script exited 7\n"]);
    has(&said, &["status=0", "strict=2", "++ bootstrap_complete: done"]);
}

#[test]
fn a_script_that_ends_its_process_group_does_not_end_wisp() {
    let live = Live::new("group");
    live.seed("#!/bin/sh\ntrap 'kill 0' EXIT\nsleep 1000 &\necho ran\n");
    let Some(said) = live.run("tmpfs", "", &format!("{BOOT}cat /var/log/user-data.exit; pgrep sleep || echo none"))
    else {
        return;
    };
    has(&said, &["ran\n", "143\n", "none", "++ bootstrap_complete: done", "script was ended by signal 15"]);
}

#[test]
fn a_service_manager_that_ends_the_last_phase_ends_the_script() {
    let live = Live::new("term");
    live.seed("#!/bin/sh\nsleep 1000 & echo $! >/tmp/child\n(trap 'echo stopped >/tmp/stopped; exit' TERM; echo ready; while :; do sleep 0.1; done)\n");
    // The reader learns when the script is ready, and sends the signal to wisp alone.
    let inside = "for phase in boot early main; do /wisp $phase 2>/dev/null; done
        /wisp final 2>&1 & wisp=$!
        until grep -q ready /var/log/user-data.log 2>/dev/null; do sleep 0.1; done
        kill -TERM $wisp; wait $wisp; echo final=$?
        until [ -e /tmp/stopped ]; do sleep 0.1; done
        until grep -qs '^State:.Z' /proc/$(cat /tmp/child)/status || [ ! -e /proc/$(cat /tmp/child) ]; do sleep 0.1; done; echo gone
        cat /var/log/user-data.exit";
    let Some(mut command) = live.command("tmpfs", "", inside) else { return };
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines: Vec<String> = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success(), "{lines:?}");
    let said = lines.join("\n");
    has(&said, &["script was ended by signal 15", "final=1", "gone", "143"]);
}

/// The script is waited for, and not what it leaves in the background.
#[test]
fn what_a_script_leaves_running_goes_on() {
    let live = Live::new("left");
    live.seed("#!/bin/sh\n(sleep 1000) & echo $! >/tmp/child\necho over\n");
    let inside = format!("{BOOT}kill -0 $(cat /tmp/child) && echo left");
    let Some(said) = live.run("tmpfs", "", &inside) else { return };
    has(&said, &["over\n", "final=0", "left"]);
}

#[test]
fn the_card_with_the_cable_is_configured_and_the_others_are_set_down_again() {
    let live = Live::new("cards");
    // This machine has systemd; ifupdown is laid over its programs.
    let outside = r#"mkdir -p "$place/over/sbin"; : >"$place/over/sbin/ifup"
        mount -t overlay overlay -o "lowerdir=$place/over:/usr" "$root/usr"
        unshare --net sh -c 'echo ready; exec sleep 1000' >"$place/ready" & other=$!
        until grep -q ready "$place/ready" 2>/dev/null; do sleep 0.1; done
        for number in 0 1 2; do ip link add eth$number type veth peer name peer$number netns $other; done
        nsenter --net="$root/proc/$other/ns/net" ip link set peer1 up"#;
    let inside = "echo INIT_ACTIONS_BOOT=set_default_interfaces >>/etc/wisp.conf; echo CLOUD=auto >>/etc/wisp.conf
        rm -r /var/lib/cloud; /wisp boot; echo boot=$?; cat /etc/network/interfaces; ip -br link";
    let Some(said) = live.run("tmpfs", outside, inside) else { return };
    has(&said, &["boot=0", "iface eth1"]);
    let state = |name: &str| said.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    assert!(state("eth1@").contains(" UP "), "{said}");
    assert!(state("eth0@").contains(" DOWN ") && state("eth2@").contains(" DOWN "), "{said}");
}

#[test]
fn a_machine_without_a_network_card_does_not_wait_for_one() {
    let live = Live::new("cardless");
    live.file("sys/bus/pci/devices/0000:00:01.0/class", "0x010000\n");
    let outside = r#"mkdir -p "$place/over/sbin"; : >"$place/over/sbin/ifup"
        mount -t overlay overlay -o "lowerdir=$place/over:/usr" "$root/usr""#;
    let inside = "echo INIT_ACTIONS_BOOT=set_default_interfaces >>/etc/wisp.conf; echo CLOUD=auto >>/etc/wisp.conf
        rm -r /var/lib/cloud; /wisp boot; echo boot=$?; cat /etc/network/interfaces /run/wisp/boot.json";
    let Some(said) = live.run("tmpfs", outside, inside) else { return };
    has(&said, &["boot=0", "auto lo\niface lo inet loopback\n\n"]);
    let spent = said.split("\"milliseconds\":").nth(1).unwrap_or_else(|| panic!("{said}")).split(',').next().unwrap();
    // Nothing is waited for; a tenth of the ten seconds is for a busy machine.
    assert!(spent.parse::<u64>().unwrap() < 1000, "{said}");
}

#[test]
fn only_root_runs_a_phase() {
    let live = Live::new("user");
    let inside = "setpriv --reuid 1000 --regid 1000 --clear-groups /wisp main; echo main=$?";
    let Some(said) = live.run("tmpfs", "", inside) else { return };
    assert_eq!(said, "wisp: run the phase main: only root can do that\nmain=6\n");
}

#[test]
fn tiny_clouds_words_are_tiny_clouds() {
    let live = Live::new("tiny");
    let inside = "ln -s wisp /tiny-cloud; ln -s wisp /imds
        /tiny-cloud autodetect; ROOT=/other /imds @hostname; echo; touch /etc/tiny-cloud.disabled
        /tiny-cloud main; echo main=$?; rm /etc/tiny-cloud.disabled; DEBUG=1 /tiny-cloud early";
    live.file("other/etc/wisp.conf", "CLOUD=nocloud\n");
    live.file("other/var/lib/cloud/seed/nocloud/meta-data", "hostname: elsewhere\n");
    let Some(said) = live.run("tmpfs", "", inside) else { return };
    assert!(said.starts_with("nocloud\nelsewhere\ntiny-cloud disabled\nmain=0\n"), "{said}");
    has(&said, &["the cloud is nocloud: "]);
}

/// The journal has the level of a line from the number in front of it, and nothing twice; standard error that was redirected
/// elsewhere is no journal, whatever the variable says.
#[test]
fn to_the_journal_a_phase_writes_the_level_of_each_line() {
    let live = Live::new("journal");
    let inside = "JOURNAL_STREAM=$(stat -c %d:%i /tmp/journal) /wisp boot 2>>/tmp/$1; cat /tmp/$1";
    for (file, mark) in [("journal", "<6>"), ("other", "")] {
        let inside = format!(": >/tmp/journal; set -- {file}; {inside}");
        let Some(said) = live.run("tmpfs", "", &inside) else { return };
        let is_done =
            |line: &str| line.strip_prefix(mark).is_some_and(|line| line.trim_start() == "++ expand_root: done");
        assert!(said.lines().any(is_done), "{file}: {said}");
        assert!(said.lines().all(|line| line.starts_with('<') != mark.is_empty()), "{file}: {said}");
    }
}

/// Keys that wisp does not make itself are made by the `ssh-keygen` of the system that runs, which a tree has not.
#[test]
fn the_running_system_makes_the_types_of_host_keys_that_its_image_had() {
    let live = Live::new("host-keys");
    for kind in ["ecdsa", "ed25519", "rsa"] {
        live.file(&format!("etc/ssh/ssh_host_{kind}_key"), "the image's\n");
    }
    let inside = format!(
        "{BOOT}
        for kind in ecdsa ed25519 rsa; do
            ssh-keygen -l -f /etc/ssh/ssh_host_${{kind}}_key.pub; ssh-keygen -y -P '' -f /etc/ssh/ssh_host_${{kind}}_key; done"
    );
    let Some(said) = live.run("tmpfs", "", &inside) else { return };
    has(&said, &["++ set_host_keys: done", "(ECDSA)\necdsa-sha2-", "(ED25519)\nssh-ed25519 ", "(RSA)\nssh-rsa "]);
}

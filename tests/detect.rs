//! A root directory in, a verdict out: what each cloud's machines show, what others show, and what `wisp detect` says.
#![cfg(feature = "full")]

#[path = "support/root.rs"]
mod root;

use root::Root as Machine;
use std::fs;
use std::process::{Command, Stdio};

use miniserde::json::{self, Value};

use wisp::error::Kind;
use wisp::probe::machine;
use wisp::provider::{self, CLOUDS, Detection, Field};
use wisp::settings::Cloud;

/// What one run of `wisp detect` ended with.
#[derive(Debug)]
struct Outcome {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Machine {
    /// A machine with these strings of firmware, each `field=text`, or files where there is a slash in front.
    fn new(name: &str, shows: &[&str]) -> Self {
        let machine = Self::empty(name);
        machine.show("/proc/cmdline=BOOT_IMAGE=/vmlinuz root=LABEL=/ quiet");
        shows.iter().for_each(|what| machine.show(what));
        machine
    }

    fn show(&self, what: &str) {
        let (place, text) = what.split_once('=').unwrap();
        let dmi = format!("/sys/class/dmi/id/{place}");
        let path = if place.starts_with('/') { place } else { &dmi };
        let path = self.join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
    }

    /// What the library says, with volumes of these labels attached.
    fn verdict(&self, labels: &[&str]) -> Option<Detection> {
        let mut volumes = |wanted: &str| {
            let found = labels.iter().filter(|label| label.eq_ignore_ascii_case(wanted));
            found.map(|_| "/dev/sr0".to_string()).collect()
        };
        let evidence = machine::evidence(self.path());
        let settings = machine::settings(self.path(), &evidence.cmdline);
        provider::detect(&settings.cloud, &evidence, &mut volumes).unwrap()
    }

    fn cloud(&self, labels: &[&str]) -> &'static str {
        self.verdict(labels).map_or("unknown", |verdict| verdict.cloud.name)
    }

    fn detect(&self, options: &[&str]) -> Outcome {
        let program = std::env::var_os("WISP_UNDER_TEST").unwrap_or_else(|| env!("CARGO_BIN_EXE_wisp").into());
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).env_clear().args(["detect", "--root", self.path()]).args(options);
        let output = command.output().expect("the program starts");
        let text = |bytes| String::from_utf8(bytes).expect("the program prints UTF-8");
        Outcome { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// What machines of each cloud show, from the tables of ds-identify and the vendors.
const SHOWN: &[(&str, &[&str])] = &[
    ("incus", &["/dev/incus/sock="]),
    ("incus", &["/dev/lxd/sock="]),
    ("incus", &["sys_vendor=QEMU", "/sys/class/virtio-ports/vport1p1/name=org.linuxcontainers.incus"]),
    ("incus", &["sys_vendor=QEMU", "/sys/class/virtio-ports/vport2p1/name=com.canonical.lxd"]),
    ("nocloud", &["/proc/cmdline=quiet ds=nocloud"]),
    ("nocloud", &["/proc/cmdline=ds=nocloud-net;s=http://10.0.0.1/seed/ quiet"]),
    ("nocloud", &["product_serial=ds=nocloud;s=http://10.0.0.1/"]),
    ("nocloud", &["product_serial=1234 ds=nocloud-net;h=web"]),
    ("nocloud", &["/var/lib/cloud/seed/nocloud/meta-data="]),
    ("nocloud", &["/var/lib/cloud/seed/nocloud-net/meta-data="]),
    ("openstack", &["product_name=OpenStack Nova"]),
    ("openstack", &["product_name=OpenStack Compute"]),
    ("openstack", &["chassis_asset_tag=OpenTelekomCloud"]),
    ("openstack", &["chassis_asset_tag=SAP CCloud VM"]),
    ("openstack", &["chassis_asset_tag=HUAWEICLOUD"]),
    ("openstack", &["chassis_asset_tag=Samsung Cloud Platform"]),
    ("aws", &["sys_vendor=Amazon EC2", "product_name=m7i.large", "board_asset_tag=i-0123456789abcdef0"]),
    (
        "aws",
        &[
            "sys_vendor=Xen",
            "product_uuid=EC2E1916-9099-7CAF-FD21-012345ABCDEF",
            "product_serial=ec2e1916-9099-7caf-fd21-012345abcdef",
        ],
    ),
    (
        "aws",
        &[
            "sys_vendor=Xen",
            "product_uuid=45E12AEC-DCD1-B213-94ED-01234567890A",
            "product_serial=ec2ae145-d1dc-13b2-94ed-01234567890a",
        ],
    ),
    ("aws", &["/sys/hypervisor/uuid=ec2e1916-9099-7caf-fd21-012345abcdef"]),
    ("azure", &["sys_vendor=Microsoft Corporation", "chassis_asset_tag=7783-7084-3265-9085-8269-3286-77"]),
    ("gcp", &["product_name=Google Compute Engine"]),
    ("gcp", &["product_name=Google"]),
    ("gcp", &["product_serial=GoogleCloud-0123456789ABCDEF"]),
    ("oci", &["chassis_asset_tag=OracleCloud.com"]),
    ("hetzner", &["sys_vendor=Hetzner", "product_name=vServer"]),
    ("scaleway", &["sys_vendor=Scaleway"]),
    ("scaleway", &["/proc/cmdline=quiet scaleway"]),
    ("scaleway", &["/run/scaleway/x="]),
    ("digitalocean", &["sys_vendor=DigitalOcean", "product_serial=123456789"]),
    ("vultr", &["sys_vendor=Vultr"]),
    ("vultr", &["/proc/cmdline=vultr root=/dev/vda1"]),
    ("vultr", &["/etc/vultr/x="]),
    ("alibaba", &["product_name=Alibaba Cloud ECS"]),
    ("akamai", &["sys_vendor=Linode"]),
    ("akamai", &["sys_vendor=Akamai"]),
    ("exoscale", &["product_name=Exoscale Compute Platform"]),
    ("upcloud", &["sys_vendor=UpCloud"]),
];

/// Whether the machine that was recorded for this cloud shows it.
fn is_recorded(cloud: &str) -> bool {
    let path = format!("{}/tests/metadata/recorded/{cloud}/machine", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(path).unwrap_or_default();
    let is_string = |line: &&str| Field::ALL.iter().any(|field| line.starts_with(field.name()));
    let strings: Vec<&str> = text.lines().filter(is_string).collect();
    Machine::new(&format!("recorded-{cloud}"), &strings).cloud(&[]) == cloud
}

#[test]
fn every_cloud_is_detected_by_what_its_machines_show() {
    for (index, (cloud, shows)) in SHOWN.iter().enumerate() {
        let machine = Machine::new(&format!("shown-{index}"), shows);
        assert_eq!(machine.cloud(&[]), *cloud, "{shows:?}");
    }
    for cloud in CLOUDS {
        let shown = SHOWN.iter().any(|(name, _)| *name == cloud.name);
        assert!(shown || is_recorded(cloud.name), "{} is shown by no machine here", cloud.name);
    }
}

#[test]
fn a_machine_without_a_cloud_has_no_instance() {
    for (index, shows) in [
        &[][..],
        &["sys_vendor=QEMU", "product_name=Standard PC (Q35 + ICH9, 2009)"],
        &["sys_vendor=innotek GmbH", "product_name=VirtualBox"],
        &["sys_vendor=VMware, Inc.", "product_serial=VMware-42 1a"],
        &["sys_vendor=Dell Inc.", "product_serial=ABC1234", "chassis_asset_tag="],
        &["sys_vendor=Microsoft Corporation", "product_name=Virtual Machine", "chassis_asset_tag=1234"],
        // Not quite one: case, more text, another field.
        &["sys_vendor=amazon ec2"],
        &["sys_vendor=Hetzner Online"],
        &["product_name=Hetzner"],
        &["product_name=Google Pixelbook"],
        &["product_serial=XGoogleCloud-1"],
        &["product_serial=xds=nocloud"],
        &["product_name=The Exoscale"],
        &["/proc/cmdline=vultr=1 notscaleway scaleway.x=1 ds"],
        // One in two thousand UUIDs begins as EC2's do.
        &["sys_vendor=QEMU", "product_uuid=EC2E1916-9099-7CAF-FD21-012345ABCDEF"],
        &["product_uuid=ec2e1916-9099-7caf-fd21-012345abcdef", "product_serial=ec2e1916-0000-7caf-fd21-012345abcdef"],
        &["product_uuid=ec2e1916", "product_serial=ec2e1916"],
        &["/sys/hypervisor/uuid=12ec2916-9099-7caf-fd21-012345abcdef"],
        &["/sys/class/virtio-ports/vport1p1/name=org.qemu.guest_agent.0"],
        &["/var/lib/cloud/seed/nocloud/user-data=x"],
    ]
    .iter()
    .enumerate()
    {
        let machine = Machine::new(&format!("nobody-{index}"), shows);
        assert_eq!(machine.cloud(&["EFI", "root", "cidata2"]), "unknown", "{shows:?}");
    }
}

#[test]
fn what_is_attached_comes_before_the_firmware_and_a_trace_comes_last() {
    for (index, (shows, labels, cloud, others)) in [
        (&["sys_vendor=Amazon EC2"][..], &["CIDATA"][..], "nocloud", &["aws"][..]),
        (&["sys_vendor=Amazon EC2"], &["cidata", "config-2"], "nocloud", &["openstack", "aws"]),
        (&["product_name=OpenStack Nova"], &["CONFIG-2"], "openstack", &[]),
        (&["sys_vendor=DigitalOcean"], &["config-2"], "openstack", &["digitalocean"]),
        // Tencent Cloud gives its machines a configuration drive.
        (&["sys_vendor=Tencent Cloud", "product_name=CVM"], &["config-2"], "openstack", &[]),
        (&["/dev/incus/sock=", "product_name=Google"], &["cidata"], "incus", &["gcp"]),
        (&["/sys/class/virtio-ports/vport1p1/name=org.linuxcontainers.incus"], &["cidata"], "incus", &["nocloud"]),
        (&["sys_vendor=Hetzner", "product_serial=ds=nocloud"], &[], "nocloud", &["hetzner"]),
        (&["sys_vendor=Hetzner", "product_name=OpenStack Nova"], &[], "openstack", &["hetzner"]),
        (&["sys_vendor=UpCloud", "/etc/vultr/x="], &[], "upcloud", &["vultr"]),
        (&["/run/scaleway/x=", "/etc/vultr/x="], &[], "scaleway", &["vultr"]),
        (&["/etc/vultr/x=", "sys_vendor=Vultr"], &[], "vultr", &[]),
    ]
    .iter()
    .enumerate()
    {
        let verdict = Machine::new(&format!("order-{index}"), shows).verdict(labels).unwrap();
        let names: Vec<_> = verdict.others.iter().map(|other| other.name).collect();
        assert_eq!((verdict.cloud.name, names.as_slice()), (*cloud, *others), "{shows:?}");
    }
}

#[test]
fn disks_are_looked_at_only_where_that_matters() {
    for (index, (shows, matters)) in [
        (&[][..], true),
        (&["sys_vendor=Amazon EC2"], true),
        (&["/dev/incus/sock="], false),
        (&["/var/lib/cloud/seed/nocloud/meta-data="], false),
        (&["/run/.containerenv="], false),
        (&["/proc/cmdline=wisp.cloud=aws"], false),
    ]
    .iter()
    .enumerate()
    {
        let machine = Machine::new(&format!("labels-{index}"), shows);
        let evidence = machine::evidence(machine.path());
        let settings = machine::settings(machine.path(), &evidence.cmdline);
        let mut asked = Vec::new();
        let mut volumes = |wanted: &str| {
            asked.push(wanted.to_string());
            Vec::new()
        };
        provider::detect(&settings.cloud, &evidence, &mut volumes).unwrap();
        let wanted = if *matters { &["cidata", "config-2"][..] } else { &[] };
        assert_eq!(asked, wanted, "{shows:?}");
    }
}

#[test]
fn in_a_container_the_firmware_is_the_hosts() {
    for (index, marker) in
        ["/run/systemd/container=docker", "/run/.containerenv=", "/.dockerenv=", "/proc/1/environ=A=1\0container=lxc\0"]
            .iter()
            .enumerate()
    {
        let host = ["sys_vendor=Amazon EC2", "/sys/hypervisor/uuid=ec2", "/proc/cmdline=ds=nocloud", marker];
        let machine = Machine::new(&format!("container-{index}"), &host);
        assert_eq!(machine.cloud(&["cidata"]), "unknown", "{marker:?}");
        machine.show("/dev/lxd/sock=");
        assert_eq!(machine.cloud(&[]), "incus", "{marker:?}");
    }
    let nova = ["/proc/1/environ=container=lxc\0product_name=OpenStack Nova\0"];
    assert_eq!(Machine::new("container-nova", &nova).cloud(&[]), "openstack");
    let words = ["/run/.containerenv=", "/proc/1/cmdline=/sbin/init\0ds=nocloud;h=x\0"];
    assert_eq!(Machine::new("container-words", &words).cloud(&[]), "nocloud");
}

#[test]
fn the_users_word_is_enough() {
    for (index, (shows, cloud, said)) in [
        (&["/etc/wisp.conf=CLOUD=aws"][..], "aws", "CLOUD= in line 1 of"),
        (&["/etc/tiny-cloud.conf=# Alpine\nCLOUD=alpine"], "nocloud", "/etc/tiny-cloud.conf"),
        (&["/etc/wisp.conf=CLOUD=gce", "/etc/tiny-cloud.conf=CLOUD=aws"], "gcp", "/etc/wisp.conf"),
        (&["/etc/wisp.conf=CLOUD=aws", "/proc/cmdline=wisp.cloud=OCI"], "oci", "wisp.cloud="),
        (&["/etc/wisp.conf=CLOUD=aws", "/proc/cmdline=ds=ec2"], "aws", "ds="),
        (&["sys_vendor=Hetzner", "/proc/cmdline=ds=NoCloud;h=x"], "nocloud", "ds="),
    ]
    .iter()
    .enumerate()
    {
        let verdict = Machine::new(&format!("said-{index}"), shows).verdict(&["cidata"]).unwrap();
        assert_eq!(verdict.cloud.name, *cloud, "{shows:?}");
        assert!(verdict.forced.as_deref().is_some_and(|forced| forced.contains(said)), "{verdict:?}");
    }
    let auto = ["sys_vendor=Hetzner", "/etc/wisp.conf=CLOUD=auto", "/etc/tiny-cloud.conf=CLOUD=aws"];
    let verdict = Machine::new("said-auto", &auto).verdict(&[]).unwrap();
    assert_eq!((verdict.cloud.name, verdict.forced), ("hetzner", None));
    let evidence = machine::evidence("/nonexistent");
    let choice = Cloud::Named { name: "nimbus".into(), said: "somewhere".into() };
    let error = provider::detect(&choice, &evidence, &mut |_| Vec::new()).unwrap_err();
    assert!(error.kind == Kind::Usage && error.why.contains("aws, azure, gcp"), "{error}");
}

#[test]
fn every_name_means_one_cloud() {
    let mut names: Vec<&str> = Vec::new();
    for cloud in CLOUDS {
        names.extend([cloud.name].iter().chain(cloud.aliases));
        assert_eq!(provider::named(&cloud.name.to_uppercase()).map(|found| found.name), Some(cloud.name));
    }
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(provider::named("").is_none() && provider::named("auto").is_none());
}

#[test]
fn evidence_is_the_first_line_without_blanks() {
    let machine = Machine::new("lines", &["sys_vendor=  Hetzner \t\nmore", "product_name= ", "product_serial=\u{e9}"]);
    fs::write(machine.join("sys/class/dmi/id/board_asset_tag"), b"a\xffb\0\n").unwrap();
    fs::create_dir(machine.join("sys/class/dmi/id/chassis_asset_tag")).unwrap();
    let evidence = machine::evidence(machine.path());
    assert_eq!(evidence.dmi(Field::SysVendor), Some("Hetzner"));
    assert_eq!(evidence.dmi(Field::ProductName), None);
    assert_eq!(evidence.dmi(Field::ProductSerial), Some("é"));
    assert_eq!(evidence.dmi(Field::BoardAssetTag), Some("a\u{fffd}b\0"));
    assert_eq!((evidence.dmi(Field::ChassisAssetTag), evidence.hidden, evidence.container), (None, false, false));
    assert!(provider::same_uuid("45E12AEC-DCD1-B213-94ED-01234567890A", "ec2ae145-d1dc-13b2-94ed-01234567890a"));
    assert!(!provider::same_uuid("", "") && !provider::same_uuid("x", "x"), "what is no UUID is the same as nothing");
}

#[test]
fn detect_prints_the_name_and_says_why_beside_it() {
    let machine = Machine::new("plain", &["sys_vendor=Amazon EC2", "/etc/vultr/x=", "/etc/wisp.conf=CLUOD=x"]);
    let outcome = machine.detect(&[]);
    assert_eq!((outcome.code, outcome.out.as_str()), (Some(0), "aws\n"), "{outcome:?}");
    for line in [
        "there is no such key",
        "wisp: Amazon EC2, by dmi sys_vendor: Amazon EC2",
        "wisp: there are marks of Vultr too",
    ] {
        assert!(outcome.err.contains(line), "{outcome:?}");
    }
    let outcome = Machine::new("plain-unknown", &[]).detect(&[]);
    assert_eq!((outcome.code, outcome.out.as_str()), (Some(3), "unknown\n"), "{outcome:?}");
    assert!(outcome.err.contains("shows no mark"), "{outcome:?}");
    let outcome = Machine::new("plain-forced", &["/proc/cmdline=wisp.cloud=gcp"]).detect(&[]);
    assert_eq!((outcome.code, outcome.out.as_str()), (Some(0), "gcp\n"), "{outcome:?}");
    assert!(outcome.err.contains("forced by wisp.cloud= on the kernel command line"), "{outcome:?}");
    let outcome = Machine::new("plain-wrong", &["/proc/cmdline=wisp.cloud=nimbus"]).detect(&["--json"]);
    assert_eq!((outcome.code, outcome.out.as_str()), (Some(2), ""), "{outcome:?}");
    assert!(outcome.err.contains("find the cloud nimbus: wisp.cloud= on the kernel"), "{outcome:?}");
}

#[test]
fn json_is_stable() {
    for (name, shows, code, wanted) in [
        (
            "json-dmi",
            &["sys_vendor=Amazon EC2", "/etc/vultr/x="][..],
            0,
            r#"{"cloud":"aws","title":"Amazon EC2","forced":false,"said":null,"evidence":[{"mark":"dmi","field":"sys_vendor","value":"Amazon EC2"}],"others":["vultr"]}"#,
        ),
        (
            "json-forced",
            &["/proc/cmdline=wisp.cloud=incus", "/dev/incus/sock="],
            0,
            r#"{"cloud":"incus","title":"Incus","forced":true,"said":"wisp.cloud= on the kernel command line","evidence":[{"mark":"path","field":"/dev/incus/sock","value":null}],"others":[]}"#,
        ),
        ("json-unknown", &[], 3, r#"{"cloud":null,"title":null,"forced":false,"said":null,"evidence":[],"others":[]}"#),
        (
            "json-xen",
            &["/sys/hypervisor/uuid=ec2e1916"],
            0,
            r#"{"cloud":"aws","title":"Amazon EC2","forced":false,"said":null,"evidence":[{"mark":"xen","field":"/sys/hypervisor/uuid","value":"ec2e1916"}],"others":[]}"#,
        ),
    ] {
        let outcome = Machine::new(name, shows).detect(&["--json"]);
        assert_eq!((outcome.code, outcome.out.trim_end()), (Some(code), wanted), "{outcome:?}");
        assert!(json::from_str::<Value>(&outcome.out).is_ok());
    }
}

#[test]
fn no_password_of_a_seed_is_shown() {
    for (name, what) in [
        ("secret-serial", "product_serial=ds=nocloud;s=http://user:secret@10.0.0.1/"),
        ("secret-cmdline", "/proc/cmdline=wisp.cloud=auto ds=nocloud;s=http://user:secret@10.0.0.1/"),
        ("secret-forced", "/proc/cmdline=ds=nocloud;s=http://user:secret@10.0.0.1/"),
    ] {
        let machine = Machine::new(name, &[what]);
        for options in [&[][..], &["--json"]] {
            let outcome = machine.detect(options);
            assert!(outcome.code == Some(0) && outcome.out.contains("nocloud"), "{outcome:?}");
            assert!(!outcome.out.contains("secret") && !outcome.err.contains("secret"), "{outcome:?}");
        }
    }
}

#[test]
fn clouds_with_the_protocol_of_ec2_are_detected() {
    for (name, shows) in [
        ("brightbox", &["product_serial=srv-1.gb1.brightbox.com"][..]),
        ("zstack", &["chassis_asset_tag=123.zstack.io"]),
        ("e24cloud", &["sys_vendor=e24cloud"]),
        ("tilaa", &["sys_vendor=Tilaa"]),
        ("outscale", &["sys_vendor=3DS Outscale", "product_name=3DS Outscale VM"]),
    ] {
        assert_eq!(Machine::new(name, shows).cloud(&[]), "aws", "{name}");
    }
    let shows = &["/sys/hypervisor/uuid=ec2e1916-9099-7caf-fd21-012345abcdef", "product_name=Alibaba Cloud ECS"];
    assert_eq!(Machine::new("alibaba-xen", shows).cloud(&[]), "alibaba");
}

#[test]
fn words_of_cloud_init_choose_a_cloud_or_none() {
    for word in ["ci.ds=nocloud", "ci.datasource=NoCloud;h=a"] {
        assert_eq!(
            Machine::new("older", &[&format!("/proc/cmdline={word}"), "sys_vendor=Hetzner"]).cloud(&[]),
            "nocloud"
        );
    }
    let shown = Machine::new("none", &["/proc/cmdline=ds=None", "sys_vendor=Hetzner"]);
    assert!(shown.verdict(&[]).is_none());
    assert_eq!(Machine::new("maas", &["/proc/cmdline=ds=maas", "sys_vendor=Hetzner"]).cloud(&[]), "hetzner");
    let shows = ["/proc/cmdline=ci.ds=maas ds=xyz;a=b", "/etc/wisp.conf=CLOUD=oci", "sys_vendor=Hetzner"];
    let machine = Machine::new("maas-configured", &shows);
    let verdict = machine.verdict(&[]).unwrap();
    assert_eq!(verdict.cloud.name, "oci", "the configuration still counts: {verdict:?}");
    assert!(machine.detect(&[]).err.contains("no known cloud is called xyz"), "{:?}", machine.detect(&[]));
}

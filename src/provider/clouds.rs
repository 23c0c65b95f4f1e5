//! The table of clouds.
//!
//! A row says only what differs from [`CLOUD`] and [`SERVICE`]. Paths and fields are those of each cloud's own
//! documentation of its metadata service.

use super::{
    Check, Cloud, Dir, Encoding, Entries, Field, Fingerprint, Item, KeyLayout, Keys, Nics, OnNoAnswer, Ready, Service,
    Text, Token, Wrapping,
};

/// The address that most clouds answer at.
const LINK_LOCAL: &str = "169.254.169.254";

/// Azure's one document, in the version with `extended` and in an old one, which has all that is read but user-data.
const AZURE: &str = "/metadata/instance?api-version=2021-08-01&extended=true";
const AZURE_OLD: &str = "/metadata/instance?api-version=2019-06-01";

/// GCP's two documents.
const GCP_INSTANCE: &str = "/computeMetadata/v1/instance/?recursive=true&alt=json";
const GCP_PROJECT: &str = "/computeMetadata/v1/project/attributes/?recursive=true&alt=json";

const NOTHING: Item = Item(&[], Encoding::Plain);

/// What a row does not say.
const CLOUD: Cloud = Cloud {
    name: "",
    aliases: &[],
    title: "",
    marks: &[],
    service: None,
    keyed: KeyLayout::Yaml,
    id: NOTHING,
    hostname: NOTHING,
    local_hostname: NOTHING,
    region: NOTHING,
    zone: NOTHING,
    admin: NOTHING,
    keys: Keys::None,
    userdata: NOTHING,
    wrapping: Wrapping::None,
    nics: Nics::None,
    check: None,
    older: None,
    ready: Ready::Unasked,
    silent: OnNoAnswer::Nothing,
};

/// What a row does not say about its service.
const SERVICE: Service = Service {
    addresses: &[],
    headers: &[],
    token: None,
    echo: None,
    low_port: false,
    again: &[],
    link_local: false,
    interface: None,
};

const fn dmi(field: Field, text: &'static str) -> Fingerprint {
    Fingerprint::Dmi(field, Text::Is(text))
}

/// All clouds. Where several show themselves, one with a local mark (a socket, a port, a volume) is taken before one
/// that would be asked over the network, and then the first in this order.
pub const CLOUDS: &[Cloud] = &[
    Cloud {
        name: "incus",
        aliases: &["lxd"],
        title: "Incus",
        marks: &[
            Fingerprint::Path("/dev/incus/sock"),
            Fingerprint::Path("/dev/lxd/sock"),
            Fingerprint::VirtioPort("org.linuxcontainers.incus"),
            Fingerprint::VirtioPort("org.linuxcontainers.lxd"),
            Fingerprint::VirtioPort("com.canonical.lxd"),
        ],
        service: Some(Service { addresses: &["/dev/incus/sock", "/dev/lxd/sock"], ..SERVICE }),
        keyed: KeyLayout::Within("/1.0/meta-data"),
        id: Item(&[("/1.0/meta-data", "instance-id")], Encoding::Plain),
        hostname: Item(&[("/1.0/meta-data", "local-hostname")], Encoding::Plain),
        local_hostname: Item(&[("/1.0/meta-data", "local-hostname")], Encoding::Plain),
        zone: Item(&[("/1.0", "location")], Encoding::Plain),
        keys: Keys::WithUserdata(("/1.0/meta-data", "public-keys"), "", true),
        // The name of newer servers, which comes first there too.
        userdata: Item(
            &[("/1.0/config/cloud-init.user-data", ""), ("/1.0/config/user.user-data", "")],
            Encoding::Plain,
        ),
        ready: Ready::Patch("/1.0", r#"{"state":"Ready"}"#),
        silent: OnNoAnswer::Everything,
        ..CLOUD
    },
    Cloud {
        name: "nocloud",
        aliases: &["alpine", "nocloud-net"],
        title: "NoCloud",
        marks: &[
            Fingerprint::Word("ds=nocloud"),
            Fingerprint::Word("ds=nocloud-net"),
            Fingerprint::Dmi(Field::ProductSerial, Text::HasWord("ds=nocloud")),
            Fingerprint::Path("/var/lib/cloud/seed/nocloud/meta-data"),
            Fingerprint::Path("/var/lib/cloud/seed/nocloud-net/meta-data"),
            Fingerprint::Label("cidata"),
        ],
        keyed: KeyLayout::Yaml,
        id: Item(&[("meta-data", "instance-id")], Encoding::Plain),
        // What cloud-init writes and what the command line sets is the second.
        hostname: Item(&[("meta-data", "hostname"), ("meta-data", "local-hostname")], Encoding::Plain),
        local_hostname: Item(&[("meta-data", "local-hostname"), ("meta-data", "hostname")], Encoding::Plain),
        region: Item(&[("meta-data", "region")], Encoding::Plain),
        zone: Item(&[("meta-data", "availability-zone")], Encoding::Plain),
        keys: Keys::WithUserdata(("meta-data", "public-keys"), "openssh-key", false),
        userdata: Item(&[("user-data", "")], Encoding::Plain),
        ..CLOUD
    },
    Cloud {
        name: "openstack",
        aliases: &["configdrive"],
        title: "OpenStack",
        marks: &[
            Fingerprint::Label("config-2"),
            dmi(Field::ProductName, "OpenStack Nova"),
            dmi(Field::ProductName, "OpenStack Compute"),
            dmi(Field::ChassisAssetTag, "OpenStack Nova"),
            dmi(Field::ChassisAssetTag, "OpenStack Compute"),
            dmi(Field::ChassisAssetTag, "OpenTelekomCloud"),
            dmi(Field::ChassisAssetTag, "SAP CCloud VM"),
            dmi(Field::ChassisAssetTag, "HUAWEICLOUD"),
            dmi(Field::ChassisAssetTag, "Samsung Cloud Platform"),
        ],
        service: Some(Service { addresses: &[LINK_LOCAL, "fe80::a9fe:a9fe"], ..SERVICE }),
        // Every version since 2012 has these fields, and `latest` is the one name that all servers and drives have.
        keyed: KeyLayout::Path("/openstack/latest/", ""),
        id: Item(&[("/openstack/latest/meta_data.json", "uuid")], Encoding::Plain),
        hostname: Item(&[("/openstack/latest/meta_data.json", "hostname")], Encoding::Plain),
        local_hostname: Item(&[("/openstack/latest/meta_data.json", "hostname")], Encoding::Plain),
        zone: Item(&[("/openstack/latest/meta_data.json", "availability_zone")], Encoding::Plain),
        keys: Keys::Below(&[("/openstack/latest/meta_data.json", "public_keys")], ""),
        userdata: Item(&[("/openstack/latest/user_data", "")], Encoding::Plain),
        nics: Nics::Links("/openstack/latest/network_data.json"),
        ..CLOUD
    },
    Cloud {
        name: "aws",
        aliases: &["ec2"],
        title: "Amazon EC2",
        marks: &[
            dmi(Field::SysVendor, "Amazon EC2"),
            Fingerprint::Ec2Uuid,
            Fingerprint::XenUuid("ec2"),
            // Clouds with this protocol, as cloud-init tells them.
            Fingerprint::Dmi(Field::ProductSerial, Text::Ends(".brightbox.com")),
            Fingerprint::Dmi(Field::ChassisAssetTag, Text::Ends(".zstack.io")),
            dmi(Field::SysVendor, "e24cloud"),
            dmi(Field::SysVendor, "Tilaa"),
            dmi(Field::SysVendor, "3DS Outscale"),
        ],
        service: Some(Service {
            addresses: &[LINK_LOCAL, "fd00:ec2::254"],
            token: Some(Token {
                target: "/latest/api/token",
                lifetime: "X-aws-ec2-metadata-token-ttl-seconds",
                header: "X-aws-ec2-metadata-token",
            }),
            interface: Some("ena"),
            ..SERVICE
        }),
        // `latest` and no dated version: these paths have kept their form since 2009, and look-alikes lack newer dates.
        keyed: KeyLayout::Path("/latest/", ""),
        id: Item(&[("/latest/meta-data/instance-id", "")], Encoding::Plain),
        // OUTSCALE describes neither the first of these names nor the region.
        hostname: Item(
            &[("/latest/meta-data/hostname", ""), ("/latest/meta-data/local-hostname", "")],
            Encoding::FirstName,
        ),
        local_hostname: Item(&[("/latest/meta-data/local-hostname", "")], Encoding::FirstName),
        region: Item(
            &[("/latest/meta-data/placement/region", ""), ("/latest/meta-data/placement/availability-zone", "")],
            Encoding::RegionOfLetter,
        ),
        zone: Item(&[("/latest/meta-data/placement/availability-zone", "")], Encoding::Plain),
        keys: Keys::Listing("/latest/meta-data/public-keys"),
        userdata: Item(&[("/latest/user-data", "")], Encoding::Plain),
        nics: Nics::Dir(&Dir {
            path: "/latest/meta-data/network/interfaces/macs/",
            ipv4: ("local-ipv4s", "subnet-ipv4-cidr-block"),
            ipv6: ("ipv6s", "subnet-ipv6-cidr-blocks"),
            gateways: &[],
        }),
        // On Xen, before Nitro, this tag is something else or nothing.
        check: Some(Check { said: ("/latest/meta-data/instance-id", ""), known: (Field::BoardAssetTag, "i-") }),
        ..CLOUD
    },
    Cloud {
        name: "azure",
        title: "Microsoft Azure",
        marks: &[dmi(Field::ChassisAssetTag, "7783-7084-3265-9085-8269-3286-77")],
        service: Some(Service {
            addresses: &[LINK_LOCAL],
            headers: &[("Metadata", "true")],
            again: &[404, 410],
            interface: Some("hv_netvsc"),
            ..SERVICE
        }),
        keyed: KeyLayout::Path("/metadata/instance/", "?format=text&api-version=2021-05-01"),
        id: Item(&[(AZURE, "compute/vmId")], Encoding::Plain),
        hostname: Item(&[(AZURE, "compute/name")], Encoding::Plain),
        local_hostname: Item(&[(AZURE, "compute/name")], Encoding::Plain),
        region: Item(&[(AZURE, "compute/location")], Encoding::Plain),
        zone: Item(&[(AZURE, "compute/zone")], Encoding::Plain),
        admin: Item(&[(AZURE, "compute/osProfile/adminUsername")], Encoding::Plain),
        keys: Keys::Below(&[(AZURE, "compute/publicKeys")], "keyData"),
        userdata: Item(&[(AZURE, "compute/userData")], Encoding::Plain),
        wrapping: Wrapping::Base64,
        nics: Nics::Entries(&[Entries {
            place: (AZURE, "network/interface/*"),
            mac: "macAddress",
            addresses: &[
                ("ipv4/ipAddress/*/privateIpAddress", "ipv4/subnet/*/prefix"),
                ("ipv6/ipAddress/*/privateIpAddress", "ipv6/subnet/*/prefix"),
            ],
            gateways: &[],
            raw: "network/interface/#",
        }]),
        check: Some(Check { said: (AZURE, "compute/vmId"), known: (Field::ProductUuid, "") }),
        older: Some((AZURE, AZURE_OLD)),
        ready: Ready::WireServer,
        silent: OnNoAnswer::Userdata,
        ..CLOUD
    },
    Cloud {
        name: "gcp",
        aliases: &["gce"],
        title: "Google Compute Engine",
        marks: &[
            dmi(Field::ProductName, "Google Compute Engine"),
            dmi(Field::ProductName, "Google"),
            Fingerprint::Dmi(Field::ProductSerial, Text::Begins("GoogleCloud-")),
        ],
        service: Some(Service {
            addresses: &[LINK_LOCAL, "fd20:ce::254"],
            headers: &[("Metadata-Flavor", "Google")],
            echo: Some(("Metadata-Flavor", "Google")),
            interface: Some("ens4"),
            ..SERVICE
        }),
        keyed: KeyLayout::Path("/computeMetadata/v1/", ""),
        id: Item(&[(GCP_INSTANCE, "id")], Encoding::Plain),
        hostname: Item(&[(GCP_INSTANCE, "hostname")], Encoding::Plain),
        local_hostname: Item(&[(GCP_INSTANCE, "hostname")], Encoding::Plain),
        region: Item(&[(GCP_INSTANCE, "zone")], Encoding::RegionOfZone),
        zone: Item(&[(GCP_INSTANCE, "zone")], Encoding::LastSegment),
        keys: Keys::Gcp((GCP_INSTANCE, "attributes"), (GCP_PROJECT, "")),
        userdata: Item(&[(GCP_INSTANCE, "attributes/user-data")], Encoding::Plain),
        wrapping: Wrapping::AsSaid((GCP_INSTANCE, "attributes/user-data-encoding")),
        nics: Nics::Entries(&[Entries {
            place: (GCP_INSTANCE, "networkInterfaces/*"),
            mac: "mac",
            addresses: &[("ip", "subnetmask"), ("ipv6/*", ""), ("ipAliases/*", ""), ("forwardedIps/*", "")],
            gateways: &["gateway"],
            raw: "instance/network-interfaces/#",
        }]),
        ..CLOUD
    },
    Cloud {
        name: "oci",
        aliases: &["oracle"],
        title: "Oracle Cloud Infrastructure",
        marks: &[dmi(Field::ChassisAssetTag, "OracleCloud.com")],
        service: Some(Service {
            addresses: &[LINK_LOCAL, "fd00:c1::a9fe:a9fe"],
            headers: &[("Authorization", "Bearer Oracle")],
            ..SERVICE
        }),
        keyed: KeyLayout::Path("/opc/v2/", ""),
        id: Item(&[("/opc/v2/instance/", "id")], Encoding::Plain),
        hostname: Item(&[("/opc/v2/instance/", "hostname")], Encoding::Plain),
        local_hostname: Item(&[("/opc/v2/instance/", "hostname")], Encoding::Plain),
        region: Item(&[("/opc/v2/instance/", "canonicalRegionName"), ("/opc/v2/instance/", "region")], Encoding::Plain),
        zone: Item(&[("/opc/v2/instance/", "ociAdName")], Encoding::Plain),
        keys: Keys::Verbatim(("/opc/v2/instance/", "metadata/ssh_authorized_keys")),
        userdata: Item(&[("/opc/v2/instance/", "metadata/user_data")], Encoding::Plain),
        wrapping: Wrapping::Base64,
        nics: Nics::Entries(&[Entries {
            place: ("/opc/v2/vnics/", "*"),
            mac: "macAddr",
            addresses: &[("privateIp", "subnetCidrBlock"), ("ipv6Addresses/*", "ipv6SubnetCidrBlock")],
            gateways: &["virtualRouterIp", "ipv6VirtualRouterIp"],
            raw: "vnics/#",
        }]),
        silent: OnNoAnswer::Userdata,
        ..CLOUD
    },
    Cloud {
        name: "hetzner",
        title: "Hetzner Cloud",
        marks: &[dmi(Field::SysVendor, "Hetzner")],
        service: Some(Service { addresses: &[LINK_LOCAL, "fe80::a9fe:a9fe"], ..SERVICE }),
        keyed: KeyLayout::Path("/hetzner/v1/metadata/", ""),
        id: Item(&[("/hetzner/v1/metadata", "instance-id")], Encoding::Plain),
        hostname: Item(&[("/hetzner/v1/metadata", "hostname")], Encoding::Plain),
        local_hostname: Item(&[("/hetzner/v1/metadata", "hostname")], Encoding::Plain),
        region: Item(&[("/hetzner/v1/metadata", "region")], Encoding::Plain),
        zone: Item(&[("/hetzner/v1/metadata", "availability-zone")], Encoding::Plain),
        keys: Keys::Below(&[("/hetzner/v1/metadata", "public-keys")], ""),
        userdata: Item(&[("/hetzner/v1/userdata", "")], Encoding::Plain),
        nics: Nics::Entries(&[
            Entries {
                place: ("/hetzner/v1/metadata", "network-config/config/*"),
                mac: "mac_address",
                addresses: &[("subnets/*/address", "")],
                gateways: &["subnets/*/gateway"],
                raw: "",
            },
            Entries {
                place: ("/hetzner/v1/metadata/private-networks", "*"),
                mac: "mac_address",
                addresses: &[("ip", "subnet"), ("alias_ips/*", "subnet")],
                gateways: &["gateway"],
                raw: "",
            },
        ]),
        check: Some(Check { said: ("/hetzner/v1/metadata", "instance-id"), known: (Field::ProductSerial, "") }),
        ..CLOUD
    },
    Cloud {
        name: "scaleway",
        title: "Scaleway",
        marks: &[dmi(Field::SysVendor, "Scaleway"), Fingerprint::Word("scaleway"), Fingerprint::Trace("/run/scaleway")],
        service: Some(Service { addresses: &["169.254.42.42", "fd00:42::42"], low_port: true, ..SERVICE }),
        keyed: KeyLayout::Lines("/conf"),
        id: Item(&[("/conf?format=json", "id")], Encoding::Plain),
        hostname: Item(&[("/conf?format=json", "hostname")], Encoding::Plain),
        local_hostname: Item(&[("/conf?format=json", "hostname")], Encoding::Plain),
        region: Item(
            &[("/conf?format=json", "zone"), ("/conf?format=json", "location/zone_id")],
            Encoding::RegionOfZone,
        ),
        zone: Item(&[("/conf?format=json", "zone"), ("/conf?format=json", "location/zone_id")], Encoding::Plain),
        keys: Keys::WithTags(("/conf?format=json", "ssh_public_keys"), "key", ("/conf?format=json", "tags")),
        userdata: Item(&[("/user_data/cloud-init", "")], Encoding::Plain),
        nics: Nics::Entries(&[
            Entries {
                place: ("/conf?format=json", "public_ips/*"),
                mac: "",
                addresses: &[("address", "netmask")],
                gateways: &["gateway"],
                raw: "",
            },
            Entries {
                place: ("/conf?format=json", "private_nics/*"),
                mac: "mac_address",
                addresses: &[],
                gateways: &[],
                raw: "",
            },
        ]),
        ready: Ready::Patch("/state", r#"{"state_detail":"booted"}"#),
        silent: OnNoAnswer::Everything,
        ..CLOUD
    },
    Cloud {
        name: "digitalocean",
        title: "DigitalOcean",
        marks: &[dmi(Field::SysVendor, "DigitalOcean")],
        service: Some(Service { addresses: &[LINK_LOCAL], link_local: true, ..SERVICE }),
        keyed: KeyLayout::Path("/metadata/v1/", ""),
        id: Item(&[("/metadata/v1.json", "droplet_id")], Encoding::Plain),
        hostname: Item(&[("/metadata/v1.json", "hostname")], Encoding::Plain),
        local_hostname: Item(&[("/metadata/v1.json", "hostname")], Encoding::Plain),
        region: Item(&[("/metadata/v1.json", "region")], Encoding::Plain),
        keys: Keys::Below(&[("/metadata/v1.json", "public_keys")], ""),
        userdata: Item(&[("/metadata/v1.json", "user_data")], Encoding::Plain),
        nics: Nics::Entries(&[Entries {
            place: ("/metadata/v1.json", "interfaces/*/*"),
            mac: "mac",
            addresses: &[
                ("ipv4/ip_address", "ipv4/netmask"),
                ("ipv6/ip_address", "ipv6/cidr"),
                ("anchor_ipv4/ip_address", "anchor_ipv4/netmask"),
            ],
            gateways: &["ipv4/gateway", "ipv6/gateway"],
            raw: "",
        }]),
        check: Some(Check { said: ("/metadata/v1.json", "droplet_id"), known: (Field::ProductSerial, "") }),
        ..CLOUD
    },
    Cloud {
        name: "vultr",
        title: "Vultr",
        marks: &[dmi(Field::SysVendor, "Vultr"), Fingerprint::Word("vultr"), Fingerprint::Trace("/etc/vultr")],
        service: Some(Service { addresses: &[LINK_LOCAL], headers: &[("Metadata-Token", "cloudinit")], ..SERVICE }),
        keyed: KeyLayout::Path("/v1/", ""),
        id: Item(&[("/v1.json", "instance-v2-id"), ("/v1.json", "instanceid")], Encoding::Plain),
        hostname: Item(&[("/v1.json", "hostname")], Encoding::Plain),
        local_hostname: Item(&[("/v1.json", "hostname")], Encoding::Plain),
        region: Item(&[("/v1.json", "region/regioncode")], Encoding::Plain),
        keys: Keys::Below(&[("/v1.json", "public-keys")], ""),
        userdata: Item(&[("/v1.json", "user-data")], Encoding::Plain),
        nics: Nics::Entries(&[Entries {
            place: ("/v1.json", "interfaces/*"),
            mac: "mac",
            addresses: &[("ipv4/address", "ipv4/netmask"), ("ipv6/address", "ipv6/prefix")],
            gateways: &["ipv4/gateway"],
            raw: "",
        }]),
        check: Some(Check { said: ("/v1.json", "instanceid"), known: (Field::ProductSerial, "") }),
        ..CLOUD
    },
    Cloud {
        name: "alibaba",
        aliases: &["aliyun"],
        title: "Alibaba Cloud",
        marks: &[dmi(Field::ProductName, "Alibaba Cloud ECS")],
        service: Some(Service {
            addresses: &["100.100.100.200", "fd00:100::100:200"],
            token: Some(Token {
                target: "/latest/api/token",
                lifetime: "X-aliyun-ecs-metadata-token-ttl-seconds",
                header: "X-aliyun-ecs-metadata-token",
            }),
            ..SERVICE
        }),
        keyed: KeyLayout::Path("/latest/", ""),
        id: Item(&[("/latest/meta-data/instance-id", "")], Encoding::Plain),
        hostname: Item(&[("/latest/meta-data/hostname", "")], Encoding::FirstName),
        local_hostname: Item(&[("/latest/meta-data/hostname", "")], Encoding::FirstName),
        region: Item(&[("/latest/meta-data/region-id", "")], Encoding::Plain),
        zone: Item(&[("/latest/meta-data/zone-id", "")], Encoding::Plain),
        keys: Keys::Listing("/latest/meta-data/public-keys"),
        userdata: Item(&[("/latest/user-data", "")], Encoding::Plain),
        nics: Nics::Dir(&Dir {
            path: "/latest/meta-data/network/interfaces/macs/",
            ipv4: ("private-ipv4s", "vswitch-cidr-block"),
            ipv6: ("ipv6s", "vswitch-ipv6-cidr-block"),
            gateways: &["gateway", "ipv6-gateway"],
        }),
        ..CLOUD
    },
    Cloud {
        name: "akamai",
        aliases: &["linode"],
        title: "Akamai Cloud",
        marks: &[dmi(Field::SysVendor, "Linode"), dmi(Field::SysVendor, "Akamai")],
        service: Some(Service {
            addresses: &[LINK_LOCAL, "fd00:a9fe:a9fe::1"],
            headers: &[("Accept", "application/json")],
            token: Some(Token {
                target: "/v1/token",
                lifetime: "Metadata-Token-Expiry-Seconds",
                header: "Metadata-Token",
            }),
            interface: Some("f2:3"),
            ..SERVICE
        }),
        keyed: KeyLayout::Path("/v1/", ""),
        id: Item(&[("/v1/instance", "id")], Encoding::Plain),
        hostname: Item(&[("/v1/instance", "label")], Encoding::Plain),
        local_hostname: Item(&[("/v1/instance", "label")], Encoding::Plain),
        region: Item(&[("/v1/instance", "region")], Encoding::Plain),
        keys: Keys::Below(&[("/v1/ssh-keys", "users")], ""),
        userdata: Item(&[("/v1/user-data", "")], Encoding::Plain),
        wrapping: Wrapping::Base64,
        nics: Nics::Entries(&[Entries {
            place: ("/v1/network", ""),
            mac: "",
            addresses: &[("ipv4/*/*", ""), ("ipv6/slaac", ""), ("ipv6/ranges/*", "")],
            gateways: &[],
            raw: "",
        }]),
        silent: OnNoAnswer::Userdata,
        ..CLOUD
    },
    Cloud {
        name: "exoscale",
        title: "Exoscale",
        marks: &[Fingerprint::Dmi(Field::ProductName, Text::Begins("Exoscale"))],
        service: Some(Service { addresses: &[LINK_LOCAL], ..SERVICE }),
        keyed: KeyLayout::Path("/1.0/", ""),
        id: Item(&[("/1.0/meta-data/instance-id", "")], Encoding::Plain),
        hostname: Item(&[("/1.0/meta-data/local-hostname", "")], Encoding::FirstName),
        local_hostname: Item(&[("/1.0/meta-data/local-hostname", "")], Encoding::FirstName),
        zone: Item(&[("/1.0/meta-data/availability-zone", "")], Encoding::Plain),
        keys: Keys::Below(&[("/1.0/meta-data/public-keys", "")], ""),
        userdata: Item(&[("/1.0/user-data", "")], Encoding::Plain),
        ..CLOUD
    },
    Cloud {
        name: "upcloud",
        title: "UpCloud",
        marks: &[dmi(Field::SysVendor, "UpCloud")],
        service: Some(Service { addresses: &[LINK_LOCAL], ..SERVICE }),
        keyed: KeyLayout::Path("/metadata/v1/", ""),
        id: Item(&[("/metadata/v1.json", "instance_id")], Encoding::Plain),
        hostname: Item(&[("/metadata/v1.json", "hostname")], Encoding::Plain),
        local_hostname: Item(&[("/metadata/v1.json", "hostname")], Encoding::Plain),
        region: Item(&[("/metadata/v1.json", "region")], Encoding::Plain),
        keys: Keys::Below(&[("/metadata/v1.json", "public_keys")], ""),
        userdata: Item(&[("/metadata/v1.json", "user_data")], Encoding::Plain),
        nics: Nics::Entries(&[Entries {
            place: ("/metadata/v1.json", "network/interfaces/*"),
            mac: "mac",
            addresses: &[("ip_addresses/*/address", "ip_addresses/*/network")],
            gateways: &["ip_addresses/*/gateway"],
            raw: "",
        }]),
        ..CLOUD
    },
];

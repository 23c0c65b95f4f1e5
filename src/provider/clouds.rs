//! The table of clouds.

use super::{Cloud, Field, Mark, Text};

const fn dmi(field: Field, text: &'static str) -> Mark {
    Mark::Dmi(field, Text::Is(text))
}

/// All clouds. Where several show themselves, one with a local mark (a socket, a port, a volume) is taken before one
/// that would be asked over the network, and then the first in this order.
pub const CLOUDS: &[Cloud] = &[
    Cloud {
        name: "incus",
        aliases: &["lxd"],
        title: "Incus",
        marks: &[
            Mark::Path("/dev/incus/sock"),
            Mark::Path("/dev/lxd/sock"),
            Mark::VirtioPort("org.linuxcontainers.incus"),
            Mark::VirtioPort("org.linuxcontainers.lxd"),
            Mark::VirtioPort("com.canonical.lxd"),
        ],
    },
    Cloud {
        name: "nocloud",
        aliases: &["alpine", "nocloud-net"],
        title: "NoCloud",
        marks: &[
            Mark::Word("ds=nocloud"),
            Mark::Word("ds=nocloud-net"),
            Mark::Dmi(Field::ProductSerial, Text::HasWord("ds=nocloud")),
            Mark::Path("/var/lib/cloud/seed/nocloud/meta-data"),
            Mark::Path("/var/lib/cloud/seed/nocloud-net/meta-data"),
            Mark::Label("cidata"),
        ],
    },
    Cloud {
        name: "openstack",
        aliases: &["configdrive"],
        title: "OpenStack",
        marks: &[
            Mark::Label("config-2"),
            dmi(Field::ProductName, "OpenStack Nova"),
            dmi(Field::ProductName, "OpenStack Compute"),
            dmi(Field::ChassisAssetTag, "OpenStack Nova"),
            dmi(Field::ChassisAssetTag, "OpenStack Compute"),
            dmi(Field::ChassisAssetTag, "OpenTelekomCloud"),
            dmi(Field::ChassisAssetTag, "SAP CCloud VM"),
            dmi(Field::ChassisAssetTag, "HUAWEICLOUD"),
            dmi(Field::ChassisAssetTag, "Samsung Cloud Platform"),
        ],
    },
    Cloud {
        name: "aws",
        aliases: &["ec2"],
        title: "Amazon EC2",
        marks: &[dmi(Field::SysVendor, "Amazon EC2"), Mark::Ec2Uuid, Mark::XenUuid("ec2")],
    },
    Cloud {
        name: "azure",
        aliases: &[],
        title: "Microsoft Azure",
        marks: &[dmi(Field::ChassisAssetTag, "7783-7084-3265-9085-8269-3286-77")],
    },
    Cloud {
        name: "gcp",
        aliases: &["gce"],
        title: "Google Compute Engine",
        marks: &[
            dmi(Field::ProductName, "Google Compute Engine"),
            dmi(Field::ProductName, "Google"),
            Mark::Dmi(Field::ProductSerial, Text::Begins("GoogleCloud-")),
        ],
    },
    Cloud {
        name: "oci",
        aliases: &["oracle"],
        title: "Oracle Cloud Infrastructure",
        marks: &[dmi(Field::ChassisAssetTag, "OracleCloud.com")],
    },
    Cloud { name: "hetzner", aliases: &[], title: "Hetzner Cloud", marks: &[dmi(Field::SysVendor, "Hetzner")] },
    Cloud {
        name: "scaleway",
        aliases: &[],
        title: "Scaleway",
        marks: &[dmi(Field::SysVendor, "Scaleway"), Mark::Word("scaleway"), Mark::Trace("/run/scaleway")],
    },
    Cloud {
        name: "digitalocean",
        aliases: &[],
        title: "DigitalOcean",
        marks: &[dmi(Field::SysVendor, "DigitalOcean")],
    },
    Cloud {
        name: "vultr",
        aliases: &[],
        title: "Vultr",
        marks: &[dmi(Field::SysVendor, "Vultr"), Mark::Word("vultr"), Mark::Trace("/etc/vultr")],
    },
    Cloud {
        name: "alibaba",
        aliases: &["aliyun"],
        title: "Alibaba Cloud",
        marks: &[dmi(Field::ProductName, "Alibaba Cloud ECS")],
    },
    Cloud {
        name: "akamai",
        aliases: &["linode"],
        title: "Akamai Cloud",
        marks: &[dmi(Field::SysVendor, "Linode"), dmi(Field::SysVendor, "Akamai")],
    },
    Cloud {
        name: "exoscale",
        aliases: &[],
        title: "Exoscale",
        marks: &[Mark::Dmi(Field::ProductName, Text::Begins("Exoscale"))],
    },
    Cloud { name: "upcloud", aliases: &[], title: "UpCloud", marks: &[dmi(Field::SysVendor, "UpCloud")] },
];

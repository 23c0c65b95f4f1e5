//! The modules that a stand-alone initramfs has: what stands between a machine and its root filesystem, by the words in
//! which a user says what an image is for. Names or aliases; what a kernel has built in is left out.

use alloc::format;
use alloc::string::String;

use super::Recipe;
use crate::error::{Error, Result};

/// A word that a user may choose, and the modules that it stands for. A kernel without the first one cannot do what the
/// word says; the others it may lack, since they are of some architectures or of some years.
#[derive(Debug)]
pub struct Choice {
    /// The word.
    pub name: &'static str,
    /// The modules.
    pub modules: &'static [&'static str],
}

const fn choice(name: &'static str, modules: &'static [&'static str]) -> Choice {
    Choice { name, modules }
}

/// Where the disk may be.
pub const MACHINES: &[Choice] = &[
    // QEMU, GCP, Hetzner, OCI, Alibaba and most others; Firecracker and QEMU's microvm have the bus without PCI.
    choice("virtio", &["virtio_blk", "virtio_scsi", "virtio_pci", "virtio_mmio", "sd_mod"]),
    // /dev/vda alone: Alibaba, Vultr, most of QEMU. All of SCSI stays away.
    choice("virtio-blk", &["virtio_blk", "virtio_pci", "virtio_mmio"]),
    // /dev/sda behind it: GCP, Hetzner, OCI, Proxmox.
    choice("virtio-scsi", &["virtio_scsi", "virtio_pci", "virtio_mmio", "sd_mod"]),
    // AWS Nitro, newer Azure and GCP machines, bare metal.
    choice("nvme", &["nvme"]),
    // AWS before Nitro, XCP-ng: /dev/xvda.
    choice("xen", &["xen-blkfront"]),
    // Azure, Hyper-V; Azure's NVMe disks are behind its own PCI bus, and want "nvme" too.
    choice("hyperv", &["hv_storvsc", "hv_vmbus", "pci-hyperv", "sd_mod"]),
    // VMware's own controller, and its older default.
    choice("vmware", &["vmw_pvscsi", "mptspi", "sd_mod"]),
    // External drives, boot sticks: host controllers, bulk-only transport, UASP.
    choice("usb", &["usb-storage", "uas", "xhci-pci", "ehci-pci", "ohci-pci", "uhci-hcd", "xhci-plat-hcd", "sd_mod"]),
    // RAID controllers and host bus adapters of servers that are still in use; NVMe behind Intel's VMD. Controllers that
    // are rarer (aic7xxx, isci, mvsas, pm80xx) would add 2 MB to unpack in each boot: `--module` adds them, and a root that
    // needs one is reported when the image is built and when it is not found.
    choice(
        "raid",
        &[
            "megaraid_sas",
            "mpt3sas",
            "mpi3mr",
            "mptsas",
            "hpsa",
            "smartpqi",
            "aacraid",
            "arcmsr",
            "3w-9xxx",
            "3w-sas",
            "3w-xxxx",
            "sym53c8xx",
            "am53c974",
            "vmd",
            "sd_mod",
        ],
    ),
    // QEMU's q35, bare metal.
    choice("sata", &["ahci", "sd_mod"]),
    // QEMU's default machine, VirtualBox; controllers that no other driver knows.
    choice("ide", &["ata_piix", "ata_generic", "sd_mod"]),
    // Bare metal: eMMC and SD cards on PCI, and those that ACPI describes.
    choice("mmc", &["mmc_block", "sdhci-pci", "sdhci-acpi"]),
];

/// How the machine reaches a server, from which an image is to come. DHCP needs packets of our own making.
pub const NETWORKS: &[Choice] = &[
    // QEMU, and most clouds.
    choice("virtio", &["virtio_net", "virtio_pci", "virtio_mmio", "af_packet"]),
    // AWS Nitro.
    choice("ena", &["ena", "af_packet"]),
    // GCP's newer machines.
    choice("gve", &["gve", "af_packet"]),
    // Azure, Hyper-V.
    choice("hyperv", &["hv_netvsc", "hv_vmbus", "af_packet"]),
    // AWS before Nitro, XCP-ng.
    choice("xen", &["xen-netfront", "af_packet"]),
    choice("vmware", &["vmxnet3", "af_packet"]),
    // QEMU's default machine, VirtualBox, much of bare metal.
    choice("intel", &["e1000", "e1000e", "igb", "ixgbe", "af_packet"]),
];

/// What the root may be. What its driver requests while it mounts goes in with it
/// ([`crate::filesystem::requested_by`]).
pub const FILESYSTEMS: &[Choice] = &[choice("ext4", &["ext4"]), choice("xfs", &["xfs"]), choice("btrfs", &["btrfs"])];

impl Recipe {
    /// Asks for the rows of `table` that `words` names, separated by commas. `all` stands for those that the kernel has,
    /// `none` for nothing; what a row is first of all about must be there when the row is named.
    ///
    /// # Errors
    /// `Usage` for any other word.
    pub fn choose(&mut self, table: &'static [Choice], words: &str) -> Result<()> {
        for word in words.split(',') {
            match table.iter().find(|row| row.name == word) {
                Some(row) => {
                    self.modules.extend(row.modules.first().map(|module| String::from(*module)));
                    self.drivers.extend(row.modules);
                }
                None if word == "all" => self.drivers.extend(table.iter().flat_map(|row| row.modules)),
                None if word == "none" => {}
                None => return Err(Error::usage("choose drivers", choices(table)).to(word)),
            }
        }
        Ok(())
    }
}

/// What may be chosen.
fn choices(table: &[Choice]) -> String {
    let names: String = table.iter().flat_map(|row| [row.name, ", "]).collect();
    format!("the choice is {names}all or none; several with commas between them")
}

//! The modules that a stand-alone initramfs has unless told more: what stands between a cloud's or QEMU's machine and
//! its root filesystem. Names or aliases; what a kernel does not have, or has built in, is left out.

/// A module, and on which machines it is needed.
pub(super) const DEFAULT: &[(&str, &str)] = &[
    ("virtio_pci", "QEMU, GCP, Hetzner, OCI and most others: the bus of all virtio disks"),
    ("virtio_mmio", "Firecracker and QEMU's microvm: the same bus without PCI"),
    ("virtio_blk", "QEMU, Alibaba, Vultr: /dev/vda"),
    ("virtio_scsi", "GCP, Hetzner, OCI, Proxmox: /dev/sda behind virtio"),
    ("nvme", "AWS Nitro, newer Azure and GCP machines, bare metal"),
    ("xen-blkfront", "AWS before Nitro, XCP-ng: /dev/xvda"),
    ("hv_vmbus", "Azure, Hyper-V: the bus of everything"),
    ("hv_storvsc", "Azure, Hyper-V: /dev/sda"),
    ("pci-hyperv", "Azure: the bus of its NVMe disks"),
    ("vmw_pvscsi", "VMware: /dev/sda"),
    ("mptspi", "VMware's older default: /dev/sda"),
    ("ahci", "QEMU's q35, bare metal: SATA disks"),
    ("ata_piix", "QEMU's default machine, VirtualBox: IDE disks"),
    ("ata_generic", "IDE controllers that no other driver knows"),
    ("sd_mod", "disks behind every SCSI and SATA driver above"),
    ("sdhci-pci", "bare metal: eMMC and SD cards on PCI"),
    ("sdhci-acpi", "bare metal: eMMC and SD cards that ACPI describes"),
    ("mmc_block", "disks on eMMC and SD cards: /dev/mmcblk0"),
    ("ext4", "root filesystem"),
    ("xfs", "root filesystem"),
    ("btrfs", "root filesystem"),
    ("crc32c", "checksums of all three, which older kernels load only on demand, by a modprobe that is not there"),
];

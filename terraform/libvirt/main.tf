# The same on one's own machine: a domain whose root volume becomes another system. For trying a context before it costs.

terraform {
  # A validation here looks at two variables.
  required_version = ">= 1.9"
  required_providers {
    libvirt = {
      source  = "dmacvicar/libvirt"
      version = "~> 0.8.0"
    }
  }
}

locals {
  volumes = var.context == null ? 0 : 1
  gib     = 1024 * 1024 * 1024

  # Names that the disks keep, whichever is found first: registered ones (5) of what QEMU gives to its own machines (525400).
  root_wwn   = "5525400000000001"
  volume_wwn = "5525400000000002"
}

module "cloud_init" {
  source = "../cloud-init"

  name          = var.name
  image         = var.image
  image_sha256  = var.image_sha256
  context       = var.context
  volume_dev    = local.volumes == 0 ? null : "/dev/disk/by-id/wwn-0x${local.volume_wwn}"
  root_dev      = "/dev/disk/by-id/wwn-0x${local.root_wwn}"
  after         = var.after
  wisp_url      = var.wisp_url
  wisp_sha256   = var.wisp_sha256
  user          = var.user
  ssh_key       = var.ssh_key
  hashed_passwd = var.hashed_passwd
  # A volume of its own, which takes megabytes.
  user_data_limit = 1048576
}

resource "libvirt_volume" "helper" {
  name   = "${var.name}-helper.qcow2"
  pool   = var.pool
  source = var.helper_image
}

resource "libvirt_volume" "root" {
  name           = "${var.name}.qcow2"
  pool           = var.pool
  base_volume_id = libvirt_volume.helper.id
  size           = var.root_size * local.gib
}

resource "libvirt_volume" "target" {
  count = local.volumes
  name  = "${var.name}-target.qcow2"
  pool  = var.pool
  size  = var.volume_size * local.gib
}

resource "libvirt_cloudinit_disk" "seed" {
  name      = "${var.name}-seed.iso"
  pool      = var.pool
  user_data = module.cloud_init.cloud_init
  meta_data = yamlencode({ "instance-id" = var.name, "local-hostname" = var.name })
}

resource "libvirt_domain" "helper" {
  name      = var.name
  memory    = var.memory
  vcpu      = 2
  cloudinit = libvirt_cloudinit_disk.seed.id

  cpu {
    mode = "host-passthrough"
  }

  disk {
    volume_id = libvirt_volume.root.id
    scsi      = true
    wwn       = local.root_wwn
  }

  dynamic "disk" {
    for_each = libvirt_volume.target
    content {
      volume_id = disk.value.id
      scsi      = true
      wwn       = local.volume_wwn
    }
  }

  network_interface {
    network_name = var.network
  }

  # `virsh console NAME` shows what is done, and what went wrong.
  console {
    type        = "pty"
    target_type = "serial"
    target_port = "0"
  }

  lifecycle {
    # A domain that is off has done its work; no later apply starts it again.
    ignore_changes = [running]
  }
}

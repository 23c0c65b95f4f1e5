# A snapshot of any system, at a cloud that takes no images: a server becomes that system, powers off, and is photographed.
# The token is where the provider looks for it, in HCLOUD_TOKEN, and nowhere else.

terraform {
  required_version = ">= 1.5"
  required_providers {
    hcloud = {
      source  = "hetznercloud/hcloud"
      version = "~> 1.50"
    }
  }
}

locals {
  # A volume only for what a container installs.
  helpers = var.helper ? 1 : 0
  volumes = var.helper && var.context != null ? 1 : 0
  labels  = { wisp-image = var.name }
}

module "cloud_init" {
  source = "../cloud-init"
  count  = local.helpers

  name         = var.name
  image        = var.image
  image_sha256 = var.image_sha256
  context      = var.context
  # Its name has the volume's number in it, so the volume is there first; the server waits until it is attached.
  volume_dev      = one(hcloud_volume.target[*].linux_device)
  wisp_url        = var.wisp_url
  wisp_sha256     = var.wisp_sha256
  user            = var.user
  ssh_key         = var.ssh_key
  hashed_passwd   = var.hashed_passwd
  user_data_limit = 32768
}

resource "hcloud_volume" "target" {
  count    = local.volumes
  name     = var.name
  size     = var.volume_size
  location = var.location
  labels   = local.labels
}

resource "hcloud_server" "helper" {
  count       = local.helpers
  name        = var.name
  server_type = var.server_type
  location    = var.location
  image       = var.helper_image
  ssh_keys    = var.ssh_keys
  user_data   = module.cloud_init[0].cloud_init
  labels      = local.labels
}

resource "hcloud_volume_attachment" "target" {
  count     = local.volumes
  volume_id = hcloud_volume.target[0].id
  server_id = hcloud_server.helper[0].id
  # A volume that the server mounts is one that the container cannot have.
  automount = false
}

# The snapshot is no resource, so that it outlives the server that it is of.
resource "terraform_data" "snapshot" {
  count            = local.helpers
  triggers_replace = [hcloud_server.helper[0].id]
  depends_on       = [hcloud_volume_attachment.target]

  provisioner "local-exec" {
    command = "${path.module}/snapshot"
    environment = {
      SERVER   = hcloud_server.helper[0].id
      NAME     = var.name
      DEADLINE = var.snapshot_deadline
    }
  }
}

data "hcloud_image" "snapshot" {
  with_selector = "wisp-image=${var.name}"
  most_recent   = true
  depends_on    = [terraform_data.snapshot]
}

# Debian by its container, on this machine: virsh console debian shows how it goes.

terraform {
  required_providers {
    libvirt = {
      source = "dmacvicar/libvirt"
    }
  }
}

provider "libvirt" {
  uri = "qemu:///system"
}

variable "helper_image" {
  description = "URL or file of a cloud image of Fedora"
  type        = string
}

variable "wisp_url" {
  description = "URL of build/wisp"
  type        = string
}

module "debian" {
  source = "../../libvirt"

  name         = "debian"
  helper_image = var.helper_image
  context      = "debian"
  wisp_url     = var.wisp_url
  wisp_sha256  = filesha256("${path.module}/../../../build/wisp")
}

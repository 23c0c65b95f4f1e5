# The domain and its volumes, with a provider that is played: tests/terraform/provider runs this.

mock_provider "libvirt" {}

variables {
  name         = "leap"
  helper_image = "https://images.example/helper.qcow2"
  wisp_url     = "https://images.example/wisp"
  wisp_sha256  = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
}

run "an_image_needs_no_volume" {
  variables {
    image        = "https://images.example/leap.qcow2"
    image_sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  }
  assert {
    condition     = length(libvirt_domain.helper.disk) == 1 && libvirt_domain.helper.disk[0].volume_id == libvirt_volume.root.id
    error_message = "The domain has another disk."
  }
}

run "a_context_is_installed_onto_a_volume" {
  variables {
    context = "debian"
  }
  assert {
    condition     = [for disk in libvirt_domain.helper.disk : disk.volume_id] == [libvirt_volume.root.id, libvirt_volume.target[0].id]
    error_message = "The domain has other disks."
  }
  # By the names that udev makes of the WWNs that the disks have.
  assert {
    condition = yamldecode(libvirt_cloudinit_disk.seed.user_data).write_files[1].content == base64gzip(join("", [
      "AFTER='poweroff'\nCONTEXT='/usr/local/lib/wisp-image/context'\nNAME='leap'\n",
      "TARGET='/dev/disk/by-id/wwn-0x${libvirt_domain.helper.disk[0].wwn}'\n",
      "VOLUME='/dev/disk/by-id/wwn-0x${libvirt_domain.helper.disk[1].wwn}'\nVOLUME_WAIT='300'\n",
      "WISP_SHA256='${var.wisp_sha256}'\nWISP_URL='${var.wisp_url}'\n",
    ]))
    error_message = "The settings are others."
  }
  assert {
    condition     = libvirt_domain.helper.cloudinit == libvirt_cloudinit_disk.seed.id
    error_message = "The domain has no seed with its cloud-config."
  }
}

run "a_volume_that_would_not_fit" {
  command = plan
  variables {
    context     = "debian"
    volume_size = 11
  }
  expect_failures = [var.volume_size]
}

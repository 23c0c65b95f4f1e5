# The machine, its volume and the snapshot, with a provider that is played: tests/terraform/provider runs this. The script
# that makes the snapshot is run for real, against the cloud that HCLOUD_ENDPOINT names.

mock_provider "hcloud" {
  mock_resource "hcloud_volume" {
    defaults = {
      id           = "1"
      linux_device = "/dev/disk/by-id/scsi-0HC_Volume_1"
    }
  }
  mock_resource "hcloud_server" {
    defaults = {
      id           = "42"
      ipv4_address = "192.0.2.1"
    }
  }
  mock_data "hcloud_image" {
    defaults = {
      id = 7
    }
  }
}

variables {
  name        = "leap"
  wisp_url    = "https://images.example/wisp"
  wisp_sha256 = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
}

run "an_image_needs_no_volume" {
  command = plan
  variables {
    image        = "https://images.example/leap.qcow2"
    image_sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  }
  assert {
    condition     = length(hcloud_server.helper) == 1 && length(hcloud_volume.target) + length(hcloud_volume_attachment.target) == 0
    error_message = "There is a volume."
  }
}

run "a_context_is_installed_onto_a_volume" {
  variables {
    context = "debian"
  }
  assert {
    condition = yamldecode(hcloud_server.helper[0].user_data).write_files[1].content == base64gzip(join("", [
      "AFTER='poweroff'\nCONTEXT='/usr/local/lib/wisp-image/context'\nNAME='leap'\n",
      "VOLUME='/dev/disk/by-id/scsi-0HC_Volume_1'\nVOLUME_WAIT='300'\n",
      "WISP_SHA256='${var.wisp_sha256}'\nWISP_URL='${var.wisp_url}'\n",
    ]))
    error_message = "The settings are others."
  }
  assert {
    condition     = hcloud_volume_attachment.target[0].server_id == 42 && hcloud_volume_attachment.target[0].volume_id == 1 && !hcloud_volume_attachment.target[0].automount
    error_message = "The volume is not at the machine, or the machine mounts it."
  }
  assert {
    condition     = data.hcloud_image.snapshot.with_selector == "wisp-image=leap" && output.image_id == 7
    error_message = "The snapshot is another."
  }
}

run "the_machine_goes_and_the_snapshot_stays" {
  variables {
    context = "debian"
    helper  = false
  }
  assert {
    condition     = length(hcloud_server.helper) + length(hcloud_volume.target) + length(terraform_data.snapshot) == 0 && output.image_id == 7
    error_message = "Something of the machine is left, or the snapshot is gone."
  }
}

run "a_volume_that_cannot_be_had" {
  command = plan
  variables {
    context     = "debian"
    volume_size = 5
  }
  expect_failures = [var.volume_size]
}

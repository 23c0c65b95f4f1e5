# The shorter path: an image from its URL. `terraform test` in terraform/cloud-init.

variables {
  name         = "leap-15.6"
  image        = "https://images.example/leap.qcow2?token=a%20b&x=1"
  image_sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  wisp_url     = "https://images.example/wisp"
  wisp_sha256  = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
}

run "an_image_needs_kexec_and_nothing_else" {
  command = plan
  assert {
    condition     = yamldecode(output.cloud_init).packages == ["kexec-tools"]
    error_message = "The packages are others."
  }
  assert {
    condition     = startswith(output.cloud_init, "#cloud-config\n")
    error_message = "cloud-init would not know what this is."
  }
  assert {
    condition     = !contains(keys(yamldecode(output.cloud_init)), "users")
    error_message = "Nobody was asked for."
  }
  assert {
    condition     = alltrue([for file in yamldecode(output.cloud_init).write_files : !startswith(file.path, "/usr/local/lib/wisp-image/context")])
    error_message = "There is a context."
  }
}

run "the_settings_are_what_the_script_takes" {
  command = plan
  assert {
    condition     = strcontains(local.settings, "IMAGE='https://images.example/leap.qcow2?token=a%20b&x=1'\n")
    error_message = "The URL is another."
  }
  assert {
    condition     = strcontains(local.settings, "AFTER='poweroff'\n")
    error_message = "It does not power off."
  }
  assert {
    condition     = !strcontains(local.settings, "CONTEXT") && !strcontains(local.settings, "TARGET")
    error_message = "There are settings that nobody gave."
  }
}

run "nothing_is_open_to_others" {
  command = plan
  variables {
    user          = "looker"
    hashed_passwd = "$6$salt$hash"
  }
  assert {
    condition     = alltrue([for file in yamldecode(output.cloud_init).write_files : endswith(file.permissions, "00") || file.path == "/etc/systemd/system/wisp-image.service"])
    error_message = "A file is readable by others."
  }
  assert {
    condition     = issensitive(output.cloud_init) && !issensitive(output.cloud_init_size)
    error_message = "The cloud-config is sensitive, and its size is not."
  }
  assert {
    condition     = alltrue([for user in yamldecode(output.cloud_init).users : user == "default" || try(user.hashed_passwd == "$6$salt$hash" && user.lock_passwd == false, false)])
    error_message = "The password is of no use."
  }
}

run "a_user_has_a_key" {
  command = plan
  variables {
    user    = "looker"
    ssh_key = "ssh-ed25519 AAAA looker"
  }
  assert {
    condition     = yamldecode(output.cloud_init).users[1].ssh_authorized_keys == ["ssh-ed25519 AAAA looker"]
    error_message = "The key is not there."
  }
}

run "applied_once" {}

run "applied_again_it_is_the_same" {
  assert {
    condition     = output.cloud_init == run.applied_once.cloud_init
    error_message = "The same variables gave other bytes: the machine would be replaced."
  }
  assert {
    condition     = output.cloud_init_size == length(output.cloud_init)
    error_message = "The size is another."
  }
}

run "letters_of_more_than_one_byte_count_as_bytes" {
  variables {
    user    = "looker"
    ssh_key = "ssh-ed25519 AAAA Zoë"
  }
  assert {
    condition     = output.cloud_init_size == length(output.cloud_init) + 1
    error_message = "The size is another."
  }
}

run "a_cloud_that_takes_less" {
  command = plan
  variables {
    user_data_limit = 1024
  }
  expect_failures = [output.cloud_init]
}

run "an_image_without_a_digest" {
  command = plan
  variables {
    image_sha256 = null
  }
  expect_failures = [output.cloud_init]
}

run "a_digest_without_an_image" {
  command = plan
  variables {
    image      = null
    context    = "debian"
    volume_dev = "/dev/disk/by-id/scsi-0HC_Volume_1"
  }
  expect_failures = [output.cloud_init]
}

run "neither_image_nor_context" {
  command = plan
  variables {
    image        = null
    image_sha256 = null
  }
  expect_failures = [output.cloud_init]
}

run "both_image_and_context" {
  command = plan
  variables {
    context    = "debian"
    volume_dev = "/dev/disk/by-id/scsi-0HC_Volume_1"
  }
  expect_failures = [output.cloud_init]
}

run "a_volume_for_nothing" {
  command = plan
  variables {
    volume_dev = "/dev/disk/by-id/scsi-0HC_Volume_1"
  }
  expect_failures = [output.cloud_init]
}

run "a_key_of_nobody" {
  command = plan
  variables {
    ssh_key = "ssh-ed25519 AAAA"
  }
  expect_failures = [output.cloud_init]
}

run "values_that_cannot_be_meant" {
  command = plan
  variables {
    name          = "Leap 15"
    image         = "https://images.example/a'; reboot"
    image_sha256  = "0123"
    root_dev      = "/dev/sda"
    after         = "dance"
    wisp_url      = "ftp://images.example/wisp"
    wisp_sha256   = "FEDC"
    volume_wait   = 0
    deadline      = 1.5
    user          = "root; reboot"
    ssh_key       = "my key"
    hashed_passwd = "secret"
  }
  expect_failures = [
    var.name, var.image, var.image_sha256, var.root_dev, var.after, var.wisp_url, var.wisp_sha256, var.volume_wait,
    var.deadline, var.user, var.ssh_key, var.hashed_passwd,
  ]
}

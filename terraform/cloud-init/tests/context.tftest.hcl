# The path by a container, which installs a system onto a second disk. `terraform test` in terraform/cloud-init.

variables {
  name        = "own"
  context     = "./tests/context"
  volume_dev  = "/dev/disk/by-id/scsi-0HC_Volume_1"
  wisp_url    = "file:///usr/bin/wisp"
  wisp_sha256 = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
}

run "a_container_needs_podman_too" {
  command = plan
  assert {
    condition     = yamldecode(output.cloud_init).packages == ["kexec-tools", "podman"]
    error_message = "The packages are others."
  }
  assert {
    condition = strcontains(local.settings, "VOLUME='/dev/disk/by-id/scsi-0HC_Volume_1'\n") && strcontains(
      local.settings, "CONTEXT='/usr/local/lib/wisp-image/context'\n"
    )
    error_message = "The settings are others."
  }
}

run "files_come_as_they_are_in_folders_too" {
  command = plan
  assert {
    condition = { for file in local.context_files : file.path => "${file.permissions} ${file.encoding}" } == {
      "/usr/local/lib/wisp-image/context/Containerfile"    = "0600 gz+b64"
      "/usr/local/lib/wisp-image/context/files/install.sh" = "0700 gz+b64"
      "/usr/local/lib/wisp-image/context/files/logo.bin"   = "0600 b64"
    }
    error_message = "The files are others."
  }
  assert {
    condition     = [for file in local.context_files : file.content if endswith(file.path, "logo.bin")] == ["//4AAQ=="]
    error_message = "What is not text changed on its way."
  }
}

run "a_context_by_name" {
  command = plan
  variables {
    context = "debian"
  }
  assert {
    condition     = length(local.context_files) == 2
    error_message = "It is not the one that comes with the module."
  }
}

run "no_such_context" {
  command = plan
  variables {
    context = "./tests"
  }
  expect_failures = [output.cloud_init]
}

run "no_volume" {
  command = plan
  variables {
    volume_dev = null
  }
  expect_failures = [output.cloud_init]
}

run "a_volume_by_its_turn" {
  command = plan
  variables {
    volume_dev = "/dev/sdb"
  }
  expect_failures = [var.volume_dev]
}

run "applied_once" {}

run "applied_again_it_is_the_same" {
  assert {
    condition     = output.cloud_init == run.applied_once.cloud_init
    error_message = "The same variables gave other bytes: the machine would be replaced."
  }
}

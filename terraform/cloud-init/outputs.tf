output "cloud_init" {
  description = "The cloud-config, for the user-data of a helper machine whose distribution has systemd, cloud-init and kexec."
  value       = local.cloud_init
  sensitive   = true

  precondition {
    condition     = (var.image == null) != (var.context == null)
    error_message = "What is to be written: give either an image or a context."
  }
  precondition {
    condition     = (var.image == null) == (var.image_sha256 == null)
    error_message = "An image and its image_sha256 go together: nothing is written that nobody vouches for."
  }
  precondition {
    condition     = (var.context == null) == (var.volume_dev == null)
    error_message = "A context needs volume_dev, the disk that its container installs onto; an image needs none."
  }
  precondition {
    condition     = var.context == null || contains(local.files, "Containerfile")
    error_message = "There is no Containerfile in ${coalesce(var.context, "the context")}, and no context of that name comes with this module."
  }
  precondition {
    condition     = var.user != null || (var.ssh_key == null && var.hashed_passwd == null)
    error_message = "An ssh_key or a hashed_passwd needs a user whose it is."
  }
  precondition {
    condition     = local.size <= var.user_data_limit
    error_message = "The cloud-config has ${nonsensitive(local.size)} bytes, and the cloud takes ${var.user_data_limit}: let the Containerfile fetch what is large."
  }
}

output "cloud_init_size" {
  description = "Bytes of it."
  value       = nonsensitive(local.size)
}

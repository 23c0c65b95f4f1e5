variable "name" {
  description = "What the domain and its volumes are called."
  type        = string
}

variable "helper_image" {
  description = "URL or file of what the helper machine runs first: the qcow2 of a distribution with systemd, cloud-init and kexec, such as Fedora Cloud Base."
  type        = string
}

variable "pool" {
  description = "Storage pool of the volumes."
  type        = string
  default     = "default"
}

variable "network" {
  description = "Network of the domain; it needs DHCP."
  type        = string
  default     = "default"
}

variable "memory" {
  description = "MiB of the domain."
  type        = number
  default     = 4096
}

variable "root_size" {
  description = "GiB of the root disk, which becomes the image."
  type        = number
  default     = 10
}

variable "volume_size" {
  description = "GiB of the volume that a container installs onto."
  type        = number
  default     = 10
  validation {
    condition     = var.volume_size <= var.root_size
    error_message = "What is on the volume must fit onto the root disk."
  }
}

# The rest is as in ../cloud-init.

variable "image" {
  description = "URL of the image."
  type        = string
  default     = null
}

variable "image_sha256" {
  description = "SHA-256 of the image."
  type        = string
  default     = null
}

variable "context" {
  description = "Instead of an image: directory with a Containerfile, or the name of one in ../cloud-init/contexts."
  type        = string
  default     = null
}

variable "after" {
  description = "poweroff or reboot."
  type        = string
  default     = "poweroff"
}

variable "wisp_url" {
  description = "Where the helper machine gets the static wisp program from."
  type        = string
}

variable "wisp_sha256" {
  description = "SHA-256 of that program."
  type        = string
}

variable "user" {
  description = "An account on the helper machine."
  type        = string
  default     = null
}

variable "ssh_key" {
  description = "The public SSH key that is let in as `user`."
  type        = string
  default     = null
}

variable "hashed_passwd" {
  description = "The password of `user`, hashed."
  type        = string
  default     = null
  sensitive   = true
}

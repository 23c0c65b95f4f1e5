variable "name" {
  description = "What the snapshot is called (its description, and its label `wisp-image`), and the helper machine and volume while they are there."
  type        = string
}

variable "helper" {
  description = "Whether the helper machine and its volume are to be there. Set to false when the snapshot is made: they go, the snapshot stays."
  type        = bool
  default     = true
}

variable "server_type" {
  description = "The helper machine, and the smallest one that can be made of the snapshot: a snapshot needs a disk of this size."
  type        = string
  default     = "cx23"
}

variable "location" {
  description = "Where both are."
  type        = string
  default     = "nbg1"
}

variable "helper_image" {
  description = "What the helper machine runs first: a distribution with systemd, cloud-init and kexec."
  type        = string
  default     = "fedora-43"
}

variable "ssh_keys" {
  description = "Names of keys in the project for the helper machine's root. Without one Hetzner mails a password."
  type        = list(string)
  default     = []
}

variable "volume_size" {
  description = "GB of the volume that a container installs onto, which must not be larger than the server's disk."
  type        = number
  default     = 10
  validation {
    condition     = var.volume_size >= 10
    error_message = "Volumes of Hetzner have 10 GB or more."
  }
}

variable "snapshot_deadline" {
  description = "Seconds from the start of the helper machine until it must be off, and again for the snapshot."
  type        = number
  default     = 5400
  validation {
    condition     = var.snapshot_deadline >= 60 && var.snapshot_deadline <= 86400 && floor(var.snapshot_deadline) == var.snapshot_deadline
    error_message = "The deadline is 60 to 86400 seconds."
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

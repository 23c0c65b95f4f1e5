# What is to be written.

variable "name" {
  description = "What the image is called: in messages, and by the modules that make machines and snapshots of it."
  type        = string
  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$", var.name))
    error_message = "The name has 1 to 63 of a-z, 0-9, dots and dashes, with a letter or digit at both ends."
  }
}

variable "image" {
  description = "URL of the image, as wisp takes it: raw, a fixed VHD or a tar with a raw disk, compressed or not; or qcow2, uncompressed, from a server that has ranges. Or none: then `context`."
  type        = string
  default     = null
  validation {
    condition     = var.image == null || can(regex("^https?://[^[:space:]\"'\\\\]+$", var.image))
    error_message = "The image is an http:// or https:// URL without spaces, quotes and backslashes."
  }
}

variable "image_sha256" {
  description = "SHA-256 of the image as it comes from its server. Without it no image is written."
  type        = string
  default     = null
  validation {
    condition     = var.image_sha256 == null || can(regex("^[0-9a-f]{64}$", var.image_sha256))
    error_message = "A SHA-256 has 64 digits of 0-9 and a-f."
  }
}

variable "context" {
  description = "Directory with a Containerfile and what it copies, or the name of one in contexts/. Its container installs a system onto `volume_dev`."
  type        = string
  default     = null
}

# Where it goes.

variable "volume_dev" {
  description = "The second disk of the helper machine, for a context only, by a name that does not depend on which disk was found first: /dev/disk/by-id/..."
  type        = string
  default     = null
  validation {
    condition     = var.volume_dev == null || can(regex("^/dev/disk/by-[a-z]+/[A-Za-z0-9_.:+-]+$", var.volume_dev))
    error_message = "The volume is a name in /dev/disk/by-id/ or its like: /dev/sdb may be another disk in the next boot."
  }
}

variable "root_dev" {
  description = "The disk that is overwritten, by a name in /dev/disk/; without it, the one that holds the helper machine's own root."
  type        = string
  default     = null
  validation {
    condition     = var.root_dev == null || can(regex("^/dev/disk/by-[a-z]+/[A-Za-z0-9_.:+-]+$", var.root_dev))
    error_message = "The root disk is a name in /dev/disk/by-id/ or its like: /dev/sda may be another disk in the next boot."
  }
}

variable "after" {
  description = "What the machine does when all is written and checked: poweroff, by which others see that it is done, or reboot, into the new system."
  type        = string
  default     = "poweroff"
  validation {
    condition     = contains(["poweroff", "reboot"], var.after)
    error_message = "After writing, a machine can do poweroff or reboot."
  }
}

# What does it.

variable "wisp_url" {
  description = "Where the helper machine gets the static wisp program from: https://, http://, or file:// for one that its image has."
  type        = string
  validation {
    condition     = can(regex("^(https?|file)://[^[:space:]\"'\\\\]+$", var.wisp_url))
    error_message = "The program is an https://, http:// or file:// URL without spaces, quotes and backslashes."
  }
}

variable "wisp_sha256" {
  description = "SHA-256 of that program."
  type        = string
  validation {
    condition     = can(regex("^[0-9a-f]{64}$", var.wisp_sha256))
    error_message = "A SHA-256 has 64 digits of 0-9 and a-f."
  }
}

variable "packages" {
  description = "What the helper machine's distribution calls kexec, and podman (installed for a context only)."
  type        = object({ kexec = string, podman = string })
  default     = { kexec = "kexec-tools", podman = "podman" }
}

variable "volume_wait" {
  description = "Seconds that the helper machine waits for the volume to be attached."
  type        = number
  default     = 300
  validation {
    condition     = var.volume_wait >= 1 && var.volume_wait <= 3600 && floor(var.volume_wait) == var.volume_wait
    error_message = "Waiting for the volume takes 1 to 3600 seconds."
  }
}

variable "deadline" {
  description = "Seconds for everything that the helper machine does before it writes: fetching, building and running the container."
  type        = number
  default     = 3600
  validation {
    condition     = var.deadline >= 60 && var.deadline <= 86400 && floor(var.deadline) == var.deadline
    error_message = "The helper machine gets 60 to 86400 seconds."
  }
}

# Who may look at it meanwhile.

variable "user" {
  description = "An account on the helper machine, with sudo, for looking at what went wrong."
  type        = string
  default     = null
  validation {
    condition     = var.user == null || can(regex("^[a-z_][a-z0-9_-]{0,31}$", var.user))
    error_message = "A user's name has up to 32 of a-z, 0-9, _ and -, and begins with a letter or _."
  }
}

variable "ssh_key" {
  description = "The public SSH key that is let in as `user`."
  type        = string
  default     = null
  validation {
    condition     = var.ssh_key == null || can(regex("^(ssh|ecdsa|sk-ssh|sk-ecdsa)-[^\\n]+$", var.ssh_key))
    error_message = "An SSH key is one line, as in a .pub file."
  }
}

variable "hashed_passwd" {
  description = "The password of `user` on the console, hashed by you once (`mkpasswd`): a hash made here would be another one in each plan."
  type        = string
  default     = null
  sensitive   = true
  validation {
    condition     = var.hashed_passwd == null || can(regex("^\\$[0-9a-z]+\\$[A-Za-z0-9./$=,-]+$", var.hashed_passwd))
    error_message = "A hashed password begins with $6$, $y$ or the like: what mkpasswd prints, not the password."
  }
}

variable "user_data_limit" {
  description = "Bytes of user-data that the cloud takes."
  type        = number
  default     = 32768
}

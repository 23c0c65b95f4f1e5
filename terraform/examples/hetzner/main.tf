# A snapshot at Hetzner, straight from an image: terraform apply, then terraform apply -var helper=false.

variable "helper" {
  description = "false when the snapshot is there"
  type        = bool
  default     = true
}

variable "image" {
  description = "URL of the image"
  type        = string
}

variable "image_sha256" {
  description = "its SHA-256"
  type        = string
}

variable "wisp_url" {
  description = "URL of build/wisp"
  type        = string
}

module "snapshot" {
  source = "../../hetzner"

  name         = "own-system"
  helper       = var.helper
  image        = var.image
  image_sha256 = var.image_sha256
  wisp_url     = var.wisp_url
  wisp_sha256  = filesha256("${path.module}/../../../build/wisp")
}

output "image_id" {
  description = "Number of the snapshot"
  value       = module.snapshot.image_id
}

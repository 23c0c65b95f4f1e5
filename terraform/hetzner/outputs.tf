output "image_id" {
  description = "Number of the snapshot, for `image` of a hcloud_server."
  value       = data.hcloud_image.snapshot.id
}

output "helper_ipv4" {
  description = "Address of the helper machine, if it is there."
  value       = one(hcloud_server.helper[*].ipv4_address)
}

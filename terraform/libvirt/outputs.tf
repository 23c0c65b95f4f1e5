output "root_volume" {
  description = "The volume that becomes the image. `virsh domstate NAME` says \"shut off\" when it is whole."
  value       = libvirt_volume.root.id
}

output "domain" {
  description = "The domain, for `virsh console`."
  value       = libvirt_domain.helper.name
}

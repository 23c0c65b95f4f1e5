# Variables in, one cloud-config out: what a helper machine does so that its root disk becomes another system. There is no
# provider here, and nothing random: the same variables give the same bytes, so that no plan replaces the machine.

terraform {
  required_version = ">= 1.5"
}

locals {
  home = "/usr/local/lib/wisp-image"

  builtin = "${path.module}/contexts/${coalesce(var.context, "none")}"
  context = var.context == null ? null : fileexists("${local.builtin}/Containerfile") ? local.builtin : var.context
  files   = local.context == null ? [] : sort(fileset(local.context, "**"))

  # For systemd's EnvironmentFile and for sh: validation leaves no character in them that either would take apart.
  settings = join("", [for name, value in {
    NAME         = var.name
    WISP_URL     = var.wisp_url
    WISP_SHA256  = var.wisp_sha256
    IMAGE        = var.image
    IMAGE_SHA256 = var.image_sha256
    CONTEXT      = local.context == null ? null : "${local.home}/context"
    VOLUME       = var.volume_dev
    VOLUME_WAIT  = var.volume_wait
    TARGET       = var.root_dev
    AFTER        = var.after
  } : "${name}='${value}'\n" if value != null])

  unit = templatefile("${path.module}/wisp-image.service.tftpl", { home = local.home, deadline = var.deadline })

  # Text shrinks; what is not text has mostly been compressed by somebody, and only base64gzip's own input must be text.
  context_files = [for name in local.files : {
    path        = "${local.home}/context/${name}"
    permissions = endswith(name, ".sh") ? "0700" : "0600"
    encoding    = can(file("${local.context}/${name}")) ? "gz+b64" : "b64"
    content     = try(base64gzip(file("${local.context}/${name}")), filebase64("${local.context}/${name}"))
  }]

  own_files = [
    { path = "/usr/local/sbin/wisp-image", permissions = "0700", encoding = "gz+b64", content = base64gzip(file("${path.module}/wisp-image")) },
    { path = "${local.home}/settings", permissions = "0600", encoding = "gz+b64", content = base64gzip(local.settings) },
    { path = "/etc/systemd/system/wisp-image.service", permissions = "0644", encoding = "gz+b64", content = base64gzip(local.unit) },
  ]

  # By a for, which leaves each value its type: of merge() and ?: lock_passwd would come as a text, which cloud-init takes for true.
  account = var.user == null ? [] : [{ for key, value in {
    name                = var.user
    gecos               = "looks after the making of an image"
    sudo                = "ALL=(ALL) NOPASSWD:ALL"
    shell               = "/bin/bash"
    ssh_authorized_keys = var.ssh_key == null ? null : [var.ssh_key]
    hashed_passwd       = var.hashed_passwd
    lock_passwd         = var.hashed_passwd == null
  } : key => value if value != null }]

  cloud_init = "#cloud-config\n${yamlencode(merge(
    length(local.account) == 0 ? {} : { users = concat(["default"], local.account) },
    {
      packages    = local.context == null ? [var.packages.kexec] : [var.packages.kexec, var.packages.podman]
      write_files = concat(local.own_files, local.context_files)
      # Once for this machine, and never at a later boot: a disk that was not written must not be tried again by accident.
      runcmd = [["systemctl", "daemon-reload"], ["systemctl", "start", "--no-block", "wisp-image.service"]]
    },
  ))}"

  # length() counts letters; what the cloud counts is bytes.
  encoded = base64encode(local.cloud_init)
  size    = length(local.encoded) / 4 * 3 - length(regexall("=", local.encoded))
}

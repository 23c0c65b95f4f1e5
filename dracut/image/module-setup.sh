#!/bin/sh
# What dracut sources, in bash, to have an image written over the disk by the initramfs that it builds, before anything of
# that disk is used: the whole program is added to it, and who calls that when.

PROGRAM=/usr/local/bin/wisp

# Where it is asked for by name only: it is 1 MB, and a word on the kernel command line would do for a disk to be lost.
check() {
    require_binaries "$PROGRAM" && return 255
}

# shellcheck disable=SC2154 # dracut's own
install() {
    inst_simple "$PROGRAM" /usr/libexec/wisp/wisp
    if dracut_module_included systemd; then
        inst_simple "$moddir/wisp-image.service" "$systemdsystemunitdir/wisp-image.service"
        $SYSTEMCTL -q --root "$initdir" add-wants initrd.target wisp-image.service
    else
        inst_hook pre-mount 05 "$moddir/wisp-image.sh"
    fi
}

#!/bin/sh
# What dracut sources, in bash, to have the root grow in the initramfs that it builds: one program is added to it, and who
# calls that when.

PROGRAM=/usr/local/libexec/wisp/wisp-initramfs

# In every image that boots this machine: a disk that is full today is made larger tomorrow, which nobody tells dracut.
# An image for something else (kdump: `dracut --mount`) has no root to grow.
# shellcheck disable=SC2154 # dracut's own
check() {
    [ -z "$mount_needs" ] && require_binaries "$PROGRAM"
}

# shellcheck disable=SC2154 # dracut's own
install() {
    inst_simple "$PROGRAM" /usr/bin/wisp
    if dracut_module_included systemd; then
        inst_simple "$moddir/wisp-grow.service" "$systemdsystemunitdir/wisp-grow.service"
        inst_simple "$moddir/wisp-restore.service" "$systemdsystemunitdir/wisp-restore.service"
        inst_simple "$moddir/wisp-restore.timer" "$systemdsystemunitdir/wisp-restore.timer"
        $SYSTEMCTL -q --root "$initdir" add-wants initrd-root-fs.target wisp-grow.service
        $SYSTEMCTL -q --root "$initdir" add-wants initrd.target wisp-restore.timer
    else
        inst_hook initqueue/settled 50 "$moddir/wisp-restore.sh"
        inst_hook pre-pivot 05 "$moddir/wisp-grow.sh"
    fi
}

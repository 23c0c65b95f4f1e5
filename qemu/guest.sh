# The guest's root tree: busybox, our init, wisp. Made of plain files, so no step needs root or a mount.

# The commands that guest/init and the scenarios' tasks use. A list, so that a missing one is noticed here.
GUEST_COMMANDS=(sh awk base64 cat chmod cp dd dmesg echo grep head id insmod ip ls mkdir mknod mount poweroff readlink
    reboot rm sed seq sleep stat switch_root sync tail test touch tr true umount uname wget)

# guest_root DIR: the tree that goes into the root filesystem. A scenario adds files to it before it makes one.
guest_root() {
    local tree=$1 name known
    # Two packages have a program of this name, and the other one wants libraries.
    ! ldd "$(command -v busybox)" >/dev/null 2>&1 || fail 'busybox is not a static program here: install busybox-static'
    known=$(busybox --list)
    mkdir -p "$tree"/{bin,sbin,usr/bin,etc,proc,sys,dev,run,tmp,mnt,var/lib}
    cp "$(command -v busybox)" "$tree/bin/busybox"
    for name in "${GUEST_COMMANDS[@]}"; do
        grep -qx "$name" <<<"$known" || fail "this busybox has no $name"
        ln -s busybox "$tree/bin/$name"
    done
    cp "$QEMU_DIR/guest/init" "$tree/sbin/init"
    cp "$BUILD/wisp" "$tree/usr/bin/wisp"
}

# guest_task <<SCRIPT: /sbin/init runs this shell script before it powers off; its lines become facts named `task`.
guest_task() {
    [ -d root ] || guest_root root
    { echo '#!/bin/sh'; cat; } >root/task
    chmod +x root/task
}

# Initramfs images as Alpine's mkinitfs makes them, of a root like Alpine's. Its packages cannot be had here; what stands for
# them is in tests/mkinitfs.

# alpine_root 'MODULE...': root/ becomes the tree of a machine like Alpine's with one kernel, of which it has these modules
# compressed, and with wisp installed as its package would do it.
alpine_root() {
    local tree=root version stands=$QEMU_DIR/../tests/mkinitfs name
    version=$(kernel_version)
    guest_root $tree
    mkdir -p $tree/{boot,root,sbin,etc/mkinitfs,usr/share/mkinitfs,usr/share/kernel/virt,lib/modules/"$version"}
    for name in $(busybox --list); do
        if [ ! -e "$tree/bin/$name" ]; then ln -s busybox "$tree/bin/$name"; fi
    done
    for name in mkinitfs nlplug-findfs; do install -m755 "$stands/$name" "$tree/sbin/$name"; done
    install -m755 "$stands/initramfs-init" $tree/usr/share/mkinitfs/initramfs-init
    cp -r "$stands/features.d" $tree/etc/mkinitfs/
    printf '# run mkinitfs -L for a list\nfeatures="base ext4 xfs virtio nvme"\ninitfscomp=gzip # small\n' >$tree/etc/mkinitfs/mkinitfs.conf
    for name in fstab passwd group; do : >"$tree/usr/share/mkinitfs/$name"; done
    echo "$version" >$tree/usr/share/kernel/virt/kernel.release
    compressed_modules "$1"
    # Nothing is mounted in it while its scripts run.
    : >$tree/dev/null
    make -s -C "$QEMU_DIR/.." install install-mkinitfs DESTDIR="$PWD/$tree" PREFIX=/usr >install.log 2>&1 ||
        fail "wisp could not be installed: see install.log"
}

# compressed_modules 'MODULE...': in root/, with all they need and the lists that Alpine's depmod would make of them.
compressed_modules() {
    local module kind path
    for module in $1; do
        modprobe -S "$(kernel_version)" -d "$(kernel_dir)" --show-depends "$module"
    done | while read -r kind path _; do
        [ "$kind" = insmod ] || continue # `builtin NAME`: nothing to copy
        path=${path#"$(kernel_dir)"}
        mkdir -p "root${path%/*}"
        gzip -c "$(kernel_dir)$path" >"root$path.gz"
    done
    cp "$(kernel_modules)"/modules.{order,builtin} "root/lib/modules/$(kernel_version)/"
    busybox depmod -b root "$(kernel_version)"
}

# in_alpine WORD...: a command line, run in root/ as its root's.
in_alpine() { unshare --map-root-user -- chroot root /bin/busybox env PATH=/usr/bin:/bin:/usr/sbin:/sbin "$@"; }

# package_script NAME: runs one of the scripts of wisp's package, as apk would.
package_script() {
    install -m755 "$QEMU_DIR/../mkinitfs/wisp-mkinitfs.$1" root/tmp/script
    in_alpine sh /tmp/script >script.log 2>&1 || fail "the package's $1 failed: see script.log"
    rm root/tmp/script
}

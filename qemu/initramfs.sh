# Initramfs images: wisp's own, and busybox ones for what wisp has to be compared with or has to work beside.

# wisp_initramfs FILE [ARGUMENT...]: the stand-alone initramfs, as a user builds it.
wisp_initramfs() {
    "$BUILD/wisp" initramfs -o "$1" --kernel "$(kernel_version)" --modules-dir "$(kernel_modules)" \
        --init "$BUILD/wisp-initramfs" "${@:2}"
}

# distribution_initramfs NAME: one that a distribution's own generator has built, for INITRAMFS; NAME is a file of initrds/.
distribution_initramfs() { "$QEMU_DIR/initrd" "$1"; }

# pack DIR FILE: newc cpio of a tree.
pack() { (cd "$1" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) >"$2"; }

# append_files BASE DIR FILE: BASE plus the files of DIR; the kernel unpacks archives that follow one another.
append_files() {
    pack "$2" "$3.tail"
    cp "$1" "$3"
    truncate -s %4 "$3" # an archive starts on a multiple of four bytes
    cat "$3.tail" >>"$3"
    rm "$3.tail"
}

# tools_initramfs FILE 'MODULE...' 'PROGRAM...' <<SCRIPT: busybox, the modules with all they need, the programs with
# their libraries. SCRIPT runs behind guest/tools-init, whose words it may use, and ends in /sysroot's init if it mounted
# one there.
tools_initramfs() {
    local file=$1 modules=$2 programs=$3 tree=tools.tree
    rm -rf "$tree"
    guest_root "$tree"
    copy_modules "$tree" "$modules"
    copy_programs "$tree" "$programs"
    { cat "$QEMU_DIR/guest/tools-init"; cat; echo 'leave'; } >"$tree/init"
    chmod +x "$tree/init"
    pack "$tree" "$file"
}

# copy_modules TREE 'MODULE...': files under /modules, and their order in /modules/order.
copy_modules() {
    local tree=$1 module kind path
    mkdir -p "$tree/modules"
    for module in $2; do
        modprobe -S "$(kernel_version)" -d "$(kernel_dir)" --show-depends "$module"
    done | while read -r kind path _; do
        [ "$kind" = insmod ] || continue # `builtin NAME`: nothing to copy
        [ ! -e "$tree/modules/${path##*/}" ] || continue
        cp "$path" "$tree/modules/"
        echo "${path##*/}"
    done >"$tree/modules/order"
}

# copy_programs TREE 'PROGRAM...': at the path they have here, with the shared libraries that the loader would take.
copy_programs() {
    local tree=$1 program path library
    for program in $2; do
        path=$(command -v "$program") || fail "no $program on this machine: see qemu/packages"
        for library in "$path" $(ldd "$path" 2>/dev/null | grep -o '/[^ ]*'); do
            mkdir -p "$tree${library%/*}"
            cp -Lu "$library" "$tree$library"
        done
    done
}

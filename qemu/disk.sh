# Disk images made by the real tools, without root, loop devices or mounts. Everything stays sparse.

SECTOR=512 # logical sector size of the scenario's disks; a scenario may set 4096

# ---- filesystems, each made of the tree root/ -----------------------------------------------------------------------

# make_ext4 FILE SIZE [MKFS-ARGUMENT...]
make_ext4() {
    local file=$1 size=$2
    [ -d root ] || guest_root root
    truncate -s "$size" "$file"
    mkfs.ext4 -q -F -d root "${@:3}" "$file"
}

# make_xfs FILE SIZE [MKFS-ARGUMENT...]
make_xfs() {
    local file=$1 size=$2
    [ -d root ] || guest_root root
    truncate -s "$size" "$file"
    { printf '/dev/null\n0 0\nd--755 0 0\n'; xfs_prototype root; echo '$'; } >root.proto
    mkfs.xfs -q -f -p root.proto "${@:3}" "$file"
}

# make_btrfs FILE SIZE [MKFS-ARGUMENT...]
make_btrfs() {
    local file=$1 size=$2
    [ -d root ] || guest_root root
    truncate -s "$size" "$file"
    mkfs.btrfs -q -f --rootdir root "${@:3}" "$file"
}

# xfs_prototype DIR: DIR's entries in mkfs.xfs's prototype language (mkfs.xfs(8), -p).
xfs_prototype() {
    local path name
    for path in "$1"/*; do
        name=${path##*/}
        if [ -L "$path" ]; then echo "$name l--777 0 0 $(readlink "$path")"
        elif [ -f "$path" ]; then echo "$name ---$(stat -c %a "$path") 0 0 $path"
        elif [ -d "$path" ]; then echo "$name d--755 0 0"; xfs_prototype "$path"; echo '$'
        fi
    done
}

# ---- disks ----------------------------------------------------------------------------------------------------------

# make_disk FILE SIZE [<<LAYOUT]: an empty disk; LAYOUT is a partition table in sfdisk's script language (sizes as
# 1MiB, 2GiB, whatever the sector size is). Without LAYOUT (standard input empty) it has no table.
make_disk() {
    local file=$1 size=$2
    truncate -s "$size" "$file"
    cat >"$file.layout"
    [ -s "$file.layout" ] || return 0
    printf 'I\n%s\nw\n' "$file.layout" | fdisk -b "$SECTOR" --wipe never "$file" >"$file.fdisk" 2>&1
    grep -q 'has been altered' "$file.fdisk" || fail "fdisk did not take the layout of $file: see $file.fdisk"
}

# place FILE DISK NUMBER: copies a filesystem image into a partition.
place() {
    qemu-img convert -n -f raw --target-image-opts "$1" "$(partition_slice "$2" "$3")"
}

# enlarge DISK SIZE: what a cloud does when an image is put on a bigger disk. Nothing inside notices.
enlarge() { truncate -s "$2" "$1"; }

# remember DISK: keeps a copy, so that later checks can tell what changed.
remember() { cp --sparse=always "$1" "$1.before"; }

# ---- looking into disks ---------------------------------------------------------------------------------------------

# table DISK: its partition table as text, one partition a line.
table() {
    rm -f "$1.dump"
    printf 'O\n%s\nq\n' "$1.dump" | fdisk -b "$SECTOR" "$1" >"$1.fdisk" 2>&1 || true
    [ -s "$1.dump" ] || fail "fdisk sees no partition table on $1: see $1.fdisk"
    # What fdisk says of the disk itself moves with the disk's size; only the partitions are of interest.
    sed -n '/^label\|^label-id/p; s/^[^ ]*[^0-9]\([0-9]\+\) : /\1: /p' "$1.dump" | tr -s ' '
}

# partition_start DISK NUMBER, partition_size DISK NUMBER: bytes. NUMBER 0 is the whole disk.
partition_start() {
    [ "$2" != 0 ] || { echo 0; return; }
    local sectors
    sectors=$(table "$1" | sed -n "s/^$2: .*start= *\([0-9]*\).*/\1/p")
    [ -n "$sectors" ] || fail "no partition $2 on $1"
    echo $((sectors * SECTOR))
}
partition_size() {
    [ "$2" != 0 ] || { stat -c %s "$1"; return; }
    local sectors
    sectors=$(table "$1" | sed -n "s/^$2: .*size= *\([0-9]*\).*/\1/p")
    [ -n "$sectors" ] || fail "no partition $2 on $1"
    echo $((sectors * SECTOR))
}
partition_end() { echo $(($(partition_start "$1" "$2") + $(partition_size "$1" "$2"))); }

# partition_guid DISK NUMBER: as udev writes it.
partition_guid() { table "$1" | sed -n "s/^$2: .*uuid=\([^, ]*\).*/\L\1/p"; }

# partition_slice DISK NUMBER: the partition in the words of QEMU's block layer.
partition_slice() {
    echo "driver=raw,offset=$(partition_start "$1" "$2"),size=$(partition_size "$1" "$2"),file.driver=file,file.filename=$1"
}

# extract DISK NUMBER FILE: copies a partition out of a disk.
extract() {
    rm -f "$3"
    qemu-img convert -O raw --image-opts "$(partition_slice "$1" "$2")" "$3"
}

# filesystem_bytes FILE: the size that the filesystem in FILE says it has, and its block size.
filesystem_bytes() {
    case $(blkid -p -s TYPE -o value "$1") in
        ext?) dumpe2fs -h "$1" 2>/dev/null | awk -F': *' '/^Block count/ { n = $2 } /^Block size/ { b = $2 } END { printf "%.0f %d\n", n * b, b }' ;;
        xfs) xfs_db -r -c 'sb 0' -c 'p dblocks' -c 'p blocksize' "$1" | awk '{ v[NR] = $3 } END { printf "%.0f %d\n", v[1] * v[2], v[2] }' ;;
        btrfs) btrfs inspect-internal dump-super "$1" | awk '$1 == "dev_item.total_bytes" { n = $2 } $1 == "sectorsize" { b = $2 } END { print n, b }' ;;
        *) fail "no filesystem known to this test in $1" ;;
    esac
}

# usual_disk DISK [ext4|xfs|btrfs]: what most scenarios start from: a GPT with one partition, a root of 512 MiB labelled
# `root`, in an image of 514 MiB that was put on a disk of 4 GiB. Ends with `remember`.
usual_disk() {
    "make_${2:-ext4}" root.img 512M -L root
    make_disk "$1" 514M <<LAYOUT
label: gpt
start=1MiB, size=512MiB, name=root
LAYOUT
    place root.img "$1" 1
    enlarge "$1" 4G
    remember "$1"
}

# system_disk DISK: the same with a whole Debian system (see systems/systemd) of 1 GiB.
system_disk() {
    LIMIT=120
    make_disk "$1" 1026M <<LAYOUT
label: gpt
start=1MiB, size=1GiB, name=root
LAYOUT
    place "$("$QEMU_DIR/system" systemd)" "$1" 1
    enlarge "$1" 4G
    remember "$1"
}

# Cutting the power at random moments, while the root grows, the system starts for the first time or an image is written, and
# asking what the next boot makes of it.

# Each scenario names its cuts of TIER=all. The first tier makes two of five, never fewer than five: what varies is the moment
# within each stretch of time, which every run chooses again.
cuts_of_tier() {
    cuts=$1
    if [ "${TIER:-first}" != all ] && [ "$cuts" -gt 5 ]; then cuts=$((cuts > 12 ? cuts * 2 / 5 : 5)); fi
}

# cut_while_growing IMAGE NUMBER CUTS [DRIVE-OPTION...]: IMAGE's partition NUMBER is the root. A first boot shows how long
# there is something to cut: from the word that the root was found to the hand-over. Each cut gets a copy of IMAGE and
# a stretch of that time of its own, in which it falls anywhere: random, and yet no stretch is missed. DRIVE-OPTIONs
# slow the disk down while the power is to be cut. SEED repeats a run.
cut_while_growing() {
    local image=$1 number=$2 options=("${@:4}") cuts cut window delay
    cuts_of_tier "$3"
    RANDOM=${SEED:=$RANDOM}
    note "$cuts cuts, seed $SEED"
    cp --sparse=always "$image" disk.img
    remember disk.img

    attach disk.img virtio "${options[@]}"
    boot root=LABEL=root rw
    root_has_grown disk.img "$number"
    window=$(($(moment 'to execve of') - $(moment 'root .* is ')))

    for ((cut = 0; cut < cuts; cut++)); do
        delay=$(((cut * 1000 + RANDOM % 1000) * window / cuts / 1000))
        detach_all
        attach disk.img virtio "${options[@]}"
        while :; do
            cp --sparse=always "$image" disk.img
            on 'wisp: root .* is ' cut_after_delay
            run_machine root=LABEL=root rw
            guest_finished || break
            delay=$((delay * 3 / 4)) # this boot was faster than the first one
        done
        [ ! -e timed-out ] || fail "boot $BOOT: the moment to cut the power never came; its console is in $CONSOLE"
        no_harm_to_table "$image" disk.img "$number"

        detach_all
        attach disk.img
        boot root=LABEL=root rw
        root_has_grown disk.img "$number"
        expect_no_log 'kernel BUG|Call Trace'
    done
}

# cut_first_boot DISK CUTS CHECK [DRIVE-OPTION...]: the same with the first boot of a machine in its cloud, from the real
# init's start to the end, which a whole system reaches by `guest.leaves`; `surroundings` attaches what the machine has
# beside DISK. After each cut a boot follows, and then CHECK is called.
cut_first_boot() {
    local disk=$1 check=$3 options=("${@:4}") cuts cut window delay
    cuts_of_tier "$2"
    RANDOM=${SEED:=$RANDOM}
    note "$cuts cuts, seed $SEED"
    cp --sparse=always "$disk" untouched
    first_boot_of "$disk" "${options[@]}"
    boot root=LABEL=root rw wisp.grow=off guest.leaves
    $check
    window=$(($(told_at 'reboot: Power down') - $(told_at 'to execve of')))

    for ((cut = 0; cut < cuts; cut++)); do
        delay=$(((cut * 1000 + RANDOM % 1000) * window / cuts / 1000))
        while :; do
            cp --sparse=always untouched "$disk"
            first_boot_of "$disk" "${options[@]}"
            on 'to execve of' cut_after_delay
            run_machine root=LABEL=root rw wisp.grow=off guest.leaves
            guest_finished || break
            delay=$((delay * 3 / 4)) # this boot was faster than the first one
        done
        [ ! -e timed-out ] || fail "boot $BOOT: the moment to cut the power never came; its console is in $CONSOLE"
        first_boot_of "$disk"
        boot root=LABEL=root rw wisp.grow=off guest.leaves
        $check
    done
    stop_service
}

# cut_while_writing FILE IMAGE OLD CUTS: the same while FILE, which holds IMAGE, is written over a disk like OLD; the disk
# takes so little at a time that this lasts. What a cut left is what the next boot finds, which begins again; after every
# fourth one is let finish. The server never goes down.
cut_while_writing() {
    local file=$1 image=$2 old=$3 cuts cut window delay
    cuts_of_tier "$4"
    RANDOM=${SEED:=$RANDOM}
    note "$cuts cuts, seed $SEED"
    attach disk.img virtio throttling.bps-write=60000000
    serve_images "$file"
    cp --sparse=always "$old" disk.img
    write_image "$file"
    holds_image disk.img "$image" || fail 'what was written without any cut is not the image'
    window=$(($(told_at 'image-write ok') - $(told_at 'is overwritten')))

    for ((cut = 0; cut < cuts; cut++)); do
        [ $((cut % 4)) != 0 ] || cp --sparse=always "$old" disk.img
        # Each stretch of the time has its cut, but not in order, so that every disk sees early and late ones.
        delay=$(((cut * 7 % cuts * 1000 + RANDOM % 1000) * window / cuts / 1000))
        while :; do
            on 'is overwritten' cut_after_delay
            # shellcheck disable=SC2046 # a list of words
            run_machine $(words_for "$file")
            grep -aq 'image-write ok' "$CONSOLE" || break
            delay=$((delay * 3 / 4)) # this boot was faster than the first one
            cp --sparse=always "$old" disk.img
        done
        [ ! -e timed-out ] || fail "boot $BOOT: the moment to cut the power never came; its console is in $CONSOLE"
        looks_unbootable disk.img || holds_image disk.img "$image" || cmp -s disk.img "$old" ||
            fail "boot $BOOT: the cut left a disk that is neither the old one nor the image and does not begin with zeros"
        if [ $((cut % 4)) = 3 ]; then
            write_image "$file"
            holds_image disk.img "$image" || fail "boot $BOOT: what was written after the cuts is not the image"
        fi
    done
    stop_images
}

# looks_unbootable DISK: its first MiB is zeros: no boot code, no table, nothing that firmware would start.
looks_unbootable() { cmp -s -n 1048576 "$1" /dev/zero; }

first_boot_of() {
    detach_all
    attach "$1" virtio "${@:2}"
    surroundings
}

# told_at REGEX: when the kernel's log said so, in milliseconds.
told_at() { sed -n "s/^\[ *\([0-9]*\)\.\([0-9]\{3\}\).*$1.*/\1\2/p" "$CONSOLE" | tail -n 1; }

# moment REGEX: when wisp told the kernel log so, in milliseconds.
moment() { sed -n "s/^\[ *\([0-9]*\)\.\([0-9]\{3\}\).*wisp: .*$1.*/\1\2/p" "$CONSOLE"; }

cut_after_delay() {
    sleep "$((delay / 1000)).$(printf '%03d' $((delay % 1000)))"
    cut_power
}

# no_harm_to_table IMAGE DISK NUMBER: before anything mends it, the root is where it was and has lost nothing.
no_harm_to_table() {
    [ "$3" != 0 ] || return 0
    only_size_changed "$2" "$3"
    [ "$(partition_size "$2" "$3")" -ge "$(partition_size "$1" "$3")" ] || fail 'the root shrank'
}

# tear_table DISK SIZE: as if the power had gone while wisp wrote that partition 1 is now SIZE large: the backup is the new
# one, and so is the header of the primary; what the header has a checksum of is not yet.
tear_table() {
    local sectors first
    sectors=$(($(stat -c %s "$1") / 512))
    table "$1" | sed "/^1: /s/size=[^,]*/size=$2/; s/^[0-9]*: //" | make_disk grown.img $((sectors * 512))
    for first in 0 $((sectors - 33)); do
        dd if=grown.img of="$1" bs=512 skip="$first" seek="$first" count=$((first ? 33 : 2)) conv=notrunc status=none
    done
    rm grown.img
}

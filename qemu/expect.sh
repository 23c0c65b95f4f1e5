# What a scenario may demand. Each word either returns or ends the scenario with one sentence that says what was wrong.

# fail SENTENCE: ends the scenario.
fail() {
    echo "$*" >"$WORK/reason"
    exit 1
}

# ---- what the guest said --------------------------------------------------------------------------------------------

# fact NAME: its values in the last boot, one a line.
fact() { sed -n "s/^FACT $1 //p" "$FACTS"; }

# expect_fact NAME VALUE: one of its values is exactly VALUE.
expect_fact() { fact "$1" | grep -qxF -- "$2" || fail "boot $BOOT: fact $1 is '$(fact "$1")', wanted '$2'"; }

# expect_fact_like NAME REGEX
expect_fact_like() { fact "$1" | grep -qE -- "$2" || fail "boot $BOOT: fact $1 is '$(fact "$1")', wanted something like '$2'"; }

# expect_log REGEX, expect_no_log REGEX: lines of the console.
expect_log() { grep -aEq -- "$1" "$CONSOLE" || fail "boot $BOOT: the console shows nothing like '$1'"; }
expect_no_log() { ! grep -aEq -- "$1" "$CONSOLE" || fail "boot $BOOT: the console shows '$(grep -aEm1 -- "$1" "$CONSOLE")'"; }

# expect_report FILTER: a jq filter that must be true of the report wisp left in /run/wisp/grow.json.
expect_report() { fact report | jq -e "$1" >/dev/null 2>&1 || fail "boot $BOOT: not true of the report: $1; it is $(fact report)"; }

# hand_over_time: seconds from the start of the kernel to the execve of the real init, as wisp told the kernel log.
hand_over_time() { sed -n 's/.*wisp: \([0-9.]*\) s from kernel start to execve.*/\1/p' "$CONSOLE"; }

# expect_hand_over: what every guest's init finds when wisp handed over as it must.
expect_hand_over() {
    local directory
    for directory in /proc /sys /dev /run; do expect_fact mounted $directory; done
    expect_fact console usable
    [ "$(fact initramfs.kib)" -lt 2048 ] || fail "boot $BOOT: $(fact initramfs.kib) KiB of the initramfs are still in memory"
}

# ---- what is on the disk --------------------------------------------------------------------------------------------

# expect_same WHAT ACTUAL WANTED
expect_same() { [ "$2" = "$3" ] || fail "$1 is $2, wanted $3"; }

# table_valid DISK: the tools of others find no fault in the partition table.
table_valid() {
    printf 'v\nq\n' | fdisk -b "$SECTOR" "$1" >verify.log 2>&1
    grep -q 'No errors detected' verify.log || fail "fdisk finds fault with the table of $1: see verify.log"
    [ "$SECTOR" = 512 ] && table "$1" | grep -q '^label: gpt' || return 0
    sgdisk --verify "$1" >verify.log 2>&1 || true
    grep -q 'No problems found' verify.log || fail "sgdisk finds fault with the table of $1: see verify.log"
}

# partition_reaches DISK NUMBER END: the partition ends at most 1 MiB (the alignment, or the backup table) before END.
partition_reaches() {
    local end
    end=$(partition_end "$1" "$2")
    if [ "$end" -gt "$3" ] || [ $(($3 - end)) -gt 1048576 ]; then fail "partition $2 of $1 ends at byte $end, wanted $3 or 1 MiB before"; fi
    [ $((end % 1048576)) = 0 ] || fail "partition $2 of $1 ends at byte $end, which is not on a MiB"
}

# partition_fills_disk DISK NUMBER
partition_fills_disk() { partition_reaches "$1" "$2" "$(stat -c %s "$1")"; }

# only_size_changed DISK NUMBER...: against what `remember` kept, nothing in the table but these sizes changed:
# starts, order, types, GUIDs, names and attribute bits are as they were.
only_size_changed() {
    local numbers mask
    numbers=$(IFS='|'; echo "${*:2}")
    mask="s/^($numbers)(: .*size=) *[0-9]+/\1\2-/"
    diff <(table "$1.before" | sed -E "$mask") <(table "$1" | sed -E "$mask") >table.diff ||
        fail "more than the size of partition $numbers changed in the table of $1: see table.diff"
}

# disk_unchanged DISK: not one byte is other than what `remember` kept.
disk_unchanged() { qemu-img compare -q -f raw -F raw "$1.before" "$1" || fail "$1 was written to"; }

# table_unchanged DISK: the same for its first and last MiB, where the two copies of its table are.
table_unchanged() {
    local end
    for end in head tail; do
        cmp -s <($end -c 1M "$1.before") <($end -c 1M "$1") || fail "the table of $1 was written to"
    done
}

# partition_unchanged DISK NUMBER: the same for the contents of one partition.
partition_unchanged() {
    qemu-img compare -q --image-opts "$(partition_slice "$1.before" "$2")" "$(partition_slice "$1" "$2")" || fail "partition $2 of $1 was written to"
}

# filesystem_clean DISK NUMBER: the filesystem's own checker finds nothing to repair.
filesystem_clean() {
    extract "$1" "$2" part.img
    case $(blkid -p -s TYPE -o value part.img) in
        ext?) e2fsck -fn part.img ;;
        xfs) xfs_repair -n -f part.img ;;
        btrfs) btrfs check --readonly part.img ;;
        *) false ;;
    esac >fsck.log 2>&1 || fail "partition $2 of $1 is not clean: see fsck.log"
}

# filesystem_fills DISK NUMBER: the filesystem has every whole block of its partition.
filesystem_fills() {
    local have block size
    extract "$1" "$2" part.img
    read -r have block < <(filesystem_bytes part.img)
    size=$(partition_size "$1" "$2")
    expect_same "the filesystem's size on partition $2 of $1" "$have" "$((size / block * block))"
}

# root_has_grown DISK NUMBER: all of the usual demands on a root that is the last partition of DISK.
root_has_grown() {
    table_valid "$1"
    only_size_changed "$1" "$2"
    partition_fills_disk "$1" "$2"
    filesystem_fills "$1" "$2"
    filesystem_clean "$1" "$2"
}

# ---- what is in the root of a system that was switched off ----------------------------------------------------------

# file_of IMAGE PATH: a file's bytes; nothing if there is none.
file_of() { debugfs -R "cat $2" "$1" 2>/dev/null; }

# accounts_whole IMAGE USER: passwd, group and shadow are whole, each name in them once, USER's too.
accounts_whole() {
    local name
    while read -r name fields; do
        file_of "$1" "/etc/$name" >"$name.now"
        awk -F: -v f="$fields" 'NF != f || $1 == "" || seen[$1]++ { bad = 1 } END { exit bad || NR < 5 }' "$name.now" ||
            fail "boot $BOOT: /etc/$name is not whole: see $name.now"
        expect_same "the number of lines of $2 in /etc/$name" "$(grep -c "^$2:" "$name.now")" 1
    done <<'TABLES'
passwd 7
group 4
shadow 9
TABLES
}

# no_leftovers IMAGE FOLDER...: in these folders is nothing that was to replace a file and did not, and no lock.
no_leftovers() {
    local folder found
    for folder in "${@:2}"; do
        found=$(debugfs -R "ls -p $folder" "$1" 2>/dev/null | cut -d / -f 6 | grep -E '\.new|\.tmp|\.wisp|~$|^[^.].*\.lock$') || continue
        fail "boot $BOOT: in $folder was left $found"
    done
}

# The machine: QEMU, its monitor, and what happens to it while it runs.

MEMORY=512           # MiB
LIMIT=60             # seconds that one boot may take before it is killed
KERNEL=cloud-amd64   # which Debian kernel: see qemu/kernel
INITRAMFS=           # empty: wisp's stand-alone one
FIRMWARE=            # empty: QEMU starts the kernel; `uefi`, `secure-boot`: OVMF starts what it finds on a disk
DEVICES=()           # what `attach` has collected
BOOT=0               # how many there were
REACTIONS=()         # what `on` has collected: pattern, action, pattern, action...

kernel_dir() { echo "$BUILD/kernel/$KERNEL"; }
kernel_version() { cat "$(kernel_dir)/version"; }
kernel_modules() { echo "$(kernel_dir)/lib/modules/$(kernel_version)"; }

# attach FILE [virtio|nvme|scsi|ide|mmc|disc|later] [DRIVE-OPTION...]: the next disk of the machine. `disc`: in a drive for
# CD-ROMs. `later`: QEMU holds it, the guest does not see it until `monitor "device_add ..."`.
attach() {
    local file=$1 kind=${2:-virtio} id sizes=
    id=$(basename "$1" .img)
    [ "$SECTOR" = 512 ] || sizes=,logical_block_size=$SECTOR,physical_block_size=$SECTOR
    DEVICES+=(-drive "if=none,id=$id,file=$file,format=raw,cache=writeback,discard=unmap$(printf ',%s' "${@:3}" | sed 's/,$//')")
    case $kind in
        virtio) DEVICES+=(-device "virtio-blk-pci,drive=$id,serial=$id$sizes") ;;
        nvme) DEVICES+=(-device "nvme,drive=$id,serial=$id$sizes") ;;
        scsi) DEVICES+=(-device virtio-scsi-pci -device "scsi-hd,drive=$id,serial=$id$sizes") ;;
        ide) DEVICES+=(-device "ide-hd,drive=$id,serial=$id$sizes") ;;
        disc) DEVICES+=(-device virtio-scsi-pci -device "scsi-cd,drive=$id") ;;
        mmc) DEVICES+=(-device sdhci-pci -device "sd-card,drive=$id") ;;
        later) ;;
        *) fail "attach: no kind of disk called $kind" ;;
    esac
}

# attach_remote FILE: as `attach`, but another process serves the disk, as network storage is served: `stall` stops it,
# so that no request is answered any more, until `recover`.
attach_remote() {
    setpriv --pdeathsig KILL qemu-nbd --format raw --persistent --socket "$PWD/server.sock" --pid-file server.pid "$1" &
    until [ -s server.pid ]; do sleep 0.05; done
    DEVICES+=(-drive "if=none,id=remote,file=nbd+unix:///?socket=$PWD/server.sock,format=raw"
        -device "virtio-blk-pci,drive=remote")
}
stall() { kill -STOP "$(cat server.pid)"; }
recover() { kill -CONT "$(cat server.pid)"; }
stop_server() { kill "$(cat server.pid)"; }

# attach_failing FILE SECTOR: as `attach`, but no write to this sector succeeds.
attach_failing() {
    local fault=file.inject-error.0
    DEVICES+=(-drive "if=none,id=failing,driver=raw,file.driver=blkdebug,file.image.driver=file,file.image.filename=$1,$fault.event=none,$fault.iotype=write,$fault.sector=$2"
        -device "virtio-blk-pci,drive=failing")
}

# detach_all: takes all disks out of the machine.
detach_all() { DEVICES=(); }

# on PATTERN ACTION...: in the next boot, once the console shows PATTERN, runs ACTION; several happen one after another.
on() { REACTIONS+=("$1" "${*:2}"); }

# monitor COMMAND: says it to QEMU's monitor.
monitor() { echo "$1" | socat -t 0.2 - UNIX-CONNECT:monitor.sock >>monitor.log; }

# cut_power: the machine stops between two instructions.
cut_power() { kill -KILL "$(cat qemu.pid)" 2>/dev/null || true; }

# guest_finished: whether the guest's init said its last line in the last boot.
guest_finished() { grep -q '^WISP-GUEST-DONE' "$CONSOLE"; }

# boot WORD...: one boot with WORD... on the kernel command line; the guest must reach its init and say so.
boot() {
    run_machine "$@"
    [ ! -e timed-out ] || fail "boot $BOOT ($*): not finished within $LIMIT s; its console is in $CONSOLE"
    guest_finished || fail "boot $BOOT ($*): the guest's last line is missing from $CONSOLE"
}

# boot_in_vain WORD...: the machine must end by itself without having reached the guest's init.
boot_in_vain() {
    run_machine "$@"
    [ ! -e timed-out ] || fail "boot $BOOT ($*): did not end by itself within $LIMIT s; its console is in $CONSOLE"
    ! guest_finished || fail "boot $BOOT ($*): the guest's init ran, which was not expected"
}

# boot_and_cut WORD...: a boot that a reaction ends by `cut_power`.
boot_and_cut() {
    run_machine "$@"
    [ ! -e timed-out ] || fail "boot $BOOT ($*): the moment to cut the power never came; its console is in $CONSOLE"
    ! guest_finished || fail "boot $BOOT ($*): over before the power was cut"
}

# choose_start WORD...: what the machine begins with, in START. With a FIRMWARE the disk holds kernel and command line.
choose_start() {
    local code=/usr/share/OVMF/OVMF_CODE_4M variables=/usr/share/OVMF/OVMF_VARS_4M
    case $FIRMWARE in
        '')
            START=(-kernel "$(kernel_dir)/boot/vmlinuz-$(kernel_version)" -initrd "${INITRAMFS:-$STANDALONE_INITRAMFS}"
                -append "console=ttyS0 panic=-1 $*")
            return
            ;;
        uefi) START=() ;;
        secure-boot) # with Debian's key for tests; only the firmware itself may write the variables that hold it
            START=(-machine 'q35,smm=on' -global 'driver=cfi.pflash01,property=secure,value=on')
            code+=.secboot variables+=.snakeoil
            ;;
        *) fail "there is no firmware called $FIRMWARE" ;;
    esac
    cp $variables.fd variables.fd # it writes to them
    START+=(-drive "if=pflash,unit=0,format=raw,readonly=on,file=$code.fd" -drive 'if=pflash,unit=1,format=raw,file=variables.fd')
}

run_machine() {
    local pid
    BOOT=$((BOOT + 1))
    CONSOLE=console.$BOOT FACTS=facts.$BOOT
    rm -f qemu.pid timed-out monitor.sock
    touch "$CONSOLE" "$FACTS"
    echo "$*" >>"$BOOTS"
    choose_start "$@"
    setpriv --pdeathsig KILL qemu-system-x86_64 -accel tcg -cpu max -m "$MEMORY" \
        -nodefaults -nographic -no-reboot -pidfile qemu.pid "${START[@]}" -serial "file:$CONSOLE" -serial "file:$FACTS" \
        -monitor unix:monitor.sock,server,nowait "${DEVICES[@]}" </dev/null >qemu.log 2>&1 &
    pid=$!
    watch_machine $pid
    wait $pid || true # killed or not: the console tells what happened
    # The firmware clears the screen and a serial line ends in CR LF; tests want plain lines.
    sed -i 's/\r//g; s/\x1b\[[0-9;?=]*[A-Za-z]//g; s/\x1bc//g' "$CONSOLE" "$FACTS"
    REACTIONS=()
}

# watch_machine PID: until it is gone, looks at the console for what `on` waits for, and at the clock.
watch_machine() {
    local pid=$1 next=0 deadline=$((SECONDS + LIMIT))
    while kill -0 "$pid" 2>/dev/null; do
        if [ $next -lt ${#REACTIONS[@]} ] && grep -aEq -- "${REACTIONS[next]}" "$CONSOLE"; then
            ${REACTIONS[next + 1]}
            next=$((next + 2))
        elif [ $SECONDS -ge $deadline ]; then
            touch timed-out
            kill -KILL "$pid" 2>/dev/null || true
            break
        else
            sleep 0.05
        fi
    done
    [ ! -e timed-out ] || return 0
    if [ $next -lt ${#REACTIONS[@]} ]; then fail "boot $BOOT: the console never showed: ${REACTIONS[next]}"; fi
}

# A whole Debian system in a cloud: its first boot, the later ones, its clones; logging in to it from outside.

SYSTEM=         # which of qemu/systems
CLOUD=          # of which folder of tests/metadata/recorded
INSTANCE=       # the instance-id that the cloud says
LOGIN_LIMIT=20  # seconds that one login may take on an emulated machine

# cloud_system NAME CLOUD: the machine has a disk of its own with this system, and is in this cloud. `key` is the key of
# whoever started the instance.
cloud_system() {
    SYSTEM=$1 CLOUD=$2
    cp --sparse=always "$("$QEMU_DIR/system" "$SYSTEM")" system.img
    ssh-keygen -q -t ed25519 -N '' -C owner@laptop -f key
    mkdir -p over
}

# boot_system [FAULT]: one boot, to the moment at which everything was started; then `visit` is called, which may log in,
# and the machine is switched off. FAULT `away`: nothing answers at the service's address.
boot_system() {
    detach_all
    attach system.img
    if [ -e seed.img ]; then attach seed.img virtio readonly=on; fi
    firmware_of "$CLOUD"
    NETWORK=hostfwd=tcp:127.0.0.1:0-:22
    if [ "${1:-}" = away ] || [ -e seed.img ]; then network_of "$CLOUD"; else service_of "$CLOUD" "${1:-none}" over; fi
    on '^WISP-GUEST-READY' visit
    boot root=LABEL=root rw
    stop_service
}

# log_in USER KEY COMMAND...: as anybody would from outside. The host's key is learned at the first login of a boot.
log_in() {
    timeout $LOGIN_LIMIT ssh -q -F none -i "$2" -p "$(ssh_port)" -o IdentitiesOnly=yes -o BatchMode=yes \
        -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile="known.$BOOT" -o PreferredAuthentications=publickey \
        "$1@127.0.0.1" "${@:3}" </dev/null
}

# ssh_port: of this machine, which QEMU chose; it leads to the guest's port 22.
ssh_port() {
    [ -s "port.$BOOT" ] || { echo 'info usernet'; sleep 0.2; } | socat -t 1 - UNIX-CONNECT:monitor.sock |
        awk '/HOST_FORWARD/ { print $4 }' >"port.$BOOT"
    cat "port.$BOOT"
}

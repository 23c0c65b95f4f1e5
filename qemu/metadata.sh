# A cloud around the machine: its firmware, its NIC, its metadata service at the real address. The service is the tests'
# own (tests/metadata/README.md), built by `make build/metadata-server`.

RECORDED=$QEMU_DIR/../tests/metadata/recorded
METADATA_PORT=80
NETWORK= # what else QEMU's network is told, such as a port to forward

# addresses_of CLOUD: where its service is, and the server that reports go to where that is another one. Networks of our
# own making have it behind the address QEMU would take.
addresses_of() {
    case $1 in
        azure*) echo 169.254.169.254 168.63.129.16 ;;
        scaleway*) echo 169.254.42.42 ;;
        alibaba*) echo 100.100.100.200 ;;
        nocloud* | incus*) echo 10.0.2.100 ;;
        *) echo 169.254.169.254 ;;
    esac
}

# machine_of CLOUD NAME: what its file `machine` says; nothing if it does not.
machine_of() { sed -n "s/^$2=//p" "$RECORDED/${1%%/*}/machine"; }

# firmware_of CLOUD [NAME=VALUE...]: the firmware has the strings that this cloud's machines have, or these instead.
firmware_of() {
    local cloud=$1 line name type
    declare -A tables=()
    while IFS= read -r line; do
        name=${line%%=*}
        case $name in
            bios_vendor) type=0,vendor ;;
            sys_vendor) type=1,manufacturer ;;
            product_name) type=1,product ;;
            product_serial) type=1,serial ;;
            product_uuid) type=1,uuid ;;
            board_serial) type=2,serial ;;
            board_asset_tag) type=2,asset ;;
            chassis_asset_tag) type=3,asset ;;
            *) continue ;;
        esac
        line=${line#*=}
        tables[${type%,*}]+=,${type#*,}=${line//,/,,} # a comma in a value is doubled
    done < <(cat "$RECORDED/${cloud%%/*}/machine"; printf '%s\n' "${@:2}")
    for type in "${!tables[@]}"; do DEVICES+=(-smbios "type=$type${tables[$type]}"); done
}

# service_of CLOUD [FAULT [FOLDER]]: a NIC behind which the cloud's servers answer, and nothing else does: the network has
# no way out. What the replies in FOLDER say replaces the cloud's own. What passes the NIC is kept in packets.pcap, what the
# service is asked in service.log.
service_of() {
    local cloud=$1 address forwards=() over=()
    stop_service
    [ -x "$BUILD/metadata-server" ] || fail 'build/metadata-server is missing: run make build/metadata-server'
    rm -f service.log service.output
    [ -z "${3:-}" ] || over=(--over "$3")
    setpriv --pdeathsig KILL "$BUILD/metadata-server" "$cloud" --unix "$PWD/service.sock" --any-port \
        "${over[@]}" --log service.log --fault "${2:-none}" >service.output 2>&1 &
    SERVICE=$!
    until [ -s service.output ]; do
        kill -0 "$SERVICE" 2>/dev/null || fail "the metadata service of $cloud did not start"
        sleep 0.05
    done
    touch service.log
    for address in $(addresses_of "$cloud"); do
        forwards+=("guestfwd=tcp:$address:$METADATA_PORT-cmd:socat STDIO UNIX-CONNECT:${PWD//,/,,}/service.sock")
    done
    network_of "$cloud" "${forwards[@]}"
}

# network_of CLOUD [OPTION...]: a NIC of this cloud's, and DHCP; nobody else is there unless an OPTION of QEMU's says so.
network_of() {
    rm -f packets.pcap
    DEVICES+=(-netdev "user,id=metadata,restrict=on,net=$(network_around "$(addresses_of "$1")")$(printf ',%s' "${@:2}" "$NETWORK" | sed 's/,$//')"
        -device "virtio-net-pci,netdev=metadata,romfile=,mac=$(machine_of "$1" mac)"
        -object "filter-dump,id=packets,netdev=metadata,file=packets.pcap")
}

# network_around ADDRESSES: QEMU forwards only what lies in its own network. Its DHCP begins at the fifteenth address.
network_around() {
    case $1 in
        *168.63.*) echo 168.0.0.0/7,host=169.254.0.2,dhcpstart=169.254.10.15,dns=169.254.0.3 ;; # the smallest with both
        169.254.*) echo 169.254.0.0/16,host=169.254.0.2,dhcpstart=169.254.10.15 ;;
        *) echo "${1%.*}.0/24" ;;
    esac
}

# cloud_guest [MODULE...] <<SCRIPT: the guest's root on a small disk. SCRIPT runs in it with the words of
# guest/metadata-task; what it asks is compared by `expect_answer`. The drivers of the NIC and MODULEs come along.
cloud_guest() {
    [ -d root ] || guest_root root
    copy_modules root "virtio_net $*"
    { cat "$QEMU_DIR/guest/metadata-task"; cat; } | guest_task
    make_ext4 root.img 64M -L root
    attach root.img
}

# boot_cloud [WORD...]: one boot of such a guest; nothing is to be grown.
boot_cloud() {
    boot root=LABEL=root rw wisp.grow=off "$@"
    expect_fact task.status 0
    stop_service
}

stop_service() {
    [ -n "${SERVICE:-}" ] || return 0
    kill "$SERVICE" 2>/dev/null || true
    wait "$SERVICE" 2>/dev/null || true
    SERVICE=
}

# ---- what a scenario may demand of the answers ---------------------------------------------------------------------

# answer NAME: what the guest's `ask NAME` printed.
answer() { fact task | sed -n "s/^$1 output //p" | base64 -d; }

# expect_answer NAME FILE...: it succeeded and printed the files one after another, byte for byte.
expect_answer() {
    expect_status "$1" 0
    answer "$1" >"answer.$1"
    cat "${@:2}" >"wanted.$1"
    cmp "answer.$1" "wanted.$1" >"$1.difference" 2>&1 || fail "boot $BOOT: $1 printed other bytes than wanted: see answer.$1, wanted.$1"
}

# expect_status NAME CODE: its exit code.
expect_status() {
    local code
    code=$(fact task | sed -n "s/^$1 status //p")
    [ "$code" = "$2" ] || fail "boot $BOOT: $1 ended with '$code', wanted $2; it said: $(fact task | sed -n "s/^$1 error //p")"
}

# expect_json NAME FILTER: it succeeded and printed JSON of which this jq filter is true.
expect_json() {
    expect_status "$1" 0
    answer "$1" | jq -e "$2" >/dev/null 2>&1 || fail "boot $BOOT: not true of $1: $2; it is $(answer "$1")"
}

# expect_cloud CLOUD: everything that `ask_all` asked is as this folder of recorded replies wants it. It is four
# commands that go to the service.
expect_cloud() {
    local wanted=$RECORDED/$1/expected name item
    name=${1%%/*}
    expect_json detect ".cloud == \"$name\""
    printf '\n' >line-feed
    expect_answer names "$wanted/hostname" line-feed "$wanted/ssh-keys"
    expect_answer userdata "$wanted/userdata"
    for item in instance-id region zone; do
        [ -e "$wanted/$item" ] || continue
        expect_json json ".\"$item\" == \"$(cat "$wanted/$item")\""
    done
    item=userdata
    [ ! -e "$wanted/unpacked" ] || item=unpacked
    expect_status save 0
    expect_answer saved "$wanted/$item"
    expect_fact task 'saved mode 600'
}

# expect_connections COUNT: how many the service took; each command needs one.
expect_connections() { expect_same "the number of connections to the service" "$(asked '^connection ')" "$1"; }

# asked REGEX: how many requests or connections of the service's log match.
asked() { grep -cE -- "$1" service.log || true; }

# reports: what the service was told about the machine, one report a line: METHOD TARGET STATUS sent BODY.
reports() { sed -nE '/^[0-9]+ (POST|PATCH) /{N;s/\n[0-9]+//;s/^[0-9]+ //;p}' service.log; }

# packets FILTER: those that match, one a line, in tcpdump's words.
packets() { tcpdump -nr packets.pcap "$1" 2>/dev/null; }

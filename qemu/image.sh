# Images to be written by the machine, and the web server it gets them from (build/image-server).

IMAGE_PORT= # of the server; the machine reaches it at 10.0.2.2

# image_to_write FILE SIZE DATA: a disk of SIZE as it is handed out: GPT, one ext4, and in it the guest's root and DATA
# bytes that no compression makes fewer. Most of it is holes.
image_to_write() {
    [ -d root ] || guest_root root
    head -c "$3" /dev/urandom >root/data
    make_ext4 image.root "$(($(numfmt --from=iec "$2") / 1048576 - 2))M" -L root
    make_disk "$1" "$2" <<'LAYOUT'
label: gpt
start=1MiB, name=root
LAYOUT
    place image.root "$1" 1
    rm -r image.root root/data
}

# serve_images FILE... [OPTION...]: a NIC, and behind it the server, as `build/image-server --help` explains it; what it
# was asked is in images.log, what passed the NIC in packets.pcap. Its address is the host's loopback seen from the guest,
# as a connection that is reset there arrives as one; through a program of `guestfwd` it would only end.
serve_images() {
    stop_images
    [ -x "$BUILD/image-server" ] || fail 'build/image-server is missing: run make build/image-server'
    rm -f images.log images.output packets.pcap
    setpriv --pdeathsig KILL "$BUILD/image-server" --log images.log "$@" >images.output 2>&1 &
    IMAGES=$!
    until [ -s images.output ]; do
        kill -0 "$IMAGES" 2>/dev/null || fail 'the image server did not start'
        sleep 0.05
    done
    touch images.log
    IMAGE_PORT=$(sed 's/.*://' images.output)
    if [ -z "$INITRAMFS" ]; then
        INITRAMFS=initramfs.network
        wisp_initramfs "$INITRAMFS" --for virtio --filesystem ext4 --network virtio --init "$BUILD/wisp"
    fi
    DEVICES+=(-netdev "user,id=images" -device "virtio-net-pci,netdev=images,romfile=,id=nic"
        -object "filter-dump,id=packets,netdev=images,file=packets.pcap")
}

stop_images() {
    [ -n "${IMAGES:-}" ] || return 0
    kill "$IMAGES" 2>/dev/null || true
    wait "$IMAGES" 2>/dev/null || true
    IMAGES=
}

# words_for FILE: what the kernel is told so that FILE is written onto the first virtio disk, and the machine then goes off.
words_for() {
    echo "ip=dhcp wisp.image=http://10.0.2.2:$IMAGE_PORT/$1 wisp.image.sha256=$(sha256sum "$1" | cut -d ' ' -f 1)" \
        "wisp.target=/dev/vda wisp.after=poweroff"
}

# write_image FILE: one boot in which FILE is written.
write_image() {
    # shellcheck disable=SC2046 # a list of words
    run_machine $(words_for "$1")
    [ ! -e timed-out ] || fail "boot $BOOT: $1 was not written within $LIMIT s; see $CONSOLE"
    expect_log 'image-write ok'
}

# holds_image DISK IMAGE: the disk begins with the image, byte for byte.
holds_image() { cmp -s -n "$(stat -c %s "$2")" "$1" "$2"; }

# received_bytes: what came to the guest over TCP, headers of HTTP included.
received_bytes() { packets "tcp and src port $IMAGE_PORT" | awk '/ length [0-9]+/ { sum += $NF } END { printf "%d\n", sum }'; }

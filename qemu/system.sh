# A whole Debian system in a cloud: its first boot, the later ones, its clones; logging in to it from outside, as the owner
# of its key and as others.

SYSTEM=         # which of qemu/systems
CLOUD=          # whose service, of tests/metadata/recorded; `nocloud` has a volume instead
OWNER=alpine    # the account that is made and given the keys
NAME=           # what the instance is called
SCRIPT_EXIT=0   # with what the user's script ends
OUTAGE_LIMIT=30 # seconds by which a boot may be longer when no metadata can be had; a deadline is two minutes
LOGIN_LIMIT=30  # seconds that one login may take

# cloud_system NAME CLOUD: the machine has a disk of its own with this system, and is in this cloud.
cloud_system() {
    SYSTEM=$1 CLOUD=$2 LIMIT=120
    cp --sparse=always "$("$QEMU_DIR/system" "$SYSTEM")" system.img
    [ -e key ] || ssh-keygen -q -t ed25519 -N '' -C owner@laptop -f key
    cat >script <<SCRIPT
#!/bin/sh
echo "by \$(id -u) on \$(cat /proc/sys/kernel/hostname)" >>/var/lib/runs
sync
echo said
echo complained >&2
exit $SCRIPT_EXIT
SCRIPT
}

# instance ID NAME [JQ-FILTER]: what the cloud says from now on: who this is, the owner's key, the script. JQ-FILTER
# changes what the clouds that speak JSON say.
instance() {
    NAME=$2
    SMBIOS=()
    mkdir -p over
    cp script over/
    export ID=$1 NAME KEY SCRIPT
    KEY=$(cat key.pub) SCRIPT=$(base64 -w 0 script)
    case $CLOUD in
        aws) told_by_aws ;;
        azure) told_by_azure "${3:-.}" ;;
        gcp) told_by_gcp "${3:-.}" ;;
        nocloud) told_by_volume ;;
    esac
}

told_by_aws() {
    SMBIOS=("board_asset_tag=$ID")
    cat >over/replies <<REPLIES
GET /latest/meta-data/instance-id
| $ID

GET /latest/meta-data/hostname
| $NAME

GET /latest/meta-data/local-hostname
| $NAME

GET /latest/meta-data/public-keys/
| 0=owner

GET /latest/meta-data/public-keys/0/openssh-key
| $KEY
|

GET /latest/user-data
file script
REPLIES
}

told_by_azure() {
    OWNER=azureuser
    SMBIOS=("product_uuid=$ID")
    # shellcheck disable=SC2016 # a jq program
    local compute='.vmId = env.ID | .name = env.NAME | .osProfile.computerName = env.NAME | .userData = env.SCRIPT
        | .publicKeys = [{keyData: env.KEY, path: "/home/azureuser/.ssh/authorized_keys"}]'
    replace_json '/metadata/instance?extended=true' ".compute |= ($compute) | $1" >over/replies
}

told_by_gcp() {
    # shellcheck disable=SC2016 # a jq program
    local attributes='{"ssh-keys": "alpine:\(env.KEY)", "user-data": (env.SCRIPT | @base64d)}'
    local instance=".id = \"the number\" | .hostname = env.NAME | .name = env.NAME | .attributes = $attributes"
    {
        replace_json '/computeMetadata/v1/instance/?recursive=true' "{instance: ., project: {}} | .instance |= ($instance) | $1 | .instance" |
            sed "s/\"the number\"/$ID/" # jq knows no number of that many digits
        replace_json '/computeMetadata/v1/project/attributes/?recursive=true' '{instance: {attributes: {}}, project: {attributes: {}}}'" | $1 | .project.attributes"
    } >over/replies
}

told_by_volume() {
    printf 'instance-id: %s\nlocal-hostname: %s\npublic-keys:\n- %s\n' "$ID" "$NAME" "$KEY" >meta-data
    rm -f seed.img
    cloud-localds seed.img script meta-data
}

# replace_json TARGET FILTER: a statement of replies: what this cloud has recorded, changed by a jq filter.
replace_json() {
    echo "GET $1"
    awk -v target="GET $1" '$0 == target { here = 1; next } here && sub(/^\| /, "") { print; exit }' \
        "$RECORDED/$CLOUD/replies" | jq -c "$2" | sed 's/^/| /'
    echo
}

# boot_system [away]: one boot, until everything was started; then `visit` is called, which logs in, and the machine is
# switched off. `away`: nothing answers at the service's address.
boot_system() {
    detach_all
    attach system.img
    if [ -e seed.img ] && [ "${1:-}" != away ]; then attach seed.img virtio readonly=on; fi
    firmware_of "$CLOUD" "${SMBIOS[@]}"
    NETWORK=hostfwd=tcp:127.0.0.1:0-:22
    if [ "${1:-}" = away ] || [ -e seed.img ]; then network_of "$CLOUD"; else service_of "$CLOUD" none over; fi
    on '^WISP-GUEST-READY' visit
    boot root=LABEL=root rw
    stop_service
}

# visit: what happens while the system is up. A scenario may have its own, which ends in `leave`.
visit() {
    expect_login "$OWNER" key "$OWNER"
    leave
}

# leave: the machine is to switch itself off.
leave() { log_in "$OWNER" key 'touch /tmp/leave' || fail "boot $BOOT: $OWNER could not log in to leave"; }

# log_in USER KEY COMMAND...: as anybody would from outside. Of the host's key the first login of a boot takes note.
log_in() {
    timeout $LOGIN_LIMIT ssh -F none -i "$2" -p "$(ssh_port)" -o IdentitiesOnly=yes -o BatchMode=yes -o LogLevel=ERROR \
        -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile="known.$BOOT" -o PreferredAuthentications=publickey \
        "$1@127.0.0.1" "${@:3}" </dev/null
}

# expect_login USER KEY WHO: this key logs in as this user, and that is WHO. expect_no_login USER KEY: it does not.
expect_login() {
    local who
    who=$(log_in "$1" "$2" 'id -un') || fail "boot $BOOT: sshd did not let $1 in with $2"
    expect_same "who $1 is with $2" "$who" "$3"
}
expect_no_login() {
    local answer
    ! log_in "$1" "$2" true 2>"refused.$BOOT" || fail "boot $BOOT: sshd let $1 in with $2"
    grep -q 'Permission denied' "refused.$BOOT" || fail "boot $BOOT: no refusal of $1 with $2, but: $(cat "refused.$BOOT")"
}

# ssh_port: of this machine, which QEMU chose; it leads to the guest's port 22.
ssh_port() {
    [ -s "port.$BOOT" ] || { echo 'info usernet'; sleep 0.2; } | socat -t 1 - UNIX-CONNECT:monitor.sock |
        awk '/HOST_FORWARD/ { print $4 }' >"port.$BOOT"
    cat "port.$BOOT"
}

# whole_life ID NAME CLONE-ID CLONE-NAME: of an instance, that is a first boot, one with nothing to do, and one in which no
# metadata can be had; then its disk becomes that of another instance. FILTER as `instance` takes it.
whole_life() {
    instance "$1" "$2" "${FILTER:-.}"
    boot_system
    expect_first_boot 1

    boot_system
    expect_nothing_done

    boot_system away
    expect_nothing_done
    expect_no_delay $OUTAGE_LIMIT

    instance "$3" "$4" "${FILTER:-.}"
    boot_system
    expect_first_boot 2
    expect_other_host_key
}

# ---- what a scenario may demand of a boot ---------------------------------------------------------------------------

# expect_first_boot RUNS: everything was done for this instance, the script for the RUNS-th time on this disk.
expect_first_boot() {
    local home
    expect_fact hostname "${NAME%%.*}"
    expect_fact_like hosts "^127\.0\.1\.1[[:space:]].*\b${NAME%%.*}$"
    expect_same "the number of lines for this host in /etc/hosts" "$(fact hosts | grep -c '^127\.0\.1\.1')" 1
    expect_fact_like passwd "^$OWNER:x:[0-9]+:[0-9]+:[^:]*:/home/$OWNER:/bin/"
    expect_fact_like shadow "^$OWNER:\*:"
    expect_fact ssh.folder "/home/$OWNER 755 $OWNER:$OWNER 700 $OWNER:$OWNER"
    expect_fact key "$OWNER $(cat key.pub)"
    expect_fact_like file "^/home/$OWNER/\.ssh/authorized_keys 600 $OWNER:$OWNER "
    expect_same "the number of the script's runs" "$(fact run | wc -l)" "$1"
    expect_same "the script's last run" "$(fact run | tail -n 1)" "by 0 on ${NAME%%.*}"
    expect_same "the script's output" "$(fact userdata.log | base64 -d)" "$(printf 'said\ncomplained')"
    expect_fact userdata.exit $SCRIPT_EXIT
    expect_bootstrapped
    expect_host_key_seen
}

# expect_bootstrapped: nothing is left to be done.
expect_bootstrapped() {
    expect_fact bootstrap complete
    fact status | jq -e '.status == "done"' >/dev/null || fail "boot $BOOT: the status is $(fact status)"
    expect_same 'host keys that ssh-keygen does not read' "$(fact bad.host.key)" ''
}

# expect_host_key_seen: the key that whoever logged in was shown is the one on the disk.
expect_host_key_seen() {
    expect_same 'the host key shown' "$(cut -d ' ' -f 2,3 "known.$BOOT")" "$(fact host.key)"
}

# expect_nothing_done: since the boot before, not one file of wisp's was written, nor the script run.
expect_nothing_done() {
    local name
    for name in file run host.key passwd group shadow hosts hostname key; do
        diff <(sed -n "s/^FACT $name //p" "facts.$((BOOT - 1))") <(fact $name) >"$name.difference" ||
            fail "boot $BOOT: $name is not what it was in the boot before: see $name.difference"
    done
    expect_bootstrapped
    expect_host_key_seen
}

# expect_other_host_key: than in the boot before.
expect_other_host_key() {
    [ "$(cut -d ' ' -f 2,3 "known.$BOOT")" != "$(cut -d ' ' -f 2,3 "known.$((BOOT - 1))")" ] ||
        fail "boot $BOOT: a clone has the host key of what it was cloned from"
}

# expect_no_delay SECONDS: against the boot before.
expect_no_delay() {
    local before
    before=$(sed -n 's/^FACT uptime //p' "facts.$((BOOT - 1))")
    awk -v a="$before" -v b="$(fact uptime)" -v s="$1" 'BEGIN { exit !(b - a <= s) }' ||
        fail "boot $BOOT: everything was started $(fact uptime) s after the kernel, and $before s in the boot before"
}

# ---- first boots that are cut off ------------------------------------------------------------------------------------

# cut_off_script: the user's script leaves a trace, on the disk, of having begun and of having ended.
cut_off_script() {
    [ -e key ] || ssh-keygen -q -t ed25519 -N '' -C owner@laptop -f key
    cat >script <<'SCRIPT'
#!/bin/sh
echo begun >>/var/lib/runs
sync
echo ended >>/var/lib/runs
sync
SCRIPT
}

# like_an_image TREE: it has accounts, names and host keys as an image has them, which are not those of any instance.
like_an_image() {
    cp -r "$QEMU_DIR"/systems/openrc/files/etc/{passwd,group,shadow,hostname,hosts,ssh} "$1/etc/"
    mkdir -p "$1"/{home,etc/sudoers.d}
    ssh-keygen -q -t ed25519 -N '' -C image -f "$1/etc/ssh/ssh_host_ed25519_key"
    cp "$1/etc/ssh/ssh_host_ed25519_key.pub" image.pub
}

in_cloud_of_aws() {
    CLOUD=aws
    instance i-0123456789abcdef0 web-1.eu-west-1.compute.internal
    firmware_of aws "${SMBIOS[@]}"
    service_of aws none over
}

# expect_completed IMAGE BOOTSTRAP STATUS: everything is there, whole and once; a script that was cut off was told of.
expect_completed() {
    local image=$1 begun ended
    expect_same "the bootstrap after boot $BOOT" "$2" complete
    e2fsck -fn "$image" >fsck.log 2>&1 || fail "boot $BOOT: the root is not clean: see fsck.log"
    accounts_whole "$image" alpine
    expect_same 'the keys' "$(file_of "$image" /home/alpine/.ssh/authorized_keys)" "$(cat key.pub)"
    expect_same 'the host name' "$(file_of "$image" /etc/hostname)" "web-1"
    expect_same 'the lines of /etc/hosts for this host' "$(file_of "$image" /etc/hosts | grep -c '^127\.0\.1\.1')" 1
    file_of "$image" /etc/ssh/ssh_host_ed25519_key >host.key
    chmod 600 host.key
    expect_same 'the public half of the host key' "$(ssh-keygen -y -f host.key | cut -d ' ' -f 1,2)" \
        "$(file_of "$image" /etc/ssh/ssh_host_ed25519_key.pub | cut -d ' ' -f 1,2)"
    [ ! -e image.pub ] || ! grep -qF "$(ssh-keygen -y -f host.key | cut -d ' ' -f 2)" image.pub || fail "boot $BOOT: the host key is the image's"
    no_leftovers "$image" /etc /etc/ssh /etc/sudoers.d /home/alpine/.ssh /var/lib/cloud
    begun=$(file_of "$image" /var/lib/runs | grep -c begun) || true
    ended=$(file_of "$image" /var/lib/runs | grep -c ended) || true
    [ "$begun" -le 1 ] || fail "boot $BOOT: the script was run $begun times"
    [ "$ended" = 1 ] || jq -e '.errors[] | select(test("run_userdata.*cut off"))' <<<"$3" >/dev/null ||
        fail "boot $BOOT: the script was cut off and nobody is told: $3"
}

#!/bin/sh
# Installs Debian onto the disk $1: its image for clouds, held against the checksums that lie beside it.
set -eu
release=trixie
file=debian-13-genericcloud-amd64.qcow2
[ "$(uname -m)" = x86_64 ] || file=debian-13-genericcloud-arm64.qcow2
from=https://cloud.debian.org/images/cloud/$release/latest

curl --fail --silent --show-error --location --retry 5 --remote-name "$from/$file" --remote-name "$from/SHA512SUMS"
grep " $file\$" SHA512SUMS | sha512sum --check --strict
qemu-img convert -n -O raw "$file" "$1"

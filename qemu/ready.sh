# What the programs that boot wisp start with: its libraries, the packages, the guests' kernel, wisp's initramfs.
# Usage: . ready.sh GROUP...; the groups of qemu/packages that the program needs.

QEMU_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
BUILD=$(dirname "$QEMU_DIR")/build
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin # the tools for disks live in sbin, which an ordinary user may not have

for library in guest disk initramfs mkinitfs machine expect power metadata image system; do
    # shellcheck source=/dev/null
    . "$QEMU_DIR/$library.sh"
done

"$QEMU_DIR/../tests/require" "$QEMU_DIR/packages" "$@"
"$QEMU_DIR/kernel" >/dev/null
for program in wisp wisp-initramfs; do
    [ -x "$BUILD/$program" ] || { echo "qemu: build/$program is missing: run make first" >&2; exit 1; }
done
mkdir -p "$BUILD/qemu"
STANDALONE_INITRAMFS=$BUILD/qemu/initramfs
wisp_initramfs "$STANDALONE_INITRAMFS" >/dev/null

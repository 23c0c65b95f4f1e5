/* The floor: the two ioctls without which no program grows a mounted ext4 root, and nothing else.
 *
 * It is told everything (where the partition starts, how long it becomes, how many blocks the filesystem becomes), finds
 * nothing out, and writes no partition table, so it is not a tool: it is what the kernel's own work costs.
 * Numbers: include/uapi/linux/blkpg.h, fs/ext4/ext4.h.
 */
#include <fcntl.h>
#include <linux/blkpg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#define EXT4_IOC_RESIZE_FS _IOW('f', 16, uint64_t)

static int fail(const char *doing)
{
    perror(doing);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: floor DISK NUMBER START_BYTES LENGTH_BYTES MOUNT_POINT BLOCKS\n");
        return 2;
    }

    struct blkpg_partition partition = {
        .start = strtoll(argv[3], NULL, 10),
        .length = strtoll(argv[4], NULL, 10),
        .pno = atoi(argv[2]),
    };
    struct blkpg_ioctl_arg request = {
        .op = BLKPG_RESIZE_PARTITION,
        .datalen = sizeof partition,
        .data = &partition,
    };
    int disk = open(argv[1], O_RDONLY | O_CLOEXEC);
    if (disk < 0)
        return fail(argv[1]);
    if (ioctl(disk, BLKPG, &request) < 0)
        return fail("BLKPG_RESIZE_PARTITION");

    uint64_t blocks = strtoull(argv[6], NULL, 10);
    int mount = open(argv[5], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (mount < 0)
        return fail(argv[5]);
    if (ioctl(mount, EXT4_IOC_RESIZE_FS, &blocks) < 0)
        return fail("EXT4_IOC_RESIZE_FS");
    return 0;
}

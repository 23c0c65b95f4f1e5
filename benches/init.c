/* The first process of the root that qemu/start boots: before anything else it looks at the clock, which began with the
 * kernel; then it tells what that said, in microseconds on the second serial port, and switches the machine off. As /init
 * of an initramfs with nothing else in it, it shows what the kernel takes alone.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <time.h>
#include <unistd.h>

static void say(const char *terminal, const char *name, long long value)
{
    int file = open(terminal, O_WRONLY);

    dprintf(file, value < 0 ? "%s\n" : "%s %lld\n", name, value);
    close(file);
}

int main(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    /* Not every initramfs hands over what it mounted. */
    if (access("/dev/ttyS1", F_OK))
        mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    say("/dev/ttyS1", "start", now.tv_sec * 1000000LL + now.tv_nsec / 1000);
    sync();
    mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
    /* Every guest's last line, without which no boot counts; the firmware leaves the cursor in the middle of one. */
    say("/dev/console", "\nWISP-GUEST-DONE", -1);
    reboot(RB_POWER_OFF);
    return 1;
}

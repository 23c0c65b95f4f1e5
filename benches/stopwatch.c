/* Runs a command with its output thrown away, and prints what it cost, as one line for the benchmarks' tables.
 *
 * usage: stopwatch NAME COMMAND [ARGUMENT...]
 *
 * It prints NAME, wall time and CPU time (user and system) in microseconds, and the peak memory in KiB. A child begins
 * with its parent's peak, so this program is static and small.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "clocks.h"

extern char **environ;

int main(int argc, char **argv)
{
    posix_spawn_file_actions_t actions;
    struct rusage usage;
    pid_t child;
    int status;

    if (argc < 3) {
        fprintf(stderr, "usage: stopwatch NAME COMMAND [ARGUMENT...]\n");
        return 2;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    long long start = microseconds_now();
    errno = posix_spawnp(&child, argv[2], &actions, NULL, argv + 2, environ);
    if (errno || wait4(child, &status, 0, &usage) < 0) {
        fprintf(stderr, "stopwatch: %s: %s\n", argv[2], strerror(errno));
        return 1;
    }
    long long wall = microseconds_now() - start;
    printf("%s %lld %lld %ld\n", argv[1], wall, microseconds(usage.ru_utime) + microseconds(usage.ru_stime),
           usage.ru_maxrss);
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

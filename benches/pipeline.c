/* Runs pipelines that write onto a disk, and prints what they cost, as one line for benches/image.awk.
 *
 * usage: pipeline NAME TARGET MEDIUM COMMAND [ARGUMENT...] [| COMMAND...]... [+ COMMAND [ARGUMENT...] [| COMMAND...]...]...
 *
 * The programs between two `|` are started together, what follows a `+` when all of those before have ended; no shell is
 * among them. It prints NAME, wall time and CPU time (user and system of all programs and of those that they waited for)
 * in microseconds, memory in KiB and the bytes that were written to MEDIUM (/sys/block/MEDIUM/stat). The time ends when
 * TARGET was flushed, whether a program did that already or not. Memory is the sum of the peaks of the programs that ran
 * together; of those one after another it is the largest. A child begins with its parent's peak, so this program is static
 * and small.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clocks.h"

#define SECTOR 512LL /* the unit of the stat file, whatever the disk's own is */
#define PROGRAMS 8   /* that may run together */

extern char **environ;

static long long cpu;
static long peak;

static void fail(const char *doing)
{
    fprintf(stderr, "pipeline: %s: %s\n", doing, strerror(errno));
    exit(1);
}

static long long written(const char *disk)
{
    char path[64], text[512];
    long long sectors;
    snprintf(path, sizeof path, "/sys/block/%s/stat", disk);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (length < 0)
        fail(path);
    text[length] = 0;
    close(file);
    if (sscanf(text, "%*s %*s %*s %*s %*s %*s %lld", &sectors) != 1)
        fail(path);
    return sectors * SECTOR;
}

static pid_t start(char **command, int input, int output)
{
    posix_spawn_file_actions_t actions;
    pid_t child;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input, 0);
    posix_spawn_file_actions_adddup2(&actions, output, 1);
    errno = posix_spawnp(&child, command[0], &actions, NULL, command, environ);
    if (errno)
        fail(command[0]);
    posix_spawn_file_actions_destroy(&actions);
    return child;
}

/* Runs `words` up to `+` or the end; how many they were, or the end of this program if one of theirs fails. */
static int run(char **words, int count, int nowhere)
{
    pid_t children[PROGRAMS];
    int programs = 0, input = nowhere, next = 0;
    long together = 0;
    for (int more = 1; more && programs < PROGRAMS;) {
        char **command = words + next;
        int ends[2] = { nowhere, nowhere };
        while (next < count && strcmp(words[next], "|") != 0 && strcmp(words[next], "+") != 0)
            next++;
        more = next < count && words[next][0] == '|';
        words[next++] = NULL;
        if (more && pipe2(ends, O_CLOEXEC) < 0)
            fail("pipe");
        children[programs++] = start(command, input, ends[1]);
        if (input != nowhere)
            close(input);
        if (more)
            close(ends[1]);
        input = ends[0];
    }
    for (int i = 0; i < programs; i++) {
        struct rusage usage;
        int status;
        if (wait4(children[i], &status, 0, &usage) < 0)
            fail("wait4");
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            exit(1);
        cpu += microseconds(usage.ru_utime) + microseconds(usage.ru_stime);
        together += usage.ru_maxrss;
    }
    if (together > peak)
        peak = together;
    return next;
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: pipeline NAME TARGET MEDIUM COMMAND [ARGUMENT...] [| COMMAND...]... [+ COMMAND...]...\n");
        return 2;
    }
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    long long before = written(argv[3]), began = microseconds_now();
    for (int next = 4; next < argc;)
        next += run(argv + next, argc - next, nowhere);
    int target = open(argv[2], O_RDONLY | O_CLOEXEC);
    if (target < 0 || fsync(target) < 0)
        fail(argv[2]);
    long long wall = microseconds_now() - began;
    printf("%s %lld %lld %ld %lld\n", argv[1], wall, cpu, peak, written(argv[3]) - before);
    return 0;
}

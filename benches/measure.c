/* Runs one way of growing a disk and prints what it cost, as one line for benches/table.awk.
 *
 * usage: measure METHOD ROUND DISK STDIN COMMAND [ARGUMENT...] [+ COMMAND [ARGUMENT...]]...
 *
 * The commands are started directly, one after the other, without a shell: a method pays only for the programs that it
 * needs. One process of this program measures one run, so that RUSAGE_CHILDREN holds that run and nothing before it.
 *
 *   wall       from before the first start until the last command has been waited for (CLOCK_MONOTONIC)
 *   cpu        user + system time of all commands and all that they started (RUSAGE_CHILDREN; this program adopts
 *              orphans, so a process left behind is waited for and counted too)
 *   memory     ru_maxrss of the largest single process. Linux 6.1 counts memory held at exit to the page; of memory
 *              given back earlier up to 63 pages of each kind can escape it. A child begins with its parent's peak,
 *              so this program stays below what that granularity can see
 *   processes  difference of `processes` in /proc/stat; a kernel thread born meanwhile is counted with them
 *   disk       requests written, bytes written and flushes of the whole disk (/sys/block/DISK/stat) until the last
 *              command ended, and the bytes that a sync(2) afterwards still had to write
 *
 * Documentation/admin-guide/iostats.rst names the fields of the stat file.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clocks.h"

#define SECTOR 512LL /* the unit of the stat file, whatever the disk's own is */

extern char **environ;

struct activity {
    long long writes, written_sectors, in_flight, flushes;
};

static void fail(const char *doing)
{
    fprintf(stderr, "measure: %s: %s\n", doing, strerror(errno));
    exit(1);
}

/* Plain read(2), because stdio's buffers would raise this program's own peak. */
static void read_whole(const char *path, char *text, size_t size)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        fail(path);
    ssize_t length = read(file, text, size - 1);
    if (length < 0)
        fail(path);
    text[length] = 0;
    close(file);
}

static struct activity read_activity(const char *disk)
{
    char path[64], text[512];
    struct activity now = { 0 };
    snprintf(path, sizeof path, "/sys/block/%s/stat", disk);
    read_whole(path, text, sizeof text);
    int fields = sscanf(text, "%*s %*s %*s %*s %lld %*s %lld %*s %lld %*s %*s %*s %*s %*s %*s %lld",
                &now.writes, &now.written_sectors, &now.in_flight, &now.flushes);
    if (fields != 4)
        fail(path);
    return now;
}

static long long processes_started(void)
{
    static char text[32768];
    read_whole("/proc/stat", text, sizeof text);
    char *line = strstr(text, "\nprocesses ");
    if (!line)
        fail("no line `processes` in /proc/stat");
    return atoll(line + sizeof "\nprocesses " - 1);
}

/* Writes everything out, then waits until the disk has been quiet for a quarter of a second. */
static void settle(const char *disk)
{
    const struct timespec quiet = { .tv_nsec = 250000000 };
    struct activity before, after;
    sync();
    do {
        before = read_activity(disk);
        nanosleep(&quiet, NULL);
        after = read_activity(disk);
    } while (after.in_flight || after.writes != before.writes || after.flushes != before.flushes);
}

/* Returns the exit status of the command. Its output goes where this program's standard error goes: to a file. */
static int run(char **command, const char *input)
{
    posix_spawn_file_actions_t actions;
    pid_t child;
    int status;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, 2, 1);
    errno = posix_spawnp(&child, command[0], &actions, NULL, command, environ);
    if (errno)
        fail(command[0]);
    if (waitpid(child, &status, 0) < 0)
        fail("waitpid");
    posix_spawn_file_actions_destroy(&actions);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
    if (argc < 6) {
        fprintf(stderr, "usage: measure METHOD ROUND DISK STDIN COMMAND [ARGUMENT...] [+ COMMAND...]...\n");
        return 2;
    }
    const char *method = argv[1], *round = argv[2], *disk = argv[3], *input = argv[4];
    struct rusage children;
    int status = 0;

    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    settle(disk);

    struct activity before = read_activity(disk);
    long long processes = processes_started();
    long long start = microseconds_now();
    for (int next = 5; next < argc && status == 0;) {
        char **command = argv + next;
        while (next < argc && strcmp(argv[next], "+") != 0)
            next++;
        argv[next++] = NULL;
        status = run(command, input);
    }
    long long wall = microseconds_now() - start;
    struct activity after = read_activity(disk);
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        ;
    processes = processes_started() - processes;
    getrusage(RUSAGE_CHILDREN, &children);
    sync();
    struct activity settled = read_activity(disk);

    printf("run %s %s %s %d %lld %lld %lld %ld %lld %lld %lld %lld %lld\n", method, round, disk, status,
           wall, microseconds(children.ru_utime), microseconds(children.ru_stime), children.ru_maxrss,
           processes, after.writes - before.writes,
           (after.written_sectors - before.written_sectors) * SECTOR, after.flushes - before.flushes,
           (settled.written_sectors - after.written_sectors) * SECTOR);
    return status;
}

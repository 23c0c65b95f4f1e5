/* The floor of a first boot: the requests and the files of one phase, and nothing else.
 *
 * usage: floor LIST
 *
 * It is told everything (what is asked for, which files appear and how long they are), understands nothing of the replies,
 * fills the files with zeros and flushes none of them, so it is no agent: it is what the service and the kernel cost.
 * LIST has a line for each thing to do, in order, and benches/bootstrap makes it of what wisp was seen to do:
 *
 *   PUT TARGET, GET TARGET     over one connection that is kept; what the PUT brings is the token of the GETs
 *   folder MODE USER GROUP PATH
 *   file MODE USER GROUP PATH LENGTH     written beside its place and renamed
 *   run PATH                   as a process of its own, its output into a file
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ADDRESS "169.254.169.254"

extern char **environ;

static char list[65536], reply[65536], zeros[65536], token[256];
static int service = -1;

static void fail(const char *doing)
{
    fprintf(stderr, "floor: %s: %s\n", doing, strerror(errno));
    exit(1);
}

static void read_list(const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || read(file, list, sizeof list - 1) < 0)
        fail(path);
    close(file);
}

static void connect_service(void)
{
    struct sockaddr_in place = { .sin_family = AF_INET, .sin_port = htons(80) };
    inet_pton(AF_INET, ADDRESS, &place.sin_addr);
    service = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (service < 0 || connect(service, (struct sockaddr *)&place, sizeof place) < 0)
        fail(ADDRESS);
    setsockopt(service, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
}

/* A request and its whole reply; the body stays in `reply`. */
static char *ask(const char *method, const char *target)
{
    char request[1024];
    int is_token = method[0] == 'P';
    int length = snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: " ADDRESS "\r\n%s%s\r\n\r\n", method, target,
                          is_token ? "X-aws-ec2-metadata-token-ttl-seconds: 300\r\nContent-Length: 0"
                                   : "X-aws-ec2-metadata-token: ",
                          is_token ? "" : token);
    if (service < 0)
        connect_service();
    if (write(service, request, length) != length)
        fail(target);

    char *body = NULL;
    size_t have = 0, wanted = 0;
    while (!body || have < wanted) {
        ssize_t count = have < sizeof reply - 1 ? read(service, reply + have, sizeof reply - 1 - have) : -1;
        if (count <= 0)
            fail(target);
        have += count;
        reply[have] = 0;
        if (!body && (body = strstr(reply, "\r\n\r\n"))) {
            const char *said = strcasestr(reply, "\r\nContent-Length:");
            body += 4;
            wanted = body - reply + (said ? strtoul(said + 17, NULL, 10) : 0);
        }
    }
    return body;
}

static void write_file(const char *path, int mode, int user, int group, size_t length)
{
    char beside[4200];
    snprintf(beside, sizeof beside, "%s.new", path);
    int file = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (file < 0 || length > sizeof zeros || write(file, zeros, length) != (ssize_t)length)
        fail(beside);
    if ((user || group) && fchown(file, user, group) < 0)
        fail(beside);
    close(file);
    if (rename(beside, path) < 0)
        fail(path);
}

static void make_folder(const char *path, int mode, int user, int group)
{
    if (mkdir(path, mode) < 0) {
        if (errno != EEXIST)
            fail(path);
    } else if ((user || group) && chown(path, user, group) < 0) {
        fail(path);
    }
}

static void run(char *path)
{
    posix_spawn_file_actions_t actions;
    pid_t child;
    int status;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/var/log/user-data.log", O_WRONLY | O_CREAT, 0600);
    errno = posix_spawn(&child, path, &actions, NULL, (char *[]){ path, NULL }, environ);
    if (errno || waitpid(child, &status, 0) < 0 || status != 0)
        fail(path);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: floor LIST\n");
        return 2;
    }
    read_list(argv[1]);
    umask(0);
    for (char *line = strtok(list, "\n"); line; line = strtok(NULL, "\n")) {
        char word[8], path[4096];
        unsigned mode;
        int user, group;
        size_t length = 0;
        if (sscanf(line, "file %o %d %d %4000s %zu", &mode, &user, &group, path, &length) == 5)
            write_file(path, mode, user, group, length);
        else if (sscanf(line, "folder %o %d %d %4000s", &mode, &user, &group, path) == 4)
            make_folder(path, mode, user, group);
        else if (sscanf(line, "run %4000s", path) == 1)
            run(path);
        else if (sscanf(line, "%7s %1000s", word, path) == 2)
            line[0] == 'P' ? (void)snprintf(token, sizeof token, "%s", ask(word, path)) : (void)ask(word, path);
    }
    return 0;
}

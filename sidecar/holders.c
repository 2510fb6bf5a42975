#include "sidecar/holders.h"

#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PROCESSES_MAX = 4096,
    SEEN = 4096, /* sockets that are remembered, one for each slot */
    RECENT = 8,  /* processes that connected last */
    NEAR = 32,   /* descriptors around the last one of a process: the next ones that it opens */
};

struct seen {
    uint32_t inode; /* 0: none */
    int32_t pid, fd;
};

struct recent {
    int32_t pid; /* 0: none */
    int32_t fd;  /* that it connected with last */
};

struct holders {
    struct seen *seen; /* SEEN, owned; NULL: nothing yet */
    struct recent recent[RECENT];
    uint64_t links;
    /* Of the question at hand. */
    uint32_t inode;
    int64_t uid;
    uint64_t links_end;
};

struct holders *holders_create(void)
{
    return calloc(1, sizeof(struct holders));
}

void holders_destroy(struct holders *h)
{
    if (h != NULL) {
        free(h->seen);
        free(h);
    }
}

uint64_t holders_links(const struct holders *h)
{
    return h->links;
}

/* ---- one descriptor ---- */

/* The inode of the socket that the link `name` stands for; 0: it is none. */
static uint32_t read_link(struct holders *h, int directory, const char *name)
{
    char target[64];
    h->links++;
    ssize_t n = readlinkat(directory, name, target, sizeof(target) - 1);
    if (n <= 8 || memcmp(target, "socket:[", 8) != 0) {
        return 0;
    }
    target[n] = '\0';
    char *end = NULL;
    unsigned long inode = strtoul(target + 8, &end, 10);
    return *end == ']' && inode <= UINT32_MAX ? (uint32_t)inode : 0;
}

static bool holds(struct holders *h, int32_t pid, int32_t fd)
{
    char path[48];
    (void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
    return read_link(h, -1, path) == h->inode; /* the path is absolute */
}

/* The socket belongs to a user; so does the process, or (it is not dumpable) to root. */
static bool may_hold(const struct holders *h, int32_t pid)
{
    char path[32];
    struct stat status;
    (void)snprintf(path, sizeof(path), "/proc/%d", pid);
    return stat(path, &status) == 0 && (status.st_uid == h->uid || status.st_uid == 0);
}

/* ---- what is remembered ---- */

static void remember(struct holders *h, uint32_t inode, int32_t pid, int32_t fd)
{
    if (h->seen == NULL) {
        h->seen = calloc(SEEN, sizeof(*h->seen));
    }
    if (h->seen != NULL) { /* else it is looked for again */
        h->seen[inode % SEEN] = (struct seen){.inode = inode, .pid = pid, .fd = fd};
    }
}

static int64_t found(struct holders *h, int32_t pid, int32_t fd)
{
    size_t at = 0;
    while (at < RECENT - 1 && h->recent[at].pid != pid) {
        at++;
    }
    memmove(h->recent + 1, h->recent, at * sizeof(h->recent[0]));
    h->recent[0] = (struct recent){.pid = pid, .fd = fd};
    return pid;
}

static int64_t find_seen(struct holders *h)
{
    struct seen seen = h->seen == NULL ? (struct seen){0} : h->seen[h->inode % SEEN];
    return seen.inode == h->inode && may_hold(h, seen.pid) && holds(h, seen.pid, seen.fd)
               ? found(h, seen.pid, seen.fd)
               : -1;
}

/* An agent that opens one connection after the other. */
static int64_t find_near(struct holders *h)
{
    for (size_t i = 0; i < RECENT && h->recent[i].pid != 0; i++) {
        struct recent r = h->recent[i];
        if (!may_hold(h, r.pid)) {
            continue;
        }
        for (int32_t step = 0; step <= NEAR; step++) {
            if (holds(h, r.pid, r.fd + step)) {
                return found(h, r.pid, r.fd + step);
            }
            if (step > 0 && step <= r.fd && holds(h, r.pid, r.fd - step)) {
                return found(h, r.pid, r.fd - step);
            }
        }
    }
    return -1;
}

/* ---- all descriptors ---- */

/* To the end, also when it was found: its other sockets are asked for next. */
static int64_t find_in(struct holders *h, int32_t pid)
{
    char path[32];
    (void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    DIR *d = may_hold(h, pid) ? opendir(path) : NULL;
    if (d == NULL) {
        return -1;
    }
    int32_t at = -1;
    const struct dirent *e;
    while (h->links < h->links_end && (e = readdir(d)) != NULL) {
        uint32_t inode = read_link(h, dirfd(d), e->d_name);
        if (inode != 0) {
            int32_t fd = (int32_t)strtol(e->d_name, NULL, 10);
            remember(h, inode, pid, fd);
            at = inode == h->inode ? fd : at;
        }
    }
    (void)closedir(d);
    return at < 0 ? -1 : found(h, pid, at);
}

static int64_t find_recent(struct holders *h)
{
    struct recent recent[RECENT]; /* finding one changes their order */
    memcpy(recent, h->recent, sizeof(recent));
    int64_t pid = -1;
    for (size_t i = 0; pid < 0 && i < RECENT && recent[i].pid != 0; i++) {
        pid = find_in(h, recent[i].pid);
    }
    return pid;
}

/* The newest processes first: an agent that has just connected has mostly just begun, or has
 * connected before. */
static int by_pid_descending(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a;
    int32_t y = *(const int32_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

static size_t list_processes(int32_t *out)
{
    size_t count = 0;
    DIR *d = opendir("/proc");
    if (d == NULL) {
        return 0;
    }
    const struct dirent *e;
    while (count < PROCESSES_MAX && (e = readdir(d)) != NULL) {
        if (isdigit((unsigned char)e->d_name[0])) {
            out[count++] = (int32_t)strtol(e->d_name, NULL, 10);
        }
    }
    (void)closedir(d);
    qsort(out, count, sizeof(*out), by_pid_descending);
    return count;
}

static int64_t find_anywhere(struct holders *h)
{
    int32_t *pids = malloc(PROCESSES_MAX * sizeof(*pids));
    size_t count = pids == NULL ? 0 : list_processes(pids);
    int32_t newest = 0;
    for (size_t i = 0; i < RECENT; i++) {
        newest = h->recent[i].pid > newest ? h->recent[i].pid : newest;
    }
    int64_t pid = -1;
    size_t at = 0;
    for (; pid < 0 && at < count && pids[at] > newest; at++) {
        pid = find_in(h, pids[at]);
    }
    pid = pid >= 0 ? pid : find_recent(h);
    for (; pid < 0 && at < count && h->links < h->links_end; at++) {
        pid = find_in(h, pids[at]);
    }
    free(pids);
    return pid;
}

int64_t holders_find(struct holders *h, uint32_t inode, int64_t uid)
{
    h->inode = inode;
    h->uid = uid;
    h->links_end = h->links + HOLDERS_LINKS_MAX;
    int64_t pid = find_seen(h);
    pid = pid >= 0 ? pid : find_near(h);
    return pid >= 0 ? pid : find_anywhere(h);
}

#include "sidecar/headroom/headroom.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LINE_SIZE = PATH_MAX + 64, PATH_SIZE = 2 * PATH_MAX };

struct headroom {
    size_t limit; /* SIZE_MAX: none */
    size_t page;
    int statm; /* /proc/self/statm, -1 without a limit */
};

struct headroom *headroom_create(size_t limit)
{
    struct headroom *h = malloc(sizeof(*h));
    if (h != NULL) {
        *h = (struct headroom){
            .limit = limit,
            .page = (size_t)sysconf(_SC_PAGESIZE),
            .statm = limit == SIZE_MAX ? -1 : open("/proc/self/statm", O_RDONLY | O_CLOEXEC)};
    }
    return h;
}

void headroom_destroy(struct headroom *h)
{
    if (h != NULL && h->statm >= 0) {
        (void)close(h->statm);
    }
    free(h);
}

/* Resident and no file's, proc(5): "size resident shared ...", in pages. What cannot be read is
 * taken for nothing: then only the address space counts. */
static size_t own_size(const struct headroom *h)
{
    char text[128];
    ssize_t n = pread(h->statm, text, sizeof(text) - 1, 0);
    unsigned long resident = 0, shared = 0;
    if (n <= 0) {
        return 0;
    }
    text[n] = '\0';
    /* NOLINTNEXTLINE(cert-err34-c): the kernel's own numbers */
    if (sscanf(text, "%*u %lu %lu", &resident, &shared) != 2 || shared > resident) {
        return 0;
    }
    return (resident - shared) * h->page;
}

bool headroom_has(const struct headroom *h, size_t bytes)
{
    if (h->limit != SIZE_MAX) {
        size_t own = own_size(h);
        if (own >= h->limit || bytes > h->limit - own) {
            return false;
        }
    }
    void *room = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED) {
        return errno == EINVAL; /* of nothing */
    }
    (void)munmap(room, bytes);
    return true;
}

/* ---- the cgroup --------------------------------------------------------------------------- */

/* "max", what is no number, and v1's way of saying that there is none, are none. */
static size_t read_limit(const char *path)
{
    char text[64] = "";
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return SIZE_MAX;
    }
    bool is_read = fgets(text, sizeof(text), f) != NULL;
    (void)fclose(f);
    char *end = NULL;
    errno = 0;
    unsigned long long limit = strtoull(text, &end, 10);
    bool is_number = is_read && end != text && (*end == '\n' || *end == '\0') && errno == 0;
    return is_number && limit < (unsigned long long)INT64_MAX / 2 ? (size_t)limit : SIZE_MAX;
}

/* Of `group` and those above it, up to the root of what is mounted. In a container the group may be
 * the root of the mount under another name: then only the last step finds something. */
static size_t least_limit(const char *mount, const char *hierarchy, char *group, const char *file)
{
    size_t least = SIZE_MAX;
    for (;;) {
        char path[PATH_SIZE];
        int n = snprintf(path, sizeof(path), "%s%s%s/%s", mount, hierarchy, group, file);
        size_t limit = n > 0 && (size_t)n < sizeof(path) ? read_limit(path) : SIZE_MAX;
        least = limit < least ? limit : least;
        char *last = strrchr(group, '/');
        if (last == NULL) {
            return least;
        }
        *last = '\0';
    }
}

/* cgroups(7): "0::/group" of v2, "4:memory:/group" of v1, where other controllers may stand beside
 * it. */
static size_t line_limit(char *line, const char *mount)
{
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':');
    char *group = controllers == NULL ? NULL : strchr(++controllers, ':');
    if (group == NULL) {
        return SIZE_MAX;
    }
    *group++ = '\0';
    if (controllers[0] == '\0') {
        return least_limit(mount, "", group, "memory.max");
    }
    for (char *rest = controllers, *name = NULL; (name = strsep(&rest, ",")) != NULL;) {
        if (strcmp(name, "memory") == 0) {
            return least_limit(mount, "/memory", group, "memory.limit_in_bytes");
        }
    }
    return SIZE_MAX;
}

size_t headroom_cgroup_limit(const char *membership, const char *mount)
{
    size_t least = SIZE_MAX;
    FILE *f = fopen(membership, "re");
    if (f == NULL) {
        return least;
    }
    char line[LINE_SIZE];
    while (fgets(line, sizeof(line), f) != NULL) {
        size_t limit = line_limit(line, mount);
        least = limit < least ? limit : least;
    }
    (void)fclose(f);
    return least;
}

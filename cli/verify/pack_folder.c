#include "cli/verify/pack_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 1 << 18, DEPTH_MAX = 16 };

struct walk {
    const struct pack_visitor *visitor;
    struct report *report;
    struct pack_names *names;
    uint8_t *chunk;
    uint64_t done, total;
    bool is_counting; /* the first time only sizes are added up */
};

static enum err read_file(struct walk *w, int fd, const char *name)
{
    enum err e = w->visitor->on_file(w->visitor->context, name);
    while (e == OK) {
        ssize_t n = read(fd, w->chunk, CHUNK);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? ERR_IO : w->visitor->on_end(w->visitor->context);
        }
        w->done += (uint64_t)n;
        e = w->visitor->on_data(w->visitor->context, bytes_of(w->chunk, (size_t)n));
        w->visitor->on_progress(w->visitor->context, w->done, w->total);
    }
    return e;
}

static enum err walk_directory(struct walk *w, int directory, const char *prefix, int depth,
                               struct err_text *why);

/* `fd` is taken. */
static enum err visit(struct walk *w, int fd, const char *name, int depth, struct err_text *why)
{
    struct stat about;
    enum err e = OK;
    if (fstat(fd, &about) != 0) {
        e = err_set(why, ERR_IO, "%s: %s", name, strerror(errno));
    } else if (S_ISDIR(about.st_mode)) {
        return walk_directory(w, fd, name, depth + 1, why); /* takes it */
    } else if (w->is_counting) {
        w->total += (uint64_t)about.st_size;
    } else if (!S_ISREG(about.st_mode)) {
        report_add(w->report, REPORT_INSERTED, 0, "%s: it is no file", name);
    } else if (pack_names_add(w->names, name) != OK) {
        report_add(w->report, REPORT_DUPLICATED, 0,
                   "%s: a name that is there twice, but for the case of letters", name);
    } else {
        e = read_file(w, fd, name);
    }
    (void)close(fd);
    return e;
}

static enum err enter(struct walk *w, DIR *stream, const char *prefix, const char *item, int depth,
                      struct err_text *why)
{
    char name[2 * PACK_NAME_MAX + 2];
    int n = snprintf(name, sizeof(name), "%s%s%s", prefix, prefix[0] == '\0' ? "" : "/", item);
    if (n < 0 || (size_t)n >= sizeof(name) || !pack_is_name(name)) {
        if (!w->is_counting) {
            report_add(w->report, REPORT_INSERTED, 0, "%.200s: no package has such a name", name);
        }
        return OK;
    }
    int fd = openat(dirfd(stream), item, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && (errno == ELOOP || errno == ENXIO)) {
        if (!w->is_counting) {
            report_add(w->report, REPORT_INSERTED, 0, "%s: it is a link or no file", name);
        }
        return OK;
    }
    return fd < 0 ? err_set(why, ERR_IO, "%s: %s", name, strerror(errno))
                  : visit(w, fd, name, depth, why);
}

/* A folder's names, sorted; in the package itself `records` first, as in a zip file: what lists the
 * records is compared with them. */
struct items {
    char **names; /* owned */
    size_t count;
};

static int compare_items(const void *left, const void *right, void *context)
{
    const char *a = *(const char *const *)left, *b = *(const char *const *)right;
    bool is_top = *(const bool *)context;
    bool a_first = is_top && strcmp(a, "records") == 0,
         b_first = is_top && strcmp(b, "records") == 0;
    return a_first != b_first ? (a_first ? -1 : 1) : strcmp(a, b);
}

static void items_finish(struct items *items)
{
    for (size_t i = 0; i < items->count; i++) {
        free(items->names[i]);
    }
    free(items->names);
}

static enum err items_read(DIR *stream, struct items *out)
{
    size_t capacity = 0;
    for (struct dirent *d = readdir(stream); d != NULL; d = readdir(stream)) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0) {
            continue;
        }
        if (out->count == PACK_FILES_MAX) {
            return ERR_LIMIT;
        }
        if (out->count == capacity) {
            capacity = capacity == 0 ? 64 : 2 * capacity;
            char **names = realloc(out->names, capacity * sizeof(*names));
            if (names == NULL) {
                return ERR_NO_MEMORY;
            }
            out->names = names;
        }
        out->names[out->count] = strdup(d->d_name);
        if (out->names[out->count] == NULL) {
            return ERR_NO_MEMORY;
        }
        out->count++;
    }
    return OK;
}

static enum err walk_directory(struct walk *w, int directory, const char *prefix, int depth,
                               struct err_text *why)
{
    DIR *stream = depth > DEPTH_MAX ? NULL : fdopendir(directory);
    struct items items = {0};
    bool is_top = depth == 0;
    if (stream == NULL) {
        (void)close(directory);
        return err_set(why, ERR_IO, "%s: %s", prefix,
                       depth > DEPTH_MAX ? "too many folders in each other" : strerror(errno));
    }
    enum err e = items_read(stream, &items);
    if (e == OK && items.count > 0) {
        qsort_r(items.names, items.count, sizeof(*items.names), compare_items, &is_top);
    }
    for (size_t i = 0; e == OK && i < items.count; i++) {
        e = enter(w, stream, prefix, items.names[i], depth, why);
    }
    items_finish(&items);
    (void)closedir(stream);
    return e;
}

static enum err walk_all(struct walk *w, const char *path, struct err_text *why)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? err_set(why, ERR_IO, "%s: %s", path, strerror(errno))
                  : walk_directory(w, fd, "", 0, why);
}

enum err pack_read_folder(const char *path, const struct pack_visitor *visitor,
                          struct report *report, struct err_text *why)
{
    struct walk w = {.visitor = visitor, .report = report, .is_counting = true};
    w.names = pack_names_create();
    w.chunk = malloc(CHUNK);
    enum err e = w.names == NULL || w.chunk == NULL ? ERR_NO_MEMORY : walk_all(&w, path, why);
    w.is_counting = false;
    e = e == OK ? walk_all(&w, path, why) : e;
    pack_names_destroy(w.names);
    free(w.chunk);
    return e;
}

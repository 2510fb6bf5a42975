#include "controlplane/tlog/tile_directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "controlplane/files/files.h"

enum {
    PATH_SIZE = 4096,
    /* More files than these at once are made durable with one call for the whole file system: one
     * fsync each would cost more. */
    PENDING_MAX = 64,
    DEPTH_MAX = 16, /* of directories: an index has at most 7 groups */
};

static const char unfinished[] = ".new";

struct tile_directory {
    char *path; /* owned */
    tile_directory_step_fn *on_step;
    void *step_context;
    bool repairing;
    struct tlog_tile pending[PENDING_MAX]; /* put, and not yet on the disk for certain */
    size_t pending_count;
    bool pending_more; /* than the list has */
};

static void step(const struct tile_directory *d, const char *name)
{
    if (d->on_step != NULL) {
        d->on_step(d->step_context, name);
    }
}

enum err tile_directory_open(const struct tile_directory_options *options,
                             struct tile_directory **out, struct err_text *why)
{
    enum err e = files_make_directory(options->path, 0755, why);
    if (e != OK) {
        return e;
    }
    (void)chmod(options->path, 0755); /* whatever the umask is: others are to read it */
    struct tile_directory *d = calloc(1, sizeof(*d));
    char *path = strdup(options->path);
    if (d == NULL || path == NULL) {
        free(d);
        free(path);
        return ERR_NO_MEMORY;
    }
    d->path = path;
    d->on_step = options->on_step;
    d->step_context = options->step_context;
    *out = d;
    return OK;
}

void tile_directory_close(struct tile_directory *directory)
{
    if (directory != NULL) {
        free(directory->path);
        free(directory);
    }
}

bool tile_directory_has(uint64_t size, const struct tlog_tile *tile)
{
    uint64_t count = size >> (TLOG_TILE_HEIGHT * tile->level);
    return tile->level < TLOG_TILE_LEVELS && tile->index <= count / TLOG_TILE_WIDTH &&
           tile->index * TLOG_TILE_WIDTH + tile->width <= count;
}

/* --- paths -------------------------------------------------------------------------------------
 */

static enum err path_of(const struct tile_directory *d, const char *name, char out[PATH_SIZE])
{
    int n = snprintf(out, PATH_SIZE, "%s/%s", d->path, name);
    return n < 0 || n >= PATH_SIZE ? ERR_LIMIT : OK;
}

static enum err path_of_tile(const struct tile_directory *d, const struct tlog_tile *tile,
                             char out[PATH_SIZE])
{
    char name[TLOG_TILE_PATH_SIZE];
    enum err e = tlog_tile_format_path(tile, name);
    return e == OK ? path_of(d, name, out) : e;
}

/* The directories below the log's own, of a file in it. */
static enum err make_parents(const struct tile_directory *d, char *path, struct err_text *why)
{
    for (char *slash = strchr(path + strlen(d->path) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int failed = mkdir(path, 0755) != 0 && errno != EEXIST;
        int reason = errno;
        if (!failed) {
            (void)chmod(path, 0755);
        }
        *slash = '/';
        if (failed) {
            return err_set(why, reason == ENOSPC || reason == EDQUOT ? ERR_FULL : ERR_IO,
                           "a directory of %.300s cannot be made: %s", path, strerror(reason));
        }
    }
    return OK;
}

/* --- writing -----------------------------------------------------------------------------------
 */

static enum err failed(const char *path, int reason, struct err_text *why)
{
    bool full = reason == ENOSPC || reason == EDQUOT || reason == EFBIG;
    return err_set(why, full ? ERR_FULL : ERR_IO, "%.300s cannot be written: %s", path,
                   strerror(reason));
}

/* One tile in a few hundred is the first one of its directory: it is looked for only then. */
static enum err move_file(const struct tile_directory *d, const char *from, char *to,
                          struct err_text *why)
{
    if (rename(from, to) == 0) {
        return OK;
    }
    enum err e = errno == ENOENT ? make_parents(d, to, why) : failed(to, errno, why);
    return e != OK || rename(from, to) == 0 ? e : failed(to, errno, why);
}

/* Under a name of its own first: there is one writer, and what it left behind when it died is
 * overwritten. */
static enum err write_file(struct tile_directory *d, char *path, struct bytes data, bool durable,
                           struct err_text *why)
{
    char temporary[PATH_SIZE];
    enum err e = path_of(d, unfinished, temporary);
    if (e != OK) {
        return e;
    }
    step(d, "create");
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0) {
        return failed(path, errno, why);
    }
    step(d, "write");
    bool written = fchmod(fd, 0644) == 0 && file_write_all(fd, data);
    if (written && durable) {
        step(d, "sync");
        written = fsync(fd) == 0;
    }
    int reason = errno;
    (void)close(fd);
    if (written) {
        step(d, "rename");
        e = move_file(d, temporary, path, why);
    } else {
        e = failed(path, reason, why);
    }
    if (e != OK) {
        (void)unlink(temporary);
    }
    return e;
}

static void remember(struct tile_directory *d, const struct tlog_tile *tile)
{
    if (d->pending_count == PENDING_MAX) {
        d->pending_more = true;
    } else {
        d->pending[d->pending_count++] = *tile;
    }
}

/* OK: it is there with these bytes. ERR_NOT_FOUND: it is not, or may be replaced. */
static enum err compare_full(const struct tile_directory *d, const char *path,
                             const struct tlog_tile *tile, struct bytes data, struct err_text *why)
{
    struct buffer there;
    buffer_init(&there, TILE_DIRECTORY_BUNDLE_MAX);
    enum err e = tile->width < TLOG_TILE_WIDTH ? ERR_NOT_FOUND : files_read(path, &there, NULL);
    if (e == OK && !bytes_equal(buffer_bytes(&there), data)) {
        e = d->repairing ? ERR_NOT_FOUND
                         : err_set(why, ERR_EXISTS,
                                   "%.300s is there with other bytes than the records make", path);
    } else if (e != OK && e != ERR_NOT_FOUND) {
        e = err_set(why, e == ERR_LIMIT && d->repairing ? ERR_NOT_FOUND : e,
                    "%.300s cannot be compared", path);
    }
    buffer_finish(&there);
    return e;
}

enum err tile_directory_put(struct tile_directory *directory, const struct tlog_tile *tile,
                            struct bytes data, struct err_text *why)
{
    char path[PATH_SIZE];
    enum err e = path_of_tile(directory, tile, path);
    if (e != OK) {
        return err_set(why, e, "a tile has no path");
    }
    e = compare_full(directory, path, tile, data, why);
    if (e == ERR_NOT_FOUND) {
        e = write_file(directory, path, data, false, why);
    }
    if (e == OK) {
        remember(directory, tile); /* also one that was there: it may not be on the disk yet */
    }
    return e;
}

void tile_directory_set_repairing(struct tile_directory *directory, bool repairing)
{
    directory->repairing = repairing;
}

static enum err sync_one(const char *path, int flags, struct err_text *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    bool done = fd >= 0 && fsync(fd) == 0;
    int reason = errno;
    if (fd >= 0) {
        (void)close(fd);
    }
    return done ? OK : failed(path, reason, why);
}

/* A file and the names that lead to it. */
static enum err sync_tile(const struct tile_directory *d, const struct tlog_tile *tile,
                          struct err_text *why)
{
    char path[PATH_SIZE];
    enum err e = path_of_tile(d, tile, path);
    size_t root = strlen(d->path);
    if (e == OK) {
        e = sync_one(path, 0, why);
    }
    while (e == OK && strlen(path) > root) {
        *strrchr(path, '/') = '\0';
        e = sync_one(path, O_DIRECTORY, why);
    }
    return e;
}

enum err tile_directory_sync(struct tile_directory *directory, struct err_text *why)
{
    enum err e = OK;
    step(directory, "sync tiles");
    if (directory->pending_more) {
        int fd = open(directory->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        e = fd >= 0 && syncfs(fd) == 0 ? OK : failed(directory->path, errno, why);
        if (fd >= 0) {
            (void)close(fd);
        }
    } else {
        for (size_t i = 0; e == OK && i < directory->pending_count; i++) {
            e = sync_tile(directory, &directory->pending[i], why);
        }
    }
    if (e == OK) {
        directory->pending_count = 0;
        directory->pending_more = false;
    }
    return e;
}

static enum err sink_store(void *context, const struct tlog_tile *tile, struct bytes data)
{
    return tile_directory_put(context, tile, data, NULL);
}

struct tlog_tile_sink tile_directory_sink(struct tile_directory *directory)
{
    return (struct tlog_tile_sink){.store = sink_store, .context = directory};
}

/* --- reading -----------------------------------------------------------------------------------
 */

/* The size of the first `width` entries. */
static enum err bundle_size(struct bytes bundle, unsigned width, size_t *out)
{
    struct bytes rest = bundle, entry;
    for (unsigned i = 0; i < width; i++) {
        if (tlog_bundle_next(&rest, &entry) != OK) {
            return ERR_INVALID;
        }
    }
    *out = bundle.size - rest.size;
    return OK;
}

/* The first `width` of the file of a tile as wide as `stored`. */
static enum err read_as(const struct tile_directory *d, const struct tlog_tile *stored,
                        unsigned width, struct buffer *out)
{
    char path[PATH_SIZE];
    struct buffer data;
    size_t size = (size_t)width * TLOG_HASH_SIZE;
    buffer_init(&data, TILE_DIRECTORY_BUNDLE_MAX);
    enum err e = path_of_tile(d, stored, path);
    if (e == OK) {
        e = files_read(path, &data, NULL);
    }
    if (e == OK && stored->kind == TLOG_TILE_ENTRIES) {
        e = bundle_size(buffer_bytes(&data), width, &size);
    } else if (e == OK && buffer_size(&data) != (size_t)stored->width * TLOG_HASH_SIZE) {
        e = ERR_INVALID;
    }
    if (e == OK) {
        e = buffer_append(out, bytes_of(buffer_bytes(&data).data, size));
    }
    buffer_finish(&data);
    return e;
}

enum err tile_directory_read(const struct tile_directory *directory, const struct tlog_tile *tile,
                             struct buffer *out)
{
    struct tlog_tile stored = *tile;
    enum err e = read_as(directory, &stored, tile->width, out);
    if (e == ERR_NOT_FOUND && tile->width < TLOG_TILE_WIDTH) {
        stored.width = TLOG_TILE_WIDTH;
        e = read_as(directory, &stored, tile->width, out);
    }
    /* Another control plane signed this size: here the tile was written when it was wider. */
    for (stored.width = tile->width + 1; e == ERR_NOT_FOUND && stored.width < TLOG_TILE_WIDTH;
         stored.width++) {
        e = read_as(directory, &stored, tile->width, out);
    }
    return e;
}

static enum err source_load(void *context, const struct tlog_tile *tile, uint8_t *out)
{
    struct buffer data;
    buffer_init(&data, TLOG_TILE_BYTES);
    enum err e = tile_directory_read(context, tile, &data);
    if (e == OK) {
        memcpy(out, buffer_bytes(&data).data, buffer_size(&data));
    }
    buffer_finish(&data);
    return e;
}

struct tlog_tile_source tile_directory_source(const struct tile_directory *directory)
{
    return (struct tlog_tile_source){.load = source_load, .context = (void *)(uintptr_t)directory};
}

/* --- removing ----------------------------------------------------------------------------------
 */

static bool is_superfluous(const struct tlog_tile *tile, uint64_t size)
{
    struct tlog_tile full = *tile;
    full.width = TLOG_TILE_WIDTH;
    return !tile_directory_has(size, tile) ||
           (tile->width < TLOG_TILE_WIDTH && tile_directory_has(size, &full));
}

static enum err trim_in(const struct tile_directory *d, const char *relative, uint64_t size,
                        unsigned depth, struct err_text *why);

/* A name that is no tile's is somebody else's, and stays. */
static enum err trim_entry(const struct tile_directory *d, const char *name,
                           const struct dirent *entry, uint64_t size, unsigned depth,
                           struct err_text *why)
{
    struct tlog_tile tile;
    char path[PATH_SIZE];
    if (entry->d_type == DT_DIR) {
        return depth < DEPTH_MAX ? trim_in(d, name, size, depth + 1, why) : OK;
    }
    if (tlog_tile_parse_path(bytes_of_string(name), &tile) != OK || !is_superfluous(&tile, size) ||
        path_of(d, name, path) != OK) {
        return OK;
    }
    step(d, "unlink");
    return unlink(path) == 0 || errno == ENOENT ? OK : failed(path, errno, why);
}

static enum err trim_in(const struct tile_directory *d, const char *relative, uint64_t size,
                        unsigned depth, struct err_text *why)
{
    char path[PATH_SIZE], name[PATH_SIZE];
    DIR *directory = path_of(d, relative, path) == OK ? opendir(path) : NULL;
    enum err e = OK;
    if (directory != NULL) {
        (void)fchmod(dirfd(directory), 0755); /* who made it may have died before that */
    }
    if (directory == NULL) {
        return errno == ENOENT ? OK : err_set(why, ERR_IO, "%.300s cannot be read", path);
    }
    for (struct dirent *entry = readdir(directory); e == OK && entry != NULL;
         entry = readdir(directory)) {
        int n = snprintf(name, sizeof(name), "%s/%s", relative, entry->d_name);
        if (entry->d_name[0] != '.' && n > 0 && (size_t)n < sizeof(name)) {
            e = trim_entry(d, name, entry, size, depth, why);
        }
    }
    (void)closedir(directory);
    (void)rmdir(path); /* only an empty one goes */
    return e;
}

enum err tile_directory_trim(struct tile_directory *directory, uint64_t size, struct err_text *why)
{
    return trim_in(directory, "tile", size, 0, why);
}

static void sweep_tile(struct tile_directory *d, struct tlog_tile tile)
{
    char path[PATH_SIZE];
    for (tile.width = 1; tile.width < TLOG_TILE_WIDTH; tile.width++) {
        if (path_of_tile(d, &tile, path) == OK) {
            (void)unlink(path);
        }
    }
    *strrchr(path, '/') = '\0';
    (void)rmdir(path);
}

void tile_directory_sweep(struct tile_directory *directory, uint64_t before, uint64_t after)
{
    for (unsigned level = 0; level < TLOG_TILE_LEVELS; level++) {
        uint64_t count = before >> (TLOG_TILE_HEIGHT * level);
        struct tlog_tile edge = {.kind = TLOG_TILE_HASHES,
                                 .level = level,
                                 .index = count / TLOG_TILE_WIDTH,
                                 .width = TLOG_TILE_WIDTH};
        if (count % TLOG_TILE_WIDTH == 0 || !tile_directory_has(after, &edge)) {
            continue;
        }
        step(directory, "sweep");
        sweep_tile(directory, edge);
        if (level == 0) {
            edge.kind = TLOG_TILE_ENTRIES;
            sweep_tile(directory, edge);
        }
    }
}

/* --- the checkpoint ----------------------------------------------------------------------------
 */

enum err tile_directory_publish(struct tile_directory *directory, struct bytes note,
                                struct err_text *why)
{
    char path[PATH_SIZE];
    enum err e = path_of(directory, "checkpoint", path);
    step(directory, "publish");
    if (e == OK) {
        e = write_file(directory, path, note, true, why);
    }
    return e == OK ? sync_one(directory->path, O_DIRECTORY, why) : e;
}

enum err tile_directory_published(const struct tile_directory *directory, struct buffer *out)
{
    char path[PATH_SIZE];
    enum err e = path_of(directory, "checkpoint", path);
    return e == OK ? files_read(path, out, NULL) : e;
}

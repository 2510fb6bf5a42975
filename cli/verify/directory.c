#include "cli/verify/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUNDLE_ENTRY = 2 + TLOG_HASH_SIZE, BUNDLE_MAX = TLOG_TILE_WIDTH * BUNDLE_ENTRY };

struct directory {
    int root;
    const struct verify_options *options;
    struct report *report;
    struct verify_result *result;
    struct known_tiles *tiles;
    uint64_t total, done;
    bool is_missing; /* a tile or a bundle, reported */
};

/* Reads at most `max` bytes of a file. ERR_NOT_FOUND; ERR_LIMIT: it is longer. */
static enum err read_file(int root, const char *name, uint8_t *out, size_t max, size_t *out_size)
{
    uint8_t more = 0;
    int fd = openat(root, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_IO;
    }
    size_t size = 0;
    ssize_t n = 1;
    while (n > 0) {
        n = size < max ? read(fd, out + size, max - size) : read(fd, &more, 1);
        if (n < 0 && errno == EINTR) {
            n = 1;
            continue;
        }
        if (n > 0 && size == max) {
            (void)close(fd);
            return ERR_LIMIT;
        }
        size += n > 0 ? (size_t)n : 0;
    }
    (void)close(fd);
    *out_size = size;
    return n < 0 ? ERR_IO : OK;
}

static void say_tile(struct directory *d, const struct tlog_tile *tile, enum report_kind kind,
                     const char *what)
{
    char path[TLOG_TILE_PATH_SIZE];
    report_add(d->report, kind, 0, "%s: %s", tlog_tile_format_path(tile, path) == OK ? path : "?",
               what);
}

/* A full tile stands for the partial ones that it replaced. */
static enum err load(struct directory *d, const struct tlog_tile *tile, uint8_t *out, size_t max,
                     size_t *out_size)
{
    char path[TLOG_TILE_PATH_SIZE];
    struct tlog_tile full = *tile;
    enum err e = tlog_tile_format_path(tile, path);
    e = e == OK ? read_file(d->root, path, out, max, out_size) : e;
    full.width = TLOG_TILE_WIDTH;
    if (e == ERR_NOT_FOUND && tile->width < TLOG_TILE_WIDTH &&
        tlog_tile_format_path(&full, path) == OK) {
        e = read_file(d->root, path, out, max, out_size);
    }
    return e;
}

static bool say_failed(struct directory *d, const struct tlog_tile *tile, enum err e)
{
    if (e == ERR_NOT_FOUND) {
        bool is_last = tile->width < TLOG_TILE_WIDTH;
        say_tile(d, tile, is_last ? REPORT_TRUNCATED : REPORT_REMOVED, "it is missing");
    } else if (e != OK) {
        say_tile(d, tile, e == ERR_LIMIT ? REPORT_MALFORMED : REPORT_UNCHECKED,
                 e == ERR_LIMIT ? "it is too long" : "it cannot be read");
    }
    d->is_missing = d->is_missing || e != OK;
    return e != OK;
}

/* The entries are hashes of records (api/log.proto). */
static void check_bundle(struct directory *d, const struct tlog_tile *tile, struct bytes hashes)
{
    struct tlog_tile bundle = *tile;
    uint8_t data[BUNDLE_MAX];
    size_t size = 0;
    unsigned at = 0;
    bundle.kind = TLOG_TILE_ENTRIES;
    if (say_failed(d, &bundle, load(d, &bundle, data, sizeof(data), &size))) {
        return;
    }
    size_t wanted = (size_t)tile->width * BUNDLE_ENTRY;
    enum err e =
        size < wanted ? ERR_INVALID : tlog_bundle_check(bytes_of(data, wanted), hashes, &at);
    if (e == ERR_DENIED) {
        uint64_t position = tile->index * TLOG_TILE_WIDTH + at + 1;
        report_add(d->report, REPORT_CHANGED, position,
                   "entry of the record at position %" PRIu64
                   ": it is not the hash that was logged",
                   position);
    } else if (e != OK) {
        say_tile(d, &bundle, size < wanted ? REPORT_TRUNCATED : REPORT_MALFORMED,
                 "it has not the form of a bundle of hashes");
    }
}

static enum err visit(void *context, const struct tlog_tile *tile)
{
    struct directory *d = context;
    uint8_t data[TLOG_TILE_BYTES];
    size_t size = 0, wanted = (size_t)tile->width * TLOG_HASH_SIZE;
    if (say_failed(d, tile, load(d, tile, data, sizeof(data), &size))) {
        return OK;
    }
    if (size < wanted || (size > wanted && size != TLOG_TILE_BYTES)) {
        say_tile(d, tile, size < wanted ? REPORT_TRUNCATED : REPORT_MALFORMED,
                 "it has not the size of its hashes");
        d->is_missing = true;
        return OK;
    }
    enum err e = known_tiles_add(d->tiles, tile, bytes_of(data, wanted));
    if (e == OK && tile->level == 0) {
        check_bundle(d, tile, bytes_of(data, wanted));
        d->done += tile->width;
        if (d->options->on_progress != NULL) {
            d->options->on_progress(d->options->context, d->done, d->total);
        }
    }
    return e;
}

static enum err read_checkpoint(struct directory *d, struct err_text *why)
{
    uint8_t *note = malloc(TLOG_NOTE_SIZE_MAX);
    size_t size = 0;
    if (note == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err e = read_file(d->root, "checkpoint", note, TLOG_NOTE_SIZE_MAX, &size);
    struct trust_checkpoint *c = &d->result->checkpoint;
    if (e == OK) {
        d->result->has_checkpoint =
            trust_open(d->options->trust, "the checkpoint", bytes_of(note, size),
                       d->options->origin, c, d->report) == OK;
    } else {
        e = err_set(why, e, "the file checkpoint: %s", err_name(e));
    }
    free(note);
    return e;
}

static void check_kept(struct directory *d)
{
    struct trust_checkpoint kept = {0};
    if (d->options->kept.size > 0 &&
        trust_open(d->options->trust, "the checkpoint that was kept", d->options->kept,
                   d->options->origin, &kept, d->report) == OK) {
        trust_compare(&kept, &d->result->checkpoint, known_tiles_source(d->tiles), d->report);
    }
}

static enum err check_all(struct directory *d, struct err_text *why)
{
    enum err e = read_checkpoint(d, why);
    const struct trust_checkpoint *c = &d->result->checkpoint;
    if (e != OK || c->origin[0] == '\0') {
        return e; /* nothing to check tiles with: it was reported */
    }
    d->total = c->size;
    e = tlog_tile_each_new(0, c->size, visit, d);
    if (e != OK) {
        return err_set(why, e, "the tiles: %s", err_name(e));
    }
    d->result->tiles = known_tiles_count(d->tiles);
    d->result->summary.records = c->size;
    if (!d->is_missing) {
        enum err proved = known_tiles_check(d->tiles, c->size, &c->root, d->report);
        (void)proved; /* it reports what is wrong */
    }
    check_kept(d);
    return OK;
}

enum err directory_verify(const char *path, const struct verify_options *options,
                          struct report *report, struct verify_result *out, struct err_text *why)
{
    struct directory d = {.options = options, .report = report, .result = out};
    if (options->trust->log_count == 0) {
        return err_set(why, ERR_INVALID,
                       "a log's directory has no keys: --log-key says which one to believe");
    }
    d.tiles = known_tiles_create();
    d.root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum err e = d.tiles == NULL ? ERR_NO_MEMORY
                 : d.root < 0    ? err_set(why, ERR_IO, "%s: %s", path, strerror(errno))
                                 : check_all(&d, why);
    if (d.root >= 0) {
        (void)close(d.root);
    }
    known_tiles_destroy(d.tiles);
    return e;
}

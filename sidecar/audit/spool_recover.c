#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sidecar/audit/spool_internal.h"

/* What a file's name says. */
struct spool_file {
    uint32_t epoch;
    uint64_t first;
};

struct recovery {
    struct spool *spool;
    struct spool_losses *losses;
    struct err_text *why;
    struct spool_file *files; /* sorted */
    size_t count;
    uint64_t last;                   /* of the records seen so far */
    uint8_t hash[SEGMENT_HASH_SIZE]; /* its hash */
    struct segment *unused;          /* the last file, without a record; owned */
};

static void losses_add(struct recovery *r, uint64_t first, uint64_t last, const char *reason)
{
    uint64_t acknowledged = atomic_load(&r->spool->acknowledged);
    if (first <= acknowledged) {
        first = acknowledged + 1; /* the control plane has the rest */
    }
    if (first > last) {
        return;
    }
    struct spool_losses *l = r->losses;
    if (l->count == SPOOL_LOSSES) {
        l->all[SPOOL_LOSSES - 1].last = last;
    } else {
        l->all[l->count++] = (struct spool_loss){.first = first, .last = last, .reason = reason};
    }
    log_event(r->spool->log, LOG_ERROR, "audit_records_lost", log_number("first", (int64_t)first),
              log_number("last", (int64_t)last), log_text("reason", reason));
}

static int compare_files(const void *a, const void *b)
{
    uint64_t x = ((const struct spool_file *)a)->first;
    uint64_t y = ((const struct spool_file *)b)->first;
    return x < y ? -1 : x > y;
}

static bool read_name(const char *name, struct spool_file *out)
{
    char exact[SEGMENT_NAME_SIZE];
    static const char prefix[] = "segment-";
    if (strncmp(name, prefix, sizeof(prefix) - 1) != 0) {
        return false;
    }
    char *at = NULL;
    out->epoch = (uint32_t)strtoul(name + sizeof(prefix) - 1, &at, 10);
    out->first = *at == '-' ? strtoull(at + 1, NULL, 10) : 0;
    if (out->first == 0) {
        return false;
    }
    /* Whatever else was in it, overflow too, shows here. */
    segment_name(out->epoch, out->first, exact);
    return strcmp(exact, name) == 0;
}

static enum err read_directory(struct recovery *r, DIR *d)
{
    size_t capacity = 0;
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        struct spool_file file;
        if (!read_name(e->d_name, &file)) {
            continue;
        }
        if (r->count == capacity) {
            capacity = capacity == 0 ? 64 : 2 * capacity;
            struct spool_file *files = reallocarray(r->files, capacity, sizeof(*files));
            if (files == NULL) {
                return ERR_NO_MEMORY;
            }
            r->files = files;
        }
        r->files[r->count++] = file;
    }
    return OK;
}

static enum err list_files(struct recovery *r)
{
    int fd = dup(r->spool->dir);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (d == NULL) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return err_set(r->why, ERR_IO, "the spool's directory cannot be read: %s", strerror(errno));
    }
    rewinddir(d);
    enum err result = read_directory(r, d);
    (void)closedir(d);
    if (r->count > 0) {
        qsort(r->files, r->count, sizeof(*r->files), compare_files);
    }
    return result;
}

static void unlink_segment(struct spool *s, const struct spool_file *file)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(file->epoch, file->first, name);
    (void)unlinkat(s->dir, name, 0);
}

/* Files of another epoch: older ones were copied under new numbers, newer ones are what is left of
 * copying that was interrupted. */
static void keep_epoch(struct recovery *r, bool is_known, uint32_t epoch)
{
    if (!is_known) {
        /* The oldest: its files are whole, whatever was interrupted. */
        epoch = r->count > 0 ? r->files[0].epoch : 0;
        for (size_t i = 1; i < r->count; i++) {
            epoch = r->files[i].epoch < epoch ? r->files[i].epoch : epoch;
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < r->count; i++) {
        if (r->files[i].epoch == epoch) {
            r->files[kept++] = r->files[i];
        } else {
            unlink_segment(r->spool, &r->files[i]);
        }
    }
    r->count = kept;
    atomic_store(&r->spool->epoch, epoch);
}

/* Keeps a file that cannot be used for whoever looks into it, under a name that is not ours. */
static void set_aside(struct spool *s, const struct spool_file *file)
{
    char name[SEGMENT_NAME_SIZE];
    char aside[SEGMENT_NAME_SIZE + 8];
    segment_name(file->epoch, file->first, name);
    (void)snprintf(aside, sizeof(aside), "damaged-%s", name);
    (void)renameat(s->dir, name, s->dir, aside);
    log_event(s->log, LOG_ERROR, "spool_file_set_aside", log_text("file", aside));
}

/* Numbers that a file of which nothing can be read may have used. */
static uint64_t most_records(const struct spool *s)
{
    return s->segment_size / SEGMENT_FRAME_MIN + 1;
}

/* Whole records of a file, its place in the list, and what is missing before and in it. */
static void take_segment(struct recovery *r, const struct spool_file *file, struct segment *g,
                         bool is_last)
{
    struct spool *s = r->spool;
    struct bytes memory = bytes_of(g->base, g->size);
    struct segment_summary summary;
    segment_scan(memory, &g->info, &summary);
    losses_add(r, r->last + 1, g->info.first - 1, "records before a file of the spool are missing");
    for (size_t i = 0; i < summary.gap_count; i++) {
        losses_add(r, summary.gaps[i].first, summary.gaps[i].last,
                   "a file of the spool is damaged");
    }
    r->last = summary.last;
    memcpy(r->hash, summary.hash, SEGMENT_HASH_SIZE);
    atomic_store(&g->end, summary.end);
    atomic_store(&g->last, summary.last);
    g->synced = g->info.first - 1;
    g->sealed = true;
    if (is_last && summary.maybe_more > 0) {
        losses_add(r, r->last + 1, r->last + summary.maybe_more,
                   "the end of the spool is damaged: at most these records were behind it");
        r->last += summary.maybe_more;
    }
    g->has_clean_end = summary.maybe_more == 0;
    if (summary.last >= g->info.first) {
        segment_list_add(s, g);
        s->used += g->size;
    } else if (!g->has_clean_end) {
        set_aside(s, file);
    } else if (is_last && g->size == s->segment_size) {
        r->unused = g;
    } else {
        unlink_segment(s, file);
    }
}

/* OK and NULL: the file has no header that can be used. */
static enum err open_segment(struct recovery *r, const struct spool_file *file,
                             struct segment **out)
{
    struct spool *s = r->spool;
    struct stat status;
    char name[SEGMENT_NAME_SIZE];
    struct segment *g = calloc(1, sizeof(*g));
    if (g == NULL) {
        return ERR_NO_MEMORY;
    }
    g->fd = -1;
    segment_name(file->epoch, file->first, name);
    int fd = openat(s->dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &status) != 0) {
        if (fd >= 0) {
            (void)close(fd);
        }
        free(g);
        return err_set(r->why, ERR_IO, "%s cannot be opened: %s", name, strerror(errno));
    }
    g->size = (size_t)status.st_size;
    bool is_short = status.st_size < SEGMENT_HEADER_SIZE;
    void *base = is_short ? MAP_FAILED : s->system.map(s->system.context, fd, g->size, PROT_READ);
    (void)close(fd);
    if (base == MAP_FAILED && !is_short) { /* no memory: that is no damage */
        free(g);
        return err_set(r->why, ERR_NO_MEMORY, "%s cannot be mapped: %s", name, strerror(errno));
    }
    if (base == MAP_FAILED || segment_read_header(bytes_of(base, g->size), &g->info) != OK ||
        g->info.first != file->first || g->info.epoch != file->epoch || file->first <= r->last) {
        if (base != MAP_FAILED) {
            (void)munmap(base, g->size);
        }
        free(g);
        *out = NULL;
        return OK;
    }
    g->base = base;
    *out = g;
    return OK;
}

/* A file without a usable header; the next one's number shows what is missing. */
static void pass_over(struct recovery *r, const struct spool_file *file, bool is_last)
{
    set_aside(r->spool, file);
    if (is_last) {
        uint64_t first = file->first > r->last ? file->first : r->last + 1;
        uint64_t last = first - 1 + most_records(r->spool);
        losses_add(r, r->last + 1, last,
                   "the last file of the spool cannot be read: at most these records were in it");
        r->last = last;
    }
}

static enum err recover_one(struct recovery *r, size_t i)
{
    struct spool *s = r->spool;
    const struct spool_file *file = &r->files[i];
    bool is_last = i + 1 == r->count;
    if (!is_last && r->files[i + 1].first - 1 <= atomic_load(&s->acknowledged)) {
        unlink_segment(s, file); /* everything in it was acknowledged */
        return OK;
    }
    struct segment *g = NULL;
    enum err result = open_segment(r, file, &g);
    if (result != OK) {
        return result;
    }
    if (g == NULL) {
        pass_over(r, file, is_last);
        return OK;
    }
    if (strcmp(g->info.sidecar, s->sidecar) != 0) {
        result = err_set(r->why, ERR_DENIED,
                         "the spool belongs to sidecar %s, not to %s: give each its own directory",
                         g->info.sidecar, s->sidecar);
    } else {
        take_segment(r, file, g, is_last);
    }
    (void)munmap(g->base, g->size);
    g->base = NULL;
    if (!g->listed && r->unused != g) {
        free(g);
    }
    return result;
}

/* Nothing is appended to an old file, so it gives back what was preallocated behind its end. Only
 * done when a new file stands behind it: a short last file means that something was cut off. */
static void trim_segments(struct spool *s)
{
    for (struct segment *g = s->first; g != NULL && g != s->active; g = g->next) {
        char name[SEGMENT_NAME_SIZE];
        size_t end = atomic_load(&g->end);
        if (!g->has_clean_end) {
            continue; /* what is there is for whoever looks into it */
        }
        segment_name(g->info.epoch, g->info.first, name);
        int fd = openat(s->dir, name, O_WRONLY | O_CLOEXEC);
        if (fd >= 0 && end < g->size && ftruncate(fd, (off_t)end) == 0) {
            s->used -= g->size - end;
            g->size = end;
        }
        if (fd >= 0) {
            (void)close(fd);
        }
    }
}

static void recover_acknowledged(struct recovery *r)
{
    struct spool *s = r->spool;
    struct acknowledged known = {.sequence = 0};
    enum err result = acknowledged_read(s->dir, &known);
    if (result != OK && result != ERR_NOT_FOUND) {
        log_event(s->log, LOG_WARN, "spool_acknowledged_unreadable");
    }
    keep_epoch(r, result == OK, known.epoch);
    /* Only acknowledged files are deleted: what is before the first one was acknowledged. */
    if (r->count > 0 && r->files[0].first - 1 > known.sequence) {
        known.sequence = r->files[0].first - 1;
        memset(known.hash, 0, sizeof(known.hash));
    }
    memcpy(s->acknowledged_hash, known.hash, sizeof(known.hash));
    atomic_store(&s->acknowledged, known.sequence);
    r->last = r->count > 0 ? r->files[0].first - 1 : known.sequence;
    if (r->last == known.sequence) {
        memcpy(r->hash, known.hash, sizeof(r->hash));
    }
}

/* Writes on in the last file when it has no record yet: a sidecar that is killed again and again
 * must not need a new one each time. A torn append may have left bytes in it. */
static bool use_unused(struct recovery *r)
{
    struct spool *s = r->spool;
    struct segment *g = r->unused;
    if (g == NULL || g->info.first != s->next || segment_hold(s, g) != OK) {
        return false;
    }
    void *base = s->system.map(s->system.context, g->fd, g->size, PROT_READ | PROT_WRITE);
    (void)munmap(g->base, g->size);
    g->base = base == MAP_FAILED ? NULL : base;
    if (g->base == NULL) {
        (void)close(g->fd);
        return false;
    }
    for (size_t at = SEGMENT_HEADER_SIZE; at < g->size; at++) {
        if (g->base[at] != 0) {
            g->base[at] = 0;
        }
    }
    window_leave(g, g->size);
    g->sealed = false;
    segment_list_add(s, g);
    s->used += g->size;
    s->active = g;
    r->unused = NULL;
    return true;
}

/* A spool that is full, or a disk that is, is opened nevertheless: shipping is what empties it. */
static void start_writing(struct recovery *r)
{
    struct spool *s = r->spool;
    if (!use_unused(r)) {
        enum err result = segment_prepare(s);
        if (result == OK) {
            result = segment_activate(s, s->next, s->previous, &s->active);
        }
        if (result != OK) {
            log_event(s->log, LOG_ERROR, "spool_not_writable", log_text("error", err_name(result)));
            return;
        }
    }
    trim_segments(s);
}

enum err spool_recover(struct spool *s, struct spool_losses *losses, struct err_text *why)
{
    struct recovery r = {.spool = s, .losses = losses, .why = why};
    (void)unlinkat(s->dir, "next.spool", 0);
    enum err result = list_files(&r);
    if (result != OK) {
        goto out;
    }
    recover_acknowledged(&r);
    for (size_t i = 0; i < r.count && result == OK; i++) {
        result = recover_one(&r, i);
    }
    if (result != OK) {
        goto out;
    }
    if (r.last < atomic_load(&s->acknowledged)) {
        /* The host went down before the end was synced, but the control plane has it. */
        r.last = atomic_load(&s->acknowledged);
        memcpy(r.hash, s->acknowledged_hash, SEGMENT_HASH_SIZE);
    }
    s->next = r.last + 1;
    memcpy(s->previous, r.hash, SEGMENT_HASH_SIZE);
    start_writing(&r);
out:
    free(r.unused);
    free(r.files);
    return result;
}

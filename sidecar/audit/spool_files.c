#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto/crypto.h"
#include "sidecar/audit/spool_internal.h"

static const char prepared_name[] = "next.spool";
static const char acknowledged_name[] = "acknowledged";
static const char acknowledged_new_name[] = "acknowledged.new";

/* Between two attempts to make a file: an agent that hammers a full disk must not make the loop
 * hammer it too. */
enum { PREPARE_RETRY_NS = 100000000 };

void segment_name(uint32_t epoch, uint64_t first, char *out)
{
    (void)snprintf(out, SEGMENT_NAME_SIZE, "segment-%010" PRIu32 "-%020" PRIu64 ".spool", epoch,
                   first);
}

static enum err err_of_errno(int number)
{
    return number == ENOSPC || number == EDQUOT || number == EFBIG ? ERR_FULL : ERR_IO;
}

void segment_destroy(struct segment *g)
{
    if (g->base != NULL) {
        (void)munmap(g->base, g->size);
    }
    if (g->fd >= 0) {
        (void)close(g->fd);
    }
    free(g);
}

static enum err segment_make(struct spool *s, struct segment **out)
{
    enum err result = OK;
    struct segment *g = calloc(1, sizeof(*g));
    if (g == NULL) {
        return ERR_NO_MEMORY;
    }
    g->size = s->segment_size;
    g->fd = openat(s->dir, prepared_name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (g->fd < 0) {
        result = err_of_errno(errno);
        goto out;
    }
    int failed = s->system.allocate(s->system.context, g->fd, (off_t)g->size);
    if (failed != 0) {
        result = err_of_errno(failed);
        goto out;
    }
    void *base = s->system.map(s->system.context, g->fd, g->size, PROT_READ | PROT_WRITE);
    if (base == MAP_FAILED) {
        result = ERR_NO_MEMORY;
        goto out;
    }
    g->base = base;
    window_begin(g);
    *out = g;
    g = NULL;
out:
    if (g != NULL) {
        (void)unlinkat(s->dir, prepared_name, 0);
        segment_destroy(g);
    }
    return result;
}

static void prepare_failed(struct spool *s, enum err why, int64_t now)
{
    s->prepare_failed_ns = now;
    if (s->prepare_error != why) {
        log_event(s->log, LOG_ERROR, "spool_cannot_grow", log_text("error", err_name(why)),
                  log_number("used", (int64_t)s->used), log_number("cap", (int64_t)s->cap));
    }
    s->prepare_error = why;
}

enum err segment_prepare(struct spool *s)
{
    while (s->is_preparing) {
        (void)pthread_cond_wait(&s->prepared_wake, &s->lock);
    }
    if (s->prepared != NULL) {
        return OK;
    }
    int64_t now = clock_monotonic(&s->clock);
    if (s->prepare_error != OK && now - s->prepare_failed_ns < PREPARE_RETRY_NS) {
        return s->prepare_error;
    }
    if (s->used + s->segment_size > (s->is_rebasing ? 2 * s->cap : s->cap)) {
        prepare_failed(s, ERR_FULL, now);
        return ERR_FULL;
    }
    struct segment *g = NULL;
    s->is_preparing = true;
    s->used += s->segment_size;
    (void)pthread_mutex_unlock(&s->lock); /* it may take milliseconds */
    enum err result = segment_make(s, &g);
    (void)pthread_mutex_lock(&s->lock);
    s->is_preparing = false;
    (void)pthread_cond_broadcast(&s->prepared_wake);
    if (result != OK) {
        s->used -= s->segment_size;
        prepare_failed(s, result, now);
        return result;
    }
    s->prepared = g;
    s->prepare_error = OK;
    atomic_store(&s->is_prepared, true);
    return OK;
}

void segment_list_add(struct spool *s, struct segment *g)
{
    if (s->end_of_list == NULL) {
        s->first = g;
    } else {
        s->end_of_list->next = g;
    }
    s->end_of_list = g;
    g->listed = true;
}

enum err segment_activate(struct spool *s, uint64_t first, const uint8_t *previous,
                          struct segment **out)
{
    struct segment *g = s->prepared;
    struct segment_info info = {.size = g->size, .first = first, .epoch = atomic_load(&s->epoch)};
    struct crypto_random random = crypto_random_system();
    enum err result = crypto_random_fill(&random, (uint8_t *)&info.salt, sizeof(info.salt));
    if (result != OK) {
        return result;
    }
    memcpy(info.previous, previous, SEGMENT_HASH_SIZE);
    memcpy(info.sidecar, s->sidecar, sizeof(info.sidecar));
    /* The header first, so that a file of this name always has one. */
    segment_write_header(g->base, &info);
    char name[SEGMENT_NAME_SIZE];
    segment_name(info.epoch, first, name);
    if (renameat(s->dir, prepared_name, s->dir, name) != 0) {
        return err_of_errno(errno);
    }
    g->info = info;
    g->synced = first - 1;
    atomic_store(&g->end, SEGMENT_HEADER_SIZE);
    atomic_store(&g->last, first - 1);
    g->references = 1;
    segment_list_add(s, g);
    s->prepared = NULL;
    atomic_store(&s->is_prepared, false);
    *out = g;
    return OK;
}

enum err segment_hold(struct spool *s, struct segment *g)
{
    if (g->references > 0) {
        g->references++;
        return OK;
    }
    char name[SEGMENT_NAME_SIZE];
    segment_name(g->info.epoch, g->info.first, name);
    int fd = openat(s->dir, name, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return ERR_IO;
    }
    void *base = s->system.map(s->system.context, fd, g->size, PROT_READ);
    if (base == MAP_FAILED) {
        (void)close(fd);
        return ERR_NO_MEMORY;
    }
    g->fd = fd;
    g->base = base;
    g->references = 1;
    return OK;
}

void segment_release(struct spool *s, struct segment *g)
{
    (void)s;
    if (--g->references > 0) {
        return;
    }
    if (!g->listed) {
        segment_destroy(g);
        return;
    }
    (void)munmap(g->base, g->size);
    (void)close(g->fd);
    g->base = NULL;
    g->fd = -1;
}

void segment_delete(struct spool *s, struct segment *g)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(g->info.epoch, g->info.first, name);
    (void)unlinkat(s->dir, name, 0);
    struct segment **link = &s->first;
    struct segment *before = NULL;
    while (*link != g) {
        before = *link;
        link = &before->next;
    }
    *link = g->next;
    if (s->end_of_list == g) {
        s->end_of_list = before;
    }
    g->next = NULL;
    g->listed = false;
    s->used -= g->size;
    s->prepare_error = OK; /* there is room again */
    if (g->references == 0) {
        segment_destroy(g);
    }
}

/* A decimal number and the character behind it. */
static bool read_number(const char **at, uint64_t *out)
{
    char *end = NULL;
    errno = 0;
    *out = strtoull(*at, &end, 10);
    if (errno != 0 || end == *at || (*end != ' ' && *end != '\n')) {
        return false;
    }
    *at = end + 1;
    return true;
}

enum err acknowledged_read(int dir, struct acknowledged *out)
{
    char text[128];
    int fd = openat(dir, acknowledged_name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
    }
    ssize_t n = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    if (n <= 0) {
        return ERR_INVALID;
    }
    text[n] = '\0';
    struct acknowledged a;
    uint64_t version = 0;
    uint64_t epoch = 0;
    const char *at = text;
    bool ok = read_number(&at, &version) && version == 1 && read_number(&at, &a.sequence) &&
              strlen(at) > 2 * SEGMENT_HASH_SIZE &&
              crypto_hex_decode(bytes_of(at, 2 * SEGMENT_HASH_SIZE), a.hash, sizeof(a.hash)) == OK;
    at += ok ? 2 * SEGMENT_HASH_SIZE + 1 : 0;
    if (!ok || !read_number(&at, &epoch) || epoch > UINT32_MAX) {
        return ERR_INVALID;
    }
    a.epoch = (uint32_t)epoch;
    *out = a;
    return OK;
}

enum err acknowledged_write(struct spool *s)
{
    char text[128];
    char hex[2 * SEGMENT_HASH_SIZE + 1];
    crypto_hex_encode(bytes_of(s->acknowledged_hash, SEGMENT_HASH_SIZE), hex);
    int length = snprintf(text, sizeof(text), "1 %" PRIu64 " %s %" PRIu32 "\n",
                          atomic_load(&s->acknowledged), hex, atomic_load(&s->epoch));
    int fd = openat(s->dir, acknowledged_new_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return err_of_errno(errno);
    }
    ssize_t n = write(fd, text, (size_t)length);
    if (close(fd) != 0 || n != length ||
        renameat(s->dir, acknowledged_new_name, s->dir, acknowledged_name) != 0) {
        return ERR_IO;
    }
    return OK;
}

#include "sidecar/audit/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sidecar/audit/spool_internal.h"

enum { SEGMENTS_MIN = 3 }; /* one to write, one prepared, one to ship */

static int real_allocate(void *context, int fd, off_t size)
{
    (void)context;
    return posix_fallocate(fd, 0, size);
}

static int real_sync(void *context, int fd)
{
    (void)context;
    return fdatasync(fd) == 0 ? 0 : errno;
}

static void *real_map(void *context, int fd, size_t size, int protection)
{
    (void)context;
    return mmap(NULL, size, protection, MAP_SHARED, fd, 0);
}

struct spool_system spool_system_real(void)
{
    return (struct spool_system){.allocate = real_allocate, .sync = real_sync, .map = real_map};
}

static enum err open_directory(struct spool *s, const char *dir, struct err_text *why)
{
    struct stat status;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        return err_set(why, ERR_IO, "the spool's directory %s cannot be made: %s", dir,
                       strerror(errno));
    }
    s->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->dir < 0 || fstat(s->dir, &status) != 0) {
        return err_set(why, ERR_IO, "the spool's directory %s cannot be opened: %s", dir,
                       strerror(errno));
    }
    /* It holds what agents asked and were answered. */
    if (status.st_uid != geteuid() || fchmod(s->dir, 0700) != 0) {
        return err_set(why, ERR_DENIED, "the spool's directory %s belongs to another user", dir);
    }
    s->lock_file = openat(s->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_file < 0) {
        return err_set(why, ERR_IO, "%s/lock cannot be opened: %s", dir, strerror(errno));
    }
    if (flock(s->lock_file, LOCK_EX | LOCK_NB) != 0) {
        return err_set(why, ERR_EXISTS, "another sidecar uses the spool in %s", dir);
    }
    return OK;
}

/* With the lock held. Not the active one: it is being written. True: there is more room now. */
static bool drop_acknowledged(struct spool *s)
{
    struct segment *g = s->first;
    bool has_dropped = false;
    while (g != NULL && g != s->active && atomic_load(&g->last) <= atomic_load(&s->acknowledged)) {
        struct segment *next = g->next;
        segment_delete(s, g);
        g = next;
        has_dropped = true;
    }
    return has_dropped;
}

static enum err start_thread(struct spool *s)
{
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&s->wake, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all); /* signals belong to the loop's thread */
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    s->thread_runs = pthread_create(&s->thread, NULL, spool_thread, s) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return s->thread_runs ? OK : ERR_NO_MEMORY;
}

static enum err check_options(const struct spool_options *o, struct err_text *why)
{
    size_t length = strlen(o->sidecar);
    if (length == 0 || length >= SEGMENT_SIDECAR_SIZE) {
        return err_set(why, ERR_INVALID, "the sidecar's id must have 1 to %d characters",
                       SEGMENT_SIDECAR_SIZE - 1);
    }
    if (o->segment_size < 4096 || o->segment_size % 4096 != 0 || o->segment_size > 1 << 30) {
        return err_set(why, ERR_INVALID,
                       "the spool's file size must be a multiple of 4096 up to 1 GiB");
    }
    if (o->cap < SEGMENTS_MIN * (uint64_t)o->segment_size) {
        return err_set(why, ERR_INVALID, "the spool's cap must be at least %d files", SEGMENTS_MIN);
    }
    return OK;
}

enum err spool_open(const struct spool_options *options, struct spool **out,
                    struct spool_losses *out_losses, struct err_text *why)
{
    enum err result = check_options(options, why);
    if (result != OK) {
        return result;
    }
    struct spool *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return ERR_NO_MEMORY;
    }
    memcpy(s->sidecar, options->sidecar, strlen(options->sidecar));
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->prepared_wake, NULL);
    s->dir = -1;
    s->lock_file = -1;
    s->segment_size = options->segment_size;
    s->cap = options->cap;
    s->reserve = options->segment_size / 4 < SPOOL_RESERVE ? options->segment_size / 4
                                                           : (size_t)SPOOL_RESERVE;
    s->clock = *options->clock;
    s->log = options->log;
    s->system = options->system;
    s->on_synced = options->on_synced;
    s->context = options->context;
    struct spool_losses losses = {.count = 0};
    result = open_directory(s, options->dir, why);
    if (result == OK) {
        (void)pthread_mutex_lock(&s->lock);
        result = spool_recover(s, &losses, why);
        (void)pthread_mutex_unlock(&s->lock);
    }
    if (result == OK) {
        atomic_store(&s->committed, s->next - 1);
        atomic_store(&s->synced, atomic_load(&s->acknowledged));
        (void)drop_acknowledged(s);
        result = start_thread(s);
    }
    if (result != OK) {
        spool_close(s);
        return result;
    }
    *out_losses = losses;
    *out = s;
    return OK;
}

static void stop_thread(struct spool *s)
{
    (void)pthread_mutex_lock(&s->lock);
    s->stop = true;
    (void)pthread_cond_signal(&s->wake);
    (void)pthread_mutex_unlock(&s->lock);
    (void)pthread_join(s->thread, NULL);
    if (s->active != NULL && s->system.sync(s->system.context, s->active->fd) != 0) {
        log_event(s->log, LOG_ERROR, "spool_sync_failed");
    }
    if (acknowledged_write(s) != OK) {
        log_event(s->log, LOG_WARN, "spool_acknowledged_not_written");
    }
}

void spool_close(struct spool *s)
{
    if (s == NULL) {
        return;
    }
    if (s->thread_runs) {
        stop_thread(s);
        (void)pthread_cond_destroy(&s->wake);
    }
    (void)pthread_cond_destroy(&s->prepared_wake);
    (void)pthread_mutex_destroy(&s->lock);
    if (s->prepared != NULL) {
        (void)unlinkat(s->dir, "next.spool", 0);
        segment_destroy(s->prepared);
    }
    while (s->first != NULL) {
        struct segment *next = s->first->next;
        segment_destroy(s->first);
        s->first = next;
    }
    if (s->lock_file >= 0) {
        (void)close(s->lock_file);
    }
    if (s->dir >= 0) {
        (void)close(s->dir);
    }
    free(s);
}

/* ---- the writer ---- */

size_t spool_record_cap(const struct spool *s)
{
    return s->segment_size - SEGMENT_HEADER_SIZE - SEGMENT_FRAME_SIZE - SEGMENT_ALIGNMENT;
}

/* Puts the prepared file in the active one's place. */
static enum err rotate(struct spool *s, uint64_t first, const uint8_t *previous)
{
    struct segment *g = NULL;
    (void)pthread_mutex_lock(&s->lock);
    enum err result = segment_prepare(s);
    if (result == OK) {
        result = segment_activate(s, first, previous, &g);
    }
    if (result == OK) {
        if (s->active != NULL) {
            s->active->sealed = true;
            segment_release(s, s->active);
        }
        s->active = g;
        (void)pthread_cond_signal(&s->wake); /* to prepare the one after it */
    }
    (void)pthread_mutex_unlock(&s->lock);
    return result;
}

static enum err prepare_now(struct spool *s)
{
    (void)pthread_mutex_lock(&s->lock);
    enum err result = segment_prepare(s);
    (void)pthread_mutex_unlock(&s->lock);
    return result;
}

enum err spool_reserve(struct spool *s, size_t size, bool privileged, uint8_t **out)
{
    if (size == 0 || size > spool_record_cap(s)) {
        return ERR_LIMIT;
    }
    size_t need = segment_frame_size(size);
    for (;;) {
        size_t end =
            s->active == NULL ? 0 : atomic_load_explicit(&s->active->end, memory_order_relaxed);
        size_t room = s->active == NULL ? 0 : s->active->size - end;
        bool is_prepared = atomic_load_explicit(&s->is_prepared, memory_order_relaxed);
        if (need <= room && (privileged || is_prepared || room - need >= s->reserve)) {
            *out = s->active->base + end + SEGMENT_FRAME_SIZE;
            return OK;
        }
        enum err result = need <= room ? prepare_now(s) : rotate(s, s->next, s->previous);
        if (result != OK) {
            return result;
        }
    }
}

/* When the lock is taken the thread looks at the window by itself, or is told a step later. */
static void wake_for_window(struct spool *s)
{
    if (pthread_mutex_trylock(&s->lock) == 0) {
        (void)pthread_cond_signal(&s->wake);
        (void)pthread_mutex_unlock(&s->lock);
    }
}

void spool_commit(struct spool *s, size_t size, const uint8_t *hash)
{
    struct segment *g = s->active;
    size_t end = atomic_load_explicit(&g->end, memory_order_relaxed);
    segment_commit(g->base + end, size, g->info.salt ^ s->next, hash);
    size_t new_end = end + segment_frame_size(size);
    atomic_store_explicit(&g->end, new_end, memory_order_release);
    atomic_store_explicit(&g->last, s->next, memory_order_release);
    atomic_store(&s->committed, s->next); /* sequentially consistent: see recorder_want_notice */
    memcpy(s->previous, hash, SEGMENT_HASH_SIZE);
    s->next++;
    if (window_is_passed(end, new_end)) {
        wake_for_window(s);
    }
}

uint64_t spool_next(const struct spool *s, const uint8_t **out_previous)
{
    *out_previous = s->previous;
    return s->next;
}

enum err spool_start_segment(struct spool *s, uint64_t first, const uint8_t *previous)
{
    enum err result = rotate(s, first, previous);
    if (result == OK) {
        s->next = first;
        memcpy(s->previous, previous, SEGMENT_HASH_SIZE);
        atomic_store(&s->committed, first - 1);
    }
    return result;
}

/* ---- any thread ---- */

uint64_t spool_committed(const struct spool *s)
{
    return atomic_load(&s->committed);
}

uint64_t spool_synced(const struct spool *s)
{
    return atomic_load(&s->synced);
}

uint64_t spool_acknowledged(const struct spool *s)
{
    return atomic_load(&s->acknowledged);
}

enum err spool_sync_state(const struct spool *s)
{
    return (enum err)atomic_load(&s->sync_state);
}

uint64_t spool_used(struct spool *s)
{
    (void)pthread_mutex_lock(&s->lock);
    uint64_t used = s->used;
    (void)pthread_mutex_unlock(&s->lock);
    return used;
}

void spool_request_sync(struct spool *s, uint64_t sequence)
{
    uint64_t committed = atomic_load(&s->committed);
    (void)pthread_mutex_lock(&s->lock);
    if (sequence > committed) {
        sequence = committed; /* what was not written cannot be waited for by the thread */
    }
    if (sequence > s->sync_requested) {
        s->sync_requested = sequence;
    }
    (void)pthread_cond_signal(&s->wake);
    (void)pthread_mutex_unlock(&s->lock);
}

void spool_acknowledge(struct spool *s, uint64_t sequence, const uint8_t *hash)
{
    (void)pthread_mutex_lock(&s->lock);
    if (sequence > atomic_load(&s->acknowledged)) {
        atomic_store(&s->acknowledged, sequence);
        if (hash != NULL) {
            memcpy(s->acknowledged_hash, hash, SEGMENT_HASH_SIZE);
        } else {
            memset(s->acknowledged_hash, 0, SEGMENT_HASH_SIZE);
        }
        /* Nothing is new to the thread when it waits for the time to write the number already. */
        bool is_news = !s->acknowledged_dirty;
        s->acknowledged_dirty = true;
        if (drop_acknowledged(s) || is_news) {
            (void)pthread_cond_signal(&s->wake);
        }
    }
    (void)pthread_mutex_unlock(&s->lock);
}

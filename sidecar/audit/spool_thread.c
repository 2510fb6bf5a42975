#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "sidecar/audit/spool_internal.h"

enum {
    RETRY_NS = 1000000000,       /* after a failure of the disk */
    ACKNOWLEDGED_NS = 500000000, /* the file is written at most this often */
    PAGE_STEP = 4096,            /* the smallest page there is */
};

/* Fdatasync of a file that is held. */
static enum err sync_file(struct spool *s, struct segment *g, bool is_named_durably)
{
    if (s->system.sync(s->system.context, g->fd) != 0) {
        return ERR_IO;
    }
    if (!is_named_durably && s->system.sync(s->system.context, s->dir) != 0) {
        return ERR_IO;
    }
    return OK;
}

/* After a failed sync the kernel takes the pages for clean, though they are not on the disk: each
 * is touched, so that the next sync writes it. */
static void make_dirty(struct segment *g, bool is_sealed)
{
    size_t end = atomic_load(&g->end);
    for (size_t at = 0; at < end; at += PAGE_STEP) {
        if (is_sealed) { /* perhaps mapped for reading only; nobody writes to it */
            ssize_t n = pwrite(g->fd, g->base + at, 1, (off_t)at);
            (void)n; /* the sync will tell */
        } else {     /* the loop's thread may append at the same time */
            (void)__atomic_fetch_or((uint32_t *)(void *)(g->base + at), 0, __ATOMIC_RELAXED);
        }
    }
}

/* The oldest file with something up to `target` that is not synced; NULL: none. With the lock
 * held. */
static struct segment *find_unsynced(struct spool *s, uint64_t target)
{
    for (struct segment *g = s->first; g != NULL; g = g->next) {
        uint64_t last = atomic_load(&g->last);
        if (g->synced < (last < target ? last : target)) {
            return g;
        }
    }
    return NULL;
}

/* With the lock held, which it gives up in between. Everything that was committed when it began is
 * on the disk when it returns OK: one sync serves all who wait. */
static enum err sync_all(struct spool *s)
{
    uint64_t target = atomic_load(&s->committed);
    enum err result = OK;
    bool again = atomic_load(&s->sync_state) != OK;
    struct segment *g;
    while (result == OK && (g = find_unsynced(s, target)) != NULL) {
        uint64_t last = atomic_load(&g->last);
        bool is_named_durably = g->named_durably;
        bool is_sealed = g->sealed;
        result = segment_hold(s, g);
        if (result != OK) {
            break;
        }
        (void)pthread_mutex_unlock(&s->lock);
        if (again) {
            make_dirty(g, is_sealed);
        }
        result = sync_file(s, g, is_named_durably);
        (void)pthread_mutex_lock(&s->lock);
        if (result == OK) {
            g->synced = last;
            g->named_durably = true;
        }
        segment_release(s, g);
    }
    if (result == OK) {
        atomic_store(&s->synced, target);
    }
    return result;
}

static void do_sync(struct spool *s)
{
    enum err before = (enum err)atomic_load(&s->sync_state);
    enum err result = sync_all(s);
    atomic_store(&s->sync_state, (int)result);
    if (result != OK) {
        s->sync_failed_ns = clock_monotonic(&s->clock);
    }
    if (result != before) {
        log_event(s->log, result == OK ? LOG_INFO : LOG_ERROR,
                  result == OK ? "spool_sync_works_again" : "spool_sync_failed",
                  log_text("error", err_name(result)));
    }
    (void)pthread_mutex_unlock(&s->lock);
    s->on_synced(s->context);
    (void)pthread_mutex_lock(&s->lock);
}

static void write_acknowledged(struct spool *s)
{
    s->acknowledged_dirty = false;
    /* When it cannot be written, records are shipped twice after a restart and ignored. */
    if (acknowledged_write(s) != OK) {
        log_event(s->log, LOG_WARN, "spool_acknowledged_not_written");
    }
}

static bool wants_sync(const struct spool *s)
{
    return s->sync_requested > atomic_load(&s->synced);
}

static void wait_for_work(struct spool *s, int64_t timeout_ns)
{
    if (timeout_ns < 0) {
        (void)pthread_cond_wait(&s->wake, &s->lock);
        return;
    }
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t at = (int64_t)until.tv_sec * 1000000000 + until.tv_nsec + timeout_ns;
    until.tv_sec = at / 1000000000;
    until.tv_nsec = at % 1000000000;
    (void)pthread_cond_timedwait(&s->wake, &s->lock, &until);
}

void *spool_thread(void *spool)
{
    struct spool *s = spool;
    int64_t acknowledged_ns = 0;
    (void)pthread_mutex_lock(&s->lock);
    while (!s->stop) {
        int64_t now = clock_monotonic(&s->clock);
        int64_t timeout = -1;
        if (window_is_due(s)) {
            window_move(s);
            continue; /* the lock was given up: things may have changed */
        }
        if (s->prepared == NULL && s->prepare_error == OK) {
            enum err prepared = segment_prepare(s);
            (void)prepared; /* logged, and tried again when something was deleted */
            continue;       /* as above */
        }
        if (wants_sync(s)) {
            int64_t rest = s->sync_failed_ns + RETRY_NS - now;
            if (atomic_load(&s->sync_state) == OK || rest <= 0) {
                do_sync(s);
                continue;
            }
            timeout = rest;
        }
        if (s->acknowledged_dirty) {
            int64_t rest = acknowledged_ns + ACKNOWLEDGED_NS - now;
            if (rest <= 0) {
                write_acknowledged(s);
                acknowledged_ns = now;
                continue;
            }
            timeout = timeout < 0 || rest < timeout ? rest : timeout;
        }
        wait_for_work(s, timeout);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return NULL;
}

#include "sidecar/audit/spool_internal.h"

enum err spool_rebase_begin(struct spool *s, uint64_t first, const uint8_t *previous)
{
    struct segment *g = NULL;
    (void)pthread_mutex_lock(&s->lock);
    s->is_rebasing = true;
    s->prepare_error = OK; /* a failure because of the cap does not count now */
    enum err result = segment_prepare(s);
    if (result == OK) {
        atomic_fetch_add(&s->epoch, 1);
        result = segment_activate(s, first, previous, &g);
        if (result != OK) {
            atomic_fetch_sub(&s->epoch, 1);
        }
    }
    if (result == OK) {
        s->old_active = s->active;
        s->old_next = s->next;
        memcpy(s->old_previous, s->previous, SEGMENT_HASH_SIZE);
        s->active = g;
        s->next = first;
        memcpy(s->previous, previous, SEGMENT_HASH_SIZE);
        atomic_store(&s->committed, first - 1);
    } else {
        s->is_rebasing = false;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return result;
}

/* With the lock held: deletes the files of this epoch, or those of all others. */
static void delete_files(struct spool *s, uint32_t epoch, bool of_this)
{
    struct segment *g = s->first;
    while (g != NULL) {
        struct segment *next = g->next;
        if ((g->info.epoch == epoch) == of_this) {
            segment_delete(s, g);
        }
        g = next;
    }
}

void spool_rebase_abort(struct spool *s)
{
    (void)pthread_mutex_lock(&s->lock);
    segment_release(s, s->active);
    delete_files(s, atomic_load(&s->epoch), true);
    atomic_fetch_sub(&s->epoch, 1);
    s->active = s->old_active;
    s->old_active = NULL;
    s->is_rebasing = false;
    s->next = s->old_next;
    memcpy(s->previous, s->old_previous, SEGMENT_HASH_SIZE);
    atomic_store(&s->committed, s->next - 1);
    (void)pthread_mutex_unlock(&s->lock);
}

/* With the lock held. The old files go away, so the new ones must be on the disk. */
static enum err sync_new_files(struct spool *s)
{
    enum err result = OK;
    for (struct segment *g = s->first; g != NULL && result == OK; g = g->next) {
        if (g->info.epoch != atomic_load(&s->epoch)) {
            continue;
        }
        result = segment_hold(s, g);
        if (result == OK) {
            if (s->system.sync(s->system.context, g->fd) != 0) {
                result = ERR_IO;
            } else {
                g->synced = atomic_load(&g->last);
            }
            segment_release(s, g);
        }
    }
    if (result == OK && s->system.sync(s->system.context, s->dir) != 0) {
        result = ERR_IO;
    }
    return result;
}

static uint64_t first_of_epoch(const struct spool *s)
{
    const struct segment *g = s->first;
    while (g->info.epoch != atomic_load(&s->epoch)) {
        g = g->next;
    }
    return g->info.first;
}

static const uint8_t *previous_of_epoch(const struct spool *s)
{
    const struct segment *g = s->first;
    while (g->info.epoch != atomic_load(&s->epoch)) {
        g = g->next;
    }
    return g->info.previous;
}

enum err spool_rebase_commit(struct spool *s)
{
    uint8_t old_hash[SEGMENT_HASH_SIZE];
    (void)pthread_mutex_lock(&s->lock);
    uint64_t old_acknowledged = atomic_load(&s->acknowledged);
    memcpy(old_hash, s->acknowledged_hash, sizeof(old_hash));
    enum err result = sync_new_files(s);
    if (result == OK) {
        /* This file says which files count: its replacement is the moment. */
        atomic_store(&s->acknowledged, first_of_epoch(s) - 1);
        memcpy(s->acknowledged_hash, previous_of_epoch(s), SEGMENT_HASH_SIZE);
        result = acknowledged_write(s);
    }
    if (result == OK) {
        if (s->old_active != NULL) {
            segment_release(s, s->old_active);
            s->old_active = NULL;
        }
        delete_files(s, atomic_load(&s->epoch), false);
        s->is_rebasing = false;
        atomic_store(&s->synced, atomic_load(&s->committed));
        s->sync_requested = 0;
        (void)pthread_cond_signal(&s->wake); /* to prepare the next file */
    } else {
        atomic_store(&s->acknowledged, old_acknowledged);
        memcpy(s->acknowledged_hash, old_hash, sizeof(old_hash));
    }
    (void)pthread_mutex_unlock(&s->lock);
    return result;
}

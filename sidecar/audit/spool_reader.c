#include <stdlib.h>

#include "sidecar/audit/spool_internal.h"

/* Files that a batch may borrow from before it is released: it may begin in one and end in the
 * next; with more of them than this the batch is cut. */
enum { READER_FILES = 4, READER_BEHIND = 256 << 10 };

struct spool_reader {
    struct spool *spool;
    struct segment *held[READER_FILES]; /* the last one is being read */
    size_t held_count;
    size_t offset, left; /* in the last one: what is read next; what is not looked at again */
    uint64_t after;      /* last number that was given */
    /* What is behind it was committed by this process since the reader is there, and is not hashed
     * a second time. Should it be damaged all the same, who gets it sees that the chain is broken,
     * and reads again from where it was: with another reader, to which nothing of it is fresh. */
    uint64_t fresh;
    uint32_t epoch;       /* of the files that it reads */
    size_t before_offset; /* for unread */
    uint64_t before;
};

enum err spool_reader_create(struct spool *s, uint64_t after, struct spool_reader **out)
{
    struct spool_reader *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return ERR_NO_MEMORY;
    }
    r->spool = s;
    r->after = after;
    r->fresh = spool_committed(s);
    r->epoch = atomic_load(&s->epoch);
    *out = r;
    return OK;
}

static void release_to(struct spool_reader *r, size_t keep)
{
    (void)pthread_mutex_lock(&r->spool->lock);
    while (r->held_count > keep) {
        segment_release(r->spool, r->held[0]);
        r->held_count--;
        for (size_t i = 0; i < r->held_count; i++) {
            r->held[i] = r->held[i + 1];
        }
    }
    (void)pthread_mutex_unlock(&r->spool->lock);
}

void spool_reader_destroy(struct spool_reader *r)
{
    if (r != NULL) {
        release_to(r, 0);
        free(r);
    }
}

void spool_reader_release(struct spool_reader *r)
{
    if (r->held_count > 1) {
        release_to(r, 1);
    }
    if (r->held_count == 1 && r->offset > r->left + READER_BEHIND) {
        window_leave(r->held[0], r->offset); /* one that catches up would map it all */
        r->left = r->offset;
    }
}

/* The first file with a number behind the last one given. With the lock held. */
static struct segment *find_segment(struct spool_reader *r)
{
    struct segment *g = r->spool->first;
    while (g != NULL && (g->info.epoch != r->epoch || atomic_load(&g->last) <= r->after)) {
        g = g->next;
    }
    return g;
}

/* Opens the file that is read next. SPOOL_RECORD: there may be one in it; SPOOL_NOTHING: there is
 * no file now, or no place for it. */
static enum spool_read advance(struct spool_reader *r)
{
    struct spool *s = r->spool;
    enum spool_read result = SPOOL_NOTHING;
    (void)pthread_mutex_lock(&s->lock);
    struct segment *g = find_segment(r);
    if (g != NULL && r->held_count > 0 && g == r->held[r->held_count - 1]) {
        result = SPOOL_RECORD; /* something was appended just now */
    } else if (g != NULL && r->held_count < READER_FILES) {
        result = segment_hold(s, g) == OK ? SPOOL_RECORD : SPOOL_UNREADABLE;
        if (result == SPOOL_RECORD) {
            r->held[r->held_count++] = g;
            r->offset = SEGMENT_HEADER_SIZE;
            r->left = 0;
        }
    }
    (void)pthread_mutex_unlock(&s->lock);
    return result;
}

static bool find_next(const struct spool_reader *r, const struct segment *g, struct bytes memory,
                      struct segment_frame *out)
{
    return (r->after >= r->fresh &&
            segment_read_own(memory, &g->info, r->offset, r->after + 1, out)) ||
           segment_find(memory, &g->info, r->offset, g->info.first - 1, out) == SEGMENT_FRAME;
}

/* The next record of the file that is open. */
static bool read_here(struct spool_reader *r, struct segment_frame *out)
{
    struct segment *g = r->held[r->held_count - 1];
    uint64_t last = atomic_load(&g->last);
    struct bytes memory = bytes_of(g->base, atomic_load(&g->end));
    struct segment_frame f;
    while (find_next(r, g, memory, &f)) {
        size_t at = r->offset;
        r->offset = f.next;
        if (f.sequence > r->after) {
            r->before_offset = at;
            r->before = r->after;
            r->after = f.sequence;
            *out = f;
            return true;
        }
    }
    if (r->offset < memory.size) {
        r->offset = memory.size; /* what is left is damaged, and no later look will mend it */
    }
    if (last > r->after) {
        r->after = last;
    }
    return false;
}

enum spool_read spool_reader_next(struct spool_reader *r, struct segment_frame *out)
{
    for (;;) {
        if (r->held_count > 0 && read_here(r, out)) {
            return SPOOL_RECORD;
        }
        bool is_current = r->epoch == atomic_load(&r->spool->epoch);
        if (is_current && spool_committed(r->spool) <= r->after) {
            return SPOOL_NOTHING;
        }
        enum spool_read result = advance(r);
        if (result != SPOOL_RECORD) {
            return result;
        }
    }
}

uint64_t spool_reader_position(const struct spool_reader *r)
{
    return r->after;
}

void spool_reader_unread(struct spool_reader *r)
{
    r->offset = r->before_offset;
    r->after = r->before;
}

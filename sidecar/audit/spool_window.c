#include <sys/mman.h>

#include "sidecar/audit/spool_internal.h"

/* A whole file in memory would be most of what a sidecar has there: pages that were written are
 * needed again by a reader only, who is close behind, and those far ahead not yet. What is unmapped
 * stays in the page cache and is mapped again by whoever touches it; all of this is only a help. */
enum {
    WINDOW = 512 << 10, /* ahead of the writer, at most: a hundredth of a second of the fastest */
    STEP = WINDOW / 2,  /* and at least, unless the thread is late */
    PAGE_ALIGN = 64 << 10, /* a multiple of all page sizes there are */
};

static size_t align_down(size_t n)
{
    return n / PAGE_ALIGN * PAGE_ALIGN;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The page faults here, on the thread, and not on the loop's. */
static void populate(const struct segment *g, size_t from, size_t to)
{
    if (from < to) {
        (void)madvise(g->base + from, to - from, MADV_POPULATE_WRITE);
    }
}

void window_begin(struct segment *g)
{
    g->populated = least(WINDOW, g->size);
    populate(g, 0, g->populated);
}

void window_leave(const struct segment *g, size_t end)
{
    if (align_down(end) > 0) {
        (void)madvise(g->base, align_down(end), MADV_DONTNEED);
    }
}

bool window_is_passed(size_t before, size_t after)
{
    return before / STEP != after / STEP;
}

bool window_is_due(const struct spool *s)
{
    const struct segment *g = s->active;
    return g != NULL && g->base != NULL && g->populated < g->size &&
           g->populated < atomic_load(&g->end) + STEP;
}

void window_move(struct spool *s)
{
    struct segment *g = s->active;
    size_t end = atomic_load(&g->end);
    size_t from = g->populated > align_down(end) ? g->populated : align_down(end);
    g->populated = least(align_down(end) + WINDOW + PAGE_ALIGN, g->size);
    if (segment_hold(s, g) != OK) {
        return;
    }
    size_t to = g->populated;
    (void)pthread_mutex_unlock(&s->lock); /* it may wait for the disk */
    populate(g, from, to);
    window_leave(g, end > STEP ? end - STEP : 0);
    (void)pthread_mutex_lock(&s->lock);
    segment_release(s, g);
}

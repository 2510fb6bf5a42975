#include "controlplane/store/sqlite_found.h"

#include <stdlib.h>

void found_init(struct found *found, uint64_t max, size_t max_size)
{
    *found = (struct found){.max = max, .max_size = max_size == 0 ? 1 : max_size};
}

void found_finish(struct found *found)
{
    free(found->items);
    *found = (struct found){0};
}

static void swap(struct found_record *a, struct found_record *b)
{
    struct found_record kept = *a;
    *a = *b;
    *b = kept;
}

static void sift_up(struct found_record *items, size_t at)
{
    while (at > 0 && items[(at - 1) / 2].order < items[at].order) {
        swap(&items[(at - 1) / 2], &items[at]);
        at = (at - 1) / 2;
    }
}

static void sift_down(struct found_record *items, size_t count)
{
    size_t at = 0;
    for (;;) {
        size_t left = 2 * at + 1, last = at;
        for (size_t child = left; child < count && child <= left + 1; child++) {
            last = items[child].order > items[last].order ? child : last;
        }
        if (last == at) {
            return;
        }
        swap(&items[at], &items[last]);
        at = last;
    }
}

static bool is_full(const struct found *f)
{
    return f->count >= f->max || f->size >= f->max_size;
}

bool found_is_beyond(const struct found *found, int64_t order)
{
    return is_full(found) && (found->count == 0 || order > found->items[0].order);
}

/* Whether the answer ends before the last one. */
static bool is_too_much(const struct found *f)
{
    return f->count > f->max || (f->count > 0 && f->size - f->items[0].size >= f->max_size);
}

static void last_drop(struct found *f)
{
    f->size -= f->items[0].size;
    f->items[0] = f->items[--f->count];
    sift_down(f->items, f->count);
    f->has_more = true;
}

static int order_compare(const void *a, const void *b)
{
    int64_t x = ((const struct found_record *)a)->order,
            y = ((const struct found_record *)b)->order;
    return (x > y) - (x < y);
}

static int order_compare_back(const void *a, const void *b)
{
    return order_compare(b, a);
}

/* What nothing can come before any more needs not be kept to be counted: an answer of which only
 * the last one is asked for may have any number. Where the order is backwards, it is a heap. */
static void settle(struct found *f, int64_t before)
{
    qsort(f->items, f->count, sizeof(f->items[0]), order_compare_back);
    while (f->count > 1 && f->items[f->count - 1].order < before) {
        f->count--;
        f->max--;
        f->size -= f->items[f->count].size;
    }
}

static enum err room_make(struct found *f, int64_t before)
{
    enum { FIRST_ROOM = 2048 }; /* more than a page has */
    if (f->count < f->room) {
        return OK;
    }
    if (f->count > 0) {
        settle(f, before);
    }
    if (f->room > 0 && f->count <= f->room / 2) {
        return OK;
    }
    if (f->room >= FOUND_KEPT_MAX) {
        return f->count < f->room ? OK : ERR_LIMIT;
    }
    size_t room = f->room == 0 ? FIRST_ROOM : 2 * f->room;
    struct found_record *grown = realloc(f->items, room * sizeof(*grown));
    if (grown == NULL) {
        return ERR_NO_MEMORY;
    }
    f->items = grown;
    f->room = room;
    return OK;
}

enum err found_add(struct found *found, struct found_record record, int64_t before)
{
    if (found_is_beyond(found, record.order)) {
        found->has_more = true;
        return OK;
    }
    enum err err = room_make(found, before);
    if (err != OK) {
        return err;
    }
    found->items[found->count] = record;
    found->size += record.size;
    sift_up(found->items, found->count++);
    while (is_too_much(found)) {
        last_drop(found);
    }
    return OK;
}

void found_sort(struct found *found)
{
    if (found->count > 0) {
        qsort(found->items, found->count, sizeof(found->items[0]), order_compare);
    }
}

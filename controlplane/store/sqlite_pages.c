/* The answers to searches: pages of records, by time or by arrival. */
#include "controlplane/store/sqlite_search.h"

/* Positions that one call of follow looks at: bounds the work between two answers of a tail. */
enum { FOLLOW_WINDOW = 4096 };

enum err sqlite_audit_nth_newest(struct store *store, const struct store_audit_filter *filter,
                                 uint64_t n, int64_t *out_key, struct err_text *why)
{
    const struct query_range range = {
        .order = QUERY_NEWEST_FIRST, .key_from = INT64_MIN, .key_to = INT64_MAX};
    struct search search = {0};
    int64_t key = 0;
    bool any = false;
    enum err err = search_begin(&search, store, why);
    if (err == OK) {
        err = search_find(&search, filter, &range, n, SIZE_MAX, why);
    }
    if (err == OK && search.found.count > 0) {
        any = true;
        key = ~search.found.items[0].order; /* the oldest of them */
    }
    search_end(&search);
    if (err == OK && any) {
        *out_key = key;
    }
    return err == OK && !any ? ERR_NOT_FOUND : err;
}

/* ---- pages ----------------------------------------------------------------------------------- */

struct page {
    struct store_audit_entry *items; /* in the arena */
    size_t count, max, max_bytes;
    bool more;
};

/* Whether one of the next records is of the same section: it stays open. */
static bool is_needed_again(const struct found *found, size_t at)
{
    enum { LOOK_AHEAD = 256 };
    for (size_t i = at + 1; i < found->count && i <= at + LOOK_AHEAD; i++) {
        if (found->items[i].section == found->items[at].section) {
            return true;
        }
    }
    return false;
}

/* What was found, up to the size of a page: where no words were asked for, only now is told how
 * large the records are. */
static enum err page_fill(struct search *search, struct arena *arena, struct page *page)
{
    const struct found *found = &search->found;
    size_t bytes = 0;
    enum err err = OK;
    page->items = arena_alloc(arena, (found->count + 1) * sizeof(*page->items));
    if (page->items == NULL) {
        return ERR_NO_MEMORY;
    }
    page->more = found->has_more;
    for (size_t i = 0; err == OK && i < found->count; i++) {
        const struct found_record *record = &found->items[i];
        struct opened *section = NULL;
        if (i > 0 && bytes >= page->max_bytes) {
            page->more = true;
            break;
        }
        err = opened_get(&search->cache, record->section, &section);
        if (err == OK) {
            err = opened_entry(&search->cache, section, record->index, !is_needed_again(found, i),
                               arena, &page->items[i]);
        }
        if (err == OK) {
            bytes += page->items[i].canonical.size;
            page->count++;
        }
    }
    return err;
}

static enum err page_find(struct search *search, const struct store_audit_filter *filter,
                          const struct query_range *range, struct arena *arena, struct page *page,
                          struct err_text *why)
{
    enum err err = search_find(search, filter, range, page->max, page->max_bytes, why);
    if (err != OK) {
        return err;
    }
    found_sort(&search->found);
    err = page_fill(search, arena, page);
    return err == OK ? OK : search_explain(search, err, why);
}

enum err sqlite_audit_page(struct store *store, const struct store_audit_filter *filter,
                           int64_t from_key, size_t max, size_t max_bytes, struct arena *arena,
                           struct store_audit_entry **out_items, size_t *out_count, bool *out_more,
                           struct err_text *why)
{
    const struct query_range range = {
        .order = QUERY_OLDEST_FIRST, .key_from = from_key, .key_to = INT64_MAX};
    struct page page = {.max = max, .max_bytes = max_bytes};
    struct search search = {0};
    enum err err = search_begin(&search, store, why);
    if (err == OK) {
        err = page_find(&search, filter, &range, arena, &page, why);
    }
    search_end(&search);
    if (err == OK) {
        *out_items = page.items;
        *out_count = page.count;
        *out_more = page.more;
    }
    return err;
}

/* ---- by arrival ------------------------------------------------------------------------------ */

static struct query_range window_of(uint64_t first, uint64_t last)
{
    return (struct query_range){.order = QUERY_BY_ARRIVAL,
                                .key_from = INT64_MIN,
                                .key_to = INT64_MAX,
                                .position_from = (int64_t)first,
                                .position_to = (int64_t)last};
}

enum err sqlite_audit_follow(struct store *store, const struct store_audit_filter *filter,
                             uint64_t after_position, size_t max, size_t max_bytes,
                             struct arena *arena, struct store_audit_entry **out_items,
                             size_t *out_count, uint64_t *out_position, bool *out_more,
                             struct err_text *why)
{
    struct page page = {.max = max, .max_bytes = max_bytes};
    struct search search = {0};
    struct section_log_end end = {.position = 0};
    uint64_t position = after_position;
    enum err err = search_begin(&search, store, why);
    /* Where only the newest hashes were changed, what is before them can be followed. */
    if (err == OK) {
        err = section_log_end_read(search.db, &end);
        err = err == OK ? OK : search_explain(&search, err, why);
    }
    if (err == OK && end.position > after_position) {
        position = end.position - after_position > FOLLOW_WINDOW ? after_position + FOLLOW_WINDOW
                                                                 : end.position;
        const struct query_range window = window_of(after_position + 1, position);
        err = page_find(&search, filter, &window, arena, &page, why);
    }
    search_end(&search);
    if (err == OK) {
        *out_items = page.items;
        *out_count = page.count;
        *out_position = page.more ? page.items[page.count - 1].position : position;
        *out_more = *out_position < end.position;
    }
    return err;
}

enum err sqlite_audit_at(struct store *store, uint64_t position, struct arena *arena,
                         struct store_audit_entry *out)
{
    static const struct store_audit_filter all = {.kinds = STORE_KINDS_ALL};
    const struct query_range here = window_of(position, position);
    struct page page = {.max = 1, .max_bytes = SIZE_MAX};
    struct search search = {0};
    enum err err = search_begin(&search, store, NULL);
    if (err == OK) {
        err = page_find(&search, &all, &here, arena, &page, NULL);
    }
    search_end(&search);
    if (err != OK || page.count == 0) {
        return err == OK ? ERR_NOT_FOUND : err;
    }
    *out = page.items[0];
    return OK;
}

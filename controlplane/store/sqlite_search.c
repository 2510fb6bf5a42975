/* The answers to searches: pages of records, by time or by arrival. */
#include "controlplane/store/sqlite_cover.h"
#include "controlplane/store/sqlite_found.h"
#include "controlplane/store/sqlite_marked.h"
#include "controlplane/store/sqlite_opened.h"
#include "controlplane/store/sqlite_query.h"

enum {
    /* Positions that one call of follow looks at: bounds the work between two answers of a tail. */
    FOLLOW_WINDOW = 4096,
    /* Contents that are looked into for a beginning that many words have, and have nothing, before
     * FTS5 is asked where all of them are: mostly there is enough by then, and that takes long. */
    WIDE_CONTENTS_MAX = 64,
    WIDE_PASSED_PER_CONTENT = 16, /* sections passed over by their marks: in the time of one more */
};

struct search {
    struct sqlite_store *s;
    struct db *db;
    struct query q;
    struct found found;
    struct opened_cache cache;
    struct cover cover; /* of the batch that is read, by arrival */
    struct marked marked;
    size_t fruitless; /* contents so far that had nothing */
    size_t passed;    /* sections so far whose marks said no */
    bool is_too_wide;
};

/* One state of the database for all that is asked. */
static enum err search_begin(struct search *search, struct store *store, struct err_text *why)
{
    sqlite3_stmt *begin = NULL;
    search->s = sqlite_of(store);
    search->db = sqlite_read_begin(search->s);
    enum err err = db_statement(search->db, "BEGIN", &begin);
    if (err == OK) {
        err = db_run(search->db, begin);
    }
    opened_init(&search->cache, search->db);
    return err == OK ? OK : db_explain(search->db, err, why);
}

static void search_end(struct search *search)
{
    sqlite_query_finish(&search->q);
    found_finish(&search->found);
    opened_finish(&search->cache);
    marked_finish(&search->marked);
    if (sqlite3_get_autocommit(search->db->handle) == 0) {
        (void)sqlite3_exec(search->db->handle, "COMMIT", NULL, NULL, NULL);
    }
    sqlite_read_end(search->s, search->db);
}

static enum err search_explain(const struct search *search, enum err err, struct err_text *why)
{
    if (err == ERR_LIMIT) {
        return err_set(why, err, "too many records are of one time");
    }
    if (err != ERR_DENIED) {
        return db_explain(search->db, err, why);
    }
    if (search->cache.damaged == 0) {
        return err_set(why, ERR_IO, "the content of records was changed in the database");
    }
    return err_set(why, ERR_IO,
                   "the content of the record at position %lld was changed in the database",
                   (long long)search->cache.damaged);
}

/* ---- one section ---------------------------------------------------------------------------- */

static int64_t order_of(const struct query *q, const struct section_row *row, size_t n)
{
    switch (q->range.order) {
    case QUERY_NEWEST_FIRST: return ~row->records[n].key;
    case QUERY_BY_ARRIVAL: return row->position + row->records[n].at;
    default: return row->records[n].key;
    }
}

/* Of a page it is told whether there is more; the n-th newest record is all that is asked for. */
static bool is_answered(const struct search *search, int64_t order)
{
    return found_is_beyond(&search->found, order) &&
           (search->found.has_more || search->q.range.order == QUERY_NEWEST_FIRST);
}

static enum err words_look(struct search *search, struct opened *section, size_t n, bool *out)
{
    enum err err = OK;
    *out = true;
    if (search->q.words == NULL) {
        return OK;
    }
    err = opened_open(&search->cache, section);
    return err == OK ? tokens_query_match(search->db->tokens, search->q.words,
                                          section->contents[n].text, out)
                     : err;
}

/* Nothing of the sections that come after this one is before `before`. */
static enum err section_look(struct search *search, int64_t key, int64_t before)
{
    const struct query *q = &search->q;
    struct opened *section = NULL;
    bool any = false;
    enum err err = opened_get(&search->cache, key, &section);
    if (err != OK) {
        return err == ERR_NOT_FOUND ? OK : err; /* an index knows more than there is */
    }
    const struct section_row *row = &section->row;
    cover_add(&search->cover, row->records, row->count);
    const size_t count = sqlite_query_has_section(q, row) ? row->count : 0;
    for (size_t i = 0; err == OK && i < count; i++) {
        size_t n = q->range.order == QUERY_NEWEST_FIRST ? count - 1 - i : i;
        int64_t order = order_of(q, row, n);
        bool is_one = false;
        if (!sqlite_query_has_record(q, row, n) || is_answered(search, order)) {
            continue;
        }
        err = words_look(search, section, n, &is_one);
        if (err == OK && is_one) {
            const struct section_content *c = section->contents;
            err = found_add(&search->found,
                            (struct found_record){
                                .order = order,
                                .section = key,
                                .index = (uint32_t)n,
                                .size = c == NULL ? 0 : (uint32_t)c[n].canonical.size,
                            },
                            before);
            any = true;
        }
    }
    search->fruitless += !any && section->contents != NULL ? 1 : 0;
    /* A head is read again sooner than memory of its own is made for it. */
    if (!any || section->contents == NULL) {
        opened_release(section);
    }
    return err;
}

/* ---- all sections ---------------------------------------------------------------------------- */

/* The least that the order of a record can be, of this section and those that come after it. */
static int64_t before_of(const struct query *q)
{
    int64_t key = sqlite3_column_int64(q->sections, 0);
    switch (q->range.order) {
    case QUERY_NEWEST_FIRST:
        return key > INT64_MAX - SECTION_SPAN_NS_MAX ? INT64_MIN : ~(key + SECTION_SPAN_NS_MAX);
    case QUERY_BY_ARRIVAL: return sqlite3_column_int64(q->sections, 2);
    default: return key;
    }
}

/* By arrival: whether the batch had all that is asked of it. */
static enum err batch_end(struct search *search)
{
    const struct cover *cover = &search->cover;
    const struct query_range *range = &search->q.range;
    if (cover->position == 0) {
        return OK;
    }
    int64_t from = range->position_from - cover->position;
    int64_t missing = cover->position + (int64_t)cover_missing(cover, from < 0 ? 0 : (size_t)from);
    if (missing < cover->position + (int64_t)cover->count && missing <= range->position_to) {
        search->cache.damaged = missing;
        return ERR_DENIED;
    }
    return OK;
}

static enum err batch_begin(struct search *search)
{
    sqlite3_stmt *row = search->q.sections;
    int64_t position = sqlite3_column_int64(row, 2);
    if (search->q.range.order != QUERY_BY_ARRIVAL || position == search->cover.position) {
        return OK;
    }
    enum err err = batch_end(search);
    if (err == OK && !cover_begin(&search->cover, position, sqlite3_column_int64(row, 3))) {
        search->cache.damaged = position;
        err = ERR_DENIED;
    }
    return err;
}

/* The section of the row, if it has one that can have something for the answer. */
static enum err row_look(struct search *search, int64_t before)
{
    const struct query *q = &search->q;
    bool is_newest = q->range.order == QUERY_NEWEST_FIRST;
    if (sqlite3_column_type(q->sections, 0) == SQLITE_NULL ||
        (is_newest && is_answered(search, ~sqlite3_column_int64(q->sections, 1)))) {
        return OK;
    }
    bool may_have = true;
    enum err err = q->asks_marks ? marked_may_have(&search->marked, &q->marks,
                                                   sqlite3_column_int64(q->sections, 0), &may_have)
                                 : OK;
    search->passed += may_have ? 0 : 1;
    return err == OK && may_have
               ? section_look(search, sqlite3_column_int64(q->sections, 0), before)
               : err;
}

static bool is_too_wide(const struct search *search)
{
    return search->fruitless > WIDE_CONTENTS_MAX + search->passed / WIDE_PASSED_PER_CONTENT;
}

static enum err sections_look(struct search *search)
{
    struct query *q = &search->q;
    for (;;) {
        bool row = false;
        enum err err = db_step(search->db, q->sections, &row);
        if (err == OK) {
            err = row ? batch_begin(search) : batch_end(search);
        }
        if (err != OK || !row) {
            return err;
        }
        int64_t before = before_of(q);
        if (is_answered(search, before)) {
            return OK;
        }
        err = row_look(search, before);
        if (err != OK) {
            return err;
        }
        if (q->is_wide && is_too_wide(search)) {
            search->is_too_wide = true;
            return OK;
        }
    }
}

static enum err search_find(struct search *search, const struct store_audit_filter *filter,
                            const struct query_range *range, uint64_t max, size_t max_bytes,
                            struct err_text *why)
{
    enum err err = OK;
    for (bool is_wide = true;; is_wide = false) {
        search->is_too_wide = false;
        found_init(&search->found, max, max_bytes);
        marked_init(&search->marked, search->db, range->order == QUERY_NEWEST_FIRST);
        err = sqlite_query_start(&search->q, search->db, filter, range, is_wide, why);
        if (err == OK && search->q.sections != NULL) {
            err = sections_look(search);
            err = err == OK ? OK : search_explain(search, err, why);
        }
        if (err != OK || !search->is_too_wide) {
            return err;
        }
        sqlite_query_finish(&search->q);
        found_finish(&search->found);
        marked_finish(&search->marked);
    }
}

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

/* The answers to searches: pages of records, by time or by arrival. */
#include "controlplane/store/sqlite_content.h"
#include "controlplane/store/sqlite_query.h"

enum {
    /* Positions that one call of follow looks at: bounds the work between two answers of a tail. */
    FOLLOW_WINDOW = 4096,
};

enum err sqlite_audit_nth_newest(struct store *store, const struct store_audit_filter *filter,
                                 uint64_t n, int64_t *out_key, struct err_text *why)
{
    const struct query_range range = {
        .order = QUERY_NEWEST_FIRST, .key_from = INT64_MIN, .key_to = INT64_MAX};
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    struct query q;
    enum err err = sqlite_query_start(&q, db, filter, "r.key", &range, why);
    uint64_t found = 0;
    int64_t key = 0;
    bool row = q.rows != NULL;
    while (err == OK && row && found < n) {
        err = db_step(db, q.rows, &row);
        if (err != OK) {
            err = db_explain(db, err, why);
        } else if (row && (found == 0 || sqlite3_column_int64(q.rows, 0) != key)) {
            key = sqlite3_column_int64(q.rows, 0);
            found++;
        }
    }
    sqlite_query_finish(&q);
    sqlite_read_end(s, db);
    if (err == OK && found == 0) {
        return ERR_NOT_FOUND;
    }
    if (err == OK) {
        *out_key = key;
    }
    return err;
}

static const char entry_columns[] =
    "r.key, r.position, r.received_ns, r.sequence, r.canonical,"
    " (SELECT sidecar FROM audit_stream WHERE id = r.stream),"
    " (SELECT name FROM audit_name WHERE id = r.identity),"
    " (SELECT name FROM audit_name WHERE id = r.resource),"
    " (SELECT on_behalf_of FROM audit_session WHERE id = r.session),"
    " (SELECT protocol FROM audit_session WHERE id = r.session), r.hash, r.kind,"
    " (SELECT session FROM audit_session WHERE id = r.session), r.form,"
    " (SELECT erased_ns FROM audit_session WHERE id = r.session), r.session";

/* ERR_DENIED: its content cannot be opened. */
static enum err entry_read(struct db *db, sqlite3_stmt *row, struct arena *arena,
                           struct store_audit_entry *e)
{
    struct content_row content;
    struct envelope envelope;
    bool failed = false;
    e->key = sqlite3_column_int64(row, 0);
    e->position = (uint64_t)sqlite3_column_int64(row, 1);
    e->received_ns = sqlite3_column_int64(row, 2);
    e->sequence = (uint64_t)sqlite3_column_int64(row, 3);
    e->sidecar = db_column_string(row, 5, arena, &failed);
    e->identity = db_column_string(row, 6, arena, &failed);
    e->resource = db_column_string(row, 7, arena, &failed);
    e->on_behalf_of = db_column_string(row, 8, arena, &failed);
    e->protocol = db_column_string(row, 9, arena, &failed);
    if (!db_column_hash(row, 10, e->hash)) {
        return ERR_DENIED;
    }
    e->kind = (enum store_audit_kind)sqlite3_column_int(row, 11);
    e->session = db_column_string(row, 12, arena, &failed);
    content.form = (enum sqlite_form)sqlite3_column_int(row, 13);
    e->is_erased = content.form == SQLITE_FORM_ERASED;
    e->is_in_blob = content.form == SQLITE_FORM_BLOB;
    e->erased_ns = e->is_erased ? sqlite3_column_int64(row, 14) : 0;
    content.session_id = sqlite3_column_int64(row, 15);
    content.session = e->session;
    memcpy(content.hash, e->hash, STORE_HASH_SIZE);
    content.stored = bytes_of(sqlite3_column_blob(row, 4), (size_t)sqlite3_column_bytes(row, 4));
    enum err err = failed ? ERR_NO_MEMORY : sqlite_content_open(db, &content, arena, &envelope);
    if (err == OK) {
        e->canonical = envelope.canonical;
    }
    return err;
}

struct page {
    struct store_audit_entry *items; /* in the arena */
    size_t count, max;
    size_t bytes, max_bytes;
    bool more;
    uint64_t damaged; /* the position whose content cannot be opened */
};

static enum err page_read(struct db *db, sqlite3_stmt *rows, struct page *page, struct arena *arena)
{
    for (;;) {
        bool row = false;
        enum err err = db_step(db, rows, &row);
        if (err != OK || !row) {
            return err;
        }
        /* A statement that names a table in two ways comes twice. */
        if (page->count > 0 && sqlite3_column_int64(rows, 0) == page->items[page->count - 1].key) {
            continue;
        }
        if (page->count == page->max || page->bytes >= page->max_bytes) {
            page->more = true;
            return OK;
        }
        err = entry_read(db, rows, arena, &page->items[page->count]);
        if (err != OK) {
            page->damaged = err == ERR_DENIED ? page->items[page->count].position : 0;
            return err;
        }
        page->bytes += page->items[page->count].canonical.size;
        page->count++;
    }
}

static enum err page_find(struct db *db, const struct store_audit_filter *filter,
                          const struct query_range *range, struct arena *arena, struct page *page,
                          struct err_text *why)
{
    struct query q;
    page->max_bytes = page->max_bytes == 0 ? 1 : page->max_bytes;
    page->items = arena_alloc(arena, page->max * sizeof(struct store_audit_entry));
    if (page->items == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err err = sqlite_query_start(&q, db, filter, entry_columns, range, why);
    if (err == OK && q.rows != NULL) {
        err = page_read(db, q.rows, page, arena);
        if (err == ERR_DENIED) {
            err = err_set(why, ERR_IO,
                          "the content of the record at position %llu was changed in the database",
                          (unsigned long long)page->damaged);
        } else if (err != OK) {
            err = db_explain(db, err, why);
        }
    }
    sqlite_query_finish(&q);
    return err;
}

enum err sqlite_audit_page(struct store *store, const struct store_audit_filter *filter,
                           int64_t from_key, size_t max, size_t max_bytes, struct arena *arena,
                           struct store_audit_entry **out_items, size_t *out_count, bool *out_more,
                           struct err_text *why)
{
    const struct query_range range = {
        .order = QUERY_OLDEST_FIRST, .key_from = from_key, .key_to = INT64_MAX};
    struct page page = {.max = max, .max_bytes = max_bytes};
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    enum err err = page_find(db, filter, &range, arena, &page, why);
    sqlite_read_end(s, db);
    if (err == OK) {
        *out_items = page.items;
        *out_count = page.count;
        *out_more = page.more;
    }
    return err;
}

/* The keys of the window: with words, the full-text index is read between them only. */
static enum err window_read(struct db *db, uint64_t after, struct query_range *out,
                            uint64_t *out_newest)
{
    sqlite3_stmt *window = NULL;
    bool row = false;
    enum err err = db_statement(
        db,
        "SELECT coalesce(min(key), 0), coalesce(max(key), 0), coalesce(max(position), 0),"
        " (SELECT coalesce(max(position), 0) FROM audit_record)"
        " FROM audit_record INDEXED BY audit_record_position"
        " WHERE position BETWEEN ?1 AND ?2",
        &window);
    if (err == OK) {
        db_bind_number(window, 1, (int64_t)after + 1);
        db_bind_number(window, 2, (int64_t)after + FOLLOW_WINDOW);
        err = db_step(db, window, &row);
    }
    if (err == OK && row) {
        out->order = QUERY_BY_ARRIVAL;
        out->key_from = sqlite3_column_int64(window, 0);
        out->key_to = sqlite3_column_int64(window, 1);
        out->position_from = (int64_t)after + 1;
        out->position_to = sqlite3_column_int64(window, 2);
        *out_newest = (uint64_t)sqlite3_column_int64(window, 3);
        (void)sqlite3_reset(window);
    }
    return err;
}

enum err sqlite_audit_follow(struct store *store, const struct store_audit_filter *filter,
                             uint64_t after_position, size_t max, size_t max_bytes,
                             struct arena *arena, struct store_audit_entry **out_items,
                             size_t *out_count, uint64_t *out_position, bool *out_more,
                             struct err_text *why)
{
    struct page page = {.max = max, .max_bytes = max_bytes};
    struct query_range window = {.position_to = 0};
    uint64_t newest = 0, position = after_position;
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    enum err err = window_read(db, after_position, &window, &newest);
    if (err != OK) {
        err = db_explain(db, err, why);
    } else if (window.position_to != 0) {
        err = page_find(db, filter, &window, arena, &page, why);
        position = page.more ? page.items[page.count - 1].position : (uint64_t)window.position_to;
    }
    sqlite_read_end(s, db);
    if (err == OK) {
        *out_items = page.items;
        *out_count = page.count;
        *out_position = position;
        *out_more = position < newest;
    }
    return err;
}

enum err sqlite_audit_at(struct store *store, uint64_t position, struct arena *arena,
                         struct store_audit_entry *out)
{
    static const struct store_audit_filter all = {.kinds = STORE_KINDS_ALL};
    const struct query_range here = {.order = QUERY_BY_ARRIVAL,
                                     .key_from = INT64_MIN,
                                     .key_to = INT64_MAX,
                                     .position_from = (int64_t)position,
                                     .position_to = (int64_t)position};
    struct page page = {.max = 1, .max_bytes = SIZE_MAX};
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    enum err err = page_find(db, &all, &here, arena, &page, NULL);
    sqlite_read_end(s, db);
    if (err != OK || page.count == 0) {
        return err == OK ? ERR_NOT_FOUND : err;
    }
    *out = page.items[0];
    return OK;
}

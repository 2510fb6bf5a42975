/* The answers to searches: pages of records, by time or by arrival.
 *
 * A page is found first (keys and sizes) and read then: how many records fit is known before their
 * content is fetched. */
#include <stdio.h>

#include "controlplane/store/postgres/pg_query.h"
#include "controlplane/store/postgres/pg_write.h"

enum {
    /* Positions that one call of follow looks at: bounds the work between two answers of a tail. */
    FOLLOW_WINDOW = 4096,
    STATEMENT_MAX = 2 << 20,
    /* Texts that are looked through before the index of words is asked: what a rare word costs, and
     * what is cheaper than sorting all places of a common one. */
    NEAR_FIRST = 5000,
    NEAR_MAX = 40000,
};

/* What a search needs of its own. */
struct search {
    struct pg *db;
    struct words *words;
    struct content *content;
};

static enum err search_begin(struct postgres_store *s, struct search *search, struct err_text *why)
{
    *search = (struct search){.db = NULL};
    enum err err = words_create(&search->words);
    if (err == OK) {
        err = content_create(s->content_master, &search->content);
    }
    if (err == OK) {
        err = postgres_begin_read(s, &search->db);
    }
    return err == OK ? OK : err_set(why, err, "the database cannot be reached");
}

static void search_end(struct postgres_store *s, struct search *search)
{
    if (search->db != NULL) {
        postgres_end_read(s, search->db);
    }
    words_destroy(search->words);
    content_destroy(search->content);
}

/* `before`, what the query finds, its order, and `after`. */
static enum err statement_run(struct search *search, struct query *q, const char *before,
                              const char *after, PGresult **out, struct err_text *why)
{
    struct buffer sql;
    buffer_init(&sql, STATEMENT_MAX);
    enum err err = buffer_append_string(&sql, before);
    if (err == OK) {
        err = buffer_append(&sql, buffer_bytes(&q->from));
    }
    if (err == OK) {
        err = buffer_append_format(&sql, " ORDER BY %s%s", q->order, after);
    }
    if (err == OK) {
        err = buffer_append(&sql, bytes_of("", 1));
    }
    if (err == OK) {
        err = pg_query_once(search->db, (const char *)buffer_bytes(&sql).data, &q->parameters, out);
        err = err == OK ? OK : pg_explain(search->db, err, why);
    }
    buffer_finish(&sql);
    return err;
}

/* How many texts to look through next, after so many of them had `found`: as many as should do, or
 * all by the index of words (0) where that is too many. */
static int64_t near_next(int64_t near, int64_t found, int64_t enough)
{
    if (near != NEAR_FIRST || found <= 0 || enough > NEAR_MAX) {
        return 0;
    }
    int64_t next = 2 * near * enough / found;
    return next <= NEAR_MAX ? next : 0;
}

/* Runs a search, with words first only near its bound: that is all where it finds `enough`. `count`
 * says how many were found. */
static enum err rows_find(struct search *search, const struct store_audit_filter *filter,
                          struct query_range *range, const char *before, const char *after,
                          int64_t enough, int64_t (*count)(const PGresult *result), PGresult **out,
                          struct err_text *why)
{
    bool has_words = filter->text != NULL && filter->text[0] != '\0';
    enum err err = OK;
    bool is_done = false;
    range->near = has_words && range->position_from == 0 ? NEAR_FIRST : 0;
    while (err == OK && !is_done) {
        struct query q;
        PQclear(*out);
        *out = NULL;
        err = query_start(&q, search->db, search->words, filter, range, why);
        if (err == OK && !q.nothing) {
            err = statement_run(search, &q, before, after, out, why);
        }
        int64_t found = *out == NULL ? 0 : count(*out);
        is_done = range->near == 0 || q.nothing || found >= enough;
        range->near = near_next(range->near, found, enough);
        query_finish(&q);
    }
    return err;
}

static int64_t newest_count(const PGresult *result)
{
    return pg_number(result, 0, 1);
}

static enum err nth_newest(struct store *store, const struct store_audit_filter *filter, uint64_t n,
                           int64_t *out_key, struct err_text *why)
{
    struct query_range range = {.key_from = INT64_MIN, .key_to = INT64_MAX, .newest_first = true};
    struct postgres_store *s = postgres_of(store);
    struct search search;
    PGresult *result = NULL;
    char after[64];
    int64_t enough = n > INT64_MAX ? INT64_MAX : (int64_t)n;
    (void)snprintf(after, sizeof(after), " DESC LIMIT %lld) x", (long long)enough);
    enum err err = search_begin(s, &search, why);
    if (err == OK) {
        err = rows_find(&search, filter, &range, "SELECT min(x.key), count(*) FROM (SELECT r.key",
                        after, enough, newest_count, &result, why);
    }
    if (err == OK && (result == NULL || PQgetisnull(result, 0, 0))) {
        err = ERR_NOT_FOUND;
    }
    if (err == OK) {
        *out_key = pg_number(result, 0, 0);
    }
    PQclear(result);
    search_end(s, &search);
    return err;
}

/* ---- reading entries
 * ----------------------------------------------------------------------------- */

#define ENTRY_SELECT                                                                               \
    "SELECT r.key, r.position, r.received_ns, r.sequence, r.kind, r.form, r.hash, r.content,"      \
    " (SELECT sidecar FROM audit_stream WHERE id = r.stream),"                                     \
    " (SELECT name FROM audit_name WHERE id = r.identity),"                                        \
    " (SELECT name FROM audit_name WHERE id = r.resource),"                                        \
    " s.session, s.on_behalf_of, s.protocol, s.erased_ns, k.wrapped FROM audit_record r"           \
    " LEFT JOIN audit_session s ON s.id = r.session"                                               \
    " LEFT JOIN audit_content_key k ON k.session = r.session"

enum { COLUMN_FORM = 5, COLUMN_CONTENT = 7, COLUMN_SESSION = 11, COLUMN_WRAPPED = 15 };

/* ERR_IO: what is stored is not what was sealed. A key that is gone is an erased record, also
 * while its erasing is under way. */
static enum err content_read(struct search *search, const PGresult *result, int row,
                             struct arena *arena, struct store_audit_entry *e)
{
    int64_t form = pg_number(result, row, COLUMN_FORM);
    struct bytes stored = pg_bytes(result, row, COLUMN_CONTENT);
    struct bytes wrapped = pg_bytes(result, row, COLUMN_WRAPPED);
    uint8_t key[CONTENT_KEY_SIZE];
    bool failed = false;
    e->canonical = (struct bytes){0};
    e->is_erased = form == FORM_ERASED || (form != FORM_PLAIN && wrapped.size == 0);
    e->is_in_blob = form == FORM_BLOB && !e->is_erased;
    if (e->is_erased) {
        return OK;
    }
    if (form == FORM_PLAIN) {
        e->canonical = pg_copy_bytes(result, row, COLUMN_CONTENT, arena, &failed);
        return failed ? ERR_NO_MEMORY : OK;
    }
    enum err err =
        content_key_open(search->content, pg_bytes(result, row, COLUMN_SESSION), wrapped, key);
    if (err == OK) {
        err = content_open(search->content, key, e->hash, stored, arena, &e->canonical);
    }
    bytes_wipe(key, sizeof(key));
    return err == ERR_DENIED || err == ERR_INVALID ? ERR_IO : err;
}

static enum err entry_read(struct search *search, const PGresult *result, int row,
                           struct arena *arena, struct store_audit_entry *e)
{
    bool failed = false;
    e->key = pg_number(result, row, 0);
    e->position = (uint64_t)pg_number(result, row, 1);
    e->received_ns = pg_number(result, row, 2);
    e->sequence = (uint64_t)pg_number(result, row, 3);
    e->kind = (enum store_audit_kind)pg_number(result, row, 4);
    failed = !pg_hash(result, row, 6, e->hash);
    e->sidecar = pg_copy_string(result, row, 8, arena, &failed);
    e->identity = pg_copy_string(result, row, 9, arena, &failed);
    e->resource = pg_copy_string(result, row, 10, arena, &failed);
    e->session = pg_copy_string(result, row, COLUMN_SESSION, arena, &failed);
    e->on_behalf_of = pg_copy_string(result, row, 12, arena, &failed);
    e->protocol = pg_copy_string(result, row, 13, arena, &failed);
    if (failed) {
        return ERR_NO_MEMORY;
    }
    enum err err = content_read(search, result, row, arena, e);
    e->erased_ns = e->is_erased ? pg_number(result, row, 14) : 0;
    return err;
}

struct page {
    struct store_audit_entry *items; /* in the arena */
    size_t count, max, max_bytes;
    bool more;
};

static enum err entries_read(struct search *search, const struct buffer *keys, bool by_arrival,
                             struct arena *arena, struct page *page, struct err_text *why)
{
    struct pg_parameters p = {.count = 0};
    PGresult *result = NULL;
    pg_put_numbers(&p, keys);
    enum err err =
        by_arrival
            ? pg_query(search->db, ENTRY_SELECT " WHERE r.key = ANY ($1) ORDER BY r.position", &p,
                       &result)
            : pg_query(search->db, ENTRY_SELECT " WHERE r.key = ANY ($1) ORDER BY r.key", &p,
                       &result);
    if (err != OK) {
        return pg_explain(search->db, err, why);
    }
    if ((size_t)PQntuples(result) != page->count) {
        err = ERR_IO;
    }
    for (size_t i = 0; err == OK && i < page->count; i++) {
        err = entry_read(search, result, (int)i, arena, &page->items[i]);
        if (err == ERR_IO) {
            (void)err_set(why, err,
                          "the content of record %llu was changed, or sealed with another key",
                          (unsigned long long)page->items[i].position);
        }
    }
    PQclear(result);
    return err;
}

/* How many of the rows fit, and their keys. */
static enum err page_choose(const PGresult *result, struct page *page, struct buffer *keys)
{
    size_t bytes = 0, rows = (size_t)PQntuples(result);
    enum err err = pg_array_start(keys);
    while (err == OK && page->count < rows) {
        if (page->count == page->max || bytes >= page->max_bytes) {
            page->more = true;
            break;
        }
        bytes += (size_t)pg_number(result, (int)page->count, 1);
        err = pg_array_add(keys, pg_number(result, (int)page->count, 0));
        page->count++;
    }
    return err;
}

static int64_t rows_count(const PGresult *result)
{
    return PQntuples(result);
}

static enum err page_find(struct search *search, const struct store_audit_filter *filter,
                          struct query_range *range, struct arena *arena, struct page *page,
                          struct err_text *why)
{
    struct buffer keys;
    PGresult *result = NULL;
    char after[40];
    (void)snprintf(after, sizeof(after), " LIMIT %zu", page->max + 1);
    buffer_init(&keys, 1 << 20);
    page->max_bytes = page->max_bytes == 0 ? 1 : page->max_bytes;
    /* 28: CONTENT_OVERHEAD. */
    enum err err = rows_find(search, filter, range,
                             "SELECT r.key, CASE r.form WHEN 1 THEN octet_length(r.content) - 28"
                             " ELSE octet_length(r.content) END::int8",
                             after, (int64_t)page->max + 1, rows_count, &result, why);
    if (err == OK && result != NULL) {
        err = page_choose(result, page, &keys);
    }
    if (err == OK) {
        page->items = arena_alloc(arena, (page->count + 1) * sizeof(struct store_audit_entry));
        err = page->items == NULL ? ERR_NO_MEMORY : OK;
    }
    if (err == OK && page->count > 0) {
        err = entries_read(search, &keys, range->position_from > 0, arena, page, why);
    }
    PQclear(result);
    buffer_finish(&keys);
    return err;
}
_Static_assert(CONTENT_OVERHEAD == 28 && FORM_SEALED == 1, "in the statement above");

static enum err audit_page(struct store *store, const struct store_audit_filter *filter,
                           int64_t from_key, size_t max, size_t max_bytes, struct arena *arena,
                           struct store_audit_entry **out_items, size_t *out_count, bool *out_more,
                           struct err_text *why)
{
    struct query_range range = {.key_from = from_key, .key_to = INT64_MAX};
    struct page page = {.max = max, .max_bytes = max_bytes};
    struct postgres_store *s = postgres_of(store);
    struct search search;
    enum err err = search_begin(s, &search, why);
    if (err == OK) {
        err = page_find(&search, filter, &range, arena, &page, why);
    }
    search_end(s, &search);
    if (err == OK) {
        *out_items = page.items;
        *out_count = page.count;
        *out_more = page.more;
    }
    return err;
}

static enum err audit_follow(struct store *store, const struct store_audit_filter *filter,
                             uint64_t after_position, size_t max, size_t max_bytes,
                             struct arena *arena, struct store_audit_entry **out_items,
                             size_t *out_count, uint64_t *out_position, bool *out_more,
                             struct err_text *why)
{
    struct page page = {.max = max, .max_bytes = max_bytes};
    struct query_range window = {.key_from = INT64_MIN, .key_to = INT64_MAX};
    struct postgres_store *s = postgres_of(store);
    struct search search;
    int64_t newest = 0;
    uint64_t position = after_position;
    enum err err = search_begin(s, &search, why);
    if (err == OK) {
        err = pg_ask_number(search.db, "SELECT value FROM counter WHERE id = 1", NULL, &newest);
        err = err == OK ? OK : pg_explain(search.db, err, why);
    }
    if (err == OK && (uint64_t)newest > after_position) {
        int64_t end = (int64_t)after_position + FOLLOW_WINDOW;
        window.position_from = (int64_t)after_position + 1;
        window.position_to = end < newest ? end : newest;
        err = page_find(&search, filter, &window, arena, &page, why);
    }
    search_end(s, &search);
    if (err != OK) {
        return err;
    }
    if (window.position_to != 0) {
        position = page.more ? page.items[page.count - 1].position : (uint64_t)window.position_to;
    }
    *out_items = page.items;
    *out_count = page.count;
    *out_position = position;
    *out_more = (int64_t)position < newest;
    return OK;
}

static enum err audit_at(struct store *store, uint64_t position, struct arena *arena,
                         struct store_audit_entry *out)
{
    struct postgres_store *s = postgres_of(store);
    struct pg_parameters p = {.count = 0};
    struct store_audit_entry entry;
    struct search search;
    PGresult *result = NULL;
    enum err err = search_begin(s, &search, NULL);
    pg_put_number(&p, (int64_t)position);
    if (err == OK) {
        err = pg_query(search.db,
                       ENTRY_SELECT " WHERE r.key = (SELECT key FROM audit_log"
                                    " WHERE position = $1)",
                       &p, &result);
    }
    if (err == OK) {
        err =
            PQntuples(result) == 0 ? ERR_NOT_FOUND : entry_read(&search, result, 0, arena, &entry);
    }
    PQclear(result);
    search_end(s, &search);
    if (err == OK) {
        *out = entry;
    }
    return err;
}

void postgres_search_fill(struct store_backend *b)
{
    b->audit_nth_newest = nth_newest;
    b->audit_page = audit_page;
    b->audit_follow = audit_follow;
    b->audit_at = audit_at;
}

#include "controlplane/store/sqlite_search.h"

enum {
    /* Contents that are looked into for a beginning that many words have, and have nothing, before
     * FTS5 is asked where all of them are: mostly there is enough by then, and that takes long. */
    WIDE_CONTENTS_MAX = 64,
    WIDE_PASSED_PER_CONTENT = 16, /* sections passed over by their marks: in the time of one more */
};

enum err search_begin(struct search *search, struct store *store, struct err_text *why)
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

void search_end(struct search *search)
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

enum err search_explain(const struct search *search, enum err err, struct err_text *why)
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

enum err search_find(struct search *search, const struct store_audit_filter *filter,
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

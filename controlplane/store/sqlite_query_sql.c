/* The statement of a search: which sections it looks at, in its order. */
#include "controlplane/store/sqlite_query.h"

enum {
    /* Words that the index is asked for. The others are looked for in the texts only. */
    WORDS_ASKED_MAX = 64,
    /* Streams that used one session's id, of which the tags are read side by side. */
    SESSIONS_MERGED_MAX = 32,
};

/* ---- tags ------------------------------------------------------------------------------------ */

/* What a section must have, the rarest first as far as can be said beforehand. */
struct tags {
    struct {
        enum sqlite_tag kind;
        int64_t value;
    } items[8];
    size_t count;
};

static void tag_add(struct tags *tags, enum sqlite_tag kind, int64_t value)
{
    if (value != 0) {
        tags->items[tags->count].kind = kind;
        tags->items[tags->count].value = value;
        tags->count++;
    }
}

/* The kind that alone is asked for and has a tag; 0: none. */
static int64_t rare_kind(uint32_t kinds)
{
    for (int64_t kind = 0; kind < SECTION_KINDS; kind++) {
        if (kinds == UINT32_C(1) << kind) {
            return kind == STORE_INTENT || kind == STORE_OUTCOME ? 0 : kind;
        }
    }
    return 0;
}

static void tags_make(const struct query *q, struct tags *tags)
{
    const struct store_audit_filter *f = q->filter;
    *tags = (struct tags){.count = 0};
    if (query_list_count(&q->sessions) == 1) {
        tag_add(tags, SQLITE_TAG_SESSION, query_list_get(&q->sessions, 0));
    }
    tag_add(tags, SQLITE_TAG_VERDICT, f->verdict > 1 ? f->verdict : 0);
    tag_add(tags, SQLITE_TAG_KIND, rare_kind(f->kinds));
    tag_add(tags, SQLITE_TAG_TABLE, q->table);
    tag_add(tags, SQLITE_TAG_IDENTITY, q->identity);
    tag_add(tags, SQLITE_TAG_RESOURCE, q->resource);
}

/* ---- the expression of FTS5 (its section 3) ---------------------------------------------------
 */

static enum err text_add(struct query *q, const char *text)
{
    return buffer_append_string(&q->text, text);
}

/* Words are of the tokenizer: there is no quote in them. */
static enum err word_add(struct db *db, struct query *q, const struct tokens_word *word,
                         bool is_wide, size_t *asked)
{
    size_t before = buffer_size(&q->text);
    bool done = false, is_long = true;
    enum err err = *asked == 0 ? text_add(q, "{text} : (") : text_add(q, " AND ");
    if (err == OK && word->is_prefix) {
        err = sqlite_words_expand(db, word->word, &q->text, &done, &is_long);
    }
    if (err == OK && !done && word->is_prefix && is_wide && is_long) {
        q->text.end = q->text.start + before;
        q->is_wide = true;
        return OK;
    }
    if (err == OK && !done) {
        err = text_add(q, "\"");
        err = err == OK ? buffer_append(&q->text, word->word) : err;
        err = err == OK ? text_add(q, word->is_prefix ? "\" *" : "\"") : err;
    }
    (*asked)++;
    return err;
}

static enum err text_tags_add(struct query *q)
{
    size_t sessions = query_list_count(&q->sessions);
    enum err err = OK;
    if (q->identity != 0) {
        err = buffer_append_format(&q->text, " AND tag : i%lld", (long long)q->identity);
    }
    if (err == OK && q->resource != 0) {
        err = buffer_append_format(&q->text, " AND tag : r%lld", (long long)q->resource);
    }
    if (err == OK && q->table != 0) {
        err = buffer_append_format(&q->text, " AND tag : t%lld", (long long)q->table);
    }
    if (err == OK && q->filter->verdict > 1) {
        err = buffer_append_format(&q->text, " AND tag : v%d", q->filter->verdict);
    }
    if (sessions > SESSIONS_MERGED_MAX) {
        return err;
    }
    for (size_t i = 0; err == OK && i < sessions; i++) {
        err = buffer_append_format(&q->text, i == 0 ? " AND tag : (s%lld" : " OR s%lld",
                                   (long long)query_list_get(&q->sessions, i));
    }
    return err == OK && sessions > 0 ? text_add(q, ")") : err;
}

/* The words, and the tags of all else that the index of words knows; nothing where no word is asked
 * of it. The words of a phrase are asked for one by one: it does not know where they stand. */
static enum err expression_make(struct db *db, struct query *q, bool is_wide)
{
    const struct tokens_word *words = NULL;
    size_t count = tokens_query_words(q->words, &words), asked = 0;
    enum err err = OK;
    for (size_t i = 0; err == OK && i < count && asked < WORDS_ASKED_MAX; i++) {
        err = word_add(db, q, &words[i], is_wide, &asked);
    }
    if (err != OK || asked == 0) {
        return err;
    }
    err = text_add(q, ")");
    return err == OK ? text_tags_add(q) : err;
}

/* One word is told by the index alone, and so is how it begins where the index was asked for it. */
static void marks_ask(struct query *q)
{
    const struct tokens_word *words = NULL;
    size_t count = q->words == NULL ? 0 : tokens_query_words(q->words, &words);
    marks_query_init(&q->marks);
    for (size_t i = 0; i < count; i++) {
        marks_query_add(&q->marks, words[i].word, words[i].is_prefix);
    }
    q->asks_marks = q->is_wide || q->marks.print_count > 1;
}

/* ---- the statement ----------------------------------------------------------------------------
 *
 * Ids and bounds are numbers of ours and stand in it; the expression is bound. */

#define SPAN                                                                                       \
    " CROSS JOIN audit_section s INDEXED BY audit_section_span ON s.key = t.key"                   \
    " AND s.last_key >= %lld"

/* The first key of a section that has a record from `key` on. */
static int64_t section_from(int64_t key)
{
    return key < -INT64_MAX + SECTION_SPAN_NS_MAX ? -INT64_MAX : key - SECTION_SPAN_NS_MAX;
}

static enum err bounds_add(struct query *q, const char *key)
{
    return buffer_append_format(&q->sql, " %s BETWEEN %lld AND %lld", key,
                                (long long)section_from(q->range.key_from),
                                (long long)q->range.key_to);
}

static long long last_from(const struct query *q)
{
    return q->range.key_from == INT64_MIN ? -INT64_MAX : q->range.key_from;
}

static enum err drive_by_words(struct query *q)
{
    enum err err =
        buffer_append_format(&q->sql,
                             "SELECT t.rowid, s.last_key FROM audit_words t CROSS JOIN"
                             " audit_section s INDEXED BY audit_section_span ON s.key = t.rowid"
                             " AND s.last_key >= %lld WHERE audit_words MATCH ? AND",
                             last_from(q));
    return err == OK ? bounds_add(q, "t.rowid") : err;
}

static enum err drive_by_tag(struct query *q, const struct tags *tags, enum sqlite_tag kind,
                             int64_t value)
{
    enum err err = buffer_append_format(&q->sql,
                                        "SELECT t.key, s.last_key FROM audit_tag t" SPAN
                                        " WHERE t.kind = %d AND t.value = %lld AND",
                                        last_from(q), (int)kind, (long long)value);
    if (err == OK) {
        err = bounds_add(q, "t.key");
    }
    for (size_t i = 0; err == OK && i < tags->count; i++) {
        if (tags->items[i].kind != kind) {
            err = buffer_append_format(
                &q->sql,
                " AND EXISTS (SELECT 1 FROM audit_tag u WHERE u.kind = %d AND u.value = %lld"
                " AND u.key = t.key)",
                (int)tags->items[i].kind, (long long)tags->items[i].value);
        }
    }
    return err;
}

/* Each of them is read in order, and so are all together. */
static enum err drive_by_sessions(struct query *q, const struct tags *tags)
{
    enum err err = OK;
    for (size_t i = 0; err == OK && i < query_list_count(&q->sessions); i++) {
        if (i > 0) {
            err = buffer_append_string(&q->sql, " UNION ALL ");
        }
        if (err == OK) {
            err = drive_by_tag(q, tags, SQLITE_TAG_SESSION, query_list_get(&q->sessions, i));
        }
    }
    return err;
}

static enum err drive_by_key(struct query *q)
{
    enum err err =
        buffer_append_format(&q->sql,
                             "SELECT s.key, s.last_key FROM audit_section s"
                             " INDEXED BY audit_section_span WHERE s.last_key >= %lld AND",
                             last_from(q));
    return err == OK ? bounds_add(q, "s.key") : err;
}

/* A window is short: nothing needs to be left out of it, and that something is missing is seen. */
static enum err drive_by_arrival(struct query *q)
{
    return buffer_append_format(&q->sql,
                                "SELECT s.key, s.last_key, b.position, b.count FROM audit_batch b"
                                " LEFT JOIN audit_section s INDEXED BY audit_section_batch"
                                " ON s.batch = b.position WHERE b.position >="
                                " (SELECT coalesce(max(position), 0) FROM audit_batch"
                                " WHERE position <= %lld)"
                                " AND b.position <= %lld ORDER BY b.position",
                                (long long)q->range.position_from, (long long)q->range.position_to);
}

static enum err by_time_build(struct db *db, struct query *q, bool is_wide)
{
    struct tags tags;
    size_t sessions = query_list_count(&q->sessions);
    enum err err = q->words == NULL ? OK : expression_make(db, q, is_wide);
    if (err != OK) {
        return err;
    }
    tags_make(q, &tags);
    marks_ask(q);
    if (buffer_size(&q->text) > 0) {
        err = drive_by_words(q);
    } else if (sessions > 0 && sessions <= SESSIONS_MERGED_MAX) {
        err = drive_by_sessions(q, &tags);
    } else if (tags.count > 0) {
        err = drive_by_tag(q, &tags, tags.items[0].kind, tags.items[0].value);
    } else {
        err = drive_by_key(q);
    }
    return err == OK ? buffer_append_string(&q->sql, q->range.order == QUERY_NEWEST_FIRST
                                                         ? " ORDER BY 1 DESC"
                                                         : " ORDER BY 1")
                     : err;
}

enum err sqlite_query_build(struct query *q, struct db *db, bool is_wide)
{
    return q->range.order == QUERY_BY_ARRIVAL ? drive_by_arrival(q) : by_time_build(db, q, is_wide);
}

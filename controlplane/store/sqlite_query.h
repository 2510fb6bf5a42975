/* From a filter to the sections that its records can be in.
 *
 * Each search is driven by one index that gives sections in order from where the bounds say: the
 * words with the tags in FTS5, a tag, or all. What the other tags do not have is passed over
 * before it is read. Which records of a section match is seen in its head and in their texts. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_SQLITE_QUERY_H
#define CHAPERONE_CONTROLPLANE_STORE_SQLITE_QUERY_H

#include "controlplane/store/sqlite_marks.h"
#include "controlplane/store/sqlite_sections.h"
#include "controlplane/store/sqlite_tokens.h"

enum query_order {
    QUERY_OLDEST_FIRST,
    QUERY_NEWEST_FIRST,
    QUERY_BY_ARRIVAL,
};

struct query_range {
    enum query_order order;
    int64_t key_from, key_to;           /* both included */
    int64_t position_from, position_to; /* both included; QUERY_BY_ARRIVAL only */
};

struct query {
    /* Of each section its key and its last key, in the order of the keys; by arrival also position
     * and count of its batch, in that order (without a section where a batch has none). NULL: there
     * can be none, a name is in no record. */
    sqlite3_stmt *sections;
    const struct store_audit_filter *filter; /* borrowed */
    struct query_range range;                /* as far as the filter leaves it */
    struct tokens_query *words;              /* owned; NULL: not asked for */
    struct marks_query marks;                /* what sections must have for these */
    bool asks_marks;                         /* they may say more than the index of words */
    /* Ids of what the filter names; 0: not named. */
    int64_t identity, resource, table;
    struct buffer tables;   /* ids of full names, as int64_t, ascending */
    struct buffer sessions; /* the same of sessions: one for each stream that used the id */
    struct buffer sql, text;
    bool is_nothing;
    /* A beginning that many words have was left out of the expression: sections may be given that
     * have none of them. */
    bool is_wide;
};

/* Prepares the statement. `is_wide`: beginnings that many words have may be left out. After it,
 * also when it failed: finish. */
enum err sqlite_query_start(struct query *q, struct db *db, const struct store_audit_filter *filter,
                            const struct query_range *range, bool is_wide,
                            struct err_text *why) MUST_USE;
void sqlite_query_finish(struct query *q);

/* As far as the head says. */
bool sqlite_query_has_section(const struct query *q, const struct section_row *row);
bool sqlite_query_has_record(const struct query *q, const struct section_row *row, size_t n);

/* ---- between its files ------------------------------------------------------------------------
 */

static inline size_t query_list_count(const struct buffer *list)
{
    return buffer_size(list) / sizeof(int64_t);
}

static inline int64_t query_list_get(const struct buffer *list, size_t n)
{
    int64_t id = 0;
    memcpy(&id, buffer_bytes(list).data + n * sizeof(id), sizeof(id));
    return id;
}

/* Makes `sql` and `text` of what was resolved. */
enum err sqlite_query_build(struct query *q, struct db *db, bool is_wide) MUST_USE;

/* A beginning, folded: appends the words of the index that begin so, as an expression, when they
 * are few. FTS5 would bring all places of all of them together before it gave the first one.
 * `*out_is_long`: and that takes long. */
enum err sqlite_words_expand(struct db *db, struct bytes beginning, struct buffer *out,
                             bool *out_done, bool *out_is_long) MUST_USE;

#endif

/* From a filter to the statement that finds its records.
 *
 * Each search is driven by one index that gives its rows in order from where the bounds say; the
 * rest of the filter is checked row by row. Nothing is sorted, nothing is skipped by counting: the
 * first page costs no more than its own rows and those between them that the filter refuses. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_SQLITE_QUERY_H
#define CHAPERONE_CONTROLPLANE_STORE_SQLITE_QUERY_H

#include "controlplane/store/sqlite.h"

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

enum { QUERY_BINDINGS_MAX = 16 };

struct query {
    sqlite3_stmt *rows; /* NULL: there can be none, a name is in no record */
    struct buffer sql, text;
    struct {
        bool is_text; /* all texts are `text` */
        int64_t number;
    } bindings[QUERY_BINDINGS_MAX];
    int count;
    const char *key; /* the column of the driving index that is the key */
    /* Ids of what the filter names; 0: not named. */
    int64_t identity, resource, table;
    struct buffer tables;   /* ids of full names: "1,5,7" */
    struct buffer sessions; /* one for each stream that used the id */
    bool nothing;
};

/* Prepares `SELECT columns` of audit_record r. After it, also when it failed: finish. */
enum err sqlite_query_start(struct query *q, struct db *db, const struct store_audit_filter *filter,
                            const char *columns, const struct query_range *range,
                            struct err_text *why) MUST_USE;
void sqlite_query_finish(struct query *q);

/* For sqlite_text_expression, with a connection that reads: a beginning is looked up among the
 * words of the index, as long as they are few. FTS5 would bring all places of all of them together
 * before it gave the first one. */
enum err sqlite_words_expand(void *db, struct bytes beginning, struct buffer *out, bool *out_done);

#endif

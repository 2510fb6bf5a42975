/* A search: which records are the answer, found through sections in one state of the database. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_SQLITE_SEARCH_H
#define CHAPERONE_CONTROLPLANE_STORE_SQLITE_SEARCH_H

#include "controlplane/store/sqlite_cover.h"
#include "controlplane/store/sqlite_found.h"
#include "controlplane/store/sqlite_marked.h"
#include "controlplane/store/sqlite_opened.h"
#include "controlplane/store/sqlite_query.h"

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

/* One state of the database for all that is asked, up to search_end, which is called also where
 * this failed. `search` is zero before. */
enum err search_begin(struct search *search, struct store *store, struct err_text *why) MUST_USE;
void search_end(struct search *search);

/* The records that match into `found`: `max` of them, and about `max_bytes` in all. */
enum err search_find(struct search *search, const struct store_audit_filter *filter,
                     const struct query_range *range, uint64_t max, size_t max_bytes,
                     struct err_text *why) MUST_USE;
/* What an error in reading what was found means. */
enum err search_explain(const struct search *search, enum err err, struct err_text *why) MUST_USE;

#endif

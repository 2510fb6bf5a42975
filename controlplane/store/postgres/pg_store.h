/* The PostgreSQL backend's inside.
 *
 * A pool of connections that work, each used by one thread at a time; one connection that holds
 * the duties (its advisory locks are the session's: lost with it), one that listens for news.
 *
 * Order of locks inside of the database: the counter of approvals, rows of approvals, the counter
 * of the log, all else. The counters' rows are locked until the commit, so that numbers are given
 * without a gap and are seen in their order. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_POSTGRES_PG_STORE_H
#define CHAPERONE_CONTROLPLANE_STORE_POSTGRES_PG_STORE_H

#include <pthread.h>

#include "controlplane/store/backend.h"
#include "controlplane/store/postgres/pg.h"

enum {
    PG_CONNECTIONS = 8, /* where the options do not say */
    PG_CONNECTIONS_MAX = 64,
    PG_INSTANCE_SIZE = 33, /* hex, and its terminator */
    PG_DUTIES = STORE_DUTY_ERASE + 1,
    PG_LOCK_CLASS = 0x43686170, /* "Chap": of all our advisory locks; the second key says which */
    PG_LOCK_SCHEMA = 100,
    PG_LOCK_MONTHS = 101,
};

struct postgres_appender; /* pg_append.h */
struct postgres_months;   /* pg_months.h */

struct postgres_store {
    struct store store;
    struct store_backend backend;
    char *url;
    char instance[PG_INSTANCE_SIZE]; /* tells our own news from those of others */
    int timeout_ms;
    struct bytes content_master; /* owned; wiped */

    pthread_mutex_t pool_mutex;
    pthread_cond_t is_free;
    struct pg connections[PG_CONNECTIONS_MAX];
    struct pg *free[PG_CONNECTIONS_MAX];
    size_t connection_count, free_count;
    int64_t retry_ns; /* monotonic; before it nobody tries to connect again */
    int64_t backoff_ns;

    struct postgres_appender *appender;
    struct postgres_months *months;

    pthread_mutex_t duty_mutex;
    struct pg duty;
    bool has_duty[PG_DUTIES];

    struct postgres_listener *listener; /* NULL: nobody listens */
};

static inline struct postgres_store *postgres_of(struct store *store)
{
    return (struct postgres_store *)store;
}

/* ---- connections (pg_pool.c) --------------------------------------------------------------- */

enum err postgres_pool_open(struct postgres_store *s, int connections,
                            struct err_text *why) MUST_USE;
void postgres_pool_close(struct postgres_store *s);

/* A connection that works, waiting until one is free. ERR_UNAVAILABLE: the database cannot be
 * reached; what was tried just now is not tried again. */
enum err postgres_begin_read(struct postgres_store *s, struct pg **out) MUST_USE;
void postgres_end_read(struct postgres_store *s, struct pg *db);
/* A transaction: end commits when `result` is OK, else rolls back; it returns `result` or why the
 * commit failed. After a failed begin there is no end. */
enum err postgres_begin(struct postgres_store *s, struct pg **out) MUST_USE;
enum err postgres_end(struct postgres_store *s, struct pg *db, enum err result) MUST_USE;
/* The same, and tells the others on commit: bits of store_news. */
enum err postgres_end_news(struct postgres_store *s, struct pg *db, enum err result,
                           unsigned news) MUST_USE;
/* Tells the others inside of a transaction. */
enum err postgres_news_send(struct postgres_store *s, struct pg *db, unsigned news) MUST_USE;

/* One row's change in a transaction of its own. */
enum err postgres_write_one(struct postgres_store *s, const char *sql,
                            const struct pg_parameters *p, bool must_change,
                            unsigned news) MUST_USE;
enum err postgres_read_one(struct postgres_store *s, const char *sql, const struct pg_parameters *p,
                           size_t item_size, pg_row_fn *read, struct arena *arena,
                           void *out_item) MUST_USE;
enum err postgres_read_all(struct postgres_store *s, const char *sql, const struct pg_parameters *p,
                           size_t item_size, pg_row_fn *read, struct arena *arena, void **out_items,
                           size_t *out_count) MUST_USE;

/* ---- its parts: each fills in the functions that it has ----------------------------------------
 */

void postgres_documents_fill(struct store_backend *b);
void postgres_fleet_fill(struct store_backend *b);
void postgres_append_fill(struct store_backend *b);
void postgres_search_fill(struct store_backend *b);
void postgres_sessions_fill(struct store_backend *b);
void postgres_log_fill(struct store_backend *b);
void postgres_duty_fill(struct store_backend *b);
void postgres_news_fill(struct store_backend *b);
void postgres_holds_fill(struct store_backend *b);
void postgres_erase_fill(struct store_backend *b);
void postgres_approvals_fill(struct store_backend *b);
void postgres_approvals_find_fill(struct store_backend *b);
void postgres_standing_fill(struct store_backend *b);
void postgres_blocks_fill(struct store_backend *b);
void postgres_blobs_fill(struct store_backend *b);

/* audit_blob.state (pg_blobs.c). */
enum { PG_BLOB_WAITS = 0, PG_BLOB_USED = 1, PG_BLOB_DROPPED = 2 };
/* In a write: a row names this blob now. ERR_UNAVAILABLE: it is known as one to be deleted. */
enum err postgres_blob_use(struct pg *db, const uint8_t *name, int64_t session) MUST_USE;
/* In a write: the blobs of this session are to be deleted. */
enum err postgres_blobs_drop_session(struct pg *db, int64_t session) MUST_USE;

enum err postgres_appender_create(struct postgres_store *s,
                                  struct postgres_appender **out) MUST_USE;
void postgres_appender_destroy(struct postgres_appender *appender); /* takes NULL */
void postgres_duty_close(struct postgres_store *s);
void postgres_news_close(struct postgres_store *s);

/* Before the transaction of postgres_append_in begins. Takes NULL. */
enum err postgres_append_prepare(struct postgres_store *s,
                                 const struct store_audit_write *write) MUST_USE;
/* Appends inside of a transaction that the caller began. What its failure means is ERR_INTERNAL or
 * a fault of the database. */
enum err postgres_append_in(struct postgres_store *s, struct pg *db,
                            const struct store_audit_write *write) MUST_USE;

/* ---- the schema (pg_schema.c) -------------------------------------------------------------------
 */

struct postgres_migration {
    int version; /* 1, 2, 3, ... */
    const char *sql;
};
/* Brings the database to the last of `migrations`, all in one transaction. ERR_INVALID: the
 * database is another program's, or newer. */
enum err postgres_migrate(struct pg *db, const struct postgres_migration *migrations, size_t count,
                          struct err_text *why) MUST_USE;
enum err postgres_migrate_store(struct pg *db, struct err_text *why) MUST_USE;

#endif

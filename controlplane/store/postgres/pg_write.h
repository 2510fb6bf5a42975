/* Writes batches of records of several streams inside of one transaction: who is refused, keys and
 * positions, sessions, and the rows. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_POSTGRES_PG_WRITE_H
#define CHAPERONE_CONTROLPLANE_STORE_POSTGRES_PG_WRITE_H

#include "controlplane/store/content.h"
#include "controlplane/store/postgres/pg_store.h"
#include "controlplane/store/postgres/pg_words.h"

/* What a record's content is: audit_record.form. */
enum { FORM_PLAIN = 0, FORM_SEALED = 1, FORM_ERASED = 2, FORM_BLOB = 3 };

struct write_text {
    size_t spoken_at, spoken_size; /* in the batch's `spoken` */
    size_t lexemes_at, lexemes_size;
    uint32_t lexeme_count;
};

/* One call of append. What is made of the texts is made before a transaction begins. */
struct write_batch {
    const char *sidecar;
    const struct store_audit_record *records;
    size_t count;
    int64_t received_ns;
    struct write_text *texts; /* owned, one for each record */
    struct buffer spoken, lexemes;

    /* The answer. */
    enum err err;
    uint64_t refused;
    struct err_text why;
    struct store_audit_appended appended;

    /* Of the stream, while it is written. */
    int64_t stream, last_key;
    bool is_revoked; /* it takes nothing any more */
    struct store_audit_last before;

    bool is_done;
    struct write_batch *next; /* in the queue */
};

enum err write_batch_init(struct write_batch *b, struct words *words, const char *sidecar,
                          const struct store_audit_record *records, size_t count,
                          int64_t received_ns) MUST_USE;
void write_batch_finish(struct write_batch *b);

/* A new record. */
struct write_item {
    const struct store_audit_record *record;
    const struct write_batch *batch;
    const struct write_text *text;
    int64_t position, key;
    int64_t session, identity, resource; /* ids; 0: none */
    int form;
    uint8_t content_key[CONTENT_KEY_SIZE];
    size_t tables_at, table_count; /* in `tables`; sorted */
};

struct write_table {
    int64_t name, full;
};

struct write_group {
    struct write_batch **batches;
    size_t batch_count;
    struct write_item *items; /* owned */
    size_t count;
    struct write_table *tables; /* owned */
    size_t table_count;
};

struct write_cache;

/* What an append looks up again and again. It is only true as long as every transaction that used
 * it was committed: after another one, clear. */
enum err write_cache_create(struct bytes content_master, struct write_cache **out) MUST_USE;
void write_cache_clear(struct write_cache *cache);
void write_cache_destroy(struct write_cache *cache); /* takes NULL */

/* Each batch gets its answer; one that is refused leaves nothing. A failure is of all. Tells the
 * other control planes. */
enum err write_group(struct postgres_store *s, struct pg *db, struct write_cache *cache,
                     struct write_batch **batches, size_t count) MUST_USE;

/* ---- its parts ---------------------------------------------------------------------------------
 */

/* The dictionary (pg_names.c): ids of names, added when they are not there. 0 for an empty one. */
enum err write_name_id(struct pg *db, struct write_cache *cache, struct bytes name,
                       int64_t *out) MUST_USE;
enum err write_table_id(struct pg *db, struct write_cache *cache,
                        const struct store_audit_table *table, struct write_table *out) MUST_USE;
/* All tables of a record that have names, sorted by their ids; `out` has room for all. Of many,
 * with a few statements: how many a statement names is up to an agent, and everybody waits
 * meanwhile. */
enum err write_tables(struct pg *db, struct write_cache *cache,
                      const struct store_audit_index *index, struct write_table *out,
                      size_t *out_count) MUST_USE;

/* Sessions (pg_write_sessions.c). Says what is known of the item's session, made on its first
 * record, and keeps what the record says about it. */
enum err write_session(struct pg *db, struct write_cache *cache, struct write_item *item) MUST_USE;
/* Ends all sessions of a stream that are open still; `reason`: "lost", "revoked". */
enum err write_sessions_end(struct pg *db, int64_t stream, int64_t key,
                            const char *reason) MUST_USE;
/* Writes the counts that were gathered: before the commit. */
enum err write_sessions_flush(struct pg *db, struct write_cache *cache) MUST_USE;
/* Keys of sessions were deleted since: those that are known may be among them. */
void write_erasures_check(struct write_cache *cache, int64_t erasures);
/* Somebody else wrote this stream since: what is known of its sessions may be old. */
void write_stream_check(struct write_cache *cache, int64_t stream, uint64_t last_sequence);
void write_stream_set(struct write_cache *cache, int64_t stream, uint64_t last_sequence);

/* The rows (pg_write_rows.c). */
enum err write_rows(struct pg *db, struct write_cache *cache,
                    const struct write_group *group) MUST_USE;

/* The cache's inside. */
enum { CACHE_NAMES = 1024, CACHE_NAME_SIZE_MAX = 128, CACHE_SESSIONS = 1024, CACHE_STREAMS = 1024 };

struct write_session_cached {
    int64_t id; /* 0: this entry is free */
    int64_t stream, identity, resource;
    int64_t operations; /* counted in this transaction, not yet written */
    uint8_t content_key[CONTENT_KEY_SIZE];
    uint8_t session[STORE_SESSION_SIZE_MAX];
    size_t session_size;
};

struct write_name_cached {
    struct write_table ids; /* of a name: `name` only */
    uint8_t name[CACHE_NAME_SIZE_MAX];
    size_t size; /* 0: free */
};

struct write_cache {
    struct content *content;
    int64_t erasures;
    struct write_name_cached names[CACHE_NAMES], tables[CACHE_NAMES];
    struct write_session_cached sessions[CACHE_SESSIONS];
    struct {
        int64_t id;
        uint64_t last_sequence;
    } streams[CACHE_STREAMS];
};

#endif

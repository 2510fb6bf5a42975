/* The SQLite backend's inside: one connection that writes, a few that read.
 *
 * The writer is behind a mutex, and so is the list of free readers; a connection is used by
 * one thread at a time (sqlite3_open_v2 with NOMUTEX). WAL lets readers go on while the writer
 * commits. synchronous=FULL: a commit is durable when it returns. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_SQLITE_H
#define CHAPERONE_CONTROLPLANE_STORE_SQLITE_H

#include <pthread.h>
#include <sqlite3.h>

#include "controlplane/store/backend.h"
#include "controlplane/store/content.h"

enum {
    DB_STATEMENTS_MAX = 192, /* prepared statements that a connection keeps: all fixed ones */
    DB_READERS_MAX = 32,
    DB_SESSION_CACHE_SIZE = 256, /* entries; sessions that are active at one time */
    DB_KEY_CACHE_SIZE = 64,      /* entries; sessions that a page of records is of */
};

/* ---- one connection (sqlite_db.c) -------------------------------------------------------- */

struct section_packer;
struct tokens;

struct db {
    sqlite3 *handle;
    struct {
        const char *sql; /* borrows: a literal; compared as a pointer */
        sqlite3_stmt *statement;
    } kept[DB_STATEMENTS_MAX];
    size_t kept_count;
    /* What reads and writes content (sqlite_content.h): of the connection, as its statements. */
    struct content *content; /* owned; NULL: not opened by a store */
    struct {
        int64_t session; /* audit_session.id; 0: free */
        uint8_t key[CONTENT_KEY_SIZE];
    } keys[DB_KEY_CACHE_SIZE];
    struct section_packer *packer; /* owned (sqlite_section.h) */
    struct tokens *tokens;         /* owned (sqlite_tokens.h) */
    int64_t newest_key; /* of the writer: no record has a greater one; 0: not known yet */
    uint64_t erasures;  /* that were known when this connection was taken */
};

/* What an SQLite result means here; `why` gets its sentence. Not for SQLITE_OK, ROW, DONE. */
enum err db_failed(struct db *db, struct err_text *why) MUST_USE;
/* The same for a failure that was given a meaning already, which it returns. */
enum err db_explain(struct db *db, enum err err, struct err_text *why) MUST_USE;
enum err db_execute(struct db *db, const char *sql, struct err_text *why) MUST_USE;
/* A reset statement without bindings, kept by the connection. `sql` is a literal. */
enum err db_statement(struct db *db, const char *sql, sqlite3_stmt **out) MUST_USE;
/* Steps it. A statement that has ended is reset. */
enum err db_step(struct db *db, sqlite3_stmt *statement, bool *out_row) MUST_USE;
/* Steps a statement that gives no rows, and resets it. */
enum err db_run(struct db *db, sqlite3_stmt *statement) MUST_USE;
/* As db_run; ERR_NOT_FOUND when no row was changed. */
enum err db_run_one(struct db *db, sqlite3_stmt *statement) MUST_USE;

/* Bindings borrow until the statement is reset. Numbers above INT64_MAX never come here. */
void db_bind_number(sqlite3_stmt *statement, int at, int64_t value);
void db_bind_text(sqlite3_stmt *statement, int at, struct bytes value);
void db_bind_string(sqlite3_stmt *statement, int at, const char *value); /* NULL: "" */
void db_bind_blob(sqlite3_stmt *statement, int at, struct bytes value);
/* NULL for 0. */
void db_bind_reference(sqlite3_stmt *statement, int at, int64_t id);

/* Borrowed until the statement is stepped or reset. */
struct bytes db_column_bytes(sqlite3_stmt *statement, int at);
/* Copies of a column. A failed allocation is remembered in `*failed`, so that a row is read whole
 * and checked once. */
const char *db_column_string(sqlite3_stmt *statement, int at, struct arena *arena, bool *failed);
struct bytes db_column_blob(sqlite3_stmt *statement, int at, struct arena *arena, bool *failed);
/* False when the column has another size. */
bool db_column_hash(sqlite3_stmt *statement, int at, uint8_t out[STORE_HASH_SIZE]);

/* Reads one value of type T of a row. */
typedef bool db_row_fn(sqlite3_stmt *statement, struct arena *arena, void *out_item);
/* All rows of a bound statement, as an array of items of `item_size` bytes in the arena. */
enum err db_read_all(struct db *db, sqlite3_stmt *statement, size_t item_size, db_row_fn *read,
                     struct arena *arena, void **out_items, size_t *out_count) MUST_USE;
/* The first row; ERR_NOT_FOUND when there is none. `out_item` is untouched on failure. */
enum err db_read_one(struct db *db, sqlite3_stmt *statement, size_t item_size, db_row_fn *read,
                     struct arena *arena, void *out_item) MUST_USE;

/* ---- the schema (sqlite_schema.c) -------------------------------------------------------- */

struct db_migration {
    int version; /* 1, 2, 3, ... */
    const char *sql;
};

/* Brings the file from its version to the last of `migrations`, each step in a transaction of its
 * own. ERR_INVALID: the file is another program's, or newer than `migrations`. */
enum err db_migrate(struct db *db, const struct db_migration *migrations, size_t count,
                    struct err_text *why) MUST_USE;
enum err db_migrate_store(struct db *db, struct err_text *why) MUST_USE;

/* audit_section.form: what `content` is (sqlite_section.h). */
enum sqlite_form {
    SQLITE_FORM_PLAIN = 0,  /* as it was packed */
    SQLITE_FORM_SEALED = 1, /* encrypted, under the key of its session */
    SQLITE_FORM_ERASED = 2, /* gone */
};

/* audit_tag.kind: what a section is found by, and what `value` is then. */
enum sqlite_tag {
    SQLITE_TAG_SESSION = 1,  /* audit_session.id */
    SQLITE_TAG_IDENTITY = 2, /* audit_name.id, here and in the next two */
    SQLITE_TAG_RESOURCE = 3,
    SQLITE_TAG_TABLE = 4,   /* the last part of its name */
    SQLITE_TAG_VERDICT = 5, /* those beyond 1 only: what is rare */
    SQLITE_TAG_KIND = 6,    /* all but intents and outcomes */
};

/* audit_blob.state (sqlite_blobs.c). */
enum sqlite_blob_state {
    SQLITE_BLOB_WAITS = 0, /* for a row */
    SQLITE_BLOB_USED = 1,
    SQLITE_BLOB_DROPPED = 2, /* to be deleted */
};

/* ---- the store (sqlite.c) ---------------------------------------------------------------- */

/* What an append has to know of a session; so that it is looked up once and not per record. */
struct session_cached {
    int64_t id; /* 0: this entry is free */
    int64_t stream;
    int64_t identity, resource; /* audit_name.id, 0: none */
    int64_t operations;         /* counted in this transaction, not yet written */
    uint8_t session[STORE_SESSION_SIZE_MAX];
    size_t session_size;
    bool has_key; /* what it records is encrypted */
    uint8_t key[CONTENT_KEY_SIZE];
};

struct sqlite_store {
    struct store store;
    char *path;

    pthread_mutex_t write_mutex;
    struct db writer;
    struct session_cached sessions[DB_SESSION_CACHE_SIZE];

    pthread_mutex_t read_mutex;
    pthread_cond_t reader_is_free;
    struct db readers[DB_READERS_MAX];
    struct db *free_readers[DB_READERS_MAX];
    size_t reader_count, free_count;
    uint64_t erasures; /* so far: behind read_mutex */
};

static inline struct sqlite_store *sqlite_of(struct store *store)
{
    return (struct sqlite_store *)store;
}

/* A write transaction: begin gives the writer, end commits when `result` is OK, else rolls back; it
 * returns `result` or why the commit failed. After a failed begin there is no end. */
enum err sqlite_write_begin(struct sqlite_store *s, struct db **out) MUST_USE;
enum err sqlite_write_end(struct sqlite_store *s, enum err result, struct err_text *why) MUST_USE;
/* Begins a write that is one statement, to be bound and run. */
enum err sqlite_write_one(struct sqlite_store *s, const char *sql, struct db **out_db,
                          sqlite3_stmt **out) MUST_USE;
/* Waits until a reader is free. */
struct db *sqlite_read_begin(struct sqlite_store *s);
void sqlite_read_end(struct sqlite_store *s, struct db *db);

/* Wipes every key that a connection knows: now, or when it is given back. Outside of reading. */
void sqlite_keys_forget(struct sqlite_store *s);

/* ---- its parts: the functions of struct store_backend ------------------------------------ */

extern const struct store_backend sqlite_backend;

enum err sqlite_documents_replace(struct store *store, const struct store_document *documents,
                                  size_t count, int64_t now_ns, struct err_text *why);
enum err sqlite_document_put(struct store *store, const struct store_document *document,
                             int64_t now_ns);
enum err sqlite_document_get(struct store *store, enum store_document_kind kind, const char *name,
                             struct arena *arena, struct store_document *out);
enum err sqlite_document_list(struct store *store, enum store_document_kind kind,
                              struct arena *arena, struct store_document **out_items,
                              size_t *out_count);
enum err sqlite_secret_put(struct store *store, const char *name, struct bytes sealed,
                           int64_t now_ns);
enum err sqlite_secret_get(struct store *store, const char *name, struct arena *arena,
                           struct store_secret *out);
enum err sqlite_secret_list(struct store *store, struct arena *arena,
                            struct store_secret **out_items, size_t *out_count);
enum err sqlite_secret_delete(struct store *store, const char *name);

enum err sqlite_sidecar_add(struct store *store, const struct store_sidecar *sidecar);
enum err sqlite_sidecar_renew(struct store *store, const char *id, const char *certificate_serial,
                              int64_t not_after_ns, const char *name, const char *version);
enum err sqlite_sidecar_news(struct store *store, const struct store_sidecar_news *news,
                             size_t count);
enum err sqlite_sidecar_get(struct store *store, const char *id, struct arena *arena,
                            struct store_sidecar *out);
enum err sqlite_sidecar_list(struct store *store, struct arena *arena,
                             struct store_sidecar **out_items, size_t *out_count);
enum err sqlite_sidecar_revoke(struct store *store, const struct store_revocation *revocation);
enum err sqlite_sidecar_find_revoked(struct store *store, const uint8_t key_hash[STORE_HASH_SIZE],
                                     struct arena *arena, struct store_sidecar *out);
enum err sqlite_join_token_add(struct store *store, const struct store_join_token *token);
enum err sqlite_join_token_use(struct store *store, const uint8_t hash[STORE_HASH_SIZE],
                               int64_t now_ns, struct arena *arena, struct store_join_token *out);
enum err sqlite_policy_add(struct store *store, const struct store_policy *policy);
enum err sqlite_policy_get(struct store *store, uint64_t revision, struct arena *arena,
                           struct store_policy *out);

enum err sqlite_audit_append(struct store *store, const char *sidecar,
                             const struct store_audit_record *records, size_t count,
                             int64_t received_ns, struct store_audit_appended *out,
                             uint64_t *out_refused, struct err_text *why);
enum err sqlite_audit_last(struct store *store, const char *sidecar, struct store_audit_last *out);
enum err sqlite_audit_count(struct store *store, uint64_t *out);
enum err sqlite_audit_nth_newest(struct store *store, const struct store_audit_filter *filter,
                                 uint64_t n, int64_t *out_key, struct err_text *why);
enum err sqlite_audit_page(struct store *store, const struct store_audit_filter *filter,
                           int64_t from_key, size_t max, size_t max_bytes, struct arena *arena,
                           struct store_audit_entry **out_items, size_t *out_count, bool *out_more,
                           struct err_text *why);
enum err sqlite_audit_follow(struct store *store, const struct store_audit_filter *filter,
                             uint64_t after_position, size_t max, size_t max_bytes,
                             struct arena *arena, struct store_audit_entry **out_items,
                             size_t *out_count, uint64_t *out_position, bool *out_more,
                             struct err_text *why);
enum err sqlite_audit_at(struct store *store, uint64_t position, struct arena *arena,
                         struct store_audit_entry *out);
enum err sqlite_log_read(struct store *store, uint64_t after, size_t max,
                         uint8_t (*out)[STORE_HASH_SIZE], size_t *out_count);
enum err sqlite_checkpoint_add(struct store *store, const struct store_checkpoint *checkpoint);
enum err sqlite_checkpoint_set_note(struct store *store, uint64_t size, struct bytes note);
enum err sqlite_checkpoint_from(struct store *store, uint64_t size, struct arena *arena,
                                struct store_checkpoint *out);
enum err sqlite_checkpoint_latest(struct store *store, struct arena *arena,
                                  struct store_checkpoint *out);
enum err sqlite_duty_hold(struct store *store, enum store_duty duty, bool *out_has);
enum err sqlite_news_listen(struct store *store, store_news_fn *on_news, void *context);
enum err sqlite_cursor_get(struct store *store, const char *name, uint64_t *out);
enum err sqlite_cursor_set(struct store *store, const char *name, uint64_t position,
                           int64_t now_ns);
enum err sqlite_issuer_key_seen(struct store *store, const char *issuer, const char *key_id,
                                const char *jwk, int64_t now_ns);
enum err sqlite_issuer_key_list(struct store *store, struct arena *arena,
                                struct store_issuer_key **out_items, size_t *out_count);
enum err sqlite_blob_add(struct store *store, const uint8_t (*names)[STORE_HASH_SIZE], size_t count,
                         int64_t now_ns);
enum err sqlite_blob_drop(struct store *store, const uint8_t (*names)[STORE_HASH_SIZE],
                          size_t count);
enum err sqlite_blob_claim(struct store *store, int64_t before_ns, size_t max, struct arena *arena,
                           uint8_t (**out_names)[STORE_HASH_SIZE], size_t *out_count);
enum err sqlite_blob_forget(struct store *store, const uint8_t (*names)[STORE_HASH_SIZE],
                            size_t count);
enum err sqlite_legal_hold_add(struct store *store, const struct store_legal_hold *hold);
enum err sqlite_legal_hold_lift(struct store *store, const char *id, const char *lifted_by,
                                int64_t now_ns);
enum err sqlite_legal_hold_list(struct store *store, bool include_lifted, struct arena *arena,
                                struct store_legal_hold **out_items, size_t *out_count);
enum err sqlite_audit_erase(struct store *store, const struct store_erase *what, int64_t now_ns,
                            struct arena *arena, const char ***out_sessions, size_t *out_count);
enum err sqlite_audit_resources(struct store *store, struct arena *arena, const char ***out_names,
                                size_t *out_count);

enum err sqlite_approval_add(struct store *store, const struct store_approval *approval,
                             const struct store_approval_limits *limits, const char *standing,
                             const struct store_audit_write *audit, uint64_t *out_cursor);
enum err sqlite_approval_change(struct store *store, const struct store_approval_change *change,
                                uint64_t *out_cursor);
enum err sqlite_approval_get(struct store *store, const char *id, struct arena *arena,
                             struct store_approval *out);
enum err sqlite_approval_used_by(struct store *store, const char *request, struct arena *arena,
                                 struct store_approval *out);
enum err sqlite_approval_same(struct store *store, const uint8_t digest[STORE_HASH_SIZE],
                              const char *issuer, const char *identity, const char *resource,
                              struct arena *arena, struct store_approval *out);
enum err sqlite_approval_answer(struct store *store, const char *approval,
                                const struct store_decision *decision, struct arena *arena,
                                struct bytes *out);
enum err sqlite_approval_list(struct store *store, const struct store_approval_filter *filter,
                              struct arena *arena, struct store_approval **out_items,
                              size_t *out_count);
enum err sqlite_approval_list_due(struct store *store, int64_t now_ns, size_t max,
                                  struct arena *arena, struct store_approval **out_items,
                                  size_t *out_count);
enum err sqlite_approval_next_due(struct store *store, int64_t *out_ns);
enum err sqlite_approval_events(struct store *store, uint64_t after, size_t max, size_t max_bytes,
                                struct arena *arena, struct store_approval **out_items,
                                size_t *out_count);
enum err sqlite_approval_cursor(struct store *store, uint64_t *out);
enum err sqlite_standing_find(struct store *store, const uint8_t key[STORE_HASH_SIZE],
                              int64_t now_ns, struct arena *arena, struct store_standing *out);
enum err sqlite_standing_get(struct store *store, const char *id, struct arena *arena,
                             struct store_standing_item *out);
enum err sqlite_standing_list(struct store *store, const struct store_standing_filter *filter,
                              struct arena *arena, struct store_standing_item **out_items,
                              size_t *out_count);
enum err sqlite_standing_revoke(struct store *store, const struct store_standing *standing,
                                const struct store_audit_write *audit);

enum err sqlite_link_code_add(struct store *store, const uint8_t hash[STORE_HASH_SIZE],
                              const char *provider, const char *account, int64_t now_ns,
                              int64_t expires_ns);
enum err sqlite_link_confirm(struct store *store, const uint8_t hash[STORE_HASH_SIZE],
                             const struct store_link *link, struct arena *arena,
                             struct store_link *out);
enum err sqlite_link_get(struct store *store, const char *provider, const char *account,
                         struct arena *arena, struct store_link *out);
enum err sqlite_link_remove(struct store *store, const char *provider, const char *account);

enum err sqlite_block_add(struct store *store, const struct store_block *block);
enum err sqlite_block_lift(struct store *store, const struct store_block_what *what,
                           const char *lifted_by, int64_t now_ns, struct arena *arena,
                           struct store_block **out_items, size_t *out_count);
enum err sqlite_block_list(struct store *store, struct arena *arena, struct store_block **out_items,
                           size_t *out_count);
enum err sqlite_session_list(struct store *store, bool include_closed, size_t limit,
                             struct arena *arena, struct store_session **out_items,
                             size_t *out_count);
enum err sqlite_session_count_open(struct store *store, struct arena *arena,
                                   struct store_open_sessions **out_items, size_t *out_count);
enum err sqlite_session_list_open(struct store *store, const char *sidecar, size_t limit,
                                  struct arena *arena, const char ***out_ids, size_t *out_count);
enum err sqlite_session_get(struct store *store, const char *session, struct arena *arena,
                            struct store_session *out);

/* Appends inside of a transaction that the caller began. */
enum err sqlite_audit_append_in(struct sqlite_store *s, struct db *db,
                                const struct store_audit_write *write) MUST_USE;

/* ---- shared by append and sessions (sqlite_names.c, sqlite_sessions.c) --------------------- */

/* The id of a name in the dictionary, added when it is not there; 0 for an empty one. */
enum err sqlite_name_id(struct db *db, struct bytes name, int64_t *out) MUST_USE;
/* The same, only looked up: 0 when it is not there. */
enum err sqlite_name_find(struct db *db, struct bytes name, int64_t *out) MUST_USE;
/* The ids of a table, added when it is not there: of the last part of its name (in the dictionary),
 * and of the full one. */
enum err sqlite_table_id(struct db *db, const struct store_audit_table *table, int64_t *out_name,
                         int64_t *out_full) MUST_USE;

/* In a write: a row names this blob now. ERR_UNAVAILABLE: it is known as one to be deleted. */
enum err sqlite_blob_use(struct db *db, const uint8_t *name, int64_t session) MUST_USE;
/* In a write: the blobs of this session are to be deleted. */
enum err sqlite_blobs_drop_session(struct db *db, int64_t session) MUST_USE;

/* The session of a record that is being appended, from the cache or the table, made on its first
 * record. The entry is valid until the next call. */
enum err sqlite_session_of(struct sqlite_store *s, int64_t stream,
                           const struct store_audit_record *record, int64_t key,
                           struct session_cached **out) MUST_USE;
/* Ends all sessions of a stream that are open still; `reason`: "lost", "revoked". */
enum err sqlite_sessions_end(struct db *db, int64_t stream, int64_t key,
                             const char *reason) MUST_USE;
/* Writes the counts that the transaction gathered: before its commit. */
enum err sqlite_sessions_flush(struct sqlite_store *s) MUST_USE;

#endif

/* What the control plane keeps: its configuration as applied, secrets (encrypted by the caller),
 * sidecars, join tokens, policies, and the audit records with their index.
 *
 * A store is one object over one of several backends (`backend.h`; SQLite now); all of them
 * pass the same contract test. Every function may be called from any thread; a write is one
 * transaction, and durable when it returned OK. No function keeps a pointer to its arguments.
 *
 * Results are copied into an arena that the caller gives (one of its own: arenas are not
 * thread-safe) and are valid until that is reset; strings are never NULL, "" is "not there".
 * Times are nanoseconds since 1970 (UTC); 0 is "never".
 *
 * Errors that any of them may return: ERR_NO_MEMORY (also: the arena's cap), ERR_IO, ERR_FULL (the
 * disk), ERR_UNAVAILABLE (busy for longer than STORE_BUSY_MS; try again), ERR_INVALID (a wrong
 * argument). `why` may always be NULL. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_STORE_H
#define CHAPERONE_CONTROLPLANE_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"

struct store;

enum {
    STORE_HASH_SIZE = 32, /* SHA-256 */
    STORE_BUSY_MS = 10000,
    STORE_NAME_SIZE_MAX = 1024,         /* of any name or id, in bytes */
    STORE_SESSION_SIZE_MAX = 64,        /* of a session's id (a UUID has 36) */
    STORE_DOCUMENT_SIZE_MAX = 16 << 20, /* of one document, secret or policy */
    STORE_BATCH_MAX = 16384,            /* audit records in one append, news in one write */
    STORE_SEARCH_PAGE_MAX = 1024,       /* audit records in one page */
};

/* ---- opening -------------------------------------------------------------------------- */

struct store_sqlite_options {
    int readers;            /* connections that read at the same time; 0: 4 */
    int64_t page_count_max; /* the file's size in pages of 4 KiB; 0: the disk is the limit */
};

/* Opens or makes the file (mode 0600; also its -wal and -shm) and brings its schema up to date.
 * `options` may be NULL. ERR_INVALID with a sentence: not a database, damaged, or written by a
 * newer version of this program (nothing is changed then). */
enum err store_open_sqlite(const char *path, const struct store_sqlite_options *options,
                           struct store **out, struct err_text *why) MUST_USE;
/* Takes NULL. No call may be under way. */
void store_close(struct store *store);

/* ---- configuration -------------------------------------------------------------------- */

enum store_document_kind {
    STORE_IDENTITY_PROVIDER = 1,
    STORE_RESOURCE = 2,
    STORE_CREDENTIAL = 3, /* references; a secret itself is in store_secret_put */
    STORE_GRANT = 4,
    STORE_ROLE_MAPPING = 5,
};

struct store_document {
    enum store_document_kind kind;
    const char *name;   /* unique within its kind */
    const char *json;   /* canonical; opaque to the store */
    int64_t updated_ns; /* when `json` last changed; not read by replace */
};

/* Makes the store hold exactly these documents, of all kinds together, in one transaction.
 * ERR_EXISTS: two of one kind have one name; nothing is changed then. */
enum err store_documents_replace(struct store *store, const struct store_document *documents,
                                 size_t count, int64_t now_ns, struct err_text *why) MUST_USE;
/* Adds or replaces one. */
enum err store_document_put(struct store *store, const struct store_document *document,
                            int64_t now_ns) MUST_USE;
enum err store_document_get(struct store *store, enum store_document_kind kind, const char *name,
                            struct arena *arena, struct store_document *out) MUST_USE;
/* By name. */
enum err store_document_list(struct store *store, enum store_document_kind kind,
                             struct arena *arena, struct store_document **out_items,
                             size_t *out_count) MUST_USE;

/* ---- secrets: bytes that the caller encrypted ------------------------------------------ */

struct store_secret {
    const char *name;
    struct bytes sealed; /* opaque to the store */
    int64_t updated_ns;
};

enum err store_secret_put(struct store *store, const char *name, struct bytes sealed,
                          int64_t now_ns) MUST_USE;
enum err store_secret_get(struct store *store, const char *name, struct arena *arena,
                          struct store_secret *out) MUST_USE;
enum err store_secret_list(struct store *store, struct arena *arena,
                           struct store_secret **out_items, size_t *out_count) MUST_USE;
enum err store_secret_delete(struct store *store, const char *name) MUST_USE; /* ERR_NOT_FOUND */

/* ---- sidecars -------------------------------------------------------------------------- */

struct store_sidecar {
    const char *id;   /* UUIDv7 */
    const char *name; /* for people */
    const char *version;
    uint8_t key_hash[STORE_HASH_SIZE]; /* SHA-256 of its SubjectPublicKeyInfo, DER */
    const char *certificate_serial;    /* hex */
    int64_t certificate_not_after_ns;
    int64_t enrolled_ns;
    int64_t last_seen_ns;
    uint64_t policy_revision;
    const char *policy_state; /* "active", "delivered", "rejected: ..." */
    const char *enrolled_by;  /* "join token NAME", "oidc SUBJECT" */
};

/* A new one. ERR_EXISTS: the id is taken. */
enum err store_sidecar_add(struct store *store, const struct store_sidecar *sidecar) MUST_USE;
/* A renewed certificate of a known one. Name and version may be NULL: as they are. */
enum err store_sidecar_renew(struct store *store, const char *id, const char *certificate_serial,
                             int64_t not_after_ns, const char *name, const char *version) MUST_USE;
/* What was heard of a sidecar. */
struct store_sidecar_news {
    const char *sidecar;
    int64_t seen_ns;          /* what comes late does not set it back */
    uint64_t policy_revision; /* with a state */
    const char *policy_state; /* NULL: both as they are */
};
/* In their order, in one transaction: 1 to STORE_BATCH_MAX. Sidecars that are not there are passed
 * over. */
enum err store_sidecar_news(struct store *store, const struct store_sidecar_news *news,
                            size_t count) MUST_USE;
enum err store_sidecar_get(struct store *store, const char *id, struct arena *arena,
                           struct store_sidecar *out) MUST_USE;
/* Latest seen first. */
enum err store_sidecar_list(struct store *store, struct arena *arena,
                            struct store_sidecar **out_items, size_t *out_count) MUST_USE;

/* ---- join tokens: their SHA-256 only ---------------------------------------------------- */

struct store_join_token {
    uint8_t hash[STORE_HASH_SIZE];
    const char *name;
    const char *created_by;
    int64_t created_ns;
    int64_t expires_ns;
    int64_t used_ns; /* 0: not yet */
};

enum err store_join_token_add(struct store *store, const struct store_join_token *token) MUST_USE;
/* Uses it up: of any number of calls at the same time one returns OK. ERR_NOT_FOUND: unknown,
 * ERR_EXISTS: used before, ERR_TIMEOUT: expired. */
enum err store_join_token_use(struct store *store, const uint8_t hash[STORE_HASH_SIZE],
                              int64_t now_ns, struct arena *arena,
                              struct store_join_token *out) MUST_USE;

/* ---- policies -------------------------------------------------------------------------- */

struct store_policy {
    uint64_t revision;     /* 1, 2, 3, ... */
    const char *hash;      /* hex SHA-256 of document */
    struct bytes document; /* canonical; kept to the byte */
    struct bytes signature;
    struct bytes public_key; /* SubjectPublicKeyInfo of the signer, DER */
    const char *source;      /* what a person wrote: YAML or JSON; may be "" */
    const char *created_by;
    const char *message; /* why, in the words of who made it; NULL or "": nothing was said */
    int64_t created_ns;
};

/* ERR_EXISTS: the revision is not greater than that of every policy there is. */
enum err store_policy_add(struct store *store, const struct store_policy *policy) MUST_USE;
/* The newest one; ERR_NOT_FOUND before the first. */
enum err store_policy_latest(struct store *store, struct arena *arena,
                             struct store_policy *out) MUST_USE;
enum err store_policy_get(struct store *store, uint64_t revision, struct arena *arena,
                          struct store_policy *out) MUST_USE;

/* ---- audit: append --------------------------------------------------------------------- */

/* The numbers are those of the fields in Record.event (api/audit.proto). */
enum store_audit_kind {
    STORE_SESSION_OPENED = 10,
    STORE_INTENT = 11,
    STORE_APPROVAL = 12,
    STORE_OUTCOME = 13,
    STORE_SESSION_CLOSED = 14,
    STORE_HEARTBEAT = 15,
    STORE_LOSS = 16,
};

enum { STORE_KINDS_ALL = 0 }; /* in a filter: any */
static inline uint32_t store_kind_bit(enum store_audit_kind kind)
{
    return UINT32_C(1) << (unsigned)kind;
}

struct store_audit_table {
    struct bytes name; /* lower case, without its qualifiers: orders */
    struct bytes full; /* as table_name.h makes it: public.orders */
};

struct store_audit_opened {
    struct bytes identity; /* subject */
    struct bytes on_behalf_of;
    struct bytes resource, protocol, database, agent_address;
    bool refused;
};

/* What a record is found by. All is borrowed, none need be valid UTF-8. */
struct store_audit_index {
    enum store_audit_kind kind;
    int64_t time_ns;
    struct bytes session; /* empty: of the stream itself */
    int verdict;          /* Chaperone__V1__Verdict; 0: none */
    int status;           /* Chaperone__V1__Status; 0: none */
    uint64_t rows;
    struct bytes error_code;
    struct bytes text; /* of the statement */
    const struct store_audit_table *tables;
    size_t table_count;
    const struct store_audit_opened *opened; /* of STORE_SESSION_OPENED, else NULL */
    struct bytes close_reason;               /* of STORE_SESSION_CLOSED */
    /* Of STORE_HEARTBEAT: none of the stream's sessions is open any more. Those of which no end
     * was recorded (their sidecar died) are closed by it, with the reason "lost". */
    bool has_no_sessions;
};

struct store_audit_record {
    uint64_t sequence;
    struct bytes canonical; /* kept to the byte */
    uint8_t hash[STORE_HASH_SIZE];
    uint8_t previous[STORE_HASH_SIZE];
    struct store_audit_index index;
};

struct store_audit_last {
    uint64_t sequence;             /* 0: the stream has no record yet */
    uint8_t hash[STORE_HASH_SIZE]; /* zero bytes then */
};

struct store_audit_appended {
    struct store_audit_last last; /* of the stream, now */
    size_t added;                 /* the rest of the batch was there already */
    /* The new records are at these positions of the log, without a gap; 0 where added is 0. */
    uint64_t first_position, last_position;
};

/* Appends a batch of one sidecar's stream, whole or not at all. Records that are there already
 * (same sequence, same hash) are passed over. Trusts hash, previous and index to be those of the
 * bytes. ERR_EXISTS: another record is known under one of the sequences (someone tampered);
 * ERR_INVALID: a gap in the sequence, or `previous` is not the hash of the record before it. `why`
 * names the sequence, and so does `*out_refused` (may be NULL), which is written then only. */
enum err store_audit_append(struct store *store, const char *sidecar,
                            const struct store_audit_record *records, size_t count,
                            int64_t received_ns, struct store_audit_appended *out,
                            uint64_t *out_refused, struct err_text *why) MUST_USE;
/* Of a sidecar that never sent any: sequence 0, OK. */
enum err store_audit_last(struct store *store, const char *sidecar,
                          struct store_audit_last *out) MUST_USE;
/* How many records there are: the greatest position. */
enum err store_audit_count(struct store *store, uint64_t *out) MUST_USE;

/* ---- audit: find ----------------------------------------------------------------------- */

/* Every record has two numbers. Its *position* (1, 2, 3, ...) is its place in the order of arrival:
 * of the log, and of a tail. Its *key* is its time, made to increase strictly within a stream
 * (a clock may step back), to be not later than the record's arrival, and unique: records are
 * found and ordered by it, so that a stream that arrives late is still found in its time. */
struct store_audit_filter {
    const char *identity; /* subject, exact; NULL or "" (here and below): any */
    const char *resource;
    const char *session;
    int64_t since_ns, until_ns; /* of the key, both included; 0: no bound */
    /* Every word must be in the statement's text; letter case does not count. Punctuation parts
     * words (customer_id is two), but what is written together must stand together, in
     * this order; "…" keeps spaces together too. A last * finds beginnings: cust* */
    const char *text;
    /* Case and quotes do not count. Where one name is qualified and the other is not, or less so,
     * their common part decides: orders finds public.orders, and public.orders finds an
     * unqualified orders, which may have been it, but not sales.orders. */
    const char *table;
    int verdict;           /* 0: any */
    uint32_t kinds;        /* store_kind_bit | ...; STORE_KINDS_ALL */
    uint64_t position_max; /* 0: any. Freezes what a search sees while records arrive */
};

struct store_audit_entry {
    int64_t key;
    uint64_t position;
    int64_t received_ns;
    const char *sidecar;
    uint64_t sequence;
    struct bytes canonical;
    /* What its session says. */
    const char *identity, *on_behalf_of, *resource, *protocol;
};

/* The key of the n-th newest record that matches (n from 1), or of the oldest one where there are
 * fewer. ERR_NOT_FOUND: none matches. */
enum err store_audit_nth_newest(struct store *store, const struct store_audit_filter *filter,
                                uint64_t n, int64_t *out_key, struct err_text *why) MUST_USE;
/* The next matching records with a key of at least `from_key` (the first page: INT64_MIN), oldest
 * first: at most `max` of them, and no more after `max_bytes` of canonical bytes. `*out_more`:
 * there may be more, from the last one's key + 1. */
enum err store_audit_page(struct store *store, const struct store_audit_filter *filter,
                          int64_t from_key, size_t max, size_t max_bytes, struct arena *arena,
                          struct store_audit_entry **out_items, size_t *out_count, bool *out_more,
                          struct err_text *why) MUST_USE;

/* The matching records beyond `after_position`, in the order of arrival: for a tail.
 * `*out_position`: up to here all was looked at; at the end of the log when `*out_more` is false.
 */
enum err store_audit_follow(struct store *store, const struct store_audit_filter *filter,
                            uint64_t after_position, size_t max, size_t max_bytes,
                            struct arena *arena, struct store_audit_entry **out_items,
                            size_t *out_count, uint64_t *out_position, bool *out_more,
                            struct err_text *why) MUST_USE;

/* ---- sessions, as their records tell ---------------------------------------------------- */

struct store_session {
    const char *session, *sidecar;
    const char *identity, *on_behalf_of, *resource, *protocol, *database, *agent_address;
    int64_t opened_ns, closed_ns; /* closed 0: open */
    uint64_t operations;          /* intents so far */
    const char *state;            /* "open", "closed", "refused" */
    const char *close_reason;
};

/* The newest `limit` (0: all), newest first. */
enum err store_session_list(struct store *store, bool include_closed, size_t limit,
                            struct arena *arena, struct store_session **out_items,
                            size_t *out_count) MUST_USE;
enum err store_session_get(struct store *store, const char *session, struct arena *arena,
                           struct store_session *out) MUST_USE;

#endif

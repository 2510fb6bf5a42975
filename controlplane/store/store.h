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

/* Told after each step while what an older version wrote is brought to this one's form, and never
 * otherwise: `done` of `all` records, or sections of them. */
struct store_progress {
    void (*on_step)(void *context, const char *what, uint64_t done, uint64_t all);
    void *context;
};

struct store_sqlite_options {
    int readers;            /* connections that read at the same time; 0: 4 */
    int64_t page_count_max; /* the file's size in pages of 4 KiB; 0: the disk is the limit */
    /* 32 bytes that the keys of sessions are encrypted with, so that the database alone shows no
     * content; copied. None: they are kept as they are. Always the same for one database. */
    struct bytes content_master;
    const struct store_progress *progress; /* while it is opened; may be NULL */
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
    int64_t revoked_ns;       /* it counts for nothing any more; 0: it does */
    const char *revoked_by, *revoked_reason;
};

/* A new one, not revoked. ERR_EXISTS: the id is taken; ERR_DENIED: a sidecar with this key was
 * revoked. */
enum err store_sidecar_add(struct store *store, const struct store_sidecar *sidecar) MUST_USE;
/* A renewed certificate of a known one. Name and version may be NULL: as they are. ERR_NOT_FOUND:
 * there is none, or it was revoked. */
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

struct store_audit_write;
struct store_revocation {
    const char *sidecar;
    const char *by, *reason;
    int64_t now_ns;
    uint64_t last_sequence; /* where its stream ends, as the record says */
    const struct store_audit_write *audit;
};
/* For good: its key is taken no more, its stream takes no more records, and its sessions that are
 * open end, as "revoked"; in one transaction with the record. ERR_NOT_FOUND; ERR_DENIED: it was
 * revoked before; ERR_EXISTS: its stream ends elsewhere by now. Nothing is changed then. */
enum err store_sidecar_revoke(struct store *store,
                              const struct store_revocation *revocation) MUST_USE;
/* One with this key that was revoked. */
enum err store_sidecar_find_revoked(struct store *store, const uint8_t key_hash[STORE_HASH_SIZE],
                                    struct arena *arena, struct store_sidecar *out) MUST_USE;

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
    STORE_ACTION = 17,
    STORE_FINDING = 18,
    STORE_MESSAGE = 19,
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
    struct bytes text; /* of the statement or the request; what a message says */
    const struct store_audit_table *tables;
    size_t table_count;
    const struct store_audit_opened *opened; /* of STORE_SESSION_OPENED, else NULL */
    struct bytes close_reason;               /* of STORE_SESSION_CLOSED */
    /* Of STORE_HEARTBEAT: none of the stream's sessions is open any more. Those of which no end
     * was recorded (their sidecar died) are closed by it, with the reason "lost". */
    bool has_no_sessions;
    /* The session is another stream's, and this is what is known of it: for records that the
     * control plane itself writes. They are found with that session, which is not listed again. */
    const struct store_audit_opened *about;
};

struct store_audit_record {
    uint64_t sequence;
    struct bytes canonical; /* kept to the byte */
    uint8_t hash[STORE_HASH_SIZE];
    uint8_t previous[STORE_HASH_SIZE];
    struct store_audit_index index;
    /* NULL. Between the store and its backends: the blob that `canonical` refers to. */
    const uint8_t *blob;
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
 * ERR_INVALID: a gap in the sequence, or `previous` is not the hash of the record before it;
 * ERR_DENIED: the sidecar was revoked, its stream takes nothing any more. `why`
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
    /* Every word must be in the text; letter case does not count. Punctuation parts
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
    uint8_t hash[STORE_HASH_SIZE]; /* as it was appended; it outlives the content */
    struct bytes canonical;        /* empty where `is_erased` */
    bool is_erased;
    bool is_in_blob;   /* false. Between the store and its backends: `canonical` is a reference */
    int64_t erased_ns; /* of a record that `is_erased` */
    enum store_audit_kind kind;
    const char *session; /* "": of the stream itself */
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

/* The record at this position. ERR_NOT_FOUND: there is none. */
enum err store_audit_at(struct store *store, uint64_t position, struct arena *arena,
                        struct store_audit_entry *out) MUST_USE;

/* ---- large records ----------------------------------------------------------------------- */

/* With blobs, a record that is larger than `threshold` without the text of its statement is
 * compressed, encrypted under a key of its own and put there before its row is written, which holds
 * that key and the blob's name. An append fails with ERR_UNAVAILABLE or ERR_FULL where that cannot
 * be. A blob that is missing or changed: ERR_IO, as of a row that was changed. */
struct blobs;

/* Takes `blobs`: they are destroyed with the store. Once, before the store is used. */
void store_blobs_use(struct store *store, struct blobs *blobs, size_t threshold);
/* Deletes blobs that no row names: of sessions that were erased, and of appends that failed and
 * began before `put_before_ns`. At most `max` of them, 1 to STORE_BATCH_MAX; `*out_count` is
 * written in any case, fewer than `max`: that is all for now. Nothing to do without blobs. Also
 * beside others that do the same. */
enum err store_blobs_sweep(struct store *store, int64_t put_before_ns, size_t max,
                           size_t *out_count, struct err_text *why) MUST_USE;

/* ---- the transparency log ---------------------------------------------------------------- */

/* The hashes of the records at positions after + 1, after + 2, ...: at most `max` of them. Fewer:
 * that is all there are now. */
enum err store_log_read(struct store *store, uint64_t after, size_t max,
                        uint8_t (*out)[STORE_HASH_SIZE], size_t *out_count) MUST_USE;

/* A tree head that was signed: each that ever was, by size. */
struct store_checkpoint {
    uint64_t size; /* records in it: positions 1 to size */
    uint8_t root[STORE_HASH_SIZE];
    int64_t time_ns;
    struct bytes note; /* the signed note, with the cosignatures that came so far */
};

/* ERR_EXISTS: one of this size or a greater one is there; nothing is changed, also not where it has
 * the same root. ERR_DENIED: this store does not hold STORE_DUTY_LOG (any more). */
enum err store_checkpoint_add(struct store *store,
                              const struct store_checkpoint *checkpoint) MUST_USE;
/* Another note for what was signed: cosignatures were added. ERR_NOT_FOUND: no such size. */
enum err store_checkpoint_set_note(struct store *store, uint64_t size, struct bytes note) MUST_USE;
/* The smallest one of at least `size` records; ERR_NOT_FOUND: none is that large yet. */
enum err store_checkpoint_from(struct store *store, uint64_t size, struct arena *arena,
                               struct store_checkpoint *out) MUST_USE;
/* ERR_NOT_FOUND: none yet. */
enum err store_checkpoint_latest(struct store *store, struct arena *arena,
                                 struct store_checkpoint *out) MUST_USE;

/* ---- several control planes on one store --------------------------------------------------- */

/* What one of them does for all. */
enum store_duty {
    STORE_DUTY_LOG = 1,    /* signing the log */
    STORE_DUTY_EXPORT = 2, /* export jobs */
    STORE_DUTY_WATCH = 3,  /* looking for what is missing */
    STORE_DUTY_ERASE = 4,  /* retention */
};

/* Takes the duty if nobody has it, keeps it if this store does: until it is closed, or its
 * connection is lost. To be asked before each piece of the work. A store that no other process can
 * share always has it. */
enum err store_duty_hold(struct store *store, enum store_duty duty, bool *out_has) MUST_USE;

/* What another control plane on the same store did. Bits: several may come as one. */
enum store_news {
    STORE_NEWS_RECORDS = 1 << 0,
    STORE_NEWS_APPROVALS = 1 << 1,
    STORE_NEWS_POLICY = 1 << 2,
    STORE_NEWS_BLOCKS = 1 << 3,
    STORE_NEWS_CHECKPOINT = 1 << 4,
    STORE_NEWS_SIDECARS = 1 << 5,  /* one was revoked */
    STORE_NEWS_ALL = (1 << 6) - 1, /* also after a time without a connection */
};

/* Called on a thread of the store, one call at a time; must return soon and may not close the
 * store. Never called by a store that no other process can share. */
typedef void store_news_fn(void *context, unsigned news);
/* Once, before the store is used by several threads; NULL ends it: no call is under way then. */
enum err store_news_listen(struct store *store, store_news_fn *on_news, void *context) MUST_USE;

/* ---- how far a job has come ---------------------------------------------------------------- */

/* ERR_NOT_FOUND: it has not begun. */
enum err store_cursor_get(struct store *store, const char *name, uint64_t *out) MUST_USE;
enum err store_cursor_set(struct store *store, const char *name, uint64_t position,
                          int64_t now_ns) MUST_USE;

/* ---- the keys of issuers, as they were seen ---------------------------------------------------
 */

/* For whoever checks later what was believed: the public part, as the issuer published it. */
struct store_issuer_key {
    const char *issuer, *key_id;
    const char *jwk; /* JSON */
    int64_t first_seen_ns, last_seen_ns;
};

/* Known ones (issuer, key_id and jwk are the same) only move last_seen_ns. */
enum err store_issuer_key_seen(struct store *store, const char *issuer, const char *key_id,
                               const char *jwk, int64_t now_ns) MUST_USE;
/* By issuer and first_seen_ns. */
enum err store_issuer_key_list(struct store *store, struct arena *arena,
                               struct store_issuer_key **out_items, size_t *out_count) MUST_USE;

/* ---- retention --------------------------------------------------------------------------------
 *
 * The canonical bytes of a session's records are kept encrypted under a key of that session.
 * Erasing deletes the key, and what was taken from the bytes to find them (words, tables); the
 * hash, the place in the log, and who, where and when stay. Records of no session are not
 * erased. */

/* What is kept whatever the retention says: exactly one of the three is not "". */
struct store_legal_hold {
    const char *id; /* UUIDv7 */
    const char *resource;
    const char *identity; /* the agent, or one on whose behalf it acts: a name in on_behalf_of */
    const char *session;
    const char *reason, *created_by;
    int64_t created_ns;
    int64_t lifted_ns; /* 0: in force */
    const char *lifted_by;
};

/* ERR_EXISTS: the id is taken. */
enum err store_legal_hold_add(struct store *store, const struct store_legal_hold *hold) MUST_USE;
/* ERR_NOT_FOUND: no such id, or lifted before. */
enum err store_legal_hold_lift(struct store *store, const char *id, const char *lifted_by,
                               int64_t now_ns) MUST_USE;
/* Oldest first. */
enum err store_legal_hold_list(struct store *store, bool include_lifted, struct arena *arena,
                               struct store_legal_hold **out_items, size_t *out_count) MUST_USE;

struct store_erase {
    const char *resource;     /* exact */
    int64_t closed_before_ns; /* sessions that ended before; open ones never */
    size_t max;               /* sessions at once */
    /* Nothing is erased: what would be. */
    bool is_preview;
    /* Only these: what a preview gave and was written down. NULL: any. */
    const char *const *only;
    size_t only_count;
};
/* Erases the content of sessions that no legal hold is about, those first that ended first; their
 * ids are in the arena. Held operations of the session are reduced to who decided (redact.h); a
 * session of which one has not ended is left for later. Records that the control plane itself
 * wrote about a session (`about`) stay: they say what people did. A record that arrives later for
 * a session that was erased makes it one that is not. None left: OK, and none; after that call what
 * was deleted cannot be had back from the database's file or its journal. */
enum err store_audit_erase(struct store *store, const struct store_erase *what, int64_t now_ns,
                           struct arena *arena, const char ***out_sessions,
                           size_t *out_count) MUST_USE;
/* Names of resources that sessions were on, for a retention given as a glob. */
enum err store_audit_resources(struct store *store, struct arena *arena, const char ***out_names,
                               size_t *out_count) MUST_USE;

/* ---- held operations --------------------------------------------------------------------- */

enum { STORE_HELD_SIZE_MAX = 1 << 20 }; /* of a packed HeldOperation: as of an audit record */

/* api/approvals.proto, ApprovalState: the same numbers. */
enum store_approval_state {
    STORE_APPROVAL_WAITING = 1,
    STORE_APPROVAL_APPROVED = 2,
    STORE_APPROVAL_DENIED = 3,
    STORE_APPROVAL_EXPIRED = 4,
    STORE_APPROVAL_WITHDRAWN = 5,
    STORE_APPROVAL_USED = 6,
};

struct store_approval {
    const char *id;
    enum store_approval_state state;
    uint64_t version; /* 1, 2, 3, ... */
    const char *sidecar, *session;
    const char *issuer, *identity; /* the agent's */
    const char *resource;
    uint8_t digest[STORE_HASH_SIZE];
    int64_t requested_ns;
    int64_t due_ns;      /* when time ends the state that it is in; 0: never */
    int64_t ended_ns;    /* 0: not yet */
    const char *used_by; /* id of the later request that used it up; "": none */
    /* What those who said yes allowed beyond this operation: how many of them did, and the least
     * of it. */
    uint64_t standing_votes;
    int64_t standing_until_ns;
    uint64_t standing_uses; /* 0: any number */
    struct bytes held;      /* a packed HeldOperation, as it is now */
    uint64_t cursor;        /* only of store_approval_events; else 0, and not read */
};

/* A person's word, kept so that it is said once. */
struct store_decision {
    const char *issuer, *subject;
    const char *key; /* for idempotency; "": none */
    int64_t time_ns;
};

struct store_standing {
    const char *id;
    uint8_t key[STORE_HASH_SIZE]; /* of all that must be the same */
    const char *approval;         /* that it came from */
    int64_t created_ns, until_ns;
    uint64_t uses_max; /* 0: any number */
    uint64_t uses;
    int64_t revoked_ns;                       /* 0: it was not */
    const char *revoked_by, *revoked_because; /* a subject; a reason, or "" */
};

/* Audit records that are written in the same transaction as something else. */
struct store_audit_write {
    const char *sidecar;
    const struct store_audit_record *records;
    size_t count;
    int64_t received_ns;
    struct store_audit_appended *out;
};

struct store_approval_limits {
    uint64_t waiting_max; /* in all */
    uint64_t session_max; /* waiting, of one session */
};

/* A new one, of version 1. ERR_EXISTS: the id is taken. ERR_LIMIT: too many are waiting.
 * ERR_CLOSED: its sidecar was revoked, nothing is changed then. `standing` (may be NULL) is counted
 * as used in the same transaction, and `audit` (may be NULL) recorded; ERR_DENIED: the standing
 * approval has ended, was used up or revoked, nothing is changed then. */
enum err store_approval_add(struct store *store, const struct store_approval *approval,
                            const struct store_approval_limits *limits, const char *standing,
                            const struct store_audit_write *audit, uint64_t *out_cursor) MUST_USE;

struct store_approval_change {
    const struct store_approval *approval; /* as it is to be; its version is the next one */
    const struct store_decision *decision; /* may be NULL */
    const struct store_standing *standing; /* to be added; may be NULL */
    const struct store_audit_write *audit; /* may be NULL */
};
/* All of it or nothing. ERR_EXISTS: what is stored has not the version before `approval->version`:
 * somebody else was faster; or the decision's key or `used_by` is taken. */
enum err store_approval_change(struct store *store, const struct store_approval_change *change,
                               uint64_t *out_cursor) MUST_USE;

/* By its id, or the beginning of it: ERR_EXISTS where several begin so. */
enum err store_approval_get(struct store *store, const char *id, struct arena *arena,
                            struct store_approval *out) MUST_USE;
/* The one that this request used up. */
enum err store_approval_used_by(struct store *store, const char *request, struct arena *arena,
                                struct store_approval *out) MUST_USE;
/* The newest with this digest for this agent and resource that is waiting, approved or denied. */
enum err store_approval_same(struct store *store, const uint8_t digest[STORE_HASH_SIZE],
                             const char *issuer, const char *identity, const char *resource,
                             struct arena *arena, struct store_approval *out) MUST_USE;
/* What was stored after the decision that had this key: `held` then. */
enum err store_approval_answer(struct store *store, const char *approval,
                               const struct store_decision *decision, struct arena *arena,
                               struct bytes *out) MUST_USE;

struct store_approval_filter {
    bool include_ended;
    const char *resource, *identity, *sidecar; /* NULL or "": any */
    size_t limit;
    size_t max_bytes; /* of `held` in all: no more after so many */
};
/* Newest first. */
enum err store_approval_list(struct store *store, const struct store_approval_filter *filter,
                             struct arena *arena, struct store_approval **out_items,
                             size_t *out_count) MUST_USE;
/* Those that time has ended at `now_ns`, at most `max`; the ones due first come first. */
enum err store_approval_list_due(struct store *store, int64_t now_ns, size_t max,
                                 struct arena *arena, struct store_approval **out_items,
                                 size_t *out_count) MUST_USE;
/* When the next one is due; ERR_NOT_FOUND: none ever. */
enum err store_approval_next_due(struct store *store, int64_t *out_ns) MUST_USE;
/* Changes beyond a cursor, in order, each with the operation as it is now; at most `max` and no
 * more after `max_bytes`. */
enum err store_approval_events(struct store *store, uint64_t after, size_t max, size_t max_bytes,
                               struct arena *arena, struct store_approval **out_items,
                               size_t *out_count) MUST_USE;
/* The cursor of the newest event; 0: none yet. */
enum err store_approval_cursor(struct store *store, uint64_t *out) MUST_USE;

/* One with this key that stands: neither ended, used up nor revoked; the one that ends last. */
enum err store_standing_find(struct store *store, const uint8_t key[STORE_HASH_SIZE],
                             int64_t now_ns, struct arena *arena,
                             struct store_standing *out) MUST_USE;

/* With the operation that it came from, as it is now. */
struct store_standing_item {
    struct store_standing standing;
    struct bytes held; /* a packed HeldOperation */
};
/* By its id, or the beginning of it: ERR_EXISTS where several begin so. */
enum err store_standing_get(struct store *store, const char *id, struct arena *arena,
                            struct store_standing_item *out) MUST_USE;

struct store_standing_filter {
    int64_t now_ns; /* those that stand then */
    bool include_ended;
    const char *resource, *identity; /* NULL or "": any */
    const char *before;              /* only ids before this one; NULL or "": any */
    size_t limit;
    size_t max_bytes; /* of `held` in all: no more after so many */
};
/* The greatest id, which is the newest, first. */
enum err store_standing_list(struct store *store, const struct store_standing_filter *filter,
                             struct arena *arena, struct store_standing_item **out_items,
                             size_t *out_count) MUST_USE;

/* Of `standing` the id and what is said of its revocation count. From then on it is neither found
 * nor used. All of it or nothing; ERR_NOT_FOUND: there is none that stands at `revoked_ns`, it was
 * revoked, used up or has ended before. */
enum err store_standing_revoke(struct store *store, const struct store_standing *standing,
                               const struct store_audit_write *audit) MUST_USE;

/* ---- chat accounts of people ------------------------------------------------------------- */

struct store_link {
    const char *provider, *account;
    const char *issuer, *subject, *name;
    const char *groups; /* one a line */
    int64_t created_ns, expires_ns;
};

enum err store_link_code_add(struct store *store, const uint8_t hash[STORE_HASH_SIZE],
                             const char *provider, const char *account, int64_t now_ns,
                             int64_t expires_ns) MUST_USE;
/* Uses the code up and links its account to the person of `link`, whose provider and account are
 * not read; `*out` is what was stored. ERR_NOT_FOUND: unknown, ERR_EXISTS: used before,
 * ERR_TIMEOUT: expired. */
enum err store_link_confirm(struct store *store, const uint8_t hash[STORE_HASH_SIZE],
                            const struct store_link *link, struct arena *arena,
                            struct store_link *out) MUST_USE;
enum err store_link_get(struct store *store, const char *provider, const char *account,
                        struct arena *arena, struct store_link *out) MUST_USE;
enum err store_link_remove(struct store *store, const char *provider,
                           const char *account) MUST_USE; /* ERR_NOT_FOUND */

/* ---- the kill switch --------------------------------------------------------------------- */

/* New sessions of the identity, for the resource, or all are refused. Or an order to control planes
 * that a sidecar may be connected to: sessions that are open end, new ones are let in. */
struct store_block {
    const char *id;       /* UUIDv7 */
    const char *identity; /* subject; "": not by it */
    const char *resource;
    bool everything;
    bool is_order;
    const char *session; /* of an order: this one; NULL or "": not by it */
    const char *reason, *created_by;
    int64_t created_ns;
    int64_t lifted_ns; /* 0: it is open */
    const char *lifted_by;
};

/* ERR_EXISTS: the id is taken. */
enum err store_block_add(struct store *store, const struct store_block *block) MUST_USE;
/* Which: the one with this id, or with id "" all that were made for exactly this identity,
 * resource and everything. */
struct store_block_what {
    const char *id, *identity, *resource;
    bool everything;
};
/* Lifts the open ones among them; those that it lifted. None: OK, and no items. */
enum err store_block_lift(struct store *store, const struct store_block_what *what,
                          const char *lifted_by, int64_t now_ns, struct arena *arena,
                          struct store_block **out_items, size_t *out_count) MUST_USE;
/* The open ones, oldest first. */
enum err store_block_list(struct store *store, struct arena *arena, struct store_block **out_items,
                          size_t *out_count) MUST_USE;

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
/* How many sessions of a sidecar are open: of those that have any, by their ids. */
struct store_open_sessions {
    const char *sidecar;
    uint64_t count;
};
enum err store_session_count_open(struct store *store, struct arena *arena,
                                  struct store_open_sessions **out_items,
                                  size_t *out_count) MUST_USE;
/* The ids of the newest `limit` of a sidecar's open sessions, newest first, and nothing else: what
 * a sidecar says of its sessions may be of any size. */
enum err store_session_list_open(struct store *store, const char *sidecar, size_t limit,
                                 struct arena *arena, const char ***out_ids,
                                 size_t *out_count) MUST_USE;
enum err store_session_get(struct store *store, const char *session, struct arena *arena,
                           struct store_session *out) MUST_USE;

#endif

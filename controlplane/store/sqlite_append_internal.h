/* An append under way, shared by its files: sqlite_append.c (what is written), and
 * sqlite_append_check.c (what is known already, and whether a record is the next one). */
#ifndef CHAPERONE_CONTROLPLANE_STORE_SQLITE_APPEND_INTERNAL_H
#define CHAPERONE_CONTROLPLANE_STORE_SQLITE_APPEND_INTERNAL_H

#include "controlplane/store/sqlite_batch.h"

/* Names come again and again: those of a batch are looked up once. Ids hold in the transaction. */
enum { TABLES_KEPT = 16 };
struct table_kept {
    struct bytes full; /* the batch's */
    struct section_table ids;
};

/* A row of audit_batch: a batch that comes again is compared with few of them. */
struct known {
    uint64_t sequence, count; /* of its first record, and how many; 0: none was read */
    struct buffer hashes;
};

struct append {
    struct sqlite_store *s;
    struct db *db;
    int64_t stream;
    bool is_revoked; /* the stream takes nothing any more */
    int64_t last_key;
    int64_t received_ns;
    uint64_t before;      /* position of the newest record in the log, at first */
    uint64_t last_before; /* the stream's last sequence at first */
    struct store_audit_last last;
    struct batch batch; /* what is to be written */
    struct known known;
    struct table_kept kept[TABLES_KEPT];
    size_t kept_next;
    const struct store_audit_record **records; /* owned: those of the batch's rows */
    uint64_t refused;
    struct err_text *why;
};

/* sqlite_append_check.c. Of a record that is refused, `why` says what is wrong with it, and
 * `refused` which one it is; other errors are the database's. */

/* A record that is there already, in the store or in the batch, is passed over when it is the same.
 * ERR_EXISTS: it is another one. */
enum err sqlite_append_check_known(struct append *a, const struct store_audit_record *r) MUST_USE;
/* ERR_DENIED: its sidecar was revoked. */
enum err sqlite_append_refuse_revoked(struct append *a,
                                      const struct store_audit_record *r) MUST_USE;
/* ERR_INVALID: it does not follow the one before it. */
enum err sqlite_append_check_next(struct append *a, const struct store_audit_record *r) MUST_USE;

#endif

/* Inside of sqlite_convert: a record as versions before sections had it, a row of audit_record. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_SQLITE_CONVERT_RECORD_H
#define CHAPERONE_CONTROLPLANE_STORE_SQLITE_CONVERT_RECORD_H

#include "controlplane/store/sqlite_batch.h"

/* audit_record.form: what `canonical` is. */
enum old_form {
    OLD_PLAIN = 0,
    OLD_SEALED = 1, /* an envelope, encrypted under the key of its session */
    OLD_ERASED = 2,
    OLD_BLOB = 3, /* as sealed; the record in it is a reference (store_blobs.h) */
};

struct converter {
    struct db *db;
    struct arena *arena; /* what is in the batch */
    struct batch batch;
    size_t bytes;                 /* in the batch */
    int64_t last_position;        /* that was read; INT64_MIN: none yet */
    size_t records, written;      /* in this transaction; bytes */
    struct batch_session session; /* the last one that was looked up; id 0: none */
    bool has_key;
};

struct old_record {
    struct batch_row row;
    int64_t position, stream, sequence, received_ns;
    struct batch_session session;
    enum old_form form;
    struct bytes stored; /* the column */
    bool is_changed;     /* by somebody: it cannot be read */
};

/* Of a row whose columns are those that rows_convert asks for; borrows `stored` of it. */
void old_record_read(sqlite3_stmt *row, struct old_record *out);
/* Its content, in the arena, and its tables in the batch. One that was changed is kept. */
enum err old_record_open(struct converter *c, struct old_record *r) MUST_USE;
/* As one that was changed: its bytes stay, and cannot be read, as before. */
enum err old_record_keep(struct converter *c, struct old_record *r) MUST_USE;

#endif

/* The rows of an append, written with one statement for each table and not with one for each row:
 * SQLite opens the table and its indexes once, and goes on where the last row went.
 *
 * The statements read the rows through a virtual table of the connection that writes,
 * `audit_batch`, which has what `struct db.batch` points to. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_SQLITE_BATCH_H
#define CHAPERONE_CONTROLPLANE_STORE_SQLITE_BATCH_H

#include "controlplane/store/sqlite_content.h"

struct batch_row {
    const struct store_audit_record *record; /* borrowed */
    int64_t key, position;
    int64_t session, identity, resource; /* 0: none */
    enum sqlite_form form;
    size_t content_at, content_size; /* in `sealed`; of a plain one the record has it */
    size_t tables_at, tables_size;   /* in `tables` */
};

enum batch_what { BATCH_KEYS, BATCH_RECORDS, BATCH_TABLES, BATCH_TEXTS };

struct batch {
    int64_t stream, received_ns;
    struct batch_row *rows; /* owned */
    size_t count, room;
    struct buffer sealed;
    struct buffer tables; /* as an envelope has them */
    struct buffer tag;    /* of the row that is read now */
    enum batch_what what; /* that is read now */
    size_t from;          /* the row it begins with */
    size_t at;            /* the row that is read now */
    int64_t newest_key;   /* of the records that are there: keys beyond it are free */
};

/* Makes room for `count` rows. `finish` also after it failed. */
enum err batch_init(struct batch *batch, size_t count) MUST_USE;
void batch_finish(struct batch *batch);

/* The tables of a row, as an envelope has them. */
struct bytes batch_tables(const struct batch *batch, const struct batch_row *row);

/* Tells the connection of the virtual table, once: then its batches can be written. */
enum err batch_register(struct db *db, struct err_text *why) MUST_USE;

/* In a write: the first row from `from` on whose key a record has already; `count` when none has.
 */
enum err batch_find_taken(struct db *db, struct batch *batch, size_t from, size_t *out) MUST_USE;
/* In a write, whose transaction an error ends: the rows and what they are found by. The words come
 * last: a statement that may be taken back by itself makes SQLite write all words that wait. */
enum err batch_write(struct db *db, struct batch *batch) MUST_USE;

#endif

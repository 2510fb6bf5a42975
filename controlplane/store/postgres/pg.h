/* One connection to PostgreSQL: statements with binary parameters and results.
 *
 * All texts are bytea and all numbers int8 in our schema, so that any bytes are kept and ordered as
 * they are, whatever the database's encoding. Used by one thread at a time. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_POSTGRES_PG_H
#define CHAPERONE_CONTROLPLANE_STORE_POSTGRES_PG_H

#include <postgresql/libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "controlplane/store/store.h"

enum {
    PG_STATEMENTS_MAX = 128, /* prepared statements that a connection keeps: all fixed ones */
    PG_PARAMETERS_MAX = 32,
};

struct pg {
    PGconn *handle; /* NULL: not connected */
    struct {
        const char *sql; /* borrows: a literal; compared as a pointer */
    } kept[PG_STATEMENTS_MAX];
    size_t kept_count;
    /* What the last failure was, for err_text; the server's words hold no parameters of ours. */
    char failure[400];
};

/* ---- the connection ------------------------------------------------------------------------ */

/* `timeout_ms`: the server ends a statement that takes longer, 0: never. ERR_UNAVAILABLE. */
enum err pg_connect(struct pg *db, const char *url, int timeout_ms, struct err_text *why) MUST_USE;
void pg_disconnect(struct pg *db);
/* False when the server has gone, as far as can be said without asking it. */
bool pg_is_alive(struct pg *db);
/* The meaning of a failed result, which is remembered; takes it (PQclear). */
enum err pg_failed(struct pg *db, PGresult *result) MUST_USE;
/* Says the last failure's words; returns `err`. */
enum err pg_explain(const struct pg *db, enum err err, struct err_text *why);

/* ---- statements ------------------------------------------------------------------------------ */

/* Parameters $1, $2, ... in the order in which they are put; they borrow. */
struct pg_parameters {
    Oid types[PG_PARAMETERS_MAX];
    const char *values[PG_PARAMETERS_MAX];
    int sizes[PG_PARAMETERS_MAX];
    int formats[PG_PARAMETERS_MAX];
    uint64_t numbers[PG_PARAMETERS_MAX]; /* in network order */
    int count;
};

void pg_put_number(struct pg_parameters *p, int64_t value);
void pg_put_bytes(struct pg_parameters *p, struct bytes value);
void pg_put_string(struct pg_parameters *p, const char *value);          /* NULL: "" */
void pg_put_optional_string(struct pg_parameters *p, const char *value); /* NULL: NULL */
void pg_put_ascii(struct pg_parameters *p, struct bytes value);          /* as type text */
/* An int8[], as pg_array_* made it. */
void pg_put_numbers(struct pg_parameters *p, const struct buffer *array);
/* A bytea[], as pg_list_* made it. */
void pg_put_list(struct pg_parameters *p, const struct buffer *list);

/* A one-dimensional int8[] in binary. The buffer is empty before start; each add appends. */
enum err pg_array_start(struct buffer *array) MUST_USE;
enum err pg_array_add(struct buffer *array, int64_t value) MUST_USE;
/* The same of bytea[]; how many there are is said at the end. */
enum err pg_list_start(struct buffer *list) MUST_USE;
enum err pg_list_add(struct buffer *list, struct bytes value) MUST_USE;
void pg_list_end(struct buffer *list, size_t count);

/* Runs without parameters or rows; several statements with ; between them. */
enum err pg_execute(struct pg *db, const char *sql) MUST_USE;
/* Prepares on its first use; `sql` is a literal. `*out` is to be PQcleared. `p` may be NULL. */
enum err pg_query(struct pg *db, const char *sql, const struct pg_parameters *p,
                  PGresult **out) MUST_USE;
/* The same for a text that is used once: planned with the parameters' values. */
enum err pg_query_once(struct pg *db, const char *sql, const struct pg_parameters *p,
                       PGresult **out) MUST_USE;
/* As pg_query, without rows. */
enum err pg_run(struct pg *db, const char *sql, const struct pg_parameters *p) MUST_USE;
/* ERR_INTERNAL: it was rolled back instead. */
enum err pg_commit(struct pg *db) MUST_USE;
/* ERR_NOT_FOUND when no row was changed. */
enum err pg_run_one(struct pg *db, const char *sql, const struct pg_parameters *p) MUST_USE;
/* The number in the first row and column; ERR_NOT_FOUND: no row. */
enum err pg_ask_number(struct pg *db, const char *sql, const struct pg_parameters *p,
                       int64_t *out) MUST_USE;

/* ---- rows --------------------------------------------------------------------------------------
 */

int64_t pg_number(const PGresult *result, int row, int column); /* NULL: 0 */
/* Valid as long as the result. */
struct bytes pg_bytes(const PGresult *result, int row, int column);
/* Copies. A failed allocation is remembered in `*failed`. */
const char *pg_copy_string(const PGresult *result, int row, int column, struct arena *arena,
                           bool *failed);
struct bytes pg_copy_bytes(const PGresult *result, int row, int column, struct arena *arena,
                           bool *failed);
/* False when the column has another size. */
bool pg_hash(const PGresult *result, int row, int column, uint8_t out[STORE_HASH_SIZE]);

/* Reads one value of type T of a row; false: memory. */
typedef bool pg_row_fn(const PGresult *result, int row, struct arena *arena, void *out_item);
/* All rows as an array of items of `item_size` bytes in the arena. */
enum err pg_read_all(struct pg *db, const char *sql, const struct pg_parameters *p,
                     size_t item_size, pg_row_fn *read, struct arena *arena, void **out_items,
                     size_t *out_count) MUST_USE;
/* The first row; ERR_NOT_FOUND when there is none. `out_item` is untouched on failure. */
enum err pg_read_one(struct pg *db, const char *sql, const struct pg_parameters *p,
                     size_t item_size, pg_row_fn *read, struct arena *arena,
                     void *out_item) MUST_USE;

/* ---- COPY ... FROM STDIN (FORMAT binary) --------------------------------------------------------
 */

/* Rows are gathered and sent in pieces; a failure stays and is given by pg_copy_end. */
struct pg_copy {
    struct pg *db;
    struct buffer rows;
    enum err failed;
};

void pg_copy_start(struct pg_copy *c, struct pg *db, const char *sql);
void pg_copy_row(struct pg_copy *c, int columns);
void pg_copy_number(struct pg_copy *c, int64_t value);
void pg_copy_reference(struct pg_copy *c, int64_t id); /* NULL for 0 */
void pg_copy_value(struct pg_copy *c, struct bytes value);
enum err pg_copy_end(struct pg_copy *c) MUST_USE;

#endif

/* What comes back of a statement, and COPY. */
#include <string.h>

#include "base/cursor.h"
#include "controlplane/store/postgres/pg.h"

int64_t pg_number(const PGresult *result, int row, int column)
{
    struct cursor c = cursor_of(pg_bytes(result, row, column));
    uint64_t high = c.remaining == 8 ? cursor_read_u32(&c) : 0;
    return (int64_t)(high << 32 | cursor_read_u32(&c));
}

struct bytes pg_bytes(const PGresult *result, int row, int column)
{
    return bytes_of(PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column));
}

const char *pg_copy_string(const PGresult *result, int row, int column, struct arena *arena,
                           bool *failed)
{
    const char *copy = arena_copy_string(arena, pg_bytes(result, row, column));
    *failed = *failed || copy == NULL;
    return copy;
}

struct bytes pg_copy_bytes(const PGresult *result, int row, int column, struct arena *arena,
                           bool *failed)
{
    struct bytes from = pg_bytes(result, row, column);
    if (from.size == 0) {
        return (struct bytes){0};
    }
    void *copy = arena_alloc(arena, from.size);
    if (copy == NULL) {
        *failed = true;
        return (struct bytes){0};
    }
    memcpy(copy, from.data, from.size);
    return bytes_of(copy, from.size);
}

bool pg_hash(const PGresult *result, int row, int column, uint8_t out[STORE_HASH_SIZE])
{
    struct bytes b = pg_bytes(result, row, column);
    if (b.size != STORE_HASH_SIZE) {
        return false;
    }
    memcpy(out, b.data, STORE_HASH_SIZE);
    return true;
}

enum err pg_read_all(struct pg *db, const char *sql, const struct pg_parameters *p,
                     size_t item_size, pg_row_fn *read, struct arena *arena, void **out_items,
                     size_t *out_count)
{
    PGresult *result = NULL;
    enum err err = pg_query(db, sql, p, &result);
    if (err != OK) {
        return err;
    }
    size_t count = (size_t)PQntuples(result);
    uint8_t *items = arena_alloc(arena, (count + 1) * item_size);
    err = items == NULL ? ERR_NO_MEMORY : OK;
    for (size_t i = 0; err == OK && i < count; i++) {
        err = read(result, (int)i, arena, items + i * item_size) ? OK : ERR_NO_MEMORY;
    }
    PQclear(result);
    if (err == OK) {
        *out_items = items;
        *out_count = count;
    }
    return err;
}

enum err pg_read_one(struct pg *db, const char *sql, const struct pg_parameters *p,
                     size_t item_size, pg_row_fn *read, struct arena *arena, void *out_item)
{
    void *items = NULL;
    size_t count = 0;
    enum err err = pg_read_all(db, sql, p, item_size, read, arena, &items, &count);
    if (err == OK && count == 0) {
        err = ERR_NOT_FOUND;
    }
    if (err == OK) {
        memcpy(out_item, items, item_size);
    }
    return err;
}

/* ---- COPY --------------------------------------------------------------------------------------
 */

enum {
    COPY_PIECE = 1 << 18, /* bytes that are sent at once */
    COPY_CAP = 64 << 20,  /* a piece and the largest row */
};

static void copy_send(struct pg_copy *c)
{
    if (c->failed == OK && buffer_size(&c->rows) > 0) {
        struct bytes b = buffer_bytes(&c->rows);
        if (PQputCopyData(c->db->handle, (const char *)b.data, (int)b.size) != 1) {
            c->failed = pg_failed(c->db, NULL);
        }
    }
    buffer_clear(&c->rows);
}

static void copy_put(struct pg_copy *c, const void *data, size_t size)
{
    if (c->failed == OK) {
        c->failed = buffer_append(&c->rows, bytes_of(data, size));
    }
}

static void copy_put_u32(struct pg_copy *c, uint32_t v)
{
    const uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    copy_put(c, b, sizeof(b));
}

void pg_copy_start(struct pg_copy *c, struct pg *db, const char *sql)
{
    /* Signature, flags, no extension ("Binary Format" of COPY). */
    static const char header[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0";
    *c = (struct pg_copy){.db = db};
    buffer_init(&c->rows, COPY_CAP);
    PGresult *result = PQexec(db->handle, sql);
    if (PQresultStatus(result) == PGRES_COPY_IN) {
        PQclear(result);
    } else {
        c->failed = pg_failed(db, result);
    }
    copy_put(c, header, 19);
}

void pg_copy_row(struct pg_copy *c, int columns)
{
    const uint8_t b[2] = {(uint8_t)(columns >> 8), (uint8_t)columns};
    if (buffer_size(&c->rows) >= COPY_PIECE) {
        copy_send(c);
    }
    copy_put(c, b, sizeof(b));
}

void pg_copy_number(struct pg_copy *c, int64_t value)
{
    copy_put_u32(c, 8);
    copy_put_u32(c, (uint32_t)((uint64_t)value >> 32));
    copy_put_u32(c, (uint32_t)value);
}

void pg_copy_reference(struct pg_copy *c, int64_t id)
{
    if (id == 0) {
        copy_put_u32(c, UINT32_MAX);
    } else {
        pg_copy_number(c, id);
    }
}

void pg_copy_value(struct pg_copy *c, struct bytes value)
{
    copy_put_u32(c, (uint32_t)value.size);
    copy_put(c, value.data, value.size);
}

enum err pg_copy_end(struct pg_copy *c)
{
    static const uint8_t trailer[2] = {0xff, 0xff};
    copy_put(c, trailer, sizeof(trailer));
    copy_send(c);
    enum err err = c->failed;
    buffer_finish(&c->rows);
    if (PQputCopyEnd(c->db->handle, err == OK ? NULL : "given up") != 1) {
        return err == OK ? pg_failed(c->db, NULL) : err;
    }
    for (PGresult *r = PQgetResult(c->db->handle); r != NULL; r = PQgetResult(c->db->handle)) {
        if (PQresultStatus(r) == PGRES_COMMAND_OK || err != OK) {
            PQclear(r);
        } else {
            err = pg_failed(c->db, r);
        }
    }
    return err;
}

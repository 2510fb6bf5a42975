/* Keys are unique over all streams: two records of the same nanosecond get different ones. */
#include <stdlib.h>

#include "controlplane/store/sqlite_batch_parts.h"

enum {
    HEAD_ARENA_BLOCK = 64 << 10,
    HEAD_ARENA_CAP = 256 << 20,
    KEYS_MANY = 1 << 20, /* more than these are forgotten once they are far behind */
    SPANS_FIRST = 64,
};

struct span {
    int64_t key, last;
};

/* Goes up through the sections that may have a key of the batch. Their heads are opened only where
 * one of its keys is between their first and last, and each once. */
struct sweep {
    struct db *db;
    struct section_reader reader;
    sqlite3_stmt *scan;
    struct span next; /* of the section that was read last and is not in `spans` yet */
    bool has_next;
    int64_t low;        /* no key below it is asked for any more */
    int64_t began;      /* `low` when the scan began */
    struct span *spans; /* owned: sections whose keys are not in `taken` */
    size_t span_count, span_room;
    struct batch_ids *taken; /* owned: keys */
    struct arena *arena;     /* owned: for a head */
};

static enum err sweep_step(struct sweep *w)
{
    enum err err = db_step(w->db, w->scan, &w->has_next);
    if (err == OK && w->has_next) {
        w->next = (struct span){.key = sqlite3_column_int64(w->scan, 0),
                                .last = sqlite3_column_int64(w->scan, 1)};
    }
    return err;
}

/* From the first section that can reach up to `low`. */
static enum err sweep_begin(struct sweep *w, int64_t low)
{
    w->low = low;
    w->began = low;
    w->span_count = 0;
    w->has_next = false;
    batch_ids_clear(w->taken);
    enum err err = db_statement(w->db,
                                "SELECT key, last_key FROM audit_section"
                                " INDEXED BY audit_section_span"
                                " WHERE key >= ?1 AND last_key >= ?2 ORDER BY key",
                                &w->scan);
    if (err == OK) {
        db_bind_number(w->scan, 1, low - SECTION_SPAN_NS_MAX);
        db_bind_number(w->scan, 2, low);
        err = sweep_step(w);
    }
    return err;
}

static enum err sweep_init(struct sweep *w, struct db *db)
{
    *w = (struct sweep){.db = db, .arena = arena_create(HEAD_ARENA_BLOCK, HEAD_ARENA_CAP)};
    section_reader_init(&w->reader, db);
    return w->arena == NULL ? ERR_NO_MEMORY : batch_ids_create(&w->taken);
}

static void sweep_finish(struct sweep *w)
{
    if (w->scan != NULL) {
        (void)sqlite3_reset(w->scan);
    }
    section_reader_finish(&w->reader);
    batch_ids_destroy(w->taken);
    arena_destroy(w->arena);
    free(w->spans);
}

static enum err span_keep(struct sweep *w, struct span span)
{
    if (w->span_count == w->span_room) {
        size_t room = w->span_room == 0 ? SPANS_FIRST : 2 * w->span_room;
        struct span *grown = realloc(w->spans, room * sizeof(*grown));
        if (grown == NULL) {
            return ERR_NO_MEMORY;
        }
        w->spans = grown;
        w->span_room = room;
    }
    w->spans[w->span_count++] = span;
    return OK;
}

static enum err key_take(struct sweep *w, int64_t key)
{
    bool is_new = false;
    return key < w->low ? OK : batch_ids_add(w->taken, key, &is_new);
}

/* Of a head that was changed nobody can tell the keys, and nobody reads its records: that one stops
 * no stream. */
static enum err span_open(struct sweep *w, struct span span)
{
    struct section_row row = {0};
    enum err err = key_take(w, span.key);
    if (err == OK && span.last > span.key) {
        arena_reset(w->arena);
        err = section_read_head(&w->reader, span.key, w->arena, &row);
        err = err == ERR_DENIED || err == ERR_NOT_FOUND ? key_take(w, span.last) : err;
    }
    for (size_t i = 0; err == OK && i < row.count; i++) {
        err = key_take(w, row.records[i].key);
    }
    return err;
}

/* Reads on, up to the sections that begin with `key`. */
static enum err sweep_read(struct sweep *w, int64_t key)
{
    enum err err = OK;
    while (err == OK && w->has_next && w->next.key <= key) {
        if (w->next.last == w->next.key) { /* its one record */
            err = key_take(w, w->next.key);
        } else if (w->next.last >= w->low) {
            err = span_keep(w, w->next);
        }
        if (err == OK) {
            err = sweep_step(w);
        }
    }
    return err;
}

static enum err sweep_has(struct sweep *w, int64_t key, bool *out)
{
    enum err err = sweep_read(w, key);
    for (size_t i = 0; err == OK && i < w->span_count;) {
        const struct span span = w->spans[i];
        bool is_about = span.key <= key && key <= span.last;
        if (is_about) {
            err = span_open(w, span);
        }
        if (is_about || span.last < w->low) {
            w->spans[i] = w->spans[--w->span_count];
        } else {
            i++;
        }
    }
    if (err == OK) {
        *out = batch_ids_has(w->taken, key);
    }
    return err;
}

/* Nothing below `low` is asked for from now on. */
static enum err sweep_raise(struct sweep *w, int64_t low)
{
    bool skips = w->has_next && w->next.key < low - SECTION_SPAN_NS_MAX;
    bool is_full = batch_ids_count(w->taken) > KEYS_MANY && low - w->began > SECTION_SPAN_NS_MAX;
    w->low = low;
    return skips || is_full ? sweep_begin(w, low) : OK;
}

/* Another stream may have a record of the same nanosecond, and a hostile one many. Each try looks
 * anywhere in a range twice as long as the last one's: a range that is half full ends it soon. What
 * follows in the stream stays behind it. */
static void key_move(struct batch *b, size_t at, int64_t first, uint64_t n)
{
    struct batch_row *rows = b->rows;
    const uint64_t number = (uint64_t)b->position + at - 1;
    rows[at].key = first + 1 + (int64_t)(batch_mix(number, n) >> (64 - n));
    for (size_t i = at + 1; i < b->count && rows[i].key <= rows[i - 1].key; i++) {
        rows[i].key = rows[i - 1].key + 1;
    }
}

static enum err key_choose(struct sweep *w, struct batch *b, size_t at)
{
    enum { TRIES = 40 };
    const int64_t first = b->rows[at].key;
    bool is_taken = false;
    enum err err = sweep_raise(w, first);
    if (err == OK) {
        err = sweep_has(w, first, &is_taken);
    }
    for (uint64_t n = 1; err == OK && is_taken && n <= TRIES; n++) {
        key_move(b, at, first, n);
        err = sweep_has(w, b->rows[at].key, &is_taken);
    }
    return err == OK && is_taken ? ERR_INTERNAL : err;
}

/* What begins earlier than the newest section by more than a span ends before that one begins. */
static enum err newest_read(struct db *db)
{
    sqlite3_stmt *newest = NULL;
    bool row = false;
    enum err err = db_statement(db,
                                "SELECT coalesce(max(last_key), 0) FROM audit_section"
                                " INDEXED BY audit_section_span"
                                " WHERE key >= (SELECT max(key) FROM audit_section) - ?1",
                                &newest);
    if (err == OK) {
        db_bind_number(newest, 1, SECTION_SPAN_NS_MAX);
        err = db_step(db, newest, &row);
    }
    if (err == OK && row) {
        db->newest_key = sqlite3_column_int64(newest, 0);
        (void)sqlite3_reset(newest);
    }
    return err;
}

static enum err keys_choose(struct sweep *w, struct batch *b)
{
    enum err err = sweep_begin(w, b->rows[0].key);
    for (size_t i = 0; err == OK && i < b->count && b->rows[i].key <= w->db->newest_key; i++) {
        err = key_choose(w, b, i);
    }
    return err;
}

enum err batch_choose_keys(struct db *db, struct batch *batch)
{
    struct sweep sweep;
    enum err err = db->newest_key == 0 ? newest_read(db) : OK;
    /* Mostly a batch is later than all that there is. */
    if (err != OK || batch->count == 0 || batch->rows[0].key > db->newest_key) {
        return err;
    }
    err = sweep_init(&sweep, db);
    if (err == OK) {
        err = keys_choose(&sweep, batch);
    }
    sweep_finish(&sweep);
    return err;
}

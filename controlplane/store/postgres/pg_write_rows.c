/* The rows of an append: COPY into each of the tables. */
#include <inttypes.h>
#include <stdio.h>

#include "base/writer.h"
#include "controlplane/store/postgres/pg_write.h"

enum {
    CONTENT_MAX = 32 << 20,
    WORDS_MAX = 8 << 20,
    ARRAY_MAX = 4 << 20,
    TSVECTOR_MAX = (1 << 20) - 1, /* MAXSTRPOS: of the lexemes' texts together */
};

static enum err log_rows(struct pg *db, const struct write_group *g)
{
    struct pg_copy copy;
    pg_copy_start(&copy, db, "COPY audit_log (position, key, hash) FROM STDIN (FORMAT binary)");
    for (size_t i = 0; i < g->count; i++) {
        pg_copy_row(&copy, 3);
        pg_copy_number(&copy, g->items[i].position);
        pg_copy_number(&copy, g->items[i].key);
        pg_copy_value(&copy, bytes_of(g->items[i].record->hash, STORE_HASH_SIZE));
    }
    return pg_copy_end(&copy);
}

/* They are sorted. */
static bool name_came_before(const struct write_table *tables, size_t at)
{
    return at > 0 && tables[at - 1].name == tables[at].name;
}

/* Each last part of a table's name once, as int8[]. */
static enum err tables_put(struct pg_copy *copy, const struct write_table *tables, size_t count)
{
    struct buffer array;
    buffer_init(&array, ARRAY_MAX);
    enum err err = pg_array_start(&array);
    for (size_t i = 0; err == OK && i < count; i++) {
        err = name_came_before(tables, i) ? OK : pg_array_add(&array, tables[i].name);
    }
    if (err == OK) {
        pg_copy_value(copy, buffer_bytes(&array));
    }
    buffer_finish(&array);
    return err;
}

static enum err record_row(struct pg_copy *copy, const struct write_group *g,
                           const struct write_item *item, struct bytes content)
{
    enum err err = OK;
    const struct store_audit_record *r = item->record;
    uint64_t rows = r->index.rows > INT64_MAX ? INT64_MAX : r->index.rows;
    pg_copy_row(copy, 17);
    pg_copy_number(copy, item->key);
    pg_copy_number(copy, item->position);
    pg_copy_number(copy, item->batch->stream);
    pg_copy_number(copy, (int64_t)r->sequence);
    pg_copy_number(copy, (int64_t)r->index.kind);
    pg_copy_number(copy, r->index.verdict);
    pg_copy_number(copy, r->index.status);
    pg_copy_number(copy, (int64_t)rows);
    pg_copy_reference(copy, item->session);
    pg_copy_reference(copy, item->identity);
    pg_copy_reference(copy, item->resource);
    pg_copy_number(copy, item->batch->received_ns);
    pg_copy_number(copy, item->form);
    if (item->table_count == 0) {
        pg_copy_reference(copy, 0);
    } else {
        err = tables_put(copy, g->tables + item->tables_at, item->table_count);
    }
    pg_copy_value(copy, bytes_of(r->hash, STORE_HASH_SIZE));
    pg_copy_value(copy, r->index.error_code);
    pg_copy_value(copy, content);
    return err;
}

static enum err record_rows(struct pg *db, struct write_cache *cache, const struct write_group *g)
{
    struct pg_copy copy;
    struct buffer sealed;
    enum err err = OK;
    buffer_init(&sealed, CONTENT_MAX);
    pg_copy_start(&copy, db,
                  "COPY audit_record (key, position, stream, sequence, kind, verdict, status,"
                  " row_count, session, identity, resource, received_ns, form, tables, hash,"
                  " error_code, content) FROM STDIN (FORMAT binary)");
    for (size_t i = 0; err == OK && i < g->count; i++) {
        const struct write_item *item = &g->items[i];
        struct bytes content = item->record->canonical;
        if (item->form != FORM_PLAIN) {
            err = content_seal(cache->content, item->content_key, item->record->hash, content,
                               &sealed);
            content = buffer_bytes(&sealed);
        }
        if (err == OK) {
            err = record_row(&copy, g, item, content);
        }
    }
    content_forget(cache->content);
    copy.failed = err == OK ? copy.failed : err;
    err = pg_copy_end(&copy);
    buffer_finish(&sealed);
    return err;
}

/* array_send of int8[]. */
static enum err table_row(struct pg_copy *copy, const struct write_item *item,
                          const struct write_table *tables, size_t count)
{
    struct buffer array;
    buffer_init(&array, ARRAY_MAX);
    enum err err = pg_array_start(&array);
    for (size_t i = 0; err == OK && i < count && tables[i].name == tables[0].name; i++) {
        err = pg_array_add(&array, tables[i].full);
    }
    if (err == OK) {
        pg_copy_row(copy, 3);
        pg_copy_number(copy, tables[0].name);
        pg_copy_number(copy, item->key);
        pg_copy_value(copy, buffer_bytes(&array));
    }
    buffer_finish(&array);
    return err;
}

static enum err table_rows(struct pg *db, const struct write_group *g)
{
    struct pg_copy copy;
    enum err err = OK;
    pg_copy_start(&copy, db,
                  "COPY audit_record_table (name, key, full_names) FROM STDIN (FORMAT binary)");
    for (size_t i = 0; err == OK && i < g->count; i++) {
        const struct write_item *item = &g->items[i];
        const struct write_table *tables = g->tables + item->tables_at;
        for (size_t t = 0; err == OK && t < item->table_count; t++) {
            if (!name_came_before(tables, t)) {
                err = table_row(&copy, item, tables + t, item->table_count - t);
            }
        }
    }
    copy.failed = err == OK ? copy.failed : err;
    return pg_copy_end(&copy);
}

/* ---- words -------------------------------------------------------------------------------------
 */

static enum err tag_add(struct buffer *out, char what, int64_t id, uint32_t *count)
{
    char tag[32];
    (void)snprintf(tag, sizeof(tag), "=%c%" PRId64, what, id);
    (*count)++;
    return words_tag(tag, out);
}

/* A tag for each thing that may be asked for together with words, so that the index intersects
 * them and a common word of a rare identity is found without reading all. */
static enum err tags_add(const struct write_group *g, const struct write_item *item,
                         struct buffer *out, uint32_t *count)
{
    const struct write_table *tables = g->tables + item->tables_at;
    enum err err = tag_add(out, 'v', item->record->index.verdict, count);
    if (err == OK && item->identity != 0) {
        err = tag_add(out, 'i', item->identity, count);
    }
    if (err == OK && item->resource != 0) {
        err = tag_add(out, 'r', item->resource, count);
    }
    for (size_t t = 0; err == OK && t < item->table_count; t++) {
        if (!name_came_before(tables, t)) {
            err = tag_add(out, 't', tables[t].name, count);
        }
    }
    return err;
}

static enum err vector_make(const struct write_group *g, const struct write_item *item,
                            struct buffer *tags, struct buffer *out)
{
    const struct write_text *text = item->text;
    uint32_t count = text->lexeme_count;
    buffer_clear(tags);
    buffer_clear(out);
    enum err err = tags_add(g, item, tags, &count);
    if (err != OK) {
        return err;
    }
    struct bytes lexemes =
        bytes_of(buffer_bytes(&item->batch->lexemes).data + text->lexemes_at, text->lexemes_size);
    /* Beside each: a NUL and a count of two bytes. */
    if (buffer_size(tags) + lexemes.size - 3 * (size_t)count > TSVECTOR_MAX) {
        err = words_tag("*", tags); /* as pg_words.h says of too many words */
        count = count - text->lexeme_count + 1;
        lexemes = bytes_of(NULL, 0);
    }
    struct writer w = writer_start(out);
    writer_put_u32(&w, count);
    writer_put_bytes(&w, buffer_bytes(tags));
    writer_put_bytes(&w, lexemes);
    return err == OK ? writer_finish(&w) : err;
}

static enum err text_rows(struct pg *db, const struct write_group *g)
{
    struct pg_copy copy;
    struct buffer tags, vector;
    enum err err = OK;
    buffer_init(&tags, WORDS_MAX);
    buffer_init(&vector, WORDS_MAX);
    pg_copy_start(&copy, db, "COPY audit_text (key, words, spoken) FROM STDIN (FORMAT binary)");
    for (size_t i = 0; err == OK && i < g->count; i++) {
        const struct write_item *item = &g->items[i];
        const struct write_text *text = item->text;
        if (text->spoken_size == 0) {
            continue;
        }
        err = vector_make(g, item, &tags, &vector);
        if (err == OK) {
            pg_copy_row(&copy, 3);
            pg_copy_number(&copy, item->key);
            pg_copy_value(&copy, buffer_bytes(&vector));
            pg_copy_value(&copy, bytes_of(buffer_bytes(&item->batch->spoken).data + text->spoken_at,
                                          text->spoken_size));
        }
    }
    copy.failed = err == OK ? copy.failed : err;
    err = pg_copy_end(&copy);
    buffer_finish(&tags);
    buffer_finish(&vector);
    return err;
}

/* A blob's key must be under the session's. */
static enum err blobs_use(struct pg *db, const struct write_group *g)
{
    enum err err = OK;
    for (size_t i = 0; err == OK && i < g->count; i++) {
        const struct write_item *item = &g->items[i];
        if (item->record->blob != NULL) {
            err = item->form == FORM_BLOB ? postgres_blob_use(db, item->record->blob, item->session)
                                          : ERR_INTERNAL;
        }
    }
    return err;
}

enum err write_rows(struct pg *db, struct write_cache *cache, const struct write_group *group)
{
    enum err err = blobs_use(db, group);
    if (err == OK) {
        err = record_rows(db, cache, group);
    }
    if (err == OK) {
        err = log_rows(db, group);
    }
    if (err == OK && group->table_count > 0) {
        err = table_rows(db, group);
    }
    return err == OK ? text_rows(db, group) : err;
}

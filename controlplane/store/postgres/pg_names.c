/* The dictionary of names, and what of it an append remembers. */
#include <stdlib.h>

#include "controlplane/store/postgres/pg_write.h"

enum err write_cache_create(struct bytes content_master, struct write_cache **out)
{
    struct write_cache *cache = calloc(1, sizeof(*cache));
    if (cache == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err err = content_create(content_master, &cache->content);
    if (err != OK) {
        free(cache);
        return err;
    }
    *out = cache;
    return OK;
}

void write_cache_clear(struct write_cache *cache)
{
    struct content *content = cache->content;
    bytes_wipe(cache, sizeof(*cache)); /* there are keys in it */
    cache->content = content;
}

void write_cache_destroy(struct write_cache *cache)
{
    if (cache != NULL) {
        write_cache_clear(cache);
        content_destroy(cache->content);
        free(cache);
    }
}

static struct write_name_cached *place(struct write_name_cached *entries, struct bytes name)
{
    /* FNV-1a. A collision costs a look-up in the table and nothing else. */
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < name.size; i++) {
        hash = (hash ^ name.data[i]) * UINT64_C(1099511628211);
    }
    return &entries[(hash ^ hash >> 32) % CACHE_NAMES];
}

static bool is_here(const struct write_name_cached *entry, struct bytes name)
{
    return entry->size > 0 && bytes_equal(bytes_of(entry->name, entry->size), name);
}

static void keep(struct write_name_cached *entry, struct bytes name, struct write_table ids)
{
    if (name.size <= CACHE_NAME_SIZE_MAX) {
        memcpy(entry->name, name.data, name.size);
        entry->size = name.size;
        entry->ids = ids;
    }
}

static enum err name_find_or_add(struct pg *db, struct bytes name, int64_t *out)
{
    struct pg_parameters p = {.count = 0};
    pg_put_bytes(&p, name);
    enum err err =
        pg_ask_number(db, "SELECT id FROM audit_name WHERE sha256(name) = sha256($1)", &p, out);
    return err == ERR_NOT_FOUND
               ? pg_ask_number(db, "INSERT INTO audit_name (name) VALUES ($1) RETURNING id", &p,
                               out)
               : err;
}

enum err write_name_id(struct pg *db, struct write_cache *cache, struct bytes name, int64_t *out)
{
    int64_t id = 0;
    if (name.size == 0) {
        *out = 0;
        return OK;
    }
    struct write_name_cached *entry = place(cache->names, name);
    if (is_here(entry, name)) {
        *out = entry->ids.name;
        return OK;
    }
    enum err err = name_find_or_add(db, name, &id);
    if (err == OK) {
        keep(entry, name, (struct write_table){.name = id});
        *out = id;
    }
    return err;
}

static enum err table_find_or_add(struct pg *db, struct write_cache *cache,
                                  const struct store_audit_table *table, struct write_table *out)
{
    struct pg_parameters p = {.count = 0};
    PGresult *result = NULL;
    pg_put_bytes(&p, table->full);
    enum err err = pg_query(
        db, "SELECT id, name FROM audit_table WHERE sha256(full_name) = sha256($1)", &p, &result);
    if (err != OK) {
        return err;
    }
    bool is_known = PQntuples(result) > 0;
    if (is_known) {
        out->full = pg_number(result, 0, 0);
        out->name = pg_number(result, 0, 1);
    }
    PQclear(result);
    if (!is_known) {
        err = write_name_id(db, cache, table->name, &out->name);
    }
    if (!is_known && err == OK) {
        pg_put_number(&p, out->name);
        err = pg_ask_number(
            db, "INSERT INTO audit_table (full_name, name) VALUES ($1, $2) RETURNING id", &p,
            &out->full);
    }
    return err;
}

enum err write_table_id(struct pg *db, struct write_cache *cache,
                        const struct store_audit_table *table, struct write_table *out)
{
    struct write_name_cached *entry = place(cache->tables, table->full);
    if (is_here(entry, table->full)) {
        *out = entry->ids;
        return OK;
    }
    struct write_table ids = {.name = 0};
    enum err err = table_find_or_add(db, cache, table, &ids);
    if (err == OK) {
        keep(entry, table->full, ids);
        *out = ids;
    }
    return err;
}

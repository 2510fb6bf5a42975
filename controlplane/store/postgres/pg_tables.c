/* The tables that a record names, in the dictionary. */
#include <stdlib.h>

#include "controlplane/store/postgres/pg_write.h"

enum {
    /* Fewer are looked up one by one: most are in the cache. */
    FEW = 16,
    /* Of 1 MiB of names, with the size of each. */
    LIST_MAX = 16 << 20,
};

static int table_compare(const void *a, const void *b)
{
    const struct write_table *x = a, *y = b;
    int order = (x->name > y->name) - (x->name < y->name);
    return order != 0 ? order : (x->full > y->full) - (x->full < y->full);
}

static bool has_name(const struct store_audit_table *table)
{
    return table->name.size > 0 && table->full.size > 0;
}

static enum err tables_look_up(struct pg *db, struct write_cache *cache,
                               const struct store_audit_index *index, struct write_table *out,
                               size_t *count)
{
    enum err err = OK;
    for (size_t t = 0; err == OK && t < index->table_count; t++) {
        if (has_name(&index->tables[t])) {
            err = write_table_id(db, cache, &index->tables[t], &out[(*count)++]);
        }
    }
    return err;
}

/* ---- many ------------------------------------------------------------------------------------ */

static enum err lists_make(const struct store_audit_index *index, struct buffer *names,
                           struct buffer *fulls, size_t *count)
{
    enum err err = pg_list_start(names);
    err = err == OK ? pg_list_start(fulls) : err;
    for (size_t t = 0; err == OK && t < index->table_count; t++) {
        if (has_name(&index->tables[t])) {
            err = pg_list_add(names, index->tables[t].name);
            err = err == OK ? pg_list_add(fulls, index->tables[t].full) : err;
            (*count)++;
        }
    }
    if (err == OK) {
        pg_list_end(names, *count);
        pg_list_end(fulls, *count);
    }
    return err;
}

/* Nobody else adds one between these: the group has the counter's lock. */
static enum err tables_add(struct pg *db, const struct buffer *names, const struct buffer *fulls)
{
    struct pg_parameters p = {.count = 0};
    pg_put_list(&p, names);
    enum err err = pg_run(db,
                          "INSERT INTO audit_name (name) SELECT DISTINCT u.name"
                          " FROM unnest($1) u(name)"
                          " LEFT JOIN audit_name n ON sha256(n.name) = sha256(u.name)"
                          " WHERE n.id IS NULL",
                          &p);
    pg_put_list(&p, fulls);
    return err == OK ? pg_run(db,
                              "INSERT INTO audit_table (full_name, name)"
                              " SELECT DISTINCT ON (u.full_name) u.full_name, n.id"
                              " FROM unnest($1, $2) u(name, full_name)"
                              " JOIN audit_name n ON sha256(n.name) = sha256(u.name)"
                              " LEFT JOIN audit_table t"
                              " ON sha256(t.full_name) = sha256(u.full_name)"
                              " WHERE t.id IS NULL",
                              &p)
                     : err;
}

static enum err tables_read(struct pg *db, const struct buffer *fulls, struct write_table *out,
                            size_t count)
{
    struct pg_parameters p = {.count = 0};
    PGresult *result = NULL;
    pg_put_list(&p, fulls);
    enum err err = pg_query(db,
                            "SELECT t.id, t.name FROM unnest($1) u(full_name)"
                            " JOIN audit_table t ON sha256(t.full_name) = sha256(u.full_name)",
                            &p, &result);
    if (err == OK && (size_t)PQntuples(result) != count) {
        err = ERR_INTERNAL;
    }
    for (int i = 0; err == OK && i < (int)count; i++) {
        out[i] =
            (struct write_table){.full = pg_number(result, i, 0), .name = pg_number(result, i, 1)};
    }
    PQclear(result);
    return err;
}

/* A dictionary that the planner knows nothing of yet, or thinks is small, would be read from its
 * beginning for each name. Until the end of the transaction. */
static enum err plan_by_index(struct pg *db, bool only)
{
    return pg_execute(db, only ? "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off;"
                                 "SET LOCAL enable_mergejoin = off"
                               : "SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on;"
                                 "SET LOCAL enable_mergejoin = on");
}

static enum err tables_gather(struct pg *db, const struct store_audit_index *index,
                              struct write_table *out, size_t *count)
{
    struct buffer names, fulls;
    buffer_init(&names, LIST_MAX);
    buffer_init(&fulls, LIST_MAX);
    enum err err = lists_make(index, &names, &fulls, count);
    if (err == OK && *count > 0) {
        err = plan_by_index(db, true);
        err = err == OK ? tables_add(db, &names, &fulls) : err;
        err = err == OK ? tables_read(db, &fulls, out, *count) : err;
        err = err == OK ? plan_by_index(db, false) : err;
    }
    buffer_finish(&names);
    buffer_finish(&fulls);
    return err;
}

enum err write_tables(struct pg *db, struct write_cache *cache,
                      const struct store_audit_index *index, struct write_table *out,
                      size_t *out_count)
{
    size_t count = 0;
    enum err err = index->table_count <= FEW ? tables_look_up(db, cache, index, out, &count)
                                             : tables_gather(db, index, out, &count);
    if (err == OK) {
        qsort(out, count, sizeof(*out), table_compare);
        *out_count = count;
    }
    return err;
}

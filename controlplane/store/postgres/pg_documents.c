/* Configuration as applied, and secrets. */
#include <stdlib.h>

#include "controlplane/store/postgres/pg_store.h"
#include "controlplane/store/store_documents.h"

/* `updated_ns` moves only when the text changes: it answers "since when is this so". */
static const char document_upsert[] =
    "INSERT INTO document AS d (kind, name, json, updated_ns) VALUES ($1, $2, $3, $4)"
    " ON CONFLICT (kind, name) DO UPDATE SET json = excluded.json,"
    " updated_ns = excluded.updated_ns WHERE d.json <> excluded.json";

static void document_put_parameters(struct pg_parameters *p, const struct store_document *d,
                                    int64_t now_ns)
{
    pg_put_number(p, (int64_t)d->kind);
    pg_put_string(p, d->name);
    pg_put_string(p, d->json);
    pg_put_number(p, now_ns);
}

static enum err document_put(struct store *store, const struct store_document *document,
                             int64_t now_ns)
{
    struct pg_parameters p = {.count = 0};
    document_put_parameters(&p, document, now_ns);
    return postgres_write_one(postgres_of(store), document_upsert, &p, false, STORE_NEWS_POLICY);
}

/* Deletes what is in the table and not among the sorted ones. */
static enum err documents_delete_others(struct pg *db, const struct store_document **sorted,
                                        size_t count)
{
    PGresult *result = NULL;
    struct arena *arena = arena_create(1 << 12, 64 << 20);
    enum err err = arena == NULL ? ERR_NO_MEMORY
                                 : pg_query(db, "SELECT kind, name FROM document", NULL, &result);
    for (int i = 0; err == OK && i < PQntuples(result); i++) {
        bool failed = false;
        struct store_document key = {
            .kind = (enum store_document_kind)pg_number(result, i, 0),
            .name = pg_copy_string(result, i, 1, arena, &failed),
        };
        struct pg_parameters p = {.count = 0};
        if (failed) {
            err = ERR_NO_MEMORY;
        } else if (!store_documents_has(sorted, count, &key)) {
            pg_put_number(&p, (int64_t)key.kind);
            pg_put_string(&p, key.name);
            err = pg_run(db, "DELETE FROM document WHERE kind = $1 AND name = $2", &p);
        }
    }
    PQclear(result);
    arena_destroy(arena);
    return err;
}

static enum err documents_replace(struct store *store, const struct store_document *documents,
                                  size_t count, int64_t now_ns, struct err_text *why)
{
    struct postgres_store *s = postgres_of(store);
    const struct store_document **sorted = NULL;
    struct pg *db = NULL;
    enum err err = store_documents_sort(documents, count, &sorted, why);
    if (err == OK) {
        err = postgres_begin(s, &db);
    }
    if (err != OK) {
        goto out;
    }
    err = pg_run(db, "LOCK TABLE document IN SHARE ROW EXCLUSIVE MODE", NULL);
    if (err == OK) {
        err = documents_delete_others(db, sorted, count);
    }
    for (size_t i = 0; err == OK && i < count; i++) {
        struct pg_parameters p = {.count = 0};
        document_put_parameters(&p, &documents[i], now_ns);
        err = pg_run(db, document_upsert, &p);
    }
    if (err != OK) {
        (void)pg_explain(db, err, why);
    }
    err = postgres_end_news(s, db, err, STORE_NEWS_POLICY);
out:
    free(sorted);
    return err;
}

static bool document_read(const PGresult *result, int row, struct arena *arena, void *out_item)
{
    struct store_document *d = out_item;
    bool failed = false;
    d->kind = (enum store_document_kind)pg_number(result, row, 0);
    d->name = pg_copy_string(result, row, 1, arena, &failed);
    d->json = pg_copy_string(result, row, 2, arena, &failed);
    d->updated_ns = pg_number(result, row, 3);
    return !failed;
}

static enum err document_get(struct store *store, enum store_document_kind kind, const char *name,
                             struct arena *arena, struct store_document *out)
{
    struct pg_parameters p = {.count = 0};
    pg_put_number(&p, (int64_t)kind);
    pg_put_string(&p, name);
    return postgres_read_one(
        postgres_of(store),
        "SELECT kind, name, json, updated_ns FROM document WHERE kind = $1 AND name = $2", &p,
        sizeof(*out), document_read, arena, out);
}

static enum err document_list(struct store *store, enum store_document_kind kind,
                              struct arena *arena, struct store_document **out_items,
                              size_t *out_count)
{
    struct pg_parameters p = {.count = 0};
    void *items = NULL;
    pg_put_number(&p, (int64_t)kind);
    enum err err = postgres_read_all(
        postgres_of(store),
        "SELECT kind, name, json, updated_ns FROM document WHERE kind = $1 ORDER BY name", &p,
        sizeof(struct store_document), document_read, arena, &items, out_count);
    if (err == OK) {
        *out_items = items;
    }
    return err;
}

/* ---- secrets -----------------------------------------------------------------------------------
 */

static enum err secret_put(struct store *store, const char *name, struct bytes sealed,
                           int64_t now_ns)
{
    struct pg_parameters p = {.count = 0};
    pg_put_string(&p, name);
    pg_put_bytes(&p, sealed);
    pg_put_number(&p, now_ns);
    return postgres_write_one(postgres_of(store),
                              "INSERT INTO secret (name, sealed, updated_ns) VALUES ($1, $2, $3)"
                              " ON CONFLICT (name) DO UPDATE SET sealed = $2, updated_ns = $3",
                              &p, false, STORE_NEWS_POLICY);
}

static bool secret_read(const PGresult *result, int row, struct arena *arena, void *out_item)
{
    struct store_secret *secret = out_item;
    bool failed = false;
    secret->name = pg_copy_string(result, row, 0, arena, &failed);
    secret->sealed = pg_copy_bytes(result, row, 1, arena, &failed);
    secret->updated_ns = pg_number(result, row, 2);
    return !failed;
}

static enum err secret_get(struct store *store, const char *name, struct arena *arena,
                           struct store_secret *out)
{
    struct pg_parameters p = {.count = 0};
    pg_put_string(&p, name);
    return postgres_read_one(postgres_of(store),
                             "SELECT name, sealed, updated_ns FROM secret WHERE name = $1", &p,
                             sizeof(*out), secret_read, arena, out);
}

static enum err secret_list(struct store *store, struct arena *arena,
                            struct store_secret **out_items, size_t *out_count)
{
    void *items = NULL;
    enum err err = postgres_read_all(
        postgres_of(store), "SELECT name, sealed, updated_ns FROM secret ORDER BY name", NULL,
        sizeof(struct store_secret), secret_read, arena, &items, out_count);
    if (err == OK) {
        *out_items = items;
    }
    return err;
}

static enum err secret_delete(struct store *store, const char *name)
{
    struct pg_parameters p = {.count = 0};
    pg_put_string(&p, name);
    return postgres_write_one(postgres_of(store), "DELETE FROM secret WHERE name = $1", &p, true,
                              STORE_NEWS_POLICY);
}

void postgres_documents_fill(struct store_backend *b)
{
    b->documents_replace = documents_replace;
    b->document_put = document_put;
    b->document_get = document_get;
    b->document_list = document_list;
    b->secret_put = secret_put;
    b->secret_get = secret_get;
    b->secret_list = secret_list;
    b->secret_delete = secret_delete;
}

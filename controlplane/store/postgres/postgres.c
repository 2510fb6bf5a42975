#include "controlplane/store/postgres/postgres.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "controlplane/store/content.h"
#include "controlplane/store/postgres/pg_months.h"
#include "controlplane/store/postgres/pg_store.h"

static void close_all(struct store *store)
{
    struct postgres_store *s = postgres_of(store);
    postgres_news_close(s);
    postgres_duty_close(s);
    postgres_appender_destroy(s->appender);
    postgres_months_destroy(s->months);
    postgres_pool_close(s);
    (void)pthread_cond_destroy(&s->is_free);
    (void)pthread_mutex_destroy(&s->pool_mutex);
    (void)pthread_mutex_destroy(&s->duty_mutex);
    if (s->content_master.data != NULL) {
        bytes_wipe((void *)(uintptr_t)s->content_master.data, s->content_master.size);
        free((void *)(uintptr_t)s->content_master.data);
    }
    if (s->url != NULL) {
        bytes_wipe(s->url, strlen(s->url));
    }
    free(s->url);
    free(s);
}

static void backend_fill(struct store_backend *b)
{
    b->close = close_all;
    postgres_documents_fill(b);
    postgres_fleet_fill(b);
    postgres_append_fill(b);
    postgres_search_fill(b);
    postgres_sessions_fill(b);
    postgres_log_fill(b);
    postgres_duty_fill(b);
    postgres_news_fill(b);
    postgres_holds_fill(b);
    postgres_erase_fill(b);
    postgres_approvals_fill(b);
    postgres_approvals_find_fill(b);
    postgres_standing_fill(b);
    postgres_blocks_fill(b);
    postgres_blobs_fill(b);
}

static enum err instance_make(char out[PG_INSTANCE_SIZE])
{
    uint8_t random[(PG_INSTANCE_SIZE - 1) / 2];
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        return ERR_IO;
    }
    for (size_t i = 0; i < sizeof(random); i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", random[i]);
    }
    return OK;
}

static enum err master_copy(struct postgres_store *s, struct bytes master)
{
    if (master.size == 0) {
        return OK;
    }
    uint8_t *copy = malloc(master.size);
    if (copy == NULL) {
        return ERR_NO_MEMORY;
    }
    memcpy(copy, master.data, master.size);
    s->content_master = bytes_of(copy, master.size);
    return OK;
}

/* Any key tells whether the master is the one that this database was written with. */
static enum err master_check(struct postgres_store *s, struct err_text *why)
{
    uint8_t key[CONTENT_KEY_SIZE];
    struct content *content = NULL;
    struct pg *db = NULL;
    PGresult *result = NULL;
    enum err err = content_create(s->content_master, &content);
    if (err == ERR_INVALID) {
        return err_set(why, err, "the key of the content is not of %d bytes", CONTENT_KEY_SIZE);
    }
    if (err == OK) {
        err = postgres_begin_read(s, &db);
    }
    if (err == OK) {
        err = pg_query(db,
                       "SELECT s.session, k.wrapped FROM audit_content_key k"
                       " JOIN audit_session s ON s.id = k.session LIMIT 1",
                       NULL, &result);
        postgres_end_read(s, db);
    }
    if (err == OK && PQntuples(result) > 0) {
        err = content_key_open(content, pg_bytes(result, 0, 0), pg_bytes(result, 0, 1), key);
        bytes_wipe(key, sizeof(key));
    }
    PQclear(result);
    content_destroy(content);
    return err == ERR_DENIED
               ? err_set(why, ERR_INVALID,
                         "the content of this database was encrypted with another key")
               : err;
}

/* libpq's own sentence would say the part that it does not understand: a password, perhaps. */
static enum err url_check(const char *url, struct err_text *why)
{
    char *message = NULL;
    PQconninfoOption *parts = PQconninfoParse(url, &message);
    bool is_one = parts != NULL;
    PQconninfoFree(parts);
    PQfreemem(message);
    return is_one ? OK : err_set(why, ERR_INVALID, "this is no connection string of PostgreSQL");
}

static enum err open_all(struct postgres_store *s, const char *url,
                         const struct store_postgres_options *options, struct err_text *why)
{
    struct pg migrator = {.handle = NULL};
    s->url = strdup(url);
    enum err err = s->url == NULL ? ERR_NO_MEMORY : instance_make(s->instance);
    if (err == OK) {
        err = url_check(url, why);
    }
    if (err == OK) {
        err = master_copy(s, options->content_master);
    }
    if (err == OK) {
        /* Of its own: the search path of the others is to a schema that may not be there yet. */
        err = pg_connect(&migrator, s->url, s->timeout_ms, why);
    }
    if (err == OK) {
        err = postgres_migrate_store(&migrator, why);
    }
    pg_disconnect(&migrator);
    if (err == OK) {
        err = postgres_pool_open(s, options->connections, why);
    }
    if (err == OK) {
        err = master_check(s, why);
    }
    if (err == OK) {
        err = postgres_months_create(s, &s->months, why);
    }
    return err == OK ? postgres_appender_create(s, &s->appender) : err;
}

enum err store_open_postgres(const char *url, const struct store_postgres_options *options,
                             struct store **out, struct err_text *why)
{
    static const struct store_postgres_options defaults = {0};
    struct postgres_store *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return ERR_NO_MEMORY;
    }
    backend_fill(&s->backend);
    s->store.backend = &s->backend;
    s->timeout_ms = STORE_BUSY_MS;
    (void)pthread_mutex_init(&s->pool_mutex, NULL);
    (void)pthread_mutex_init(&s->duty_mutex, NULL);
    (void)pthread_cond_init(&s->is_free, NULL);
    enum err err = open_all(s, url, options == NULL ? &defaults : options, why);
    if (err != OK) {
        close_all(&s->store);
        return err;
    }
    *out = &s->store;
    return OK;
}

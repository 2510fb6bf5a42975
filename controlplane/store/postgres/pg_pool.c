/* Connections, and transactions on them. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "controlplane/store/postgres/pg_store.h"

enum { BACKOFF_FIRST_MS = 100, BACKOFF_MAX_MS = 5000 };

static const int64_t ns_per_ms = 1000000;

static int64_t now_get(void)
{
    const struct clock clock = clock_system();
    return clock_monotonic(&clock);
}

enum err postgres_pool_open(struct postgres_store *s, int connections, struct err_text *why)
{
    size_t count = connections <= 0 ? PG_CONNECTIONS : (size_t)connections;
    s->connection_count = count > PG_CONNECTIONS_MAX ? PG_CONNECTIONS_MAX : count;
    for (size_t i = 0; i < s->connection_count; i++) {
        s->free[s->free_count++] = &s->connections[i];
    }
    /* The others when they are needed. */
    return pg_connect(s->free[s->free_count - 1], s->url, s->timeout_ms, why);
}

void postgres_pool_close(struct postgres_store *s)
{
    for (size_t i = 0; i < s->connection_count; i++) {
        pg_disconnect(&s->connections[i]);
    }
}

/* Connects again, but not more often than the backoff says: a database that is gone must cost its
 * users no more than an answer. */
static enum err reconnect(struct postgres_store *s, struct pg *db)
{
    (void)pthread_mutex_lock(&s->pool_mutex);
    bool is_early = now_get() < s->retry_ns;
    (void)pthread_mutex_unlock(&s->pool_mutex);
    if (is_early) {
        pg_disconnect(db);
        return ERR_UNAVAILABLE;
    }
    enum err err = pg_connect(db, s->url, s->timeout_ms, NULL);
    (void)pthread_mutex_lock(&s->pool_mutex);
    if (err == OK) {
        s->backoff_ns = 0;
        s->retry_ns = 0;
    } else {
        s->backoff_ns = s->backoff_ns == 0 ? BACKOFF_FIRST_MS * ns_per_ms : 2 * s->backoff_ns;
        if (s->backoff_ns > BACKOFF_MAX_MS * ns_per_ms) {
            s->backoff_ns = BACKOFF_MAX_MS * ns_per_ms;
        }
        s->retry_ns = now_get() + s->backoff_ns;
    }
    (void)pthread_mutex_unlock(&s->pool_mutex);
    return err;
}

enum err postgres_begin_read(struct postgres_store *s, struct pg **out)
{
    (void)pthread_mutex_lock(&s->pool_mutex);
    while (s->free_count == 0) {
        (void)pthread_cond_wait(&s->is_free, &s->pool_mutex);
    }
    struct pg *db = s->free[--s->free_count];
    (void)pthread_mutex_unlock(&s->pool_mutex);
    enum err err = pg_is_alive(db) ? OK : reconnect(s, db);
    if (err != OK) {
        postgres_end_read(s, db);
        return err;
    }
    db->failure[0] = '\0';
    *out = db;
    return OK;
}

void postgres_end_read(struct postgres_store *s, struct pg *db)
{
    (void)pthread_mutex_lock(&s->pool_mutex);
    s->free[s->free_count++] = db;
    (void)pthread_cond_signal(&s->is_free);
    (void)pthread_mutex_unlock(&s->pool_mutex);
}

enum err postgres_begin(struct postgres_store *s, struct pg **out)
{
    struct pg *db = NULL;
    enum err err = postgres_begin_read(s, &db);
    if (err != OK) {
        return err;
    }
    err = pg_run(db, "BEGIN", NULL);
    if (err != OK) {
        pg_disconnect(db);
        postgres_end_read(s, db);
        return err;
    }
    *out = db;
    return OK;
}

enum err postgres_end(struct postgres_store *s, struct pg *db, enum err result)
{
    enum err err = result == OK ? pg_commit(db) : result;
    /* Whatever state it is in: a connection goes back clean or not at all. */
    if (err != OK && (!pg_is_alive(db) || pg_execute(db, "ROLLBACK") != OK)) {
        pg_disconnect(db);
    }
    postgres_end_read(s, db);
    return err;
}

enum err postgres_end_news(struct postgres_store *s, struct pg *db, enum err result, unsigned news)
{
    return postgres_end(s, db, result == OK ? postgres_news_send(s, db, news) : result);
}

enum err postgres_news_send(struct postgres_store *s, struct pg *db, unsigned news)
{
    char text[PG_INSTANCE_SIZE + 16];
    struct pg_parameters p = {.count = 0};
    int size = snprintf(text, sizeof(text), "%s %u", s->instance, news);
    pg_put_ascii(&p, bytes_of(text, (size_t)size));
    return news == 0 ? OK : pg_run(db, "SELECT pg_notify('chaperone', $1)", &p);
}

enum err postgres_write_one(struct postgres_store *s, const char *sql,
                            const struct pg_parameters *p, bool must_change, unsigned news)
{
    struct pg *db = NULL;
    enum err err = postgres_begin(s, &db);
    if (err != OK) {
        return err;
    }
    err = must_change ? pg_run_one(db, sql, p) : pg_run(db, sql, p);
    return postgres_end_news(s, db, err, news);
}

enum err postgres_read_one(struct postgres_store *s, const char *sql, const struct pg_parameters *p,
                           size_t item_size, pg_row_fn *read, struct arena *arena, void *out_item)
{
    struct pg *db = NULL;
    enum err err = postgres_begin_read(s, &db);
    if (err == OK) {
        err = pg_read_one(db, sql, p, item_size, read, arena, out_item);
        postgres_end_read(s, db);
    }
    return err;
}

enum err postgres_read_all(struct postgres_store *s, const char *sql, const struct pg_parameters *p,
                           size_t item_size, pg_row_fn *read, struct arena *arena, void **out_items,
                           size_t *out_count)
{
    struct pg *db = NULL;
    enum err err = postgres_begin_read(s, &db);
    if (err == OK) {
        err = pg_read_all(db, sql, p, item_size, read, arena, out_items, out_count);
        postgres_end_read(s, db);
    }
    return err;
}

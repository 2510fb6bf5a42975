/* Duties: advisory locks of one connection's session. What only the holder may do is done on that
 * connection, in a transaction: with the connection the lock is gone and so is the transaction. */
#include "controlplane/store/postgres/pg_store.h"

static void duties_forget(struct postgres_store *s)
{
    for (int i = 0; i < PG_DUTIES; i++) {
        s->has_duty[i] = false;
    }
    pg_disconnect(&s->duty);
}

void postgres_duty_close(struct postgres_store *s)
{
    duties_forget(s);
}

static enum err duty_try(struct postgres_store *s, enum store_duty duty, bool *out_has)
{
    struct pg_parameters p = {.count = 0};
    int64_t has = 0;
    if (!pg_is_alive(&s->duty)) {
        duties_forget(s);
        /* Without a limit of time: a lock must not be lost to a slow moment. */
        enum err err = pg_connect(&s->duty, s->url, s->timeout_ms, NULL);
        if (err != OK) {
            return err;
        }
    }
    /* One that is held is asked for as well: is the session still there? It is not counted twice.
     */
    pg_put_number(&p, PG_LOCK_CLASS);
    pg_put_number(&p, duty);
    pg_put_number(&p, s->has_duty[duty]);
    enum err err = pg_ask_number(&s->duty,
                                 "SELECT (CASE WHEN $3 <> 0 THEN true"
                                 " ELSE pg_try_advisory_lock($1::int4, $2::int4) END)::int4::int8",
                                 &p, &has);
    if (err != OK) {
        duties_forget(s);
        return err;
    }
    s->has_duty[duty] = has != 0;
    *out_has = has != 0;
    return OK;
}

static enum err duty_hold(struct store *store, enum store_duty duty, bool *out_has)
{
    struct postgres_store *s = postgres_of(store);
    bool has = false;
    (void)pthread_mutex_lock(&s->duty_mutex);
    bool was_connected = s->duty.handle != NULL;
    enum err err = duty_try(s, duty, &has);
    if (err == ERR_UNAVAILABLE && was_connected) {
        err = duty_try(s, duty, &has); /* once more, on a fresh connection */
    }
    (void)pthread_mutex_unlock(&s->duty_mutex);
    if (err == OK) {
        *out_has = has;
    }
    return err;
}

static enum err checkpoint_insert(struct postgres_store *s,
                                  const struct store_checkpoint *checkpoint)
{
    struct pg_parameters p = {.count = 0};
    struct pg *db = &s->duty;
    pg_put_number(&p, (int64_t)checkpoint->size);
    pg_put_bytes(&p, bytes_of(checkpoint->root, STORE_HASH_SIZE));
    pg_put_number(&p, checkpoint->time_ns);
    pg_put_bytes(&p, checkpoint->note);
    enum err err = pg_run(db, "BEGIN", NULL);
    if (err == OK) {
        err = pg_run_one(db,
                         "INSERT INTO log_checkpoint (size, root, time_ns, note)"
                         " SELECT $1, $2, $3, $4"
                         " WHERE NOT EXISTS (SELECT FROM log_checkpoint WHERE size >= $1)",
                         &p);
        err = err == ERR_NOT_FOUND ? ERR_EXISTS : err;
    }
    if (err == OK) {
        err = postgres_news_send(s, db, STORE_NEWS_CHECKPOINT);
    }
    return err == OK ? pg_commit(db) : err;
}

static enum err checkpoint_add(struct store *store, const struct store_checkpoint *checkpoint)
{
    struct postgres_store *s = postgres_of(store);
    (void)pthread_mutex_lock(&s->duty_mutex);
    if (!s->has_duty[STORE_DUTY_LOG] || !pg_is_alive(&s->duty)) {
        duties_forget(s);
        (void)pthread_mutex_unlock(&s->duty_mutex);
        return ERR_DENIED;
    }
    enum err err = checkpoint_insert(s, checkpoint);
    if (err != OK && (!pg_is_alive(&s->duty) || pg_execute(&s->duty, "ROLLBACK") != OK)) {
        duties_forget(s);
        err = err == ERR_EXISTS ? err : ERR_DENIED;
    }
    (void)pthread_mutex_unlock(&s->duty_mutex);
    return err;
}

void postgres_duty_fill(struct store_backend *b)
{
    b->duty_hold = duty_hold;
    b->checkpoint_add = checkpoint_add;
}

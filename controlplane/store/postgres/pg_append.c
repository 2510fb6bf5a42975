/* Appending, grouped: batches that wait for each other become one transaction and one wait for the
 * disk. Whoever comes while nobody writes leads: it writes its own batch and all that came before
 * the lead was its own. */
#include <stdlib.h>

#include "controlplane/store/postgres/pg_months.h"
#include "controlplane/store/postgres/pg_write.h"

enum {
    GROUP_BATCHES_MAX = 256,
    GROUP_RECORDS_MAX = 8192, /* a larger batch is a group of its own */
    WORDS_FREE_MAX = 32,
};

struct postgres_appender {
    pthread_mutex_t mutex;
    pthread_cond_t is_done;
    struct write_batch *first, **last; /* the queue */
    bool is_led;
    struct write_cache *cache; /* the leader's */
    struct words *words[WORDS_FREE_MAX];
    size_t words_count;
};

enum err postgres_appender_create(struct postgres_store *s, struct postgres_appender **out)
{
    struct postgres_appender *a = calloc(1, sizeof(*a));
    if (a == NULL) {
        return ERR_NO_MEMORY;
    }
    (void)pthread_mutex_init(&a->mutex, NULL);
    (void)pthread_cond_init(&a->is_done, NULL);
    a->last = &a->first;
    enum err err = write_cache_create(s->content_master, &a->cache);
    if (err != OK) {
        postgres_appender_destroy(a);
        return err;
    }
    *out = a;
    return OK;
}

void postgres_appender_destroy(struct postgres_appender *a)
{
    if (a == NULL) {
        return;
    }
    for (size_t i = 0; i < a->words_count; i++) {
        words_destroy(a->words[i]);
    }
    write_cache_destroy(a->cache);
    (void)pthread_cond_destroy(&a->is_done);
    (void)pthread_mutex_destroy(&a->mutex);
    free(a);
}

/* ---- words: each for one thread at a time
 * -------------------------------------------------------- */

static enum err words_take(struct postgres_appender *a, struct words **out)
{
    struct words *words = NULL;
    (void)pthread_mutex_lock(&a->mutex);
    if (a->words_count > 0) {
        words = a->words[--a->words_count];
    }
    (void)pthread_mutex_unlock(&a->mutex);
    if (words == NULL) {
        return words_create(out);
    }
    *out = words;
    return OK;
}

static void words_give(struct postgres_appender *a, struct words *words)
{
    (void)pthread_mutex_lock(&a->mutex);
    if (a->words_count < WORDS_FREE_MAX) {
        a->words[a->words_count++] = words;
        words = NULL;
    }
    (void)pthread_mutex_unlock(&a->mutex);
    words_destroy(words);
}

static enum err batch_prepare(struct postgres_store *s, struct write_batch *b, const char *sidecar,
                              const struct store_audit_record *records, size_t count,
                              int64_t received_ns)
{
    struct words *words = NULL;
    enum err err = words_take(s->appender, &words);
    if (err == OK) {
        err = write_batch_init(b, words, sidecar, records, count, received_ns);
        words_give(s->appender, words);
    }
    return err;
}

/* The partitions of all keys that these may get: not later than their time and arrival, or next to
 * a record that is there. */
static enum err months_prepare(struct postgres_store *s, const struct store_audit_record *records,
                               size_t count, int64_t received_ns)
{
    int64_t from = 0, to = 0;
    enum err err = OK;
    for (size_t i = 0; err == OK && i < count; i++) {
        int64_t key = records[i].index.time_ns;
        key = key < received_ns ? key : received_ns;
        if (key >= from && key < to) {
            continue;
        }
        err = postgres_months_need(s, key);
        int month = postgres_month_of(key);
        from = month < 0 ? INT64_MIN : postgres_month_start(month);
        to = postgres_month_start(month + 1);
    }
    return err;
}

/* ---- groups
 * -------------------------------------------------------------------------------------- */

/* Takes batches of different streams from the front of the queue. */
static size_t group_take(struct postgres_appender *a, struct write_batch **group)
{
    size_t count = 0, records = 0;
    struct write_batch **at = &a->first;
    while (*at != NULL && count < GROUP_BATCHES_MAX) {
        struct write_batch *b = *at;
        bool is_taken = count == 0 || records + b->count <= GROUP_RECORDS_MAX;
        for (size_t i = 0; i < count && is_taken; i++) {
            is_taken = strcmp(group[i]->sidecar, b->sidecar) != 0;
        }
        if (is_taken) {
            group[count++] = b;
            records += b->count;
            *at = b->next;
        } else {
            at = &b->next;
        }
    }
    a->last = at;
    while (*a->last != NULL) {
        a->last = &(*a->last)->next;
    }
    return count;
}

static enum err group_commit(struct postgres_store *s, struct write_batch **group, size_t count,
                             struct err_text *why)
{
    struct write_cache *cache = s->appender->cache;
    struct pg *db = NULL;
    enum err err = postgres_begin(s, &db);
    if (err != OK) {
        return err_set(why, err, "the database does not take a write now");
    }
    err = write_group(s, db, cache, group, count);
    if (err != OK) {
        /* What the contract says of records must not be said of a fault of ours. */
        bool is_misleading = err == ERR_EXISTS || err == ERR_INVALID || err == ERR_LIMIT ||
                             err == ERR_NOT_FOUND || err == ERR_DENIED;
        err = pg_explain(db, is_misleading ? ERR_INTERNAL : err, why);
    }
    enum err end = postgres_end(s, db, err);
    if (end != OK) {
        write_cache_clear(cache);
    }
    if (err == OK && end != OK) {
        (void)err_set(why, end, "the database did not commit");
    }
    return end;
}

/* What one batch brings must not take the others with it: after a failure that is not the
 * database's absence, each is tried alone. */
static void group_write(struct postgres_store *s, struct write_batch **group, size_t count)
{
    struct err_text why = {.text = ""};
    enum err err = group_commit(s, group, count, &why);
    for (size_t i = 0; i < count && err != OK; i++) {
        struct write_batch *b = group[i];
        b->err = err;
        b->why = why;
        b->refused = 0;
        if (count > 1 && err != ERR_UNAVAILABLE) {
            enum err alone = group_commit(s, &group[i], 1, &b->why);
            b->err = alone == OK ? b->err : alone;
        }
    }
}

static void batch_write(struct postgres_store *s, struct write_batch *b)
{
    struct postgres_appender *a = s->appender;
    struct write_batch *group[GROUP_BATCHES_MAX];
    (void)pthread_mutex_lock(&a->mutex);
    *a->last = b;
    a->last = &b->next;
    while (!b->is_done) {
        if (a->is_led) {
            (void)pthread_cond_wait(&a->is_done, &a->mutex);
            continue;
        }
        a->is_led = true;
        size_t count = group_take(a, group);
        (void)pthread_mutex_unlock(&a->mutex);
        group_write(s, group, count);
        (void)pthread_mutex_lock(&a->mutex);
        for (size_t i = 0; i < count; i++) {
            group[i]->is_done = true;
        }
        a->is_led = false;
        (void)pthread_cond_broadcast(&a->is_done);
    }
    (void)pthread_mutex_unlock(&a->mutex);
}

static enum err audit_append(struct store *store, const char *sidecar,
                             const struct store_audit_record *records, size_t count,
                             int64_t received_ns, struct store_audit_appended *out,
                             uint64_t *out_refused, struct err_text *why)
{
    struct postgres_store *s = postgres_of(store);
    struct write_batch b;
    enum err err = months_prepare(s, records, count, received_ns);
    if (err == OK) {
        err = batch_prepare(s, &b, sidecar, records, count, received_ns);
    }
    if (err != OK) {
        return err_set(why, err == ERR_LIMIT ? ERR_NO_MEMORY : err,
                       "the database does not take a write now");
    }
    batch_write(s, &b);
    err = b.err;
    if (err == OK) {
        *out = b.appended;
    } else {
        (void)err_set(why, err, "%s", b.why.text);
        if (b.refused != 0 && out_refused != NULL) {
            *out_refused = b.refused;
        }
    }
    write_batch_finish(&b);
    return err;
}

/* ---- inside of another transaction
 * --------------------------------------------------------------- */

enum err postgres_append_prepare(struct postgres_store *s, const struct store_audit_write *write)
{
    return write == NULL ? OK : months_prepare(s, write->records, write->count, write->received_ns);
}

/* With a cache of its own: the caller may still roll back. */
enum err postgres_append_in(struct postgres_store *s, struct pg *db,
                            const struct store_audit_write *write)
{
    struct write_batch b, *group[] = {&b};
    struct write_cache *cache = NULL;
    enum err err = write_cache_create(s->content_master, &cache);
    if (err != OK) {
        return err;
    }
    err = batch_prepare(s, &b, write->sidecar, write->records, write->count, write->received_ns);
    if (err == OK) {
        err = write_group(s, db, cache, group, 1);
        err = err == OK ? b.err : err;
        write_batch_finish(&b);
    }
    write_cache_destroy(cache);
    if (err == OK) {
        *write->out = b.appended;
        return OK;
    }
    /* The caller's other errors must not be mistaken for this one. */
    return err == ERR_UNAVAILABLE || err == ERR_FULL || err == ERR_NO_MEMORY ? err : ERR_INTERNAL;
}

/* ---- what there is
 * -------------------------------------------------------------------------------- */

static bool last_read(const PGresult *result, int row, struct arena *arena, void *out_item)
{
    struct store_audit_last *last = out_item;
    (void)arena;
    last->sequence = (uint64_t)pg_number(result, row, 0);
    return pg_hash(result, row, 1, last->hash);
}

static enum err audit_last(struct store *store, const char *sidecar, struct store_audit_last *out)
{
    struct pg_parameters p = {.count = 0};
    struct store_audit_last last = {.sequence = 0};
    struct arena *arena = arena_create(256, 4096);
    pg_put_string(&p, sidecar);
    enum err err = arena == NULL
                       ? ERR_NO_MEMORY
                       : postgres_read_one(postgres_of(store),
                                           "SELECT last_sequence, last_hash FROM audit_stream"
                                           " WHERE sidecar = $1",
                                           &p, sizeof(last), last_read, arena, &last);
    arena_destroy(arena);
    if (err == OK || err == ERR_NOT_FOUND) {
        *out = last;
        err = OK;
    }
    return err;
}

static enum err audit_count(struct store *store, uint64_t *out)
{
    struct postgres_store *s = postgres_of(store);
    struct pg *db = NULL;
    int64_t count = 0;
    enum err err = postgres_begin_read(s, &db);
    if (err != OK) {
        return err;
    }
    err = pg_ask_number(db, "SELECT value FROM counter WHERE id = 1", NULL, &count);
    postgres_end_read(s, db);
    if (err == OK) {
        *out = (uint64_t)count;
    }
    return err;
}

void postgres_append_fill(struct store_backend *b)
{
    b->audit_append = audit_append;
    b->audit_last = audit_last;
    b->audit_count = audit_count;
}

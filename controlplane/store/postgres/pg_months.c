#include "controlplane/store/postgres/pg_months.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    FIRST_YEAR = 2020,
    MONTHS_MAX = 12 * (2262 - FIRST_YEAR) + 4, /* INT64_MAX ns is in April 2262 */
};

static const int64_t ns_per_second = 1000000000;

struct postgres_months {
    pthread_mutex_t mutex;
    bool known[MONTHS_MAX];
};

int postgres_month_of(int64_t key)
{
    time_t seconds = (time_t)(key / ns_per_second);
    struct tm tm;
    if (key < postgres_month_start(0) || gmtime_r(&seconds, &tm) == NULL) {
        return -1;
    }
    return 12 * (tm.tm_year + 1900 - FIRST_YEAR) + tm.tm_mon;
}

int64_t postgres_month_start(int month)
{
    struct tm tm = {.tm_year = FIRST_YEAR - 1900 + month / 12, .tm_mon = month % 12, .tm_mday = 1};
    return (int64_t)timegm(&tm) * ns_per_second;
}

/* ATTACH takes a lock that lets readers and writers go on; CREATE ... PARTITION OF does not. */
static enum err month_make(struct pg *db, int month)
{
    static const char *const tables[] = {"audit_record", "audit_record_table", "audit_text"};
    struct pg_parameters p = {.count = 0};
    int64_t there = 0;
    pg_put_number(&p, month);
    enum err err =
        pg_ask_number(db, "SELECT count(*) FROM audit_month WHERE month = $1", &p, &there);
    if (err != OK || there > 0) {
        return err;
    }
    for (size_t i = 0; err == OK && i < sizeof(tables) / sizeof(tables[0]); i++) {
        char sql[600], end[32] = "MAXVALUE";
        if (month + 1 < MONTHS_MAX) {
            (void)snprintf(end, sizeof(end), "%lld", (long long)postgres_month_start(month + 1));
        }
        (void)snprintf(sql, sizeof(sql),
                       "CREATE TABLE %1$s_%2$d%3$02d (LIKE %1$s INCLUDING DEFAULTS);"
                       "ALTER TABLE %1$s ATTACH PARTITION %1$s_%2$d%3$02d"
                       " FOR VALUES FROM (%4$lld) TO (%5$s)",
                       tables[i], FIRST_YEAR + month / 12, month % 12 + 1,
                       (long long)postgres_month_start(month), end);
        err = pg_execute(db, sql);
    }
    return err == OK ? pg_run(db, "INSERT INTO audit_month VALUES ($1)", &p) : err;
}

static enum err months_make(struct postgres_store *s, int first, int last, struct err_text *why)
{
    char lock[80];
    struct pg *db = NULL;
    enum err err = postgres_begin(s, &db);
    if (err != OK) {
        return err_set(why, err, "the database cannot be reached");
    }
    (void)snprintf(lock, sizeof(lock), "SELECT pg_advisory_xact_lock(%d, %d)", PG_LOCK_CLASS,
                   PG_LOCK_MONTHS);
    err = pg_execute(db, lock);
    for (int month = first; err == OK && month <= last; month++) {
        err = month_make(db, month);
    }
    if (err != OK) {
        (void)pg_explain(db, err, why);
    }
    return postgres_end(s, db, err);
}

enum err postgres_months_need(struct postgres_store *s, int64_t key)
{
    struct postgres_months *m = s->months;
    int month = postgres_month_of(key);
    if (month < 0) {
        return OK;
    }
    int last = month + 1 < MONTHS_MAX ? month + 1 : month;
    (void)pthread_mutex_lock(&m->mutex);
    enum err err = m->known[month] && m->known[last] ? OK : months_make(s, month, last, NULL);
    if (err == OK) {
        m->known[month] = true;
        m->known[last] = true;
    }
    (void)pthread_mutex_unlock(&m->mutex);
    return err;
}

enum err postgres_months_create(struct postgres_store *s, struct postgres_months **out,
                                struct err_text *why)
{
    struct postgres_months *m = calloc(1, sizeof(*m));
    if (m == NULL) {
        return ERR_NO_MEMORY;
    }
    (void)pthread_mutex_init(&m->mutex, NULL);
    int month = postgres_month_of((int64_t)time(NULL) * ns_per_second);
    month = month < 0 ? 0 : month;
    enum err err = months_make(s, month, month + 1, why);
    if (err != OK) {
        postgres_months_destroy(m);
        return err;
    }
    m->known[month] = true;
    m->known[month + 1] = true;
    *out = m;
    return OK;
}

void postgres_months_destroy(struct postgres_months *m)
{
    if (m != NULL) {
        (void)pthread_mutex_destroy(&m->mutex);
        free(m);
    }
}

#include "controlplane/retention/retention.h"

#include <fnmatch.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    ARENA_BLOCK = 64 << 10,
    ARENA_CAP = 64 << 20,
    OBJECT_SIZE = STORE_NAME_SIZE_MAX + 16,
};

int64_t retention_keep(const struct config *config, const char *resource)
{
    for (size_t i = 0; i < config->retention.count; i++) {
        const struct config_retention *rule = &config->retention.items[i];
        if (strcmp(rule->resource, resource) == 0 ||
            fnmatch(rule->resource, resource, FNM_NOESCAPE) == 0) {
            return rule->keep_ns;
        }
    }
    return 0;
}

/* ---- one run ---------------------------------------------------------------------------------
 */

struct run {
    const struct retention_options *with;
    const struct config *config;
    const atomic_bool *stop; /* may be NULL */
    struct arena *arena;     /* of one step */
    size_t erased;
    struct err_text *why;
};

static bool is_stopped(const struct run *r)
{
    return r->stop != NULL && atomic_load(r->stop);
}

static char *text_of(const char *s)
{
    return (char *)(uintptr_t)s;
}

static void keep_describe(int64_t keep_ns, char *out, size_t size)
{
    const int64_t day_s = 86400;
    int64_t keep_s = keep_ns / 1000000000;
    bool days = keep_s % day_s == 0;
    (void)snprintf(out, size, "retention: kept for %lld %s",
                   (long long)(days ? keep_s / day_s : keep_s), days ? "days" : "seconds");
}

static enum err record(const struct run *r, const char *resource, int64_t keep_ns,
                       const char *const *sessions, size_t count)
{
    char object[OBJECT_SIZE], reason[64];
    Chaperone__V1__Action action = CHAPERONE__V1__ACTION__INIT;
    (void)snprintf(object, sizeof(object), "resource %s", resource);
    keep_describe(keep_ns, reason, sizeof(reason));
    action.action = text_of("erase");
    action.object = object;
    action.reason = reason;
    action.sessions = (char **)(uintptr_t)sessions;
    action.n_sessions = count;
    const struct journal_entry entry = {.action = &action};
    return journal_append(r->with->journal, &entry, r->why);
}

/* Whether the last that is known of the session arrived before then. */
static enum err has_arrived_before(const struct run *r, const char *session, int64_t limit_ns,
                                   bool *out)
{
    const struct store_audit_filter filter = {.session = session};
    struct store_audit_entry *items = NULL;
    size_t count = 0;
    int64_t key = 0;
    bool more = false;
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP); /* a record has up to 1 MiB */
    enum err e = arena == NULL ? ERR_NO_MEMORY
                               : store_audit_nth_newest(r->with->store, &filter, 1, &key, r->why);
    if (e == OK) {
        e = store_audit_page(r->with->store, &filter, key, 1, 1, arena, &items, &count, &more,
                             r->why);
    }
    if (e == OK) {
        *out = count == 1 && items[0].received_ns < limit_ns;
    }
    if (e == ERR_NOT_FOUND) { /* a name, and no record that it could keep */
        *out = true;
        e = OK;
    }
    arena_destroy(arena);
    return e;
}

/* Keeps those of them that may go, in place: the first RETENTION_SESSIONS_MAX. */
static enum err choose(const struct run *r, int64_t limit_ns, const char **sessions, size_t *count)
{
    size_t kept = 0;
    enum err e = OK;
    for (size_t i = 0; e == OK && i < *count && kept < RETENTION_SESSIONS_MAX; i++) {
        bool may_go = false;
        e = has_arrived_before(r, sessions[i], limit_ns, &may_go);
        if (e == ERR_IO) { /* a record that was changed in the database: evidence, and kept */
            log_event(r->with->log, LOG_ERROR, "retention_passed_over",
                      log_text("session", sessions[i]),
                      log_text("why", r->why == NULL ? "" : r->why->text));
            e = OK;
        }
        if (e == OK && may_go) {
            sessions[kept++] = sessions[i];
        }
    }
    *count = kept;
    return e;
}

/* Some sessions of a resource: found, written down, erased. `*out_more`: there may be others. */
static enum err step(struct run *r, const char *resource, int64_t keep_ns, bool *out_more)
{
    int64_t now_ns = clock_wall(&r->with->clock);
    struct store_erase what = {.resource = resource,
                               .closed_before_ns = now_ns - keep_ns,
                               .max = RETENTION_LOOK_MAX,
                               .is_preview = true};
    const char **found = NULL, **erased = NULL;
    size_t found_count = 0, erased_count = 0;
    enum err e = store_audit_erase(r->with->store, &what, now_ns, r->arena, &found, &found_count);
    if (e == OK) {
        e = choose(r, what.closed_before_ns, found, &found_count);
    }
    if (e != OK || found_count == 0) {
        *out_more = false;
        return e;
    }
    e = record(r, resource, keep_ns, found, found_count);
    if (e != OK) {
        return e;
    }
    what.is_preview = false;
    what.only = found;
    what.only_count = found_count;
    e = store_audit_erase(r->with->store, &what, now_ns, r->arena, &erased, &erased_count);
    if (e == OK) {
        r->erased += erased_count;
        *out_more = erased_count > 0;
        log_event(r->with->log, LOG_INFO, "content_erased", log_text("resource", resource),
                  log_number("sessions", (int64_t)erased_count));
    }
    return e;
}

static enum err duty_check(const struct run *r)
{
    bool has = false;
    enum err e = store_duty_hold(r->with->store, STORE_DUTY_ERASE, &has);
    return e == OK && !has ? ERR_DENIED : e;
}

static enum err resource_run(struct run *r, const char *resource)
{
    int64_t keep_ns = retention_keep(r->config, resource);
    bool more = keep_ns > 0;
    enum err e = OK;
    while (e == OK && more && !is_stopped(r)) {
        arena_reset(r->arena);
        e = duty_check(r);
        if (e == OK) {
            e = step(r, resource, keep_ns, &more);
        }
    }
    return e;
}

/* A call that finds none clears old pages, also those of a run that did not come so far. */
static enum err clear(struct run *r, const char *resource)
{
    static const char *const none[] = {""};
    const struct store_erase what = {.resource = resource, .max = 1, .only = none, .only_count = 1};
    const char **erased = NULL;
    size_t count = 0;
    arena_reset(r->arena);
    return store_audit_erase(r->with->store, &what, clock_wall(&r->with->clock), r->arena, &erased,
                             &count);
}

static enum err resources_run(struct run *r, struct arena *names_arena)
{
    const char **names = NULL;
    size_t count = 0;
    enum err e = duty_check(r);
    if (e == OK) {
        e = store_audit_resources(r->with->store, names_arena, &names, &count);
    }
    for (size_t i = 0; e == OK && i < count && !is_stopped(r); i++) {
        e = resource_run(r, names[i]);
    }
    return e == OK && count > 0 && !is_stopped(r) ? clear(r, names[0]) : e;
}

static enum err run_until(const struct retention_options *options, const struct config *config,
                          const atomic_bool *stop, size_t *out_erased, struct err_text *why)
{
    struct run r = {.with = options, .config = config, .stop = stop, .why = why};
    struct arena *names = arena_create(ARENA_BLOCK, ARENA_CAP);
    r.arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    enum err e = r.arena == NULL || names == NULL ? ERR_NO_MEMORY : resources_run(&r, names);
    arena_destroy(r.arena);
    arena_destroy(names);
    *out_erased = r.erased;
    return e;
}

enum err retention_run(const struct retention_options *options, const struct config *config,
                       size_t *out_erased, struct err_text *why)
{
    return run_until(options, config, NULL, out_erased, why);
}

/* ---- the thread ------------------------------------------------------------------------------
 */

struct retention {
    struct retention_options with;
    pthread_t thread;
    atomic_bool stop;
    pthread_mutex_t mutex; /* guards the rest */
    pthread_cond_t changed;
    struct config *config; /* owned reference */
    bool is_due;
};

static void run_and_log(struct retention *r, const struct config *config)
{
    struct err_text why = {.text = ""};
    size_t erased = 0;
    enum err e = run_until(&r->with, config, &r->stop, &erased, &why);
    if (e != OK && e != ERR_DENIED) {
        log_event(r->with.log, LOG_ERROR, "retention_failed", log_text("error", err_name(e)),
                  log_text("why", why.text), log_number("sessions_erased", (int64_t)erased));
    }
}

/* What was left over by appends that failed, and what could not be deleted before. */
static void sweep(struct retention *r)
{
    enum { AT_ONCE = 256 };
    const int64_t second_ns = 1000000000;
    struct err_text why = {.text = ""};
    size_t swept = AT_ONCE, all = 0;
    enum err e = OK;
    while (e == OK && swept == AT_ONCE && !atomic_load(&r->stop)) {
        int64_t before = clock_wall(&r->with.clock) - RETENTION_BLOB_WAITS_S * second_ns;
        e = store_blobs_sweep(r->with.store, before, AT_ONCE, &swept, &why);
        all += swept;
    }
    if (e != OK) {
        log_event(r->with.log, LOG_ERROR, "blobs_sweep_failed", log_text("error", err_name(e)),
                  log_text("why", why.text));
    } else if (all > 0) {
        log_event(r->with.log, LOG_INFO, "blobs_swept", log_number("count", (int64_t)all));
    }
}

/* Waits for the next run. Returns owned; NULL: there is none any more. */
static struct config *wait_for_run(struct retention *r)
{
    struct timespec until;
    struct config *config = NULL;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += RETENTION_EVERY_S;
    (void)pthread_mutex_lock(&r->mutex);
    int waited = 0;
    while (!r->is_due && waited == 0 && !atomic_load(&r->stop)) {
        waited = pthread_cond_timedwait(&r->changed, &r->mutex, &until);
    }
    if (!atomic_load(&r->stop)) {
        r->is_due = false;
        config = config_retain(r->config);
    }
    (void)pthread_mutex_unlock(&r->mutex);
    return config;
}

static void *thread_main(void *context)
{
    struct retention *r = context;
    for (struct config *config = wait_for_run(r); config != NULL; config = wait_for_run(r)) {
        run_and_log(r, config);
        sweep(r);
        config_release(config);
    }
    return NULL;
}

static void destroy(struct retention *r)
{
    (void)pthread_cond_destroy(&r->changed);
    (void)pthread_mutex_destroy(&r->mutex);
    config_release(r->config);
    free(r);
}

/* The count of references is no part of what does not change. */
static struct config *retain(const struct config *config)
{
    return config_retain((struct config *)(uintptr_t)config);
}

enum err retention_start(const struct retention_options *options, const struct config *config,
                         struct retention **out)
{
    pthread_condattr_t monotonic;
    struct retention *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return ERR_NO_MEMORY;
    }
    r->with = *options;
    r->config = retain(config);
    r->is_due = true;
    atomic_init(&r->stop, false);
    (void)pthread_mutex_init(&r->mutex, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&r->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    if (pthread_create(&r->thread, NULL, thread_main, r) != 0) {
        destroy(r);
        return ERR_NO_MEMORY;
    }
    *out = r;
    return OK;
}

void retention_configure(struct retention *retention, const struct config *config)
{
    (void)pthread_mutex_lock(&retention->mutex);
    struct config *before = retention->config;
    retention->config = retain(config);
    retention->is_due = true;
    (void)pthread_cond_signal(&retention->changed);
    (void)pthread_mutex_unlock(&retention->mutex);
    config_release(before);
}

void retention_stop(struct retention *retention)
{
    if (retention != NULL) {
        (void)pthread_mutex_lock(&retention->mutex);
        atomic_store(&retention->stop, true);
        (void)pthread_cond_signal(&retention->changed);
        (void)pthread_mutex_unlock(&retention->mutex);
        (void)pthread_join(retention->thread, NULL);
        destroy(retention);
    }
}

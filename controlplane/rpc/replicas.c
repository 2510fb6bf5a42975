#include "controlplane/rpc/replicas.h"

#include <stdlib.h>
#include <time.h>

#include "controlplane/rpc/services_internal.h"

enum {
    ARENA_BLOCK = 64 << 10,
    ARENA_CAP = 64 << 20,
    EVENTS_MAX = 64,
    EVENTS_BYTES = 16 << 20,
    KNOWN_MAX = 4096,
    RETRY_MS = 500,
};

struct known {
    char id[UUID_TEXT_SIZE];
};

struct replicas {
    struct services *services;
    struct arena *list, *one; /* owned; the thread's own */
    uint64_t approvals;       /* the thread's own: up to this cursor all was told */
    pthread_t thread;
    bool runs, listens;

    pthread_mutex_t mutex; /* guards the rest */
    pthread_cond_t changed;
    unsigned waiting; /* enum store_news */
    bool closing;
    struct known *known; /* owned: blocks that were carried out; the oldest are forgotten */
    size_t known_count, known_next;
};

/* --- records -----------------------------------------------------------------------------------
 */

static enum err tell_records(struct replicas *r)
{
    uint64_t newest = 0;
    enum err e = store_audit_count(r->services->with.store, &newest);
    if (e == OK) {
        audit_feed_publish(r->services->with.feed, newest);
    }
    return e;
}

/* --- decisions ---------------------------------------------------------------------------------
 */

static void tell_one(struct replicas *r, const struct store_approval *changed)
{
    const Chaperone__V1__HeldOperation *held = NULL;
    if (changed->state == STORE_APPROVAL_WAITING ||
        !watchers_is_connected(r->services->watchers, changed->sidecar)) {
        return;
    }
    arena_reset(r->one);
    enum err e = approvals_unpack(changed, r->one, &held);
    if (e != OK) {
        log_event(r->services->with.log, LOG_ERROR, "approval_not_told",
                  log_text("approval", changed->id), log_text("error", err_name(e)));
        return;
    }
    if (approvals_is_told(held)) {
        const Chaperone__V1__ApprovalDecided decided = approvals_tell(held);
        watchers_send_decided(r->services->watchers, changed->sidecar, &decided);
    }
}

/* Also what was decided here, which its sidecar was told already: a second time changes nothing. */
static enum err tell_approvals(struct replicas *r)
{
    struct store_approval *items = NULL;
    size_t count = 0;
    enum err e = OK;
    do {
        arena_reset(r->list);
        e = store_approval_events(r->services->with.store, r->approvals, EVENTS_MAX, EVENTS_BYTES,
                                  r->list, &items, &count);
        for (size_t i = 0; e == OK && i < count; i++) {
            tell_one(r, &items[i]);
            r->approvals = items[i].cursor;
        }
    } while (e == OK && count > 0);
    audit_feed_publish(r->services->approvals_feed, r->approvals);
    approvals_wake(r->services->approvals);
    return e;
}

/* --- policy ------------------------------------------------------------------------------------
 */

static enum err tell_policy(struct replicas *r)
{
    bool changed = false;
    enum err e = publisher_refresh(r->services->with.publisher, &changed);
    if (changed) {
        watchers_push_policy(r->services->watchers);
    }
    return e;
}

/* --- orders ------------------------------------------------------------------------------------
 */

/* With the mutex held. */
static bool is_known(const struct replicas *r, const char *block)
{
    for (size_t i = 0; i < r->known_count; i++) {
        if (strcmp(r->known[i].id, block) == 0) {
            return true;
        }
    }
    return false;
}

static void know(struct replicas *r, const char *block)
{
    (void)snprintf(r->known[r->known_next].id, sizeof(r->known[0].id), "%s", block);
    r->known_next = (r->known_next + 1) % KNOWN_MAX;
    r->known_count += r->known_count < KNOWN_MAX ? 1 : 0;
}

void replicas_know(struct replicas *r, const char *block)
{
    (void)pthread_mutex_lock(&r->mutex);
    know(r, block);
    (void)pthread_mutex_unlock(&r->mutex);
}

static bool take_new(struct replicas *r, const char *block)
{
    (void)pthread_mutex_lock(&r->mutex);
    bool is_new = !is_known(r, block);
    if (is_new) {
        know(r, block);
    }
    (void)pthread_mutex_unlock(&r->mutex);
    return is_new;
}

static enum err tell_blocks(struct replicas *r)
{
    struct store_block *items = NULL;
    size_t count = 0;
    arena_reset(r->list);
    enum err e = store_block_list(r->services->with.store, r->list, &items, &count);
    for (size_t i = 0; e == OK && i < count; i++) {
        if (take_new(r, items[i].id)) {
            arena_reset(r->one);
            e = blocks_give(r->services, &items[i], NULL, r->one);
        }
    }
    return e;
}

/* --- revoked sidecars --------------------------------------------------------------------------
 */

static enum err tell_sidecars(struct replicas *r)
{
    struct store_sidecar *items = NULL;
    size_t count = 0;
    arena_reset(r->list);
    enum err e = store_sidecar_list(r->services->with.store, r->list, &items, &count);
    for (size_t i = 0; e == OK && i < count; i++) {
        if (items[i].revoked_ns == 0) {
            continue;
        }
        if (watchers_is_connected(r->services->watchers, items[i].id)) {
            sidecars_end_revoked(r->services, &items[i]);
        } else { /* one that was let in a moment ago, and is to be a watcher yet */
            sidecars_end_streams(r->services, &items[i]);
        }
    }
    return e;
}

/* --- the thread --------------------------------------------------------------------------------
 */

/* What could not be told; it is tried again. */
static unsigned tell(struct replicas *r, unsigned news)
{
    static const struct {
        enum store_news what;
        const char *name;
        enum err (*tell)(struct replicas *r);
    } table[] = {{STORE_NEWS_SIDECARS, "sidecars", tell_sidecars},
                 {STORE_NEWS_BLOCKS, "blocks", tell_blocks},
                 {STORE_NEWS_POLICY, "policy", tell_policy},
                 {STORE_NEWS_APPROVALS, "approvals", tell_approvals},
                 {STORE_NEWS_RECORDS, "records", tell_records}};
    unsigned left = 0;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        enum err e = (news & (unsigned)table[i].what) != 0 ? table[i].tell(r) : OK;
        if (e != OK) {
            left |= (unsigned)table[i].what;
            log_event(r->services->with.log, LOG_WARN, "news_not_read",
                      log_text("of", table[i].name), log_text("error", err_name(e)));
        }
    }
    return left;
}

static struct timespec after_ms(int64_t ms)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t ns = t.tv_nsec + ms % 1000 * 1000000;
    t.tv_sec += (time_t)(ms / 1000 + ns / 1000000000);
    t.tv_nsec = ns % 1000000000;
    return t;
}

static bool is_later(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

/* With the mutex held: until there is news, or it is time. */
static unsigned await_news(struct replicas *r, const struct timespec *until)
{
    while (!r->closing && r->waiting == 0 &&
           pthread_cond_timedwait(&r->changed, &r->mutex, until) == 0) {
    }
    unsigned news = r->waiting;
    r->waiting = 0;
    return news;
}

static void *run(void *context)
{
    struct replicas *r = context;
    struct timespec seen = after_ms(0);
    unsigned left = 0;
    (void)pthread_mutex_lock(&r->mutex);
    while (!r->closing) {
        const struct timespec retry = after_ms(RETRY_MS);
        unsigned news = await_news(r, left != 0 && is_later(&seen, &retry) ? &retry : &seen) | left;
        (void)pthread_mutex_unlock(&r->mutex);
        left = tell(r, news);
        const struct timespec now = after_ms(0);
        if (!is_later(&seen, &now)) {
            watchers_note_seen(r->services->watchers, services_now(r->services));
            seen = after_ms((int64_t)REPLICAS_SEEN_EVERY_S * 1000);
        }
        (void)pthread_mutex_lock(&r->mutex);
    }
    (void)pthread_mutex_unlock(&r->mutex);
    return NULL;
}

/* On the store's thread. */
static void on_news(void *context, unsigned news)
{
    struct replicas *r = context;
    (void)pthread_mutex_lock(&r->mutex);
    r->waiting |= news;
    (void)pthread_cond_signal(&r->changed);
    (void)pthread_mutex_unlock(&r->mutex);
}

/* --- life --------------------------------------------------------------------------------------
 */

/* What stands already was carried out, or is when its sidecar comes. */
static enum err know_all(struct replicas *r)
{
    struct store_block *items = NULL;
    size_t count = 0;
    enum err e = store_block_list(r->services->with.store, r->list, &items, &count);
    for (size_t i = 0; e == OK && i < count; i++) {
        know(r, items[i].id);
    }
    return e;
}

static enum err start(struct replicas *r)
{
    r->list = arena_create(ARENA_BLOCK, ARENA_CAP);
    r->one = arena_create(ARENA_BLOCK, ARENA_CAP);
    r->known = calloc(KNOWN_MAX, sizeof(*r->known));
    enum err e = r->list == NULL || r->one == NULL || r->known == NULL ? ERR_NO_MEMORY : OK;
    if (e == OK) {
        e = store_news_listen(r->services->with.store, on_news, r);
        r->listens = e == OK;
    }
    /* What comes from here on is heard. */
    if (e == OK) {
        e = store_approval_cursor(r->services->with.store, &r->approvals);
    }
    if (e == OK) {
        e = know_all(r);
    }
    if (e == OK) {
        r->runs = pthread_create(&r->thread, NULL, run, r) == 0;
        e = r->runs ? OK : ERR_NO_MEMORY;
    }
    return e;
}

enum err replicas_create(struct services *services, struct replicas **out)
{
    pthread_condattr_t attributes;
    struct replicas *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return ERR_NO_MEMORY;
    }
    r->services = services;
    (void)pthread_mutex_init(&r->mutex, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&r->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    enum err e = start(r);
    if (e != OK) {
        replicas_destroy(r);
        return e;
    }
    *out = r;
    return OK;
}

void replicas_destroy(struct replicas *r)
{
    if (r == NULL) {
        return;
    }
    if (r->listens && store_news_listen(r->services->with.store, NULL, NULL) != OK) {
        log_event(r->services->with.log, LOG_ERROR, "news_not_ended");
    }
    if (r->runs) {
        (void)pthread_mutex_lock(&r->mutex);
        r->closing = true;
        (void)pthread_cond_signal(&r->changed);
        (void)pthread_mutex_unlock(&r->mutex);
        (void)pthread_join(r->thread, NULL);
    }
    arena_destroy(r->list);
    arena_destroy(r->one);
    free(r->known);
    (void)pthread_cond_destroy(&r->changed);
    (void)pthread_mutex_destroy(&r->mutex);
    free(r);
}

/* --- who is connected --------------------------------------------------------------------------
 */

bool replicas_has_seen(const struct services *services, const struct store_sidecar *sidecar)
{
    return services->with.is_shared && services_now(services) - sidecar->last_seen_ns <
                                           REPLICAS_SEEN_FOR_S * INT64_C(1000000000);
}

bool replicas_is_connected(struct services *services, const char *sidecar)
{
    struct store_sidecar found;
    bool connected = watchers_is_connected(services->watchers, sidecar);
    struct arena *arena =
        connected || !services->with.is_shared ? NULL : arena_create(4096, 1 << 20);
    if (arena != NULL && store_sidecar_get(services->with.store, sidecar, arena, &found) == OK) {
        connected = replicas_has_seen(services, &found);
    }
    arena_destroy(arena);
    return connected;
}

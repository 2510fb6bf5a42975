/* What is known of streams and sessions, and one round of looking at it. */
#include <inttypes.h>
#include <search.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "completeness/completeness.h"
#include "controlplane/watch/session_check.h"
#include "controlplane/watch/watch_internal.h"

enum {
    PAGE = 512,
    PAGE_BYTES = 4 << 20,
    ARENA_BLOCK = 64 << 10,
    ARENA_CAP = 256 << 20,
    SAVED_EACH = 2048,     /* positions: who dies has not read more than these for nothing */
    LOST_LOOKED_AT = 1000, /* newest sessions, for those that were lost while nobody watched */
    ID_SIZE = STORE_SESSION_SIZE_MAX + 1,
    DETAIL_SIZE = 256,
};

static const char cursor_name[] = "watch";
static const int64_t second_ns = INT64_C(1000000000);

struct stream {
    char sidecar[ID_SIZE]; /* first: the tree's key */
    bool rests;            /* its last record is a heartbeat without open sessions */
    int64_t heard_ns;      /* when its last heartbeat arrived, or work began after a rest */
    int64_t told_ns;       /* `heard_ns` of the silence that was recorded last */
    int64_t lost_ns;       /* of the one after which its sessions were looked at */
};

struct session {
    char session[ID_SIZE]; /* first: the tree's key */
    char sidecar[ID_SIZE];
};

struct watch_state {
    struct watch_options with;
    struct arena *arena;
    atomic_bool stops; /* any thread's; the rest is of the round's */
    bool has_duty;     /* and what is below is up to date with the cursor */
    uint64_t position; /* followed up to here */
    uint64_t saved;    /* the cursor in the store */
    int64_t began_ns;  /* silence before it was nobody's to hear */
    void *streams;     /* tsearch: struct stream */
    void *sessions;    /* tsearch: struct session */
};

/* ---- trees ---------------------------------------------------------------------------------- */

static int compare_streams(const void *a, const void *b)
{
    return strcmp(((const struct stream *)a)->sidecar, ((const struct stream *)b)->sidecar);
}

/* Sidecars name their sessions themselves: one cannot speak for the session of another. */
static int compare_sessions(const void *a, const void *b)
{
    const struct session *x = a, *y = b;
    int order = strcmp(x->session, y->session);
    return order != 0 ? order : strcmp(x->sidecar, y->sidecar);
}

/* A copy of `key` in the tree, or the one that is there; NULL: no memory. */
static void *keep(void **tree, const void *key, size_t size,
                  int (*compare)(const void *, const void *))
{
    void **found = tfind(key, tree, compare);
    if (found != NULL) {
        return *found;
    }
    void *kept = malloc(size);
    if (kept == NULL) {
        return NULL;
    }
    memcpy(kept, key, size);
    if (tsearch(kept, tree, compare) == NULL) {
        free(kept);
        return NULL;
    }
    return kept;
}

static struct stream *keep_stream(struct watch_state *w, const char *sidecar, bool rests)
{
    struct stream key = {.rests = rests, .heard_ns = clock_wall(&w->with.clock)};
    (void)snprintf(key.sidecar, sizeof(key.sidecar), "%s", sidecar);
    return keep(&w->streams, &key, sizeof(key), compare_streams);
}

static struct session make_session(const char *sidecar, const char *session)
{
    struct session key = {.session = ""};
    (void)snprintf(key.session, sizeof(key.session), "%s", session);
    (void)snprintf(key.sidecar, sizeof(key.sidecar), "%s", sidecar);
    return key;
}

static void forget_session(struct watch_state *w, const struct session *key)
{
    void **found = tfind(key, &w->sessions, compare_sessions);
    if (found != NULL) {
        void *kept = *found;
        (void)tdelete(key, &w->sessions, compare_sessions);
        free(kept);
    }
}

static void forget_all(struct watch_state *w)
{
    tdestroy(w->streams, free);
    tdestroy(w->sessions, free);
    w->streams = w->sessions = NULL;
    w->has_duty = false;
}

/* ---- sessions ------------------------------------------------------------------------------- */

static enum err check(struct watch_state *w, const struct session *s)
{
    return session_check(w->with.store, w->with.findings, s->sidecar, s->session);
}

/* As the ingest saw it, record by record: nothing is left to look for. */
static bool is_whole(struct watch_state *w, const struct session *s)
{
    return w->with.arrivals != NULL &&
           arrivals_take_whole(w->with.arrivals, s->sidecar, s->session);
}

struct gathering {
    const char *sidecar;
    struct session *items; /* owned */
    size_t count, capacity;
    bool failed;
};

static void gather(const void *node, VISIT visit, void *context)
{
    struct gathering *g = context;
    const struct session *s = *(struct session *const *)node;
    if ((visit != postorder && visit != leaf) || g->failed || strcmp(s->sidecar, g->sidecar) != 0) {
        return;
    }
    if (g->count == g->capacity) {
        size_t capacity = g->capacity == 0 ? 16 : 2 * g->capacity;
        struct session *items = reallocarray(g->items, capacity, sizeof(*items));
        g->failed = items == NULL;
        if (g->failed) {
            return;
        }
        g->items = items;
        g->capacity = capacity;
    }
    g->items[g->count++] = *s;
}

/* Of one that was revoked nothing is missing: its record says where its stream ends, and what was
 * open then. */
static enum err forget_open(struct watch_state *w, const char *sidecar)
{
    struct gathering g = {.sidecar = sidecar};
    twalk_r(w->sessions, gather, &g);
    for (size_t i = 0; i < g.count && !g.failed; i++) {
        forget_session(w, &g.items[i]);
    }
    free(g.items);
    return g.failed ? ERR_NO_MEMORY : OK;
}

/* All sessions of the sidecar that have no end. */
static enum err check_open(struct watch_state *w, const char *sidecar, bool forgets)
{
    struct gathering g = {.sidecar = sidecar};
    twalk_r(w->sessions, gather, &g);
    enum err e = g.failed ? ERR_NO_MEMORY : OK;
    for (size_t i = 0; e == OK && i < g.count; i++) {
        e = check(w, &g.items[i]);
        if (e == OK && forgets) {
            forget_session(w, &g.items[i]);
        }
    }
    free(g.items);
    return e;
}

/* ---- records -------------------------------------------------------------------------------- */

static enum err take_heartbeat(struct watch_state *w, struct stream *s,
                               const Chaperone__V1__Heartbeat *beat, int64_t received_ns)
{
    s->heard_ns = received_ns;
    s->rests = beat->open_sessions == 0;
    return s->rests ? check_open(w, s->sidecar, true) : OK;
}

static enum err take_loss(struct watch_state *w, const struct stream *s,
                          const Chaperone__V1__Loss *loss)
{
    return findings_record(w->with.findings, &(struct finding){.kind = "loss",
                                                               .sidecar = s->sidecar,
                                                               .first = loss->first_sequence,
                                                               .last = loss->last_sequence,
                                                               .detail = loss->reason});
}

static enum err take_record(struct watch_state *w, struct stream *s,
                            const struct store_audit_entry *entry, const Chaperone__V1__Record *r)
{
    const struct session key = make_session(entry->sidecar, entry->session);
    if (r->event_case == CHAPERONE__V1__RECORD__EVENT_HEARTBEAT) {
        return take_heartbeat(w, s, r->heartbeat, entry->received_ns);
    }
    if (s->rests) { /* from here on a heartbeat is due */
        s->rests = false;
        s->heard_ns = entry->received_ns;
    }
    if (r->event_case == CHAPERONE__V1__RECORD__EVENT_LOSS) {
        return take_loss(w, s, r->loss);
    }
    if (r->event_case == CHAPERONE__V1__RECORD__EVENT_SESSION_CLOSED) {
        forget_session(w, &key);
        return is_whole(w, &key) ? OK : check(w, &key);
    }
    bool is_open = r->event_case == CHAPERONE__V1__RECORD__EVENT_SESSION_OPENED &&
                   r->session_opened->verdict != CHAPERONE__V1__VERDICT__DENY;
    return !is_open || keep(&w->sessions, &key, sizeof(key), compare_sessions) != NULL
               ? OK
               : ERR_NO_MEMORY;
}

static enum err take(struct watch_state *w, const struct store_audit_entry *entry)
{
    if (entry->is_erased || strcmp(entry->sidecar, JOURNAL_STREAM) == 0) {
        return OK;
    }
    struct stream *s = keep_stream(w, entry->sidecar, true);
    Chaperone__V1__Record *r =
        chaperone__v1__record__unpack(NULL, entry->canonical.size, entry->canonical.data);
    /* The ingest has understood it. */
    enum err e = s == NULL || r == NULL ? ERR_NO_MEMORY : take_record(w, s, entry, r);
    chaperone__v1__record__free_unpacked(r, NULL);
    return e;
}

/* Up to where nothing that the ingest has seen need be read; 0: nothing is known. */
static uint64_t pass_known(struct watch_state *w)
{
    uint64_t until = 0;
    if (w->with.arrivals != NULL) {
        w->position = arrivals_pass(w->with.arrivals, w->position, &until);
    }
    return until;
}

/* A page, or what there is time for; what was not taken is behind `*position`. */
static enum err take_page(struct watch_state *w, const struct store_audit_entry *items,
                          size_t count, uint64_t *position)
{
    enum err e = OK;
    size_t taken = 0;
    while (e == OK && taken < count && !w->stops) {
        e = take(w, &items[taken++]);
    }
    if (taken < count) {
        *position = taken == 0 ? w->position : items[taken - 1].position;
    }
    return e;
}

static enum err save(struct watch_state *w)
{
    enum err e = w->position == w->saved ? OK
                                         : store_cursor_set(w->with.store, cursor_name, w->position,
                                                            clock_wall(&w->with.clock));
    w->saved = e == OK ? w->position : w->saved;
    return e;
}

static enum err follow(struct watch_state *w)
{
    struct store_audit_filter filter = {.kinds = arrivals_noted_kinds()};
    enum err e = OK;
    for (bool more = true; e == OK && more && !w->stops;) {
        struct store_audit_entry *items = NULL;
        size_t count = 0;
        filter.position_max = pass_known(w);
        uint64_t position = w->position;
        arena_reset(w->arena);
        e = store_audit_follow(w->with.store, &filter, w->position, PAGE, PAGE_BYTES, w->arena,
                               &items, &count, &position, &more, NULL);
        e = e == OK ? take_page(w, items, count, &position) : e;
        if (filter.position_max != 0 && position >= filter.position_max) {
            position = filter.position_max; /* behind it is what can be passed */
            more = true;
        }
        if (e == OK) {
            w->position = position;
            e = w->position - w->saved < SAVED_EACH ? OK : save(w);
        }
    }
    return e == OK ? save(w) : e;
}

/* ---- silence -------------------------------------------------------------------------------- */

static enum err tell_silence(struct watch_state *w, const struct stream *s, bool is_connected)
{
    struct store_audit_last last;
    char detail[DETAIL_SIZE], since[CLOCK_RFC3339_SIZE];
    enum err e = store_audit_last(w->with.store, s->sidecar, &last);
    if (e != OK) {
        return e;
    }
    clock_format_rfc3339(s->heard_ns, since);
    (void)snprintf(detail, sizeof(detail), "no heartbeat since %s, %s%s", since,
                   is_connected ? "connected" : "away", s->rests ? "" : ", with work under way");
    return findings_record(w->with.findings, &(struct finding){.kind = "silent",
                                                               .sidecar = s->sidecar,
                                                               .first = last.sequence,
                                                               .last = last.sequence,
                                                               .detail = detail});
}

static enum err find_revoked(struct watch_state *w, const char *sidecar, bool *out)
{
    struct store_sidecar found;
    arena_reset(w->arena);
    enum err e = store_sidecar_get(w->with.store, sidecar, w->arena, &found);
    *out = e == OK && found.revoked_ns != 0;
    return e == ERR_NOT_FOUND ? OK : e;
}

struct listening {
    struct watch_state *w;
    int64_t now_ns;
    enum err failed;
};

static enum err listen_to(struct watch_state *w, struct stream *s, int64_t now)
{
    static const int64_t idle_ns = WATCH_IDLE_SILENCE_MIN_S * INT64_C(1000000000);
    bool is_connected =
        w->with.is_connected != NULL && w->with.is_connected(w->with.context, s->sidecar);
    int64_t heard = s->heard_ns > w->began_ns ? s->heard_ns : w->began_ns;
    int64_t limit = w->with.silent_after_ns;
    limit = s->rests && limit < idle_ns ? idle_ns : limit;
    bool is_silent = completeness_is_silent(s->rests && !is_connected, heard, now, limit);
    bool is_new = is_silent && s->told_ns != s->heard_ns;
    bool is_lost = !s->rests && s->lost_ns != s->heard_ns &&
                   completeness_is_silent(false, heard, now, w->with.lost_after_ns);
    bool is_revoked = false;
    enum err e = is_new || is_lost ? find_revoked(w, s->sidecar, &is_revoked) : OK;
    if (e == OK && is_revoked) {
        s->rests = true;
        s->told_ns = s->lost_ns = s->heard_ns;
        return forget_open(w, s->sidecar);
    }
    if (e == OK && is_new) {
        e = tell_silence(w, s, is_connected);
        s->told_ns = e == OK ? s->heard_ns : s->told_ns;
    }
    if (e == OK && is_lost) {
        e = check_open(w, s->sidecar, false); /* it may come back, and end them */
        s->lost_ns = e == OK ? s->heard_ns : s->lost_ns;
    }
    return e;
}

static void listen_one(const void *node, VISIT visit, void *context)
{
    struct listening *l = context;
    struct stream *s = *(struct stream *const *)node;
    if ((visit == postorder || visit == leaf) && l->failed == OK) {
        l->failed = listen_to(l->w, s, l->now_ns);
    }
}

/* One that is connected and never wrote anything is silent, too. */
static enum err find_connected(struct watch_state *w)
{
    struct store_sidecar *items = NULL;
    size_t count = 0;
    if (w->with.is_connected == NULL) {
        return OK;
    }
    arena_reset(w->arena);
    enum err e = store_sidecar_list(w->with.store, w->arena, &items, &count);
    for (size_t i = 0; e == OK && i < count; i++) {
        if (w->with.is_connected(w->with.context, items[i].id)) {
            e = keep_stream(w, items[i].id, true) == NULL ? ERR_NO_MEMORY : OK;
        }
    }
    return e;
}

static enum err listen_all(struct watch_state *w)
{
    struct listening l = {.w = w, .now_ns = clock_wall(&w->with.clock)};
    enum err e = find_connected(w);
    if (e == OK) {
        twalk_r(w->streams, listen_one, &l);
        e = l.failed;
    }
    return e;
}

/* ---- beginning ------------------------------------------------------------------------------ */

static enum err begin_at(struct watch_state *w)
{
    enum err e = store_cursor_get(w->with.store, cursor_name, &w->position);
    if (e == ERR_NOT_FOUND) { /* what is older, who asks for it finds (`audit completeness`) */
        e = store_audit_count(w->with.store, &w->position);
        /* At once: what comes from now on is watched, however early the next start is. */
        e = e == OK ? store_cursor_set(w->with.store, cursor_name, w->position, w->began_ns) : e;
    }
    w->saved = w->position;
    return e;
}

/* Sessions that are open, of streams that are at work then. */
static enum err load_open(struct watch_state *w)
{
    struct store_session *items = NULL;
    size_t count = 0;
    arena_reset(w->arena);
    enum err e = store_session_list(w->with.store, false, 0, w->arena, &items, &count);
    for (size_t i = 0; e == OK && i < count; i++) {
        const struct session key = make_session(items[i].sidecar, items[i].session);
        bool is_kept = keep_stream(w, items[i].sidecar, false) != NULL &&
                       keep(&w->sessions, &key, sizeof(key), compare_sessions) != NULL;
        e = is_kept ? OK : ERR_NO_MEMORY;
    }
    return e;
}

/* Those that the store closed while nobody watched: the cursor is behind their beginning. */
static enum err check_lost(struct watch_state *w)
{
    struct store_session *items = NULL;
    size_t count = 0;
    arena_reset(w->arena);
    enum err e = store_session_list(w->with.store, true, LOST_LOOKED_AT, w->arena, &items, &count);
    int64_t since = w->began_ns - (int64_t)FINDINGS_DAYS * 86400 * second_ns;
    for (size_t i = 0; e == OK && i < count && !w->stops; i++) {
        if (strcmp(items[i].close_reason, "lost") == 0 && items[i].closed_ns > since) {
            const struct session key = make_session(items[i].sidecar, items[i].session);
            e = check(w, &key);
        }
    }
    return e;
}

static enum err begin(struct watch_state *w)
{
    w->began_ns = clock_wall(&w->with.clock);
    enum err e = begin_at(w);
    e = e == OK ? load_open(w) : e;
    e = e == OK ? check_lost(w) : e;
    w->has_duty = e == OK;
    return e;
}

/* ---- a round -------------------------------------------------------------------------------- */

enum err watch_state_round(struct watch_state *w)
{
    bool has_duty = false;
    if (w->stops) {
        return OK;
    }
    enum err e = store_duty_hold(w->with.store, STORE_DUTY_WATCH, &has_duty);
    if (e == OK && !has_duty) {
        forget_all(w);
        return OK;
    }
    if (e == OK && !w->has_duty) {
        forget_all(w);
        e = begin(w);
    }
    e = e == OK ? follow(w) : e;
    e = e == OK && !w->stops ? listen_all(w) : e;
    if (e != OK) {
        forget_all(w); /* what was not recorded is looked at again */
    }
    return e;
}

void watch_state_stop(struct watch_state *state)
{
    state->stops = true;
}

void watch_state_set_times(struct watch_state *state, int64_t silent_after_ns,
                           int64_t lost_after_ns)
{
    state->with.silent_after_ns = silent_after_ns;
    state->with.lost_after_ns = lost_after_ns;
}

enum err watch_state_create(const struct watch_options *options, struct watch_state **out)
{
    struct watch_state *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        return ERR_NO_MEMORY;
    }
    w->with = *options;
    w->arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    if (w->arena == NULL) {
        free(w);
        return ERR_NO_MEMORY;
    }
    *out = w;
    return OK;
}

void watch_state_destroy(struct watch_state *state)
{
    if (state != NULL) {
        forget_all(state);
        arena_destroy(state->arena);
        free(state);
    }
}

#include "controlplane/audit/arrivals_sessions.h"

#include <search.h>
#include <stdlib.h>

enum {
    BUCKETS = 1 << 12,
    /* Sidecars choose their sessions' names: none can make the others' lookups long. */
    BUCKET_MAX = 64,
    ID_SIZE = 64, /* as completeness/ judges it: longer ones are malformed there */
};

struct operation {
    uint64_t number;
    bool is_forwarded;
};

/* Neighbours in a list: the open sessions of a stream, or the ended ones of all, oldest first. */
struct links {
    struct session *before, *after;
};

struct list {
    struct session *first, *last;
};

struct stream {
    char sidecar[ID_SIZE]; /* first: the tree's key */
    uint64_t next;         /* sequence that continues what was seen */
    struct list open;
};

struct session {
    struct session *next; /* in its bucket */
    struct links links;
    struct stream *stream;
    bool has_ended;
    size_t count, capacity;
    struct operation *operations; /* owned: without an outcome yet */
    size_t size;
    uint8_t id[ID_SIZE];
};

struct arrivals_sessions {
    void *streams; /* tsearch: struct stream */
    struct session *buckets[BUCKETS];
    struct list ended;
    size_t count, ended_count;
};

struct arrivals_sessions *arrivals_sessions_create(void)
{
    return calloc(1, sizeof(struct arrivals_sessions));
}

static void session_free(struct session *s)
{
    free(s->operations);
    free(s);
}

void arrivals_sessions_destroy(struct arrivals_sessions *sessions)
{
    if (sessions == NULL) {
        return;
    }
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct session *s = sessions->buckets[i], *next; s != NULL; s = next) {
            next = s->next;
            session_free(s);
        }
    }
    tdestroy(sessions->streams, free);
    free(sessions);
}

/* ---- lists ----------------------------------------------------------------------------------- */

static void list_append(struct list *list, struct session *s)
{
    s->links = (struct links){.before = list->last};
    if (list->last != NULL) {
        list->last->links.after = s;
    } else {
        list->first = s;
    }
    list->last = s;
}

static void list_remove(struct list *list, struct session *s)
{
    struct links l = s->links;
    if (l.before != NULL) {
        l.before->links.after = l.after;
    } else {
        list->first = l.after;
    }
    if (l.after != NULL) {
        l.after->links.before = l.before;
    } else {
        list->last = l.before;
    }
}

/* ---- finding --------------------------------------------------------------------------------- */

static int compare_streams(const void *a, const void *b)
{
    return strcmp(((const struct stream *)a)->sidecar, ((const struct stream *)b)->sidecar);
}

/* NULL: no memory, or too long a name. */
static struct stream *stream_of(struct arrivals_sessions *t, const char *sidecar, bool makes)
{
    struct stream key = {.next = 0};
    size_t size = strlen(sidecar);
    if (size >= sizeof(key.sidecar)) {
        return NULL;
    }
    memcpy(key.sidecar, sidecar, size);
    struct stream **found = tfind(&key, &t->streams, compare_streams);
    if (found != NULL || !makes) {
        return found == NULL ? NULL : *found;
    }
    struct stream *s = malloc(sizeof(*s));
    if (s != NULL) {
        *s = key;
        if (tsearch(s, &t->streams, compare_streams) == NULL) {
            free(s);
            s = NULL;
        }
    }
    return s;
}

/* Where the session is, or the end of its bucket. */
static struct session **place_of(struct arrivals_sessions *t, const struct stream *stream,
                                 struct bytes id, size_t *out_steps)
{
    uint64_t hash = id.size, part = 0;
    for (size_t i = 0; i < id.size; i += sizeof(part)) {
        size_t left = id.size - i;
        part = 0;
        memcpy(&part, id.data + i, left < sizeof(part) ? left : sizeof(part));
        hash = (hash ^ part) * UINT64_C(0x9E3779B97F4A7C15); /* the golden ratio: odd, well mixed */
        hash ^= hash >> 32;
    }
    struct session **at = &t->buckets[hash % BUCKETS];
    size_t steps = 0;
    while (*at != NULL && ((*at)->stream != stream || (*at)->size != id.size ||
                           memcmp((*at)->id, id.data, id.size) != 0)) {
        at = &(*at)->next;
        steps++;
    }
    *out_steps = steps;
    return at;
}

static void forget_at(struct arrivals_sessions *t, struct session **at)
{
    struct session *s = *at;
    *at = s->next;
    list_remove(s->has_ended ? &t->ended : &s->stream->open, s);
    t->ended_count -= s->has_ended ? 1 : 0;
    t->count--;
    session_free(s);
}

static void forget(struct arrivals_sessions *t, const struct session *s)
{
    size_t steps = 0;
    forget_at(t, place_of(t, s->stream, bytes_of(s->id, s->size), &steps));
}

static void forget_open(struct arrivals_sessions *t, struct stream *stream)
{
    while (stream->open.first != NULL) {
        forget(t, stream->open.first);
    }
}

/* ---- records --------------------------------------------------------------------------------- */

static void open_session(struct arrivals_sessions *t, struct stream *stream,
                         const struct store_audit_record *r, struct session **at, size_t steps)
{
    bool is_refused = r->index.opened != NULL && r->index.opened->refused;
    struct session *s = is_refused || steps >= BUCKET_MAX || t->count == ARRIVALS_SESSIONS_MAX
                            ? NULL
                            : calloc(1, sizeof(*s));
    if (s == NULL) {
        return;
    }
    s->stream = stream;
    s->size = r->index.session.size;
    memcpy(s->id, r->index.session.data, s->size);
    list_append(&stream->open, s);
    *at = s;
    t->count++;
}

static bool session_ends(struct arrivals_sessions *t, struct session *s)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->operations[i].is_forwarded) {
            return false;
        }
    }
    list_remove(&s->stream->open, s);
    list_append(&t->ended, s);
    s->has_ended = true;
    free(s->operations);
    s->operations = NULL;
    s->count = s->capacity = 0;
    t->ended_count++;
    return true;
}

/* One of its number is under way already: who reads the records keeps the first. */
static bool operation_begins(struct session *s, const struct arrival *a)
{
    if (s->count == s->capacity) {
        size_t capacity = s->capacity == 0 ? 4 : 2 * s->capacity;
        struct operation *all = capacity > ARRIVALS_OPERATIONS_MAX
                                    ? NULL
                                    : reallocarray(s->operations, capacity, sizeof(*all));
        if (all == NULL) {
            return false;
        }
        s->operations = all;
        s->capacity = capacity;
    }
    s->operations[s->count++] =
        (struct operation){.number = a->operation, .is_forwarded = a->is_forwarded};
    return true;
}

/* False: the session is not followed any more. */
static bool take_operation(struct session *s, const struct arrival *a)
{
    size_t i = 0;
    while (i < s->count && s->operations[i].number != a->operation) {
        i++;
    }
    bool is_known = i < s->count;
    if (a->record->index.kind == STORE_INTENT) {
        return !is_known && operation_begins(s, a);
    }
    if (is_known && a->record->index.kind == STORE_OUTCOME) {
        s->operations[i] = s->operations[--s->count];
    } else if (is_known) {
        s->operations[i].is_forwarded = s->operations[i].is_forwarded || a->is_forwarded;
    }
    return true;
}

static void take_record(struct arrivals_sessions *t, struct stream *stream, const struct arrival *a)
{
    const struct store_audit_index *index = &a->record->index;
    size_t steps = 0;
    if (index->kind == STORE_HEARTBEAT && index->has_no_sessions) {
        forget_open(t, stream); /* they have no end: the watch reads what there is of them */
    }
    if (index->session.size == 0 || index->session.size >= ID_SIZE ||
        index->kind == STORE_MESSAGE) {
        return;
    }
    struct session **at = place_of(t, stream, index->session, &steps);
    struct session *s = *at;
    if (s == NULL) {
        if (index->kind == STORE_SESSION_OPENED) {
            open_session(t, stream, a->record, at, steps);
        }
        return;
    }
    /* Again, or behind its end: not what a sidecar does, and not judged here. */
    bool goes_on = !s->has_ended && index->kind != STORE_SESSION_OPENED;
    if (goes_on && index->kind == STORE_SESSION_CLOSED) {
        goes_on = session_ends(t, s);
    } else if (goes_on) {
        goes_on = take_operation(s, a);
    }
    if (!goes_on) {
        forget_at(t, at);
    }
}

void arrivals_sessions_add(struct arrivals_sessions *sessions, const char *sidecar,
                           const struct arrival *items, size_t count)
{
    struct stream *stream = stream_of(sessions, sidecar, true);
    if (stream == NULL || count == 0) {
        return;
    }
    if (items[0].record->sequence != stream->next) { /* some went another way */
        forget_open(sessions, stream);
    }
    for (size_t i = 0; i < count; i++) {
        take_record(sessions, stream, &items[i]);
    }
    stream->next = items[count - 1].record->sequence + 1;
    while (sessions->ended_count > ARRIVALS_ENDED_MAX) {
        forget(sessions, sessions->ended.first);
    }
}

bool arrivals_sessions_take_whole(struct arrivals_sessions *sessions, const char *sidecar,
                                  const char *session)
{
    size_t steps = 0;
    struct bytes id = bytes_of_string(session);
    struct stream *stream = stream_of(sessions, sidecar, false);
    struct session **at = stream == NULL ? NULL : place_of(sessions, stream, id, &steps);
    if (at == NULL || *at == NULL || !(*at)->has_ended) {
        return false;
    }
    forget_at(sessions, at);
    return true;
}

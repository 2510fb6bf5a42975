#include "completeness/completeness_internal.h"

#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>

struct stream {
    char *sidecar;      /* first: the tree's key */
    struct fact *facts; /* that wait, in order of their numbers */
    size_t count, capacity;
    bool has_begun;
    uint64_t next;
    uint8_t hash[CRYPTO_SHA256_SIZE]; /* of the record before `next` */
    bool has_hash;                    /* false behind a gap */
    uint64_t expected_last;
    int64_t seen_ns;  /* with sessions open: when the control plane last heard of it */
    int64_t heard_ns; /* the last heartbeat, or the first record */
    bool is_closed;   /* the last record is a heartbeat without open sessions */
    bool has_key;
    uint8_t key[CRYPTO_SHA256_SIZE];
};

/* The control plane's own stream ends where its store ends, and has no heartbeats. */
static const char own_stream[] = "controlplane";

const char *completeness_kind_name(enum completeness_kind kind)
{
    switch (kind) {
    case COMPLETENESS_MALFORMED: return "malformed";
    case COMPLETENESS_GAP: return "gap";
    case COMPLETENESS_BEGINNING: return "beginning";
    case COMPLETENESS_TAIL: return "tail";
    case COMPLETENESS_REPEATED: return "repeated";
    case COMPLETENESS_CHAIN: return "chain";
    case COMPLETENESS_SIGNATURE: return "signature";
    case COMPLETENESS_KEY: return "key";
    case COMPLETENESS_SILENCE: return "silence";
    case COMPLETENESS_LOSS: return "loss";
    case COMPLETENESS_NO_OUTCOME: return "no_outcome";
    case COMPLETENESS_NO_END: return "no_end";
    case COMPLETENESS_RECORDED: return "recorded";
    case COMPLETENESS_AFTER_END: return "after_end";
    case COMPLETENESS_REVOKED: return "revoked";
    }
    return "unknown";
}

enum err completeness_report(struct completeness *c, const struct completeness_finding *finding)
{
    struct completeness_finding f = *finding;
    f.sidecar = f.sidecar == NULL ? "" : f.sidecar;
    f.session = f.session == NULL ? "" : f.session;
    f.reason = f.reason == NULL ? "" : f.reason;
    c->counts.findings++;
    enum err e = completeness_recorded_see(c, &f);
    return e == OK ? c->options.on_finding(c->options.context, &f) : e;
}

/* ---- streams -------------------------------------------------------------------------------- */

static int compare_streams(const void *a, const void *b)
{
    return strcmp(((const struct stream *)a)->sidecar, ((const struct stream *)b)->sidecar);
}

static void stream_destroy(void *node)
{
    struct stream *s = node;
    free(s->sidecar);
    free(s->facts);
    free(s);
}

static enum err stream_find(struct completeness *c, const char *sidecar, struct stream **out)
{
    struct stream key = {.sidecar = (char *)(uintptr_t)sidecar};
    struct stream **found = tfind(&key, &c->streams, compare_streams);
    if (found != NULL) {
        *out = *found;
        return OK;
    }
    if (c->counts.streams == COMPLETENESS_STREAMS_MAX) {
        return ERR_LIMIT;
    }
    struct stream *s = calloc(1, sizeof(*s));
    if (s != NULL) {
        s->sidecar = strdup(sidecar);
    }
    if (s == NULL || s->sidecar == NULL || tsearch(s, &c->streams, compare_streams) == NULL) {
        if (s != NULL) {
            stream_destroy(s);
        }
        return ERR_NO_MEMORY;
    }
    c->counts.streams++;
    *out = s;
    return OK;
}

static enum err report_one(struct completeness *c, const struct stream *s,
                           enum completeness_kind kind, uint64_t first, uint64_t last)
{
    return completeness_report(
        c, &(struct completeness_finding){
               .kind = kind, .sidecar = s->sidecar, .first = first, .last = last});
}

/* ---- heartbeats ----------------------------------------------------------------------------- */

/* A stream that a heartbeat without sessions closed may rest as long as it likes. */
static enum err check_silence(struct completeness *c, const struct stream *s, int64_t to_ns)
{
    bool is_silent =
        strcmp(s->sidecar, own_stream) != 0 &&
        completeness_is_silent(s->is_closed, s->heard_ns, to_ns, c->options.silence_ns);
    return is_silent
               ? completeness_report(c, &(struct completeness_finding){.kind = COMPLETENESS_SILENCE,
                                                                       .sidecar = s->sidecar,
                                                                       .from_ns = s->heard_ns,
                                                                       .to_ns = to_ns})
               : OK;
}

static enum err take_heartbeat(struct completeness *c, struct stream *s, const struct fact *f)
{
    c->counts.heartbeats++;
    if (!f->is_signed) {
        return report_one(c, s, COMPLETENESS_SIGNATURE, f->sequence, f->sequence);
    }
    bool is_other = s->has_key && memcmp(s->key, f->key, sizeof(s->key)) != 0;
    enum err e = is_other ? report_one(c, s, COMPLETENESS_KEY, f->sequence, f->sequence) : OK;
    e = e == OK ? check_silence(c, s, f->time_ns) : e;
    memcpy(s->key, f->key, sizeof(s->key));
    s->has_key = true;
    s->heard_ns = f->time_ns;
    s->is_closed = f->open_sessions == 0;
    return e;
}

/* ---- the order of a stream ------------------------------------------------------------------ */

static enum err check_place(struct completeness *c, struct stream *s, const struct fact *f)
{
    static const uint8_t zeros[CRYPTO_SHA256_SIZE] = {0};
    enum err e = OK;
    if (s->has_begun && f->sequence > s->next) {
        e = report_one(c, s, COMPLETENESS_GAP, s->next, f->sequence - 1);
        s->has_hash = false;
    } else if (!s->has_begun && c->options.from_beginning && f->sequence > 1) {
        e = report_one(c, s, COMPLETENESS_BEGINNING, 1, f->sequence - 1);
    }
    bool is_first = f->sequence == 1;
    const uint8_t *expected = is_first ? zeros : s->hash;
    if (e == OK && f->kind != FACT_ERASED && (is_first || s->has_hash) &&
        memcmp(expected, f->previous, sizeof(f->previous)) != 0) {
        e = report_one(c, s, COMPLETENESS_CHAIN, f->sequence, f->sequence);
    }
    return e;
}

/* The record whose turn it is. */
static enum err take(struct completeness *c, struct stream *s, const struct fact *f)
{
    if (c->options.only_sessions) {
        return completeness_sessions_take(c, s->sidecar, f);
    }
    if (s->has_begun && f->sequence < s->next) {
        return report_one(c, s, COMPLETENESS_REPEATED, f->sequence, f->sequence);
    }
    enum err e = check_place(c, s, f);
    s->has_begun = true;
    s->next = f->sequence + 1;
    s->has_hash = true;
    memcpy(s->hash, f->hash, sizeof(s->hash));
    if (e == OK && f->kind == FACT_HEARTBEAT) {
        return take_heartbeat(c, s, f);
    }
    if (s->is_closed || s->heard_ns == 0) {
        s->heard_ns = f->time_ns; /* from here on a heartbeat is due */
    }
    s->is_closed = false;
    if (e == OK && f->kind == FACT_ERASED) {
        return OK; /* what is erased has ended */
    }
    if (e == OK && f->kind == FACT_LOSS) {
        return report_one(c, s, COMPLETENESS_LOSS, f->lost_first, f->lost_last);
    }
    return e == OK ? completeness_sessions_take(c, s->sidecar, f) : e;
}

/* Takes what has its turn; with `is_end` all that is left. */
static enum err advance(struct completeness *c, struct stream *s, bool is_end)
{
    enum err e = OK;
    size_t done = 0;
    while (e == OK && done < s->count) {
        const struct fact *f = &s->facts[done];
        bool has_turn = c->options.only_sessions || (s->has_begun && f->sequence <= s->next);
        if (!has_turn && !is_end && s->count - done < COMPLETENESS_WINDOW) {
            break;
        }
        e = take(c, s, f);
        done++;
    }
    s->count -= done;
    if (done > 0) {
        memmove(s->facts, s->facts + done, s->count * sizeof(*s->facts));
    }
    return e;
}

static enum err insert(struct stream *s, const struct fact *f)
{
    if (s->count == s->capacity) {
        size_t capacity = s->capacity == 0 ? 4 : 2 * s->capacity;
        struct fact *facts = reallocarray(s->facts, capacity, sizeof(*facts));
        if (facts == NULL) {
            return ERR_NO_MEMORY;
        }
        s->facts = facts;
        s->capacity = capacity;
    }
    size_t at = s->count;
    while (at > 0 && s->facts[at - 1].sequence > f->sequence) {
        at--;
    }
    memmove(s->facts + at + 1, s->facts + at, (s->count - at) * sizeof(*s->facts));
    s->facts[at] = *f;
    s->count++;
    return OK;
}

/* ---- from outside ---------------------------------------------------------------------------- */

enum err completeness_add(struct completeness *c, struct bytes record)
{
    struct fact f;
    struct stream *s = NULL;
    Chaperone__V1__Record *r = chaperone__v1__record__unpack(NULL, record.size, record.data);
    c->counts.records++;
    if (r == NULL || !completeness_read_fact(r, record, &f)) {
        enum err e = completeness_report(
            c, &(struct completeness_finding){.kind = COMPLETENESS_MALFORMED,
                                              .sidecar = r == NULL ? "" : r->sidecar,
                                              .first = r == NULL ? 0 : r->sequence});
        chaperone__v1__record__free_unpacked(r, NULL);
        return e;
    }
    enum err e = stream_find(c, r->sidecar, &s);
    if (e == OK && r->event_case == CHAPERONE__V1__RECORD__EVENT_FINDING &&
        strcmp(r->sidecar, own_stream) == 0) {
        e = completeness_recorded_take(c, r);
    } else if (e == OK && r->event_case == CHAPERONE__V1__RECORD__EVENT_ACTION &&
               strcmp(r->sidecar, own_stream) == 0) {
        e = completeness_revoked_take(c, r);
    }
    chaperone__v1__record__free_unpacked(r, NULL);
    e = e == OK ? insert(s, &f) : e;
    return e == OK ? advance(c, s, false) : e;
}

enum err completeness_add_erased(struct completeness *c, const struct completeness_erased *erased)
{
    struct fact f = {.kind = FACT_ERASED, .sequence = erased->sequence, .time_ns = erased->time_ns};
    struct stream *s = NULL;
    c->counts.records++;
    bool is_good = erased->hash.size == sizeof(f.hash) && erased->sidecar[0] != '\0' &&
                   strlen(erased->sidecar) < COMPLETENESS_ID_SIZE && erased->sequence != 0 &&
                   erased->sequence != UINT64_MAX;
    if (!is_good) {
        return completeness_report(c, &(struct completeness_finding){.kind = COMPLETENESS_MALFORMED,
                                                                     .sidecar = erased->sidecar,
                                                                     .first = erased->sequence});
    }
    memcpy(f.hash, erased->hash.data, sizeof(f.hash));
    enum err e = stream_find(c, erased->sidecar, &s);
    e = e == OK ? insert(s, &f) : e;
    return e == OK ? advance(c, s, false) : e;
}

/* ---- the end -------------------------------------------------------------------------------- */

enum err completeness_expect_last(struct completeness *c, const char *sidecar, uint64_t sequence)
{
    struct stream *s = NULL;
    enum err e = stream_find(c, sidecar, &s);
    if (e == OK) {
        s->expected_last = sequence;
    }
    return e;
}

enum err completeness_expect_open(struct completeness *c, const char *sidecar, const char *session,
                                  int64_t seen_ns)
{
    struct stream *s = NULL;
    enum err e = stream_find(c, sidecar, &s);
    if (e == OK) {
        s->seen_ns = seen_ns;
        e = completeness_sessions_expect(c, sidecar, session);
    }
    return e;
}

struct ending {
    struct completeness *c;
    int64_t now_ns;
    bool drains; /* first pass: what still waits for its turn */
};

/* What was recorded as its end is where it ends. From its revocation on it is silent because nobody
 * listens to it; how long it was before that is told as of any other. */
static enum err end_revoked(struct completeness *c, struct stream *s, const struct revoked *r)
{
    enum err e = s->has_begun ? check_silence(c, s, r->time_ns) : OK;
    s->is_closed = true;
    s->expected_last = s->expected_last > r->last ? s->expected_last : r->last;
    return e == OK && s->has_begun && s->next > r->last + 1
               ? report_one(c, s, COMPLETENESS_AFTER_END, r->last + 1, s->next - 1)
               : e;
}

/* Without any record in the time that was asked for, nothing is known of a stream's tail. */
static enum err end_stream(struct completeness *c, struct stream *s, int64_t now_ns)
{
    const struct revoked *revoked = completeness_revoked_find(c, s->sidecar);
    enum err e = revoked == NULL ? OK : end_revoked(c, s, revoked);
    if (e != OK) {
        return e;
    }
    bool lacks = s->has_begun ? s->expected_last >= s->next
                              : c->options.from_beginning && s->expected_last > 0;
    if (lacks) {
        e = report_one(c, s, COMPLETENESS_TAIL, s->has_begun ? s->next : 1, s->expected_last);
    }
    if (!s->has_begun) {
        s->heard_ns = s->seen_ns;
    }
    return e == OK ? check_silence(c, s, now_ns) : e;
}

static void end_one(const void *node, VISIT visit, void *context)
{
    struct ending *ending = context;
    struct stream *s = *(struct stream *const *)node;
    struct completeness *c = ending->c;
    if ((visit != postorder && visit != leaf) || c->failed != OK) {
        return;
    }
    c->failed = ending->drains ? advance(c, s, true) : end_stream(c, s, ending->now_ns);
}

enum err completeness_end(struct completeness *c, int64_t began_ns, int64_t now_ns)
{
    struct ending ending = {.c = c, .now_ns = now_ns, .drains = true};
    c->began_ns = began_ns;
    twalk_r(c->streams, end_one, &ending);
    ending.drains = false;
    if (!c->options.only_sessions) {
        twalk_r(c->streams, end_one, &ending);
    }
    enum err e = c->failed == OK ? completeness_sessions_end(c) : c->failed;
    e = e == OK ? completeness_recorded_end(c) : e;
    return e == OK ? completeness_revoked_end(c) : e;
}

struct completeness_counts completeness_counts(const struct completeness *c)
{
    return c->counts;
}

struct completeness *completeness_create(const struct completeness_options *options)
{
    struct completeness *c = calloc(1, sizeof(*c));
    if (c != NULL) {
        c->options = *options;
    }
    return c;
}

void completeness_destroy(struct completeness *c)
{
    if (c != NULL) {
        completeness_sessions_destroy(c);
        completeness_recorded_destroy(c);
        completeness_revoked_destroy(c);
        tdestroy(c->streams, stream_destroy);
        free(c);
    }
}

/* What the control plane noticed itself, beside what the records show.
 *
 * A finding of the control plane and one of the reader are the same when they are about the same:
 * a session's end or outcomes, a stream's silence, one number of a stream. */
#include <search.h>
#include <stdio.h>
#include <stdlib.h>

#include "completeness/completeness_internal.h"

/* What a finding is about. */
struct seen {
    const char *kind; /* static: as the control plane calls it */
    char id[COMPLETENESS_ID_SIZE];
    uint64_t first;
};

struct recorded {
    struct seen what;
    char sidecar[COMPLETENESS_ID_SIZE], session[COMPLETENESS_ID_SIZE];
    uint64_t first, last;
    int64_t time_ns;
    char *reason; /* owned: "gap: they never came" */
};

static int compare(const void *a, const void *b)
{
    const struct seen *x = a, *y = b;
    int order = strcmp(x->kind, y->kind);
    order = order != 0 ? order : strcmp(x->id, y->id);
    return order != 0 ? order : (x->first > y->first) - (x->first < y->first);
}

static struct seen make(const char *kind, const char *sidecar, const char *session, uint64_t first)
{
    static const char *const of_sessions[] = {"no_end", "no_outcome"}, silent[] = "silent";
    struct seen s = {.kind = kind, .first = first};
    const char *id = sidecar;
    for (size_t i = 0; i < 2; i++) {
        if (strcmp(kind, of_sessions[i]) == 0) {
            s.kind = of_sessions[i];
            s.first = 0;
            id = session;
        }
    }
    if (strcmp(kind, silent) == 0) {
        s.kind = silent;
        s.first = 0;
    }
    (void)snprintf(s.id, sizeof(s.id), "%s", id);
    return s;
}

/* NULL: the control plane does not record such. */
static const char *name_of(enum completeness_kind kind)
{
    switch (kind) {
    case COMPLETENESS_NO_END: return "no_end";
    case COMPLETENESS_NO_OUTCOME: return "no_outcome";
    case COMPLETENESS_SILENCE: return "silent";
    case COMPLETENESS_LOSS: return "loss";
    default: return NULL;
    }
}

enum err completeness_recorded_see(struct completeness *c, const struct completeness_finding *f)
{
    const char *kind = name_of(f->kind);
    if (kind == NULL) {
        return OK;
    }
    struct seen key = make(kind, f->sidecar, f->session, f->first);
    if (tfind(&key, &c->seen, compare) != NULL) {
        return OK;
    }
    struct seen *kept = c->open_count == COMPLETENESS_OPEN_MAX ? NULL : malloc(sizeof(*kept));
    if (kept == NULL) {
        return c->open_count == COMPLETENESS_OPEN_MAX ? ERR_LIMIT : ERR_NO_MEMORY;
    }
    *kept = key;
    if (tsearch(kept, &c->seen, compare) == NULL) {
        free(kept);
        return ERR_NO_MEMORY;
    }
    c->open_count++;
    return OK;
}

static char *reason_of(const Chaperone__V1__Finding *f)
{
    char *text = NULL;
    int size = asprintf(&text, "%s: %s", f->kind, f->detail);
    return size < 0 ? NULL : text;
}

enum err completeness_recorded_take(struct completeness *c, const Chaperone__V1__Record *r)
{
    const Chaperone__V1__Finding *f = r->finding;
    if (c->recorded_count == c->recorded_capacity) {
        size_t capacity = c->recorded_capacity == 0 ? 16 : 2 * c->recorded_capacity;
        struct recorded *all = capacity > COMPLETENESS_OPEN_MAX
                                   ? NULL
                                   : reallocarray(c->recorded, capacity, sizeof(*all));
        if (all == NULL) {
            return capacity > COMPLETENESS_OPEN_MAX ? ERR_LIMIT : ERR_NO_MEMORY;
        }
        c->recorded = all;
        c->recorded_capacity = capacity;
    }
    struct recorded *kept = &c->recorded[c->recorded_count];
    *kept = (struct recorded){.first = f->first_sequence,
                              .last = f->last_sequence,
                              .time_ns = r->time_unix_ns,
                              .reason = reason_of(f)};
    if (kept->reason == NULL) {
        return ERR_NO_MEMORY;
    }
    kept->what = make("", f->sidecar, r->session, f->first_sequence);
    static const enum completeness_kind kinds[] = {COMPLETENESS_NO_END, COMPLETENESS_NO_OUTCOME,
                                                   COMPLETENESS_SILENCE, COMPLETENESS_LOSS};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(name_of(kinds[i]), f->kind) == 0) {
            kept->what = make(name_of(kinds[i]), f->sidecar, r->session, f->first_sequence);
        }
    }
    (void)snprintf(kept->sidecar, sizeof(kept->sidecar), "%s", f->sidecar);
    (void)snprintf(kept->session, sizeof(kept->session), "%s", r->session);
    c->recorded_count++;
    return OK;
}

/* What was missing then may have come later, or somebody revoked the sidecar because of it. A
 * silence is judged by the heartbeats that were read, and where all records were read, ends and
 * outcomes are judged by them, too. */
static bool is_settled(const struct completeness *c, const struct recorded *r)
{
    bool is_of_session =
        strcmp(r->what.kind, "no_end") == 0 || strcmp(r->what.kind, "no_outcome") == 0;
    return strcmp(r->what.kind, "silent") == 0 ||
           (is_of_session &&
            (c->options.from_beginning || completeness_revoked_find(c, r->sidecar) != NULL));
}

enum err completeness_recorded_end(struct completeness *c)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < c->recorded_count; i++) {
        const struct recorded *r = &c->recorded[i];
        if (tfind(&r->what, &c->seen, compare) == NULL && !is_settled(c, r)) {
            e = completeness_report(c, &(struct completeness_finding){.kind = COMPLETENESS_RECORDED,
                                                                      .sidecar = r->sidecar,
                                                                      .session = r->session,
                                                                      .reason = r->reason,
                                                                      .first = r->first,
                                                                      .last = r->last,
                                                                      .from_ns = r->time_ns});
        }
    }
    return e;
}

void completeness_recorded_destroy(struct completeness *c)
{
    for (size_t i = 0; i < c->recorded_count; i++) {
        free(c->recorded[i].reason);
    }
    free(c->recorded);
    tdestroy(c->seen, free);
}

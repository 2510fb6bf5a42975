/* Sessions without an end, operations without an outcome. */
#include <search.h>
#include <stdio.h>
#include <stdlib.h>

#include "completeness/completeness_internal.h"

struct open_session {
    char session[COMPLETENESS_ID_SIZE]; /* first: the tree's key */
    char sidecar[COMPLETENESS_ID_SIZE];
    int64_t last_ns; /* its newest record */
};

struct open_operation {
    char session[COMPLETENESS_ID_SIZE];
    char sidecar[COMPLETENESS_ID_SIZE];
    uint64_t operation;
    uint64_t intent; /* its record's number */
    int64_t time_ns;
    bool is_forwarded; /* it went to the target, or may have */
};

/* Sidecars name their sessions themselves: one cannot speak for the session of another. */
static int compare_sessions(const void *a, const void *b)
{
    const struct open_session *x = a, *y = b;
    int order = strcmp(x->session, y->session);
    return order != 0 ? order : strcmp(x->sidecar, y->sidecar);
}

static int compare_operations(const void *a, const void *b)
{
    const struct open_operation *x = a, *y = b;
    int order = strcmp(x->session, y->session);
    order = order != 0 ? order : strcmp(x->sidecar, y->sidecar);
    return order != 0 ? order : (x->operation > y->operation) - (x->operation < y->operation);
}

/* A copy of `key` in the tree, or the one that is there. */
static enum err keep(struct completeness *c, void **tree, const void *key, size_t size,
                     int (*compare)(const void *, const void *), void *out)
{
    void **found = tfind(key, tree, compare);
    void *kept = found == NULL ? NULL : *found;
    if (kept == NULL) {
        if (c->open_count == COMPLETENESS_OPEN_MAX) {
            return ERR_LIMIT;
        }
        kept = malloc(size);
        if (kept == NULL) {
            return ERR_NO_MEMORY;
        }
        memcpy(kept, key, size);
        if (tsearch(kept, tree, compare) == NULL) {
            free(kept);
            return ERR_NO_MEMORY;
        }
        c->open_count++;
    }
    memcpy(out, &kept, sizeof(kept));
    return OK;
}

static void forget(struct completeness *c, void **tree, const void *key,
                   int (*compare)(const void *, const void *))
{
    void **found = tfind(key, tree, compare);
    if (found != NULL) {
        void *kept = *found;
        tdelete(key, tree, compare);
        free(kept);
        c->open_count--;
    }
}

static struct open_session key_of(const char *sidecar, const char *session)
{
    struct open_session key = {0};
    (void)snprintf(key.session, sizeof(key.session), "%s", session);
    (void)snprintf(key.sidecar, sizeof(key.sidecar), "%s", sidecar);
    return key;
}

enum err completeness_sessions_expect(struct completeness *c, const char *sidecar,
                                      const char *session)
{
    struct open_session key = key_of(sidecar, session), *kept = NULL;
    return keep(c, &c->known_open, &key, sizeof(key), compare_sessions, &kept);
}

static enum err take_operation(struct completeness *c, const char *sidecar, const struct fact *f)
{
    struct open_operation key = {.operation = f->operation,
                                 .intent = f->sequence,
                                 .time_ns = f->time_ns,
                                 .is_forwarded = f->is_forwarded};
    struct open_operation *kept = NULL;
    memcpy(key.session, f->session, sizeof(key.session));
    (void)snprintf(key.sidecar, sizeof(key.sidecar), "%s", sidecar);
    if (f->kind == FACT_OUTCOME) {
        forget(c, &c->operations, &key, compare_operations);
        return OK;
    }
    if (f->kind == FACT_RELEASED) {
        void **found = tfind(&key, &c->operations, compare_operations);
        kept = found == NULL ? NULL : *found;
        if (kept != NULL) {
            kept->is_forwarded = true;
        }
        return OK;
    }
    c->counts.operations++;
    return keep(c, &c->operations, &key, sizeof(key), compare_operations, &kept);
}

enum err completeness_sessions_take(struct completeness *c, const char *sidecar,
                                    const struct fact *f)
{
    struct open_session key = key_of(sidecar, f->session), *kept = NULL;
    /* What the control plane records about a session is no part of it. */
    if (f->session[0] == '\0' || strcmp(sidecar, "controlplane") == 0) {
        return OK;
    }
    c->counts.sessions += f->kind == FACT_OPENED && !f->is_refused ? 1 : 0;
    if (f->kind == FACT_CLOSED || (f->kind == FACT_OPENED && f->is_refused)) {
        forget(c, &c->sessions, &key, compare_sessions);
        return OK;
    }
    enum err e = keep(c, &c->sessions, &key, sizeof(key), compare_sessions, &kept);
    if (e != OK) {
        return e;
    }
    kept->last_ns = f->time_ns;
    bool is_operation =
        f->kind == FACT_INTENT || f->kind == FACT_RELEASED || f->kind == FACT_OUTCOME;
    return is_operation ? take_operation(c, sidecar, f) : OK;
}

/* ---- the end -------------------------------------------------------------------------------- */

static bool is_running(const struct completeness *c, const struct open_session *key,
                       int64_t last_ns)
{
    return last_ns >= c->began_ns || tfind(key, &c->known_open, compare_sessions) != NULL;
}

static void end_session(const void *node, VISIT visit, void *context)
{
    struct completeness *c = context;
    const struct open_session *s = *(struct open_session *const *)node;
    if ((visit != postorder && visit != leaf) || c->failed != OK) {
        return;
    }
    if (is_running(c, s, s->last_ns)) {
        c->counts.running_sessions++;
        return;
    }
    struct revoked *revoked = completeness_revoked_find(c, s->sidecar);
    if (revoked != NULL) {
        revoked->sessions++;
        return;
    }
    c->failed = completeness_report(c, &(struct completeness_finding){.kind = COMPLETENESS_NO_END,
                                                                      .sidecar = s->sidecar,
                                                                      .session = s->session,
                                                                      .from_ns = s->last_ns});
}

static void end_operation(const void *node, VISIT visit, void *context)
{
    struct completeness *c = context;
    const struct open_operation *o = *(struct open_operation *const *)node;
    if ((visit != postorder && visit != leaf) || c->failed != OK || !o->is_forwarded) {
        return;
    }
    const struct open_session key = key_of(o->sidecar, o->session);
    bool has_ended = tfind(&key, &c->sessions, compare_sessions) == NULL;
    /* A session that goes on may be waiting for its answer; one that has ended is not. */
    if (!has_ended && is_running(c, &key, o->time_ns)) {
        c->counts.running_operations++;
        return;
    }
    /* What a session had not recorded at its own end lacks it not because of the revocation. */
    struct revoked *revoked = has_ended ? NULL : completeness_revoked_find(c, o->sidecar);
    if (revoked != NULL) {
        revoked->operations++;
        return;
    }
    c->failed =
        completeness_report(c, &(struct completeness_finding){.kind = COMPLETENESS_NO_OUTCOME,
                                                              .sidecar = o->sidecar,
                                                              .session = o->session,
                                                              .operation = o->operation,
                                                              .first = o->intent,
                                                              .from_ns = o->time_ns});
}

enum err completeness_sessions_end(struct completeness *c)
{
    twalk_r(c->operations, end_operation, c);
    twalk_r(c->sessions, end_session, c);
    return c->failed;
}

void completeness_sessions_destroy(struct completeness *c)
{
    tdestroy(c->operations, free);
    tdestroy(c->sessions, free);
    tdestroy(c->known_open, free);
}

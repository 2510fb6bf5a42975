/* Sidecars that were revoked: whose records end by the word of a person. What has no end because of
 * that is counted, and no finding. */
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>

#include "completeness/completeness_internal.h"

enum { COUNTS_SIZE = 160 };

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct revoked *)a)->sidecar, ((const struct revoked *)b)->sidecar);
}

static void revoked_destroy(void *node)
{
    struct revoked *r = node;
    free(r->reason);
    free(r);
}

struct revoked *completeness_revoked_find(const struct completeness *c, const char *sidecar)
{
    struct revoked key;
    if (strlen(sidecar) >= sizeof(key.sidecar)) {
        return NULL;
    }
    (void)snprintf(key.sidecar, sizeof(key.sidecar), "%s", sidecar);
    void **found = tfind(&key, &c->revoked, compare);
    return found == NULL ? NULL : *found;
}

static struct revoked *make(const Chaperone__V1__Record *record)
{
    const Chaperone__V1__Action *a = record->action;
    struct revoked *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return NULL;
    }
    (void)snprintf(r->sidecar, sizeof(r->sidecar), "%s", a->sidecar);
    r->last = a->last_sequence;
    r->time_ns = record->time_unix_ns;
    int size = asprintf(&r->reason, "by %s%s%s", a->by == NULL ? "nobody" : a->by->subject,
                        a->reason[0] == '\0' ? "" : ": ", a->reason);
    if (size < 0) {
        free(r);
        return NULL;
    }
    return r;
}

enum err completeness_revoked_take(struct completeness *c, const Chaperone__V1__Record *record)
{
    const Chaperone__V1__Action *a = record->action;
    bool is_one = strcmp(a->action, "sidecar_revoke") == 0 && a->sidecar[0] != '\0' &&
                  strlen(a->sidecar) < COMPLETENESS_ID_SIZE;
    if (!is_one || completeness_revoked_find(c, a->sidecar) != NULL) {
        return OK;
    }
    if (c->open_count == COMPLETENESS_OPEN_MAX) {
        return ERR_LIMIT;
    }
    struct revoked *r = make(record);
    if (r == NULL || tsearch(r, &c->revoked, compare) == NULL) {
        if (r != NULL) {
            revoked_destroy(r);
        }
        return ERR_NO_MEMORY;
    }
    c->open_count++;
    return OK;
}

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

static void tell_one(const void *node, VISIT visit, void *context)
{
    struct completeness *c = context;
    const struct revoked *r = *(struct revoked *const *)node;
    char counts[COUNTS_SIZE] = "", *reason = NULL;
    if ((visit != postorder && visit != leaf) || c->failed != OK) {
        return;
    }
    if (r->sessions > 0 || r->operations > 0) {
        (void)snprintf(counts, sizeof(counts),
                       "; %" PRIu64 " session%s and %" PRIu64 " operation%s have no end",
                       r->sessions, plural(r->sessions), r->operations, plural(r->operations));
    }
    if (asprintf(&reason, "%s%s", r->reason, counts) < 0) {
        c->failed = ERR_NO_MEMORY;
        return;
    }
    c->counts.revoked++;
    c->failed = c->options.on_finding(c->options.context, &(struct completeness_finding){
                                                              .kind = COMPLETENESS_REVOKED,
                                                              .sidecar = r->sidecar,
                                                              .session = "",
                                                              .reason = reason,
                                                              .last = r->last,
                                                              .from_ns = r->time_ns,
                                                          });
    free(reason);
}

enum err completeness_revoked_end(struct completeness *c)
{
    twalk_r(c->revoked, tell_one, c);
    return c->failed;
}

void completeness_revoked_destroy(struct completeness *c)
{
    tdestroy(c->revoked, revoked_destroy);
}

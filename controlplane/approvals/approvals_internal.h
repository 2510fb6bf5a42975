/* What approvals.c (life, time), request.c (sidecars), decide.c (people) and standing.c (what they
 * approved for later) share. */
#ifndef CHAPERONE_CONTROLPLANE_APPROVALS_APPROVALS_INTERNAL_H
#define CHAPERONE_CONTROLPLANE_APPROVALS_APPROVALS_INTERNAL_H

#include <pthread.h>

#include "controlplane/approvals/approvals.h"
#include "controlplane/approvals/early.h"
#include "controlplane/approvals/terms.h"

enum {
    /* Of a request; what is left of STORE_HELD_SIZE_MAX is for the decisions. */
    APPROVALS_REQUEST_SIZE_MAX = STORE_HELD_SIZE_MAX - (256 << 10),
    /* A change is tried again when somebody else was faster; each of them made one. */
    APPROVALS_TRIES = 100,
};

struct approvals {
    struct approvals_options with;
    pthread_mutex_t requests; /* one at a time, so that the same operation twice is one ticket */
    struct early early;       /* guarded by `requests` */
    pthread_t timer;
    bool timer_runs;
    struct arena *due, *due_one; /* owned; the timer's */
    pthread_mutex_t mutex;       /* guards the rest */
    pthread_cond_t wake;
    bool closing;
    bool is_changed; /* since the timer last looked, something may be due earlier */
};

/* An operation on its way to be changed, in an arena. The message is a copy of its fields only: set
 * new values, and leave what they point to alone. */
struct approvals_held {
    struct store_approval stored;
    Chaperone__V1__HeldOperation message;
};

/* By its whole id. */
enum err approvals_load(struct approvals *a, const char *id, struct arena *arena,
                        struct approvals_held *out, struct err_text *why) MUST_USE;
enum err approvals_of_stored(const struct store_approval *stored, struct arena *arena,
                             struct approvals_held *out) MUST_USE;

/* What is written together with a change. */
struct approvals_write {
    const struct store_decision *decision; /* may be NULL */
    const struct store_standing *standing; /* may be NULL */
    const struct journal_entry *entries;
    size_t entry_count; /* 0: none */
    bool by_sidecar;
};
/* Stores it as the next version, and tells. ERR_EXISTS: somebody else was faster. */
enum err approvals_change(struct approvals *a, struct approvals_held *held,
                          const struct approvals_write *write, struct arena *arena) MUST_USE;
/* Packs the message into `held->stored.held`. ERR_LIMIT. */
enum err approvals_pack(struct approvals_held *held, struct arena *arena) MUST_USE;
/* Tells of a change that was made, and lets the timer look. */
void approvals_tell_change(struct approvals *a, const struct approvals_held *held, uint64_t cursor,
                           bool by_sidecar);

/* Sets what every end has. `reason` is borrowed. */
void approvals_set_end(struct approvals_held *held, Chaperone__V1__ApprovalState state,
                       const char *reason, int64_t now_ns);
/* Ends it where time has, or where the standing approval that let it through was revoked before the
 * sidecar heard of it: ERR_CLOSED when it did. */
enum err approvals_expire(struct approvals *a, struct approvals_held *held, int64_t now_ns,
                          struct arena *arena) MUST_USE;
/* Whether the standing approval that let it through was revoked; false where none did. */
enum err approvals_is_revoked(struct approvals *a, const struct approvals_held *held,
                              struct arena *arena, bool *out) MUST_USE;
enum err approvals_end_revoked(struct approvals *a, struct approvals_held *held, int64_t now_ns,
                               struct arena *arena) MUST_USE;

/* Of the session that it is about, for the journal. Borrows from it. */
struct store_audit_opened approvals_about(const Chaperone__V1__HeldOperation *held);
/* Who said something under these terms: of the person's groups those that count there, the rest is
 * nobody's business. Borrows from both. */
enum err approvals_name_person(const Chaperone__V1__HoldTerms *terms,
                               const struct approvals_person *person, struct arena *arena,
                               Chaperone__V1__Identity *out) MUST_USE;

static inline int64_t approvals_now(const struct approvals *a)
{
    return clock_wall(&a->with.clock);
}

#endif

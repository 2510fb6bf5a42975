/* What a policy would have decided on recorded operations, against what was decided.
 *
 * Records go in, oldest first; each operation's text or request is read again and decided by the
 * code that a sidecar decides with, as of the time of its record, for the identity that its
 * session's first record names. A session that began before the first record given is *missing*:
 * all of its records are then given once more, with what came before. Pure: no network.
 *
 * What only a session knows is taken from its records where they have it: of EXECUTE, FETCH and the
 * like what they really ran. Masking needs the target's catalog and is not replayed. */
#ifndef CHAPERONE_CLI_POLICY_REPLAY_H
#define CHAPERONE_CLI_POLICY_REPLAY_H

#include "api/audit.pb-c.h"
#include "base/bytes.h"
#include "policies/policy.h"

enum {
    REPLAY_SESSIONS_MAX = 1 << 20, /* open at the same time, or missing */
    REPLAY_CHANGES_MAX = 100000,   /* kept; more are only counted */
    REPLAY_SHAPE_SIZE_MAX = 2048,  /* of a statement's shape; the rest is cut */
};

struct replay;

struct replay_counts {
    uint64_t operations; /* that were replayed: the sum of the next four */
    uint64_t same, newly_refused, newly_allowed, newly_held;
    /* Of these: decided without what masking would add. */
    uint64_t masked;
    /* Not replayed. */
    uint64_t truncated;       /* their text, or a body that counts, is not recorded whole */
    uint64_t without_session; /* nothing is known about their agent */
    uint64_t changes_cut;     /* counted above, but not kept */
};

/* All operations of one shape and identity whose decision changes in the same way. Strings are
 * valid as long as the replay. */
struct replay_change {
    const char *shape; /* the statement with its constants replaced */
    const char *identity, *resource;
    enum policy_effect was, would;
    const char *was_rule, *rule;
    uint64_t count;
    int64_t last_unix_ns;
    const char *last_session;
    uint64_t last_operation;
};

/* Borrows the policy. Operations outside of [since, until] count for nothing; 0: no limit. Returns
 * owned; NULL when memory is short. */
struct replay *replay_create(const struct policy *policy, int64_t since_unix_ns,
                             int64_t until_unix_ns) MUST_USE;
void replay_destroy(struct replay *r); /* takes NULL */

/* Session openings, closings and intents count, others do not. ERR_LIMIT, ERR_NO_MEMORY. */
enum err replay_add(struct replay *r, const Chaperone__V1__Record *record) MUST_USE;

/* One of the missing sessions, valid until the next call of replay_add_missing; NULL: none. */
const char *replay_missing(const struct replay *r);
/* Takes that one out of them. Until the next call only its records count; those of operations that
 * still have no opening are `without_session`. */
void replay_resume(struct replay *r);

const struct replay_counts *replay_counts(const struct replay *r);
/* The most frequent first; valid until the next replay_add. ERR_NO_MEMORY. */
enum err replay_changes(struct replay *r, const struct replay_change *const **out,
                        size_t *out_count) MUST_USE;

#endif

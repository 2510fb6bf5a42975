/* Held operations for the tests of the whole: a sidecar asks, people decide, both are told. Fails
 * the test on any surprise. */
#ifndef CHAPERONE_CONTROLPLANE_TESTING_HELD_H
#define CHAPERONE_CONTROLPLANE_TESTING_HELD_H

#include "controlplane/testing/fixture.h"

#define HELD_SESSION "0199e9a2-0000-7000-8000-00000000000a"

#define WAITS CHAPERONE__V1__APPROVAL_STATE__WAITING
#define APPROVED CHAPERONE__V1__APPROVAL_STATE__APPROVED
#define DENIED CHAPERONE__V1__APPROVAL_STATE__DENIED
#define EXPIRED CHAPERONE__V1__APPROVAL_STATE__EXPIRED
#define WITHDRAWN CHAPERONE__V1__APPROVAL_STATE__WITHDRAWN
#define USED CHAPERONE__V1__APPROVAL_STATE__USED

static inline char *text_of(const char *s)
{
    return (char *)(uintptr_t)s;
}

/* The id of the operation with this number. */
const char *held_id(unsigned number, char out[37]);

/* What differs from a usual one. */
struct held_asking {
    unsigned number;     /* of its id and, unless `digest` is set, of what is asked */
    unsigned digest;     /* 0: as the number */
    const char *session; /* NULL: HELD_SESSION */
    const char *agent;   /* NULL: "bot" */
    const char *issuer;  /* of the agent; NULL: not the one of the people */
    const char *shape, *database;
    unsigned people; /* 0: 1 */
    int64_t lifetime_ms;
    bool needs_reason, is_retry, forbids_linked, has_standing;
    const char *group; /* NULL: "dba" and "ops" */
};

struct answer held_ask(struct sidecar *s, struct held_asking what);
/* Asks, and expects this state of this one. */
void held_asks(struct sidecar *s, struct held_asking what, Chaperone__V1__ApprovalState state,
               unsigned number);
struct answer held_end(struct sidecar *s, unsigned number, Chaperone__V1__ApprovalState state);

/* What a person says. */
struct held_word {
    const char *who, *group; /* of the token */
    unsigned number;
    bool denies;
    const char *reason, *key;
    uint64_t version;
    const char *account; /* of a bot, at "slack" */
    int64_t standing_s;  /* 0: none */
    uint32_t uses;
};

struct answer held_say(struct fixture *f, struct held_word word);
/* Says it, and expects this state after it. */
void held_says(struct fixture *f, struct held_word word, Chaperone__V1__ApprovalState state);
struct answer held_get(struct fixture *f, const char *id, const char *group);
Chaperone__V1__ApprovalState held_state(struct fixture *f, unsigned number);

/* What somebody of this group sees of what stands, or of all. */
struct answer held_standing(struct fixture *f, const char *group, bool include_ended);
/* The id of the one that the auditor sees standing. */
const char *held_standing_id(struct fixture *f, char out[37]);
/* Somebody takes it back; `account` (of a bot, at "slack") may be NULL. */
struct answer held_revoke(struct fixture *f, const char *who, const char *group, const char *id,
                          const char *account);

/* A sidecar's Watch that says which one it waits for; number 0: none. What it does not name, and
 * asked for some seconds ago, is withdrawn. */
struct listening *held_connect(struct sidecar *s, unsigned number);
enum { HELD_CONNECT_MAX = 4 };
struct listening *held_connect_all(struct sidecar *s, const unsigned *numbers, size_t count);
/* The n-th that it was sent is a decision: this one. */
const Chaperone__V1__ApprovalDecided *held_told(struct listening *l, size_t n);
/* A person's Watch, and the n-th event on it. */
struct listening *held_follow(struct fixture *f, const char *group, uint64_t after,
                              bool only_waiting);
const Chaperone__V1__ApprovalEvent *held_event(struct listening *l, size_t n);

#endif

/* What a held operation's terms say about who may decide it, and what else must be the same for a
 * standing approval. Pure. */
#ifndef CHAPERONE_CONTROLPLANE_APPROVALS_TERMS_H
#define CHAPERONE_CONTROLPLANE_APPROVALS_TERMS_H

#include "controlplane/approvals/approvals.h"

enum {
    TERMS_GROUPS_MAX = 16, /* as of policies/policy.h */
    TERMS_PEOPLE_MAX = 8,
};

/* Whether it can be held at all. ERR_INVALID: `why` says what is missing. */
enum err terms_check_request(const Chaperone__V1__HeldOperation *held, int64_t lifetime_ms,
                             struct err_text *why) MUST_USE;

/* Whether this person may say this. ERR_DENIED, or ERR_INVALID. */
enum err terms_check_person(const Chaperone__V1__HeldOperation *held,
                            const struct approvals_person *person,
                            const Chaperone__V1__DecideRequest *request,
                            struct err_text *why) MUST_USE;

/* Whether this person may take back what was approved for later under these terms: as one who may
 * decide, but without a reason, and after having approved; or as an admin. ERR_DENIED. */
enum err terms_check_revoker(const Chaperone__V1__HeldOperation *held,
                             const struct approvals_person *person, struct err_text *why) MUST_USE;

/* Whether `standing` stays within what the terms allow. ERR_DENIED, or ERR_INVALID. */
enum err terms_check_standing(const Chaperone__V1__HeldOperation *held,
                              const Chaperone__V1__Standing *standing, int64_t now_ns,
                              struct err_text *why) MUST_USE;

/* Whether enough distinct people said yes. One that is there under two groups counts once. */
bool terms_are_met(const Chaperone__V1__HeldOperation *held);

/* SHA-256 over all that must be the same for a standing approval to hold: shape, agent and those it
 * acts for, resource, database, database user, rule, and the terms themselves, so that nothing goes
 * through that its approvers would not have been asked about in the same way. */
void terms_make_key(const Chaperone__V1__HeldOperation *held, uint8_t out[STORE_HASH_SIZE]);

#endif

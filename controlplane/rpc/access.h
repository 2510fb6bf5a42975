/* Who may call what: one table. A method that is not in it is refused to everyone.
 *
 * Sidecars prove themselves with the certificate that enrolment gave them; it counts only as long
 * as the store knows its id with its key, and it was not revoked. Operators prove themselves with
 * `authorization: Bearer` and an OIDC token, whose groups give their roles. Every refusal is
 * logged. */
#ifndef CHAPERONE_CONTROLPLANE_RPC_ACCESS_H
#define CHAPERONE_CONTROLPLANE_RPC_ACCESS_H

#include "base/log.h"
#include "base/rpc/rpc.h"
#include "controlplane/ca/ca.h"
#include "controlplane/rpc/snapshot.h"
#include "controlplane/store/store.h"

enum access_who {
    ACCESS_NOBODY = 0,
    ACCESS_PROOF,    /* anyone: the request itself carries a token, which its handler checks */
    ACCESS_SIDECAR,  /* an enrolled sidecar's certificate */
    ACCESS_OPERATOR, /* a token whose groups give one of the rule's roles */
    ACCESS_PERSON,   /* a token with any group, of a provider whose groups give roles:
                      * the handler asks for more */
};

struct access_rule {
    const char *service; /* "chaperone.v1.Sessions" */
    const char *method;
    enum access_who who;
    unsigned roles; /* enum config_role, of ACCESS_OPERATOR: any of them */
};

/* NULL: not in the table. */
const struct access_rule *access_find_rule(const char *service, const char *method);

struct access_caller {
    char sidecar[CA_ID_SIZE]; /* "" unless it is a sidecar */
    struct identity *who;     /* owned; NULL unless it is one */
    unsigned roles;
};

struct access_context {
    const struct snapshot *snapshot;
    struct store *store;
    struct clock clock;
    const struct log *log;
};

/* True: the caller may. False: `out_status` says why not. `out` says who it is, as far as that is
 * known, in both cases; finish it. May block for as long as the issuer's keys take. */
bool access_check(const struct access_context *context, const char *service, const char *method,
                  const struct rpc_peer *peer, struct access_caller *out,
                  struct rpc_status *out_status) MUST_USE;
void access_caller_finish(struct access_caller *caller);

/* The token of `authorization: Bearer TOKEN` (RFC 6750 section 2.1); no bytes when there is none.
 */
struct bytes access_find_token(const struct rpc_peer *peer);

/* Whether a sidecar that was let in is still to be; false: `out_status` says why not. */
bool access_is_still_enrolled(struct store *store, const char *sidecar,
                              struct rpc_status *out_status) MUST_USE;
/* What one that was revoked is told: not by whom, and why. */
void access_set_revoked(const struct store_sidecar *sidecar, struct rpc_status *out_status);

/* What a verification's error is to a caller: UNAUTHENTICATED, or UNAVAILABLE. */
void access_set_token_status(enum err e, const struct err_text *why, struct rpc_status *out_status);

#endif

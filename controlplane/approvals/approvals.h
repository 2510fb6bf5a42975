/* Held operations: asked for by sidecars, decided by people, ended by time.
 *
 *   WAITING -> APPROVED -> USED          enough people said yes; it was released
 *           -> DENIED                    one person said no
 *           -> EXPIRED, WITHDRAWN        from WAITING and from APPROVED
 *
 * Every change is one transaction of the store that names the version it follows: of two at once
 * one wins. What a person decides is recorded in the journal in that same transaction. A restart
 * changes nothing: what waits goes on to wait, and its clock goes on.
 *
 * Thread-safe. Messages that are returned are in the caller's arena, which 64 MiB is enough for,
 * and are valid as long as it.
 *
 * Errors: ERR_INVALID malformed; ERR_NOT_FOUND; ERR_DENIED not this person, not this sidecar;
 * ERR_CLOSED not in a state for this any more; ERR_EXISTS another version, another operation;
 * ERR_LIMIT too many, too large; others are the store's. `why` says it in a sentence for the
 * caller. */
#ifndef CHAPERONE_CONTROLPLANE_APPROVALS_APPROVALS_H
#define CHAPERONE_CONTROLPLANE_APPROVALS_APPROVALS_H

#include "api/approvals.pb-c.h"
#include "api/sidecar.pb-c.h"
#include "base/log.h"
#include "controlplane/audit/journal.h"
#include "controlplane/store/store.h"

enum {
    /* A person reads a list of them; more than this is an agent that runs wild. */
    APPROVALS_WAITING_MAX = 10000,
    APPROVALS_SESSION_MAX = 200, /* of them of one session */
    APPROVALS_REASON_MAX = 4096, /* bytes of a person's reason */
    APPROVALS_KEY_MAX = 128,     /* of an idempotency key */
    APPROVALS_LIFETIME_MAX_S = 30 * 86400,
    /* An approved operation is released at once: this long its sidecar may take to say so. */
    APPROVALS_RELEASE_S = 60,
    /* A request may overtake the Hello that was written before it. */
    APPROVALS_FORSAKEN_S = 5,
    APPROVALS_ARENA_CAP = 64 << 20,
};

struct approvals;

struct approvals_options {
    struct store *store; /* borrowed, as the next one and the log */
    struct journal *journal;
    struct clock clock;
    const struct log *log;
    /* After each change, on the thread that made it: the operation as it is now (borrowed), and the
     * cursor of the change. Must return soon, and may not call back. `by_sidecar`: its own sidecar
     * made the change, and knows. */
    void (*on_changed)(void *context, const Chaperone__V1__HeldOperation *held, uint64_t cursor,
                       bool by_sidecar);
    void *context;
};

/* Starts the thread that ends what has expired. Returns owned. */
enum err approvals_create(const struct approvals_options *options, struct approvals **out) MUST_USE;
/* Takes NULL. No call may be under way. */
void approvals_destroy(struct approvals *approvals);

/* Another control plane on the same store changed something: what is due may be due earlier. */
void approvals_wake(struct approvals *approvals);

/* ---- sidecars -------------------------------------------------------------------------------- */

/* Idempotent by its id. `*out` is WAITING, or APPROVED by a standing approval or (retry mode) by
 * one given before, which is used thereby, or (retry mode) DENIED. */
enum err approvals_request(struct approvals *approvals, const char *sidecar,
                           const Chaperone__V1__RequestApprovalRequest *request,
                           struct arena *arena, Chaperone__V1__ApprovalDecided *out,
                           struct err_text *why) MUST_USE;
/* The sidecar's own only. What has ended already in another way stays as it is, but a use of what
 * was not approved is ERR_CLOSED. One that is not known yet is WITHDRAWN as soon as it is asked
 * for. */
enum err approvals_end(struct approvals *approvals, const char *sidecar,
                       const Chaperone__V1__EndApprovalRequest *request,
                       struct err_text *why) MUST_USE;
/* The sidecar has connected and says what it waits for. What else it has asked for (it died and
 * came again) is WITHDRAWN, so that nobody decides for nothing; not in retry mode, where no sidecar
 * waits. */
enum err approvals_forsake(struct approvals *approvals, const char *sidecar, char *const *waits_for,
                           size_t count) MUST_USE;
/* Whether its sidecar is told unasked: what waits is no news, and what a standing approval let
 * through is said in the answer to the request alone: later that one may have been revoked. */
bool approvals_is_told(const Chaperone__V1__HeldOperation *held);
/* What a sidecar is told of an operation. Borrows from it. */
Chaperone__V1__ApprovalDecided approvals_tell(const Chaperone__V1__HeldOperation *held);

/* ---- people ---------------------------------------------------------------------------------- */

/* Who decides. Everything is borrowed. */
struct approvals_person {
    const char *issuer, *subject, *name;
    const char *const *groups;
    size_t group_count;
    bool is_linked; /* through a linked chat account */
    bool is_admin;  /* may end what stands, whatever its terms say; decides as anybody */
    /* The token is one with which somebody acts for another party (RFC 8693), whose groups it has:
     * an agent would be an approver with it. */
    bool is_delegated;
    const char *from; /* "ipv4:10.0.0.7:55312" */
};

/* One person's word; `*out` is the operation after it. The same idempotency key of the same person
 * again gives the first answer again. */
enum err approvals_decide(struct approvals *approvals, const struct approvals_person *person,
                          const Chaperone__V1__DecideRequest *request, struct arena *arena,
                          const Chaperone__V1__HeldOperation **out, struct err_text *why) MUST_USE;

/* By id or its beginning. */
enum err approvals_get(struct approvals *approvals, const char *id, struct arena *arena,
                       const Chaperone__V1__HeldOperation **out, struct err_text *why) MUST_USE;

/* Ends a standing approval at once, for whoever may decide under its terms and for admins: what
 * asks after it waits for people again, at whichever control plane. In one transaction with its
 * record. One that stands no more is left as it is. `id` may be a beginning; `*out` is without the
 * statement, and names another one that lets through the same, if there is one. */
enum err approvals_revoke_standing(struct approvals *approvals,
                                   const struct approvals_person *person,
                                   const Chaperone__V1__RevokeStandingRequest *request,
                                   struct arena *arena, Chaperone__V1__RevokeStandingResponse *out,
                                   struct err_text *why) MUST_USE;

/* The message of a stored standing approval, as it is at `now_ns`. ERR_IO as below. */
enum err approvals_unpack_standing(const struct store_standing_item *stored, int64_t now_ns,
                                   struct arena *arena,
                                   Chaperone__V1__StandingApproval **out) MUST_USE;

/* The message of a stored operation. ERR_IO: what is stored is no such message. */
enum err approvals_unpack(const struct store_approval *stored, struct arena *arena,
                          const Chaperone__V1__HeldOperation **out) MUST_USE;

#endif

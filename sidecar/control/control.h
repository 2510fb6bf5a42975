/* The sidecar's side of the control plane: enrolment, sessions' grants, policy, held operations,
 * kill orders, and the uplink of the audit records.
 *
 * gRPC has no TLS here: it dials an abstract unix socket of ours (which takes no peer but this
 * process), and the loop's thread carries those bytes to the control plane over mutual TLS 1.3.
 * The private key is made here, lies in the state directory with mode 0600 and never leaves.
 *
 * Threads: all functions belong to the loop's thread, and all callbacks run on it, but
 * `token`. Two threads of its own do what may block: one enrols and renews, one ships.
 *
 * Order: control_start; on_enrolled (once, at once when there is an identity on the disk); then
 * recorder_open with control_sidecar_id and control_key; control_attach_recorder; ... ;
 * control_stop; recorder_close. */
#ifndef CHAPERONE_SIDECAR_CONTROL_CONTROL_H
#define CHAPERONE_SIDECAR_CONTROL_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "api/sidecar.pb-c.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rpc/rpc.h"

struct control;
struct control_call;
struct control_held;
struct control_sessions;
struct crypto_ed25519;
struct loop;
struct policy;
struct recorder;

/* An order to end sessions. Which ones is said in exactly one way: `session`, `identity`,
 * `resource` or `all`; the others are "" and false. Borrowed. */
struct control_kill {
    const char *order; /* UUIDv7, for the record */
    const char *session;
    const char *identity; /* a subject: of the agent, or of one on whose behalf it acts */
    const char *resource;
    bool all;
    const char *ordered_by, *reason;
    int64_t ordered_unix_ns;
};

struct control_events {
    /* There is an identity now; `sidecar` is its id. Called once, never from inside control_start.
     */
    void (*on_enrolled)(void *context, const char *sidecar);
    /* A policy to be used from the next operation on; verified and compiled. Borrowed: valid until
     * on_policy returns the next time, or until control_stop. */
    void (*on_policy)(void *context, const struct policy *policy);
    /* End the sessions that it is about: call control_sessions_add for each that was ended. A
     * session whose grant is still awaited need not be known to it: see control_open_session. */
    void (*on_kill)(void *context, const struct control_kill *kill, struct control_sessions *ended);
    /* Which sessions are open: call control_sessions_add for each. */
    void (*on_list_sessions)(void *context, struct control_sessions *list);
    /* Which approvals are waited for: call control_held_add for each. Those that were decided
     * meanwhile are pushed again. May be NULL. */
    void (*on_list_held)(void *context, struct control_held *list);
    /* What became of a held operation. It may come more than once, before the reply to its request,
     * and for one that is not waited for any more. Borrowed. May be NULL. */
    void (*on_decided)(void *context, const Chaperone__V1__ApprovalDecided *decided);
};

enum {
    CONTROL_OPEN_TIMEOUT_MS = 5000,
    CONTROL_APPROVAL_TIMEOUT_MS = 5000,
    /* Ended approvals that the control plane was not told of yet. More are dropped: there they
     * expire by themselves, and the audit records say how they ended. */
    CONTROL_ENDS_MAX = 4096,
};

struct control_options {
    struct loop *loop;         /* borrowed */
    const struct log *log;     /* borrowed; may be NULL */
    const struct clock *clock; /* borrowed */

    const char *server; /* "host:port" */
    /* Other control planes on the same store: where `server` does not answer, or is lost, the next
     * one is taken. At most TUNNEL_SERVERS_MAX with it. */
    const char *const *others;
    size_t others_count;
    const char *server_name; /* in their certificates; NULL: the host of each */
    struct bytes ca_pem;     /* what its certificate is checked against; not empty */
    const char *state_dir;   /* identity and policy; made with mode 0700 */

    /* How to prove who we are at the first time: a one-time join token, or the agent's OIDC token
     * from `token`, which is called on a thread of its own, may block, and appends to `out`. */
    const char *join_token;                                                     /* NULL: none */
    enum err (*token)(void *context, struct buffer *out, struct err_text *why); /* NULL: none */
    void *token_context;

    const char *name;    /* for people: the host's or pod's */
    const char *version; /* of the sidecar */
    const char *const *resources;
    size_t resources_count;

    int open_timeout_ms; /* of control_open_session; 0: CONTROL_OPEN_TIMEOUT_MS */

    struct control_events events;
    void *context; /* for the events */
};

/* Starts; copies the options. The policy that was kept on the disk is given to on_policy soon.
 * ERR_INVALID: an option or the state directory cannot be used, `why` says it; a control plane that
 * is not there is no error. Returns owned. */
enum err control_start(const struct control_options *options, struct control **out,
                       struct err_text *why) MUST_USE;
/* Stops all threads; no callback after it. Calls that are open are cancelled, without a callback.
 * Takes NULL. */
void control_stop(struct control *control);

/* NULL before on_enrolled. Borrowed. */
const char *control_sidecar_id(const struct control *control);
/* The identity's key, for the recorder's heartbeats: the control plane knows its public half from
 * the certificate. Valid until control_stop. */
const struct crypto_ed25519 *control_key(const struct control *control);

/* Begins to ship; the recorder is borrowed until control_stop. Once. */
enum err control_attach_recorder(struct control *control, struct recorder *recorder) MUST_USE;

enum err control_sessions_add(struct control_sessions *list, const char *session) MUST_USE;
enum err control_held_add(struct control_held *list, const char *approval) MUST_USE;

/* `response` is NULL unless the code is RPC_OK. Both are borrowed and wiped when it returns: copy
 * what the target's login needs, no longer than it needs it. */
typedef void control_open_fn(void *context, const struct rpc_status *status,
                             const Chaperone__V1__OpenSessionResponse *response);

/* Asks for a session. The reply comes once, never from inside this call; after the deadline with
 * DEADLINE_EXCEEDED, without a control plane (or before enrolment) with UNAVAILABLE; of a sidecar
 * that was revoked it is PERMISSION_DENIED. The request is
 * serialised before it returns. `*out` is valid until the reply or control_call_cancel.
 *
 * A grant may have been given just before an order that would have ended its session, and arrive
 * just after it: such a reply is PERMISSION_DENIED, with the order's reason. */
enum err control_open_session(struct control *control,
                              const Chaperone__V1__OpenSessionRequest *request,
                              control_open_fn *on_reply, void *context,
                              struct control_call **out) MUST_USE;
void control_call_cancel(struct control_call *call); /* no reply after it; takes NULL */

/* `decided` is NULL unless the code is RPC_OK. Both are borrowed. */
typedef void control_approval_fn(void *context, const struct rpc_status *status,
                                 const Chaperone__V1__ApprovalDecided *decided);

/* Asks people about a held operation, in the manner of control_open_session: one reply, never from
 * inside; DEADLINE_EXCEEDED after CONTROL_APPROVAL_TIMEOUT_MS, UNAVAILABLE without a control plane.
 * The same request again (the same id) gives the same answer, so the caller may try again. While it
 * waits for the decision, on_list_held names the id. */
enum err control_request_approval(struct control *control,
                                  const Chaperone__V1__RequestApprovalRequest *request,
                                  control_approval_fn *on_reply, void *context,
                                  struct control_call **out) MUST_USE;

/* Says that an approval is USED, EXPIRED or WITHDRAWN. Told until the control plane has heard it or
 * does not know the approval; survives reconnections, not this process. */
void control_end_approval(struct control *control, const char *approval,
                          Chaperone__V1__ApprovalState state, const char *reason);

struct control_status {
    bool enrolled;
    bool revoked;   /* nothing is asked of the control plane any more */
    bool connected; /* the watch stream is open */
    bool shipping;  /* the audit stream is open */
    bool diverged;  /* the control plane holds other records than we do */
    char sidecar[64];
    uint64_t acknowledged;     /* sequence of the last record the control plane has */
    uint64_t lag;              /* records it does not have yet */
    int64_t not_after_unix_ns; /* of the certificate; 0: none */
    uint64_t policy_revision;  /* 0: none */
};

void control_status(struct control *control, struct control_status *out);

#endif

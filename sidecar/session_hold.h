/* The operation of a session that people are to decide about.
 *
 *   NONE ─ decide: the policy holds it, its intent is recorded ─▶ PREDICTING
 *        ─ ask: the target has said what it expects ─▶ ASKING ─ the control plane has it ─▶ WAITING
 *        ─ approved ─▶ APPROVED ─ decide: everything is checked again ─▶ NONE, and it goes
 *        ─ denied, expired, withdrawn ─▶ REFUSED ─ decide ─▶ NONE, and the agent hears why
 *
 * The agent's message stays unused meanwhile, and is offered to the protocol again when the state
 * changes; so what is released is what was decided, byte for byte. For the files of
 * session_internal.h; its own are session_hold.c (states, clocks, records), session_hold_start.c
 * (NONE to PREDICTING), session_hold_ask.c (to the decision) and session_hold_end.c (back to NONE).
 */
#ifndef CHAPERONE_SIDECAR_SESSION_HOLD_H
#define CHAPERONE_SIDECAR_SESSION_HOLD_H

#include <ev.h>

#include "api/approvals.pb-c.h"
#include "api/sidecar.pb-c.h"
#include "base/net/loop.h"
#include "base/uuid.h"
#include "policies/policy.h"
#include "sidecar/protocol/protocol.h"

enum {
    HOLD_WHO_SIZE = 200,
    HOLD_WHY_SIZE = 300,
    HOLD_READ_MAX = 64 << 10, /* what the agent sends meanwhile is kept up to here: its end is to be
                                 noticed */
    HOLD_ASK_AGAIN_MS = 1000, /* while the control plane is away */
};

enum hold_state {
    HOLD_NONE,
    HOLD_PREDICTING,
    HOLD_ASKING,
    HOLD_WAITING,
    HOLD_APPROVED,
    HOLD_REFUSED,
};

struct session;
struct control_call;
struct rpc_status;

struct session_hold {
    enum hold_state state;
    char id[UUID_TEXT_SIZE];      /* of the approval */
    uint8_t operation_digest[32]; /* of the protocol */
    uint8_t digest[32];           /* what is approved: also who, where and by which policy */
    uint64_t operation, intent_sequence;
    size_t read_meanwhile; /* bytes of the agent */
    bool is_retry, is_in_transaction;
    bool is_of_before; /* the id is that of the request by which the agent was sent away */
    char who[HOLD_WHO_SIZE], message[HOLD_WHY_SIZE];
    struct protocol_hold view;
    Chaperone__V1__HeldOperation *held; /* owned */
    struct control_call *call;

    /* How it ended. */
    const char *end; /* "approved", "denied", "expired", "withdrawn", "waiting" */
    bool is_by_agent;
    char why[HOLD_WHY_SIZE];
    Chaperone__V1__ApprovalDecided *decided; /* owned; NULL: nobody did */

    struct ev_timer expiry, again;
    struct loop_deferred later; /* the message is offered again */
};

void session_hold_init(struct session *s);
/* Whether this is the operation that is held already. */
bool session_hold_is_about(const struct session *s, struct protocol_binding *binding);
/* Nobody has decided about it, and it has not ended. */
bool session_hold_is_open(const struct session *s);
/* The policy holds it. `*verdict` says so, or why it cannot be held. */
void session_hold_start(struct session *s, Chaperone__V1__Intent *intent,
                        struct protocol_binding *binding, const struct policy_verdict *policy,
                        struct protocol_verdict *verdict);
/* The protocol decides it again. True: it may go, with `*policy` as its obligations; false: not
 * yet, or not at all (`*verdict`). `*out_new`: the policy is another one now, it is decided as if
 * it came just now. */
bool session_hold_continue(struct session *s, const struct policy_verdict *policy,
                           struct protocol_verdict *verdict, uint64_t *out_sequence, bool *out_new);
void session_hold_ask(struct session *s, const Chaperone__V1__Prediction *prediction,
                      char *const *locks, size_t lock_count);
bool session_hold_withdraw(struct session *s, const char *why, bool forget);
/* Ends it without an answer: the session is over. */
void session_hold_abandon(struct session *s, const char *why);

/* ---- between the files of the hold ---------------------------------------------------------- */

/* session_hold.c. The only one to change the state. */
void session_hold_change(struct session *s, enum hold_state state);
/* Nothing of it goes on; how it ended stays. */
void session_hold_stop(struct session *s);
/* As stop, and nothing of it stays: NONE. */
void session_hold_clear(struct session *s);
/* It is decided: the agent's message is offered again at the end of this turn. Nothing happens
 * where it is not open any more. */
void session_hold_resolve(struct session *s, bool approved, const char *end, const char *why);
/* Writes the approval down as it is now; `*out_sequence` may be NULL. False: not recorded. */
bool session_hold_record(struct session *s, const char *state, uint64_t *out_sequence);

/* session_hold_start.c. SHA-256 over the operation's digest, who, where and by which policy. */
void session_hold_digest(const struct session *s, const uint8_t operation[32], uint8_t out[32]);
/* Returns owned; NULL: no memory. */
ProtobufCMessage *session_hold_copy(const ProtobufCMessage *message);

/* session_hold_ask.c. Asks the control plane; also again, while it is away. */
void session_hold_send_request(struct session *s);

#endif

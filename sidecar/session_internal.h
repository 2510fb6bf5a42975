/* The inside of a session, shared by its files:
 *
 *   session.c           the way of the bytes
 *   session_life.c      how it begins, its states and timers, how it ends
 *   session_link.c      what a protocol may ask for
 *   session_grant.c     asking the control plane for the session, and for its target
 *   session_connect.c   connections and their TLS
 *   session_decide.c    whether an operation may go
 *   session_send.c      what is sent to a side, and the gate before the target
 *   session_hold.c      operations that people decide about; session_hold_start.c,
 *                       session_hold_ask.c, session_hold_end.c
 *   session_record.c    what is written down
 *   session_masks.c     what is masked
 *   session_verdicts.c  what the policy said just before
 *   session_kill.c      orders to end it */
#ifndef CHAPERONE_SIDECAR_SESSION_INTERNAL_H
#define CHAPERONE_SIDECAR_SESSION_INTERNAL_H

#include <ev.h>

#include "base/arena.h"
#include "base/uuid.h"
#include "policies/policy.h"
#include "sidecar/audit/recorder.h"
#include "sidecar/control/control.h"
#include "sidecar/peer.h"
#include "sidecar/session.h"
#include "sidecar/session_hold.h"

enum { SIDES = 3, SESSION_NAME_MAX = 256 };

/* OPENING → OPEN → ENDING → CLOSED, also without the two in the middle; session_set_state is the
 * only one to change it. OPENING: no grant yet, or the login is under way. ENDING: the agent has
 * gone, answers are awaited. */
enum session_state { SESSION_OPENING, SESSION_OPEN, SESSION_ENDING, SESSION_CLOSED };

enum { SESSION_BEHIND_MAX = 16 };

/* One connection of the session and the bytes between it and the protocol. */
struct side {
    struct conn *conn;
    struct buffer in; /* read, not understood yet */
    bool waiting;     /* the protocol said PROTOCOL_WAIT */
    bool ended;       /* it said its last byte */
    enum err broken;  /* why nothing more can be sent there; to be told to the protocol */
    /* What is to be sent and still lies in the chunk that is being read: no copy is made when it
     * leaves in one piece. */
    struct bytes run;
    uint8_t behind[SESSION_BEHIND_MAX]; /* a few bytes that follow a long run: the end of a chunk */
    size_t behind_size;
};

/* An operation that people approved, for its outcome: several may be under way. */
struct session_release {
    struct session_release *next;
    uint64_t operation;
    char approval[UUID_TEXT_SIZE];
    bool has_predicted_rows;
    uint64_t predicted_rows;
};

struct session {
    struct protocol_link link; /* first: a link is its session */
    struct session_shared *shared;
    const struct session_origin *origin;
    void *protocol;
    enum session_state state;
    const char *resource; /* the listener's, or the one that was chosen of a proxy; "": none yet */
    struct tls_context *chosen_tls; /* of a proxy, for the host that was chosen; counted */
    char id[UUID_TEXT_SIZE];
    struct directory_entry entry;
    struct side sides[SIDES];
    struct bytes reading; /* what is being given to the protocol right now */

    /* An intent that must reach the disk (or the control plane) before what follows it leaves. */
    struct recorder_waiter gate;
    struct ev_timer gate_timer;
    struct buffer held; /* for the target, behind the gate */
    /* A provisional operation was recorded less safely than others of its kind, and nothing behind
     * it has waited for the disk yet: session_record.c sets it, the gate takes it back. */
    bool is_unsettled;

    struct session_hold hold;
    struct session_release *released; /* that have no outcome yet; owned */
    /* What the last verdict points to. */
    char approval[UUID_TEXT_SIZE], refusal[HOLD_WHY_SIZE], rule[POLICY_NAME_SIZE_MAX + 1];

    /* The grant, without its credential. */
    Chaperone__V1__SessionOpened *opened;
    struct control_call *grant_call;
    struct token_read *token_read;
    char target_host[SESSION_NAME_MAX], server_name[SESSION_NAME_MAX];
    uint16_t target_port;
    struct tls_context *target_tls;

    char agent_address[SESSION_NAME_MAX];
    char database[SESSION_NAME_MAX], user[SESSION_NAME_MAX], application_name[SESSION_NAME_MAX];
    struct peer process;

    struct session_verdicts *verdicts; /* owned; NULL: none yet */

    /* What is masked, as last asked: of which policy and in which minute (rules have time windows).
     */
    struct protocol_masks masks;
    const struct policy_mask *mask_items[POLICY_MASKS_MAX];
    const struct policy *masks_of;
    uint64_t masks_revision;
    int64_t masks_minute;

    uint64_t operations, bytes_from_agent, bytes_to_agent;
    int64_t started_ns;
    bool granted; /* counted as opened */
    bool refused; /* and recorded as that */
    const char *end_reason;
    char end_error[256];
    char ordered_by[SESSION_NAME_MAX], order[UUID_TEXT_SIZE];
    int64_t ordered_unix_ns;

    struct ev_timer timer;        /* login, then the wait for the last answers */
    struct ev_timer second_timer; /* its end; or, when there is none, the next one's beginning */
    int stops_left;               /* how often the target is asked again to stop what runs */
    struct loop_deferred free_later, refuse_later, broken_later;
};

/* session.c */
/* After any event but bytes: acts on what the protocol returned, offers waiting bytes again. */
void session_event(struct session *s, enum protocol_step step);
/* Backpressure: a side is read only while the other one takes what comes. */
void session_update_reading(struct session *s);
/* A link function makes no callback: what it could not send is told after it. */
void session_tell_broken(void *context);
extern const struct conn_events session_conn_events[SIDES];

/* session_life.c */
void session_set_state(struct session *s, enum session_state state);
/* `ms` 0: `otherwise`. */
void session_timer_start(struct session *s, struct ev_timer *timer, int ms, int otherwise);
/* Both connections are closed after what is queued; the last record is written. */
void session_close(struct session *s);
/* As close, with a reason for the record. */
void session_fail(struct session *s, const char *reason, const char *error);
/* The agent is told in its protocol why; with `stop_running` what runs on the target is cancelled.
 */
void session_terminate(struct session *s, enum err code, const char *reason, const char *why,
                       bool stop_running);
/* It may outlive the session. When that has ended, the target is asked again to stop what runs, or,
 * after the last time, the session is freed at the end of the turn. */
void session_close_second(struct session *s);

/* session_link.c. Its table is the only one to call what is named session_link_…; the contract of
 * each is at struct protocol_link_ops. */
extern const struct protocol_link_ops session_link_ops;

static inline struct session *session_of(struct protocol_link *link)
{
    return (struct session *)link;
}

/* session_send.c */
void session_link_to_agent(struct protocol_link *link, struct bytes b);
void session_link_to_target(struct protocol_link *link, struct bytes b);
void session_link_to_second(struct protocol_link *link, struct bytes b);
void session_flush(struct session *s); /* sends what lies in the runs */
/* Nothing more goes to that side: bytes are never left out of the middle. The protocol hears of it
 * at the end of the turn. */
void session_output_failed(struct session *s, enum protocol_side side, enum err e);
/* What was given before the record may leave; what comes behind it may not. */
void session_wait_for_record(struct session *s, uint64_t sequence, enum durability level);
void session_gate_timeout(struct session *s);
void session_gate_cancel(struct session *s);

/* Whether `b` lies within `outer`. */
static inline bool session_is_in(struct bytes outer, struct bytes b)
{
    uintptr_t start = (uintptr_t)outer.data;
    uintptr_t at = (uintptr_t)b.data;
    return at >= start && at - start <= outer.size && b.size <= outer.size - (at - start);
}

/* session_grant.c */
void session_link_identify(struct protocol_link *link, const struct protocol_request *request);
/* A link function makes no callback: a request that failed at once is refused after it. */
void session_refuse_request(void *context);

/* session_connect.c */
void session_link_connect_target(struct protocol_link *link);
void session_link_leave_target(struct protocol_link *link);
bool session_link_connect_second(struct protocol_link *link);
bool session_link_is_proxy(struct protocol_link *link);
bool session_link_choose(struct protocol_link *link, const char *host, uint16_t port,
                         bool is_secure);
bool session_link_has_tls(struct protocol_link *link, enum protocol_side side);
bool session_link_start_tls(struct protocol_link *link, enum protocol_side side);
struct bytes session_link_alpn(struct protocol_link *link, enum protocol_side side);
size_t session_link_end_point_hash(struct protocol_link *link, enum protocol_side side,
                                   uint8_t *out);

/* session_decide.c */
bool session_link_decide(struct protocol_link *link, Chaperone__V1__Intent *intent,
                         struct protocol_binding *binding, struct protocol_verdict *verdict);
bool session_link_prepare(struct protocol_link *link, Chaperone__V1__Intent *intent,
                          struct protocol_verdict *verdict);
bool session_link_needs_body(struct protocol_link *link, const Chaperone__V1__Intent *intent);
bool session_link_denies(struct protocol_link *link, const Chaperone__V1__Intent *intent);
void session_link_settle(struct protocol_link *link);

/* session_record.c. False: it could not be recorded. */
bool session_record_refused(struct session *s, const char *code, const char *error);
bool session_record_opened(struct session *s, const Chaperone__V1__OpenSessionResponse *grant);
void session_record_closed(struct session *s);
/* The policy's word on the operation. What the protocol refused already stays refused. */
void session_ask_policy(struct session *s, const Chaperone__V1__Intent *intent,
                        struct policy_verdict *out);
/* Row limit and recording level of an operation that is not denied. */
void session_apply_obligations(Chaperone__V1__Intent *intent, const struct policy_verdict *policy,
                               struct protocol_verdict *verdict);
bool session_record_intent(struct session *s, Chaperone__V1__Intent *intent,
                           const struct policy_verdict *policy, struct protocol_verdict *verdict,
                           enum durability *out_level);
/* `*out_sequence` may be NULL. */
bool session_record_approval(struct session *s, Chaperone__V1__Approval *approval,
                             uint64_t *out_sequence);
bool session_record_outcome(struct session *s, Chaperone__V1__Outcome *outcome);
bool session_record_message(struct session *s, Chaperone__V1__Message *message);
/* Takes one of what the rates of an allowed verdict have; where nothing is left it becomes a
 * denial, and the time until there is one again is returned (ms). */
int64_t session_take_rate(struct session *s, struct policy_verdict *policy);
/* Whether the policy needs the body of the link's `http` before it can decide. */
bool session_needs_body(struct session *s, const Chaperone__V1__Intent *intent);

/* session_verdicts.c. What the policy said of this question within the same second; false: it is to
 * be asked, and `keep` takes its word on the question that was looked for last. */
bool session_verdict_find(struct session *s, const Chaperone__V1__Intent *intent, int64_t second,
                          struct policy_verdict *out);
void session_verdict_keep(struct session *s, int64_t second, const struct policy_verdict *verdict);
void session_verdicts_forget(struct session *s);

/* session_masks.c */
const struct protocol_masks *session_masks(struct session *s);

#endif

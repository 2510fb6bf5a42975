/* What the parts of the control side share. */
#ifndef CHAPERONE_SIDECAR_CONTROL_CONTROL_INTERNAL_H
#define CHAPERONE_SIDECAR_CONTROL_CONTROL_INTERNAL_H

#include <ev.h>
#include <pthread.h>

#include "sidecar/control/approvals.h"
#include "sidecar/control/backoff.h"
#include "sidecar/control/call.h"
#include "sidecar/control/control.h"
#include "sidecar/control/identity.h"
#include "sidecar/control/mail.h"
#include "sidecar/control/orders.h"
#include "sidecar/control/policy_keeper.h"
#include "sidecar/control/tunnel.h"
#include "sidecar/control/uplink.h"

/* ENROL_IDLE → ENROL_TOKEN → ENROL_CALLING → ENROL_WAITING → ... ; ENROL_WAITING is also the time
 * until the certificate is renewed. */
enum enrol_state { ENROL_IDLE, ENROL_TOKEN, ENROL_CALLING, ENROL_WAITING };

struct enrolment {
    enum enrol_state state;
    ev_timer timer;
    struct backoff backoff;
    struct tunnel *tunnel; /* without a certificate; NULL: not needed */
    struct control_call *call;
    pthread_t thread; /* asks for the token, in ENROL_TOKEN */
    bool join_token_refused;
};

struct watch {
    struct rpc_stream *stream; /* NULL: closed; owned */
    ev_timer timer;
    struct backoff backoff;
};

struct control {
    /* Copies. */
    struct loop *loop;
    const struct log *log;
    const struct clock *clock;
    struct tunnel_server servers[TUNNEL_SERVERS_MAX]; /* the texts are owned */
    size_t server_count;
    char *join_token, *name, *version;
    struct buffer ca_pem;
    char **resources;
    size_t resources_count;
    int open_timeout_ms;
    enum err (*token)(void *context, struct buffer *out, struct err_text *why);
    void *token_context;
    struct control_events events;
    void *context;

    struct mail *mail;
    struct rpc_runtime *runtime;
    struct identity *identity;
    struct tunnel *tunnel; /* with our certificate; NULL: not enrolled */
    bool announced;        /* on_enrolled was called */
    /* Why this sidecar is refused for good; "": it is not. Then there is no tunnel any more. */
    char revoked[RPC_MESSAGE_SIZE];
    struct enrolment enrolment;
    struct watch watch;
    struct approval_ends ends;
    struct orders orders; /* lately received */
    struct policy_keeper *keeper;
    struct policy *policy; /* what on_policy was given last; owned */
    uint64_t policy_revision;
    struct recorder *recorder;
    struct uplink *uplink;
};

struct control_ids {
    char **all;
    size_t count, capacity;
};

struct control_sessions {
    struct control_ids ids;
};

struct control_held {
    struct control_ids ids;
};

/* watch.c */
void control_ids_finish(struct control_ids *ids);

/* control.c: a new certificate is there. */
void control_use_identity(struct control *control);
/* The control plane says that it has revoked this sidecar: what runs ends, and nothing is asked of
 * it any more. Once. */
void control_set_revoked(struct control *control, const char *why);
static inline bool control_is_revoked(const struct control *control)
{
    return control->revoked[0] != '\0';
}
enum err control_make_tunnel(struct control *control, bool with_certificate,
                             struct tunnel **out) MUST_USE;
/* Takes the policy and makes it the one in use. */
void control_use_policy(struct control *control, struct policy *policy, uint64_t revision);

/* enrolment.c */
void enrolment_init(struct control *control);
void enrolment_start(struct control *control);
/* Nothing more is asked for; enrolment_stop comes all the same. */
void enrolment_halt(struct control *control);
void enrolment_stop(struct control *control);

/* watch.c */
void watch_init(struct control *control);
/* Opens the stream over the tunnel there is now, in place of an open one. */
void watch_restart(struct control *control);
void watch_stop(struct control *control);

#endif

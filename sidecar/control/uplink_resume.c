/* Where to go on: what the control plane says it has, against what is in the spool. */
#include <stdio.h>
#include <stdlib.h>

#include "sidecar/control/uplink_internal.h"

#include "api/sidecar.pb-c.h"

/* A call that never ends would stop the shipping for good, on a connection that otherwise works: a
 * broken peer has been seen to leave one behind. */
enum { RESUME_DEADLINE_MS = 15000 };

/* To the loop's thread, to which the recorder belongs. */
struct uplink_errand {
    uint64_t sequence; /* where the control plane's stream ends */
    uint8_t hash[RECORDER_HASH_SIZE];
    uint64_t from;      /* first number here that it does not have; 0: none */
    const char *reason; /* static */
    bool is_diverged;   /* the control plane's fault, not ours */
    unsigned turn;
};

/* On gRPC's thread. */
static void on_resumed(void *context, const struct rpc_status *status,
                       const ProtobufCMessage *reply)
{
    struct uplink *u = context;
    const Chaperone__V1__ResumeResponse *r = (const Chaperone__V1__ResumeResponse *)reply;
    (void)pthread_mutex_lock(&u->lock);
    u->code = status->code;
    (void)snprintf(u->message, sizeof(u->message), "%s", status->message);
    if (r != NULL) {
        u->resume_sequence = r->sequence;
        memset(u->resume_hash, 0, sizeof(u->resume_hash)); /* of record 0 */
        if (r->sequence > 0 && r->hash.len == RECORDER_HASH_SIZE) {
            memcpy(u->resume_hash, r->hash.data, RECORDER_HASH_SIZE);
        } else if (r->sequence > 0) {
            u->code = RPC_INTERNAL;
            (void)snprintf(u->message, sizeof(u->message), "its answer has no hash");
        }
    }
    u->resumed = true;
    (void)pthread_cond_broadcast(&u->wake);
    (void)pthread_mutex_unlock(&u->lock);
}

static bool ask(struct uplink *u, struct tunnel *tunnel, unsigned generation)
{
    Chaperone__V1__ResumeRequest request = CHAPERONE__V1__RESUME_REQUEST__INIT;
    const struct rpc_call_options options = {.wait_for_ready = true,
                                             .deadline_ms = RESUME_DEADLINE_MS};
    struct rpc_call *call = NULL;
    bool is_cancelled = false;
    u->resumed = false; /* nobody else touches it before the call is started */
    if (rpc_call_start(tunnel_channel(tunnel), &chaperone__v1__audit_ingest__descriptor, "Resume",
                       &request.base, &options, on_resumed, u, &call) != OK) {
        return false;
    }
    (void)pthread_mutex_lock(&u->lock);
    while (!u->resumed) {
        if (uplink_is_over(u, generation) && !is_cancelled) {
            is_cancelled = true;
            (void)pthread_mutex_unlock(&u->lock);
            rpc_call_cancel(call);
            (void)pthread_mutex_lock(&u->lock);
            continue;
        }
        uplink_wait(u, -1);
    }
    bool is_ok = u->code == RPC_OK && !is_cancelled;
    (void)pthread_mutex_unlock(&u->lock);
    rpc_call_release(call);
    if (!is_ok && !is_cancelled) {
        log_event(u->log, LOG_WARN, "audit_resume_failed", log_text("code", rpc_code_name(u->code)),
                  log_text("error", u->message));
    }
    return is_ok;
}

/* ---- the loop's thread ---- */

static void carry_out(void *owner, void *letter)
{
    struct uplink *u = owner;
    const struct uplink_errand *e = letter;
    uint64_t last = recorder_last_sequence(u->recorder);
    enum err result = e->from == 0
                          ? recorder_continue_after(u->recorder, e->sequence, e->hash)
                          : recorder_rebase(u->recorder, e->sequence, e->hash, e->from, e->reason);
    if (result == OK && e->is_diverged && e->from <= last) {
        /* Into the stream as well, where an auditor finds it. */
        result = recorder_write_loss(u->recorder, e->from, last, e->reason);
    }
    if (result != OK) {
        log_event(u->log, LOG_ERROR, "audit_streams_not_joined",
                  log_text("error", err_name(result)));
    }
    (void)pthread_mutex_lock(&u->lock);
    if (e->turn == u->turn) {
        u->joined = result;
        u->has_joined = true;
    }
    (void)pthread_cond_broadcast(&u->wake);
    (void)pthread_mutex_unlock(&u->lock);
}

/* ---- both sides together ---- */

/* Waits for it whatever becomes of the tunnel: nobody else may look at the recorder meanwhile. */
static bool send_errand(struct uplink *u, uint64_t sequence, uint64_t from, const char *reason,
                        bool is_diverged)
{
    struct uplink_errand *e = calloc(1, sizeof(*e));
    if (e == NULL) {
        return false;
    }
    e->sequence = sequence;
    memcpy(e->hash, u->resume_hash, sizeof(e->hash));
    e->from = from;
    e->reason = reason;
    e->is_diverged = is_diverged;
    (void)pthread_mutex_lock(&u->lock);
    e->turn = ++u->turn;
    u->has_joined = false;
    (void)pthread_mutex_unlock(&u->lock);
    if (mail_post(u->mail, carry_out, e, free) != OK) {
        return false;
    }
    (void)pthread_mutex_lock(&u->lock);
    while (!u->has_joined && !u->stop) {
        uplink_wait(u, -1);
    }
    bool is_ok = u->has_joined && u->joined == OK;
    (void)pthread_mutex_unlock(&u->lock);
    return is_ok;
}

static const char host_reason[] = "the host lost the end of the spool, which the control plane has";
static const char other_reason[] = "the control plane has other records under these numbers";
static const char forgot_reason[] = "the control plane lost records that it had acknowledged";
static const char damage_reason[] = "the spool is damaged";

/* Its records are not those that it had from us. */
static bool diverged(struct uplink *u, uint64_t sequence, uint64_t from, const char *reason)
{
    (void)pthread_mutex_lock(&u->lock);
    u->diverged = true;
    (void)pthread_mutex_unlock(&u->lock);
    log_event(u->log, LOG_ERROR, "audit_stream_diverged", log_number("sequence", (int64_t)sequence),
              log_text("reason", reason));
    return send_errand(u, sequence, from, reason, true);
}

/* The control plane has more than there is here. */
static bool follow(struct uplink *u, uint64_t sequence, uint64_t last, uint64_t acknowledged)
{
    uint64_t own = recorder_first_own(u->recorder);
    if (u->has_resumed) {
        return diverged(u, sequence, acknowledged + 1, other_reason);
    }
    log_event(u->log, LOG_WARN, "audit_continued_behind_control_plane",
              log_number("sequence", (int64_t)sequence), log_number("here", (int64_t)last));
    return send_errand(u, sequence, own <= last ? own : 0, host_reason, false);
}

/* No memory or no descriptors to look into the spool with: that is no damage. */
static bool later(const struct uplink *u, uint64_t sequence)
{
    log_event(u->log, LOG_WARN, "audit_spool_not_readable_now",
              log_number("sequence", (int64_t)sequence));
    return false;
}

/* Both have record `sequence`, or the control plane has less than it had. */
static bool compare(struct uplink *u, uint64_t sequence, uint64_t acknowledged)
{
    uint8_t ours[RECORDER_HASH_SIZE];
    uint64_t own = recorder_first_own(u->recorder);
    if (sequence < acknowledged) {
        return diverged(u, sequence, sequence + 1, forgot_reason);
    }
    enum err found =
        sequence == 0 ? ERR_NOT_FOUND : recorder_find_hash(u->recorder, sequence, ours);
    if (found == ERR_UNAVAILABLE) {
        return later(u, sequence);
    }
    if (found == OK && memcmp(ours, u->resume_hash, sizeof(ours)) != 0) {
        if (!u->has_resumed && sequence >= own) {
            return send_errand(u, sequence, own, host_reason,
                               false); /* written before it was asked */
        }
        return diverged(u, sequence, acknowledged + 1, other_reason);
    }
    switch (recorder_joins(u->recorder, sequence, u->resume_hash)) {
    case RECORDER_UNREADABLE: return later(u, sequence);
    case RECORDER_BROKEN: return send_errand(u, sequence, sequence + 1, damage_reason, false);
    case RECORDER_FOLLOWS:
    case RECORDER_NOTHING_NEW: break;
    }
    recorder_acknowledge(u->recorder, sequence, u->resume_hash);
    return true;
}

bool uplink_resume(struct uplink *u, struct tunnel *tunnel, unsigned generation,
                   uint64_t *out_sequence)
{
    struct recorder_status status;
    if (!ask(u, tunnel, generation)) {
        return false;
    }
    uint64_t sequence = u->resume_sequence;
    recorder_status(u->recorder, &status);
    bool is_joined = sequence > status.last ? follow(u, sequence, status.last, status.acknowledged)
                                            : compare(u, sequence, status.acknowledged);
    if (is_joined) {
        u->has_resumed = true;
        *out_sequence = sequence;
    }
    return is_joined;
}

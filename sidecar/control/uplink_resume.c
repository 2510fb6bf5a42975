/* Where to go on: what the control plane says it has, against what is in the spool. */
#include <stdio.h>
#include <stdlib.h>

#include "sidecar/control/uplink_internal.h"

#include "api/sidecar.pb-c.h"

/* To the loop's thread, to which the recorder belongs. */
struct uplink_errand {
    uint64_t first, last;
    uint8_t hash[RECORDER_HASH_SIZE];
    const char *reason; /* of a loss; static */
    unsigned generation;
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
        u->resume_has_hash = r->hash.len == RECORDER_HASH_SIZE;
        if (u->resume_has_hash) {
            memcpy(u->resume_hash, r->hash.data, RECORDER_HASH_SIZE);
        }
    }
    u->resumed = true;
    (void)pthread_cond_broadcast(&u->wake);
    (void)pthread_mutex_unlock(&u->lock);
}

static bool ask(struct uplink *u, struct tunnel *tunnel, unsigned generation)
{
    Chaperone__V1__ResumeRequest request = CHAPERONE__V1__RESUME_REQUEST__INIT;
    const struct rpc_call_options options = {.wait_for_ready = true};
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

static void write_loss(void *owner, void *letter)
{
    struct uplink *u = owner;
    const struct uplink_errand *errand = letter;
    if (recorder_write_loss(u->recorder, errand->first, errand->last, errand->reason) != OK) {
        log_event(u->log, LOG_ERROR, "loss_not_recorded");
    }
}

static void continue_after(void *owner, void *letter)
{
    struct uplink *u = owner;
    const struct uplink_errand *errand = letter;
    enum err result = recorder_continue_after(u->recorder, errand->last, errand->hash);
    (void)pthread_mutex_lock(&u->lock);
    if (errand->generation == u->generation) {
        u->continued = result;
        u->followed = true;
    }
    (void)pthread_cond_broadcast(&u->wake);
    (void)pthread_mutex_unlock(&u->lock);
}

/* ---- both sides together ---- */

/* Once: every later attempt would say it again. */
static void diverged(struct uplink *u, uint64_t first, uint64_t last, const char *reason)
{
    (void)pthread_mutex_lock(&u->lock);
    bool is_new = !u->diverged;
    u->diverged = true;
    (void)pthread_mutex_unlock(&u->lock);
    if (!is_new) {
        return;
    }
    log_event(u->log, LOG_ERROR, "audit_stream_diverged", log_number("first", (int64_t)first),
              log_number("last", (int64_t)last), log_text("reason", reason));
    struct uplink_errand *errand = calloc(1, sizeof(*errand));
    if (errand != NULL) {
        errand->first = first;
        errand->last = last;
        errand->reason = reason;
        enum err posted = mail_post(u->mail, write_loss, errand, free);
        (void)posted; /* logged already */
    }
}

/* The control plane has more than the disk: the host went down before the end was synced. */
static bool follow(struct uplink *u, unsigned generation, uint64_t sequence)
{
    struct uplink_errand *errand = calloc(1, sizeof(*errand));
    if (errand == NULL) {
        return false;
    }
    errand->last = sequence;
    memcpy(errand->hash, u->resume_hash, sizeof(errand->hash));
    errand->generation = generation;
    (void)pthread_mutex_lock(&u->lock);
    u->followed = false;
    (void)pthread_mutex_unlock(&u->lock);
    if (mail_post(u->mail, continue_after, errand, free) != OK) {
        return false;
    }
    (void)pthread_mutex_lock(&u->lock);
    while (!u->followed && !uplink_is_over(u, generation)) {
        uplink_wait(u, -1);
    }
    bool is_ok = u->followed && !uplink_is_over(u, generation) && u->continued == OK;
    (void)pthread_mutex_unlock(&u->lock);
    if (is_ok) {
        log_event(u->log, LOG_WARN, "audit_continued_behind_control_plane",
                  log_number("sequence", (int64_t)sequence));
    }
    return is_ok;
}

static void compare(struct uplink *u, uint64_t sequence)
{
    struct recorder_status status;
    uint8_t ours[RECORDER_HASH_SIZE];
    recorder_status(u->recorder, &status);
    if (sequence < status.acknowledged) {
        diverged(u, sequence + 1, status.acknowledged,
                 "the control plane had acknowledged these records and does not have them");
        return;
    }
    if (sequence == 0) {
        return;
    }
    if (u->resume_has_hash && recorder_find_hash(u->recorder, sequence, ours) == OK &&
        memcmp(ours, u->resume_hash, sizeof(ours)) != 0) {
        diverged(u, status.acknowledged + 1, sequence,
                 "the control plane has other records under these numbers");
    }
    recorder_acknowledge(u->recorder, sequence, u->resume_has_hash ? u->resume_hash : NULL);
}

bool uplink_resume(struct uplink *u, struct tunnel *tunnel, unsigned generation,
                   uint64_t *out_sequence)
{
    if (!ask(u, tunnel, generation)) {
        return false;
    }
    uint64_t sequence = u->resume_sequence;
    if (sequence > recorder_last_sequence(u->recorder)) {
        if (!u->resume_has_hash || !follow(u, generation, sequence)) {
            return false;
        }
    } else {
        compare(u, sequence);
    }
    *out_sequence = sequence;
    return true;
}

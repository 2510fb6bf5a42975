#include "sidecar/audit/recorder.h"

#include <ev.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crypto/crypto.h"
#include "base/net/loop.h"
#include "sidecar/audit/recorder_internal.h"

static const uint64_t default_cap = 1 << 30;

/* Idle sidecars write one heartbeat in this many intervals. */
enum { HEARTBEATS_SKIPPED_IDLE = 6, KEY_PEM_CAP = 1024 };

const char *durability_name(enum durability level)
{
    switch (level) {
    case DURABILITY_PROCESS: return "process";
    case DURABILITY_HOST: return "host";
    case DURABILITY_FLEET: return "fleet";
    }
    return "unknown";
}

/* ---- writing ---- */

/* What happened must find room when nothing new may happen any more. */
static bool is_privileged(const Chaperone__V1__Record *record)
{
    return record->event_case != CHAPERONE__V1__RECORD__EVENT_INTENT &&
           record->event_case != CHAPERONE__V1__RECORD__EVENT_SESSION_OPENED;
}

static enum err fail(struct recorder *r, enum err why)
{
    if (r->state != why) {
        log_event(r->log, LOG_ERROR, "recorder_refuses", log_text("error", err_name(why)));
        r->state = why;
    }
    return why;
}

static enum err check_disk(struct recorder *r)
{
    enum err synced = spool_sync_state(r->spool);
    if (synced == OK) {
        return OK;
    }
    return fail(r, synced);
}

/* Each salt is used once. It is no secret from who reads the record, but from who has only the hash
 * of one that was erased (api/audit.proto). */
static enum err take_salt(struct recorder *r, ProtobufCBinaryData *out)
{
    if (r->salts_left == 0) {
        struct crypto_random random = crypto_random_system();
        enum err result = crypto_random_fill(&random, r->salts[0], sizeof(r->salts));
        if (result != OK) {
            return result;
        }
        r->salts_left = SALTS;
    }
    r->salts_left--;
    *out = (ProtobufCBinaryData){.data = r->salts[r->salts_left], .len = SALT_SIZE};
    return OK;
}

enum err recorder_put(struct recorder *r, Chaperone__V1__Record *record, int64_t time,
                      uint64_t *out_sequence)
{
    const uint8_t *previous;
    uint64_t sequence = spool_next(r->spool, &previous);
    int64_t now = time == 0 ? clock_wall(r->clock) : time;
    r->time = now > r->time ? now : r->time; /* the wall clock may be set back */
    record->sidecar = r->sidecar;
    record->sequence = sequence;
    record->previous.data = (uint8_t *)(uintptr_t)previous; /* only read */
    record->previous.len = SEGMENT_HASH_SIZE;
    record->time_unix_ns = time == 0 ? r->time : time;
    if (record->session == NULL) {
        record->session = (char *)(uintptr_t)protobuf_c_empty_string;
    }
    if (record->session[0] != '\0') {
        enum err salted = take_salt(r, &record->salt);
        if (salted != OK) {
            return fail(r, salted);
        }
    }
    struct bytes packed = record_pack(r->forms, &record->base, r->packed, sizeof(r->packed));
    size_t size = packed.size > 0 ? packed.size : protobuf_c_message_get_packed_size(&record->base);
    if (size > RECORDER_RECORD_CAP) {
        return ERR_LIMIT; /* this record's fault, not the spool's */
    }
    uint8_t *room;
    enum err result = spool_reserve(r->spool, size, is_privileged(record), &room);
    if (result != OK) {
        return result == ERR_LIMIT ? result : fail(r, result);
    }
    uint8_t hash[SEGMENT_HASH_SIZE];
    if (packed.size > 0) {
        memcpy(room, packed.data, size);
    } else {
        (void)protobuf_c_message_pack(&record->base, room);
    }
    segment_hash(bytes_of(room, size), hash);
    spool_commit(r->spool, size, hash);
    if (out_sequence != NULL) {
        *out_sequence = sequence;
    }
    return OK;
}

static void give_notice(struct recorder *r)
{
    /* In one order with the commit: recorder_want_notice sees the record or this sees the wish. */
    if (atomic_load(&r->notice_wanted) && atomic_exchange(&r->notice_wanted, false) &&
        r->on_notice != NULL) {
        r->on_notice(r->notice_context);
    }
}

enum err recorder_put_loss(struct recorder *r, uint64_t first, uint64_t last, const char *reason,
                           int64_t time)
{
    Chaperone__V1__Loss loss = CHAPERONE__V1__LOSS__INIT;
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    loss.first_sequence = first;
    loss.last_sequence = last;
    loss.reason = (char *)(uintptr_t)reason;
    record.event_case = CHAPERONE__V1__RECORD__EVENT_LOSS;
    record.loss = &loss;
    return recorder_put(r, &record, time, NULL);
}

/* What opening found comes before anything else that is written. */
enum err recorder_put_losses(struct recorder *r)
{
    enum err result = OK;
    while (r->losses.count > 0 && result == OK) {
        struct spool_loss *l = &r->losses.all[0];
        result = recorder_put_loss(r, l->first, l->last, l->reason, 0);
        if (result == OK) {
            r->lost += l->last - l->first + 1;
            r->losses.count--;
            memmove(r->losses.all, r->losses.all + 1, r->losses.count * sizeof(*l));
        }
    }
    return result;
}

static enum err begin_write(struct recorder *r)
{
    enum err result = check_disk(r);
    if (result == OK && r->losses.count > 0) {
        result = recorder_put_losses(r);
    }
    return result;
}

static enum err end_write(struct recorder *r, enum err result)
{
    if (result == OK) {
        if (r->state != OK) {
            log_event(r->log, LOG_INFO, "recorder_works_again");
            r->state = OK;
        }
        give_notice(r);
    }
    return result;
}

enum err recorder_write(struct recorder *r, Chaperone__V1__Record *record, uint64_t *out_sequence)
{
    enum err result = begin_write(r);
    if (result == OK) {
        result = recorder_put(r, record, 0, out_sequence);
    }
    return end_write(r, result);
}

bool recorder_can_write(struct recorder *r, size_t size)
{
    uint8_t *room;
    return check_disk(r) == OK && size <= RECORDER_RECORD_CAP &&
           spool_reserve(r->spool, size, false, &room) == OK;
}

enum err recorder_write_loss(struct recorder *r, uint64_t first, uint64_t last, const char *reason)
{
    enum err result = begin_write(r);
    if (result == OK) {
        result = recorder_put_loss(r, first, last, reason, 0);
    }
    r->lost += result == OK ? last - first + 1 : 0;
    return end_write(r, result);
}

void recorder_count_sessions(struct recorder *r, uint32_t (*fn)(void *context), void *context)
{
    r->count_sessions = fn;
    r->count_context = context;
}

enum err recorder_put_heartbeat(struct recorder *r, uint32_t open_sessions, int64_t time,
                                uint64_t *out_sequence)
{
    const uint8_t *previous;
    uint64_t sequence = spool_next(r->spool, &previous);
    uint8_t raw[CRYPTO_ED25519_PUBLIC_SIZE];
    uint8_t der[CRYPTO_ED25519_DER_SIZE];
    uint8_t signature[CRYPTO_ED25519_SIGNATURE_SIZE];
    uint8_t message[192];
    if (r->key == NULL) {
        return ERR_NOT_FOUND;
    }
    int length = snprintf((char *)message, sizeof(message),
                          "chaperone heartbeat v1\n%s\n%" PRIu64 "\n", r->sidecar, sequence);
    memcpy(message + length, previous, SEGMENT_HASH_SIZE);
    crypto_ed25519_public(r->key, raw);
    enum err result = crypto_ed25519_public_to_der(raw, der);
    if (result == OK) {
        result = crypto_ed25519_sign(r->key, bytes_of(message, (size_t)length + SEGMENT_HASH_SIZE),
                                     signature);
    }
    if (result != OK) {
        return result;
    }
    Chaperone__V1__Heartbeat beat = CHAPERONE__V1__HEARTBEAT__INIT;
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    beat.open_sessions = open_sessions;
    beat.signature = (ProtobufCBinaryData){.data = signature, .len = sizeof(signature)};
    beat.public_key = (ProtobufCBinaryData){.data = der, .len = sizeof(der)};
    record.event_case = CHAPERONE__V1__RECORD__EVENT_HEARTBEAT;
    record.heartbeat = &beat;
    return recorder_put(r, &record, time, out_sequence);
}

enum err recorder_write_heartbeat(struct recorder *r, uint64_t *out_sequence)
{
    uint64_t sequence = 0;
    uint32_t open = r->count_sessions == NULL ? 0 : r->count_sessions(r->count_context);
    enum err result = begin_write(r); /* nothing may come between the signed hash and this */
    if (result == OK) {
        result = recorder_put_heartbeat(r, open, 0, &sequence);
    }
    if (result == OK) {
        r->last_heartbeat = sequence;
        r->idle_ticks = 0;
        *out_sequence = sequence;
    }
    return end_write(r, result);
}

uint64_t recorder_first_own(const struct recorder *r)
{
    return r->first_own;
}

void recorder_status(const struct recorder *r, struct recorder_status *out)
{
    enum err synced = spool_sync_state(r->spool);
    *out = (struct recorder_status){
        .state = synced != OK ? synced : r->state,
        .last = spool_committed(r->spool),
        .synced = spool_synced(r->spool),
        .acknowledged = spool_acknowledged(r->spool),
        .lost = r->lost,
        .used = spool_used(r->spool),
        .cap = r->cap,
    };
}

/* ---- lifetime ---- */

static void on_tick(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)ev;
    (void)events;
    struct recorder *r = timer->data;
    bool is_busy = r->last_heartbeat != spool_committed(r->spool);
    if (!is_busy && ++r->idle_ticks < HEARTBEATS_SKIPPED_IDLE) {
        return;
    }
    uint64_t sequence = 0;
    if (recorder_write_heartbeat(r, &sequence) == OK) {
        spool_request_sync(r->spool, sequence); /* bounds what the host's end can take away */
    }
}

static void start_timer(struct recorder *r, int interval_ms)
{
    double seconds = (interval_ms > 0 ? interval_ms : RECORDER_HEARTBEAT_MS) / 1000.0;
    ev_timer_init(&r->timer, on_tick, seconds, seconds);
    r->timer.data = r;
    ev_timer_start(loop_ev(r->loop), &r->timer);
}

/* A copy: the last heartbeat is written when its owner may be gone already. */
static enum err copy_key(const struct crypto_ed25519 *key, struct crypto_ed25519 **out)
{
    struct buffer pem;
    buffer_init(&pem, KEY_PEM_CAP);
    enum err result = crypto_ed25519_to_pem(key, &pem);
    if (result == OK) {
        result = crypto_ed25519_from_pem(buffer_bytes(&pem), out, NULL);
    }
    buffer_wipe(&pem);
    return result;
}

enum err recorder_open(const struct recorder_options *options, struct recorder **out,
                       struct err_text *why)
{
    struct recorder *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return ERR_NO_MEMORY;
    }
    size_t length = strlen(options->sidecar);
    (void)snprintf(r->sidecar, sizeof(r->sidecar), "%s", options->sidecar);
    r->clock = options->clock;
    r->loop = options->loop;
    r->log = options->log;
    r->cap = options->cap == 0 ? default_cap : options->cap;
    r->mailbox = mailbox_create(r);
    struct spool_options spool = {
        .dir = options->dir,
        .sidecar = options->sidecar,
        .segment_size = options->segment_size == 0 ? RECORDER_SEGMENT_SIZE : options->segment_size,
        .cap = r->cap,
        .clock = options->clock,
        .log = options->log,
        .system = options->system == NULL ? spool_system_real() : *options->system,
        .on_synced = recorder_on_spool_change,
        .context = r,
    };
    r->forms = record_forms_create(&chaperone__v1__record__descriptor);
    enum err result = r->mailbox == NULL || r->forms == NULL ? ERR_NO_MEMORY : OK;
    if (result == OK && options->key != NULL) {
        result = copy_key(options->key, &r->key);
    }
    if (result == OK && length >= sizeof(r->sidecar)) {
        result = err_set(why, ERR_INVALID, "the sidecar's id is too long");
    }
    if (result == OK) {
        result = spool_open(&spool, &r->spool, &r->losses, why);
    }
    if (result != OK) {
        mailbox_release(r->mailbox);
        crypto_ed25519_destroy(r->key);
        record_forms_destroy(r->forms);
        free(r);
        return result;
    }
    r->last_heartbeat = spool_committed(r->spool);
    r->first_own = r->last_heartbeat + 1;
    if (recorder_put_losses(r) != OK) {
        log_event(r->log, LOG_ERROR, "losses_not_recorded_yet");
    }
    if (r->loop != NULL && r->key != NULL) {
        start_timer(r, options->heartbeat_ms);
    }
    *out = r;
    return OK;
}

void recorder_close(struct recorder *r)
{
    if (r == NULL) {
        return;
    }
    if (ev_is_active(&r->timer)) {
        ev_timer_stop(loop_ev(r->loop), &r->timer);
    }
    uint64_t sequence;
    if (r->key != NULL && r->last_heartbeat != spool_committed(r->spool) &&
        recorder_write_heartbeat(r, &sequence) != OK) {
        log_event(r->log, LOG_ERROR, "last_heartbeat_not_written");
    }
    spool_close(r->spool); /* joins the thread, so nothing is posted any more */
    mailbox_close(r->mailbox);
    crypto_ed25519_destroy(r->key);
    record_forms_destroy(r->forms);
    free(r);
}

/* What the parts of the recorder share. */
#ifndef CHAPERONE_SIDECAR_AUDIT_RECORDER_INTERNAL_H
#define CHAPERONE_SIDECAR_AUDIT_RECORDER_INTERNAL_H

#include <ev.h>
#include <stdatomic.h>

#include "sidecar/audit/record_pack.h"
#include "sidecar/audit/recorder.h"
#include "sidecar/audit/spool.h"

/* What other threads post to the loop through: it outlives the recorder when a post is still under
 * way as the recorder is closed. */
struct mailbox {
    struct recorder *recorder; /* NULL: closed; the loop's thread only */
    _Atomic int references;    /* the recorder's, and one for a post under way */
    _Atomic bool posted;
};

struct mailbox *mailbox_create(struct recorder *recorder) MUST_USE;
void mailbox_close(struct mailbox *mailbox);
void mailbox_release(struct mailbox *mailbox); /* takes NULL */

struct waiters {
    struct recorder_waiter *first, *last; /* by sequence */
};

enum {
    SALT_SIZE = 16,
    SALTS = 64,
    RECORD_USUAL_SIZE = 8 << 10, /* a longer one is packed by protobuf-c, in its place */
};

struct recorder {
    char sidecar[SEGMENT_SIDECAR_SIZE];
    const struct clock *clock;
    struct loop *loop;
    const struct log *log;
    struct crypto_ed25519 *key; /* NULL: no heartbeats */
    struct spool *spool;
    struct mailbox *mailbox;
    struct spool_losses losses; /* found when it was opened, not recorded yet */
    uint64_t cap, lost;
    int64_t time;       /* of the last record */
    enum err state;     /* of the last write */
    uint64_t first_own; /* number of the first record that this process wrote */
    /* Of the next records: asked of the system for many at a time. */
    uint8_t salts[SALTS][SALT_SIZE];
    size_t salts_left;
    struct record_forms *forms;        /* owned; of a record */
    uint8_t packed[RECORD_USUAL_SIZE]; /* the record that is being written */

    ev_timer timer;
    uint64_t last_heartbeat;
    unsigned idle_ticks;
    uint32_t (*count_sessions)(void *context);
    void *count_context;

    struct waiters waiters[DURABILITY_FLEET + 1];
    _Atomic uint64_t awaited;       /* how many wait */
    _Atomic uint64_t fleet_awaited; /* for the control plane */

    _Atomic bool notice_wanted;
    void (*on_notice)(void *context);
    void *notice_context;
};

/* Any thread: wakes the loop to look at the waiters, if there are any. */
void recorder_on_spool_change(void *recorder);
/* All who wait hear that it will not be: their numbers are not valid any more. */
void recorder_fail_waiters(struct recorder *recorder);

/* ---- recorder.c: writing without a look at the state of the disk ---- */

/* `time` 0: now. */
enum err recorder_put(struct recorder *recorder, Chaperone__V1__Record *record, int64_t time,
                      uint64_t *out_sequence) MUST_USE;
enum err recorder_put_heartbeat(struct recorder *recorder, uint32_t open_sessions, int64_t time,
                                uint64_t *out_sequence) MUST_USE;
enum err recorder_put_loss(struct recorder *recorder, uint64_t first, uint64_t last,
                           const char *reason, int64_t time) MUST_USE;
/* What opening found and could not be recorded yet. */
enum err recorder_put_losses(struct recorder *recorder) MUST_USE;

#endif

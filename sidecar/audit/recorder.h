/* The recorder: every event of the sidecar, in one chain, before it happens.
 *
 * Invariants: a record for which `recorder_write` returned OK is in the page cache and survives
 * kill -9 of the process. A number is given once (but see recorder_rebase); what was lost
 * (damage on the disk) is named by a Loss record. Each record holds the hash of the one before
 * it. When nothing can be written the recorder says so and the caller stops the agent.
 *
 * Threads: everything belongs to the loop's thread, but what is marked *any thread* and the
 * reader, which belongs to one other thread. A thread of the recorder's own calls fdatasync and
 * prepares files.
 *
 * Lifetime: waiters are cancelled or called before recorder_close; readers are destroyed
 * before it. */
#ifndef CHAPERONE_SIDECAR_AUDIT_RECORDER_H
#define CHAPERONE_SIDECAR_AUDIT_RECORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "api/audit.pb-c.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"

struct crypto_ed25519;
struct loop;
struct recorder;
struct spool_system;

enum {
    RECORDER_HASH_SIZE = 32,
    RECORDER_SEGMENT_SIZE = 16 << 20, /* default size of a file of the spool */
    /* Longest record: what the control plane takes (AUDIT_RECORD_SIZE_MAX); a longer one would end
     * the stream for ever. Also never more than a segment holds. */
    RECORDER_RECORD_CAP = 1 << 20,
    RECORDER_HEARTBEAT_MS = 10000,
};

struct recorder_options {
    const char *dir;           /* made with mode 0700 when it is not there; borrowed during open */
    const char *sidecar;       /* the id it was enrolled under; copied */
    size_t segment_size;       /* bytes, a multiple of 4096; 0: RECORDER_SEGMENT_SIZE */
    uint64_t cap;              /* bytes on disk, all files; 0: 1 GiB; at least 3 segments */
    const struct clock *clock; /* borrowed */
    struct loop *loop;         /* borrowed; NULL: no timers, waiters are called by the test */
    const struct log *log;     /* borrowed; may be NULL */
    /* Signs heartbeats; copied. NULL: no heartbeats. */
    const struct crypto_ed25519 *key;
    int heartbeat_ms;                  /* 0: RECORDER_HEARTBEAT_MS; idle: every sixth */
    const struct spool_system *system; /* NULL: the real system calls; for tests */
};

/* Opens or makes the spool, verifies what was not acknowledged, and goes on behind it. Damage
 * is logged and recorded as Loss, it does not stop the sidecar. ERR_EXISTS: another process
 * has it; ERR_DENIED: the directory belongs to another sidecar id. Returns owned. */
enum err recorder_open(const struct recorder_options *options, struct recorder **out,
                       struct err_text *why) MUST_USE;
/* Writes a last heartbeat, syncs, and closes. Takes NULL. */
void recorder_close(struct recorder *recorder);

/* The caller sets `session` (or leaves it NULL) and the event; the recorder fills in the rest
 * of the record (which afterwards points into the recorder: do not free its fields) and packs
 * it into the spool. `out_sequence` may be NULL.
 *
 * ERR_FULL: the cap or the disk; ERR_IO: the disk fails; ERR_LIMIT: longer than
 * RECORDER_RECORD_CAP. Nothing is written then, and the next write may succeed. Intents and opened
 * sessions are refused before the spool is really full, so that the outcomes of what was
 * already forwarded still find room. */
enum err recorder_write(struct recorder *recorder, Chaperone__V1__Record *record,
                        uint64_t *out_sequence) MUST_USE;

/* Whether an intent of `size` bytes would be taken now. May prepare a file. */
bool recorder_can_write(struct recorder *recorder, size_t size);

/* Of the last record; 0: there is none. Any thread. */
uint64_t recorder_last_sequence(const struct recorder *recorder);

/* ---- durability ----------------------------------------------------------------------- */

enum durability {
    DURABILITY_PROCESS, /* survives kill -9 of the process */
    DURABILITY_HOST,    /* survives the host: fdatasync, group commit */
    DURABILITY_FLEET,   /* acknowledged by the control plane */
};

const char *durability_name(enum durability level); /* "process", "host", "fleet" */

/* Any thread. */
bool recorder_is_durable(const struct recorder *recorder, uint64_t sequence, enum durability level);

/* The caller's memory; must stay until it was called or cancelled. */
struct recorder_waiter {
    uint64_t sequence;
    enum durability level;
    /* Once, on the loop's thread, never from inside recorder_wait: OK, or why it will not be
     * (ERR_IO: the disk failed). May write, wait again, and cancel others. */
    void (*fn)(void *context, enum err result);
    void *context;
    struct recorder_waiter *next, *previous; /* the recorder's */
    bool waiting;
};

/* The caller has set sequence, level, fn and context. */
void recorder_wait(struct recorder *recorder, struct recorder_waiter *waiter);
/* No call after it. A waiter that does not wait is left alone. */
void recorder_cancel_wait(struct recorder *recorder, struct recorder_waiter *waiter);

/* ---- heartbeats ----------------------------------------------------------------------- */

/* Asked when a heartbeat is written; `fn` NULL: 0. */
void recorder_count_sessions(struct recorder *recorder, uint32_t (*fn)(void *context),
                             void *context);
/* Writes one now (the last one of a shutdown, before the caller waits for DURABILITY_FLEET). */
enum err recorder_write_heartbeat(struct recorder *recorder, uint64_t *out_sequence) MUST_USE;
/* Records that records of the stream are gone. */
enum err recorder_write_loss(struct recorder *recorder, uint64_t first, uint64_t last,
                             const char *reason) MUST_USE;

/* ---- health --------------------------------------------------------------------------- */

struct recorder_status {
    enum err state;        /* OK, or why the last attempt to write or to sync failed */
    uint64_t last;         /* sequence of the last record */
    uint64_t synced;       /* on the disk up to here */
    uint64_t acknowledged; /* at the control plane up to here */
    uint64_t lost;         /* records found to be lost since the recorder was opened */
    uint64_t used, cap;    /* bytes on disk */
};

void recorder_status(const struct recorder *recorder, struct recorder_status *out);

/* ---- the uplink's side: one other thread ------------------------------------------------ */

/* Called on the loop's thread when a record was written and `recorder_want_notice` was called
 * since the last time; must only wake someone up. NULL: none. */
void recorder_on_notice(struct recorder *recorder, void (*fn)(void *context), void *context);
/* Any thread: asks for one notice; true when there are records behind `sequence` already (no
 * notice is given for those). */
bool recorder_want_notice(struct recorder *recorder, uint64_t sequence);
/* Any thread: someone waits for DURABILITY_FLEET, so shipping should not dawdle. */
bool recorder_is_fleet_awaited(const struct recorder *recorder);

/* Any thread: the control plane has all up to `sequence`, whose hash is `hash` (32 bytes; NULL:
 * not known). Files that hold nothing else are deleted. */
void recorder_acknowledge(struct recorder *recorder, uint64_t sequence, const uint8_t *hash);

/* The control plane holds records of this stream that the disk has lost (the host went down
 * before they were synced): goes on behind its last one, so that no number is used twice.
 * ERR_EXISTS when there are newer records here already. */
enum err recorder_continue_after(struct recorder *recorder, uint64_t sequence,
                                 const uint8_t *hash) MUST_USE;

/* The number of the first record that this process wrote. Any thread. */
uint64_t recorder_first_own(const struct recorder *recorder);

/* The stream here does not go on where the control plane's ends, at `sequence` with `hash`: what is
 * readable from number `from` on is chained anew behind it, with Loss records (`reason`) in the
 * place of what is not. Where `from` is `sequence + 1` and gaps are narrow, records keep their
 * numbers; else they get new ones, which may be smaller. All waiters fail with ERR_IO. No reader
 * may be there. Takes as long as reading all of it. ERR_FULL, ERR_IO, ERR_NO_MEMORY,
 * ERR_UNAVAILABLE (a file cannot be opened or mapped now): nothing has changed. */
enum err recorder_rebase(struct recorder *recorder, uint64_t sequence, const uint8_t *hash,
                         uint64_t from, const char *reason) MUST_USE;

enum recorder_join {
    RECORDER_FOLLOWS,     /* the next record is there and follows */
    RECORDER_NOTHING_NEW, /* there is nothing behind it */
    RECORDER_BROKEN,      /* what is behind it does not follow it, or is damaged */
    RECORDER_UNREADABLE,  /* not known: it cannot be looked at now, for want of memory, say */
};

/* The uplink's thread: how the stream here goes on behind record `sequence` with `hash`. */
enum recorder_join recorder_joins(struct recorder *recorder, uint64_t sequence,
                                  const uint8_t *hash);

struct recorder_reader;

struct recorder_batch {
    const struct bytes *records; /* canonical bytes, as written */
    const uint64_t *sequences;
    size_t count;
    const uint8_t *last_hash; /* of the last record, RECORDER_HASH_SIZE bytes */
};

/* Reads from the record behind `sequence` on. Returns owned. */
enum err recorder_reader_create(struct recorder *recorder, uint64_t sequence,
                                struct recorder_reader **out) MUST_USE;
void recorder_reader_destroy(struct recorder_reader *reader); /* takes NULL */
/* The next records, at most `max_count` and about `max_bytes` (at least one, however long).
 * ERR_NOT_FOUND: nothing more now. Borrowed, without a copy: valid until the next call. The
 * numbers in a batch have no gap; between batches there is one where records are damaged. */
enum err recorder_reader_next(struct recorder_reader *reader, size_t max_count, size_t max_bytes,
                              struct recorder_batch *out) MUST_USE;
/* Everything up to this number was given, or cannot be read. */
uint64_t recorder_reader_position(const struct recorder_reader *reader);
/* The hash of one record that is still here; ERR_NOT_FOUND; ERR_UNAVAILABLE: it cannot be looked at
 * now. `out` has RECORDER_HASH_SIZE bytes. */
enum err recorder_find_hash(struct recorder *recorder, uint64_t sequence, uint8_t *out) MUST_USE;

#endif

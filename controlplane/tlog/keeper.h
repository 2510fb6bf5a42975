/* Keeps the transparency log: follows the records of the store, writes the tiles, signs checkpoints
 * and publishes them when enough witnesses have cosigned.
 *
 * Of several control planes on one store each keeps the whole directory; the one that holds
 * STORE_DUTY_LOG signs. Never two trees of one size: before it signs, it compares its own
 * tree with the last checkpoint of the store, with those that this directory has seen signed, and
 * with what the witnesses saw. Where they do not agree it stops for good (a person begins a new
 * log, or brings the records back, and starts it again); records are taken in as before.
 *
 * What answers questions (keeper_latest and below) may be called from any thread. */
#ifndef CHAPERONE_CONTROLPLANE_TLOG_KEEPER_H
#define CHAPERONE_CONTROLPLANE_TLOG_KEEPER_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/tlog/checkpoint.h"
#include "base/tlog/tile.h"
#include "controlplane/store/store.h"

struct keeper;

/* As controlplane/witness/witness.h says; called on the keeper's thread. */
struct keeper_witness {
    struct tlog_verifier verifier;
    enum err (*cosign)(void *context, struct bytes note, uint64_t size,
                       const struct tlog_reader *reader, struct buffer *out_line,
                       uint64_t *out_seen, struct err_text *why);
    void *context;
};

/* All borrowed. */
struct keeper_options {
    struct store *store;
    const char *data;   /* directory: keys; the log is in "log" below it */
    const char *origin; /* NULL: as it was fixed, or `fallback` at the first start */
    const char *fallback;
    int64_t interval_ns;    /* at most one checkpoint in this time */
    int64_t key_overlap_ns; /* a replaced key goes on signing for so long */
    const struct keeper_witness *witnesses;
    size_t witness_count, quorum;
    struct clock clock;
    const struct log *log;
    /* Before each step that changes something: for tests, which die there. May be NULL. */
    void (*on_step)(void *context, const char *step);
    void *step_context;
};

/* What has to be recorded: "log_rolled_back", "log_forked", "witness_refused", "log_key". */
typedef enum err keeper_report_fn(void *context, const char *kind, const char *detail);

/* Opens the keys, makes what is missing, and locks the directory. Does not look at the log yet.
 * ERR_EXISTS: another process has it; ERR_INVALID, ERR_DENIED: as of log_keys_open. Returns owned.
 */
enum err keeper_create(const struct keeper_options *options, struct keeper **out,
                       struct err_text *why) MUST_USE;
/* Ends the thread. Takes NULL. No call may be under way. */
void keeper_destroy(struct keeper *keeper);

/* Its thread begins. `report` is called on it, and may block. */
enum err keeper_start(struct keeper *keeper, keeper_report_fn *report, void *context) MUST_USE;
/* `report` is called no more after it returned. May be called without a start, and again. */
void keeper_stop(struct keeper *keeper);
/* One pass of what the thread does: for tests without one. */
enum err keeper_turn(struct keeper *keeper) MUST_USE;
/* The same, with whom to report to. */
void keeper_set_report(struct keeper *keeper, keeper_report_fn *report, void *context);

/* ---- questions ------------------------------------------------------------------------------ */

enum keeper_state {
    KEEPER_STARTING,    /* checks the directory, or makes it */
    KEEPER_SIGNING,     /* this control plane signs */
    KEEPER_FOLLOWING,   /* another one does */
    KEEPER_FAILING,     /* a disk, the store: tried again */
    KEEPER_ROLLED_BACK, /* there are fewer records than were signed */
    KEEPER_FORKED,      /* the records are others than were signed */
    KEEPER_FOREIGN,     /* what is signed in the store is of another log or key */
};
/* "signing", "rolled_back", ... */
const char *keeper_state_name(enum keeper_state state);
/* Whether it goes on without a person. */
bool keeper_state_is_well(enum keeper_state state);

struct keeper_status {
    enum keeper_state state;
    char detail[256];     /* for people; "" where all is well */
    uint64_t size;        /* records in the tree here */
    uint64_t published;   /* in the newest checkpoint that is published; 0: none */
    int64_t published_ns; /* when it was signed */
    size_t cosigned;      /* by so many witnesses */
    size_t quorum;        /* of so many that are needed */
};
void keeper_read_status(struct keeper *keeper, struct keeper_status *out);

struct keeper_checkpoint {
    uint64_t size;
    struct tlog_hash root;
    int64_t time_ns;
    struct bytes note; /* in the arena */
    const char *origin;
};

/* The newest published checkpoint. ERR_NOT_FOUND: none yet. */
enum err keeper_latest(struct keeper *keeper, struct arena *arena,
                       struct keeper_checkpoint *out) MUST_USE;
/* The first one of at least `size` records that enough witnesses cosigned. ERR_NOT_FOUND: none is
 * published yet. */
enum err keeper_checkpoint_from(struct keeper *keeper, uint64_t size, struct arena *arena,
                                struct keeper_checkpoint *out) MUST_USE;
/* As from, but waits for it: ERR_TIMEOUT. */
enum err keeper_await(struct keeper *keeper, uint64_t size, int64_t timeout_ns, struct arena *arena,
                      struct keeper_checkpoint *out) MUST_USE;

/* Verifier keys as text, in the arena: of the log (that which signs now first), of the witnesses.
 */
struct keeper_keys {
    char **logs, **witnesses;
    size_t log_count, witness_count;
    size_t quorum;
};
enum err keeper_list_keys(struct keeper *keeper, struct arena *arena,
                          struct keeper_keys *out) MUST_USE;

/* Proofs from the tiles, checked against the root of `checkpoint` before they are given.
 * ERR_UNAVAILABLE: a tile is damaged or missing; it is being mended. */
enum err keeper_prove_inclusion(struct keeper *keeper, const struct keeper_checkpoint *checkpoint,
                                uint64_t index, const struct tlog_hash *leaf,
                                struct tlog_proof *out) MUST_USE;
enum err keeper_prove_consistency(struct keeper *keeper, const struct keeper_checkpoint *checkpoint,
                                  uint64_t before, struct tlog_proof *out) MUST_USE;
/* Appends the tile's data. ERR_INVALID: a tree of `size` does not have it. */
enum err keeper_read_tile(struct keeper *keeper, uint64_t size, const struct tlog_tile *tile,
                          struct buffer *out) MUST_USE;

#endif

/* Is a record of what agents did complete? Records go in as the audit log gives them, of all
 * streams, in order of time; what is missing comes out, as soon as it is certain.
 *
 * Of each stream (api/audit.proto): its numbers, the hash of the record before, the signatures of
 * its heartbeats and the time between them, its losses. Of each session: that every operation that
 * was let through has an outcome, and that the session has an end.
 *
 * Records of a stream whose clock was set back come out of order: COMPLETENESS_WINDOW of them are
 * kept until their turn. Memory is constant for each stream, and grows with the sessions that are
 * open at one time and their operations under way. Pure but for the hashing: no network, no clock.
 */
#ifndef CHAPERONE_COMPLETENESS_COMPLETENESS_H
#define CHAPERONE_COMPLETENESS_COMPLETENESS_H

#include "base/bytes.h"

enum {
    COMPLETENESS_WINDOW = 256,          /* records of one stream that wait for one before them */
    COMPLETENESS_STREAMS_MAX = 1 << 16, /* more sidecars than one control plane serves */
    COMPLETENESS_OPEN_MAX = 1 << 20,    /* sessions, and operations, that are open at one time */
    COMPLETENESS_ID_SIZE = 64,          /* of a session or a sidecar; longer ones are malformed */
};

enum completeness_kind {
    COMPLETENESS_MALFORMED,  /* a record that cannot be read */
    COMPLETENESS_GAP,        /* numbers `first` to `last` are missing */
    COMPLETENESS_BEGINNING,  /* the stream should begin with 1, and begins behind `last` */
    COMPLETENESS_TAIL,       /* the control plane knew of `last`; the log ends before `first` */
    COMPLETENESS_REPEATED,   /* number `first` comes again */
    COMPLETENESS_CHAIN,      /* `first` does not carry the hash of the record before it */
    COMPLETENESS_SIGNATURE,  /* heartbeat `first` is not signed by the key that it names */
    COMPLETENESS_KEY,        /* heartbeat `first` is signed by another key than the one before */
    COMPLETENESS_SILENCE,    /* no heartbeat from `from_ns` to `to_ns`, with work under way */
    COMPLETENESS_LOSS,       /* the sidecar says itself that it lost `first` to `last` */
    COMPLETENESS_NO_OUTCOME, /* `operation` of `session`, intent `first` */
    COMPLETENESS_NO_END,     /* of `session` */
    COMPLETENESS_RECORDED,   /* the control plane recorded at `from_ns` that it noticed `reason`,
                              * which   the records that were read do not show and do not settle */
    COMPLETENESS_AFTER_END,  /* `first` to `last` come behind the end of a revoked sidecar's stream
                              */
    COMPLETENESS_REVOKED,    /* no finding: the stream ends with `last` because somebody revoked the
                              * sidecar at `from_ns`; `reason` says who, why, and what has no end */
};

/* Strings are valid in the callback only. What a kind has no use for is 0 or "". */
struct completeness_finding {
    enum completeness_kind kind;
    const char *sidecar, *session, *reason;
    uint64_t first, last, operation;
    int64_t from_ns, to_ns;
};

/* "gap", "no_outcome": stable names for scripts. */
const char *completeness_kind_name(enum completeness_kind kind);

/* Called in every function below that takes records or ends; must not call them. Anything but OK
 * ends the check with that. */
typedef enum err completeness_fn(void *context, const struct completeness_finding *finding);

struct completeness_options {
    int64_t silence_ns;  /* longer between two heartbeats is a silence */
    bool from_beginning; /* the records are all there ever were: streams begin with 1 */
    /* Only records of some sessions are given: nothing is said about streams. */
    bool only_sessions;
    completeness_fn *on_finding;
    void *context; /* borrows */
};

struct completeness_counts {
    uint64_t records, streams, heartbeats, sessions, operations;
    uint64_t running_sessions, running_operations; /* that have no end because they go on */
    uint64_t revoked; /* sidecars; what they have not ended is no finding */
    uint64_t findings;
};

struct completeness;

/* Returns owned; NULL when memory is short. */
struct completeness *completeness_create(const struct completeness_options *options) MUST_USE;
void completeness_destroy(struct completeness *c); /* takes NULL */

/* A stream whose last heartbeat came at `heard_ns` (0: nothing is known) is silent. One that a
 * heartbeat without open sessions closed `rests`, as long as it likes. */
static inline bool completeness_is_silent(bool rests, int64_t heard_ns, int64_t now_ns,
                                          int64_t silence_ns)
{
    return !rests && heard_ns != 0 && now_ns - heard_ns > silence_ns;
}

/* What the control plane says, asked before the log is read. ERR_LIMIT, ERR_NO_MEMORY.
 *
 * The last number of a stream. */
enum err completeness_expect_last(struct completeness *c, const char *sidecar,
                                  uint64_t sequence) MUST_USE;
/* A session that is open: it needs no end. `seen_ns`: when its sidecar was last heard of. */
enum err completeness_expect_open(struct completeness *c, const char *sidecar, const char *session,
                                  int64_t seen_ns) MUST_USE;

/* The canonical bytes of one record. ERR_LIMIT, ERR_NO_MEMORY, or what the callback returned. */
enum err completeness_add(struct completeness *c, struct bytes record) MUST_USE;

/* A record whose content was erased: only its place in the stream can be checked. */
struct completeness_erased {
    const char *sidecar;
    uint64_t sequence;
    int64_t time_ns;
    struct bytes hash; /* of the record as it was: 32 bytes */
};
enum err completeness_add_erased(struct completeness *c,
                                 const struct completeness_erased *erased) MUST_USE;

/* After the last record. `began_ns`: when reading began; what came later may still go on.
 * `now_ns`: silence up to then counts. */
enum err completeness_end(struct completeness *c, int64_t began_ns, int64_t now_ns) MUST_USE;

/* Final after completeness_end. */
struct completeness_counts completeness_counts(const struct completeness *c);

#endif

/* Matches what the audit has with what the target says it executed: by text, database user and
 * database, in order of time, within a tolerance between the clocks of the two.
 *
 * Both sides are given in order of time. What has found nothing on the other side is told when
 * nothing can come any more that it would agree with; until then it is kept, so that memory grows
 * with what happens within the tolerance and with the operations under way, not with the log.
 * Pure: no network, no clock. */
#ifndef CHAPERONE_CLI_RECONCILE_MATCHER_H
#define CHAPERONE_CLI_RECONCILE_MATCHER_H

#include "base/bytes.h"

enum { MATCHER_KEPT_MAX = 1 << 20, MATCHER_NAME_SIZE = 64 }; /* PostgreSQL's names have 63 bytes */

/* Whether an operation was executed, as far as the audit knows. */
enum matcher_state {
    MATCHER_UNKNOWN,      /* no outcome: the target may have it or not */
    MATCHER_EXECUTED,     /* the target must have it */
    MATCHER_FAILED,       /* an error: its log may name it or not */
    MATCHER_NOT_EXECUTED, /* refused or skipped: the target must not have it */
};

struct matcher_operation {
    const char *stream, *session; /* whose `operation` it is */
    uint64_t operation;
    int64_t time_ns;
    const char *user, *database; /* NULL: not known, any */
    struct bytes text;
    uint64_t text_size; /* more than there is of `text`: the rest was not recorded */
    bool is_held;       /* waits for people: matcher_release */
};

struct matcher_entry {
    int64_t time_ns;
    struct bytes user, database, text, application, backend;
    bool is_shared;     /* of one statement there may be several: pgaudit */
    bool is_failed;     /* only an error names it: it was not executed, or taken back */
    bool is_prediction; /* the sidecar asked about a held operation with this text */
};

enum matcher_kind {
    MATCHER_NOT_IN_AUDIT, /* the target executed it; went around the sidecar */
    MATCHER_NOT_IN_LOG,   /* the audit says it was executed */
    MATCHER_REFUSED_RAN,  /* the audit says it was not executed, and the target did */
};

/* Valid in the callback only; what is not known is empty. */
struct matcher_finding {
    enum matcher_kind kind;
    int64_t time_ns;
    struct bytes user, database, text, application, backend;
    const char *session; /* of an operation */
    uint64_t operation;
};

/* Must not call the matcher. Anything but OK ends the work with that. */
typedef enum err matcher_fn(void *context, const struct matcher_finding *finding);

struct matcher_options {
    int64_t tolerance_ns;
    matcher_fn *on_finding;
    void *context; /* borrows */
};

struct matcher_counts {
    uint64_t matched, predictions;
    /* No findings: operations that the log need not have, errors that the audit need not have. */
    uint64_t failed, unknown, errors;
};

struct matcher;

/* Returns owned; NULL when memory is short. */
struct matcher *matcher_create(const struct matcher_options *options) MUST_USE;
void matcher_destroy(struct matcher *m); /* takes NULL */

/* All copy what they keep. ERR_LIMIT, ERR_NO_MEMORY, or what the callback returned. */
enum err matcher_add_operation(struct matcher *m, const struct matcher_operation *o) MUST_USE;
/* Of one that is not known: nothing. */
enum err matcher_release(struct matcher *m, const char *stream, const char *session,
                         uint64_t operation, int64_t time_ns) MUST_USE;
enum err matcher_set_state(struct matcher *m, const char *stream, const char *session,
                           uint64_t operation, enum matcher_state state) MUST_USE;
enum err matcher_add_entry(struct matcher *m, const struct matcher_entry *e) MUST_USE;

/* No operation, and no entry, comes any more from before this time. */
enum err matcher_advance(struct matcher *m, int64_t operations_ns, int64_t entries_ns) MUST_USE;
/* No entry comes any more: operations from this time on are not missed in the log. */
void matcher_end_entries(struct matcher *m, int64_t log_end_ns);
/* Nothing comes any more. */
enum err matcher_end(struct matcher *m) MUST_USE;

struct matcher_counts matcher_counts(const struct matcher *m);

#endif

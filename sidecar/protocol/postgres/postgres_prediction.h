/* What the target expects of an operation that people are to decide about: its plan, how many rows
 * it would change, which locks the session holds meanwhile. Asked over the session's own
 * connection, in its own transaction, by the extended protocol and under a name of our own.
 *
 *   [savepoint] [locks] plan, plan as JSON [begin, run, roll back] [roll back to the savepoint]
 *
 * Outside of a transaction nothing is left of it; inside of one a savepoint keeps it from being
 * aborted. A batch that is open (Parse was sent, Sync was not) has room for no savepoint: there an
 * error of the plan is the error of the statement. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_POSTGRES_PREDICTION_H
#define CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_POSTGRES_PREDICTION_H

#include "base/bytes.h"

enum {
    PG_PREDICTION_PLAN_MAX = 64 << 10, /* bytes of a plan; of a longer one its beginning */
    PG_PREDICTION_JSON_MAX = 1 << 20,
    PG_PREDICTION_LOCKS_MAX = 64,
    PG_PREDICTION_LOCK_SIZE = 200,
    PG_PREDICTION_QUESTIONS_MAX = 10,
};

enum pg_question {
    PG_ASK_SAVEPOINT,
    PG_ASK_READ_ONLY,
    PG_ASK_LOCKS,
    PG_ASK_PLAN,
    PG_ASK_PLAN_JSON,
    PG_ASK_BEGIN_READ_ONLY,
    PG_ASK_BEGIN,
    PG_ASK_RUN,
    PG_ASK_ROLLBACK,
    PG_ASK_ROLLBACK_TO,
    PG_ASK_RELEASE,
};

struct pg_prediction {
    bool is_running;
    bool in_batch;
    bool is_unwanted; /* it is decided already: only what tidies up is asked */
    bool has_failed;  /* the question that is being answered */
    bool gives_up;    /* one of them has: only what tidies up is still asked */
    enum pg_question questions[PG_PREDICTION_QUESTIONS_MAX];
    size_t count, at; /* the one that is being answered */
    unsigned closed;  /* CloseComplete of it: the last one ends it in a batch */
    /* The statement; owned copies. */
    struct buffer text, values;
    uint32_t *types;
    size_t type_count;
    /* What is known. */
    struct buffer plan, json;
    char (*locks)[PG_PREDICTION_LOCK_SIZE]; /* owned; NULL: none yet */
    size_t lock_count;
    bool has_exact;
    uint64_t exact_rows;
    char unavailable[200];
};

#endif

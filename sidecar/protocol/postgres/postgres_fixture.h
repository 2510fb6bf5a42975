/* A session of the tests: it grants everything, keeps what was sent to either side, and remembers
 * the intents and outcomes. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_POSTGRES_FIXTURE_H
#define CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_POSTGRES_FIXTURE_H

#include "base/arena.h"
#include "sidecar/protocol/postgres/postgres.h"
#include "sidecar/sql/sql.h"

struct fixture_outcome {
    uint64_t operation;
    Chaperone__V1__Status status;
    uint64_t rows, bytes_in;
    char tag[64], error_code[6];
    uint8_t digest_in[32]; /* zeros: none */
};

struct fixture_intent {
    char verb[16], text[128], rule[32];
    bool allowed;
    size_t parameter_count;
};

/* What people were asked. */
struct fixture_ask {
    char plan[256], unavailable[200], locks[256]; /* locks with "; " between */
    double rows;
    bool has_exact;
    uint64_t exact_rows;
};

enum fixture_held { FIXTURE_NOT_HELD, FIXTURE_HELD, FIXTURE_APPROVED, FIXTURE_REFUSED };

enum { FIXTURE_MAX = 64, FIXTURE_ASKS_MAX = 8 };

struct fixture {
    struct protocol_link link; /* first */
    struct protocol_shared shared;
    void *protocol;
    struct buffer to_agent, to_target, to_second, agent_in, target_in;
    struct fixture_intent intents[FIXTURE_MAX];
    struct fixture_outcome outcomes[FIXTURE_MAX];
    size_t intent_count, outcome_count; /* may be above FIXTURE_MAX: the rest is only counted */
    struct protocol_masks masks;        /* none; change the version with them */
    const char *deny;                   /* texts that begin with it are denied; NULL: none */
    /* Texts that begin with `hold` are held for people's decision; NULL: none. */
    const char *hold;
    bool hold_tells, hold_explains, hold_runs_dry;
    enum fixture_held held;
    uint8_t held_digest[32];
    struct protocol_hold hold_view;
    uint64_t held_operation;
    struct fixture_ask asks[FIXTURE_ASKS_MAX];
    size_t ask_count, hold_count;
    size_t others; /* operations that were decided while another one was held */
    bool may_hold_locks, is_withdrawn, is_forgotten;
    /* In their order: 'p' a provisional operation, 'w' one that waits for the disk with all before
     * it, 's' settle. */
    char waits[FIXTURE_MAX + 1];
    size_t wait_count;
    char why_withdrawn[100];
    bool recorder_fails, identified, connected, opened, closed, second;
    int64_t now;
};

void fixture_init(struct fixture *f);
void fixture_finish(struct fixture *f);

/* Bytes of a side; what is not used is kept and offered again. */
void fixture_agent(struct fixture *f, struct bytes b);
void fixture_target(struct fixture *f, struct bytes b);
/* People decide about the held operation (FIXTURE_APPROVED, FIXTURE_REFUSED), and the agent's
 * message is offered again. */
void fixture_decide(struct fixture *f, enum fixture_held decision);
/* Startup, grant, a trusting target, ReadyForQuery; the buffers are empty afterwards. */
void fixture_login(struct fixture *f);

#endif

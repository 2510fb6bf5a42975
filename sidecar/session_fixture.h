/* Sessions on a real loop, with a real recorder, and with a control plane, a policy and a protocol
 * of the test's own.
 *
 * The agent's and the target's ends are plain sockets that the test writes to; what arrives there
 * is gathered by fixture_step. The fixture asserts what protocol.h promises: no callback from
 * inside a link function, none after on_close but those of the second connection, one destroy.
 *
 * The protocol speaks lines. The agent's:
 *   login            identify, wait until it is open; then "ready" comes back
 *   do LEVEL TEXT    an operation that the policy allows at that level (process, host, fleet;
 *                    default: host, without a rule that asks for it) or denies (deny); the target
 *                    gets the line, or "refused" comes back. With "provisional" in TEXT it is that
 *   settle           what was provisional may last by this line
 *   prepare          an operation that is only prepared, at the level process
 *   do hold TEXT     one that people are asked about; "held" comes back at once, where the agent is
 *                    to be told. With "plan" in TEXT they are asked when the target has said
 *                    "planned"; with "locks" it may hold locks; with "shift" it is another
 *                    operation when f->hold.shift is another; with "big" it cannot wait
 *   pause            wait until the target has said "resume"
 *   second           another connection to the target
 *   key K, signal K  publish a key; use another session's: it hears "signalled", or what it waits
 *                    for is withdrawn
 *   close            the protocol ends the session
 * The target's:
 *   ok               the answer to one operation
 *   hold             wait until the agent has said "free"
 *   resume, close    as above
 * All other lines are passed on as they are. */
#ifndef CHAPERONE_SIDECAR_SESSION_FIXTURE_H
#define CHAPERONE_SIDECAR_SESSION_FIXTURE_H

#include <pthread.h>

#include <ev.h>

#include "base/arena.h"
#include "base/rpc/rpc.h"
#include "base/uuid.h"
#include "policies/policy.h"
#include "sidecar/audit/recorder.h"
#include "sidecar/audit/spool.h"
#include "sidecar/session.h"
#include "sidecar/token_source.h"

enum {
    FIXTURE_GOT_MAX = 1 << 16,
    FIXTURE_SEGMENT = 64 << 10,
    FIXTURE_RECORDS = 64,
    FIXTURE_DEADLINE_MS = 60000,
};

/* A callback of the protocol, as a bit. */
enum fixture_callback {
    CALL_AGENT_BYTES = 1,
    CALL_TARGET_BYTES = 2,
    CALL_GRANTED = 4,
    CALL_REFUSED = 8,
    CALL_CONNECTED = 16,
    CALL_FAILED = 32,
    CALL_END = 64,
};

/* One end of a connection, in the test's hands. */
struct fixture_end {
    int fd; /* -1: none */
    char got[FIXTURE_GOT_MAX];
    size_t size;
    bool closed; /* the sidecar has closed it */
    bool deaf;   /* fixture_step does not read it */
};

/* What the control plane answers. */
struct fixture_control {
    enum rpc_code code; /* RPC_OK: a grant */
    enum err start;     /* of control_open_session itself */
    bool silent;        /* no answer */
    const char *host;   /* NULL: the fixture's target */
    bool incomplete;    /* a grant without a credential */
    char token[64];     /* as it arrived */
    int asked, cancelled;
};

/* What the policy says of "do hold", and what the control plane answers and hears. */
struct fixture_hold {
    const char *hash; /* the policy's */
    const char *rule; /* that holds */
    enum policy_effect effect;
    struct policy_hold terms;
    enum rpc_code code; /* of RequestApproval */
    enum err start;     /* of control_request_approval itself */
    bool silent;        /* no answer */
    Chaperone__V1__ApprovalState answer;
    const char *answer_id;   /* NULL: as it was asked for */
    bool is_standing;        /* the answer is by a standing approval */
    bool has_another_digest; /* the answer is about another operation */
    uint8_t shift;
    int asked;
    char id[UUID_TEXT_SIZE]; /* of the last request */
    uint8_t digest[32];
    char shape[16];
    int64_t lifetime_ms;
    double rows;
    char ends[512]; /* "used; withdrawn (why)" */
};

struct fixture {
    struct loop *loop;
    struct log log;
    struct clock clock;
    struct metrics metrics;
    struct session_shared *shared;
    struct session_origin origin;
    struct fixture_control control;
    struct fixture_hold hold;
    size_t evaluated; /* how often the policy was asked */
    struct recorder *recorder;
    struct recorder_options recorder_options;
    char dir[64];
    struct spool_system system;
    pthread_mutex_t disk;
    pthread_cond_t disk_wake;
    bool disk_blocked;
    int disk_fails; /* errno */

    struct fixture_end agent, target, second;
    int listening;
    uint16_t port;
    struct ev_timer wake;
    int descriptors; /* that were open before */

    /* Of the protocol. */
    int close_in; /* callbacks that return PROTOCOL_CLOSE */
    size_t created, destroyed;
    void *protocol; /* the last one; borrows */
    size_t terminated;
    enum err terminate_code;
    enum err failed_code; /* of on_failed */
    enum protocol_side failed_side;
    size_t failed;
    enum err refused_code;
    char refused_why[256];
    size_t empties; /* on_empty */
};

int fixture_setup(void **state);
/* Asserts that no session, no descriptor and no protocol is left. */
int fixture_teardown(void **state);

/* A new session; its agent is f->agent. */
enum err fixture_start(struct fixture *f) MUST_USE;
/* And says its login. */
void fixture_log_in(struct fixture *f);
/* And waits for its "ready". */
void fixture_open_session(struct fixture *f);
/* And has "do process 1" under way on the target. */
void fixture_start_running(struct fixture *f);
/* How many there are. */
size_t fixture_sessions(const struct fixture *f);

void fixture_say(struct fixture_end *end, const char *text);
bool fixture_heard(const struct fixture_end *end, const char *text);
void fixture_hang_up(struct fixture_end *end);

/* A turn of the loop, and what it brought to the ends. */
void fixture_step(struct fixture *f);
/* Milliseconds of the monotonic clock. */
int64_t fixture_now(void);
void fixture_fail_at(const char *file, int line, const char *what);

/* Steps until it holds. */
#define UNTIL(f, condition)                                                                        \
    do {                                                                                           \
        int64_t until_end = fixture_now() + FIXTURE_DEADLINE_MS;                                   \
        while (!(condition)) {                                                                     \
            if (fixture_now() > until_end) {                                                       \
                fixture_fail_at(__FILE__, __LINE__, #condition);                                   \
            }                                                                                      \
            fixture_step(f);                                                                       \
        }                                                                                          \
    } while (0)

/* Steps for so long that what must not happen would have happened: until the loop has nothing to
 * do, several times. */
void fixture_settle(struct fixture *f);

/* The disk: blocked, its syncs wait; free again, they go on. */
void fixture_block_disk(struct fixture *f, bool blocked);
void fixture_fail_disk(struct fixture *f, int error);
/* Until a record of 4,000 bytes finds no room. */
void fixture_fill_spool(struct fixture *f);

/* The only session, and the protocol of the one that began last. */
struct session *fixture_session(struct fixture *f);
void *fixture_protocol(struct fixture *f);
/* The control plane's word on the last request, by its answer settings in f->hold. */
void fixture_push_decision(struct fixture *f, Chaperone__V1__ApprovalState state);

/* What was recorded, oldest first: "opened allow", "opened deny CODE", "intent TEXT", "outcome
 * success" (unknown, refused, not executed), "approval STATE", "closed REASON"; with " #1" for the
 * first approval that is named, " #2" for the second. NULL at the end. Valid until the next call.
 */
const char *const *fixture_records(struct fixture *f);
/* Joined with "; ". */
void fixture_expect_records(struct fixture *f, const char *expected);

#endif

/* One agent's connection and the target's behind it: the way of an operation.
 *
 * A session owns both connections, the protocol's state between them, and every record about them.
 * It frees itself when both are closed; nobody else holds a pointer to it but the directory.
 *
 * What cannot be sent, or not be kept, ends the session: no byte is left out of the middle.
 *
 * Memory: SESSION_READ_CHUNK is shared by all; per direction at most the protocol's `buffer_max`
 * for what is not understood yet, CONN_HIGH_WATER and one chunk for what the other side does not
 * take, and the recorded part of one answer. */
#ifndef CHAPERONE_SIDECAR_SESSION_H
#define CHAPERONE_SIDECAR_SESSION_H

#include "base/clock.h"
#include "base/log.h"
#include "base/net/conn.h"
#include "sidecar/directory.h"
#include "sidecar/metrics.h"
#include "sidecar/protocol/protocol.h"
#include "sidecar/target_tls.h"
#include "sidecar/trim.h"

struct arena;
struct control;
struct control_kill;
struct holders;
struct policy;
struct proxy;
struct rate_table;
struct recorder;
struct token_source;

enum {
    SESSION_READ_CHUNK = 64 << 10,
    /* In front of it: the beginning of a message, as long as most rows are. */
    SESSION_READ_FRONT = 4 << 10,
    SESSION_LOGIN_MS = 60000, /* from the first byte to the open session; PostgreSQL's own
                                 authentication_timeout */
    SESSION_CONNECT_MS = 10000,
    SESSION_ANSWER_MS = 5000, /* how long answers are awaited after the agent has gone */
    SESSION_FLUSH_MS = 2000,
    SESSION_SECOND_MS = 5000,
    /* What is to be stopped may only just be on its way, and a server that has not begun it does
     * not stop it: after an order to end the session, the request to stop is repeated so often and
     * after so long. */
    SESSION_STOP_AGAIN = 2,
    SESSION_STOP_AGAIN_MS = 500,
    /* How long an operation waits for its record to be durable. It must not happen long after the
     * agent has given up. */
    SESSION_DURABLE_MS = 30000,
};

/* Of all sessions, in milliseconds; 0: as above. */
struct session_times {
    int login, answer, second, durable, stop_again;
};

/* What all sessions share. Borrowed; `policy` changes between two operations. */
struct session_shared {
    struct loop *loop;
    const struct log *log;
    const struct clock *clock;
    struct control *control;
    struct recorder *recorder;
    const struct policy *policy; /* NULL: none yet, everything is refused */
    struct directory *directory;
    struct holders *holders; /* of agents' sockets */
    struct rate_table *rates;
    struct metrics *metrics;
    struct token_source *tokens;
    struct protocol_shared protocol;
    struct arena *scratch; /* of one record; reset when it is written */
    struct session_times times;
    struct target_tls target_tls;
    struct trim trim;
    uint8_t chunk[SESSION_READ_FRONT + SESSION_READ_CHUNK];
    bool draining;
    /* Called when the last session has gone while draining. */
    void (*on_empty)(void *context);
    void *context;
};

/* What the listener knows. Borrowed: outlives its sessions. */
struct session_origin {
    const struct protocol *protocol;
    const char *resource;          /* NULL: a proxy */
    struct tls_context *agent_tls; /* NULL: none configured */
    struct proxy *proxy;           /* NULL: not one */
};

/* Takes the accepted socket, also on failure. */
enum err session_start(struct session_shared *shared, const struct session_origin *origin,
                       int fd) MUST_USE;

const char *session_id(const struct session *session);
/* Whether the order is about it. Who the agent is, is known from its grant on; a grant that crosses
 * the order is refused by sidecar/control. False for one that has ended. */
bool session_is_meant(const struct session *session, const struct control_kill *order);
/* Ends it with an error in the agent's protocol; what runs on the target is cancelled. */
void session_kill(struct session *session, const struct control_kill *order);
/* What became of an approval; one that this session does not wait for is passed over. */
void session_take_decision(struct session *session, const Chaperone__V1__ApprovalDecided *decided);
/* The policy is another one: what is held is decided again. */
void session_look_again(struct session *session);
/* The approval that it waits for; NULL: none. */
const char *session_awaited_approval(const struct session *session);
/* Ends it now if it is idle, else as soon as it is. */
void session_drain(struct session *session);
/* Ends it now: the time for draining is over. */
void session_abort(struct session *session);

#endif

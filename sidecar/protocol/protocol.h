/* The contract between a session and a protocol.
 *
 * A protocol is pure: bytes and events come in, and what it wants done goes out through the
 * `protocol_link` that the session gave it. It never sees a socket, a clock, the policy or the
 * recorder. A session never sees a message.
 *
 *   agent ── on_agent_bytes ──▶ protocol ── to_target ──▶ target
 *                                  │ decide (policy, intent record)
 *   agent ◀──── to_agent ───── protocol ◀─ on_target_bytes ── target
 *                                  │ outcome (record)
 *
 * Invariants the session keeps:
 * - What is given to `to_target` after an intent leaves only when that intent is recorded as
 *   durably as the policy says; the order of bytes never changes.
 * - A provisional operation may leave before its intent is on the disk. Every one behind it that is
 *   not provisional, and whatever is given to `to_target` after `settle`, waits for it.
 * - After `close`, or when the protocol returns PROTOCOL_CLOSE, no callback follows but destroy.
 * - No callback is made from inside a link function, except where it says so. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_PROTOCOL_H
#define CHAPERONE_SIDECAR_PROTOCOL_PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>

#include "api/audit.pb-c.h"
#include "api/sidecar.pb-c.h"
#include "base/bytes.h"

/* The other side of a connection: the agent, the target, and a short-lived second connection
 * to the target that a protocol may need beside the first (PostgreSQL's CancelRequest). */
enum protocol_side { SIDE_AGENT, SIDE_TARGET, SIDE_SECOND };

enum protocol_step {
    PROTOCOL_MORE, /* everything understood was used; call again with more bytes */
    PROTOCOL_WAIT, /* stop reading this side until the protocol is called by another event; after it
                      the unused bytes are offered again */
    PROTOCOL_CLOSE, /* the conversation is over: flush what was written, then close */
};

/* Who the agent says it is, and what it wants. Strings are borrowed for the call. */
struct protocol_request {
    struct bytes token; /* in-band; empty: the sidecar's own source */
    const char *database, *user, *application_name;
};

/* What the approval of a held operation is bound to. */
struct protocol_binding {
    /* Fills in what follows, which costs something: called only where something is held. False: no
     * memory. */
    bool (*make)(struct protocol_binding *binding);
    /* SHA-256 of all that goes to the target for it: the text, the values and their types. */
    uint8_t digest[32];
    const char *shape; /* the same where only values differ; "": none */
    /* Others may have to wait for what the session did before, as long as it waits: the shorter
     * limit of an open transaction holds. */
    bool may_hold_locks;
};

/* An operation that people are asked about. */
struct protocol_hold {
    const char *id;      /* of the approval */
    bool is_new;         /* it was not held before this call: `ask` is awaited */
    bool tells;          /* the agent waits, and is to be told so */
    const char *who;     /* "2 people of dba, security" */
    const char *message; /* of the rule, for the agent; "": none */
    int64_t lifetime_s;
    bool explains, runs_dry; /* which prediction is wanted */
};

struct protocol_verdict {
    bool allowed;
    /* Not decided yet; valid until the next call of decide. The protocol returns PROTOCOL_WAIT
     * without having used the message, and decides the same operation again when it is offered
     * again: after the decision, and maybe before. NULL: decided. */
    const struct protocol_hold *hold;
    bool is_withdrawn;        /* refused because the agent itself cancelled it */
    const char *approval;     /* its id, where there was one; valid likewise. NULL: none */
    uint64_t operation;       /* its number within the session; for the outcome */
    uint64_t intent_sequence; /* for the outcome */
    const char *rule;         /* valid until the next call of decide */
    const char *message;      /* for the agent, when it is refused; valid likewise */
    uint64_t max_rows;        /* that the agent may see; 0: all */
    bool without_results;     /* of the answer only digest and counts are recorded */
    /* Of HTTP; 0: no limit. */
    uint64_t max_request_bytes, max_response_bytes;
    int64_t retry_after_ms; /* refused by a rate limit: when it may be tried again; else 0 */
};

struct policy_http;
struct policy_mask;

/* The masks that hold for a session. Valid during the call of the protocol in which it was asked.
 */
struct protocol_masks {
    uint64_t version; /* another one with each policy, and when anything of it changed; never 0 */
    const struct policy_mask *const *items;
    size_t count;     /* 0: nothing is masked */
    bool is_complete; /* false: there are more than can be held; nothing may be shown */
};

struct protocol_link;

struct protocol_link_ops {
    /* Bytes on their way. They may point into the `in` of the running on_*_bytes call, and are
     * copied otherwise; adjoining pieces of `in` leave in one write. */
    void (*to_agent)(struct protocol_link *link, struct bytes b);
    void (*to_target)(struct protocol_link *link, struct bytes b);
    void (*to_second)(struct protocol_link *link, struct bytes b);

    /* The agent says itself where it wants to go: an explicit proxy, which has to `choose`. */
    bool (*is_proxy)(struct protocol_link *link);
    /* Of a proxy, before `identify`: the resource behind a host (lower case) and port. With
     * `is_secure` start_tls(SIDE_AGENT) then answers for that host. False: no resource has it, or
     * one was chosen before. */
    bool (*choose)(struct protocol_link *link, const char *host, uint16_t port, bool is_secure);

    /* Asks the control plane for the session; on_granted or on_refused follows. */
    void (*identify)(struct protocol_link *link, const struct protocol_request *request);
    /* Connects to the granted target; on_connected or on_failed(SIDE_TARGET) follows. Again: the
     * connection that was there before is closed, with what had not left for it. */
    void (*connect_target)(struct protocol_link *link);
    /* Closes it, with what had not left for it; nothing more is heard of it. `connect_target` may
     * follow, then or later. */
    void (*leave_target)(struct protocol_link *link);
    /* One more connection to the same target; on_connected or on_failed(SIDE_SECOND) follows. It is
     * closed by the session after the target closed it, or after a few seconds. False: there is
     * one already. */
    bool (*connect_second)(struct protocol_link *link);
    /* Whether `start_tls` can work. */
    bool (*has_tls)(struct protocol_link *link, enum protocol_side side);
    /* TLS from here on, by the grant's rules or with the listener's certificate; on_secured
     * follows. False: this side has no TLS configured. */
    bool (*start_tls)(struct protocol_link *link, enum protocol_side side);
    /* What the handshake agreed on (protocol.alpn); empty: nothing, or no TLS. */
    struct bytes (*alpn)(struct protocol_link *link, enum protocol_side side);
    /* For channel binding; `out` has 64 bytes; 0: none. */
    size_t (*end_point_hash)(struct protocol_link *link, enum protocol_side side, uint8_t *out);

    /* An operation is about to happen. The protocol fills in what it understands of `intent`;
     * verdict, rule and policy are added; the record is written. When it returns false nothing
     * may be forwarded: refused, or it could not be recorded (`verdict` says which). Sides with
     * the agent's declared reasons may be empty. `binding` NULL: it cannot be held, and is refused
     * where it would be. */
    bool (*decide)(struct protocol_link *link, Chaperone__V1__Intent *intent,
                   struct protocol_binding *binding, struct protocol_verdict *verdict);
    /* A statement is about to be prepared and not run, as far as anyone knows. As decide; what
     * would be held may be prepared: it is held when it is to run. */
    bool (*prepare)(struct protocol_link *link, Chaperone__V1__Intent *intent,
                    struct protocol_verdict *verdict);
    /* Whether the policy has to see all of the operation before it can decide: a rule asks for the
     * body of the request, or people will. Of the link's `http` all but the body is looked at. */
    bool (*needs_body)(struct protocol_link *link, const Chaperone__V1__Intent *intent);
    /* Whether the policy of this moment denies it. Nothing is recorded: decide or prepare
     * follows. */
    bool (*denies)(struct protocol_link *link, const Chaperone__V1__Intent *intent);
    /* Asks people about the operation that was just held, with what the target predicts. Locks:
     * those that its open transaction holds. All is borrowed. */
    void (*ask)(struct protocol_link *link, const Chaperone__V1__Prediction *prediction,
                char *const *locks, size_t lock_count);
    /* The held operation is not to be done any more. Its refusal comes when it is decided again;
     * `forget`: it never will be. False: nothing is held. */
    bool (*withdraw)(struct protocol_link *link, const char *why, bool forget);
    /* Whether the operation that was held last is still waited for: not decided, expired, or
     * withdrawn. */
    bool (*is_held)(struct protocol_link *link);
    /* What is given to `to_target` from here on may make lasting what provisional operations did,
     * and has no intent of its own: it leaves when all that is recorded is on the disk. Nothing
     * where no provisional operation has left since the last that was not. */
    void (*settle)(struct protocol_link *link);
    /* What of the answers is to be masked, by the policy of this moment. Never NULL. */
    const struct protocol_masks *(*masks)(struct protocol_link *link);
    /* How it ended. Nothing of the answer's end may be given to to_agent before. False: it could
     * not be recorded; the session is being closed. */
    bool (*outcome)(struct protocol_link *link, Chaperone__V1__Outcome *outcome);
    /* One message of a running operation (WebSocket, event stream); of the agent's before it is
     * forwarded. False: it could not be recorded; the session is being closed. */
    bool (*message)(struct protocol_link *link, Chaperone__V1__Message *message);
    /* The login is complete: the session is open. */
    void (*opened)(struct protocol_link *link);

    /* A key under which other connections can reach this session (a cancel key). False: it is
     * taken. */
    bool (*publish_key)(struct protocol_link *link, struct bytes key);
    /* Calls on_signal of the session that published the key, inside this call. */
    bool (*signal_key)(struct protocol_link *link, struct bytes key);

    int64_t (*monotonic_ns)(struct protocol_link *link);
    bool (*random)(struct protocol_link *link, uint8_t *out, size_t size);
    /* Why the session ends, for its last record; the first one counts. */
    void (*set_end)(struct protocol_link *link, const char *reason, const char *error);
};

struct protocol_link {
    const struct protocol_link_ops *ops;
    /* HTTP, during decide, denies and needs_body: what the policy is asked about. The intent has
     * the same request as it may be recorded, after masking. Borrowed; NULL: none. */
    const struct policy_http *http;
    /* During decide: the operation is provisional. The target undoes all that it does, wherever
     * anybody could see it later, when the session's connection ends before an operation that is
     * not provisional, or something behind `settle`, has reached it. False where that is not
     * certain, and with every protocol that does not say otherwise. */
    bool is_provisional;
};

struct arena;
struct catalog_shelf;
struct masker_cache;
struct sql_cache;

/* What all sessions of a sidecar share, and its limits. Borrowed. */
struct protocol_shared {
    struct sql_cache *sql;
    struct catalog_shelf *catalogs;
    struct masker_cache *detectors;
    size_t statement_max;  /* bytes of one statement's text that is understood; more is refused */
    size_t response_max;   /* bytes of an answer that are recorded */
    size_t parameter_max;  /* bytes of one parameter value that are recorded */
    bool token_in_band;    /* ask the agent for its token */
    struct arena *scratch; /* of one message; reset by the protocol at its beginning */
    const char *version;
};

struct protocol {
    const char *name;     /* "postgres" */
    const char *alpn;     /* for TLS on both sides, as in base/net/tls.h; NULL: none */
    bool starts_with_tls; /* where the listener has a certificate, the agent begins with TLS */
    /* A side that waits is offered its bytes again also when there are none: `in` is empty then. */
    bool is_offered_nothing;

    /* The socket's path where the target's host is a directory ("/run/postgresql"). */
    void (*unix_path)(const char *dir, uint16_t port, char *out, size_t size);

    /* Returns owned; NULL when memory is short. */
    void *(*create)(struct protocol_link *link, const struct protocol_shared *shared);
    void (*destroy)(void *p);

    /* Bytes of a side, at the front of `in`. The rest that is not used comes again, with more
     * behind it. They are in memory of the session that nobody else reads: what is used may be
     * written to before it is given to a link function (rows are masked where they stand). At most
     * `buffer_max` bytes are ever kept for this. */
    size_t buffer_max;
    enum protocol_step (*on_agent_bytes)(void *p, struct bytes in, size_t *out_used);
    enum protocol_step (*on_target_bytes)(void *p, struct bytes in, size_t *out_used);
    enum protocol_step (*on_second_bytes)(void *p, struct bytes in, size_t *out_used);

    /* The secrets of the grant are valid during the call only. */
    enum protocol_step (*on_granted)(void *p, const Chaperone__V1__OpenSessionResponse *grant);
    /* `code` as the control plane gave it; `why` is a sentence for the agent. */
    enum protocol_step (*on_refused)(void *p, enum err code, const char *why);
    enum protocol_step (*on_connected)(void *p, enum protocol_side side);
    enum protocol_step (*on_secured)(void *p, enum protocol_side side);
    enum protocol_step (*on_failed)(void *p, enum protocol_side side, enum err code,
                                    const char *why);
    /* The side said its last byte. For the agent's side, PROTOCOL_MORE means: there are answers of
     * the target to wait for (a short while). */
    enum protocol_step (*on_end)(void *p, enum protocol_side side);
    /* Somebody used the key that this session published. */
    void (*on_signal)(void *p);
    /* The session is ended from outside: `code` ERR_DENIED (killed), ERR_CLOSED (shutdown),
     * ERR_TIMEOUT (login took too long), ERR_FULL (nothing can be recorded), else an internal
     * error. Write the refusal in the agent's own protocol; what runs on the target is to be
     * cancelled (over connect_second) when `stop_running`. */
    void (*on_terminate)(void *p, enum err code, const char *why, bool stop_running);
    /* Nothing is under way: may be closed for a shutdown now. */
    bool (*is_idle)(const void *p);
    /* The session is over: outcomes for what is still open are written (unknown). */
    void (*on_close)(void *p);
};

#endif

/* The connected sidecars: what is pushed to them, and what is awaited from them.
 *
 * A sidecar that reconnects may for a moment have two watchers; orders go to the newest.
 * Thread-safe. */
#ifndef CHAPERONE_CONTROLPLANE_RPC_WATCHERS_H
#define CHAPERONE_CONTROLPLANE_RPC_WATCHERS_H

#include "api/sidecar.pb-c.h"
#include "base/log.h"
#include "base/rpc/rpc.h"
#include "base/uuid.h"
#include "controlplane/ca/ca.h"
#include "controlplane/policy/publisher.h"
#include "controlplane/rpc/news.h"

struct watchers;
struct watcher;

struct watchers_options {
    struct publisher *publisher;
    struct news *news;
    const struct log *log;
};

/* Returns owned; NULL when memory is short. Borrows what the options name. */
struct watchers *watchers_create(const struct watchers_options *options) MUST_USE;
void watchers_destroy(struct watchers *watchers); /* takes NULL; all were removed */

/* Borrows the stream until remove. Sends the current policy at once. Returns owned; NULL when
 * memory is short. */
struct watcher *watchers_add(struct watchers *watchers, const char *sidecar,
                             struct rpc_stream *stream, int64_t now_ns) MUST_USE;
void watchers_remove(struct watcher *watcher);

const char *watchers_sidecar(const struct watcher *watcher); /* its id; borrowed */

bool watchers_is_connected(struct watchers *watchers, const char *sidecar);
/* Unix ns; 0: it is not connected. */
int64_t watchers_connected_since(struct watchers *watchers, const char *sidecar);

/* Says of all that are connected that they are: for other control planes on the same store. */
void watchers_note_seen(struct watchers *watchers, int64_t now_ns);

/* Sends the publisher's current policy to those that were not sent it yet. */
void watchers_push_policy(struct watchers *watchers);

/* An order to end sessions. Which ones is said in exactly one way; the others are NULL and false.
 */
struct watchers_order {
    const char *id; /* the sidecar's answer names it */
    const char *session;
    const char *identity; /* subject */
    const char *resource;
    bool all;
    const char *ordered_by, *reason;
    int64_t ordered_ns; /* wall clock */
};

/* What became of an order at one sidecar. */
struct watchers_answer {
    char sidecar[CA_ID_SIZE];
    /* OK; ERR_UNAVAILABLE: it is not connected; ERR_TIMEOUT: it did not answer; ERR_CLOSED: it went
     * away before it answered; ERR_INVALID: it answered with an error, which is in `why`. */
    enum err result;
    struct err_text why;
    char (*sessions)[UUID_TEXT_SIZE]; /* that it has ended; owned */
    size_t session_count;
};

struct watchers_answers {
    struct watchers_answer *items; /* owned */
    size_t count;
};

/* Gives the order to one sidecar, or (NULL) at once to all that are connected, and waits until each
 * has answered, for at most `timeout_ns` in all. `out` is to be finished. ERR_NO_MEMORY: the order
 * was not given. */
enum err watchers_order(struct watchers *watchers, const char *sidecar,
                        const struct watchers_order *order, int64_t timeout_ns,
                        struct watchers_answers *out) MUST_USE;
void watchers_answers_finish(struct watchers_answers *answers);
/* What of an answer is ids of sessions: a sidecar may say anything. Returns owned (free), NULL when
 * there is none or memory is short. */
char (*watchers_sessions_of(const Chaperone__V1__OrderDone *done,
                            size_t *out_count))[UUID_TEXT_SIZE];

/* Gives the order to one that has just connected; its answer is not waited for. */
enum err watchers_repeat_order(struct watcher *watcher,
                               const struct watchers_order *order) MUST_USE;

/* Gives it to all that are connected, or to `sidecar` only; the answers are not waited for. */
void watchers_give_order(struct watchers *watchers, const char *sidecar,
                         const struct watchers_order *order);

/* The answer to an order. False: it is not awaited (any more) from this sidecar, and changes
 * nothing. */
bool watchers_order_done(struct watcher *watcher, const Chaperone__V1__OrderDone *done);

/* Tells the sidecar what was decided, where it is connected: at once, waiting for nothing. */
void watchers_send_decided(struct watchers *watchers, const char *sidecar,
                           const Chaperone__V1__ApprovalDecided *decided);
/* The same to one that has just connected. */
void watchers_tell_decided(struct watcher *watcher, const Chaperone__V1__ApprovalDecided *decided);

#endif

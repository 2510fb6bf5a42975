/* The connected sidecars: what is pushed to them, and what is awaited from them.
 *
 * A sidecar that reconnects may for a moment have two watchers; orders go to the newest.
 * Thread-safe. */
#ifndef CHAPERONE_CONTROLPLANE_RPC_WATCHERS_H
#define CHAPERONE_CONTROLPLANE_RPC_WATCHERS_H

#include "base/log.h"
#include "base/rpc/rpc.h"
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
                             struct rpc_stream *stream) MUST_USE;
void watchers_remove(struct watcher *watcher);

bool watchers_is_connected(struct watchers *watchers, const char *sidecar);

/* Sends the publisher's current policy to those that were not sent it yet. */
void watchers_push_policy(struct watchers *watchers);

struct watchers_kill {
    const char *sidecar, *order, *session, *ordered_by, *reason;
};

/* Sends the order and waits until it is done, for at most `timeout_ns`. ERR_UNAVAILABLE: the
 * sidecar is not connected; ERR_TIMEOUT: it did not answer; ERR_CLOSED: it went away before it
 * answered; ERR_INVALID: it answered with an error, which is in `why`. */
enum err watchers_kill(struct watchers *watchers, const struct watchers_kill *kill,
                       int64_t timeout_ns, struct err_text *why) MUST_USE;

/* The answer to an order; one to an order that was not given to this sidecar is ignored. */
void watchers_order_done(struct watcher *watcher, const char *order, const char *error);

#endif

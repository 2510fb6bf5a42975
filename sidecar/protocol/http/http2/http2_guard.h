/* Limits against a peer that keeps us busy without asking for anything.
 *
 * There is no clock here: what counts is not how fast such frames come, but how many there are
 * beside those that get something done. Plain values; nothing is allocated. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP2_GUARD_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP2_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    /* Streams that the agent began and broke off, more than it let come to an end. Each costs a
     * decision, a record, and perhaps a request to the target (CVE-2023-44487, "rapid reset").
     * Streams that we had to reset because of what the agent sent in them count as well
     * (CVE-2025-8671). Twice what may be open at a time: a client that gives up all it has open
     * may do so, and again. */
    HTTP2_RESETS_MAX = 200,

    /* Bytes that were neither a body nor paid for by one: pings, settings, window updates,
     * priorities, empty DATA, padding, frames of an unknown type (CVE-2019-9511 to 9518). A ping
     * every ten seconds uses this up in a week. */
    HTTP2_OVERHEAD_MAX = 1 << 20,
    /* What a request or a response pays for: its own head, and more. */
    HTTP2_EARNED_BY_HEAD = 128 << 10,
    /* What a DATA frame pays for, besides its payload: its header, the longest padding, and two
     * window updates. */
    HTTP2_EARNED_BY_DATA = 320,
    /* A DATA frame that we sent pays only when it is at least so long, or the last of what was
     * there to send: a peer that opens its window byte by byte pays itself (CVE-2019-9511). */
    HTTP2_FRAME_WORTH = 256,
    /* A SETTINGS frame may touch every open stream; a thousand of them are too many. */
    HTTP2_COST_OF_SETTINGS = 1 << 10,
    /* A final response comes after a few of these. */
    HTTP2_COST_OF_INFORMATIONAL = 64 << 10,
};

struct http2_guard {
    uint32_t resets;
    int64_t overhead; /* bytes; below 0: paid for in advance, not more than one OVERHEAD_MAX */
};

static inline void http2_guard_reset(struct http2_guard *g)
{
    g->resets++;
}

static inline void http2_guard_completed(struct http2_guard *g)
{
    if (g->resets > 0) {
        g->resets--;
    }
}

static inline void http2_guard_spend(struct http2_guard *g, size_t bytes)
{
    g->overhead += (int64_t)bytes;
}

static inline void http2_guard_earn(struct http2_guard *g, size_t bytes)
{
    g->overhead -= (int64_t)bytes;
    if (g->overhead < -(int64_t)HTTP2_OVERHEAD_MAX) {
        g->overhead = -(int64_t)HTTP2_OVERHEAD_MAX;
    }
}

static inline bool http2_guard_is_exceeded(const struct http2_guard *g)
{
    return g->resets > HTTP2_RESETS_MAX || g->overhead > HTTP2_OVERHEAD_MAX;
}

#endif

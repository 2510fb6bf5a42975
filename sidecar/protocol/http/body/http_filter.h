/* Tells quickly where none of several needles can begin: the algorithm of Wu and Manber, over pairs
 * of bytes. A needle that may be written in many ways has many pairs; one too many costs time only.
 * Pure. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP_FILTER_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP_FILTER_H

#include "sidecar/protocol/http/body/http_needle.h"

enum {
    /* Of the text that is looked at at a time. A longer one may be skipped in longer steps, but has
     * more pairs that stop it. */
    HTTP_FILTER_WINDOW_MAX = 12,
    HTTP_FILTER_PAIRS = 1 << 16,
};

struct http_filter {
    size_t window;                     /* of the shortest needle; 1: pairs are not looked at */
    uint8_t shifts[HTTP_FILTER_PAIRS]; /* by the window's last pair: how far it may move */
    uint64_t starts[HTTP_FILTER_PAIRS / 64]; /* the pairs that a needle can begin with */
    struct http_byte_set first;              /* the bytes that it can begin with */
};

/* `window`: the lowest count of units of the needles. */
void http_filter_init(struct http_filter *f, size_t window);
void http_filter_add(struct http_filter *f, const struct http_needle *n);

static inline bool http_filter_is_start(const struct http_filter *f, const uint8_t *pair)
{
    size_t index = (size_t)pair[0] << 8 | pair[1];
    return (f->starts[index >> 6] >> (index & 63) & 1) != 0;
}

/* Where the first needle may begin, at `from` or behind it: everything before that is free of
 * them. Gives up where less than a window is left: what is there has to be looked at. */
size_t http_filter_next(const struct http_filter *f, struct bytes text, size_t from);

#endif

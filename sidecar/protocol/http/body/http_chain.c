#include "sidecar/protocol/http/body/http_chain.h"

#include <stdlib.h>

#include "sidecar/protocol/http/http_body.h"

enum {
    RATIO_FREE = 1 << 20, /* what is decoded before its ratio is looked at */
    /* What a coding makes of one piece: a coded one may have grown by a little. */
    BETWEEN_MAX = 64 << 20,
};

/* ---- decoding ------------------------------------------------------------------------------ */

struct http_unchain {
    size_t count;
    uint64_t taken;
    struct layer {
        struct http_decoder *decoder;
        uint8_t *room;
        uint64_t given;
    } layers[HTTP_CODINGS_MAX]; /* the outermost first */
};

enum err http_unchain_create(const enum http_coding *codings, size_t count,
                             struct http_unchain **out)
{
    struct http_unchain *u = calloc(1, sizeof(*u));
    if (u == NULL) {
        return ERR_NO_MEMORY;
    }
    for (; u->count < count; u->count++) {
        struct layer *layer = &u->layers[u->count];
        layer->room = malloc(HTTP_CHAIN_PIECE);
        if (layer->room == NULL ||
            http_decoder_create(codings[count - 1 - u->count], &layer->decoder) != OK) {
            free(layer->room);
            http_unchain_destroy(u);
            return ERR_NO_MEMORY;
        }
    }
    *out = u;
    return OK;
}

void http_unchain_destroy(struct http_unchain *u)
{
    if (u != NULL) {
        for (size_t i = 0; i < u->count; i++) {
            http_decoder_destroy(u->layers[i].decoder);
            bytes_wipe(u->layers[i].room, HTTP_CHAIN_PIECE);
            free(u->layers[i].room);
        }
        free(u);
    }
}

struct receiver {
    enum err (*give)(void *context, struct bytes piece);
    void *context;
};

static bool is_bomb(const struct http_unchain *u, const struct layer *layer)
{
    return layer->given > RATIO_FREE && layer->given / HTTP_BODY_RATIO_MAX > u->taken;
}

/* Recursion as deep as there are codings. */
static enum err unchain(struct http_unchain *u, size_t index, struct bytes in,
                        const struct receiver *to)
{
    if (index == u->count) {
        return to->give(to->context, in);
    }
    struct layer *layer = &u->layers[index];
    size_t written = 0;
    do {
        enum err e =
            http_decoder_step(layer->decoder, &in, layer->room, HTTP_CHAIN_PIECE, &written);
        if (e != OK) {
            return e;
        }
        layer->given += written;
        if (is_bomb(u, layer)) {
            return ERR_INVALID;
        }
        e = written == 0 ? OK : unchain(u, index + 1, bytes_of(layer->room, written), to);
        if (e != OK) {
            return e;
        }
    } while (written > 0 || in.size > 0);
    return OK;
}

enum err http_unchain_feed(struct http_unchain *u, struct bytes in,
                           enum err (*give)(void *context, struct bytes piece), void *context)
{
    u->taken += in.size;
    return in.size == 0 ? OK : unchain(u, 0, in, &(struct receiver){give, context});
}

bool http_unchain_is_complete(const struct http_unchain *u)
{
    for (size_t i = 0; i < u->count; i++) {
        if (!http_decoder_is_complete(u->layers[i].decoder)) {
            return false;
        }
    }
    return true;
}

/* ---- encoding ------------------------------------------------------------------------------ */

struct http_rechain {
    size_t count;
    struct http_encoder *encoders[HTTP_CODINGS_MAX]; /* the innermost first */
    struct buffer between[HTTP_CODINGS_MAX];
};

enum err http_rechain_create(const enum http_coding *codings, size_t count,
                             struct http_rechain **out)
{
    struct http_rechain *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return ERR_NO_MEMORY;
    }
    for (; r->count < count; r->count++) {
        if (http_encoder_create(codings[r->count], &r->encoders[r->count]) != OK) {
            http_rechain_destroy(r);
            return ERR_NO_MEMORY;
        }
        buffer_init(&r->between[r->count], BETWEEN_MAX);
    }
    *out = r;
    return OK;
}

void http_rechain_destroy(struct http_rechain *r)
{
    if (r != NULL) {
        for (size_t i = 0; i < r->count; i++) {
            http_encoder_destroy(r->encoders[i]);
            buffer_finish(&r->between[i]);
        }
        free(r);
    }
}

enum err http_rechain_feed(struct http_rechain *r, struct bytes in, enum http_encoder_end end,
                           struct buffer *out)
{
    for (size_t i = 0; i < r->count; i++) {
        struct buffer *to = i + 1 == r->count ? out : &r->between[i];
        enum err e = http_encoder_feed(r->encoders[i], in, end, to);
        if (i > 0) {
            buffer_clear(&r->between[i - 1]);
        }
        if (e != OK) {
            return e;
        }
        in = buffer_bytes(to);
    }
    return OK;
}

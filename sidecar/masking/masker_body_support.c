#include "sidecar/masking/masker_body_support.h"

#include <stdio.h>
#include <stdlib.h>

struct masker *masker_of(const char *masks)
{
    char document[4096];
    struct policy *policy = NULL;
    struct masker *m = NULL;
    struct err_text why = {""};
    const struct policy_mask *items[POLICY_MASKS_MAX];
    bool is_complete = false;
    (void)snprintf(document, sizeof(document),
                   "{'version':1,'rules':[{'name':'masks','effect':'allow','match':{'http':{}},"
                   "'obligations':{'mask':%s}}]}",
                   masks);
    for (char *at = document; (at = strchr(at, '\'')) != NULL;) {
        *at = '"';
    }
    const struct policy_request who = {.subject = "agent", .resource = "crm", .protocol = "http"};
    enum err e = policy_compile(bytes_of_string(document), 1, &policy, &why);
    if (e == OK) {
        size_t count = policy_masks(policy, &who, items, &is_complete);
        e = is_complete && count > 0
                ? masker_create(items, count, bytes_of_string("0123456789abcdef0123456789abcdef"),
                                &m, &why)
                : err_set(&why, ERR_INVALID, "%zu masks", count);
    }
    if (e != OK) {
        (void)fprintf(stderr, "%s: %s\n", document, why.text);
    }
    policy_destroy(policy); /* the masker keeps what it needs */
    return m;
}

static enum err feed(struct masker_body *b, struct bytes piece, struct buffer *out)
{
    void *exact = malloc(piece.size > 0 ? piece.size : 1);
    if (exact == NULL) {
        return ERR_NO_MEMORY;
    }
    if (piece.size > 0) {
        memcpy(exact, piece.data, piece.size);
    }
    enum err e = masker_body_feed(b, bytes_of(exact, piece.size), out);
    free(exact);
    return e;
}

static enum err feed_pieces(struct masker *m, enum masker_body_kind kind, struct bytes in,
                            size_t first, size_t others, struct buffer *out)
{
    struct masker_body *b = NULL;
    enum err e = masker_body_create(m, kind, &b, NULL);
    for (size_t at = 0, size = first; e == OK && at < in.size; at += size, size = others) {
        size = size < in.size - at ? size : in.size - at;
        e = feed(b, bytes_of(in.data + at, size), out);
    }
    e = e == OK ? masker_body_finish(b, out) : e;
    masker_body_destroy(b);
    return e;
}

enum err masker_feed_all(struct masker *m, enum masker_body_kind kind, struct bytes in,
                         size_t piece, struct buffer *out)
{
    size_t size = piece == 0 ? SIZE_MAX : piece;
    return feed_pieces(m, kind, in, size, size, out);
}

enum err masker_feed_two(struct masker *m, enum masker_body_kind kind, struct bytes in, size_t at,
                         struct buffer *out)
{
    return feed_pieces(m, kind, in, at, SIZE_MAX, out);
}

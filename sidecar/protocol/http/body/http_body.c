#include "sidecar/protocol/http/http_body.h"

#include <stdlib.h>

struct http_body {
    void (*on_plain)(void *context, struct bytes plain);
    void *context;
};

enum err http_body_create(const struct http_body_options *options, struct http_body **out,
                          struct err_text *why)
{
    if (options->masker != NULL || options->secrets != NULL) {
        return err_set(why, ERR_DENIED, "bodies cannot be masked");
    }
    struct http_body *b = calloc(1, sizeof(*b));
    if (b == NULL) {
        return err_set(why, ERR_NO_MEMORY, "no memory for a body");
    }
    b->on_plain = options->on_plain;
    b->context = options->context;
    *out = b;
    return OK;
}

void http_body_destroy(struct http_body *b)
{
    free(b);
}

bool http_body_is_unchanged(const struct http_body *b)
{
    (void)b;
    return true;
}

enum err http_body_feed(struct http_body *b, struct bytes in, struct buffer *out)
{
    (void)out;
    if (b->on_plain != NULL && in.size > 0) {
        b->on_plain(b->context, in);
    }
    return OK;
}

enum err http_body_finish(struct http_body *b, struct buffer *out)
{
    (void)b;
    (void)out;
    return OK;
}

bool http_body_was_masked(const struct http_body *b)
{
    (void)b;
    return false;
}

bool http_body_had_secrets(const struct http_body *b)
{
    (void)b;
    return false;
}

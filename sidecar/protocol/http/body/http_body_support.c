#include "sidecar/protocol/http/body/http_body_support.h"

#include <stdio.h>
#include <stdlib.h>

#include "sidecar/protocol/http/body/http_chain.h"

enum { OUT_MAX = 1 << 28 };

static void require(bool ok, const char *what)
{
    if (!ok) {
        (void)fprintf(stderr, "http_body_support: %s\n", what);
        exit(1);
    }
}

struct masker *http_body_test_masker(const char *mask_json)
{
    char document[4096];
    struct policy *policy = NULL;
    struct masker *m = NULL;
    struct err_text why = {""};
    const struct policy_mask *masks[POLICY_MASKS_MAX];
    bool is_complete = false;
    (void)snprintf(document, sizeof(document),
                   "{\"version\":1,\"rules\":[{\"name\":\"masks\",\"effect\":\"allow\","
                   "\"match\":{\"http\":{}},\"obligations\":{\"mask\":%s}}]}",
                   mask_json);
    require(policy_compile(bytes_of_string(document), 1, &policy, &why) == OK, why.text);
    const struct policy_request who = {.subject = "agent", .resource = "crm", .protocol = "http"};
    size_t count = policy_masks(policy, &who, masks, &is_complete);
    struct bytes key = bytes_of_string("0123456789abcdef0123456789abcdef");
    require(is_complete && count > 0, "the policy has no masks");
    require(masker_create(masks, count, key, &m, &why) == OK, why.text);
    policy_destroy(policy);
    return m;
}

void http_body_test_encode(const char *field, struct bytes in, struct buffer *out)
{
    enum http_coding codings[HTTP_CODINGS_MAX];
    size_t count = 0;
    struct http_rechain *r = NULL;
    buffer_clear(out);
    require(http_coding_parse(bytes_of_string(field), codings, &count, NULL) == OK, field);
    if (count == 0) {
        require(buffer_append(out, in) == OK, "no memory");
        return;
    }
    require(http_rechain_create(codings, count, &r) == OK, "no memory");
    require(http_rechain_feed(r, in, HTTP_ENCODER_FINISH, out) == OK, "no memory");
    http_rechain_destroy(r);
}

static enum err append(void *context, struct bytes piece)
{
    return buffer_append(context, piece);
}

bool http_body_test_decode(const char *field, struct bytes in, struct buffer *out)
{
    enum http_coding codings[HTTP_CODINGS_MAX];
    size_t count = 0;
    struct http_unchain *u = NULL;
    buffer_clear(out);
    require(http_coding_parse(bytes_of_string(field), codings, &count, NULL) == OK, field);
    if (count == 0) {
        return buffer_append(out, in) == OK;
    }
    require(http_unchain_create(codings, count, &u) == OK, "no memory");
    bool ok = http_unchain_feed(u, in, append, out) == OK && http_unchain_is_complete(u);
    http_unchain_destroy(u);
    return ok;
}

void http_body_test_init(struct http_body_test *t)
{
    *t = (struct http_body_test){.was_masked = false};
    buffer_init(&t->out, OUT_MAX);
    buffer_init(&t->plain, OUT_MAX);
}

void http_body_test_finish(struct http_body_test *t)
{
    buffer_finish(&t->out);
    buffer_finish(&t->plain);
}

static void on_plain(void *context, struct bytes plain)
{
    require(buffer_append(context, plain) == OK, "no memory");
}

/* From memory of just its size, so that a reader that goes beyond it is seen. */
static enum err feed(struct http_body *b, struct bytes in, struct buffer *out)
{
    uint8_t *exact = malloc(in.size);
    if (exact == NULL) {
        return ERR_NO_MEMORY;
    }
    memcpy(exact, in.data, in.size);
    struct bytes rest;
    enum err e = http_body_feed_in_place(b, bytes_of(exact, in.size), out, &rest);
    if (e == OK) {
        e = buffer_append(out, rest);
    }
    free(exact);
    return e;
}

enum err http_body_test_run(struct http_body_test *t, struct http_body_options options,
                            struct bytes in, size_t first, size_t step)
{
    struct http_body *b = NULL;
    options.on_plain = on_plain;
    options.context = &t->plain;
    buffer_clear(&t->out);
    buffer_clear(&t->plain);
    enum err e = http_body_create(&options, &b, NULL);
    for (size_t at = 0; e == OK && at < in.size;) {
        size_t size = at == 0 && first > 0 ? first : step;
        size = size > in.size - at ? in.size - at : size;
        e = feed(b, bytes_of(in.data + at, size), &t->out);
        at += size;
    }
    e = e == OK ? http_body_finish(b, &t->out) : e;
    t->was_masked = b != NULL && http_body_was_masked(b);
    t->had_secrets = b != NULL && http_body_had_secrets(b);
    http_body_destroy(b);
    return e;
}

/* What the tests of bodies put into them, look for, and expect. A failure is the test's. Include it
 * behind cmocka.h. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP_BODY_FIXTURE_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP_BODY_FIXTURE_H

#include "sidecar/protocol/http/body/http_body_support.h"

#define SECRET "sk-live-51HqLyjWDarjtT1zdp"
#define EMAIL "jane.doe@example.org"

/* Masks: what is found becomes "[hidden]". */
#define DETECT "[{\"detect\":[\"email\"],\"with\":{\"fixed\":\"[hidden]\"}}]"
#define NAMES                                                                                      \
    "[{\"fields\":[\"mail\"],\"with\":{\"fixed\":\"[hidden]\"}},"                                  \
    "{\"detect\":[\"email\"],\"with\":{\"fixed\":\"[hidden]\"}}]"

/* As Content-Encoding has them; the first is none. */
static const char *const codings[] = {"", "gzip", "deflate", "br", "zstd", "gzip, br"};
enum { CODINGS = sizeof(codings) / sizeof(codings[0]) };

/* Borrows. */
static inline struct bytes text(const char *s)
{
    return bytes_of_string(s);
}

/* Of SECRET alone, which becomes "[masked]". Returns owned. */
static inline struct http_secrets *create_secrets(void)
{
    struct bytes secret = text(SECRET);
    struct http_secrets *s = http_secrets_create(&secret, 1);
    assert_non_null(s);
    return s;
}

static inline bool has(const struct buffer *b, const char *what)
{
    struct bytes all = buffer_bytes(b);
    return all.size > 0 && memmem(all.data, all.size, what, strlen(what)) != NULL;
}

static inline void assert_text(const struct buffer *got, const char *expected)
{
    if (!bytes_equal(buffer_bytes(got), text(expected))) {
        fail_msg("got      %.*s\nexpected %s", (int)buffer_size(got), (const char *)got->data,
                 expected);
    }
}

#endif

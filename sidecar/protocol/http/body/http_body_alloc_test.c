/* Memory that runs out at any allocation ends the body, and never shows what it should not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/testing/alloc_fail.h"
#include "sidecar/protocol/http/body/http_body_fixture.h"

struct run {
    struct masker *masker;
    struct buffer in, out;
    unsigned good;
};

static enum err feed_all(struct http_body *b, struct run *r)
{
    enum err e = OK;
    for (size_t at = 0; e == OK && at < buffer_size(&r->in); at += 20) {
        size_t left = buffer_size(&r->in) - at;
        e = http_body_feed(b, bytes_of(r->in.data + at, left < 20 ? left : 20), &r->out);
    }
    return e == OK ? http_body_finish(b, &r->out) : e;
}

static void run(void *context)
{
    struct run *r = context;
    struct bytes secret = bytes_of_string(SECRET);
    struct http_secrets *secrets = http_secrets_create(&secret, 1);
    struct http_body_options o = {.content_type = bytes_of_string("application/json"),
                                  .content_encoding = bytes_of_string("gzip, zstd"),
                                  .masker = r->masker,
                                  .secrets = secrets};
    struct http_body *b = NULL;
    buffer_finish(&r->out);
    enum err e = secrets == NULL ? ERR_NO_MEMORY : http_body_create(&o, &b, NULL);
    e = e == OK ? feed_all(b, r) : e;
    assert_true(e == OK || e == ERR_NO_MEMORY);
    r->good += e == OK ? 1 : 0;
    http_body_destroy(b);
    http_secrets_destroy(secrets);
    if (e == OK) {
        (void)alloc_fail_stop(); /* what is decoded here is of the test */
        struct buffer plain;
        buffer_init(&plain, 1 << 20);
        assert_true(http_body_test_decode("gzip, zstd", buffer_bytes(&r->out), &plain));
        assert_true(has(&plain, "[masked]") && has(&plain, "[hidden]"));
        assert_false(has(&plain, SECRET) || has(&plain, EMAIL));
        buffer_finish(&plain);
    }
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct run r = {.masker = http_body_test_masker(DETECT)};
    buffer_init(&r.in, 1 << 20);
    buffer_init(&r.out, 1 << 20);
    http_body_test_encode("gzip, zstd",
                          bytes_of_string("{\"a\":\"" SECRET "\",\"b\":\"" EMAIL "\"}"), &r.in);
    assert_true(alloc_fail_each(run, &r) > 10);
    assert_true(r.good > 0);
    masker_destroy(r.masker);
    buffer_finish(&r.in);
    buffer_finish(&r.out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

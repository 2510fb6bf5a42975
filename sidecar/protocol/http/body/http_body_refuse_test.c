#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "sidecar/protocol/http/body/http_body_fixture.h"

#define PASSES                                                                                     \
    "[{\"fields\":[\"mail\"],\"detect\":[\"email\"],\"with\":{\"fixed\":\"[hidden]\"},"            \
    "\"unknown_origin\":\"allow\"}]"

/* ---- what is refused ----------------------------------------------------------------------- */

static void assert_denied(struct http_body_options o)
{
    struct http_body *b = NULL;
    struct err_text why = {""};
    assert_int_equal(http_body_create(&o, &b, &why), ERR_DENIED);
    assert_null(b);
    assert_true(strlen(why.text) > 20);
}

static void what_cannot_be_masked_is_denied(void **state)
{
    (void)state;
    static const char *const types[] = {"image/png",
                                        "application/octet-stream",
                                        "multipart/form-data; boundary=x",
                                        "application/grpc",
                                        "application/x-protobuf",
                                        "multipart/byteranges; boundary=x",
                                        "text/plain; charset=utf-16",
                                        "application/json; charset=utf-32",
                                        "text",
                                        "application/pdf"};
    struct masker *masker = http_body_test_masker(DETECT), *names = http_body_test_masker(NAMES);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        assert_denied((struct http_body_options){.content_type = text(types[i]), .masker = masker});
    }
    assert_denied((struct http_body_options){.content_type = text("text/plain"), .masker = names});
    assert_denied((struct http_body_options){.masker = names});
    masker_destroy(masker);
    masker_destroy(names);
}

static void unknown_codings_and_parts_are_denied(void **state)
{
    (void)state;
    static const char *const fields[] = {"compress", "gzip, gzip", "gzip,",
                                         "dcz",      "br;q=1",     "gzip, deflate, br, zstd"};
    struct http_secrets *secrets = create_secrets();
    struct masker *masker = http_body_test_masker(PASSES);
    struct http_body_options o = {.content_type = text("text/plain")};
    for (int which = 0; which < 2; which++) {
        o.secrets = which == 0 ? secrets : NULL;
        o.masker = which == 0 ? NULL : masker;
        for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
            o.content_encoding = text(fields[i]);
            assert_denied(o);
        }
        o.content_encoding = text("");
        o.is_part = true;
        assert_denied(o);
        o.is_part = false;
    }
    masker_destroy(masker);
    http_secrets_destroy(secrets);
}

static void what_cannot_be_looked_into_passes_where_the_masks_say_so(void **state)
{
    (void)state;
    struct http_secrets *secrets = create_secrets();
    struct masker *masker = http_body_test_masker(PASSES);
    struct http_body_test t;
    http_body_test_init(&t);
    struct http_body_options o = {.content_type = text("application/octet-stream"),
                                  .masker = masker};
    assert_int_equal(http_body_test_run(&t, o, text(EMAIL), 0, 1), OK);
    assert_text(&t.out, EMAIL);
    o.secrets = secrets; /* these do not */
    assert_int_equal(http_body_test_run(&t, o, text(EMAIL " " SECRET), 0, 1), OK);
    assert_text(&t.out, EMAIL " [masked]");
    o.content_type = text("text/plain");
    assert_int_equal(http_body_test_run(&t, o, text(EMAIL " " SECRET), 0, 1), OK);
    assert_text(&t.out, "[hidden] [masked]");
    http_body_test_finish(&t);
    masker_destroy(masker);
    http_secrets_destroy(secrets);
}

static void what_only_says_that_it_is_text_is_refused(void **state)
{
    (void)state;
    static const char utf16[] = "j\0a\0n\0e\0@\0e\0x\0.\0o\0r\0g\0";
    static const char *const types[] = {"text/plain", "", "application/x-www-form-urlencoded",
                                        "application/json"};
    struct masker *masker = http_body_test_masker(DETECT);
    struct http_body_test t;
    http_body_test_init(&t);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct http_body_options o = {.content_type = text(types[i]), .masker = masker};
        for (size_t step = 1; step < sizeof(utf16); step++) {
            assert_int_equal(http_body_test_run(&t, o, bytes_of(utf16, sizeof(utf16) - 1), 0, step),
                             ERR_INVALID);
            assert_true(buffer_size(&t.out) <= 1);
        }
    }
    struct http_body_options untyped = {.masker = masker};
    assert_int_equal(http_body_test_run(&t, untyped, text("\x89PNG\r\n\x1a\n"), 0, 1), ERR_INVALID);
    struct http_body_options json = {.content_type = text("application/json"), .masker = masker};
    assert_int_equal(http_body_test_run(&t, json, text("\xff\xfe{\0"), 0, 1), ERR_INVALID);
    assert_int_equal(http_body_test_run(&t, json, text("{\"a\": "), 0, 1), ERR_INVALID);
    assert_int_equal(http_body_test_run(&t, json, text("a=b"), 0, 1), ERR_INVALID);
    http_body_test_finish(&t);
    masker_destroy(masker);
}

static void a_body_that_is_cut_off_is_refused(void **state)
{
    (void)state;
    struct http_secrets *secrets = create_secrets();
    struct http_body_test t;
    struct buffer in;
    http_body_test_init(&t);
    buffer_init(&in, 1 << 20);
    for (size_t c = 1; c < CODINGS; c++) {
        struct http_body_options o = {.content_type = text("text/plain"),
                                      .content_encoding = text(codings[c]),
                                      .secrets = secrets};
        http_body_test_encode(codings[c], text("some text, " SECRET ", and more"), &in);
        for (size_t size = 1; size < buffer_size(&in); size++) {
            struct bytes part = bytes_of(in.data, size);
            assert_int_equal(http_body_test_run(&t, o, part, 0, 3), ERR_INVALID);
            assert_false(has(&t.plain, "sk-live"));
        }
    }
    buffer_finish(&in);
    http_body_test_finish(&t);
    http_secrets_destroy(secrets);
}

static void after_a_failure_nothing_is_shown(void **state)
{
    (void)state;
    struct masker *masker = http_body_test_masker(DETECT);
    struct http_body_options o = {.content_type = text("text/plain"), .masker = masker};
    struct http_body *b = NULL;
    struct buffer out;
    buffer_init(&out, 1 << 20);
    assert_int_equal(http_body_create(&o, &b, NULL), OK);
    assert_int_equal(http_body_feed(b, text("good \n"), &out), OK);
    size_t size = buffer_size(&out);
    assert_int_equal(http_body_feed(b, bytes_of("more \n \0", 8), &out), ERR_INVALID);
    assert_int_equal(http_body_feed(b, text("good"), &out), ERR_INVALID);
    assert_int_equal(http_body_finish(b, &out), ERR_INVALID);
    assert_int_equal(buffer_size(&out), size);
    http_body_destroy(b);
    assert_int_equal(http_body_create(&o, &b, NULL), OK);
    assert_int_equal(http_body_finish(b, &out), OK);
    assert_int_equal(http_body_feed(b, text("more"), &out), ERR_INVALID);
    assert_int_equal(http_body_finish(b, &out), ERR_INVALID);
    http_body_destroy(b);
    buffer_finish(&out);
    masker_destroy(masker);
}

/* ---- bombs --------------------------------------------------------------------------------- */

static enum err run_zeros(const char *coding, size_t size, size_t *out_given)
{
    struct http_secrets *secrets = create_secrets();
    struct http_body_options o = {
        .content_encoding = text(coding), .secrets = secrets, .only_plain = true};
    struct http_body_test t;
    struct buffer in;
    uint8_t *zeros = calloc(1, size);
    assert_non_null(zeros);
    http_body_test_init(&t);
    buffer_init(&in, SIZE_MAX);
    http_body_test_encode(coding, bytes_of(zeros, size), &in);
    enum err e = http_body_test_run(&t, o, buffer_bytes(&in), 0, SIZE_MAX);
    *out_given = buffer_size(&t.plain);
    free(zeros);
    buffer_finish(&in);
    http_body_test_finish(&t);
    http_secrets_destroy(secrets);
    return e;
}

static void bombs_are_refused_early(void **state)
{
    (void)state;
    size_t given = 0;
    enum { SIZE = 64 << 20, SMALL = 1 << 20 };
    /* What zlib makes of zeros is at the most its format can do, and is let through. */
    assert_int_equal(run_zeros("gzip", SIZE, &given), OK);
    assert_int_equal(given, SIZE);
    static const char *const bombs[] = {"zstd", "br", "gzip, br", "gzip, zstd", "deflate, gzip"};
    for (size_t i = 0; i < sizeof(bombs) / sizeof(bombs[0]); i++) {
        assert_int_equal(run_zeros(bombs[i], SIZE, &given), ERR_INVALID);
        assert_true(given < SIZE / 4);
        assert_int_equal(run_zeros(bombs[i], SMALL, &given), OK);
        assert_int_equal(given, SMALL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_masked_is_denied),
        cmocka_unit_test(unknown_codings_and_parts_are_denied),
        cmocka_unit_test(what_cannot_be_looked_into_passes_where_the_masks_say_so),
        cmocka_unit_test(what_only_says_that_it_is_text_is_refused),
        cmocka_unit_test(a_body_that_is_cut_off_is_refused),
        cmocka_unit_test(after_a_failure_nothing_is_shown),
        cmocka_unit_test(bombs_are_refused_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

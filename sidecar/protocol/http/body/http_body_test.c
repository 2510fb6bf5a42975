#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "sidecar/protocol/http/body/http_body_fixture.h"

#define SECRET_BASE64 "c2stbGl2ZS01MUhxTHlqV0Rhcmp0VDF6ZHA"

/* ---- nothing passes, wherever it is cut ---------------------------------------------------- */

struct kind {
    const char *type, *body, *expected; /* without the secret and the address */
    const char *searched;               /* without the secret only */
};

static const struct kind kinds[] = {
    {"application/json", "{\"a\":\"" SECRET "\",\"b\":[\"x " EMAIL " y\"],\"mail\":\"m\"}",
     "{\"a\":\"[masked]\",\"b\":[\"x [hidden] y\"],\"mail\":\"[hidden]\"}",
     "{\"a\":\"[masked]\",\"b\":[\"x " EMAIL " y\"],\"mail\":\"m\"}"},
    {"application/problem+json", "{\"a\":\"sk\\u002dlive-51HqLyjWDarjtT1zdp\",\"mail\":\"j\"}",
     "{\"a\":\"[masked]\",\"mail\":\"[hidden]\"}", "{\"a\":\"[masked]\",\"mail\":\"j\"}"},
    {"application/x-www-form-urlencoded", "t=sk%2Dlive-51HqLyjWDarjtT1zdp&q=" EMAIL "&mail=m", NULL,
     "t=[masked]&q=" EMAIL "&mail=m"},
    {"text/plain", "Bearer " SECRET " of " EMAIL ", or " SECRET_BASE64 ".",
     "Bearer [masked] of [hidden], or [masked].", "Bearer [masked] of " EMAIL ", or [masked]."},
    {"text/event-stream", "data: " SECRET "\n\ndata: <" EMAIL ">\n\n",
     "data: [masked]\n\ndata: <[hidden]>\n\n", "data: [masked]\n\ndata: <" EMAIL ">\n\n"},
    {"application/soap+xml; charset=utf-8", "<a t='" SECRET "'>" EMAIL "</a>",
     "<a t='[masked]'>[hidden]</a>", "<a t='[masked]'>" EMAIL "</a>"},
    {"", "plain " SECRET ", " EMAIL ".", "plain [masked], [hidden].", "plain [masked], " EMAIL "."},
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static bool is_text_kind(const struct kind *k)
{
    return strstr(k->type, "json") == NULL && strstr(k->type, "form") == NULL;
}

/* One way to cut it; returns 1, to be counted. */
static size_t check_cut(struct http_body_test *t, const struct http_body_options *o,
                        const char *coding, struct bytes in, size_t first, size_t step,
                        const char *expected)
{
    struct buffer decoded;
    buffer_init(&decoded, 1 << 20);
    assert_int_equal(http_body_test_run(t, *o, in, first, step), OK);
    assert_true(http_body_test_decode(coding, buffer_bytes(&t->out), &decoded));
    assert_true(bytes_equal(buffer_bytes(&decoded), buffer_bytes(&t->plain)));
    assert_true(o->secrets == NULL || !has(&decoded, SECRET));
    assert_true(o->secrets == NULL || !has(&decoded, SECRET_BASE64));
    assert_true(o->secrets == NULL || t->had_secrets);
    assert_true(o->masker == NULL || !has(&decoded, EMAIL));
    assert_true(t->was_masked);
    if (expected != NULL) {
        assert_text(&decoded, expected);
    }
    buffer_finish(&decoded);
    return 1;
}

static size_t check_kind(const struct kind *k, const char *coding, struct masker *masker,
                         const struct http_secrets *secrets, const char *expected)
{
    struct http_body_options o = {.content_type = text(k->type),
                                  .content_encoding = text(coding),
                                  .masker = masker,
                                  .secrets = secrets};
    struct http_body_test t;
    struct buffer in;
    size_t cases = 0;
    http_body_test_init(&t);
    buffer_init(&in, 1 << 20);
    http_body_test_encode(coding, text(k->body), &in);
    for (size_t first = 0; first <= buffer_size(&in); first++) {
        cases += check_cut(&t, &o, coding, buffer_bytes(&in), first, SIZE_MAX, expected);
    }
    for (size_t step = 1; step <= 3; step++) {
        cases += check_cut(&t, &o, coding, buffer_bytes(&in), 0, step, expected);
    }
    buffer_finish(&in);
    http_body_test_finish(&t);
    return cases;
}

static void no_secret_passes_wherever_it_is_cut(void **state)
{
    (void)state;
    struct http_secrets *secrets = create_secrets();
    size_t cases = 0;
    for (size_t k = 0; k < KINDS; k++) {
        for (size_t c = 0; c < CODINGS; c++) {
            cases += check_kind(&kinds[k], codings[c], NULL, secrets, kinds[k].searched);
        }
    }
    assert_true(cases > 1000);
    http_secrets_destroy(secrets);
}

static void nothing_masked_passes_wherever_it_is_cut(void **state)
{
    (void)state;
    struct http_secrets *secrets = create_secrets();
    struct masker *detects = http_body_test_masker(DETECT), *names = http_body_test_masker(NAMES);
    size_t cases = 0;
    for (size_t k = 0; k < KINDS; k++) {
        struct masker *masker = is_text_kind(&kinds[k]) ? detects : names;
        for (size_t c = 0; c < CODINGS; c++) {
            cases += check_kind(&kinds[k], codings[c], masker, secrets, kinds[k].expected);
        }
    }
    assert_true(cases > 1000);
    masker_destroy(detects);
    masker_destroy(names);
    http_secrets_destroy(secrets);
}

static void masks_alone_are_enough(void **state)
{
    (void)state;
    struct masker *masker = http_body_test_masker(DETECT);
    const struct kind k = {"text/plain", "<" EMAIL ">", NULL, NULL};
    for (size_t c = 0; c < CODINGS; c++) {
        assert_true(check_kind(&k, codings[c], masker, NULL, "<[hidden]>") > 10);
    }
    masker_destroy(masker);
}

/* ---- what goes through as it is ------------------------------------------------------------ */

static void without_masks_and_secrets_it_is_unchanged(void **state)
{
    (void)state;
    struct http_secrets *none = http_secrets_create(NULL, 0);
    struct http_body_test t;
    http_body_test_init(&t);
    struct http_body_options o = {.content_type = text("no type; at all"),
                                  .content_encoding = text("gzip, no such thing"),
                                  .secrets = none,
                                  .is_part = true};
    assert_int_equal(http_body_test_run(&t, o, text("anything"), 0, 3), OK);
    assert_text(&t.out, "anything");
    assert_text(&t.plain, "anything");
    assert_false(t.was_masked);
    struct http_body *b = NULL;
    assert_int_equal(http_body_create(&o, &b, NULL), OK);
    assert_true(http_body_is_unchanged(b));
    http_body_destroy(b);
    http_body_destroy(NULL);
    http_body_test_finish(&t);
    http_secrets_destroy(none);
}

static void what_has_nothing_to_hide_keeps_its_bytes(void **state)
{
    (void)state;
    struct http_secrets *secrets = create_secrets();
    struct http_body_test t;
    http_body_test_init(&t);
    struct http_body_options o = {.content_type = text("image/png"), .secrets = secrets};
    assert_int_equal(http_body_test_run(&t, o, bytes_of("\x89PNG\0\r\n%", 8), 0, 1), OK);
    assert_true(bytes_equal(buffer_bytes(&t.out), bytes_of("\x89PNG\0\r\n%", 8)));
    assert_false(t.was_masked);
    http_body_test_finish(&t);
    http_secrets_destroy(secrets);
}

static void an_empty_body_stays_empty(void **state)
{
    (void)state;
    struct http_secrets *secrets = create_secrets();
    struct masker *masker = http_body_test_masker(DETECT);
    struct http_body_test t;
    http_body_test_init(&t);
    for (size_t c = 0; c < CODINGS; c++) {
        struct http_body_options o = {.content_type = text("application/json"),
                                      .content_encoding = text(codings[c]),
                                      .masker = masker,
                                      .secrets = secrets};
        assert_int_equal(http_body_test_run(&t, o, text(""), 0, 1), OK);
        assert_int_equal(buffer_size(&t.out), 0);
        assert_false(t.was_masked);
    }
    http_body_test_finish(&t);
    masker_destroy(masker);
    http_secrets_destroy(secrets);
}

static void what_is_only_recorded_is_not_given_out(void **state)
{
    (void)state;
    struct http_secrets *secrets = create_secrets();
    struct masker *masker = http_body_test_masker(DETECT);
    struct buffer in;
    struct http_body_test t;
    http_body_test_init(&t);
    buffer_init(&in, 1 << 20);
    for (size_t c = 0; c < CODINGS; c++) {
        struct http_body_options o = {.content_type = text("text/plain"),
                                      .content_encoding = text(codings[c]),
                                      .masker = masker,
                                      .secrets = secrets,
                                      .only_plain = true};
        http_body_test_encode(codings[c], text("a " EMAIL ", " SECRET), &in);
        assert_int_equal(http_body_test_run(&t, o, buffer_bytes(&in), 0, 5), OK);
        assert_int_equal(buffer_size(&t.out), 0);
        assert_text(&t.plain, "a [hidden], [masked]");
    }
    buffer_finish(&in);
    http_body_test_finish(&t);
    masker_destroy(masker);
    http_secrets_destroy(secrets);
}

static void what_is_only_recorded_is_decoded(void **state)
{
    (void)state;
    struct buffer in;
    struct http_body_test t;
    http_body_test_init(&t);
    buffer_init(&in, 1 << 20);
    for (size_t c = 1; c < CODINGS; c++) {
        struct http_body_options o = {
            .content_encoding = text(codings[c]), .is_part = true, .only_plain = true};
        http_body_test_encode(codings[c], text("of no mask, and of no secret"), &in);
        assert_int_equal(http_body_test_run(&t, o, buffer_bytes(&in), 0, 3), OK);
        assert_int_equal(buffer_size(&t.out), 0);
        assert_text(&t.plain, "of no mask, and of no secret");
        assert_false(t.was_masked);
        in.end--;
        assert_int_equal(http_body_test_run(&t, o, buffer_bytes(&in), 0, 3), ERR_INVALID);
    }
    buffer_finish(&in);
    http_body_test_finish(&t);
}

static void an_event_is_not_held_back(void **state)
{
    (void)state;
    struct http_secrets *secrets = create_secrets();
    for (size_t c = 0; c < CODINGS; c++) {
        struct http_body_options o = {.content_type = text("text/event-stream"),
                                      .content_encoding = text(codings[c]),
                                      .secrets = secrets};
        struct http_body *b = NULL;
        struct buffer in, out, plain;
        buffer_init(&in, 1 << 20);
        buffer_init(&out, 1 << 20);
        buffer_init(&plain, 1 << 20);
        assert_int_equal(http_body_create(&o, &b, NULL), OK);
        http_body_test_encode(codings[c], text("data: now\n\n"), &in);
        assert_int_equal(http_body_feed(b, buffer_bytes(&in), &out), OK);
        (void)http_body_test_decode(codings[c], buffer_bytes(&out), &plain); /* has no end yet */
        assert_text(&plain, "data: now\n\n");
        http_body_destroy(b);
        buffer_finish(&in);
        buffer_finish(&out);
        buffer_finish(&plain);
    }
    http_secrets_destroy(secrets);
}

/* ---- much of it ---------------------------------------------------------------------------- */

static void put_lines(struct buffer *b, size_t size)
{
    for (unsigned i = 1; buffer_size(b) < size; i++) { /* no two the same: it is no bomb */
        assert_int_equal(
            buffer_append_format(b, "{\"mail\":\"" EMAIL "\",\"token\":\"" SECRET "\",\"n\":%u}\n",
                                 i * 2654435761U),
            OK);
    }
}

static void a_long_body_takes_little_memory(void **state)
{
    (void)state;
    enum { SIZE = 4 << 20, PIECE = 4096, OUT_MAX = 1 << 20 };
    struct http_secrets *secrets = create_secrets();
    struct masker *masker = http_body_test_masker(NAMES);
    struct buffer plain, in, out;
    buffer_init(&plain, SIZE_MAX);
    buffer_init(&in, SIZE_MAX);
    put_lines(&plain, SIZE);
    for (size_t c = 0; c < CODINGS; c++) {
        struct http_body_options o = {.content_type = text("application/x-ndjson"),
                                      .content_encoding = text(codings[c]),
                                      .masker = masker,
                                      .secrets = secrets};
        struct http_body *b = NULL;
        http_body_test_encode(codings[c], buffer_bytes(&plain), &in);
        buffer_init(&out, OUT_MAX); /* more at a time would be ERR_LIMIT */
        assert_int_equal(http_body_create(&o, &b, NULL), OK);
        for (size_t at = 0; at < buffer_size(&in); at += PIECE) {
            size_t left = buffer_size(&in) - at;
            struct bytes piece = bytes_of(in.data + at, left < PIECE ? left : PIECE);
            assert_int_equal(http_body_feed(b, piece, &out), OK);
            assert_false(has(&out, SECRET) || has(&out, EMAIL));
            buffer_clear(&out);
        }
        assert_int_equal(http_body_finish(b, &out), OK);
        assert_true(http_body_was_masked(b) && http_body_had_secrets(b));
        http_body_destroy(b);
        buffer_finish(&out);
    }
    buffer_finish(&plain);
    buffer_finish(&in);
    masker_destroy(masker);
    http_secrets_destroy(secrets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_secret_passes_wherever_it_is_cut),
        cmocka_unit_test(nothing_masked_passes_wherever_it_is_cut),
        cmocka_unit_test(masks_alone_are_enough),
        cmocka_unit_test(without_masks_and_secrets_it_is_unchanged),
        cmocka_unit_test(what_has_nothing_to_hide_keeps_its_bytes),
        cmocka_unit_test(an_empty_body_stays_empty),
        cmocka_unit_test(what_is_only_recorded_is_not_given_out),
        cmocka_unit_test(what_is_only_recorded_is_decoded),
        cmocka_unit_test(an_event_is_not_held_back),
        cmocka_unit_test(a_long_body_takes_little_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

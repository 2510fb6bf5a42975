#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "sidecar/protocol/http/body/http_body_support.h"

#define SECRET "sk-live-51HqLyjWDarjtT1zdp"
#define SECRET_BASE64 "c2stbGl2ZS01MUhxTHlqV0Rhcmp0VDF6ZHA"
#define EMAIL "jane.doe@example.org"
#define DETECT "[{\"detect\":[\"email\"],\"with\":{\"fixed\":\"[hidden]\"}}]"
#define NAMES                                                                                      \
    "[{\"fields\":[\"mail\"],\"with\":{\"fixed\":\"[hidden]\"}},"                                  \
    "{\"detect\":[\"email\"],\"with\":{\"fixed\":\"[hidden]\"}}]"
#define PASSES                                                                                     \
    "[{\"fields\":[\"mail\"],\"detect\":[\"email\"],\"with\":{\"fixed\":\"[hidden]\"},"            \
    "\"unknown_origin\":\"allow\"}]"

static const char *const codings[] = {"", "gzip", "deflate", "br", "zstd", "gzip, br"};
enum { CODINGS = sizeof(codings) / sizeof(codings[0]) };

static struct bytes text(const char *s)
{
    return bytes_of_string(s);
}

static struct http_secrets *create_secrets(void)
{
    struct bytes secret = text(SECRET);
    struct http_secrets *s = http_secrets_create(&secret, 1);
    assert_non_null(s);
    return s;
}

static bool has(const struct buffer *b, const char *what)
{
    struct bytes all = buffer_bytes(b);
    return all.size > 0 && memmem(all.data, all.size, what, strlen(what)) != NULL;
}

static void assert_text(const struct buffer *got, const char *expected)
{
    if (!bytes_equal(buffer_bytes(got), text(expected))) {
        fail_msg("got      %.*s\nexpected %s", (int)buffer_size(got), (const char *)got->data,
                 expected);
    }
}

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
        cmocka_unit_test(no_secret_passes_wherever_it_is_cut),
        cmocka_unit_test(nothing_masked_passes_wherever_it_is_cut),
        cmocka_unit_test(masks_alone_are_enough),
        cmocka_unit_test(without_masks_and_secrets_it_is_unchanged),
        cmocka_unit_test(what_has_nothing_to_hide_keeps_its_bytes),
        cmocka_unit_test(an_empty_body_stays_empty),
        cmocka_unit_test(what_is_only_recorded_is_not_given_out),
        cmocka_unit_test(an_event_is_not_held_back),
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

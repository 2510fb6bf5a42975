/* Texts without end, against the same text masked whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sidecar/masking/masker_body_support.h"

enum { OUT_MAX = 64 << 20 };

static const char all[] =
    "[{'detect':['email','card','iban','ssn','phone','private_key','jwt','api_key'],"
    "'with':{'fixed':'[d]'}},{'detect':['ahv','dni'],'with':{'partial':{'keep_last':2}}}]";
static const char custom[] =
    "[{'detect':['email',{'name':'t','pattern':'(?:^|b)tck-[0-9]{4,8}(?:$|[^0-9])'},"
    "{'name':'wide','pattern':'<<[a-z ]{1,60}>>'}],'with':{'fixed':'[d]'}}]";

static const char *const finds[] = {
    "jane.doe@mail.example.org",
    "4111 1111 1111 1111",
    "DE89 3704 0044 0532 0130 00",
    "078-05-1120",
    "+49 (0)30 1234567",
    "756.1234.5678.97",
    "ghp_0123456789abcdefghijABCDEFGHIJ012345",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\n-----END PRIVATE KEY-----",
    "secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "btck-123456",
    "<<what is between>>",
};
enum { FINDS = sizeof(finds) / sizeof(finds[0]) };

static struct masker *of(const char *masks)
{
    struct masker *m = masker_of(masks);
    assert_non_null(m);
    return m;
}

static uint32_t next(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

static void put(struct buffer *b, const char *text)
{
    assert_int_equal(buffer_append_string(b, text), OK);
}

static void assert_same(struct buffer *found, struct buffer *expected, size_t seed)
{
    struct bytes a = buffer_bytes(found), b = buffer_bytes(expected);
    size_t at = 0;
    while (at < a.size && at < b.size && a.data[at] == b.data[at]) {
        at++;
    }
    if (at < a.size || at < b.size) {
        size_t from = at > 60 ? at - 60 : 0;
        fail_msg("case %zu, at %zu of %zu (%zu): found %.100s, expected %.100s", seed, at, a.size,
                 b.size, (const char *)a.data + from, (const char *)b.data + from);
    }
}

static void assert_as_whole(struct masker *m, struct buffer *in, size_t piece, size_t seed)
{
    struct buffer out, expected;
    buffer_init(&out, OUT_MAX);
    buffer_init(&expected, OUT_MAX);
    assert_int_equal(masker_text(m, buffer_bytes(in), &expected), OK);
    assert_int_equal(masker_feed_all(m, MASKER_BODY_TEXT, buffer_bytes(in), piece, &out), OK);
    put(&out, "");
    assert_int_equal(buffer_append(&out, bytes_of("", 1)), OK);
    assert_int_equal(buffer_append(&expected, bytes_of("", 1)), OK);
    assert_same(&out, &expected, seed);
    buffer_finish(&out);
    buffer_finish(&expected);
}

/* Windows, steps and pieces end anywhere within it. */
static void a_find_may_stand_anywhere(void **state)
{
    (void)state;
    enum { SIZE = 10000, EVERY = 37 };
    struct masker *maskers[] = {of(all), of(custom)};
    static char filler[SIZE + 1];
    struct buffer in;
    buffer_init(&in, OUT_MAX);
    for (size_t i = 0; i < SIZE; i++) {
        filler[i] = "some words, "[i % 12];
    }
    for (size_t at = 0; at < 7400; at += at % 2048 < 40 || at % 4096 > 2200 ? 1 : EVERY) {
        size_t i = at % FINDS;
        buffer_clear(&in);
        assert_int_equal(buffer_append(&in, bytes_of(filler, at)), OK);
        put(&in, " ");
        put(&in, finds[i]);
        put(&in, "\" ");
        assert_int_equal(buffer_append(&in, bytes_of(filler + at, SIZE - at)), OK);
        assert_as_whole(maskers[i >= 10], &in, at % 3 == 0 ? 0 : at % 1500 + 1, at);
    }
    buffer_finish(&in);
    masker_destroy(maskers[0]);
    masker_destroy(maskers[1]);
}

static void put_anything(struct buffer *in, uint32_t *state)
{
    static const char *const others[] = {" ",    "\n",    ", ",   "x@",        "@",        "1234",
                                         "eyJ",  "-----", "\r\n", "the text ", "\xc3\xa9", "+49",
                                         "tck-", "<<",    "\"",   "4111",      "BEGIN ",   "0"};
    uint32_t n = next(state);
    if (n % 5 == 0) {
        put(in, finds[next(state) % FINDS]);
    } else if (n % 5 == 1) {
        uint8_t byte = (uint8_t)(next(state) % 256);
        assert_int_equal(buffer_append(in, bytes_of(&byte, 1)), OK);
    } else if (n % 97 == 2) {
        for (size_t i = next(state) % 3000; i > 0; i--) {
            put(in, "a");
        }
    } else {
        put(in, others[next(state) % (sizeof(others) / sizeof(others[0]))]);
    }
}

static void random_texts_are_as_whole(void **state)
{
    (void)state;
    struct masker *maskers[] = {of(all), of(custom)};
    struct buffer in;
    buffer_init(&in, OUT_MAX);
    for (uint32_t seed = 0; seed < 1200; seed++) {
        uint32_t random = seed;
        buffer_clear(&in);
        put(&in, "x ");
        for (size_t i = next(&random) % 300; i > 0; i--) {
            put_anything(&in, &random);
        }
        assert_as_whole(maskers[seed % 2], &in, seed % 3 == 0 ? 1 : next(&random) % 5000, seed);
    }
    buffer_finish(&in);
    masker_destroy(maskers[0]);
    masker_destroy(maskers[1]);
}

/* More of them than one value may have, as close as they can be. */
static void many_finds_are_no_limit(void **state)
{
    (void)state;
    struct masker *m = of(all);
    struct buffer in, out;
    buffer_init(&in, OUT_MAX);
    buffer_init(&out, OUT_MAX);
    for (size_t i = 0; i < 20000; i++) {
        put(&in, "a@b.co,");
    }
    for (size_t piece = 0; piece < 3; piece++) {
        buffer_clear(&out);
        masker_counts_reset(m);
        assert_int_equal(
            masker_feed_all(m, MASKER_BODY_TEXT, buffer_bytes(&in), piece * 5000, &out), OK);
        assert_int_equal(buffer_size(&out), 20000 * 4);
        assert_memory_equal(buffer_bytes(&out).data + 4 * 19998, "[d],[d],", 8);
        const struct masker_count *counts = NULL;
        assert_int_equal(masker_counts(m, &counts), 1);
        assert_int_equal(counts[0].rows, 20000);
    }
    buffer_finish(&in);
    buffer_finish(&out);
    masker_destroy(m);
}

/* What can hide nothing any more goes out at once: events come line by line. */
static void lines_are_not_held_back(void **state)
{
    (void)state;
    struct masker *m = of(all);
    struct masker_body *b = NULL;
    struct buffer out;
    buffer_init(&out, OUT_MAX);
    assert_int_equal(masker_body_create(m, MASKER_BODY_TEXT, &b, NULL), OK);
    assert_int_equal(masker_body_feed(b, bytes_of_string("data: hello jane@b.co\n\nda"), &out), OK);
    assert_int_equal(buffer_size(&out), 17);
    assert_memory_equal(buffer_bytes(&out).data, "data: hello [d]\n\n", 17);
    masker_body_destroy(b);
    buffer_finish(&out);
    masker_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_find_may_stand_anywhere),
        cmocka_unit_test(random_texts_are_as_whole),
        cmocka_unit_test(many_finds_are_no_limit),
        cmocka_unit_test(lines_are_not_held_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

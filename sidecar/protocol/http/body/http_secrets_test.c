#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "sidecar/protocol/http/body/http_secrets_stream.h"

enum { OUT_MAX = 1 << 24, COLUMNS = 4, LINE_MAX_SIZE = 1 << 14 };

static struct bytes text(const char *s)
{
    return bytes_of_string(s);
}

static struct http_secrets *create(struct bytes a, struct bytes b)
{
    struct bytes texts[] = {a, b};
    struct http_secrets *s = http_secrets_create(texts, b.size == 0 ? 1 : 2);
    assert_non_null(s);
    return s;
}

static void assert_text(const struct buffer *out, struct bytes expected)
{
    struct bytes got = buffer_bytes(out);
    if (!bytes_equal(got, expected)) {
        fail_msg("got      %.*s\nexpected %.*s", (int)got.size, (const char *)got.data,
                 (int)expected.size, (const char *)expected.data);
    }
}

/* In pieces: `first` bytes, then so many at a time. */
static void replace(const struct http_secrets *s, bool is_json, struct bytes in, size_t first,
                    size_t step, struct buffer *out)
{
    struct http_secrets_stream *stream = http_secrets_stream_create(s, is_json);
    assert_non_null(stream);
    for (size_t at = 0; at < in.size;) {
        size_t size = at == 0 && first > 0 ? first : step;
        size = size > in.size - at ? in.size - at : size;
        assert_int_equal(http_secrets_stream_feed(stream, bytes_of(in.data + at, size), out, NULL),
                         OK);
        at += size;
    }
    assert_int_equal(http_secrets_stream_finish(stream, out), OK);
    http_secrets_stream_destroy(stream);
}

static void check(const struct http_secrets *s, bool is_json, struct bytes in,
                  struct bytes expected)
{
    struct buffer out;
    buffer_init(&out, OUT_MAX);
    for (size_t first = 0; first <= in.size; first++) {
        replace(s, is_json, in, first, in.size, &out);
        assert_text(&out, expected);
        buffer_clear(&out);
    }
    replace(s, is_json, in, 0, 1, &out);
    assert_text(&out, expected);
    buffer_finish(&out);
}

/* ---- the vectors --------------------------------------------------------------------------- */

static struct bytes read_hex(const char *hex, uint8_t *out)
{
    size_t size = strlen(hex) / 2;
    for (size_t i = 0; i < size; i++) {
        unsigned v = 0;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &v), 1);
        out[i] = (uint8_t)v;
    }
    return bytes_of(out, size);
}

static size_t check_vector(char *line)
{
    static uint8_t memory[COLUMNS][LINE_MAX_SIZE];
    char *columns[COLUMNS], *rest = line;
    for (size_t i = 0; i < COLUMNS; i++) {
        columns[i] = strsep(&rest, "\t\n");
        assert_non_null(columns[i]);
    }
    struct bytes secret = read_hex(columns[0], memory[0]), in = read_hex(columns[2], memory[2]);
    struct bytes expected = read_hex(columns[3], memory[3]);
    /* With another secret, none of whose forms are in it, that makes the window shorter. */
    struct http_secrets *alone = create(secret, (struct bytes){0}),
                        *beside = create(secret, text("QQ~"));
    check(alone, false, in, expected);
    check(beside, false, in, expected);
    assert_int_equal(http_secrets_are_in(alone, in), !bytes_equal(in, expected));
    struct buffer out;
    buffer_init(&out, OUT_MAX);
    bool found = false;
    assert_int_equal(http_secrets_replace(alone, in, &out, &found), OK);
    assert_text(&out, expected);
    assert_int_equal(found, !bytes_equal(in, expected));
    buffer_finish(&out);
    http_secrets_destroy(alone);
    http_secrets_destroy(beside);
    return in.size;
}

static void replaces_every_form_at_every_split(void **state)
{
    (void)state;
    FILE *f = fopen("sidecar/protocol/http/body/testdata/secrets.tsv", "r");
    assert_non_null(f);
    static char line[LINE_MAX_SIZE];
    size_t vectors = 0, splits = 0;
    while (fgets(line, sizeof(line), f) != NULL) {
        splits += check_vector(line);
        vectors++;
    }
    (void)fclose(f);
    assert_true(vectors > 500);
    assert_true(splits > 10000);
}

/* ---- by hand ------------------------------------------------------------------------------- */

static void an_overlap_is_masked_whole(void **state)
{
    (void)state;
    struct http_secrets *s = create(text("abcdefgh01"), text("gh01ijklmn"));
    check(s, false, text("<abcdefgh01ijklmn>"), text("<[masked]>"));
    http_secrets_destroy(s);
}

static void the_longer_of_two_is_masked(void **state)
{
    (void)state;
    struct http_secrets *s = create(text("token-12"), text("token-12-and-more"));
    check(s, false, text("token-12-and-more;"), text("[masked];"));
    check(s, false, text("token-12-and-less;"), text("[masked]-and-less;"));
    check(s, false, text("token-12"), text("[masked]"));
    http_secrets_destroy(s);
}

static void json_stays_valid(void **state)
{
    (void)state;
    struct http_secrets *s = create(text("ntoken-123"), text("12345678"));
    check(s, true, text("{\"a\":\"\\ntoken-123\"}"), text("{\"a\":\"\\u005bmasked]\"}"));
    check(s, true, text("{\"a\":\"\\\\ntoken-123\"}"), text("{\"a\":\"\\\\[masked]\"}"));
    check(s, true, text("[12345678, -0.12345678e2]"), text("[11111111, -0.11111111e2]"));
    check(s, true, text("[\"12345678\", \"\\\"\", 912345678]"),
          text("[\"[masked]\", \"\\\"\", 911111111]"));
    check(s, false, text("12345678"), text("[masked]"));
    http_secrets_destroy(s);
    s = create(text("11111111"), (struct bytes){0});
    check(s, true, text("{\"a\":-11111111}"), text("{\"a\":-22222222}"));
    http_secrets_destroy(s);
    s = create(text("ntoken-123"), (struct bytes){0});
    check(s, true, text("{\"a\":\"\\ntoken-123\"}"), text("{\"a\":\"\\u005bmasked]\"}"));
    check(s, true, text("{\"a\":\"\\\\\\\\ntoken-123\"}"), text("{\"a\":\"\\\\\\\\[masked]\"}"));
    http_secrets_destroy(s);
}

static void holds_back_only_what_may_be_one(void **state)
{
    (void)state;
    struct http_secrets *s = create(text("token-123"), (struct bytes){0});
    struct http_secrets_stream *stream = http_secrets_stream_create(s, false);
    struct buffer out;
    buffer_init(&out, OUT_MAX);
    assert_int_equal(http_secrets_stream_feed(stream, text("data: an event\n\n"), &out, NULL), OK);
    assert_text(&out, text("data: an event\n\n"));
    assert_int_equal(http_secrets_stream_feed(stream, text("data: token-12"), &out, NULL), OK);
    assert_text(&out, text("data: an event\n\ndata: "));
    assert_int_equal(http_secrets_stream_feed(stream, text("!"), &out, NULL), OK);
    assert_text(&out, text("data: an event\n\ndata: token-12!"));
    assert_false(http_secrets_stream_found(stream));
    http_secrets_stream_destroy(stream);
    buffer_finish(&out);
    http_secrets_destroy(s);
}

static void the_shortest_secrets_are_found(void **state)
{
    (void)state;
    struct http_secrets *s = create(text("~"), (struct bytes){0});
    check(s, false, text("a~b%7e~"), text("a[masked]b[masked][masked]"));
    http_secrets_destroy(s);
}

static void without_texts_nothing_is_found(void **state)
{
    (void)state;
    struct bytes empty = text("");
    struct http_secrets *s = http_secrets_create(&empty, 1);
    assert_non_null(s);
    assert_false(http_secrets_are_any(s));
    assert_false(http_secrets_are_in(s, text("anything")));
    check(s, true, text("anything"), text("anything"));
    http_secrets_destroy(s);
    assert_false(http_secrets_are_any(NULL));
    assert_null(http_secrets_create(&empty, HTTP_BODY_SECRETS_MAX + 1));
}

/* A text of many pieces that is nothing but beginnings, with one secret at any place. */
static void finds_it_in_much_that_resembles_it(void **state)
{
    (void)state;
    struct http_secrets *s = create(text("aaaaaaaaaaab"), text("%61aaaaaa%"));
    enum { SIZE = 200000 };
    uint8_t *data = malloc(SIZE);
    assert_non_null(data);
    struct buffer out;
    buffer_init(&out, OUT_MAX);
    for (size_t at = 65530; at < 65550; at++) {
        memset(data, 'a', SIZE);
        data[at] = 'b';
        replace(s, false, bytes_of(data, SIZE), 0, 30001, &out);
        assert_int_equal(buffer_size(&out), SIZE - 12 + 8);
        memset(data, 'a', SIZE);
        memcpy(data + at - 11, "[masked]", 8);
        assert_text(&out, bytes_of(data, SIZE - 12 + 8));
        buffer_clear(&out);
    }
    buffer_finish(&out);
    free(data);
    http_secrets_destroy(s);
}

/* ---- by chance ----------------------------------------------------------------------------- */

static uint32_t next_random(uint32_t *io, uint32_t below)
{
    *io = *io * 1664525 + 1013904223;
    return (*io >> 8) % below;
}

/* Few characters, so that the text around resembles the secret; with those that escapes have. */
static size_t put_random(uint32_t *io_random, char *out, size_t size)
{
    static const char few[] = "ab%\\u0526\"/+";
    for (size_t i = 0; i < size; i++) {
        out[i] = few[next_random(io_random, sizeof(few) - 1)];
    }
    return size;
}

/* Each character in one of the ways that there are, with no '%' or '\\' as itself. */
static size_t put_written(uint32_t *io_random, const char *secret, size_t size, bool is_json,
                          char *out)
{
    char *to = out;
    for (size_t i = 0; i < size; i++) {
        char c = secret[i];
        bool is_plain = next_random(io_random, 2) == 0 && strchr("%\\\"", c) == NULL;
        bool is_short = is_json && strchr("\\\"/", c) != NULL && next_random(io_random, 2) == 0;
        to += is_plain   ? sprintf(to, "%c", c)
              : is_short ? sprintf(to, "\\%c", c)
              : is_json  ? sprintf(to, next_random(io_random, 2) ? "\\u%04x" : "\\u%04X", c)
                         : sprintf(to, next_random(io_random, 2) ? "%%%02x" : "%%%02X", c);
    }
    return (size_t)(to - out);
}

static void finds_what_is_written_by_chance(void **state)
{
    (void)state;
    enum { ROUNDS = 4000, SECRET_MAX = 24, AROUND = 60 };
    uint32_t random = 7;
    struct buffer out;
    buffer_init(&out, OUT_MAX);
    for (int round = 0; round < ROUNDS; round++) {
        char secret[SECRET_MAX], in[AROUND * 3 + SECRET_MAX * 6 + 1];
        size_t size = put_random(&random, secret, 2 + next_random(&random, SECRET_MAX - 1));
        /* What is around it ends its own escapes, and begins none that would go on within it. */
        size_t at = put_random(&random, in, next_random(&random, AROUND));
        at += (size_t)sprintf(in + at, "~~~~~~~~~~~~");
        size_t start = at;
        at += put_written(&random, secret, size, round % 2 == 0, in + at);
        size_t end = at;
        at += put_random(&random, in + at, next_random(&random, AROUND));
        struct http_secrets *s = create(bytes_of(secret, size), (struct bytes){0});
        assert_true(http_secrets_are_in(s, bytes_of(in + start, end - start)));
        assert_true(http_secrets_are_in(s, bytes_of(in, at)));
        replace(s, false, bytes_of(in, at), 1 + next_random(&random, (uint32_t)at),
                1 + next_random(&random, 9), &out);
        assert_false(http_secrets_are_in(s, buffer_bytes(&out)));
        assert_non_null(memmem(out.data, buffer_size(&out), "~~[masked]", 10));
        buffer_clear(&out);
        http_secrets_destroy(s);
    }
    buffer_finish(&out);
}

static void finds_it_anywhere_in_a_long_text(void **state)
{
    (void)state;
    static const char token[] = "targets-bearer-token-0c6f1d52e9";
    static const char *const fillers[] = {"x", "targets-bearer-toke", "dGFyZ2V0cy1iZWFyZXIt",
                                          "%74"};
    struct http_secrets *s = create(text(token), (struct bytes){0});
    uint8_t long_text[1400];
    for (size_t i = 0; i < sizeof(fillers) / sizeof(fillers[0]); i++) {
        size_t size = strlen(fillers[i]);
        for (size_t at = 0; at + strlen(token) <= sizeof(long_text); at++) {
            for (size_t k = 0; k < sizeof(long_text); k++) {
                long_text[k] = (uint8_t)fillers[i][k % size];
            }
            assert_false(http_secrets_are_in(s, bytes_of(long_text, sizeof(long_text))));
            memcpy(long_text + at, token, strlen(token));
            assert_true(http_secrets_are_in(s, bytes_of(long_text, sizeof(long_text))));
        }
    }
    http_secrets_destroy(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replaces_every_form_at_every_split),
        cmocka_unit_test(an_overlap_is_masked_whole),
        cmocka_unit_test(the_longer_of_two_is_masked),
        cmocka_unit_test(json_stays_valid),
        cmocka_unit_test(holds_back_only_what_may_be_one),
        cmocka_unit_test(the_shortest_secrets_are_found),
        cmocka_unit_test(without_texts_nothing_is_found),
        cmocka_unit_test(finds_it_in_much_that_resembles_it),
        cmocka_unit_test(finds_what_is_written_by_chance),
        cmocka_unit_test(finds_it_anywhere_in_a_long_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* JSON made by chance, against what must become of it; long bodies; memory that is short. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/sanitized.h"
#include "base/testing/alloc_fail.h"
#include "sidecar/masking/masker_body_support.h"

enum { OUT_MAX = 64 << 20 };

static const char masks[] = "[{'fields':['email','*_token'],'json':['/*/customers/*/ssn'],"
                            "'with':{'fixed':'[m]'}},{'detect':['email','card'],"
                            "'with':{'fixed':'[d]'}}]";

static struct masker *of(const char *rules)
{
    struct masker *m = masker_of(rules);
    assert_non_null(m);
    return m;
}

static void put(struct buffer *b, const char *text)
{
    assert_int_equal(buffer_append_string(b, text), OK);
}

/* ---- made by chance ------------------------------------------------------------------------- */

/* Writes a text as it may come, and what it must become. */
struct maker {
    struct buffer in, expected;
    uint32_t state;
};

static uint32_t next(struct maker *k)
{
    k->state = k->state * 1664525 + 1013904223;
    return k->state >> 8;
}

static void both(struct maker *k, const char *text)
{
    put(&k->in, text);
    put(&k->expected, text);
}

static void space(struct maker *k)
{
    static const char *const spaces[] = {"", "", "", " ", "\n", "\t ", "\r\n", "        "};
    put(&k->in, spaces[next(k) % 8]);
}

/* In quotes, with some of its letters escaped. */
static void put_quoted(struct maker *k, const char *text)
{
    put(&k->in, "\"");
    for (const char *at = text; *at != '\0'; at++) {
        char piece[8];
        bool is_plain = *at != '"' && *at != '\\' && next(k) % 6 != 0;
        (void)snprintf(piece, sizeof(piece), is_plain ? "%c" : "\\u%04x", *at);
        put(&k->in, piece);
    }
    put(&k->in, "\"");
}

static void put_string(struct maker *k, bool is_masked)
{
    static const struct {
        const char *in, *out;
    } texts[] = {
        {"", "\"\""},
        {"plain", "\"plain\""},
        {"say \"x\\y\"", "\"say \\\"x\\\\y\\\"\""},
        {"s3cret@mail.example.org", "\"[d]\""},
        {"to s3cret@b.co, now", "\"to [d], now\""},
        {"4111 1111 1111 1111", "\"[d]\""},
        {"true", "\"true\""},
        {"{[,:]}", "\"{[,:]}\""},
        {"a rather long text, which goes on and on and on and on and on and on and on and on",
         "\"a rather long text, which goes on and on and on and on and on and on and on and on\""},
    };
    size_t i = next(k) % (sizeof(texts) / sizeof(texts[0]));
    put_quoted(k, texts[i].in);
    put(&k->expected, is_masked ? "\"[m]\"" : texts[i].out);
}

static void put_scalar(struct maker *k, bool is_masked)
{
    static const char *const others[] = {"0",    "-1.50", "1e9", "12345678901234567890.25",
                                         "true", "false"};
    uint32_t n = next(k) % 10;
    if (n < 4) {
        put_string(k, is_masked);
    } else if (n == 4) {
        put(&k->in, "4111111111111111");
        put(&k->expected, is_masked ? "\"[m]\"" : "\"[d]\"");
    } else if (n == 5) {
        both(k, "null");
    } else {
        const char *text = others[next(k) % 6];
        put(&k->in, text);
        put(&k->expected, is_masked ? "\"[m]\"" : text);
    }
}

static void put_value(struct maker *k, int depth, int steps, bool is_masked);

static void put_member(struct maker *k, int depth, int steps, bool is_masked)
{
    static const struct {
        const char *in, *out;
        bool is_masked;
    } names[] = {
        {"email", "\"email\":", true},
        {"Email", "\"Email\":", true},
        {"access_token", "\"access_token\":", true},
        {"id", "\"id\":", false},
        {"", "\"\":", false},
        {"ssn", "\"ssn\":", false},
        {"customers", "\"customers\":", false},
        {"s3cret@b.co", "\"[d]\":", false},
        {"a/b~c", "\"a/b~c\":", false},
    };
    size_t i = next(k) % (sizeof(names) / sizeof(names[0]));
    int deeper = steps == 1 && i == 6 ? 2 : steps == 2 ? 3 : 0;
    put_quoted(k, names[i].in);
    put(&k->expected, names[i].out);
    space(k);
    put(&k->in, ":");
    space(k);
    put_value(k, depth, deeper, is_masked || names[i].is_masked || (steps == 3 && i == 5));
}

/* `steps`: how many of the pointer's the way here has taken. */
static void put_value(struct maker *k, int depth, int steps, bool is_masked)
{
    uint32_t n = next(k) % 4;
    if (depth == 0 || n < 1) {
        put_scalar(k, is_masked);
        return;
    }
    bool is_array = n == 1;
    both(k, is_array ? "[" : "{");
    for (uint32_t count = next(k) % 5, i = 0; i < count; i++) {
        if (i > 0) {
            space(k);
            both(k, ",");
        }
        space(k);
        if (is_array) {
            put_value(k, depth - 1, steps == 2 ? 3 : 0, is_masked);
        } else {
            put_member(k, depth - 1, steps, is_masked);
        }
    }
    space(k);
    both(k, is_array ? "]" : "}");
}

static void put_document(struct maker *k)
{
    buffer_clear(&k->in);
    buffer_clear(&k->expected);
    both(k, "["); /* without spaces around: line ends stay there */
    for (uint32_t count = next(k) % 4, i = 0; i <= count; i++) {
        both(k, i > 0 ? "," : "");
        put_value(k, 6, 1, false);
        space(k);
    }
    both(k, "]");
}

static void what_comes_is_masked(void **state)
{
    (void)state;
    struct masker *m = of(masks);
    struct buffer out;
    struct maker k = {.state = 0};
    buffer_init(&k.in, OUT_MAX);
    buffer_init(&k.expected, OUT_MAX);
    buffer_init(&out, OUT_MAX);
    size_t masked = 0;
    for (uint32_t seed = 0; seed < 1500; seed++) {
        k.state = seed;
        put_document(&k);
        struct bytes in = buffer_bytes(&k.in), expected = buffer_bytes(&k.expected);
        for (size_t way = 0; way < 3; way++) {
            size_t piece = way == 0 ? 0 : way == 1 ? 1 : next(&k) % 100 + 2;
            buffer_clear(&out);
            assert_int_equal(masker_feed_all(m, MASKER_BODY_JSON, in, piece, &out), OK);
            if (!bytes_equal(buffer_bytes(&out), expected)) {
                fail_msg("%u: %.*s\nfound    %.*s\nexpected %.*s", seed, (int)in.size,
                         (const char *)in.data, (int)buffer_size(&out),
                         (const char *)buffer_bytes(&out).data, (int)expected.size,
                         (const char *)expected.data);
            }
        }
        masked += memmem(expected.data, expected.size, "[m]", 3) != NULL;
    }
    assert_true(masked > 500);
    buffer_finish(&k.in);
    buffer_finish(&k.expected);
    buffer_finish(&out);
    masker_destroy(m);
}

/* ---- long bodies ---------------------------------------------------------------------------- */

/* Of `total` bytes, in pieces that are no multiple of a record. Returns how many bytes of heap were
 * in use at most beyond those at the beginning. */
static size_t feed_long(enum masker_body_kind kind, const char *rules, const char *record,
                        const char *masked, size_t total)
{
    enum { PIECE = 16000 };
    static char pieces[2 * PIECE];
    struct masker *m = of(rules);
    struct masker_body *b = NULL;
    struct buffer out;
    size_t width = strlen(record), most = 0, given = 0, records = total / width;
    for (size_t i = 0; i < sizeof(pieces); i++) {
        pieces[i] = record[i % width];
    }
    buffer_init(&out, 1 << 20);
    struct mallinfo2 before = mallinfo2();
    assert_int_equal(masker_body_create(m, kind, &b, NULL), OK);
    for (size_t at = 0; at < records * width;) {
        size_t left = records * width - at, size = left < PIECE ? left : PIECE;
        assert_int_equal(masker_body_feed(b, bytes_of(pieces + at % width, size), &out), OK);
        if (buffer_size(&out) > 0) {
            assert_null(memmem(buffer_bytes(&out).data, buffer_size(&out), "s3cret", 6));
        }
        given += buffer_size(&out);
        buffer_clear(&out);
        at += size;
        struct mallinfo2 now = mallinfo2();
        size_t used = now.uordblks + now.hblkhd, start = before.uordblks + before.hblkhd;
        most = used > start && used - start > most ? used - start : most;
    }
    assert_int_equal(masker_body_finish(b, &out), OK);
    given += buffer_size(&out);
    assert_int_equal(given, records * strlen(masked));
    masker_body_destroy(b);
    buffer_finish(&out);
    masker_destroy(m);
    return most;
}

static void long_bodies_take_no_more_memory(void **state)
{
    (void)state;
#ifdef IS_SANITIZED
    enum { TOTAL = 2 << 20, LEAST = 0, MEMORY_MAX = 0 }; /* it has a heap of its own */
#else
    enum { TOTAL = 20 << 20, LEAST = 1, MEMORY_MAX = 512 << 10 };
#endif
    const char *record =
        "{\"id\":17,\"email\":\"s3cret\",\"text\":\"some words for s3cret@b.co\"}\n";
    const char *made = "{\"id\":17,\"email\":\"[m]\",\"text\":\"some words for [d]\"}\n";
    assert_in_range(feed_long(MASKER_BODY_JSON, masks, record, made, TOTAL), LEAST, MEMORY_MAX);
    assert_in_range(
        feed_long(MASKER_BODY_FORM, masks, "email=s3cret&id=17&", "email=%5Bm%5D&id=17&", TOTAL),
        LEAST, MEMORY_MAX);
    const char *detects = "[{'detect':['email'],'with':{'fixed':'[d]'}}]";
    assert_in_range(feed_long(MASKER_BODY_TEXT, detects, "some words for s3cret@b.co and others, ",
                              "some words for [d] and others, ", TOTAL),
                    LEAST, MEMORY_MAX);
}

/* ---- memory that is short ------------------------------------------------------------------- */

struct attempt {
    struct masker *m;
    enum masker_body_kind kind;
    const char *in;
};

static void attempt(void *context)
{
    struct attempt *a = context;
    struct buffer out;
    buffer_init(&out, OUT_MAX);
    enum err e = masker_feed_all(a->m, a->kind, bytes_of_string(a->in), 5, &out);
    assert_true(e == OK || e == ERR_NO_MEMORY || e == ERR_LIMIT);
    assert_true(e != OK || buffer_size(&out) > 0);
    if (buffer_size(&out) > 0) {
        assert_null(memmem(buffer_bytes(&out).data, buffer_size(&out), "s3cret", 6));
    }
    buffer_finish(&out);
}

static void short_memory_is_an_error(void **state)
{
    (void)state;
    struct attempt attempts[] = {
        {NULL, MASKER_BODY_JSON,
         "[[[[{\"email\":\"s3cret \\n\",\"x\\u0061\":[\"to s3cret@b.co\",4111111111111111]}]]]]"},
        {NULL, MASKER_BODY_FORM, "email=s3cret&a=b+c&x=s3cret%40b.co"},
    };
    for (size_t i = 0; i < 2; i++) {
        attempts[i].m = of(masks);
        assert_in_range(alloc_fail_each(attempt, &attempts[i]), 5, 1000);
        masker_destroy(attempts[i].m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_is_masked),
        cmocka_unit_test(long_bodies_take_no_more_memory),
        cmocka_unit_test(short_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

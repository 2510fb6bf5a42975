/* What each detector finds and what it lets pass; each text again in two pieces, cut everywhere. */
#include "sidecar/masking/detector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cmocka.h>

#define SECRET_40 "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define T36 "abcdefghijklmnopqrstuvwxyz0123456789"

/* `found` is the first thing found; NULL: nothing is. */
static const struct {
    unsigned id;
    const char *text, *found;
} cases[] = {
    {DETECTOR_EMAIL, "to: <jane.doe+x@mail.example.org>.", "jane.doe+x@mail.example.org"},
    {DETECTOR_EMAIL, "write to a@b.co.", "a@b.co"},
    {DETECTOR_EMAIL, "a@b.co", "a@b.co"},
    {DETECTOR_EMAIL, "user@localhost", NULL},
    {DETECTOR_EMAIL, "@handle.name and a@ b.co", NULL},
    {DETECTOR_EMAIL, "x@1.2.3.4", NULL},
    {DETECTOR_CARD, "card 4111111111111111!", "4111111111111111"},
    {DETECTOR_CARD, "4111-1111-1111-1111", "4111-1111-1111-1111"},
    {DETECTOR_CARD, "12 5500 0000 0000 0004", "5500 0000 0000 0004"},
    {DETECTOR_CARD, "amex 378282246310005", "378282246310005"},
    {DETECTOR_CARD, "4111111111111112", NULL},  /* Luhn */
    {DETECTOR_CARD, "94111111111111111", NULL}, /* within a longer number */
    {DETECTOR_CARD, "0000000000000000", NULL},  /* no issuer */
    {DETECTOR_CARD, "411111111111", NULL},
    {DETECTOR_IBAN, "IBAN: DE89 3704 0044 0532 0130 00.", "DE89 3704 0044 0532 0130 00"},
    {DETECTOR_IBAN, "gb82west12345698765432", "gb82west12345698765432"},
    {DETECTOR_IBAN, "DE88370400440532013000", NULL},
    {DETECTOR_IBAN, "DE893704004405320130001", NULL},
    {DETECTOR_IBAN, "XX89370400440532013000", NULL},
    {DETECTOR_SSN, "ssn 123-45-6789", "123-45-6789"},
    {DETECTOR_SSN, "666-45-6789 000-12-3456 900-12-3456 123-00-6789 123-45-0000", NULL},
    {DETECTOR_SSN, "1123-45-6789", NULL},
    {DETECTOR_DNI, "DNI 12345678Z", "12345678Z"},
    {DETECTOR_DNI, "NIE x1234567l", "x1234567l"},
    {DETECTOR_DNI, "X1234567L", "X1234567L"},
    {DETECTOR_DNI, "12345678A", NULL},
    {DETECTOR_CODICE_FISCALE, "RSSMRA85T10A562S", "RSSMRA85T10A562S"},
    {DETECTOR_CODICE_FISCALE, "RSSMRA85T10A562T", NULL},
    {DETECTOR_STEUER_ID, "86095742719", "86095742719"},
    {DETECTOR_STEUER_ID, "86 095 742 719", "86 095 742 719"},
    {DETECTOR_STEUER_ID, "86095742718", NULL},
    {DETECTOR_AHV, "756.9217.0769.85", "756.9217.0769.85"},
    {DETECTOR_AHV, "7569217076985", "7569217076985"},
    {DETECTOR_AHV, "756.9217.0769.84", NULL},
    {DETECTOR_PHONE, "call +49 (30) 1234-567 now", "+49 (30) 1234-567"},
    {DETECTOR_PHONE, "+12345678", "+12345678"},
    {DETECTOR_PHONE, "+12125550123", "+12125550123"},
    {DETECTOR_PHONE, "1+12125550123 +1234567 +1234567890123456 +0123456789", NULL},
    {DETECTOR_PRIVATE_KEY, "a-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----b",
     "-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----"},
    {DETECTOR_PRIVATE_KEY, "-----BEGIN PRIVATE KEY-----\nMII", "-----BEGIN PRIVATE KEY-----\nMII"},
    {DETECTOR_PRIVATE_KEY, "-----BEGIN PUBLIC KEY-----\nMII\n-----END PUBLIC KEY-----", NULL},
    {DETECTOR_JWT, "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.c2ln-_ x",
     "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.c2ln-_"},
    {DETECTOR_JWT, "eyJhbGciOiJub25lIn0.xxx", NULL},
    {DETECTOR_JWT, "eyJx.eyX", "eyJx.eyX"},
    {DETECTOR_API_KEY, "id AKIAIOSFODNN7EXAMPLE;", "AKIAIOSFODNN7EXAMPLE"},
    {DETECTOR_API_KEY, "XAKIAIOSFODNN7EXAMPLE AKIAIOSFODNN7EXAMPLES", NULL},
    {DETECTOR_API_KEY, "aws_secret_access_key = " SECRET_40, SECRET_40},
    {DETECTOR_API_KEY, "digest = " SECRET_40, NULL},
    {DETECTOR_API_KEY, "ghp_" T36 " x", "ghp_" T36},
    {DETECTOR_API_KEY, "ghx_" T36, NULL},
    {DETECTOR_API_KEY, "github_pat_" T36 T36 ".", "github_pat_" T36 T36},
    {DETECTOR_API_KEY, "xoxb-1234567890-abc", "xoxb-1234567890-abc"},
    {DETECTOR_API_KEY, "xoxb-abcdefghij", "xoxb-abcdefghij"}, /* the shortest of its kind */
    {DETECTOR_API_KEY, "AIza" T36, "AIza" T36},
    {DETECTOR_API_KEY, "sk_live_abcdefghijklmnop1", "sk_live_abcdefghijklmnop1"},
    {DETECTOR_API_KEY, "npm_" T36, "npm_" T36},
    {DETECTOR_API_KEY, "glpat-abcdefghij_1234567890", "glpat-abcdefghij_1234567890"},
    {DETECTOR_API_KEY, "glpat-abc sk_live_abc npm_abc", NULL},
};

struct bench {
    struct detector *detector;
    struct detector_stream *stream;
};

static struct bench bench_of(struct detector_config config)
{
    struct bench b = {NULL, NULL};
    struct err_text why = {""};
    assert_int_equal(detector_create(&config, &b.detector, &why), OK);
    assert_int_equal(detector_stream_create(b.detector, &b.stream), OK);
    return b;
}

static void bench_finish(struct bench *b)
{
    detector_stream_destroy(b->stream);
    detector_destroy(b->detector);
}

/* In two pieces, the second one after `at` bytes; or byte by byte when `at` is SIZE_MAX. */
static struct detector_result scan(struct bench *b, struct bytes text, size_t at, bool is_json)
{
    struct detector_result r;
    assert_int_equal(detector_stream_start(b->stream, is_json), OK);
    size_t step = at == SIZE_MAX ? 1 : at;
    for (size_t done = 0; done < text.size;) {
        size_t size = done == 0 || at == SIZE_MAX ? step : text.size - done;
        size = size > text.size - done ? text.size - done : size == 0 ? text.size : size;
        assert_int_equal(detector_stream_feed(b->stream, bytes_of(text.data + done, size)), OK);
        done += size;
    }
    assert_int_equal(detector_stream_finish(b->stream, &r), OK);
    return r;
}

/* Cut at each place, byte by byte, and whole. */
static void assert_found(struct bench *b, const char *text, const char *found, unsigned id)
{
    size_t length = strlen(text);
    for (size_t i = 0; i <= length + 1; i++) {
        struct detector_result r;
        if (i > length) {
            assert_int_equal(detector_scan(b->stream, bytes_of_string(text), false, &r), OK);
        } else {
            r = scan(b, bytes_of_string(text), i == length ? SIZE_MAX : i, false);
        }
        if ((found != NULL) != (r.count > 0)) {
            fail_msg("%s: %zu found", text, r.count);
        }
        if (found != NULL) {
            struct bytes span =
                bytes_of(text + r.spans[0].start, r.spans[0].end - r.spans[0].start);
            if (r.spans[0].id != id || !bytes_equal_string(span, found)) {
                fail_msg("%s: found %.*s", text, (int)span.size, (const char *)span.data);
            }
        }
    }
}

static void finds_and_lets_pass(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bench b = bench_of((struct detector_config){.built_in = 1u << cases[i].id});
        assert_found(&b, cases[i].text, cases[i].found, cases[i].id);
        bench_finish(&b);
    }
}

/* Far into a value that is larger than the window, and with a token that is. */
static void large_values(void **state)
{
    (void)state;
    enum { SIZE = 40000 };
    struct bench b = bench_of((struct detector_config){.built_in = UINT32_MAX >> 20});
    char *text = malloc(SIZE);
    assert_non_null(text);
    memset(text, ' ', SIZE);
    static const char head[] = "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0";
    memset(text + 7000, 'x', 20000);
    memcpy(text + 7000, head, sizeof(head) - 1);
    memcpy(text + 39000, "4111111111111111", 16);
    static const size_t cuts[] = {0, 1, 4096, 6999, 7010, 12345, 39008, SIZE_MAX};
    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        for (int is_json = 0; is_json < 2; is_json++) {
            struct detector_result r;
            if (i == 0) {
                assert_int_equal(detector_scan(b.stream, bytes_of(text, SIZE), is_json, &r), OK);
            } else {
                r = scan(&b, bytes_of(text, SIZE), cuts[i], is_json);
            }
            assert_int_equal(r.count, 2);
            assert_int_equal(r.spans[0].id, DETECTOR_JWT);
            assert_int_equal(r.spans[0].start, 7000);
            assert_int_equal(r.spans[0].end, 27000);
            assert_int_equal(r.spans[1].start, 39000);
            assert_int_equal(r.spans[1].end, 39016);
        }
    }
    free(text);
    bench_finish(&b);
}

static void escapes_of_json(void **state)
{
    (void)state;
    struct bench b = bench_of((struct detector_config){.built_in = 1u << DETECTOR_EMAIL});
    static const char text[] =
        "{\"a\\\\\":\"jane\\u0040b.c\\u006f\",\"b\":\"\\ud83d\\ude00 \\u00e4\\q\\u12\"}";
    const char *start = strstr(text, "jane"), *end = strstr(text, "\",\"b\"");
    for (size_t i = 0; i <= strlen(text); i++) {
        struct detector_result r = scan(&b, bytes_of_string(text), i == 0 ? SIZE_MAX : i, true);
        assert_int_equal(r.count, 1);
        assert_int_equal(r.spans[0].start, start - text);
        assert_int_equal(r.spans[0].end, end - text);
    }
    assert_int_equal(scan(&b, bytes_of_string(text), 0, false).count, 0);
    assert_true(detector_looks_like_json(bytes_of_string(" \n{")));
    assert_false(detector_looks_like_json(bytes_of_string("x{")));
    assert_false(detector_looks_like_json(bytes_of_string("")));
    bench_finish(&b);
}

static void custom_expressions(void **state)
{
    (void)state;
    const struct detector_custom custom[] = {{"ticket", "TCK-[0-9]{4,8}", true},
                                             {"badge", "\\bB[0-9]{3}\\b", false}};
    struct bench b = bench_of((struct detector_config){.custom = custom, .custom_count = 2});
    assert_found(&b, "see tck-123456, then", "tck-123456", DETECTOR_BUILT_IN);
    assert_found(&b, "no B12 but B123 is", "B123", DETECTOR_BUILT_IN + 1);
    bench_finish(&b);
}

static void bad_expressions(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        enum err expected;
    } bad[] = {
        {"(", ERR_INVALID},
        {"a*", ERR_INVALID},
        {"a+", ERR_LIMIT},
        {"(a{1,1000}){1,1000}", ERR_LIMIT},
        {"(a)\\1", ERR_INVALID},
        {"a{2000}", ERR_LIMIT},
        {"a{99999999999999999999}", ERR_LIMIT},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct detector_custom custom = {"mine", bad[i].pattern, false};
        struct detector *d = NULL;
        struct err_text why = {""};
        assert_int_equal(
            detector_create(&(struct detector_config){.custom = &custom, .custom_count = 1}, &d,
                            &why),
            bad[i].expected);
        assert_null(d);
        assert_non_null(strstr(why.text, "mine"));
    }
}

static void too_much_is_said(void **state)
{
    (void)state;
    enum { SIZE = 8 * (DETECTOR_SPANS_MAX + 1) };
    struct bench b = bench_of((struct detector_config){.built_in = 1u << DETECTOR_EMAIL});
    char text[SIZE + 1];
    for (size_t i = 0; i < SIZE; i += 8) {
        memcpy(text + i, "a@bc.de ", 8);
    }
    struct detector_result r = scan(&b, bytes_of(text, SIZE - 8), 0, false);
    assert_int_equal(r.count, DETECTOR_SPANS_MAX);
    assert_false(r.is_overflowed);
    assert_true(scan(&b, bytes_of(text, SIZE), 0, false).is_overflowed);
    assert_int_equal(scan(&b, bytes_of(text, 8), 0, false).count, 1); /* nothing stays behind */
    bench_finish(&b);
}

/* Hyperscan may look at what is behind a text: nobody says that there is memory. */
static void nothing_is_read_behind_the_last_page(void **state)
{
    (void)state;
    enum { PAGE = 4096, LONGEST = 200 };
    static const char text[] = "AN D??????????????????????????????????????E898:.DE8"
                               "9  DE89   DE890.";
    struct detector *d = NULL;
    struct detector_stream *s = NULL;
    struct detector_result r;
    const struct detector_config config = {.built_in = UINT32_MAX};
    assert_int_equal(detector_create(&config, &d, NULL), OK);
    assert_int_equal(detector_stream_create(d, &s), OK);
    uint8_t *pages =
        mmap(NULL, (size_t)2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(pages != MAP_FAILED);
    assert_int_equal(mprotect(pages + PAGE, PAGE, PROT_NONE), 0);
    for (size_t i = 0; i < PAGE; i++) {
        pages[i] = (uint8_t)
            text[(sizeof(text) - 1 - (PAGE - i) % (sizeof(text) - 1)) % (sizeof(text) - 1)];
    }
    for (size_t size = 1; size < LONGEST; size++) {
        for (size_t behind = 0; behind < 70; behind++) {
            struct bytes value = bytes_of(pages + PAGE - behind - size, size);
            assert_int_equal(detector_scan(s, value, false, &r), OK);
            assert_int_equal(r.count, 0);
        }
    }
    assert_int_equal(munmap(pages, (size_t)2 * PAGE), 0);
    detector_stream_destroy(s);
    detector_destroy(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_and_lets_pass),
        cmocka_unit_test(large_values),
        cmocka_unit_test(escapes_of_json),
        cmocka_unit_test(custom_expressions),
        cmocka_unit_test(bad_expressions),
        cmocka_unit_test(too_much_is_said),
        cmocka_unit_test(nothing_is_read_behind_the_last_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

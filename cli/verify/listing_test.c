#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/verify/listing.h"

#define HASH "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static enum err on_line(void *context, const struct listing_line *line)
{
    struct buffer *seen = context;
    for (size_t i = 0; i < sizeof(line->hash); i++) {
        assert_int_equal(line->hash[i], i);
    }
    return buffer_append_format(seen, "%llu=%llu;", (unsigned long long)line->number,
                                (unsigned long long)line->position);
}

static enum err feed(enum listing_format format, const char *text, size_t split,
                     struct buffer *seen)
{
    struct listing l;
    size_t size = strlen(text);
    buffer_init(seen, 4096);
    listing_init(&l, format, on_line, seen);
    enum err e = listing_feed(&l, bytes_of(text, split));
    e = e == OK ? listing_feed(&l, bytes_of(text + split, size - split)) : e;
    enum err ended = listing_end(&l);
    listing_finish(&l);
    return e == OK ? ended : e;
}

static void expect(enum listing_format format, const char *text, const char *expected)
{
    for (size_t split = 0; split <= strlen(text); split++) {
        struct buffer seen;
        enum err e = feed(format, text, split, &seen);
        assert_int_equal(e, expected == NULL ? ERR_INVALID : OK);
        if (expected != NULL) {
            assert_true(bytes_equal_string(buffer_bytes(&seen), expected));
        }
        buffer_finish(&seen);
    }
}

static void test_json(void **state)
{
    (void)state;
    expect(LISTING_JSON, "", "");
    expect(LISTING_JSON,
           "{\"text\":\"\\\"position\\\":9,\",\"position\":12,\"hash\":\"" HASH "\"}\n"
           "{\"hash\":\"\\\\x" HASH "\",\"position\":3}\n",
           "1=12;2=3;");
}

static void test_json_that_is_not_ours(void **state)
{
    (void)state;
    expect(LISTING_JSON, "{\"position\":12,\"hash\":\"" HASH "\"}", NULL);
    expect(LISTING_JSON, "{\"position\":012,\"hash\":\"" HASH "\"}\n", NULL);
    expect(LISTING_JSON, "{\"position\":-1,\"hash\":\"" HASH "\"}\n", NULL);
    expect(LISTING_JSON, "{\"position\":1.5,\"hash\":\"" HASH "\"}\n", NULL);
    expect(LISTING_JSON, "{\"position\":12,\"position\":13,\"hash\":\"" HASH "\"}\n", NULL);
    expect(LISTING_JSON, "{\"position\":12,\"hash\":\"00\"}\n", NULL);
    expect(LISTING_JSON, "{\"position\":12,\"hash\":\"" HASH "00\"}\n", NULL);
    expect(LISTING_JSON, "{\"position\":12}\n", NULL);
    expect(LISTING_JSON, "\n", NULL);
}

static void test_csv(void **state)
{
    (void)state;
    expect(LISTING_CSV, "position,time,hash,erased\r\n", "");
    expect(LISTING_CSV,
           "position,time,hash,erased\r\n"
           "7,a," HASH ",false\r\n"
           "8,\"a \"\"quoted\"\"\n" HASH ",false\r\n9,b," HASH ",false\r\n\"," HASH ",true\r\n"
           "10,c," HASH ",false\r\n",
           "1=7;2=8;3=10;");
}

static void test_csv_that_is_not_ours(void **state)
{
    (void)state;
    expect(LISTING_CSV, "", NULL);
    expect(LISTING_CSV, "7,a," HASH ",false\r\n", NULL);
    expect(LISTING_CSV, "position,x\r\n7,a," HASH ",maybe\r\n", NULL);
    expect(LISTING_CSV, "position,x\r\n7,a,0" HASH ",false\r\n", NULL);
    expect(LISTING_CSV, "position,x\r\n0,a," HASH ",false\r\n", NULL);
    expect(LISTING_CSV, "position,x\r\n7,\"a," HASH ",false\r\n", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_json_that_is_not_ours),
        cmocka_unit_test(test_csv),
        cmocka_unit_test(test_csv_that_is_not_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

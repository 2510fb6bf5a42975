/* Against values that PostgreSQL printed (pg_types_vectors.tsv), and values that it would refuse.
 */
#include "sidecar/protocol/postgres/pg_types.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define BYTES(literal) ((struct bytes){(const uint8_t *)"" literal, sizeof(literal) - 1})

enum { VALUE_MAX = 4096, ROOMY = 1000 };

static const char vectors_path[] = "sidecar/protocol/postgres/pg_types_vectors.tsv";

struct vector {
    uint32_t oid;
    uint8_t value[VALUE_MAX];
    size_t size;
    char text[VALUE_MAX];
};

static void read_vector(char *line, struct vector *v)
{
    char *hex = NULL;
    v->oid = (uint32_t)strtoul(line, &hex, 10);
    assert_int_equal(*hex++, '\t');
    char *text = strchr(hex, '\t');
    assert_non_null(text);
    v->size = 0;
    for (; hex < text; hex += 2) {
        char digits[] = {hex[0], hex[1], 0};
        v->value[v->size++] = (uint8_t)strtoul(digits, NULL, 16);
    }
    text++;
    text[strcspn(text, "\n")] = '\0';
    (void)snprintf(v->text, sizeof(v->text), "%s", text);
}

typedef void vector_fn(const struct vector *v);

static void for_each_vector(vector_fn *check)
{
    FILE *f = fopen(vectors_path, "r");
    assert_non_null(f);
    char line[2 * VALUE_MAX];
    struct vector v;
    size_t count = 0;
    while (fgets(line, sizeof(line), f) != NULL) {
        if (line[0] != '#') {
            read_vector(line, &v);
            check(&v);
            count++;
        }
    }
    (void)fclose(f);
    assert_true(count > 200);
}

/* Decodes from memory that is exactly as large as the value. */
static enum pg_text_result decode(uint32_t oid, struct bytes value, size_t cap, struct buffer *out)
{
    void *memory = malloc(value.size > 0 ? value.size : 1);
    assert_non_null(memory);
    memcpy(memory, value.data, value.size);
    enum pg_text_result r = pg_types_to_text(oid, bytes_of(memory, value.size), cap, out);
    free(memory);
    return r;
}

static void check_whole(const struct vector *v)
{
    struct buffer out;
    buffer_init(&out, 100000);
    assert_int_equal(buffer_append(&out, BYTES("##")), OK);
    /* Exactly as much room as the text needs. */
    enum pg_text_result r = decode(v->oid, bytes_of(v->value, v->size), strlen(v->text), &out);
    assert_int_equal(r, PG_TEXT_WHOLE);
    char *text = bytes_to_string(buffer_bytes(&out));
    assert_non_null(text);
    assert_string_equal(text + 2, v->text);
    free(text);
    buffer_finish(&out);
}

static void as_postgresql_prints(void **state)
{
    (void)state;
    for_each_vector(check_whole);
}

/* With less room: a prefix of the text, but never half of a character; in an array never half of
 * an element that is quoted. */
static void check_truncated(const struct vector *v)
{
    size_t whole = strlen(v->text);
    for (size_t cap = 0; cap < whole; cap++) {
        struct buffer out;
        buffer_init(&out, cap % 2 == 0 ? cap : ROOMY); /* either cap may be the one that counts */
        enum pg_text_result r =
            decode(v->oid, bytes_of(v->value, v->size), cap % 2 == 0 ? ROOMY : cap, &out);
        assert_int_equal(r, PG_TEXT_TRUNCATED);
        struct bytes text = buffer_bytes(&out);
        assert_true(text.size <= cap);
        if (pg_type_name(v->oid)[strlen(pg_type_name(v->oid)) - 1] != ']') {
            assert_true(text.size + 3 >= cap);
            assert_true(text.size == 0 || memcmp(text.data, v->text, text.size) == 0);
        }
        /* Whatever follows is the beginning of a character. */
        assert_true(text.size == 0 || (text.data[text.size - 1] & 0xc0) != 0xc0);
        buffer_finish(&out);
    }
}

static void cut_at_every_cap(void **state)
{
    (void)state;
    for_each_vector(check_truncated);
}

/* A shorter or longer value is not one of its type. */
static void check_sizes(const struct vector *v)
{
    static const uint32_t any_size[] = {17, 19, 25, 114, 142, 1042, 1043, 3802};
    for (size_t i = 0; i < sizeof(any_size) / sizeof(any_size[0]); i++) {
        if (v->oid == any_size[i]) {
            return;
        }
    }
    for (size_t size = 0; size <= v->size + 1; size++) {
        if (size == v->size) {
            continue;
        }
        uint8_t value[VALUE_MAX + 1] = {0};
        memcpy(value, v->value, v->size);
        struct buffer out;
        buffer_init(&out, 100000);
        assert_int_equal(buffer_append(&out, BYTES("##")), OK);
        assert_int_equal(decode(v->oid, bytes_of(value, size), ROOMY, &out), PG_TEXT_RAW);
        assert_true(bytes_equal(buffer_bytes(&out), BYTES("##")));
        buffer_finish(&out);
    }
}

static void wrong_sizes(void **state)
{
    (void)state;
    for_each_vector(check_sizes);
}

static void not_a_value(void **state)
{
    (void)state;
    static const struct {
        uint32_t oid;
        size_t size;
        const char *value;
    } wrong[] = {
        {1082, 4, "\xff\xda\x97\xa6"},                            /* before 4714-11-24 BC */
        {1082, 4, "\x7f\xda\x97\x0d"},                            /* after 5874897-12-31 */
        {1083, 8, "\xff\xff\xff\xff\xff\xff\xff\xff"},            /* -1 µs */
        {1083, 8, "\0\0\0\x14\x1d\xd7\x60\1"},                    /* 24:00:00.000001 */
        {1114, 8, "\x7f\xff\xff\xff\xff\xff\xff\xfe"},            /* after the year 294276 */
        {1184, 8, "\x80\0\0\0\0\0\0\1"},                          /* before 4714 BC */
        {1700, 8, "\0\0\0\0\x12\x34\0\0"},                        /* an unknown sign */
        {1700, 8, "\0\0\0\0\0\0\x40\0"},                          /* a scale of 16384 */
        {1700, 10, "\0\1\0\0\0\0\0\0\x27\x10"},                   /* a digit of 10000 */
        {1700, 10, "\xff\xff\0\0\0\0\0\0\0\1"},                   /* 65535 digits, one there */
        {3802, 3, "\2{}"},                                        /* jsonb version 2 */
        {869, 8, "\2\x21\0\4\0\0\0\0"},                           /* /33 */
        {869, 8, "\4\x20\0\4\0\0\0\0"},                           /* an unknown family */
        {869, 8, "\3\x20\0\4\0\0\0\0"},                           /* IPv6 of four bytes */
        {1007, 20, "\0\0\0\2\0\0\0\0\0\0\0\x17\0\0\0\1\0\0\0\1"}, /* two dimensions */
        {1007, 20, "\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\0\0\0\0\1"}, /* of another type */
        {1007, 20, "\0\0\0\1\0\0\0\2\0\0\0\x17\0\0\0\0\0\0\0\1"}, /* an unknown flag */
        {1007, 24, "\0\0\0\1\0\0\0\0\0\0\0\x17\x7f\xff\xff\xff\0\0\0\1\0\0\0\4"},
        {1007, 24, "\0\0\0\1\0\0\0\0\0\0\0\x17\0\0\0\1\x7f\xff\xff\xff\0\0\0\3"},
        {1007, 24, "\0\0\0\1\0\0\0\0\0\0\0\x17\0\0\0\1\0\0\0\1\xff\xff\xff\xfe"},
        {1007, 24, "\0\0\0\1\0\0\0\0\0\0\0\x17\0\0\0\1\0\0\0\1\0\0\0\4"},
        {1187, 12, "\0\0\0\0\0\0\0\0\0\0\4\xa2"}, /* interval[]: no interval */
        {1186, 4, "abcd"},                        /* interval: not decoded */
        {600, 4, "abcd"},
        {0, 4, "abcd"},
        {16384, 4, "abcd"},
        {UINT32_MAX, 4, "abcd"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct buffer out;
        buffer_init(&out, ROOMY);
        assert_int_equal(decode(wrong[i].oid, bytes_of(wrong[i].value, wrong[i].size), ROOMY, &out),
                         PG_TEXT_RAW);
        assert_int_equal(buffer_size(&out), 0);
        buffer_finish(&out);
    }
}

static void assert_text(uint32_t oid, struct bytes value, size_t cap, enum pg_text_result expected,
                        const char *text)
{
    struct buffer out;
    buffer_init(&out, 200000);
    assert_int_equal(decode(oid, value, cap, &out), expected);
    assert_int_equal(buffer_size(&out), strlen(text));
    assert_true(bytes_equal_string(buffer_bytes(&out), text));
    buffer_finish(&out);
}

/* What a client may send although the server would write it otherwise. */
static void other_spellings(void **state)
{
    (void)state;
    assert_text(16, BYTES("\2"), 10, PG_TEXT_WHOLE, "t");
    /* -0.004 at two decimals: there is no negative zero. */
    assert_text(1700, BYTES("\0\1\xff\xff\x40\0\0\2\0\x28"), 10, PG_TEXT_WHOLE, "0.00");
    /* Leading zero digits; digits behind the scale. */
    assert_text(1700, BYTES("\0\3\0\1\0\0\0\1\0\0\0\5\x04\xd2"), 10, PG_TEXT_WHOLE, "5.1");
    assert_text(18, BYTES("\xe9"), 10, PG_TEXT_WHOLE, "\\351");
    /* An array of no elements with a dimension. */
    assert_text(1007, BYTES("\0\0\0\1\0\0\0\0\0\0\0\x17\0\0\0\0\0\0\0\1"), 10, PG_TEXT_WHOLE, "{}");
}

/* Small values that print large stop at the cap. */
static void large_numbers(void **state)
{
    (void)state;
    struct bytes huge = BYTES("\0\1\x7f\xff\0\0\x3f\xff\0\1"); /* 10^131068 */
    assert_text(1700, huge, 12, PG_TEXT_TRUNCATED, "100000000000");
    struct buffer out;
    buffer_init(&out, 200000);
    assert_int_equal(decode(1700, huge, 200000, &out), PG_TEXT_WHOLE);
    assert_int_equal(buffer_size(&out), 131069 + 1 + 16383);
    buffer_finish(&out);
}

static void truncation_keeps_elements_whole(void **state)
{
    (void)state;
    struct bytes two = BYTES("\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\2\0\0\0\1\0\0\0\1a\0\0\0\3b c");
    assert_text(1009, two, 9, PG_TEXT_WHOLE, "{a,\"b c\"}");
    assert_text(1009, two, 8, PG_TEXT_TRUNCATED, "{a,\"b c\"");
    assert_text(1009, two, 7, PG_TEXT_TRUNCATED, "{a,");
    assert_text(25, BYTES("a\xc3\xa9z"), 2, PG_TEXT_TRUNCATED, "a");
    assert_text(25, BYTES("\xf0\x9f\x8e\x89z"), 3, PG_TEXT_TRUNCATED, "");
    assert_text(25, BYTES("\xf0\x9f\x8e\x89z"), 4, PG_TEXT_TRUNCATED, "\xf0\x9f\x8e\x89");
    assert_text(25, BYTES("\x80\x80\x80\x80\x80\x80"), 5, PG_TEXT_TRUNCATED,
                "\x80\x80\x80\x80\x80");
}

static void names(void **state)
{
    (void)state;
    assert_string_equal(pg_type_name(23), "int4");
    assert_string_equal(pg_type_name(1184), "timestamptz");
    assert_string_equal(pg_type_name(1007), "int4[]");
    assert_string_equal(pg_type_name(6157), "int8multirange[]"); /* the last one */
    assert_string_equal(pg_type_name(16), "bool");
    assert_null(pg_type_name(0));
    assert_null(pg_type_name(15));
    assert_null(pg_type_name(16384));
    assert_null(pg_type_name(UINT32_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_postgresql_prints),
        cmocka_unit_test(cut_at_every_cap),
        cmocka_unit_test(wrong_sizes),
        cmocka_unit_test(not_a_value),
        cmocka_unit_test(other_spellings),
        cmocka_unit_test(large_numbers),
        cmocka_unit_test(truncation_keeps_elements_whole),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

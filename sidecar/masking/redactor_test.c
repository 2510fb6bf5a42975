/* Every redactor over values that PostgreSQL printed (values.tsv), in both formats; then tables of
 * what each gives. */
#include "sidecar/masking/redactor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sidecar/protocol/postgres/pg_types.h"

#define BYTES(literal) ((struct bytes){(const uint8_t *)"" literal, sizeof(literal) - 1})
#define KEY BYTES("0123456789abcdef0123456789abcdef")

enum { VALUE_MAX = 4096, OUT_MAX = 1 << 20 };
enum { BOOL = 16, BYTEA = 17, INT8 = 20, INT2 = 21, INT4 = 23, TEXT = 25, JSON = 114 };
enum { FLOAT8 = 701, INET = 869, INT4_ARRAY = 1007, TEXT_ARRAY = 1009, BPCHAR = 1042 };
enum { DATE = 1082, TIME = 1083, TIMESTAMP = 1114, TIMESTAMPTZ = 1184, NUMERIC = 1700 };
enum { UUID = 2950, JSONB = 3802, POINT = 600 };

static struct redactor *create(struct redactor_config config)
{
    struct redactor *r = NULL;
    struct err_text why = {""};
    assert_int_equal(redactor_create(&config, &r, &why), OK);
    return r;
}

static enum redactor_result apply(struct redactor *r, uint32_t type, bool is_binary,
                                  struct bytes value, struct buffer *out)
{
    /* From memory that is exactly as large as the value. */
    void *memory = malloc(value.size > 0 ? value.size : 1);
    assert_non_null(memory);
    if (value.size > 0) {
        memcpy(memory, value.data, value.size);
    }
    enum redactor_result result =
        redactor_apply(r, type, is_binary, bytes_of(memory, value.size), out);
    free(memory);
    return result;
}

/* ---- all types, all redactors -----------------------------------------------------------------
 */

static const struct redactor_config configs[] = {
    {.kind = REDACTOR_TO_NULL},
    {.kind = REDACTOR_TO_FIXED, .text = {(const uint8_t *)"0", 1}},
    {.kind = REDACTOR_TO_FIXED, .text = {(const uint8_t *)"a \"b\", c", 8}},
    {.kind = REDACTOR_TO_FIXED, .text = {(const uint8_t *)"2020-01-02", 10}},
    {.kind = REDACTOR_TO_PARTIAL, .keep_last = 4, .keep_separators = true},
    {.kind = REDACTOR_TO_HASH, .key = {(const uint8_t *)"0123456789abcdef", 16}},
    {.kind = REDACTOR_TO_DIGITS, .key = {(const uint8_t *)"0123456789abcdef", 16}},
    {.kind = REDACTOR_TO_DIGITS,
     .key = {(const uint8_t *)"0123456789abcdef", 16},
     .replace_letters = true},
    {.kind = REDACTOR_TO_DATE, .unit = REDACTOR_MONTH},
};

/* type, tab, hex, tab, text; returns the text. */
static const char *read_vector(char *line, uint32_t *out_type, uint8_t *out_value, size_t *out_size)
{
    const char *hex = strchr(line, '\t');
    assert_non_null(hex);
    const char *text = strchr(hex + 1, '\t');
    assert_non_null(text);
    *out_type = (uint32_t)strtoul(line, NULL, 10);
    *out_size = 0;
    for (const char *at = hex + 1; at < text; at += 2) {
        const char digits[] = {at[0], at[1], 0};
        out_value[(*out_size)++] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return text + 1;
}

static void check_both_formats(struct redactor *r, uint32_t type, struct bytes value,
                               const char *text)
{
    struct buffer binary, decoded, direct;
    buffer_init(&binary, OUT_MAX);
    buffer_init(&decoded, OUT_MAX);
    buffer_init(&direct, OUT_MAX);
    enum redactor_result result = apply(r, type, true, value, &binary);
    assert_int_equal(apply(r, type, false, bytes_of_string(text), &direct), result);
    assert_int_not_equal(result, REDACTOR_FAILED);
    if (result == REDACTOR_VALUE) {
        assert_int_equal(pg_types_to_text(type, buffer_bytes(&binary), OUT_MAX, &decoded),
                         PG_TEXT_WHOLE);
        assert_int_equal(buffer_size(&decoded), buffer_size(&direct));
        assert_true(bytes_equal(buffer_bytes(&decoded), buffer_bytes(&direct)));
    } else {
        assert_int_equal(buffer_size(&binary) + buffer_size(&direct), 0);
    }
    buffer_finish(&binary);
    buffer_finish(&decoded);
    buffer_finish(&direct);
}

static void formats_agree(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(configs) / sizeof(configs[0]); i++) {
        struct redactor *r = create(configs[i]);
        FILE *f = fopen("sidecar/masking/values.tsv", "r");
        assert_non_null(f);
        char line[2 * VALUE_MAX];
        uint8_t value[VALUE_MAX];
        size_t count = 0;
        while (fgets(line, sizeof(line), f) != NULL) {
            uint32_t type = 0;
            size_t size = 0;
            line[strcspn(line, "\n")] = '\0';
            if (line[0] != '#') {
                const char *text = read_vector(line, &type, value, &size);
                check_both_formats(r, type, bytes_of(value, size), text);
                count++;
            }
        }
        (void)fclose(f);
        assert_true(count > 200);
        redactor_destroy(r);
    }
}

/* ---- what each gives --------------------------------------------------------------------------
 */

/* NULL: NULL instead. */
static void assert_gives(struct redactor *r, uint32_t type, const char *in, const char *expected)
{
    struct buffer out;
    buffer_init(&out, OUT_MAX);
    assert_int_equal(buffer_append_string(&out, "#"), OK); /* what is there stays */
    enum redactor_result result = apply(r, type, false, bytes_of_string(in), &out);
    assert_int_equal(result, expected == NULL ? REDACTOR_NULL_INSTEAD : REDACTOR_VALUE);
    char *text = bytes_to_string(buffer_bytes(&out));
    assert_string_equal(text + 1, expected == NULL ? "" : expected);
    free(text);
    buffer_finish(&out);
}

static void null(void **state)
{
    (void)state;
    struct redactor *r = create((struct redactor_config){0});
    struct buffer out;
    buffer_init(&out, 10);
    assert_int_equal(apply(r, TEXT, false, BYTES("a"), &out), REDACTOR_NULL);
    assert_int_equal(apply(r, POINT, true, BYTES("a"), &out), REDACTOR_NULL);
    redactor_destroy(r);
}

static void fixed(void **state)
{
    (void)state;
    struct redactor *r =
        create((struct redactor_config){.kind = REDACTOR_TO_FIXED, .text = BYTES("-\"x\"")});
    assert_gives(r, TEXT, "secret", "-\"x\"");
    assert_gives(r, JSON, "{\"a\":1}", "\"-\\\"x\\\"\"");
    assert_gives(r, BYTEA, "\\x00", "\\x2d227822");
    assert_gives(r, INT4, "7", NULL);
    assert_gives(r, TEXT_ARRAY, "{a,NULL,\"NULL\"}", "{\"-\\\"x\\\"\",NULL,\"-\\\"x\\\"\"}");
    assert_gives(r, POINT, "(1,2)", NULL);
    redactor_destroy(r);
    r = create((struct redactor_config){.kind = REDACTOR_TO_FIXED, .text = BYTES("40000")});
    assert_gives(r, INT4, "7", "40000");
    assert_gives(r, INT2, "7", NULL); /* out of its range */
    assert_gives(r, NUMERIC, "7.5", "40000");
    assert_gives(r, INT4, "not a number", "40000"); /* whatever it was */
    redactor_destroy(r);
}

static void partial(void **state)
{
    (void)state;
    struct redactor *r = create((struct redactor_config){
        .kind = REDACTOR_TO_PARTIAL, .keep_last = 4, .keep_separators = true});
    assert_gives(r, TEXT, "123-45-6789", "***-**-6789");
    assert_gives(r, TEXT, "6789", "****"); /* never all of it */
    assert_gives(r, TEXT, "", "");
    assert_gives(r, TEXT,
                 "Gr\xc3\xbc\xc3\x9f"
                 "e, Ok",
                 "***\xc3\x9f"
                 "e, Ok");
    assert_gives(r, INT4, "123456789", NULL);
    assert_gives(r, DATE, "2024-02-29", NULL);
    assert_gives(r, TEXT_ARRAY, "{123-45-6789,NULL,\"a b\\\"c d e\"}",
                 "{***-**-6789,NULL,\"* b\\\"c d e\"}");
    redactor_destroy(r);
    r = create((struct redactor_config){
        .kind = REDACTOR_TO_PARTIAL, .keep_first = 1, .keep_last = 1, .mask = '#'});
    assert_gives(r, TEXT, "\xc3\xbc-\xff\xf0\x9f\x8e\x89", "\xc3\xbc##\xf0\x9f\x8e\x89");
    assert_gives(r, TEXT, "ab", "##");
    redactor_destroy(r);
}

/* The text of a hash; the caller frees. */
static char *hash(struct redactor *r, uint32_t type, const char *in)
{
    struct buffer out;
    buffer_init(&out, OUT_MAX);
    assert_int_equal(apply(r, type, false, bytes_of_string(in), &out), REDACTOR_VALUE);
    char *text = bytes_to_string(buffer_bytes(&out));
    buffer_finish(&out);
    return text;
}

static void assert_hashes(struct redactor *r, uint32_t a, const char *in_a, uint32_t b,
                          const char *in_b, bool same)
{
    char *x = hash(r, a, in_a), *y = hash(r, b, in_b);
    assert_string_not_equal(x, in_a);
    assert_int_equal(strcmp(x, y) == 0, same);
    free(x);
    free(y);
}

static void equal_values_have_equal_hashes(void **state)
{
    (void)state;
    struct redactor *r = create((struct redactor_config){.kind = REDACTOR_TO_HASH, .key = KEY});
    static const char *const numbers[] = {"0", "42", "-42", "32767", "-32768"};
    for (size_t i = 0; i < 5; i++) {
        assert_hashes(r, INT2, numbers[i], INT4, numbers[i], true);
        assert_hashes(r, INT4, numbers[i], INT8, numbers[i], true);
        assert_hashes(r, INT8, numbers[i], NUMERIC, numbers[i], true);
    }
    assert_hashes(r, INT4, "2147483647", INT8, "2147483647", true);
    assert_hashes(r, NUMERIC, "42.00", INT4, "42", true);
    assert_hashes(r, NUMERIC, "7.50", NUMERIC, "7.5", true);
    assert_hashes(r, NUMERIC, "7.5", NUMERIC, "-7.5", false);
    assert_hashes(r, NUMERIC, "0.00", INT4, "0", true);
    assert_hashes(r, TEXT, "abc", BPCHAR, "abc  ", true);
    assert_hashes(r, TEXT, "abc", TEXT, "abc ", false);
    assert_hashes(r, FLOAT8, "-0", FLOAT8, "0", true);
    struct redactor *other = create(
        (struct redactor_config){.kind = REDACTOR_TO_HASH, .key = BYTES("another key of it")});
    char *x = hash(r, TEXT, "abc"), *y = hash(other, TEXT, "abc");
    assert_int_equal(strlen(x), 32);
    assert_string_not_equal(x, y);
    free(x);
    free(y);
    assert_gives(r, BOOL, "t", NULL);
    assert_gives(r, DATE, "2024-02-29", NULL);
    redactor_destroy(other);
    redactor_destroy(r);
}

/* No two of a type's numbers get the same one: all of int2. */
static void integers_do_not_collide(void **state)
{
    (void)state;
    struct redactor *r = create((struct redactor_config){.kind = REDACTOR_TO_HASH, .key = KEY});
    static uint8_t seen[65536];
    size_t unchanged = 0;
    memset(seen, 0, sizeof(seen));
    for (unsigned i = 0; i < 65536; i++) {
        uint8_t in[] = {(uint8_t)(i >> 8), (uint8_t)i};
        struct buffer out;
        buffer_init(&out, 16);
        assert_int_equal(redactor_apply(r, INT2, true, bytes_of(in, 2), &out), REDACTOR_VALUE);
        assert_int_equal(buffer_size(&out), 2);
        struct bytes b = buffer_bytes(&out);
        unsigned to = (unsigned)b.data[0] << 8 | b.data[1];
        assert_int_equal(seen[to]++, 0);
        unchanged += to == i;
        buffer_finish(&out);
    }
    assert_true(unchanged < 20);
    redactor_destroy(r);
}

static void digits(void **state)
{
    (void)state;
    struct redactor *r = create((struct redactor_config){.kind = REDACTOR_TO_DIGITS, .key = KEY});
    char *a = hash(r, TEXT, "4111-1111 x"), *b = hash(r, TEXT, "41111111x");
    assert_int_equal(strlen(a), 11);
    assert_true(a[4] == '-' && a[9] == ' ' && a[10] == 'x');
    assert_memory_equal(a, b, 4); /* the digits do not depend on the punctuation */
    assert_memory_equal(a + 5, b + 4, 4);
    assert_string_not_equal(b, "41111111x");
    free(a);
    free(b);
    a = hash(r, TEXT, "a\xc3\xbc\xd9\xa1z"); /* a digit of another script too */
    assert_string_equal(a, "a**z");
    free(a);
    a = hash(r, INT2, "-12345");
    assert_true(a[0] == '-' && strlen(a) == 6 && strtol(a, NULL, 10) >= INT16_MIN);
    free(a);
    a = hash(r, NUMERIC, "12345.60");
    assert_true(strlen(a) == 8 && a[5] == '.' && a[0] != '0');
    free(a);
    assert_gives(r, NUMERIC, "NaN", NULL);
    assert_gives(r, FLOAT8, "Infinity", NULL);
    assert_gives(r, UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", NULL);
    redactor_destroy(r);
    r = create(
        (struct redactor_config){.kind = REDACTOR_TO_DIGITS, .key = KEY, .replace_letters = true});
    a = hash(r, TEXT, "Ab-1");
    assert_true(a[0] >= 'A' && a[0] <= 'Z' && a[1] >= 'a' && a[1] <= 'z' && a[2] == '-');
    free(a);
    redactor_destroy(r);
}

static void dates(void **state)
{
    (void)state;
    struct redactor *r =
        create((struct redactor_config){.kind = REDACTOR_TO_DATE, .unit = REDACTOR_MONTH});
    assert_gives(r, DATE, "2024-02-29", "2024-02-01");
    assert_gives(r, DATE, "0044-03-15 BC", "0044-03-01 BC");
    assert_gives(r, DATE, "infinity", "infinity");
    assert_gives(r, DATE, "29.02.2024", NULL); /* another DateStyle */
    assert_gives(r, DATE, "2023-02-29", NULL);
    assert_gives(r, TIMESTAMP, "2024-02-29 12:34:56.789", "2024-02-01 00:00:00");
    assert_gives(r, TIMESTAMPTZ, "2024-03-01 00:30:00+02", "2024-02-01 00:00:00+00");
    assert_gives(r, TIMESTAMPTZ, "1969-12-31 18:30:00-05:30", "1970-01-01 00:00:00+00");
    assert_gives(r, TIME, "12:34:56", NULL);
    assert_gives(r, TEXT, "2024-02-29", NULL);
    redactor_destroy(r);
    r = create((struct redactor_config){.kind = REDACTOR_TO_DATE, .unit = REDACTOR_YEAR});
    assert_gives(r, DATE, "2024-02-29", "2024-01-01");
    assert_gives(r, DATE, "4714-11-24 BC", NULL); /* before the first day that there is */
    redactor_destroy(r);
    r = create((struct redactor_config){.kind = REDACTOR_TO_DATE, .unit = REDACTOR_DAY});
    assert_gives(r, TIMESTAMP, "1999-12-31 23:59:59.999999", "1999-12-31 00:00:00");
    redactor_destroy(r);
}

/* ---- what is wrong ----------------------------------------------------------------------------
 */

static void malformed_values_become_null(void **state)
{
    (void)state;
    struct redactor *r = create((struct redactor_config){.kind = REDACTOR_TO_HASH, .key = KEY});
    static const struct {
        uint32_t type;
        const char *text;
    } wrong[] = {
        {INT4, ""},
        {INT4, "1x"},
        {INT4, "99999999999999999999"},
        {NUMERIC, "1."},
        {NUMERIC, "."},
        {NUMERIC, "-"},
        {BYTEA, "\\x0"},
        {BYTEA, "\\"},
        {BYTEA, "\\400"},
        {UUID, "a0eebc999c0b4ef8bb6d6bb9bd380a11"},
        {INET, "1.2.3"},
        {INET, "1.2.3.4/33"},
        {INT4_ARRAY, ""},
        {INT4_ARRAY, "{"},
        {INT4_ARRAY, "{1"},
        {INT4_ARRAY, "{1,}"},
        {INT4_ARRAY, "{1}x"},
        {INT4_ARRAY, "{{1},{2}}"},
        {TEXT_ARRAY, "{\"a}"},
        {TEXT_ARRAY, "{a\\"},
        {FLOAT8, "0x1p3"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_gives(r, wrong[i].type, wrong[i].text, NULL);
    }
    static const struct {
        uint32_t type;
        struct bytes value;
    } binary[] = {
        {INT4, {(const uint8_t *)"\0\0\1", 3}},
        {JSONB, {(const uint8_t *)"\2{}", 3}},
        {JSONB, {NULL, 0}},
        {INET, {(const uint8_t *)"\2\x21\0\4\0\0\0\0", 8}},
        {INT4_ARRAY, {(const uint8_t *)"\0\0\0\1\0\0\0\0\0\0\0\x17\x7f\xff\xff\xff\0\0\0\1", 20}},
        {INT4_ARRAY, {(const uint8_t *)"\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\0\0\0\0\1", 20}},
        {INT4_ARRAY, {(const uint8_t *)"\0\0\0\0\0\0\0\0\0\0\0\x17x", 13}},
    };
    for (size_t i = 0; i < sizeof(binary) / sizeof(binary[0]); i++) {
        struct buffer out;
        buffer_init(&out, OUT_MAX);
        assert_int_equal(apply(r, binary[i].type, true, binary[i].value, &out),
                         REDACTOR_NULL_INSTEAD);
        assert_int_equal(buffer_size(&out), 0);
        buffer_finish(&out);
    }
    redactor_destroy(r);
}

static void caps_fail(void **state)
{
    (void)state;
    struct redactor *r =
        create((struct redactor_config){.kind = REDACTOR_TO_PARTIAL, .max_value = 8});
    struct buffer out;
    buffer_init(&out, 4);
    assert_int_equal(apply(r, TEXT, false, BYTES("12345"), &out), REDACTOR_FAILED);
    assert_int_equal(apply(r, TEXT, false, BYTES("123456789"), &out), REDACTOR_FAILED);
    assert_int_equal(buffer_size(&out), 0);
    assert_int_equal(apply(r, TEXT, false, BYTES("1234"), &out), REDACTOR_VALUE);
    buffer_finish(&out);
    redactor_destroy(r);
}

static void bad_configurations(void **state)
{
    (void)state;
    const struct redactor_config bad[] = {
        {.kind = (enum redactor_kind)99},
        {.kind = REDACTOR_TO_HASH},
        {.kind = REDACTOR_TO_DIGITS, .key = BYTES("short")},
        {.kind = REDACTOR_TO_FIXED, .text = BYTES("a\0b")},
        {.kind = REDACTOR_TO_PARTIAL, .keep_first = SIZE_MAX},
        {.kind = REDACTOR_TO_PARTIAL, .mask = '\n'},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct redactor *r = NULL;
        struct err_text why = {""};
        assert_int_equal(redactor_create(&bad[i], &r, &why), ERR_INVALID);
        assert_null(r);
        assert_true(strlen(why.text) > 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_agree),
        cmocka_unit_test(null),
        cmocka_unit_test(fixed),
        cmocka_unit_test(partial),
        cmocka_unit_test(equal_values_have_equal_hashes),
        cmocka_unit_test(integers_do_not_collide),
        cmocka_unit_test(digits),
        cmocka_unit_test(dates),
        cmocka_unit_test(malformed_values_become_null),
        cmocka_unit_test(caps_fail),
        cmocka_unit_test(bad_configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

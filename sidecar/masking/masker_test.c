/* Rows and texts through the rules of a policy: by column, by content, and what is no row. */
#include "sidecar/masking/masker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/crypto/crypto.h"
#include "sidecar/masking/redactor.h"

#define BYTES(literal) ((struct bytes){(const uint8_t *)"" literal, sizeof(literal) - 1})
#define KEY BYTES("0123456789abcdef0123456789abcdef")

enum { OUT_MAX = 1 << 20, COLUMNS_MAX = 8 };
enum { BOOL = 16, BYTEA = 17, INT8 = 20, INT4 = 23, TEXT = 25, OID = 26, JSON = 114, XML = 142 };
enum { JSON_ARRAY = 199, FLOAT8 = 701, INET = 869, INT8_ARRAY = 1016, TEXT_ARRAY = 1009 };
enum { VARCHAR = 1043, DATE = 1082, NUMERIC = 1700, UUID = 2950, JSONB = 3802, CITEXT = 16385 };

static const struct policy_detector all[] = {
    {"email", NULL, false}, {"card", NULL, false},        {"iban", NULL, false},
    {"jwt", NULL, false},   {"private_key", NULL, false},
};
static const struct policy_detector ticket[] = {{"ticket", "tck-[0-9]{4,8}", true}};

static const struct policy_mask fixed = {
    .rule = "fixed", .redaction = POLICY_REDACT_FIXED, .text = "***"};
static const struct policy_mask nulls = {.rule = "nulls", .redaction = POLICY_REDACT_NULL};
static const struct policy_mask last_four = {.rule = "last-four",
                                             .redaction = POLICY_REDACT_PARTIAL,
                                             .keep_last = 4,
                                             .keep_separators = true};
static const struct policy_mask content = {.rule = "content",
                                           .redaction = POLICY_REDACT_FIXED,
                                           .text = "#",
                                           .detectors = all,
                                           .detector_count = sizeof(all) / sizeof(all[0])};
static const struct policy_mask tickets = {.rule = "tickets",
                                           .redaction = POLICY_REDACT_FIXED,
                                           .text = "0",
                                           .detectors = ticket,
                                           .detector_count = 1};

/* ---- building ------------------------------------------------------------------------------- */

static struct masker *create_of(const struct policy_mask *a, const struct policy_mask *b)
{
    const struct policy_mask *rules[] = {a, b};
    struct masker *m = NULL;
    struct err_text why = {""};
    assert_int_equal(masker_create(rules, b == NULL ? 1 : 2, KEY, &m, &why), OK);
    return m;
}

/* The body of a DataRow; `data` NULL with size 1 is a NULL. */
static const struct bytes null_value = {NULL, 1};

static void put_row(const struct bytes *values, size_t count, struct buffer *out)
{
    const uint8_t head[] = {(uint8_t)(count >> 8), (uint8_t)count};
    assert_int_equal(buffer_append(out, bytes_of(head, 2)), OK);
    for (size_t i = 0; i < count; i++) {
        bool is_null = values[i].data == NULL && values[i].size == 1;
        uint32_t n = is_null ? UINT32_MAX : (uint32_t)values[i].size;
        const uint8_t size[] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8),
                                (uint8_t)n};
        assert_int_equal(buffer_append(out, bytes_of(size, 4)), OK);
        if (!is_null) {
            assert_int_equal(buffer_append(out, values[i]), OK);
        }
    }
}

static enum err row(struct masker *m, const struct masker_column *columns, size_t count,
                    struct bytes body, struct buffer *out)
{
    /* From memory that is exactly as large. */
    void *memory = malloc(body.size > 0 ? body.size : 1);
    assert_non_null(memory);
    if (body.size > 0) {
        memcpy(memory, body.data, body.size);
    }
    bool moved = false;
    enum err e = masker_row_in_place(m, columns, count, memory, body.size, out, &moved);
    if (e == OK && !moved) {
        e = buffer_append(out, bytes_of(memory, body.size));
    }
    free(memory);
    return e;
}

static void assert_row(struct masker *m, const struct masker_column *columns, size_t count,
                       const struct bytes *values, const struct bytes *expected)
{
    struct buffer in, want, out;
    buffer_init(&in, OUT_MAX);
    buffer_init(&want, OUT_MAX);
    buffer_init(&out, OUT_MAX);
    put_row(values, count, &in);
    assert_int_equal(buffer_append_string(&out, "before"), OK);
    assert_int_equal(buffer_append_string(&want, "before"), OK);
    put_row(expected, count, &want);
    assert_int_equal(row(m, columns, count, buffer_bytes(&in), &out), OK);
    assert_int_equal(buffer_size(&out), buffer_size(&want));
    assert_memory_equal(buffer_bytes(&out).data, buffer_bytes(&want).data, buffer_size(&want));
    buffer_finish(&in);
    buffer_finish(&want);
    buffer_finish(&out);
}

/* ---- by column ------------------------------------------------------------------------------ */

static void columns_are_redacted(void **state)
{
    (void)state;
    struct masker *m = create_of(&last_four, &nulls);
    const struct masker_column columns[] = {
        {MASKER_PASS, 0, false, TEXT},   {MASKER_REDACT, 0, false, TEXT},
        {MASKER_PASS, 0, true, INT4},    {MASKER_NULL, 1, false, TEXT},
        {MASKER_REDACT, 0, true, INT4}, /* there is no partial form of it */
        {MASKER_REDACT, 1, false, DATE}, {MASKER_PASS, 0, false, TEXT},
    };
    const struct bytes values[] = {
        BYTES("a@b.co"),   BYTES("123-45-6789"), BYTES("\0\0\0\1"),        BYTES("x"),
        BYTES("\0\0\0\2"), BYTES("2020-01-02"),  BYTES("4111111111111111")};
    const struct bytes masked[] = {values[0],  BYTES("***-**-6789"), values[2], null_value,
                                   null_value, null_value,           values[6]};
    const struct bytes empty[] = {BYTES(""),  BYTES(""),  null_value, null_value,
                                  null_value, null_value, BYTES("")};
    assert_false(masker_has_detectors(m));
    assert_row(m, columns, 7, values, masked);
    assert_row(m, columns, 7, empty, empty);
    assert_row(m, columns, 7, values, masked);
    const struct masker_count *counts = NULL;
    assert_int_equal(masker_counts(m, &counts), 4); /* NULLs are not counted */
    static const struct {
        uint16_t column;
        uint8_t rule;
        uint64_t rows;
    } expected[] = {{1, 0, 3}, {3, 1, 2}, {4, 0, 2}, {5, 1, 2}};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(counts[i].column, expected[i].column);
        assert_int_equal(counts[i].rule, expected[i].rule);
        assert_int_equal(counts[i].rows, expected[i].rows);
        assert_false(counts[i].by_content);
    }
    masker_counts_reset(m);
    assert_int_equal(masker_counts(m, &counts), 0);
    masker_destroy(m);
}

/* Equal values stay equal under one name of a key, and tell nothing under another. */
static void keys_have_names(void **state)
{
    (void)state;
    struct policy_mask masks[] = {
        {.redaction = POLICY_REDACT_HASH, .hash_key = ""},
        {.redaction = POLICY_REDACT_HASH, .hash_key = NULL},
        {.redaction = POLICY_REDACT_HASH, .hash_key = "other"},
    };
    const struct policy_mask *rules[] = {&masks[0], &masks[1], &masks[2]};
    struct masker *m = NULL;
    struct err_text why = {""};
    assert_int_equal(masker_create(rules, 3, BYTES("short"), &m, &why), ERR_INVALID);
    assert_non_null(strstr(why.text, "32"));
    assert_int_equal(masker_create(rules, 3, KEY, &m, NULL), OK);

    uint8_t derived[CRYPTO_SHA256_SIZE];
    crypto_hmac_of(KEY, BYTES("chaperone masking\nother"), derived);
    struct redactor *r = NULL;
    const struct redactor_config config = {.kind = REDACTOR_TO_HASH,
                                           .key = bytes_of(derived, sizeof(derived))};
    struct buffer expected, in, out;
    buffer_init(&expected, OUT_MAX);
    buffer_init(&in, OUT_MAX);
    buffer_init(&out, OUT_MAX);
    assert_int_equal(redactor_create(&config, &r, NULL), OK);
    assert_int_equal(redactor_apply(r, TEXT, false, BYTES("v"), &expected), REDACTOR_VALUE);

    const struct masker_column columns[] = {{MASKER_REDACT, 0, false, TEXT},
                                            {MASKER_REDACT, 1, false, TEXT},
                                            {MASKER_REDACT, 2, false, TEXT}};
    const struct bytes values[] = {BYTES("v"), BYTES("v"), BYTES("v")};
    put_row(values, 3, &in);
    assert_int_equal(row(m, columns, 3, buffer_bytes(&in), &out), OK);
    const uint8_t *at = buffer_bytes(&out).data + 2; /* three times a length and 32 digits */
    assert_int_equal(buffer_size(&out), 2 + 3 * 36);
    assert_memory_equal(at, at + 36, 36);
    assert_memory_not_equal(at + 4, at + 76, 32);
    assert_memory_equal(at + 76, buffer_bytes(&expected).data, 32);
    redactor_destroy(r);
    masker_destroy(m);
    buffer_finish(&expected);
    buffer_finish(&in);
    buffer_finish(&out);
}

/* ---- by content ----------------------------------------------------------------------------- */

#define ARRAY_HEAD(type) "\0\0\0\1\0\0\0\0\0\0" type "\0\0\0\2\0\0\0\1"

static const struct {
    uint32_t type;
    bool is_binary;
    struct bytes value, expected;
} contents[] = {
    {TEXT, false, BYTES("to a@b.co now"), BYTES("to # now")},
    {VARCHAR, true, BYTES("to a@b.co now"), BYTES("to # now")},
    {TEXT, false, BYTES("nothing at all, 12345"), BYTES("nothing at all, 12345")},
    {TEXT, false, BYTES(""), BYTES("")},
    /* JSON in a column of text */
    {TEXT, false, BYTES("{\"m\":\"a\\u0040b.co\"}"), BYTES("{\"m\":\"#\"}")},
    {TEXT, false, BYTES("{\"m\":\"a\\u0040b.co\",\"n\":\"x@y.de\"}"),
     BYTES("{\"m\":\"#\",\"n\":\"#\"}")},
    /* \f is the beginning of no escape here */
    {TEXT, false, BYTES("{\\fr7630006000011234567890189"), BYTES("{\\#")},
    {JSON, false, BYTES("{\"m\":\"a\\u0040b.co\"}"), BYTES("{\"m\":\"#\"}")},
    {JSON, true, BYTES("[4111111111111111]"), BYTES("[\"#\"]")},
    {JSONB, false, BYTES("{\"m\": \"a@b.co\"}"), BYTES("{\"m\": \"#\"}")},
    {JSONB, true, BYTES("\1{\"m\": \"a@b.co\"}"), BYTES("\1{\"m\": \"#\"}")},
    {JSONB, true, BYTES("\1{\"m\": \"a\"}"), BYTES("\1{\"m\": \"a\"}")},
    {JSONB, true, BYTES("\2{\"m\": \"a\"}"), {NULL, 1}}, /* of a version that is not known */
    {JSONB, true, BYTES(""), {NULL, 1}},
    /* numbers have no place for a sign of it */
    {INT8, false, BYTES("4111111111111111"), {NULL, 1}},
    {INT8, true, BYTES("\x00\x0e\x9b\x08\xa5\x68\xf1\xc7"), {NULL, 1}}, /* 4111111111111111 */
    {INT8, true, BYTES("\x00\x0e\x9b\x08\xa5\x68\xf1\xc8"),
     BYTES("\x00\x0e\x9b\x08\xa5\x68\xf1\xc8")},
    {INT8, true, BYTES("4111"), BYTES("4111")}, /* not an int8, and not a card either */
    {NUMERIC, false, BYTES("-4111111111111111.00"), {NULL, 1}},
    {NUMERIC, false, BYTES("4111111111111111"), {NULL, 1}},
    {NUMERIC, true, BYTES("\0\4\0\3\0\0\0\0\x10\x0f\x04\x57\x04\x57\x04\x57"), {NULL, 1}},
    {FLOAT8, false, BYTES("4111111111111111"), {NULL, 1}},
    /* bytes, as they are and as their text */
    {BYTEA, true, BYTES("\0\1a@b.co\0"), BYTES("#")},
    {BYTEA, false, BYTES("\\x0061406222636f"), BYTES("\\x0061406222636f")},
    {BYTEA, false, BYTES("\\x006140622e636f"), BYTES("\\x23")},
    {BYTEA, false, BYTES("\\001a@b.co"), BYTES("\\x23")},
    /* arrays, element by element */
    {TEXT_ARRAY, false, BYTES("{a,NULL,\"to a@b.co\",\"x y\"}"),
     BYTES("{a,NULL,\"to #\",\"x y\"}")},
    {TEXT_ARRAY, false, BYTES("{{a@b.co},{b}}"), BYTES("{{#},{b}}")},
    {TEXT_ARRAY, false, BYTES("[0:0]={a@b.co}"), BYTES("[0:0]={#}")},
    {TEXT_ARRAY, false, BYTES("{}"), BYTES("{}")},
    {TEXT_ARRAY, false, BYTES("{\"null\",\"\",\"a\\\"b\\\\c\"}"),
     BYTES("{\"null\",\"\",\"a\\\"b\\\\c\"}")},
    {TEXT_ARRAY, false, BYTES("{a@b.co"), {NULL, 1}}, /* not an array */
    {TEXT_ARRAY, false, BYTES("{\"a@b.co"), {NULL, 1}},
    {TEXT_ARRAY, false, BYTES("{a"), BYTES("{a")},
    {JSON_ARRAY, false, BYTES("{\"{\\\"m\\\":\\\"a\\\\u0040b.co\\\"}\"}"),
     BYTES("{\"{\\\"m\\\":\\\"#\\\"}\"}")},
    {INT8_ARRAY, false, BYTES("{4111111111111111,5}"), BYTES("{NULL,5}")},
    {TEXT_ARRAY, true, BYTES(ARRAY_HEAD("\0\x19") "\0\0\0\6a@b.co\0\0\0\1x"),
     BYTES(ARRAY_HEAD("\0\x19") "\0\0\0\1#\0\0\0\1x")},
    {TEXT_ARRAY, true, BYTES(ARRAY_HEAD("\0\x19") "\0\0\0\1a\377\377\377\377"),
     BYTES(ARRAY_HEAD("\0\x19") "\0\0\0\1a\377\377\377\377")},
    {INT8_ARRAY, true,
     BYTES(
         ARRAY_HEAD("\0\x14") "\0\0\0\10\x00\x0e\x9b\x08\xa5\x68\xf1\xc7\0\0\0\10\0\0\0\0\0\0\0\1"),
     BYTES("\0\0\0\1\0\0\0\1\0\0\0\x14\0\0\0\2\0\0\0\1\377\377\377\377\0\0\0\10\0\0\0\0\0\0\0\1")},
    {TEXT_ARRAY, true, BYTES(ARRAY_HEAD("\0\x19") "\0\0\0\7a@b.co"), {NULL, 1}},
    {TEXT_ARRAY, true, BYTES(ARRAY_HEAD("\0\x1a") "\0\0\0\6a@b.co\0\0\0\1x"), {NULL, 1}},
    /* what nothing is known of */
    {CITEXT, false, BYTES("to a@b.co"), {NULL, 1}},
    {CITEXT, true, BYTES("to a@b.co"), {NULL, 1}},
    {CITEXT, true, BYTES("\0\0\0\1"), BYTES("\0\0\0\1")},
    {CITEXT, false, BYTES("(1,\"{\"\"m\"\": \"\"a\\\\u0040b.co\"\"}\")"), {NULL, 1}},
    {0, true, BYTES("a@b.co"), {NULL, 1}},
    {XML, false, BYTES("<m>a@b.co</m>"), {NULL, 1}},
    {INET, false, BYTES("192.168.100.200"), BYTES("192.168.100.200")},
    {UUID, false, BYTES("41111111-1111-1111-0000-000000000000"),
     BYTES("41111111-1111-1111-0000-000000000000")},
};

static void contents_are_found(void **state)
{
    (void)state;
    struct masker *m = create_of(&fixed, &content);
    assert_true(masker_has_detectors(m));
    for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
        const struct masker_column columns[] = {
            {MASKER_PASS, 0, false, TEXT},
            {MASKER_PASS, 0, contents[i].is_binary, contents[i].type},
            {MASKER_REDACT, 0, false, TEXT}};
        const struct bytes in[] = {BYTES("x"), contents[i].value, BYTES("y@z.de")};
        const struct bytes out[] = {BYTES("x"), contents[i].expected, BYTES("***")};
        masker_counts_reset(m);
        assert_row(m, columns, 3, in, out);
        const struct masker_count *counts = NULL;
        bool is_changed = out[1].data == NULL || !bytes_equal(in[1], out[1]);
        /* A version that is not known is no find. */
        bool is_counted = is_changed && !(contents[i].type == JSONB && out[1].data == NULL);
        assert_int_equal(masker_counts(m, &counts), is_counted ? 2 : 1);
        assert_int_equal(counts[0].by_content, is_counted);
        assert_int_equal(counts[0].rule, is_counted);
        assert_int_equal(counts[0].column, is_counted ? 1 : 2);
        assert_int_equal(counts[0].rows, 1);
    }
    masker_destroy(m);
}

/* A custom expression may be about small numbers too. */
static void custom_detectors(void **state)
{
    (void)state;
    const struct policy_detector own[] = {{"four", "\\b7[0-9]{3}\\b", false}};
    const struct policy_mask rule = {.rule = "own",
                                     .redaction = POLICY_REDACT_FIXED,
                                     .text = "0",
                                     .detectors = own,
                                     .detector_count = 1};
    struct masker *m = create_of(&rule, &tickets);
    const struct masker_column columns[] = {
        {MASKER_PASS, 0, false, INT4}, {MASKER_PASS, 0, true, INT4}, {MASKER_PASS, 0, false, TEXT}};
    const struct bytes in[] = {BYTES("7001"), BYTES("\0\0\x1b\x59"), BYTES("see TCK-12345")};
    const struct bytes out[] = {BYTES("0"), BYTES("\0\0\0\0"), BYTES("see 0")};
    assert_row(m, columns, 3, in, out);
    const struct masker_count *counts = NULL;
    assert_int_equal(masker_counts(m, &counts), 3);
    assert_int_equal(counts[2].rule, 1);
    masker_destroy(m);
}

/* Where two rules want different things of the same, nothing of it is shown. */
static void rules_that_disagree(void **state)
{
    (void)state;
    struct policy_mask partial = content, again = content;
    partial.redaction = POLICY_REDACT_PARTIAL;
    partial.keep_last = 4;
    struct buffer out;
    buffer_init(&out, OUT_MAX);
    struct masker *m = create_of(&partial, &content);
    assert_int_equal(masker_text(m, BYTES("[4111111111111111]"), &out), OK);
    assert_true(bytes_equal_string(buffer_bytes(&out), "[]"));
    masker_destroy(m);
    m = create_of(&content, &again);
    buffer_clear(&out);
    assert_int_equal(masker_text(m, BYTES("[4111111111111111]"), &out), OK);
    assert_true(bytes_equal_string(buffer_bytes(&out), "[#]"));
    masker_destroy(m);
    /* Different finds that overlap. */
    const struct policy_detector own[] = {{"own", "number [0-9]{4}", false}};
    const struct policy_mask rule = {.rule = "own",
                                     .redaction = POLICY_REDACT_FIXED,
                                     .text = "0",
                                     .detectors = own,
                                     .detector_count = 1};
    m = create_of(&partial, &rule);
    buffer_clear(&out);
    assert_int_equal(masker_text(m, BYTES("number 4111111111111111, number 1234"), &out), OK);
    assert_true(bytes_equal_string(buffer_bytes(&out), ", 0"));
    masker_destroy(m);
    buffer_finish(&out);
}

static void texts(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, OUT_MAX);
    struct masker *m = create_of(&nulls, &content);
    assert_int_equal(masker_text(m, BYTES("Key (email)=(a@b.co) exists. "), &out), OK);
    assert_int_equal(masker_text(m, BYTES("Nothing here."), &out), OK);
    assert_int_equal(masker_text(m, BYTES(""), &out), OK);
    assert_true(bytes_equal_string(buffer_bytes(&out), "Key (email)=(#) exists. Nothing here."));
    /* More than can be told apart: nothing of it. */
    enum { MANY = 300 };
    char many[MANY * 7 + 1];
    for (size_t i = 0; i < MANY; i++) {
        memcpy(many + 7 * i, "a@b.co ", 8);
    }
    buffer_clear(&out);
    assert_int_equal(masker_text(m, bytes_of_string(many), &out), OK);
    assert_int_equal(buffer_size(&out), 0);
    masker_destroy(m);
    m = create_of(&nulls, NULL);
    assert_int_equal(masker_text(m, BYTES("a@b.co"), &out), OK);
    assert_true(bytes_equal_string(buffer_bytes(&out), "a@b.co"));
    masker_destroy(m);
    buffer_finish(&out);
}

/* ---- in place ------------------------------------------------------------------------------- */

static void rows_stay_where_lengths_do(void **state)
{
    (void)state;
    static const struct {
        const char *value, *masked;
        bool moved;
    } cases[] = {{"123-45-6789", "***-**-6789", false},
                 {"1234", "****", false},
                 {"", "", false},
                 {"\303\244345678", "***5678", true},
                 {"\377\3763456789", "*****6789", false}};
    struct masker *m = create_of(&last_four, NULL);
    const struct masker_column columns[] = {{MASKER_REDACT, 0, false, TEXT},
                                            {MASKER_PASS, 0, false, TEXT}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct bytes values[] = {bytes_of_string(cases[i].value), BYTES("stays")};
        const struct bytes expected[] = {bytes_of_string(cases[i].masked), BYTES("stays")};
        struct buffer in, want, out;
        bool moved = !cases[i].moved;
        buffer_init(&in, OUT_MAX);
        buffer_init(&want, OUT_MAX);
        buffer_init(&out, OUT_MAX);
        put_row(values, 2, &in);
        put_row(expected, 2, &want);
        assert_int_equal(
            masker_row_in_place(m, columns, 2, in.data, buffer_size(&in), &out, &moved), OK);
        assert_int_equal(moved, cases[i].moved);
        assert_true(bytes_equal(buffer_bytes(moved ? &out : &in), buffer_bytes(&want)));
        assert_int_equal(buffer_size(&out) > 0, moved);
        buffer_finish(&in);
        buffer_finish(&want);
        buffer_finish(&out);
    }
    masker_destroy(m);
}

/* ---- what is no row ------------------------------------------------------------------------- */

static void no_row(void **state)
{
    (void)state;
    static const struct bytes bad[] = {
        BYTES(""),
        BYTES("\0"),
        BYTES("\0\1\0\0\0\1a"),
        BYTES("\0\3\0\0\0\1a\0\0\0\1b\0\0\0\1c"),
        BYTES("\377\377\0\0\0\1a\0\0\0\1b"),
        BYTES("\0\2\0\0\0\1a\0\0\0\1b "),
        BYTES("\0\2\0\0\0\1a\0\0\0\2b"),
        BYTES("\0\2\0\0\0\1a\0\0\0"),
        BYTES("\0\2\0\0\0\1a"),
        BYTES("\0\2\377\377\377\376a\0\0\0\1b"),
        BYTES("\0\2\200\0\0\0a\0\0\0\1b"),
        BYTES("\0\2\177\377\377\377a\0\0\0\1b"),
        BYTES("\0\2\0\0\0\1a\377\377\377\377\377\377\377\377"),
    };
    const struct masker_column columns[] = {{MASKER_REDACT, 0, false, TEXT},
                                            {MASKER_PASS, 0, false, TEXT}};
    struct buffer out;
    buffer_init(&out, OUT_MAX);
    assert_int_equal(buffer_append_string(&out, "before"), OK);
    for (int has_detectors = 0; has_detectors < 2; has_detectors++) {
        struct masker *m = create_of(&fixed, has_detectors ? &content : NULL);
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            assert_int_equal(row(m, columns, 2, bad[i], &out), ERR_INVALID);
            assert_true(bytes_equal_string(buffer_bytes(&out), "before"));
        }
        masker_destroy(m);
    }
    /* A rule that there is not; too many columns; too large a row, or one that becomes it. */
    struct masker *m = create_of(&fixed, NULL);
    const struct masker_column wrong[] = {{MASKER_REDACT, 1, false, TEXT}};
    assert_int_equal(row(m, wrong, 1, BYTES("\0\1\0\0\0\1a"), &out), ERR_INVALID);
    assert_int_equal(row(m, wrong, MASKER_COLUMNS_MAX + 1, BYTES("\6\201"), &out), ERR_INVALID);
    assert_int_equal(row(m, columns, 0, BYTES("\0\0"), &out), OK);
    uint8_t *large = calloc(1, MASKER_ROW_MAX + 1);
    assert_non_null(large);
    assert_int_equal(masker_row(m, wrong, 1, bytes_of(large, MASKER_ROW_MAX + 1), &out), ERR_LIMIT);
    free(large);
    buffer_finish(&out);
    buffer_init(&out, 8);
    assert_int_equal(row(m, columns, 2, BYTES("\0\2\0\0\0\1a\0\0\0\1b"), &out), ERR_LIMIT);
    assert_int_equal(buffer_size(&out), 0);
    masker_destroy(m);
    buffer_finish(&out);
}

/* ---- creation ------------------------------------------------------------------------------- */

static void bad_rules(void **state)
{
    (void)state;
    const struct policy_detector unknown[] = {{"e-mail", NULL, false}};
    const struct policy_detector broken[] = {{"mine", "(", false}};
    const struct {
        struct policy_mask mask;
        enum err expected;
        const char *why;
    } bad[] = {
        {{.rule = "r", .redaction = (enum policy_redaction)99}, ERR_INVALID, "rule r"},
        {{.rule = "r", .unit = (enum policy_date_unit)99}, ERR_INVALID, "rule r"},
        {{.rule = "r", .redaction = POLICY_REDACT_PARTIAL, .mask_character = '\n'},
         ERR_INVALID,
         "rule r"},
        {{.rule = "r", .detectors = unknown, .detector_count = 1}, ERR_INVALID, "e-mail"},
        {{.rule = "r", .detectors = broken, .detector_count = 1}, ERR_INVALID, "mine"},
    };
    struct masker *m = NULL;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct policy_mask *rules[] = {&fixed, &bad[i].mask};
        struct err_text why = {""};
        assert_int_equal(masker_create(rules, 2, KEY, &m, &why), bad[i].expected);
        assert_non_null(strstr(why.text, bad[i].why));
        assert_null(m);
    }
    const struct policy_mask *rules[MASKER_RULES_MAX + 1];
    for (size_t i = 0; i <= MASKER_RULES_MAX; i++) {
        rules[i] = &fixed;
    }
    assert_int_equal(masker_create(rules, MASKER_RULES_MAX + 1, KEY, &m, NULL), ERR_LIMIT);
    assert_int_equal(masker_create(rules, MASKER_RULES_MAX, KEY, &m, NULL), OK);
    masker_destroy(m);
    m = NULL;
    assert_int_equal(masker_create(NULL, 0, (struct bytes){0}, &m, NULL), OK);
    assert_false(masker_has_detectors(m));
    masker_destroy(m);
    masker_destroy(NULL);
}

/* Compiled once for the same detectors, whoever asks; each masker has its own stream. */
static void detectors_are_shared(void **state)
{
    (void)state;
    enum { MASKERS = 20, OWN = 18 };
    struct masker_cache *cache = masker_cache_create();
    struct masker *maskers[MASKERS];
    const struct policy_mask *rules[] = {&content};
    struct buffer out;
    buffer_init(&out, OUT_MAX);
    assert_non_null(cache);
    for (size_t i = 0; i < MASKERS; i++) {
        assert_int_equal(masker_create_cached(cache, rules, 1, KEY, &maskers[i], NULL), OK);
    }
    for (size_t i = 0; i < MASKERS; i++) {
        buffer_clear(&out);
        assert_int_equal(masker_text(maskers[i], BYTES("a@b.co"), &out), OK);
        assert_true(bytes_equal_string(buffer_bytes(&out), "#"));
        masker_destroy(maskers[i]);
    }
    /* More different ones than are kept; some in use when the cache goes. */
    for (size_t i = 0; i < OWN; i++) {
        char pattern[32];
        (void)snprintf(pattern, sizeof(pattern), "own%zuz", i);
        const struct policy_detector own[] = {{"own", pattern, i % 2 == 0}};
        const struct policy_mask rule = {
            .redaction = POLICY_REDACT_FIXED, .text = "#", .detectors = own, .detector_count = 1};
        rules[0] = &rule;
        assert_int_equal(masker_create_cached(cache, rules, 1, KEY, &maskers[i], NULL), OK);
        buffer_clear(&out);
        assert_int_equal(masker_text(maskers[i], bytes_of_string(pattern), &out), OK);
        assert_true(bytes_equal_string(buffer_bytes(&out), "#"));
        buffer_clear(&out);
        assert_int_equal(masker_text(maskers[i], BYTES("OWN3Z own3"), &out), OK);
        assert_true(bytes_equal_string(buffer_bytes(&out), "OWN3Z own3"));
    }
    masker_cache_destroy(cache);
    for (size_t i = 0; i < OWN; i++) {
        masker_destroy(maskers[i]);
    }
    masker_cache_destroy(NULL);
    buffer_finish(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_redacted),
        cmocka_unit_test(keys_have_names),
        cmocka_unit_test(contents_are_found),
        cmocka_unit_test(custom_detectors),
        cmocka_unit_test(rules_that_disagree),
        cmocka_unit_test(texts),
        cmocka_unit_test(rows_stay_where_lengths_do),
        cmocka_unit_test(no_row),
        cmocka_unit_test(bad_rules),
        cmocka_unit_test(detectors_are_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* COPY as a real server writes it (testdata/make_copy_vectors.py), cut everywhere; then what no
 * server would write. */
#include "sidecar/masking/masker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define BYTES(literal) ((struct bytes){(const uint8_t *)"" literal, sizeof(literal) - 1})

enum { OUT_MAX = 1 << 20, COLUMNS_MAX = 3, TEXT = 25 };

/* ---- rules ---------------------------------------------------------------------------------- */

enum { RULE_PARTIAL, RULE_FIXED, RULE_NULL, RULE_CONTENT, RULES };

static struct masker *create(void)
{
    static const struct policy_detector email = {"email", NULL, false},
                                        never = {"never", "QZQZ[0-9]{9}QZQZ", false};
    static const struct policy_detector detectors[] = {email, never};
    static const struct policy_mask masks[RULES] = {
        [RULE_PARTIAL] = {.rule = "partial",
                          .redaction = POLICY_REDACT_PARTIAL,
                          .keep_separators = true},
        [RULE_FIXED] = {.rule = "fixed", .redaction = POLICY_REDACT_FIXED, .text = "f\"x, y"},
        [RULE_NULL] = {.rule = "null", .redaction = POLICY_REDACT_NULL},
        [RULE_CONTENT] = {.rule = "content",
                          .redaction = POLICY_REDACT_FIXED,
                          .text = "#",
                          .detectors = detectors,
                          .detector_count = 2},
    };
    const struct policy_mask *rules[RULES];
    struct masker *m = NULL;
    for (size_t i = 0; i < RULES; i++) {
        rules[i] = &masks[i];
    }
    assert_int_equal(masker_create(rules, RULES, (struct bytes){0}, &m, NULL), OK);
    return m;
}

/* ---- feeding -------------------------------------------------------------------------------- */

/* In pieces of `first`, then `step` bytes; each from memory that is exactly as large. */
static enum err run(struct masker *m, const struct masker_copy_options *o, struct bytes data,
                    size_t first, size_t step, struct buffer *out)
{
    struct masker_copy *c = masker_copy_create(m, o);
    assert_non_null(c);
    enum err e = OK;
    for (size_t done = 0, size = first; e == OK && done < data.size; size = step) {
        size = size > data.size - done ? data.size - done : size;
        void *piece = malloc(size > 0 ? size : 1);
        assert_non_null(piece);
        memcpy(piece, data.data + done, size);
        e = masker_copy_feed(c, bytes_of(piece, size), out);
        free(piece);
        done += size;
    }
    e = e == OK ? masker_copy_finish(c) : e;
    masker_copy_destroy(c);
    return e;
}

static void assert_makes(struct masker *m, const struct masker_copy_options *o, struct bytes data,
                         size_t first, size_t step, struct bytes expected)
{
    struct buffer out;
    buffer_init(&out, OUT_MAX);
    assert_int_equal(run(m, o, data, first, step, &out), OK);
    assert_int_equal(buffer_size(&out), expected.size);
    assert_memory_equal(buffer_bytes(&out).data, expected.data, expected.size);
    buffer_finish(&out);
}

static void assert_makes_however_cut(struct masker *m, const struct masker_copy_options *o,
                                     struct bytes data, struct bytes expected)
{
    for (size_t i = 0; i <= data.size; i++) {
        assert_makes(m, o, data, i, data.size, expected);
    }
    assert_makes(m, o, data, 1, 1, expected);
    assert_makes(m, o, data, 7, 7, expected);
}

/* ---- what a server writes ------------------------------------------------------------------- */

struct vector {
    const char *format, *redaction;
    struct masker_copy_options options;
    struct bytes data, masked;
};

static struct bytes read_hex(char **io_line, uint8_t **io_to)
{
    const char *hex = strsep(io_line, "\t");
    assert_non_null(hex);
    struct bytes b = bytes_of(*io_to, strcspn(hex, "\n") / 2);
    for (size_t i = 0; i < b.size; i++) {
        const char digits[] = {hex[2 * i], hex[2 * i + 1], 0};
        *(*io_to)++ = (uint8_t)strtoul(digits, NULL, 16);
    }
    return b;
}

static char read_character(char **io_line, uint8_t **io_to)
{
    struct bytes b = read_hex(io_line, io_to);
    return b.size == 0 ? '\0' : (char)b.data[0];
}

static struct vector read_vector(char *line, uint8_t *memory)
{
    struct vector v = {.format = strsep(&line, "\t")};
    struct masker_copy_options *o = &v.options;
    o->format = strcmp(v.format, "text") == 0  ? MASKER_COPY_TEXT
                : strcmp(v.format, "csv") == 0 ? MASKER_COPY_CSV
                                               : MASKER_COPY_BINARY;
    o->count = strtoul(strsep(&line, "\t"), NULL, 10);
    o->delimiter = read_character(&line, &memory);
    o->quote = read_character(&line, &memory);
    o->escape = read_character(&line, &memory);
    o->null_text = read_hex(&line, &memory);
    o->has_header = strcmp(strsep(&line, "\t"), "1") == 0;
    v.redaction = strsep(&line, "\t");
    v.data = read_hex(&line, &memory);
    v.masked = read_hex(&line, &memory);
    assert_null(line);
    return v;
}

static void check_vector(struct masker *m, struct vector *v)
{
    struct masker_column columns[COLUMNS_MAX] = {{.type = TEXT}, {.type = TEXT}, {.type = TEXT}};
    size_t masked = v->options.count == 1 ? 0 : 1;
    v->options.columns = columns;
    assert_makes_however_cut(m, &v->options, v->data, v->data);
    columns[masked].action = MASKER_REDACT;
    columns[masked].rule = strcmp(v->redaction, "partial") == 0 ? RULE_PARTIAL
                           : strcmp(v->redaction, "fixed") == 0 ? RULE_FIXED
                                                                : RULE_NULL;
    assert_makes(m, &v->options, v->data, v->data.size, v->data.size, v->masked);
    assert_makes(m, &v->options, v->data, 1, 1, v->masked);
    if (v->options.format != MASKER_COPY_BINARY) {
        columns[masked].type = 0; /* not known: a text */
        assert_makes(m, &v->options, v->data, v->data.size, v->data.size, v->masked);
    }
}

static void as_a_server_writes_it(void **state)
{
    (void)state;
    enum { LINE_MAX = 1 << 16 };
    struct masker *m = create();
    char *line = malloc(LINE_MAX);
    uint8_t *memory = malloc(LINE_MAX);
    FILE *f = fopen("sidecar/masking/testdata/copy_vectors.tsv", "r");
    assert_true(line != NULL && memory != NULL && f != NULL);
    size_t count = 0;
    while (fgets(line, LINE_MAX, f) != NULL) {
        assert_non_null(strchr(line, '\n'));
        if (line[0] != '#') {
            struct vector v = read_vector(line, memory);
            check_vector(m, &v);
            count++;
        }
    }
    assert_true(count >= 78);
    (void)fclose(f);
    free(line);
    free(memory);
    masker_destroy(m);
}

/* ---- small ones ----------------------------------------------------------------------------- */

static const struct masker_column pass_and_redact[] = {
    {.action = MASKER_PASS, .type = TEXT},
    {.action = MASKER_REDACT, .rule = RULE_PARTIAL, .type = TEXT},
};

static struct masker_copy_options options_of(enum masker_copy_format format)
{
    return (struct masker_copy_options){
        .format = format,
        .delimiter = format == MASKER_COPY_CSV ? ',' : '\t',
        .quote = '"',
        .escape = '"',
        .null_text = format == MASKER_COPY_CSV ? BYTES("") : BYTES("\\N"),
        .columns = pass_and_redact,
        .count = 2,
    };
}

static void contents_are_found_behind_escapes(void **state)
{
    (void)state;
    struct masker *m = create();
    struct masker_copy_options o = options_of(MASKER_COPY_TEXT);
    assert_makes_however_cut(m, &o, BYTES("a\\tb@c.de\tx\nno\t\\N\n"),
                             BYTES("a\\t#\t*\nno\t\\N\n"));
    o = options_of(MASKER_COPY_CSV);
    assert_makes_however_cut(m, &o, BYTES("\"to \"\"b@c.de\"\"\",x\n\"\",\n"),
                             BYTES("\"to \"\"#\"\"\",*\n\"\",\n"));
    const struct masker_count *counts = NULL;
    size_t count = masker_counts(m, &counts);
    assert_int_equal(count, 2);
    assert_true(counts[0].by_content && counts[0].rule == RULE_CONTENT && counts[0].column == 0);
    assert_true(!counts[1].by_content && counts[1].rule == RULE_PARTIAL && counts[1].column == 1);
    assert_int_equal(counts[0].rows, counts[1].rows);
    masker_destroy(m);
}

/* With NULL '123-45-6789' whoever has this number would be the one that is not redacted. */
static void null_is_no_oracle(void **state)
{
    (void)state;
    struct masker *m = create();
    struct masker_copy_options o = options_of(MASKER_COPY_TEXT);
    o.null_text = BYTES("123-45-6789");
    assert_makes(m, &o, BYTES("a\t123-45-6789\nb\t987-65-4321\n"), 1, 99,
                 BYTES("a\t123-45-6789\nb\t123-45-6789\n"));
    o.null_text = BYTES("a\\tb"); /* as a value of a, a tab and b is written */
    assert_makes(m, &o, BYTES("a\ta\\tb\nb\tc\n"), 1, 99, BYTES("a\ta\\tb\nb\ta\\tb\n"));
    o = options_of(MASKER_COPY_CSV);
    o.null_text = BYTES("123"); /* the value itself is quoted */
    assert_makes(m, &o, BYTES("a,123\nb,\"123\"\n"), 1, 99, BYTES("a,123\nb,\"***\"\n"));
    masker_destroy(m);
}

static void without_columns(void **state)
{
    (void)state;
    struct masker *m = create();
    for (int format = MASKER_COPY_TEXT; format <= MASKER_COPY_CSV; format++) {
        struct masker_copy_options o = options_of((enum masker_copy_format)format);
        o.count = 0;
        assert_makes(m, &o, BYTES("\n\n"), 1, 1, BYTES("\n\n"));
        o.count = 1; /* an empty text, and NULL */
        assert_makes(m, &o, BYTES("\n"), 1, 1, BYTES("\n"));
    }
    struct masker_copy_options o = options_of(MASKER_COPY_TEXT);
    assert_makes(m, &o, BYTES("a\tb\n\\.\n"), 1, 1, BYTES("a\t*\n\\.\n"));
    o = options_of(MASKER_COPY_CSV);
    o.columns = pass_and_redact + 1;
    o.count = 1;
    assert_makes(m, &o, BYTES("\"\\.\"\n\"b\"\n"), 1, 1, BYTES("\"\\.\"\n\"*\"\n"));
    masker_destroy(m);
}

/* ---- what no server writes ------------------------------------------------------------------ */

#define HEAD "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0"

static const struct {
    enum masker_copy_format format;
    struct bytes data;
    enum err expected;
} bad[] = {
    {MASKER_COPY_TEXT, BYTES("a\n"), ERR_INVALID},
    {MASKER_COPY_TEXT, BYTES("a\tb\tc\n"), ERR_INVALID},
    {MASKER_COPY_TEXT, BYTES("a\tb"), ERR_INVALID}, /* ends within a row */
    {MASKER_COPY_TEXT, BYTES("\n"), ERR_INVALID},
    {MASKER_COPY_TEXT, BYTES("a\tb\\\n"), ERR_INVALID},
    {MASKER_COPY_TEXT, BYTES("a\tb\\x41\n"), ERR_INVALID},
    {MASKER_COPY_TEXT, BYTES("a\\\tb\n"), ERR_INVALID}, /* the delimiter is escaped: one field */
    {MASKER_COPY_TEXT, BYTES("\\.\na\tb\n"), ERR_INVALID},
    {MASKER_COPY_CSV, BYTES("a\n"), ERR_INVALID},
    {MASKER_COPY_CSV, BYTES("a,b,c\n"), ERR_INVALID},
    {MASKER_COPY_CSV, BYTES("a,\"b\n"), ERR_INVALID},
    {MASKER_COPY_CSV, BYTES("a,\"b\"c\n"), ERR_INVALID},
    {MASKER_COPY_CSV, BYTES("\"a\"b,c\n"), ERR_INVALID},
    {MASKER_COPY_CSV, BYTES("a,b\"c\n"), ERR_INVALID},
    {MASKER_COPY_CSV, BYTES("a,b\r\n"), ERR_INVALID},
    {MASKER_COPY_CSV, BYTES("a,b"), ERR_INVALID},
    {MASKER_COPY_BINARY, BYTES(""), ERR_INVALID},
    {MASKER_COPY_BINARY, BYTES(HEAD), ERR_INVALID}, /* without its end */
    {MASKER_COPY_BINARY, BYTES("PGCOPY\n\377\r\n\0\0\1\0\0\0\0\0\0\377\377"), ERR_INVALID},
    {MASKER_COPY_BINARY, BYTES("PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\1x\377\377"), ERR_INVALID},
    {MASKER_COPY_BINARY, BYTES("PGCOPY\r\377\r\n\0\0\0\0\0\0\0\0\0\377\377"), ERR_INVALID},
    {MASKER_COPY_BINARY, BYTES(HEAD "\377\377\377\377"), ERR_INVALID}, /* behind the end */
    {MASKER_COPY_BINARY, BYTES(HEAD "\0\1\0\0\0\1a\377\377"), ERR_INVALID},
    {MASKER_COPY_BINARY, BYTES(HEAD "\377\376"), ERR_INVALID},
    {MASKER_COPY_BINARY, BYTES(HEAD "\0\2\377\377\377\376\0\0\0\0\377\377"), ERR_INVALID},
    {MASKER_COPY_BINARY, BYTES(HEAD "\0\2\177\377\377\377\0\0\0\0\377\377"), ERR_LIMIT},
    {MASKER_COPY_BINARY, BYTES(HEAD "\0\2\0\0\0\1a\0\0\0\1"), ERR_INVALID},
};

static void is_refused(void **state)
{
    (void)state;
    struct masker *m = create();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct masker_copy_options o = options_of(bad[i].format);
        for (size_t step = 1; step <= bad[i].data.size + 1; step++) {
            struct buffer out;
            buffer_init(&out, OUT_MAX);
            enum err e = run(m, &o, bad[i].data, step, step, &out);
            if (e != bad[i].expected) {
                fail_msg("case %zu in pieces of %zu: %s", i, step, err_name(e));
            }
            buffer_finish(&out);
        }
    }
    masker_destroy(m);
}

static void nothing_goes_on_after_a_failure(void **state)
{
    (void)state;
    struct masker *m = create();
    struct masker_copy_options o = options_of(MASKER_COPY_TEXT);
    struct masker_copy *c = masker_copy_create(m, &o);
    struct buffer out;
    buffer_init(&out, OUT_MAX);
    assert_int_equal(masker_copy_feed(c, BYTES("a\tb\n"), &out), OK);
    assert_int_equal(masker_copy_feed(c, BYTES("c\td\ne\n"), &out), ERR_INVALID);
    assert_true(bytes_equal_string(buffer_bytes(&out), "a\t*\n"));
    assert_int_equal(masker_copy_feed(c, BYTES("f\tg\n"), &out), ERR_INVALID);
    assert_int_equal(masker_copy_finish(c), ERR_INVALID);
    masker_copy_destroy(c);
    o.count = MASKER_COLUMNS_MAX + 1;
    c = masker_copy_create(m, &o);
    assert_non_null(c);
    assert_int_equal(masker_copy_feed(c, BYTES("\n"), &out), ERR_INVALID);
    masker_copy_destroy(c);
    buffer_finish(&out);
    masker_destroy(m);
}

/* A row is held up to its cap, whatever the size of the messages; what is too large ends it. */
static void rows_are_held_up_to_a_cap(void **state)
{
    (void)state;
    enum { PIECE = 1 << 20 };
    struct masker *m = create();
    char *piece = malloc(PIECE);
    assert_non_null(piece);
    memset(piece, 'x', PIECE);
    for (int format = MASKER_COPY_TEXT; format <= MASKER_COPY_CSV; format++) {
        struct masker_copy_options o = options_of((enum masker_copy_format)format);
        struct masker_copy *c = masker_copy_create(m, &o);
        struct buffer out;
        buffer_init(&out, OUT_MAX);
        size_t fed = 0;
        enum err e = OK;
        while (e == OK && fed < 2 * (size_t)MASKER_ROW_MAX) {
            e = masker_copy_feed(c, bytes_of(piece, PIECE), &out);
            fed += PIECE;
        }
        assert_int_equal(e, ERR_LIMIT);
        assert_true(fed > MASKER_ROW_MAX);
        assert_int_equal(buffer_size(&out), 0);
        masker_copy_destroy(c);
        buffer_finish(&out);
    }
    free(piece);
    masker_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_a_server_writes_it),
        cmocka_unit_test(contents_are_found_behind_escapes),
        cmocka_unit_test(null_is_no_oracle),
        cmocka_unit_test(without_columns),
        cmocka_unit_test(is_refused),
        cmocka_unit_test(nothing_goes_on_after_a_failure),
        cmocka_unit_test(rows_are_held_up_to_a_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

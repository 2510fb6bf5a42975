#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/writer.h"
#include "formats/rows.h"

enum { INT4 = 23, TEXT = 25, JSONB = 3802, UUID = 2950, FLOAT8 = 701, BOOL = 16, BYTEA = 17 };

static void start_message(struct writer *w, uint8_t type, size_t *place)
{
    writer_put_u8(w, type);
    *place = writer_open_length(w);
}

static void put_column(struct writer *w, const char *name, uint32_t type, uint16_t format)
{
    writer_put_string(w, name);
    writer_put_u32(w, 16384);
    writer_put_u16(w, 1);
    writer_put_u32(w, type);
    writer_put_u16(w, 4);
    writer_put_u32(w, 0xffffffff);
    writer_put_u16(w, format);
}

/* Two columns, one row with a null, a command tag, and a message that says nothing of rows. */
static void write_answer(struct buffer *out)
{
    size_t place = 0;
    buffer_init(out, 4096);
    struct writer w = writer_start(out);
    start_message(&w, 'T', &place);
    writer_put_u16(&w, 2);
    put_column(&w, "id", INT4, 1);
    put_column(&w, "name", TEXT, 0);
    writer_close_length(&w, place);
    start_message(&w, 'D', &place);
    writer_put_u16(&w, 2);
    writer_put_u32(&w, 4);
    writer_put_u32(&w, (uint32_t)-7);
    writer_put_u32(&w, 0xffffffff);
    writer_close_length(&w, place);
    start_message(&w, 'S', &place);
    writer_put_string(&w, "TimeZone");
    writer_put_string(&w, "UTC");
    writer_close_length(&w, place);
    start_message(&w, 'C', &place);
    writer_put_string(&w, "SELECT 1");
    writer_close_length(&w, place);
    assert_int_equal(writer_finish(&w), OK);
}

static void test_an_answer(void **state)
{
    (void)state;
    struct buffer answer;
    struct buffer text;
    struct rows *r = malloc(sizeof(*r));
    assert_non_null(r);
    write_answer(&answer);
    buffer_init(&text, 100);
    rows_init(r, buffer_bytes(&answer));
    assert_int_equal(rows_next(r), ROWS_COLUMNS);
    assert_int_equal(r->column_count, 2);
    assert_string_equal(r->columns[1].name, "name");
    assert_int_equal(rows_next(r), ROWS_ROW);
    assert_int_equal(r->cell_count, 2);
    assert_true(r->cells[1].is_null);
    assert_int_equal(rows_append_text(&r->columns[0], r->cells[0].value, &text), OK);
    assert_true(bytes_equal_string(buffer_bytes(&text), "-7"));
    assert_int_equal(rows_next(r), ROWS_COMMAND);
    assert_true(bytes_equal_string(r->data, "SELECT 1"));
    assert_int_equal(rows_next(r), ROWS_END);
    buffer_finish(&answer);
    buffer_finish(&text);
    free(r);
}

static void test_a_cut_answer_gives_what_is_whole(void **state)
{
    (void)state;
    struct buffer answer;
    struct rows *r = malloc(sizeof(*r));
    assert_non_null(r);
    write_answer(&answer);
    for (size_t size = 0; size < buffer_size(&answer); size++) {
        /* Exactly as large as the part, so that a read beyond it is seen by ASan. */
        uint8_t *part = malloc(size + 1);
        assert_non_null(part);
        memcpy(part, answer.data, size);
        rows_init(r, bytes_of(realloc(part, size == 0 ? 1 : size), size));
        const uint8_t *kept = r->cursor.at;
        enum rows_kind kind = rows_next(r);
        size_t rows = 0;
        while (kind != ROWS_END && kind != ROWS_CUT) {
            assert_int_not_equal(kind, ROWS_MALFORMED);
            rows += kind == ROWS_ROW;
            kind = rows_next(r);
        }
        assert_true(rows <= 1);
        free((void *)(uintptr_t)kept);
    }
    buffer_finish(&answer);
    free(r);
}

static void expect_malformed(const void *data, size_t size)
{
    struct rows *r = malloc(sizeof(*r));
    assert_non_null(r);
    rows_init(r, bytes_of(data, size));
    assert_int_equal(rows_next(r), ROWS_MALFORMED);
    /* It stays the end: no loop over the same bytes. */
    assert_int_equal(rows_next(r), ROWS_CUT);
    free(r);
}

static void test_lies(void **state)
{
    (void)state;
    static const uint8_t short_length[] = {'D', 0, 0, 0, 3, 0};
    static const uint8_t many_columns[] = {'T', 0, 0, 0, 6, 0xff, 0xff};
    static const uint8_t long_cell[] = {'D', 0, 0, 0, 10, 0, 1, 0x7f, 0xff, 0xff, 0xff};
    static const uint8_t negative_cell[] = {'D', 0, 0, 0, 10, 0, 1, 0xff, 0xff, 0xff, 0xfe};
    static const uint8_t left_over[] = {'D', 0, 0, 0, 7, 0, 0, 9};
    static const uint8_t no_terminator[] = {'C', 0, 0, 0, 5, 'S'};
    expect_malformed(short_length, sizeof(short_length));
    expect_malformed(many_columns, sizeof(many_columns));
    expect_malformed(long_cell, sizeof(long_cell));
    expect_malformed(negative_cell, sizeof(negative_cell));
    expect_malformed(left_over, sizeof(left_over));
    expect_malformed(no_terminator, sizeof(no_terminator));
}

static void expect_text(uint32_t type, const void *data, size_t size, const char *expected)
{
    struct buffer text;
    struct rows_column column = {.name = "x", .type_oid = type, .binary = true};
    buffer_init(&text, 1000);
    assert_int_equal(rows_append_text(&column, bytes_of(data, size), &text), OK);
    char *got = bytes_to_string(buffer_bytes(&text));
    assert_string_equal(got, expected);
    free(got);
    buffer_finish(&text);
}

static void test_binary_values(void **state)
{
    (void)state;
    expect_text(BOOL, "\x01", 1, "t");
    expect_text(INT4, "\x7f\xff\xff\xff", 4, "2147483647");
    expect_text(FLOAT8, "\x3f\xf8\0\0\0\0\0\0", 8, "1.5");
    expect_text(TEXT, "Ada", 3, "Ada");
    expect_text(JSONB, "\x01{}", 3, "{}");
    expect_text(UUID, "\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef", 16,
                "01234567-89ab-cdef-0123-456789abcdef");
    expect_text(BYTEA, "\0\xff", 2, "\\x00ff");
    /* A value of the wrong size is shown, not guessed. */
    expect_text(INT4, "\x01\x02", 2, "\\x0102");
    expect_text(INT4, "", 0, "\\x");
    expect_text(JSONB, "", 0, "\\x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer),
        cmocka_unit_test(test_a_cut_answer_gives_what_is_whole),
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_binary_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

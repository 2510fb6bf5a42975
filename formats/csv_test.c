#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "formats/csv.h"

static const int64_t START = 1795250580LL * 1000000000;

struct line {
    Chaperone__V1__Entry entry;
    Chaperone__V1__Record record;
    Chaperone__V1__Intent intent;
    uint8_t hash[32];
    struct buffer out;
};

static void line_init(struct line *l, const char *statement)
{
    chaperone__v1__entry__init(&l->entry);
    chaperone__v1__record__init(&l->record);
    chaperone__v1__intent__init(&l->intent);
    memset(l->hash, 0xab, sizeof(l->hash));
    l->entry.position = 812;
    l->entry.hash = (ProtobufCBinaryData){.data = l->hash, .len = sizeof(l->hash)};
    l->entry.identity = (char *)(uintptr_t) "dev-agent";
    l->record.sidecar = (char *)(uintptr_t) "sidecar-1";
    l->record.sequence = 7;
    l->record.time_unix_ns = START;
    l->record.event_case = CHAPERONE__V1__RECORD__EVENT_INTENT;
    l->record.intent = &l->intent;
    l->intent.operation = 4;
    l->intent.verdict = CHAPERONE__V1__VERDICT__DENY;
    l->intent.text =
        (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)statement, .len = strlen(statement)};
    buffer_init(&l->out, 1 << 16);
}

static const char *line_text(struct line *l, bool erased)
{
    buffer_clear(&l->out);
    assert_int_equal(csv_record(&l->entry, erased ? NULL : &l->record, &l->out), OK);
    assert_int_equal(buffer_append(&l->out, bytes_of("", 1)), OK);
    return (const char *)buffer_bytes(&l->out).data;
}

/* Commas outside of quotes, plus one. */
static int cells_of(const char *text)
{
    int cells = 1;
    for (bool quoted = false; *text != '\0'; text++) {
        quoted = *text == '"' ? !quoted : quoted;
        cells += *text == ',' && !quoted ? 1 : 0;
    }
    return cells;
}

static void test_all_lines_have_the_cells_of_the_header(void **state)
{
    (void)state;
    struct line l;
    line_init(&l, "SELECT a, \"b\"\nFROM t");
    assert_int_equal(csv_header(&l.out), OK);
    assert_int_equal(buffer_append(&l.out, bytes_of("", 1)), OK);
    int cells = cells_of((const char *)buffer_bytes(&l.out).data);
    assert_int_equal(cells_of(line_text(&l, false)), cells);
    assert_int_equal(cells_of(line_text(&l, true)), cells);
    buffer_finish(&l.out);
}

static void test_a_record_is_one_line(void **state)
{
    (void)state;
    struct line l;
    line_init(&l, "SELECT 1");
    assert_string_equal(line_text(&l, false),
                        "812,2026-11-21T08:43:00.000000Z,intent,,4,dev-agent,,,,deny,,,,,SELECT 1,,"
                        ",,,,,sidecar-1,7,"
                        "abababababababababababababababababababababababababababababababab,false"
                        "\r\n");
    buffer_finish(&l.out);
}

static void test_what_a_message_says_is_its_text(void **state)
{
    (void)state;
    struct line l;
    Chaperone__V1__Message message = CHAPERONE__V1__MESSAGE__INIT;
    line_init(&l, "");
    l.record.event_case = CHAPERONE__V1__RECORD__EVENT_MESSAGE;
    l.record.message = &message;
    message.operation = 4;
    message.size = 5;
    message.data = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t) "=1+1,", .len = 5};
    assert_non_null(strstr(line_text(&l, false), ",message,,4,dev-agent,,,,,,,,,\"'=1+1,\",,,5,,"));
    buffer_finish(&l.out);
}

static void test_quotes_are_doubled(void **state)
{
    (void)state;
    struct line l;
    line_init(&l, "SELECT \"a\",\n1");
    assert_non_null(strstr(line_text(&l, false), ",\"SELECT \"\"a\"\",\n1\","));
    buffer_finish(&l.out);
}

static void test_a_cell_is_no_formula(void **state)
{
    (void)state;
    static const char *const formulas[][2] = {{"=1+1", ",'=1+1,"}, {"+1", ",'+1,"},
                                              {"-- x", ",'-- x,"}, {"@SUM(A1)", ",'@SUM(A1),"},
                                              {"\t=1", ",'\t=1,"}, {"\n=a,b", ",\"'\n=a,b\","}};
    for (size_t i = 0; i < sizeof(formulas) / sizeof(formulas[0]); i++) {
        struct line l;
        line_init(&l, formulas[i][0]);
        assert_non_null(strstr(line_text(&l, false), formulas[i][1]));
        buffer_finish(&l.out);
    }
}

static void test_bytes_that_are_no_text_become_text(void **state)
{
    (void)state;
    struct line l;
    line_init(&l, "a\xff"
                  "b");
    assert_non_null(strstr(line_text(&l, false), ",a\xef\xbf\xbd"
                                                 "b,"));
    buffer_finish(&l.out);
}

static void test_what_is_left_of_an_erased_record(void **state)
{
    (void)state;
    struct line l;
    line_init(&l, "SELECT secret");
    l.entry.is_erased = true;
    l.entry.kind = (char *)(uintptr_t) "intent";
    l.entry.sequence = 9;
    l.entry.time_unix_ns = START;
    const char *text = line_text(&l, true);
    assert_null(strstr(text, "secret"));
    assert_non_null(strstr(text, ",intent,"));
    assert_non_null(strstr(text, ",9,abab"));
    assert_non_null(strstr(text, ",true\r\n"));
    buffer_finish(&l.out);
}

static void test_a_full_buffer_is_said(void **state)
{
    (void)state;
    struct line l;
    line_init(&l, "SELECT 1");
    buffer_init(&l.out, 20);
    assert_int_equal(csv_record(&l.entry, &l.record, &l.out), ERR_LIMIT);
    buffer_finish(&l.out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_lines_have_the_cells_of_the_header),
        cmocka_unit_test(test_a_record_is_one_line),
        cmocka_unit_test(test_what_a_message_says_is_its_text),
        cmocka_unit_test(test_quotes_are_doubled),
        cmocka_unit_test(test_a_cell_is_no_formula),
        cmocka_unit_test(test_bytes_that_are_no_text_become_text),
        cmocka_unit_test(test_what_is_left_of_an_erased_record),
        cmocka_unit_test(test_a_full_buffer_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

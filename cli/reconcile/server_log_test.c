#include "cli/reconcile/server_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/reconcile/statement.h"

/* Lines of PostgreSQL 15. */
static const char csv_simple[] =
    "2026-11-21 16:46:21.559 "
    "UTC,\"app\",\"shop\",25372,\"127.0.0.1:42656\",6b01cadd.631c,2,\"idle\","
    "2026-11-21 16:46:21 UTC,3/3,0,LOG,00000,\"statement: SELECT 1, 'it''s \"\"quoted\"\"'\n"
    "  -- two lines, with a comma\n\",,,,,,,,,\"lines\",\"client backend\",,0\n";
static const char csv_execute[] =
    "2026-11-21 16:46:21.560 UTC,\"app\",\"shop\",25372,\"127.0.0.1:42656\",6b01cadd.631c,4,"
    "\"SELECT\",2026-11-21 16:46:21 UTC,3/6,0,LOG,00000,\"execute _pg3_0: SELECT a FROM t WHERE "
    "a=$1\",\"parameters: $1 = '1'\",,,,,,,,\"lines\",\"client backend\",,0\n";
static const char json_execute[] =
    "{\"timestamp\":\"2026-11-21 16:46:21.559 "
    "UTC\",\"user\":\"app\",\"dbname\":\"shop\",\"pid\":25372,"
    "\"remote_host\":\"127.0.0.1\",\"remote_port\":42656,\"session_id\":\"6b01cadd.631c\",\"line_"
    "num\":"
    "3,\"ps\":\"INSERT\",\"session_start\":\"2026-11-21 16:46:21 UTC\",\"vxid\":\"3/4\",\"txid\":0,"
    "\"error_severity\":\"LOG\",\"message\":\"execute <unnamed>: INSERT INTO t VALUES ($1,$2)\","
    "\"detail\":\"parameters: $1 = '1', $2 = 'x''y, \\n z'\",\"application_name\":\"lines\","
    "\"backend_type\":\"client backend\",\"query_id\":0}\n";
static const char json_error[] =
    "{\"timestamp\":\"2026-11-21 16:46:21.565 "
    "UTC\",\"user\":\"app\",\"dbname\":\"shop\",\"session_id\":"
    "\"6b01cadd.631c\",\"error_severity\":\"ERROR\",\"state_code\":\"42601\",\"message\":\"syntax "
    "error "
    "at or near \\\"SELEC\\\"\",\"statement\":\"SELEC nonsense\",\"cursor_position\":1}\n";

static struct bytes text(const char *t)
{
    return bytes_of_string(t);
}

static void expect_text(struct bytes found, const char *expected)
{
    char *copy = bytes_to_string(found);
    assert_non_null(copy);
    assert_string_equal(copy, expected);
    free(copy);
}

static void read_line(enum server_log_format format, const char *record,
                      void (*check)(const struct server_log_line *, const struct statement *))
{
    struct server_log *l = server_log_create(format);
    struct server_log_line line;
    struct statement s;
    struct err_text why = {0};
    struct buffer room;
    buffer_init(&room, 1 << 16);
    assert_non_null(l);
    assert_int_equal(server_log_detect(text(record)), format);
    assert_int_equal(server_log_split(format, text(record), false), strlen(record));
    assert_int_equal(server_log_parse(l, text(record), &line, &why), OK);
    statement_read(&line, &room, &s);
    check(&line, &s);
    buffer_finish(&room);
    server_log_destroy(l);
}

static void check_simple(const struct server_log_line *line, const struct statement *s)
{
    expect_text(line->user, "app");
    expect_text(line->database, "shop");
    expect_text(line->backend, "6b01cadd.631c");
    expect_text(line->application, "lines");
    assert_int_equal(s->kind, STATEMENT_EXECUTED);
    assert_int_equal(s->name.size, 0);
    expect_text(s->text, "SELECT 1, 'it''s \"quoted\"'\n  -- two lines, with a comma\n");
    assert_true(s->began_ns == INT64_C(1795279581559000000));
}

static void check_execute(const struct server_log_line *line, const struct statement *s)
{
    expect_text(line->detail, "parameters: $1 = '1'");
    assert_int_equal(s->kind, STATEMENT_EXECUTED);
    expect_text(s->name, "_pg3_0");
    expect_text(s->text, "SELECT a FROM t WHERE a=$1");
}

static void check_insert(const struct server_log_line *line, const struct statement *s)
{
    expect_text(line->user, "app");
    expect_text(line->detail, "parameters: $1 = '1', $2 = 'x''y, \n z'");
    assert_int_equal(s->kind, STATEMENT_EXECUTED);
    expect_text(s->name, "<unnamed>");
    expect_text(s->text, "INSERT INTO t VALUES ($1,$2)");
}

static void check_error(const struct server_log_line *line, const struct statement *s)
{
    expect_text(line->severity, "ERROR");
    assert_int_equal(s->kind, STATEMENT_FAILED);
    expect_text(s->text, "SELEC nonsense");
}

static void test_lines(void **state)
{
    (void)state;
    read_line(SERVER_LOG_CSV, csv_simple, check_simple);
    read_line(SERVER_LOG_CSV, csv_execute, check_execute);
    read_line(SERVER_LOG_JSON, json_execute, check_insert);
    read_line(SERVER_LOG_JSON, json_error, check_error);
}

/* A record is found whole, wherever the bytes that are there end. */
static void test_split_at_every_point(void **state)
{
    (void)state;
    for (size_t n = 0; n < strlen(csv_simple); n++) {
        assert_int_equal(server_log_split(SERVER_LOG_CSV, bytes_of(csv_simple, n), false), 0);
        assert_int_equal(server_log_split(SERVER_LOG_CSV, bytes_of(csv_simple, n), true), n);
    }
    assert_int_equal(server_log_split(SERVER_LOG_CSV, text("a,\"\n\"\"\n\"\nb"), false), 9);
    assert_int_equal(server_log_split(SERVER_LOG_JSON, text("{\"\n"), false), 3);
}

static void expect_csv(const char *line, enum err expected, size_t count, const char *last)
{
    struct bytes f[4];
    size_t n = 0;
    struct buffer room;
    buffer_init(&room, 1024);
    assert_int_equal(server_log_read_csv(text(line), &room, f, 4, &n), expected);
    if (expected == OK) {
        assert_int_equal(n, count);
        expect_text(f[n - 1], last);
    }
    buffer_finish(&room);
}

static void test_csv(void **state)
{
    (void)state;
    expect_csv("", OK, 1, "");
    expect_csv("a,b", OK, 2, "b");
    expect_csv("a,", OK, 2, "");
    expect_csv("\"a,\"\"\n\"\"\"", OK, 1, "a,\"\n\"");
    expect_csv("\"\"", OK, 1, "");
    expect_csv("a,b,c,d,e", ERR_LIMIT, 0, NULL);
    expect_csv("\"a", ERR_INVALID, 0, NULL);
    expect_csv("\"a\"b", ERR_INVALID, 0, NULL);
    expect_csv("a\"b", ERR_INVALID, 0, NULL);
}

static void test_times(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "2026-11-21 16:46:02 UTC",
                                        "2026-11-21 16:46:02.616 CET",
                                        "2026-13-21 16:46:02.616 UTC",
                                        "2026-11-21 16:46:02.616 +2",
                                        "2026-11-21 16:46:02.616",
                                        "1-11-21 16:46:02.616 UTC"};
    int64_t ns = 7, other = 0;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(server_log_read_time(text(wrong[i]), &ns), ERR_INVALID);
    }
    assert_true(ns == 7);
    assert_int_equal(server_log_read_time(text("2026-11-21 16:46:02.616 UTC"), &ns), OK);
    assert_int_equal(server_log_read_time(text("2026-11-21 22:16:02.616 +0530"), &other), OK);
    assert_true(ns == other);
    assert_int_equal(server_log_read_time(text("2026-11-21 13:46:02.616 -03"), &other), OK);
    assert_true(ns == other);
}

static void test_what_is_no_record(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "2026-11-21 16:46:02.616 UTC [1] LOG:  statement: SELECT 1\n",
        "a,b,c\n",
        "{}\n",
        "{\"timestamp\":\"x\"}\n",
        "{\n",
        "{} x\n",
        "\"\n"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct server_log *l = server_log_create(server_log_detect(text(wrong[i])));
        struct server_log_line line;
        struct err_text why = {0};
        assert_non_null(l);
        assert_int_equal(server_log_parse(l, text(wrong[i]), &line, &why), ERR_INVALID);
        assert_true(why.text[0] != '\0');
        assert_int_equal(server_log_parse(l, text("\r\n"), &line, &why), ERR_NOT_FOUND);
        server_log_destroy(l);
    }
}

static struct statement statement_of(const char *message, struct buffer *room)
{
    struct server_log_line line = {.time_ns = 1000000000,
                                   .user = text("app"),
                                   .severity = text("LOG"),
                                   .message = text(message)};
    struct statement s;
    statement_read(&line, room, &s);
    return s;
}

static void test_messages(void **state)
{
    (void)state;
    static const struct {
        const char *message;
        enum statement_kind kind;
        const char *text;
    } cases[] = {
        {"statement: SELECT 1", STATEMENT_EXECUTED, "SELECT 1"},
        {"execute s/p: SELECT 1", STATEMENT_EXECUTED, "SELECT 1"},
        {"execute fetch from s/p: SELECT 1", STATEMENT_EXECUTED, "SELECT 1"},
        {"duration: 12.500 ms  statement: SELECT 1", STATEMENT_TIMED, "SELECT 1"},
        {"duration: 12.500 ms  execute <unnamed>: SELECT 1", STATEMENT_TIMED, "SELECT 1"},
        {"duration: 0.011 ms  parse <unnamed>: SELECT 1", STATEMENT_NONE, NULL},
        {"duration: 0.011 ms  bind <unnamed>: SELECT 1", STATEMENT_NONE, NULL},
        {"duration: 0.011 ms", STATEMENT_NONE, NULL},
        {"duration: 0.011 ms  something new: SELECT 1", STATEMENT_UNCLEAR, NULL},
        {"connection authorized: user=app", STATEMENT_NONE, NULL},
        {"AUDIT: SESSION,1,1,READ,SELECT,TABLE,public.t,\"select a, \"\"b\"\" from t\",<none>",
         STATEMENT_PGAUDIT, "select a, \"b\" from t"},
        {"AUDIT: SESSION,1,2,READ,SELECT,,,select 1,<none>", STATEMENT_NONE, NULL},
        {"AUDIT: SESSION,1,1,READ,SELECT,,,<previously logged>,<previously logged>", STATEMENT_NONE,
         NULL},
        {"AUDIT: SESSION,1,1,READ,SELECT,,,<not logged>,<not logged>", STATEMENT_UNCLEAR, NULL},
        {"AUDIT: SESSION,1", STATEMENT_UNCLEAR, NULL},
    };
    struct buffer room;
    buffer_init(&room, 1024);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct statement s = statement_of(cases[i].message, &room);
        assert_int_equal(s.kind, cases[i].kind);
        if (cases[i].text != NULL) {
            expect_text(s.text, cases[i].text);
        }
        if (s.kind == STATEMENT_TIMED) {
            assert_true(s.began_ns == 1000000000 - 12500000);
        }
    }
    buffer_finish(&room);
}

static void test_own_questions(void **state)
{
    (void)state;
    struct bytes about = {0};
    struct buffer room;
    buffer_init(&room, 1024);
    struct statement s =
        statement_of("execute chaperone_prediction/chaperone_prediction: BEGIN", &room);
    assert_int_equal(statement_own(&s, &about), STATEMENT_OWN);
    s = statement_of("execute chaperone_prediction/chaperone_prediction: EXPLAIN DELETE FROM t",
                     &room);
    assert_int_equal(statement_own(&s, &about), STATEMENT_PREDICTION);
    expect_text(about, "DELETE FROM t");
    s = statement_of("execute chaperone_inquiry/chaperone_inquiry: DELETE FROM t", &room);
    assert_int_equal(statement_own(&s, &about), STATEMENT_NOT_OWN);
    s = statement_of("execute chaperone_prediction2: BEGIN", &room);
    assert_int_equal(statement_own(&s, &about), STATEMENT_NOT_OWN);
    s = statement_of("statement: BEGIN", &room);
    assert_int_equal(statement_own(&s, &about), STATEMENT_NOT_OWN);
    buffer_finish(&room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_split_at_every_point),
        cmocka_unit_test(test_csv),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_what_is_no_record),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_own_questions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

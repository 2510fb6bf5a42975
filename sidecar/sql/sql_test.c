#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sidecar/sql/sql.h"
#include "sidecar/sql/sql_describe.h"

static struct sql_analysis *analyse(const char *text)
{
    struct sql_analysis *a = NULL;
    struct sql_error error = {0};
    if (sql_analyse(bytes_of_string(text), SQL_TEXT_SIZE_DEFAULT, &a, &error) != OK) {
        fail_msg("%s: %s", text, error.message);
    }
    return a;
}

/* --- the table of cases ---------------------------------------------------------------- */

/* "-> SELECT: read table orders [flags]", a line for each statement. Returns owned. */
static char *describe(const char *text)
{
    struct sql_analysis *a = analyse(text);
    struct buffer b;
    buffer_init(&b, 1 << 16);
    for (size_t i = 0; i < a->statement_count; i++) {
        assert_int_equal(sql_describe(&b, &a->statements[i]), OK);
    }
    char *described = bytes_to_string(buffer_bytes(&b));
    buffer_finish(&b);
    sql_analysis_destroy(a);
    assert_non_null(described);
    return described;
}

/* The file is what an outsider reads first; see there for its form. */
static void test_every_statement_of_the_table(void **state)
{
    (void)state;
    FILE *f = fopen("sidecar/sql/testdata/statements.txt", "r");
    assert_non_null(f);
    char *line = NULL;
    size_t line_capacity = 0;
    char text[4096] = "", expected[4096] = "";
    int cases = 0, wrong = 0, number = 0;
    for (bool more = true; more;) {
        more = getline(&line, &line_capacity, f) > 0;
        number++;
        bool is_end = !more || line[0] == '\n';
        if (more && line[0] == '#') {
            continue;
        }
        if (!is_end) {
            char *into = strncmp(line, "->", 2) == 0 ? expected : text;
            size_t used = strlen(into);
            assert_true(used + strlen(line) < sizeof(text));
            memcpy(into + used, line, strlen(line) + 1);
            continue;
        }
        if (text[0] != '\0') {
            char *described = describe(text);
            cases++;
            if (strcmp(described, expected) != 0) {
                wrong++;
                print_message("before line %d: %sexpected\n%sgot\n%s\n", number, text, expected,
                              described);
            }
            free(described);
        }
        text[0] = expected[0] = '\0';
    }
    free(line);
    (void)fclose(f);
    print_message("%d statements\n", cases);
    assert_true(cases >= 350);
    assert_int_equal(wrong, 0);
}

/* --- names ----------------------------------------------------------------------------- */

static void test_names_come_with_and_without_quotes(void **state)
{
    (void)state;
    struct sql_analysis *a = analyse("SELECT * FROM \"My \"\"S\".\"T.1\", Plain");
    const struct sql_object *o = a->statements[0].objects;
    assert_int_equal(a->statements[0].object_count, 2);
    assert_string_equal(o[0].text, "\"My \"\"S\".\"T.1\"");
    assert_string_equal(o[0].schema, "My \"S");
    assert_string_equal(o[0].name, "T.1");
    assert_string_equal(o[1].text, "plain");
    assert_null(o[1].schema);
    assert_string_equal(o[1].name, "plain");
    sql_analysis_destroy(a);
}

static void test_every_access_and_kind_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < SQL_ACCESS_COUNT; i++) {
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(sql_access_name((enum sql_access)i),
                                    sql_access_name((enum sql_access)j));
        }
    }
    for (int i = 0; i < SQL_KIND_COUNT; i++) {
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(sql_kind_name((enum sql_kind)i),
                                    sql_kind_name((enum sql_kind)j));
        }
    }
}

static void test_transactions_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum sql_transaction transaction;
    } cases[] = {
        {"BEGIN", SQL_TRANSACTION_BEGIN},
        {"START TRANSACTION", SQL_TRANSACTION_BEGIN},
        {"COMMIT", SQL_TRANSACTION_COMMIT},
        {"END", SQL_TRANSACTION_COMMIT},
        {"COMMIT AND CHAIN", SQL_TRANSACTION_COMMIT},
        {"ROLLBACK", SQL_TRANSACTION_ROLLBACK},
        {"SAVEPOINT s", SQL_TRANSACTION_SAVEPOINT},
        {"RELEASE s", SQL_TRANSACTION_RELEASE},
        {"ROLLBACK TO s", SQL_TRANSACTION_ROLLBACK_TO},
        {"PREPARE TRANSACTION 'x'", SQL_TRANSACTION_PREPARE},
        {"COMMIT PREPARED 'x'", SQL_TRANSACTION_COMMIT_PREPARED},
        {"ROLLBACK PREPARED 'x'", SQL_TRANSACTION_ROLLBACK_PREPARED},
        {"SELECT 1", SQL_TRANSACTION_NONE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sql_analysis *a = analyse(cases[i].text);
        assert_int_equal(a->statements[0].transaction, cases[i].transaction);
        sql_analysis_destroy(a);
    }
}

static void test_what_a_transaction_takes_back(void **state)
{
    (void)state;
    static const char *const transactional[] = {
        "",
        "SELECT 1",
        "SELECT * FROM t, (WITH c AS (SELECT 1) SELECT * FROM c) x FOR UPDATE",
        "UPDATE t SET a = a + $1 WHERE b = 'x'",
        "INSERT INTO s.t (a, b) VALUES (1, CURRENT_TIMESTAMP), (2, now()) ON CONFLICT DO NOTHING",
        "DELETE FROM t WHERE at < pg_catalog.date_trunc('day', now()) RETURNING *",
        "MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE",
        "WITH gone AS (DELETE FROM t RETURNING *) INSERT INTO old SELECT * FROM gone",
        "UPDATE t SET a = extract(year FROM b), c = trim(c), d = d::numeric(10, 2)::text",
        "INSERT INTO t SELECT count(*), sum(a) FROM u; UPDATE t SET a = 1; SELECT a FROM t",
        "SELECT typname FROM pg_type",
        "SAVEPOINT s",
        "RELEASE s",
        "ROLLBACK TO s",
        "UPDATE t SET a = 1; SAVEPOINT s; DELETE FROM t",
    };
    static const char *const others[] = {
        /* what ends a transaction, or begins one */
        "BEGIN",
        "COMMIT",
        "END",
        "ROLLBACK",
        "ABORT",
        "COMMIT AND CHAIN",
        "ROLLBACK AND CHAIN",
        "PREPARE TRANSACTION 'x'",
        "COMMIT PREPARED 'x'",
        "ROLLBACK PREPARED 'x'",
        "UPDATE t SET a = 1; COMMIT",
        "SELECT 1; END; SELECT 2",
        /* code that the text does not show */
        "CALL p()",
        "DO $$ BEGIN END $$",
        "EXECUTE e",
        "PREPARE e AS UPDATE t SET a = 1",
        "DECLARE c CURSOR FOR SELECT 1",
        "FETCH c",
        /* not only rows, or not taken back */
        "NOTIFY c",
        "LISTEN c",
        "SET a = 1",
        "SET LOCAL a = 1",
        "SELECT set_config('a', '1', true)",
        "TRUNCATE t",
        "LOCK TABLE t",
        "CREATE TABLE t (a int)",
        "SELECT * INTO u FROM t",
        "ALTER TABLE t ADD b int",
        "DROP TABLE t",
        "GRANT SELECT ON t TO r",
        "VACUUM t",
        "COPY t FROM STDIN",
        "COPY t TO PROGRAM 'sh'",
        "COPY t TO '/tmp/t'",
        "EXPLAIN ANALYZE UPDATE t SET a = 1",
        "UPDATE pg_settings SET setting = 'x' WHERE name = 'y'",
        "UPDATE pg_catalog.pg_class SET relname = 'x'",
        "DELETE FROM information_schema.sql_features",
        /* functions: unknown ones, and those that reach further */
        "UPDATE t SET a = f(a)",
        "UPDATE t SET a = s.lower(a)",
        "INSERT INTO t SELECT * FROM dblink('c', 'q') AS x (a int)",
        "SELECT dblink_exec('c', 'q')",
        "SELECT pg_notify('c', 'x')",
        "SELECT lo_export(1, '/tmp/x')",
        "SELECT lo_import('/tmp/x')",
        "SELECT setval('s', 1)",
        "INSERT INTO t VALUES (nextval('s'))",
        "SELECT pg_logical_emit_message(false, 'a', 'b')",
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_terminate_backend(1)",
        "SELECT pg_read_file('x')",
        "SELECT query_to_xml('q', true, true, '')",
        "UPDATE t SET a = lower(a) WHERE b = (SELECT max(c) FROM u WHERE c > f(1))",
        "INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET b = f(1)",
        "DELETE FROM t RETURNING f(a)",
        "SELECT a FROM t ORDER BY f(a)",
        /* operators and types of somebody's own, also by the name of a function */
        "UPDATE t SET a = a === b",
        "UPDATE t SET a = a OPERATOR(s.+) 1",
        "UPDATE t SET a = 'x'::s.t",
        "UPDATE t SET a = 'x'::lower",
        "UPDATE t SET a = CAST(b AS citext)",
    };
    for (size_t i = 0; i < sizeof(transactional) / sizeof(transactional[0]); i++) {
        struct sql_analysis *a = analyse(transactional[i]);
        if (!sql_is_transactional(a)) {
            fail_msg("not transactional: %s", transactional[i]);
        }
        sql_analysis_destroy(a);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct sql_analysis *a = analyse(others[i]);
        if (sql_is_transactional(a)) {
            fail_msg("transactional: %s", others[i]);
        }
        sql_analysis_destroy(a);
    }
}

/* --- errors ---------------------------------------------------------------------------- */

static void expect_error(struct bytes text, size_t max, enum err code, const char *sqlstate,
                         const char *message, uint32_t position)
{
    struct sql_analysis *a = NULL;
    struct sql_error error = {0};
    assert_int_equal(sql_analyse(text, max, &a, &error), code);
    assert_null(a);
    assert_string_equal(error.sqlstate, sqlstate);
    assert_string_equal(error.message, message);
    assert_int_equal(error.position, position);
}

static void test_errors_are_those_of_the_server(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
        uint32_t position;
    } cases[] = {
        {"SELEC 1", "syntax error at or near \"SELEC\"", 1},
        {"SELECT * FROM", "syntax error at end of input", 14},
        {"SELECT 'é', 'é' = = 2", "syntax error at or near \"=\"", 19},
        {"SELECT 'open", "unterminated quoted string at or near \"'open\"", 8},
        {"SELECT /* open", "unterminated /* comment at or near \"/* open\"", 8},
        {"SELECT \"\"", "zero-length delimited identifier at or near \"\"\"\"", 8},
        {"DELETE orders", "syntax error at or near \"orders\"", 8},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect_error(bytes_of_string(cases[i].text), 1 << 20, ERR_INVALID, "42601",
                     cases[i].message, cases[i].position);
    }
}

static void test_nul_bytes_and_large_texts_are_refused(void **state)
{
    (void)state;
    expect_error(bytes_of("SELECT 1\0; DROP TABLE t", 23), 1 << 20, ERR_INVALID, "22021",
                 "invalid byte sequence for encoding \"UTF8\": 0x00", 0);
    const size_t size = 10u << 20;
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, ' ', size);
    expect_error(bytes_of(text, size), SQL_TEXT_SIZE_DEFAULT, ERR_LIMIT, "54000",
                 "statement is too large: 10485760 bytes, at most 1048576 are allowed", 0);
    free(text);
}

static void test_other_encodings_do_not_crash(void **state)
{
    (void)state;
    static const char *const texts[] = {"SELECT '\xe9' FROM caf\xe9", "\xff\xfe", "SELECT '\xc3'",
                                        "SELECT 1 -- \xe2\x82", "SELECT \"\xf0\x9f\""};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct sql_analysis *a = NULL;
        struct sql_error error;
        if (sql_analyse(bytes_of_string(texts[i]), 1 << 20, &a, &error) == OK) {
            sql_analysis_destroy(a);
        } else {
            assert_string_equal(error.sqlstate, "42601");
        }
    }
}

/* --- depth ----------------------------------------------------------------------------- */

/* `before`, `open` n times, `middle`, `close` n times. Returns owned. */
static char *nested(const char *before, const char *open, size_t n, const char *middle,
                    const char *close)
{
    size_t size = strlen(before) + n * (strlen(open) + strlen(close)) + strlen(middle) + 1;
    char *text = malloc(size);
    assert_non_null(text);
    char *at = stpcpy(text, before);
    for (size_t i = 0; i < n; i++) {
        at = stpcpy(at, open);
    }
    at = stpcpy(at, middle);
    for (size_t i = 0; i < n; i++) {
        at = stpcpy(at, close);
    }
    return text;
}

static const struct {
    const char *before, *open, *middle, *close;
} nestings[] = {
    {"SELECT ", "(", "1", ")"},
    {"SELECT 1", "+1", "", ""},
    {"SELECT 1", "||a", "", ""},
    {"SELECT 1", "::int", "", ""},
    {"SELECT a", " IS NULL", "", ""},
    {"SELECT a", " COLLATE b", "", ""},
    {"SELECT a", " AT TIME ZONE b", "", ""},
    {"SELECT ", "NOT ", "a", ""},
    {"SELECT ", "- ", "a", ""},
    {"SELECT ", "f(", "a", ")"},
    {"SELECT ", "(SELECT ", "a", ")"},
    {"SELECT ", "ARRAY[", "a", "]"},
    {"SELECT ", "CASE WHEN a THEN ", "a", " END"},
    {"SELECT ", "CASE WHEN a THEN 1 ELSE ", "a", " END"},
    {"SELECT 1", " UNION SELECT 1, 2", "", ""},
    {"SELECT 1", " EXCEPT ALL SELECT 1, 2", "", ""},
    {"SELECT 1 FROM a", " CROSS JOIN b", "", ""},
    {"SELECT 1 FROM a", " JOIN b ON x AND y OR z", "", ""},
    {"SELECT 1 FROM a WHERE EXISTS ", "(SELECT 1 FROM b WHERE EXISTS ", "(SELECT 1)", ")"},
    /* Keywords that are names, to look like the ends of runs. */
    {"SELECT 1", "+a.and", "", ""},
    {"SELECT 1", "+a.select", "", ""},
    {"SELECT 1", "+a.when", "", ""},
    {"SELECT CASE WHEN 1", "+a.when", " THEN 1 END", ""},
    {"SELECT CASE WHEN 1", "+a.end", " THEN 1 END", ""},
    {"SELECT a", " BETWEEN 1 AND 1 IS NULL", "", ""},
    {"SELECT a", " NOT BETWEEN SYMMETRIC 1 AND 1 IS NULL", "", ""},
    {"SELECT 1 AS case, 1", "+1", "", ""},
    {"SELECT 1", "+/*,*/1", "", ""},
    {"SELECT 1", "+1--,\n", "", ""},
    {"SELECT 1", "+','", "", ""},
    {"SELECT 1", "+\",\"", "", ""},
    {"SELECT 1", "+$a$,$a$", "", ""},
    {"SELECT 1", "+E'\\','", "", ""},
    {"", "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; ", "SELECT 1; ", "END; "},
    {"SELECT ", "a IN (", "1", ")"},
    {"WITH a AS ", "(WITH a AS ", "(SELECT 1) SELECT 1", ") SELECT 1"},
    {"SELECT x", "[1]", "", ""},
    {"SELECT x", ".y", "", ""},
    {"", "EXPLAIN ", "SELECT 1", ""},
};

/* Analyses each; in a thread, whose stack is smaller than a process has. */
static void *analyse_nestings(void *unused)
{
    (void)unused;
    static const size_t depths[] = {10, 300, 900, 1001, 3000, 10000, 60000};
    for (size_t i = 0; i < sizeof(nestings) / sizeof(nestings[0]); i++) {
        for (size_t d = 0; d < sizeof(depths) / sizeof(depths[0]); d++) {
            char *text = nested(nestings[i].before, nestings[i].open, depths[d], nestings[i].middle,
                                nestings[i].close);
            struct sql_analysis *a = NULL;
            struct sql_error error = {0};
            enum err e = sql_analyse(bytes_of_string(text), 8 << 20, &a, &error);
            if (e == ERR_LIMIT) {
                assert_string_equal(error.sqlstate, "54001");
            } else if (e == ERR_INVALID) {
                assert_string_equal(error.sqlstate, "42601");
            } else {
                assert_int_equal(e, OK);
            }
            sql_analysis_destroy(a);
            free(text);
        }
    }
    return NULL;
}

static void test_no_depth_ends_the_process(void **state)
{
    (void)state;
    pthread_attr_t attributes;
    pthread_t thread;
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstacksize(&attributes, 3 << 20), 0);
    assert_int_equal(pthread_create(&thread, &attributes, analyse_nestings, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(pthread_attr_destroy(&attributes), 0);
}

static void expect_accepted(const char *before, const char *each, size_t n, const char *after)
{
    char *text = nested(before, each, n, after, "");
    sql_analysis_destroy(analyse(text));
    free(text);
}

static void test_long_flat_statements_are_accepted(void **state)
{
    (void)state;
    expect_accepted("SELECT 1 WHERE a", " OR a = 1 AND b = 2", 5000, "");
    expect_accepted("INSERT INTO t VALUES (1, 'x', now())", ", (2, 'y', now() - 1)", 5000, "");
    expect_accepted("SELECT 1 FROM t WHERE x IN (1", ",2", 100000, ")");
    expect_accepted("SELECT CASE ", "WHEN x = 1 AND y > 2 THEN 'a' || 'b' ", 2000, "ELSE 'c' END");
    expect_accepted("SELECT 1", ", a + b * c AS and", 3000, "");
    expect_accepted("SELECT a, b FROM t", " UNION ALL SELECT a, b + 1 FROM t WHERE x = 1", 900, "");
    expect_accepted("", "SELECT a + 1 FROM t JOIN u ON x = y UNION SELECT 1;", 3000, "");
    expect_accepted("SELECT 1 FROM t WHERE x = 1", " AND y BETWEEN 1 AND 2", 3000, "");
    expect_accepted("SELECT ", "f(g(h(1 + 2))) + ", 200, "1");
}

static void test_too_many_objects_are_refused(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 1 << 20);
    assert_int_equal(buffer_append_string(&b, "LOCK TABLE t"), OK);
    for (int i = 0; i <= SQL_OBJECTS_MAX; i++) {
        assert_int_equal(buffer_append_format(&b, ", t%d", i), OK);
    }
    expect_error(buffer_bytes(&b), 1 << 20, ERR_LIMIT, "54001",
                 "statement is too complex: too deeply nested or too many objects", 0);
    buffer_finish(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_statement_of_the_table),
        cmocka_unit_test(test_names_come_with_and_without_quotes),
        cmocka_unit_test(test_every_access_and_kind_has_a_name_of_its_own),
        cmocka_unit_test(test_transactions_are_told_apart),
        cmocka_unit_test(test_what_a_transaction_takes_back),
        cmocka_unit_test(test_errors_are_those_of_the_server),
        cmocka_unit_test(test_nul_bytes_and_large_texts_are_refused),
        cmocka_unit_test(test_other_encodings_do_not_crash),
        cmocka_unit_test(test_no_depth_ends_the_process),
        cmocka_unit_test(test_long_flat_statements_are_accepted),
        cmocka_unit_test(test_too_many_objects_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "cli/policy/result_names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

/* The names as PostgreSQL 15 gives them (\gdesc in psql); `~` stands for what a star gives. */
static void names_are_those_of_the_server(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        size_t count;
        const char *names[4];
    } cases[] = {
        {"SELECT a, t.b AS c, s.t.d FROM s.t", 3, {"a", "c", "d"}},
        {"SELECT upper(a), pg_catalog.lower(a), count(*)", 3, {"upper", "lower", "count"}},
        {"SELECT a::int, '1'::text, 1::pg_catalog.int4", 3, {"a", "text", "int4"}},
        {"SELECT 1, 'x', a + b, -a", 4, {"?column?", "?column?", "?column?", "?column?"}},
        {"SELECT CASE WHEN a THEN b END, CASE WHEN a THEN 1 ELSE c END", 2, {"case", "c"}},
        {"SELECT COALESCE(a, b), ARRAY[a], ROW(a), a COLLATE \"C\"",
         4,
         {"coalesce", "array", "row", "a"}},
        {"SELECT exists(SELECT 1), array(SELECT a FROM t), (SELECT a FROM t), (SELECT 1 AS x)",
         4,
         {"exists", "array", "a", "x"}},
        {"SELECT greatest(a, b), least(a, b), nullif(a, b), (array[a])[1]",
         4,
         {"greatest", "least", "nullif", "array"}},
        {"SELECT (c).field, (f(x)).*", 3, {"field", "~", "~"}},
        {"SELECT *", 2, {"~", "~"}},
        {"SELECT 1 AS x, *, t.*, 2 AS y FROM t", 4, {"x", "~", "~", "y"}},
        {"SELECT *, 2 AS y FROM t", 1, {"y"}},
        {"SELECT a FROM t UNION SELECT b FROM t EXCEPT SELECT c FROM t", 1, {"a"}},
        {"WITH q AS (SELECT 1 AS x) SELECT z FROM q", 1, {"z"}},
        {"INSERT INTO t VALUES (1) RETURNING id, now() AS n", 2, {"id", "n"}},
        {"UPDATE t SET a = 1 RETURNING b", 1, {"b"}},
        {"DELETE FROM t RETURNING *", 2, {"~", "~"}},
        {"COPY t (a, b) TO STDOUT", 2, {"a", "b"}},
        {"COPY t TO STDOUT", 1, {"~"}},
        {"COPY (SELECT a AS b FROM t) TO STDOUT", 1, {"b"}},
        {"DECLARE c CURSOR FOR SELECT a FROM t", 1, {"a"}},
        {"PREPARE p AS SELECT $1 AS v", 1, {"v"}},
        {"VALUES (1, 2)", 1, {"~"}},
        {"VACUUM", 1, {"~"}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct result_names *r = NULL;
        assert_int_equal(result_names_create(cases[i].sql, &r), OK);
        for (size_t n = 0; n < cases[i].count; n++) {
            assert_string_equal(result_names_find(r, 0, n, cases[i].count, "~"), cases[i].names[n]);
        }
        result_names_destroy(r);
    }
}

static void places_that_are_not_there_have_no_name(void **state)
{
    (void)state;
    struct result_names *r = NULL;
    assert_int_equal(result_names_create("SELECT a; SELECT b, *, c", &r), OK);
    assert_string_equal(result_names_find(r, 1, 0, 3, NULL), "b");
    assert_string_equal(result_names_find(r, 1, 1, 3, NULL), "?column?");
    assert_string_equal(result_names_find(r, 0, 7, 8, NULL), "?column?");
    assert_string_equal(result_names_find(r, 1, 9, 3, NULL), "?column?");
    assert_string_equal(result_names_find(r, 2, 0, 1, NULL), "?column?");
    result_names_destroy(r);
    r = NULL;
    assert_int_equal(result_names_create("SELEC 1", &r), ERR_INVALID);
    assert_null(r);
    result_names_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_those_of_the_server),
        cmocka_unit_test(places_that_are_not_there_have_no_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Which operations of a transaction last only when it is committed, where the target's catalog says
 * what their names stand for (postgres_provisional.c). The texts themselves have nothing against
 * it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sidecar/protocol/postgres/postgres_internal.h"

/* ---- a session that has a catalog ------------------------------------------------------------ */

struct load {
    enum catalog_query query;
    size_t count;
    const char *values[CATALOG_VALUES_MAX];
};

#define RELATION(oid, schema, name, kind, is_system, has_rules)                                    \
    {                                                                                              \
        CATALOG_QUERY_RELATIONS, 8,                                                                \
        {                                                                                          \
            oid, schema, name, kind, is_system, "false", has_rules, "true"                         \
        }                                                                                          \
    }
#define TABLE(oid, name) RELATION(oid, "public", name, "r", "false", "false")

static const struct load loads[] = {
    {CATALOG_QUERY_FINGERPRINT, 1, {"one"}},
    {CATALOG_QUERY_PATH, 2, {"pg_catalog", "false"}},
    {CATALOG_QUERY_PATH, 2, {"public", "false"}},
    {CATALOG_QUERY_PATH, 2, {"information_schema", "false"}},
    TABLE("20001", "orders"),
    TABLE("20002", "intake"), /* a trigger of it calls log_it */
    RELATION("20003", "public", "ruled", "r", "false", "true"),
    RELATION("20004", "public", "remote", "f", "false", "false"),
    RELATION("20005", "public", "parts", "p", "false", "false"),
    RELATION("20006", "public", "parts_far", "f", "false", "false"),
    RELATION("20007", "public", "halves", "p", "false", "false"),
    TABLE("20008", "halves_near"),
    RELATION("20009", "public", "recent", "v", "false", "false"),
    RELATION("20010", "public", "sums", "m", "false", "false"),
    RELATION("20011", "public", "ids", "S", "false", "false"),
    RELATION("20012", "pg_catalog", "pg_class", "r", "true", "false"),
    RELATION("20013", "pg_catalog", "pg_stats", "v", "true", "false"),
    RELATION("20014", "pg_catalog", "pg_extended", "v", "false", "false"), /* by an extension */
    RELATION("20015", "information_schema", "columns", "v", "true", "false"),
    {CATALOG_QUERY_COLUMNS, 6, {"20009", "1", "id", "25", "text", "false"}},
    {CATALOG_QUERY_COLUMNS, 6, {"20010", "1", "id", "25", "text", "false"}},
    {CATALOG_QUERY_VIEWS, 2, {"20009", " SELECT orders.id FROM public.orders;"}},
    {CATALOG_QUERY_VIEWS, 2, {"20010", " SELECT orders.id FROM public.orders;"}},
    {CATALOG_QUERY_PARENTS, 2, {"20006", "20005"}},
    {CATALOG_QUERY_PARENTS, 2, {"20008", "20007"}},
    {CATALOG_QUERY_NAMES, 5, {"f", "public", "lower", NULL, NULL}},
    {CATALOG_QUERY_NAMES, 5, {"w", "public", "log_it", "20002", NULL}},
};

static struct catalog *load(void)
{
    struct catalog *c = NULL;
    struct catalog_loader *l = catalog_loader_create();
    assert_non_null(l);
    for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
        struct bytes row[CATALOG_VALUES_MAX] = {0};
        for (size_t j = 0; j < loads[i].count; j++) {
            const char *value = loads[i].values[j];
            row[j] = value == NULL ? bytes_of(NULL, 0) : bytes_of_string(value);
        }
        assert_int_equal(catalog_loader_row(l, loads[i].query, row, loads[i].count), OK);
    }
    assert_int_equal(catalog_loader_finish(l, &c), OK);
    catalog_loader_destroy(l);
    return c;
}

static uint64_t mark_nothing(void *context, const struct catalog_relation *r,
                             const struct catalog_column *c)
{
    (void)context;
    (void)r;
    (void)c;
    return 0;
}

static bool trust_nothing(void *context, const char *schema, const char *name)
{
    (void)context;
    (void)schema;
    (void)name;
    return false;
}

/* Only what is looked at: in a transaction, with masks, and with a catalog that is true. */
static int setup(void **state)
{
    static struct pg_masks masks; /* what they mask makes no difference */
    struct postgres *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    p->transaction = 'T';
    p->masking.masks = &masks;
    p->masking.catalog = load();
    p->masking.marks = lineage_marks_create(p->masking.catalog, mark_nothing, trust_nothing, NULL);
    assert_non_null(p->masking.marks);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct postgres *p = *state;
    pg_queue_finish(&p->queue);
    lineage_marks_destroy(p->masking.marks);
    catalog_unref(p->masking.catalog);
    free(p);
    return 0;
}

static bool is_provisional(const struct postgres *p, const char *text)
{
    struct sql_analysis *a = NULL;
    assert_int_equal(sql_analyse(bytes_of_string(text), SQL_TEXT_SIZE_DEFAULT, &a, NULL), OK);
    if (!sql_is_transactional(a)) {
        fail_msg("%s: not by its text", text);
    }
    bool found = postgres_is_provisional(p, a);
    sql_analysis_destroy(a);
    return found;
}

static void expect(const struct postgres *p, bool expected, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_provisional(p, texts[i]) != expected) {
            fail_msg("%s: %s", texts[i], expected ? "not provisional" : "provisional");
        }
    }
}

#define EXPECT(p, expected, ...)                                                                   \
    expect(p, expected, (const char *const[]){__VA_ARGS__},                                        \
           sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

/* ---- what the names stand for ---------------------------------------------------------------- */

static void test_tables(void **state)
{
    EXPECT(*state, true, "SELECT id FROM orders", "INSERT INTO orders VALUES (1)",
           "UPDATE public.orders SET id = 1", "DELETE FROM orders WHERE id = 1",
           "SELECT id FROM halves", "DELETE FROM halves", "UPDATE halves_near SET id = 1",
           "SELECT 1");
    EXPECT(*state, false, "SELECT id FROM nowhere", "DELETE FROM sales.orders",
           "UPDATE orders SET id = n.id FROM nowhere n");
}

/* Code that the text does not show runs when rows are written, not when they are read. */
static void test_triggers(void **state)
{
    EXPECT(*state, true, "SELECT id FROM intake",
           "UPDATE orders SET id = i.id FROM intake i WHERE i.n = orders.n",
           "INSERT INTO orders SELECT id FROM intake");
    EXPECT(*state, false, "INSERT INTO intake VALUES (1)", "UPDATE intake SET id = 1",
           "DELETE FROM intake", "INSERT INTO intake SELECT id FROM orders",
           "WITH w AS (INSERT INTO intake VALUES (1) RETURNING id) SELECT id FROM w");
}

static void test_rules(void **state)
{
    EXPECT(*state, false, "SELECT id FROM ruled", "INSERT INTO ruled VALUES (1)",
           "DELETE FROM ruled");
}

/* What another server does is not taken back with the transaction of this one. */
static void test_foreign_tables(void **state)
{
    EXPECT(*state, false, "SELECT id FROM remote", "DELETE FROM remote", "SELECT id FROM parts",
           "UPDATE parts SET id = 1", "SELECT id FROM parts_far",
           "SELECT id FROM orders WHERE id IN (SELECT id FROM remote)");
}

static void test_other_relations(void **state)
{
    EXPECT(*state, false, "SELECT id FROM recent", "DELETE FROM recent", "SELECT id FROM sums",
           "SELECT last_value FROM ids");
}

static void test_system_relations(void **state)
{
    EXPECT(*state, true, "SELECT relname FROM pg_class", "SELECT tablename FROM pg_stats",
           "SELECT tablename FROM pg_catalog.pg_stats", "SELECT column_name FROM columns");
    EXPECT(*state, false, "DELETE FROM columns", "SELECT x FROM pg_extended");
}

static void test_functions(void **state)
{
    EXPECT(*state, true, "SELECT upper(note) FROM orders",
           "SELECT pg_catalog.lower(note) FROM orders", "UPDATE orders SET n = abs(n)");
    EXPECT(*state, false, "SELECT lower(note) FROM orders", "UPDATE orders SET note = lower(note)");
}

static void test_each_statement_counts(void **state)
{
    EXPECT(*state, true, "SELECT id FROM orders; DELETE FROM orders");
    EXPECT(*state, false, "SELECT id FROM recent; DELETE FROM orders",
           "DELETE FROM orders; SELECT id FROM recent");
}

/* ---- what is known of the session ------------------------------------------------------------ */

static const char plain[] = "DELETE FROM orders", hidden[] = "SELECT id FROM recent";

/* Nothing asks for the catalog then: what the text shows is all there is. */
static void test_without_masks(void **state)
{
    struct postgres *p = *state;
    p->masking.masks = NULL;
    assert_true(is_provisional(p, plain));
    assert_true(is_provisional(p, hidden));
    p->transaction = 'I';
    assert_false(is_provisional(p, plain));
}

static void test_without_a_catalog(void **state)
{
    struct postgres *p = *state;
    struct catalog *c = p->masking.catalog;
    p->masking.catalog = NULL;
    assert_false(is_provisional(p, plain));
    p->masking.catalog = c;
    assert_true(is_provisional(p, plain));
}

static void test_a_catalog_that_may_have_changed(void **state)
{
    struct postgres *p = *state;
    struct catalog_shelf *shelf = catalog_shelf_create();
    p->masking.is_stale = true;
    assert_false(is_provisional(p, plain));
    p->masking.is_stale = false;
    p->masking.place = catalog_shelf_take(shelf, "shop");
    p->masking.changes_seen = catalog_place_changes(p->masking.place);
    assert_true(is_provisional(p, plain));
    catalog_place_changed(p->masking.place); /* by another session */
    assert_false(is_provisional(p, plain));
    catalog_place_release(p->masking.place);
    catalog_shelf_destroy(shelf);
}

static void test_outside_of_a_transaction(void **state)
{
    struct postgres *p = *state;
    p->transaction = 'I';
    assert_false(is_provisional(p, plain));
    p->transaction = 'E';
    assert_false(is_provisional(p, plain));
}

static void test_behind_what_may_end_it(void **state)
{
    struct postgres *p = *state;
    assert_non_null(pg_queue_push_within(&p->queue, 'Q'));
    assert_true(is_provisional(p, plain));
    assert_non_null(pg_queue_push(&p->queue, 'Q'));
    assert_false(is_provisional(p, plain));
    pg_queue_pop(&p->queue);
    pg_queue_settle(&p->queue);
    assert_false(is_provisional(p, plain));
    pg_queue_pop(&p->queue);
    assert_false(is_provisional(p, plain)); /* before its ReadyForQuery */
    pg_queue_settle(&p->queue);
    assert_true(is_provisional(p, plain));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_tables),
        TEST(test_triggers),
        TEST(test_rules),
        TEST(test_foreign_tables),
        TEST(test_other_relations),
        TEST(test_system_relations),
        TEST(test_functions),
        TEST(test_each_statement_counts),
        TEST(test_without_masks),
        TEST(test_without_a_catalog),
        TEST(test_a_catalog_that_may_have_changed),
        TEST(test_outside_of_a_transaction),
        TEST(test_behind_what_may_end_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/writer.h"
#include "sidecar/protocol/postgres/pg_result.h"

static const uint8_t key[32] = {1, 2, 3};

/* Rule 0 refuses whatever can be refused; rule 1 lets everything through that can be masked. */
static struct policy_mask strict(void)
{
    return (struct policy_mask){.rule = "strict", .names_columns = true};
}

static struct policy_mask lenient(void)
{
    return (struct policy_mask){.rule = "lenient",
                                .names_columns = true,
                                .computed_null = true,
                                .predicates = true,
                                .unknown_origin = POLICY_UNKNOWN_NULL};
}

static struct pg_masks *make_masks(const struct policy_mask *a, const struct policy_mask *b)
{
    const struct policy_mask *items[] = {a, b};
    struct pg_masks *m = NULL;
    struct err_text why = {0};
    struct masker_cache *detectors = masker_cache_create();
    assert_int_equal(pg_masks_create(items, b == NULL ? 1 : 2, 1, bytes_of(key, sizeof(key)),
                                     detectors, &m, &why),
                     OK);
    masker_cache_destroy(detectors);
    return m;
}

static const struct pg_plan_rows *follow_nothing(void *context, enum lineage_kind kind,
                                                 const char *name)
{
    (void)kind;
    (void)name;
    return context;
}

static struct pg_plan *plan_of(struct pg_masks *m, const struct lineage_statement *s, bool is_query)
{
    const struct lineage lineage = {.statements = s, .statement_count = 1};
    struct pg_plan *p = pg_plan_create(m, &lineage, true, &is_query, 1, follow_nothing, NULL);
    assert_non_null(p);
    return p;
}

static void expect_refused(struct pg_masks *m, const struct lineage_statement *s, bool is_query,
                           const char *rule, const char *why)
{
    struct pg_plan *p = plan_of(m, s, is_query);
    assert_string_equal(p->refusal, why);
    assert_string_equal(m->rules[p->refused_by].name, rule);
    pg_plan_unref(p);
}

static void expect_planned(struct pg_masks *m, const struct lineage_statement *s, bool is_query,
                           enum masker_action action)
{
    struct pg_plan *p = plan_of(m, s, is_query);
    assert_string_equal(p->refusal, "");
    assert_int_equal(p->rows[0].column_count, 1);
    assert_int_equal(p->rows[0].columns[0].action, action);
    assert_int_equal(p->rows[0].masks, action != MASKER_PASS);
    pg_plan_unref(p);
}

#define ONE(o) .outputs_known = true, .outputs = &(o), .output_count = 1

static void test_a_column_is_redacted_by_its_rule(void **state)
{
    (void)state;
    const struct policy_mask a = strict(), b = lenient();
    struct pg_masks *m = make_masks(&a, &b);
    const struct lineage_output clean = {LINEAGE_CLEAN, 0}, one = {LINEAGE_COLUMN, 2},
                                both = {LINEAGE_COLUMN, 3};
    expect_planned(m, &(struct lineage_statement){ONE(clean)}, true, MASKER_PASS);
    expect_planned(m, &(struct lineage_statement){ONE(one)}, true, MASKER_REDACT);
    expect_planned(m, &(struct lineage_statement){ONE(both)}, true, MASKER_NULL);
    pg_masks_unref(m);
}

static void test_each_rule_decides_on_its_own_columns(void **state)
{
    (void)state;
    const struct policy_mask a = strict(), b = lenient();
    struct pg_masks *m = make_masks(&a, &b);
    const struct lineage_output of_a = {LINEAGE_COMPUTED, 1}, of_b = {LINEAGE_COMPUTED, 2},
                                of_both = {LINEAGE_COMPUTED, 3};
    const char *why = "column 1 of the result is computed from masked columns";
    expect_refused(m, &(struct lineage_statement){ONE(of_a)}, true, "strict", why);
    expect_refused(m, &(struct lineage_statement){ONE(of_both)}, true, "strict", why);
    expect_planned(m, &(struct lineage_statement){ONE(of_b)}, true, MASKER_NULL);
    expect_refused(m, &(struct lineage_statement){.filtered = 3, .filtered_why = "x is used"}, true,
                   "strict", "x is used");
    struct pg_plan *p =
        plan_of(m, &(struct lineage_statement){.outputs_known = true, .filtered = 2}, true);
    assert_string_equal(p->refusal, "");
    pg_plan_unref(p);
    pg_masks_unref(m);
}

static void test_what_is_carried_away_or_freed_is_always_refused(void **state)
{
    (void)state;
    const struct policy_mask b = lenient();
    struct pg_masks *m = make_masks(&b, NULL);
    expect_refused(m, &(struct lineage_statement){.stored = 1, .stored_why = "stored"}, true,
                   "lenient", "stored");
    expect_refused(m, &(struct lineage_statement){.altered = 1, .altered_why = "altered"}, true,
                   "lenient", "altered");
    pg_masks_unref(m);
}

static void test_the_strictest_rule_decides_on_what_is_unknown(void **state)
{
    (void)state;
    const struct policy_mask a = strict(), b = lenient();
    struct policy_mask open = lenient();
    open.unknown_origin = POLICY_UNKNOWN_ALLOW;
    const struct lineage_output unknown = {LINEAGE_UNKNOWN, 0},
                                stats = {LINEAGE_COLUMN, LINEAGE_SENSITIVE};
    const char *why = "where a value of the result comes from cannot be known";
    struct pg_masks *m = make_masks(&b, &a);
    expect_refused(m, &(struct lineage_statement){ONE(unknown)}, true, "strict", why);
    expect_refused(m, &(struct lineage_statement){ONE(stats)}, true, "strict", why);
    pg_masks_unref(m);
    m = make_masks(&b, &open);
    expect_planned(m, &(struct lineage_statement){ONE(unknown)}, true, MASKER_NULL);
    expect_planned(m, &(struct lineage_statement){ONE(stats)}, true, MASKER_NULL);
    /* Code that is not a query may do more than give rows. */
    expect_refused(m, &(struct lineage_statement){.unknown = true, .unknown_why = "DO"}, false,
                   "lenient", "DO: where its values come from cannot be known");
    pg_masks_unref(m);
    m = make_masks(&open, NULL);
    expect_planned(m, &(struct lineage_statement){ONE(unknown)}, true, MASKER_PASS);
    pg_masks_unref(m);
}

static void test_a_cursor_that_is_not_known_shows_nothing(void **state)
{
    (void)state;
    const struct policy_mask a = strict(), b = lenient();
    const struct lineage_statement fetch = {.kind = LINEAGE_FETCH, .name = "c"};
    struct pg_masks *m = make_masks(&a, NULL);
    expect_refused(m, &fetch, true, "strict", "Chaperone does not know this cursor");
    pg_masks_unref(m);
    m = make_masks(&b, NULL);
    struct pg_plan *p = plan_of(m, &fetch, true);
    assert_true(p->rows[0].masks && !p->rows[0].outputs_known && p->rows[0].withholds);
    pg_plan_unref(p);
    pg_masks_unref(m);
}

/* ---- with the server's own description ---------------------------------------------------------
 */

static struct buffer describe(size_t count)
{
    struct buffer b;
    buffer_init(&b, 4096);
    struct writer w = writer_start(&b);
    writer_put_u16(&w, (uint16_t)count);
    for (size_t i = 0; i < count; i++) {
        writer_put_string(&w, "c");
        writer_put_u32(&w, 0);
        writer_put_u16(&w, 0);
        writer_put_u32(&w, 25);
        writer_put_u16(&w, 0xffff);
        writer_put_u32(&w, UINT32_MAX);
        writer_put_u16(&w, 1);
    }
    assert_int_equal(writer_finish(&w), OK);
    return b;
}

static void expect_result(const struct pg_masks *m, const struct pg_plan_rows *rows, size_t count,
                          bool is_outdated, enum masker_action action)
{
    struct buffer b = describe(count);
    struct pg_result *r = pg_result_create(buffer_bytes(&b), m, rows, NULL, is_outdated, NULL);
    assert_non_null(r);
    assert_int_equal(r->count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(r->columns[i].action, action);
        assert_int_equal(r->columns[i].type, 25);
        assert_true(r->columns[i].is_binary);
    }
    pg_result_destroy(r);
    buffer_finish(&b);
}

static void test_a_result_that_is_not_as_planned_shows_nothing(void **state)
{
    (void)state;
    const struct policy_mask b = lenient();
    struct pg_masks *m = make_masks(&b, NULL);
    struct masker_column column = {.action = MASKER_PASS};
    const struct pg_plan_rows known = {
        .masks = true, .outputs_known = true, .columns = &column, .column_count = 1};
    const struct pg_plan_rows unknown = {.masks = true};
    const struct pg_plan_rows clean = {.outputs_known = true};
    expect_result(m, &known, 1, false, MASKER_PASS);
    expect_result(m, &clean, 3, false, MASKER_PASS);
    expect_result(m, &known, 2, false, MASKER_NULL); /* another number of columns */
    expect_result(m, &unknown, 1, false, MASKER_NULL);
    expect_result(m, NULL, 1, false, MASKER_NULL);
    expect_result(m, &known, 1, true, MASKER_NULL); /* the catalog has changed since */
    pg_masks_unref(m);
}

/* What was in the memory before is not in it any more. */
static void test_a_result_in_the_memory_of_another_one_is_a_new_one(void **state)
{
    (void)state;
    const struct policy_mask b = lenient();
    struct pg_masks *m = make_masks(&b, NULL);
    const struct pg_plan_rows unknown = {.masks = true}, clean = {.outputs_known = true};
    struct buffer three = describe(3), one = describe(1), many = describe(40);
    struct pg_result *spare = NULL;
    struct pg_result *r = pg_result_create(buffer_bytes(&three), m, &unknown, NULL, false, &spare);
    struct pg_result *before = r;
    assert_non_null(r);
    assert_true(r->masks);
    pg_result_recycle(r, &spare);
    assert_ptr_equal(spare, before);
    r = pg_result_create(buffer_bytes(&one), m, &clean, NULL, false, &spare);
    assert_ptr_equal(r, before);
    assert_null(spare);
    assert_false(r->masks);
    assert_int_equal(r->count, 1);
    assert_int_equal(r->columns[0].action, MASKER_PASS);
    assert_string_equal(r->names[0], "c");
    pg_result_recycle(r, &spare);
    r = pg_result_create(buffer_bytes(&many), m, &unknown, NULL, false, &spare);
    assert_non_null(r); /* it has no room for so many */
    assert_int_equal(r->columns[39].action, MASKER_NULL);
    assert_string_equal(r->names[39], "c");
    assert_ptr_equal(spare, before);
    pg_result_destroy(spare);
    pg_masks_unref(m);
    pg_result_destroy(r);
    buffer_finish(&three);
    buffer_finish(&one);
    buffer_finish(&many);
}

static void test_a_large_result_is_not_kept(void **state)
{
    (void)state;
    const struct policy_mask b = lenient();
    struct pg_masks *m = make_masks(&b, NULL);
    struct buffer many = describe(40);
    struct pg_result *spare = NULL;
    struct pg_result *r = pg_result_create(buffer_bytes(&many), m, NULL, NULL, false, &spare);
    assert_non_null(r);
    pg_result_recycle(r, &spare);
    assert_null(spare);
    pg_masks_unref(m);
    buffer_finish(&many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_column_is_redacted_by_its_rule),
        cmocka_unit_test(test_each_rule_decides_on_its_own_columns),
        cmocka_unit_test(test_what_is_carried_away_or_freed_is_always_refused),
        cmocka_unit_test(test_the_strictest_rule_decides_on_what_is_unknown),
        cmocka_unit_test(test_a_cursor_that_is_not_known_shows_nothing),
        cmocka_unit_test(test_a_result_that_is_not_as_planned_shows_nothing),
        cmocka_unit_test(test_a_result_in_the_memory_of_another_one_is_a_new_one),
        cmocka_unit_test(test_a_large_result_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

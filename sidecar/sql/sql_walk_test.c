/* Nothing of the grammar is without a decision. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sidecar/sql/sql_walk.h"

/* Messages that are made from a parse tree later, or in PL/pgSQL: in a tree of a text they are
 * unknown, and refused. */
static const char *const not_of_a_text[] = {
    "TableFunc",
    "Var",
    "Param",
    "Aggref",
    "WindowFunc",
    "SubscriptingRef",
    "FuncExpr",
    "OpExpr",
    "DistinctExpr",
    "NullIfExpr",
    "ScalarArrayOpExpr",
    "SubPlan",
    "AlternativeSubPlan",
    "FieldSelect",
    "FieldStore",
    "RelabelType",
    "CoerceViaIO",
    "ArrayCoerceExpr",
    "ConvertRowtypeExpr",
    "CollateExpr",
    "CaseTestExpr",
    "ArrayExpr",
    "RowCompareExpr",
    "CoerceToDomain",
    "CoerceToDomainValue",
    "NextValueExpr",
    "InferenceElem",
    "TargetEntry",
    "RangeTblRef",
    "FromExpr",
    "OnConflictExpr",
    "MergeAction",
    "Query",
    "PLAssignStmt",
    "SetOperationStmt",
    "RangeTblEntry",
    "RangeTblFunction",
    "TableSampleClause",
    "WithCheckOption",
    "SortGroupClause",
    "WindowClause",
    "RowMarkClause",
    "InlineCodeBlock",
    "CallContext",
    "IntList",
    "OidList",
};

static bool is_of_a_text(const char *message)
{
    for (size_t i = 0; i < sizeof(not_of_a_text) / sizeof(not_of_a_text[0]); i++) {
        if (strcmp(not_of_a_text[i], message) == 0) {
            return false;
        }
    }
    return true;
}

static void test_every_node_has_a_decision(void **state)
{
    (void)state;
    const ProtobufCMessageDescriptor *d = &pg_query__node__descriptor;
    assert_true(d->n_fields > 200);
    for (unsigned i = 0; i < d->n_fields; i++) {
        const char *name =
            ((const ProtobufCMessageDescriptor *)d->fields[i].descriptor)->short_name;
        PgQuery__Node__NodeCase node = (PgQuery__Node__NodeCase)d->fields[i].id;
        size_t size = strlen(name);
        bool is_statement = size > 4 && strcmp(name + size - 4, "Stmt") == 0;
        bool is_decided = is_statement ? statement_has_rule(node) : node_is_known(node);
        if (is_decided != is_of_a_text(name)) {
            fail_msg("%s", name);
        }
        /* No node is both. */
        assert_false(statement_has_rule(node) && node_is_known(node));
    }
    assert_false(node_is_known((PgQuery__Node__NodeCase)(d->n_fields + 1)));
    assert_false(statement_has_rule((PgQuery__Node__NodeCase)(d->n_fields + 1)));
}

static void test_what_no_rule_knows_is_unknown(void **state)
{
    (void)state;
    struct arena *arena = arena_create(1 << 12, 1 << 20);
    assert_non_null(arena);
    PgQuery__PLAssignStmt assign = PG_QUERY__PLASSIGN_STMT__INIT;
    PgQuery__OpExpr op = PG_QUERY__OP_EXPR__INIT;
    PgQuery__Node nodes[] = {PG_QUERY__NODE__INIT, PG_QUERY__NODE__INIT};
    nodes[0].node_case = PG_QUERY__NODE__NODE_PLASSIGN_STMT;
    nodes[0].plassign_stmt = &assign;
    nodes[1].node_case = PG_QUERY__NODE__NODE_OP_EXPR;
    nodes[1].op_expr = &op;
    for (size_t i = 0; i < 2; i++) {
        struct sql_statement s = {0};
        struct walk w = {.arena = arena, .statement = &s};
        columns_init(&w.columns, arena);
        assert_null(statement_tag(&w, &nodes[i]));
        walk_node(&w, &nodes[i]);
        assert_true(s.is_unknown);
        assert_int_equal(s.accesses, 1u << SQL_UNKNOWN);
    }
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_node_has_a_decision),
        cmocka_unit_test(test_what_no_rule_knows_is_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

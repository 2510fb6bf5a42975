#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "controlplane/store/contract.h"

int contract_setup(void **state)
{
    const struct store_contract *contract = *state;
    struct test *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    t->contract = contract;
    t->store = contract->open_empty(contract->context);
    t->arena = arena_create(4096, 64 << 20);
    assert_non_null(t->store);
    assert_non_null(t->arena);
    *state = t;
    return 0;
}

int contract_teardown(void **state)
{
    struct test *t = *state;
    t->contract->close(t->contract->context, t->store);
    arena_destroy(t->arena);
    free(t);
    return 0;
}

void contract_reopen(struct test *t)
{
    t->store = t->contract->reopen(t->contract->context, t->store);
    assert_non_null(t->store);
}

void contract_append(struct test *t, const char *sidecar, const struct store_audit_record *records,
                     size_t count)
{
    struct store_audit_appended done;
    struct err_text why = {.text = ""};
    enum err err = store_audit_append(t->store, sidecar, records, count, records_received_ns, &done,
                                      NULL, &why);
    if (err != OK) {
        print_error("%s\n", why.text);
    }
    assert_int_equal(err, OK);
}

size_t contract_count(struct test *t, struct store_audit_filter filter)
{
    struct store_audit_entry *items = NULL;
    struct err_text why = {.text = ""};
    size_t count = 0;
    bool more = false;
    enum err err = store_audit_page(t->store, &filter, INT64_MIN, STORE_SEARCH_PAGE_MAX, SIZE_MAX,
                                    t->arena, &items, &count, &more, &why);
    if (err != OK) {
        print_error("%s\n", why.text);
    }
    assert_int_equal(err, OK);
    assert_false(more);
    return count;
}

struct statement {
    const char *session, *text, *name, *full, *name2, *full2;
    int verdict;
};

static const struct statement statements[] = {
    {"A", "SELECT * FROM orders WHERE customer_id = 17", "orders", "orders", NULL, NULL, 1},
    {"B", "DELETE FROM public.orders", "orders", "public.orders", NULL, NULL, 2},
    {"A",
     "UPDATE sales.orders SET note = 'Gr\xc3\xbc\xc3\x9f"
     "e'",
     "orders", "sales.orders", "orders", "orders", 1},
    {"A", "select \"Name\" from customers", "customers", "customers", NULL, NULL, 1},
    {"B", "SELECT 1 -- caf\xc3\xa9 \xff\xfe\x80", NULL, NULL, NULL, NULL, 3},
};
enum { STATEMENTS = sizeof(statements) / sizeof(statements[0]) };
_Static_assert(2 + STATEMENTS + 2 == CONTRACT_RECORDS, "as contract.h says");

void contract_fill(struct test *t)
{
    struct store_audit_record records[CONTRACT_RECORDS];
    struct store_audit_table tables[STATEMENTS][2];
    struct store_audit_opened alice = {.identity = bytes_of_string("alice"),
                                       .resource = bytes_of_string("db1"),
                                       .protocol = bytes_of_string("postgres"),
                                       .database = bytes_of_string("shop"),
                                       .agent_address = bytes_of_string("127.0.0.1:5")};
    struct store_audit_opened bob = {.identity = bytes_of_string("bob"),
                                     .on_behalf_of = bytes_of_string("carol"),
                                     .resource = bytes_of_string("db2")};
    records[0] = records_make(1, 1, STORE_SESSION_OPENED, "A");
    records[0].index.opened = &alice;
    records[0].index.verdict = 1;
    records[1] = records_make(1, 2, STORE_SESSION_OPENED, "B");
    records[1].index.opened = &bob;
    records[1].index.verdict = 1;
    for (size_t i = 0; i < STATEMENTS; i++) {
        const struct statement *s = &statements[i];
        struct store_audit_record *r = &records[2 + i];
        *r = records_make(1, 3 + i, STORE_INTENT, s->session);
        r->index.text = bytes_of_string(s->text);
        r->index.verdict = s->verdict;
        r->index.tables = tables[i];
        r->index.table_count = (s->name == NULL ? 0U : 1U) + (s->name2 == NULL ? 0U : 1U);
        tables[i][0].name = bytes_of_string(s->name);
        tables[i][0].full = bytes_of_string(s->full);
        tables[i][1].name = bytes_of_string(s->name2);
        tables[i][1].full = bytes_of_string(s->full2);
    }
    records[CONTRACT_RECORDS - 2] =
        records_make(1, CONTRACT_RECORDS - 1, STORE_SESSION_CLOSED, "A");
    records[CONTRACT_RECORDS - 2].index.close_reason = bytes_of_string("agent_disconnected");
    records[CONTRACT_RECORDS - 1] = records_make(1, CONTRACT_RECORDS, STORE_HEARTBEAT, "");
    contract_append(t, "s1", records, CONTRACT_RECORDS);
}

int store_contract_run(const struct store_contract *contract)
{
    return contract_configuration_run(contract) + contract_append_run(contract) +
           contract_find_run(contract) + contract_approvals_run(contract) +
           contract_hostile_run(contract) + contract_log_run(contract) +
           contract_retention_run(contract) + contract_blobs_run(contract);
}

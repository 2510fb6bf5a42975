#include "cli/verify/filed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/audit.pb-c.h"

struct fixture {
    struct report *report;
    struct filed *filed;
    uint64_t position;
};

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){.report = report_create()};
    f.filed = filed_create(f.report);
    assert_non_null(f.filed);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    filed_destroy(f->filed);
    report_destroy(f->report);
    return 0;
}

static char *text_of(const char *s)
{
    return (char *)(uintptr_t)s;
}

/* What an entry says beside its record. */
struct index {
    const char *identity, *behalf, *resource, *session, *kind, *sidecar;
    uint64_t sequence;
};

/* Two records of the session "A" of the sidecar "s", the first one opens it: agent "bot" for ann
 * and bob at "orders". Returns how many are wrong then. */
static uint64_t add(struct fixture *f, bool opens, struct index says)
{
    static uint8_t zeros[32], packed[4096];
    Chaperone__V1__Delegate ann = CHAPERONE__V1__DELEGATE__INIT, bob = ann;
    Chaperone__V1__Delegate *behalf[] = {&ann, &bob};
    Chaperone__V1__Identity bot = CHAPERONE__V1__IDENTITY__INIT;
    Chaperone__V1__SessionOpened opened = CHAPERONE__V1__SESSION_OPENED__INIT;
    Chaperone__V1__Intent intent = CHAPERONE__V1__INTENT__INIT;
    Chaperone__V1__Record r = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__Entry entry = CHAPERONE__V1__ENTRY__INIT;
    ann.subject = text_of("ann");
    bob.subject = text_of("bob");
    bot.subject = text_of("bot");
    opened.identity = &bot;
    opened.n_on_behalf_of = 2;
    opened.on_behalf_of = behalf;
    opened.resource = text_of("orders");
    opened.protocol = text_of("postgres");
    r.sidecar = text_of("s");
    r.sequence = opens ? 1 : 2;
    r.session = text_of("A");
    r.previous = (ProtobufCBinaryData){.data = zeros, .len = sizeof(zeros)};
    r.event_case =
        opens ? CHAPERONE__V1__RECORD__EVENT_SESSION_OPENED : CHAPERONE__V1__RECORD__EVENT_INTENT;
    if (opens) {
        r.session_opened = &opened;
    } else {
        r.intent = &intent;
    }
    assert_true(chaperone__v1__record__get_packed_size(&r) <= sizeof(packed));
    entry.record.len = chaperone__v1__record__pack(&r, packed);
    entry.record.data = packed;
    entry.position = ++f->position;
    entry.identity = text_of(says.identity == NULL ? "bot" : says.identity);
    entry.on_behalf_of = text_of(says.behalf == NULL ? "ann, bob" : says.behalf);
    entry.resource = text_of(says.resource == NULL ? "orders" : says.resource);
    entry.protocol = text_of("postgres");
    entry.session = text_of(says.session == NULL ? "A" : says.session);
    entry.sidecar = text_of(says.sidecar == NULL ? "s" : says.sidecar);
    entry.kind = text_of(says.kind == NULL ? (opens ? "session_opened" : "intent") : says.kind);
    entry.sequence = says.sequence == 0 ? r.sequence : says.sequence;
    assert_int_equal(filed_add(f->filed, &entry), OK);
    return report_wrong(f->report);
}

static void test_what_is_filed_as_it_says_is_right(void **state)
{
    assert_int_equal(add(*state, true, (struct index){0}), 0);
    assert_int_equal(add(*state, false, (struct index){0}), 0);
}

static void test_under_another_name(void **state)
{
    struct fixture *f = *state;
    const struct index lies[] = {
        {.identity = "eve"},   {.identity = ""},
        {.behalf = "ann"},     {.behalf = "ann, bob, eve"},
        {.resource = "stock"}, {.sidecar = "t"},
        {.session = "B"},      {.session = ""},
        {.kind = "outcome"},   {.kind = "heartbeat"},
        {.sequence = 7},
    };
    uint64_t wrong = 0;
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        for (int opens = 1; opens >= 0; opens--) {
            assert_int_equal(add(f, opens == 1, lies[i]), ++wrong);
            assert_int_equal(report_item(f->report, wrong - 1)->position, f->position);
            assert_int_equal(report_item(f->report, wrong - 1)->kind, REPORT_CHANGED);
        }
    }
    assert_int_equal(add(f, false, (struct index){0}), wrong);
}

/* A package for a time may begin in the middle of a session. */
static void test_nothing_is_said_of_a_session_that_was_not_seen_to_open(void **state)
{
    assert_int_equal(add(*state, false, (struct index){.identity = "eve"}), 0);
    assert_int_equal(add(*state, false, (struct index){.session = "B"}), 1);
}

static void test_what_is_no_record_is_passed_over(void **state)
{
    struct fixture *f = *state;
    Chaperone__V1__Entry entry = CHAPERONE__V1__ENTRY__INIT;
    entry.record = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t) "\xff\xff", .len = 2};
    assert_int_equal(filed_add(f->filed, &entry), OK);
    entry.record.len = 0;
    entry.is_erased = true;
    assert_int_equal(filed_add(f->filed, &entry), OK);
    assert_int_equal(report_wrong(f->report), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_filed_as_it_says_is_right, setup, teardown),
        cmocka_unit_test_setup_teardown(test_under_another_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_is_said_of_a_session_that_was_not_seen_to_open,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_no_record_is_passed_over, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "cli/output/standing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/output/literals.h"

static const int64_t SECOND = 1000000000;
static const int64_t NOW = 1763712000LL * 1000000000;

struct sample {
    Chaperone__V1__StandingApproval standing;
    Chaperone__V1__HeldOperation held;
    Chaperone__V1__Identity agent, ann, bob;
    Chaperone__V1__Delegate alice, maria, *of_session[1], *of_statement[1];
    Chaperone__V1__Intent intent;
    Chaperone__V1__Decision decisions[2], *all[2];
};

static void fill_people(struct sample *s)
{
    Chaperone__V1__Identity *const people[] = {&s->agent, &s->ann, &s->bob};
    static const char *const names[] = {"agent-7", "ann", "bob"};
    for (size_t i = 0; i < 3; i++) {
        chaperone__v1__identity__init(people[i]);
        people[i]->subject = TEXT(names[i]);
    }
    for (size_t i = 0; i < 2; i++) {
        chaperone__v1__decision__init(&s->decisions[i]);
        s->decisions[i].by = people[i + 1];
        s->decisions[i].approve = true;
        s->decisions[i].time_unix_ns = NOW - 90 * SECOND;
        s->all[i] = &s->decisions[i];
    }
    s->decisions[0].reason = TEXT("ticket 4711");
    chaperone__v1__delegate__init(&s->alice);
    chaperone__v1__delegate__init(&s->maria);
    s->alice.subject = TEXT("alice");
    s->maria.subject = TEXT("maria");
    s->of_session[0] = &s->alice;
    s->of_statement[0] = &s->maria;
}

static void fill(struct sample *s)
{
    *s = (struct sample){0};
    chaperone__v1__standing_approval__init(&s->standing);
    chaperone__v1__held_operation__init(&s->held);
    chaperone__v1__intent__init(&s->intent);
    fill_people(s);
    s->intent.text = BYTES("DELETE FROM orders\n WHERE id = 1 \x1b[2J");
    s->intent.rule = TEXT("deletes");
    s->intent.on_behalf_of = s->of_statement;
    s->intent.n_on_behalf_of = 1;
    s->held.id = TEXT("approval-1");
    s->held.session = TEXT("session-1");
    s->held.identity = &s->agent;
    s->held.on_behalf_of = s->of_session;
    s->held.n_on_behalf_of = 1;
    s->held.resource = TEXT("shop");
    s->held.protocol = TEXT("postgres");
    s->held.database = TEXT("orders");
    s->held.target_user = TEXT("app");
    s->held.shape = TEXT("shape");
    s->held.intent = &s->intent;
    s->held.decisions = s->all;
    s->held.n_decisions = 2;
    s->standing.id = TEXT("standing-1");
    s->standing.approval = &s->held;
    s->standing.state = CHAPERONE__V1__STANDING_STATE__STANDS;
    s->standing.created_unix_ns = NOW - 90 * SECOND;
    s->standing.until_unix_ns = NOW + 600 * SECOND;
    s->standing.uses = 2;
    s->standing.uses_max = 5;
}

/* As in a pipe, behind the headings. */
static char *row_of(const struct sample *s)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    struct table *t = table_create(standing_headings);
    assert_non_null(f);
    assert_non_null(t);
    assert_int_equal(standing_add_row(t, &s->standing, NOW), OK);
    assert_int_equal(table_rows(t), 1);
    const struct terminal terminal = {.out = f};
    table_print(t, &terminal);
    table_destroy(t);
    assert_int_equal(fclose(f), 0);
    return text;
}

static void assert_row_has(const struct sample *s, const char *part)
{
    char *row = row_of(s);
    if (strstr(row, part) == NULL) {
        fail_msg("\"%s\" is not in:\n%s", part, row);
    }
    assert_null(strchr(row, '\x1b'));
    free(row);
}

static void test_a_line_says_what_stands(void **state)
{
    (void)state;
    struct sample s;
    fill(&s);
    assert_row_has(&s, "standing-1\t1 min 30 s ago\tin 10 min 0 s\t3 of 5\tagent-7\t"
                       "alice, maria\tshop/orders as app\tdeletes\tann, bob\tDELETE FROM orders");
    s.standing.uses_max = 0;
    s.held.n_on_behalf_of = 0;
    s.intent.n_on_behalf_of = 0;
    s.held.database = s.held.target_user = TEXT("");
    s.decisions[1].approve = false;
    assert_row_has(&s, "\tany\tagent-7\t\tshop\tdeletes\tann\t");
}

static void test_a_line_says_what_ended_it(void **state)
{
    (void)state;
    struct sample s;
    fill(&s);
    s.standing.state = CHAPERONE__V1__STANDING_STATE__STANDING_REVOKED;
    s.standing.revoked_unix_ns = NOW - 5 * SECOND;
    s.standing.revoked_by = TEXT("bob\x1b[1A");
    assert_row_has(&s, "\trevoked 5 s ago by bob\\x1b[1A\t3 of 5\t");
    s.standing.state = CHAPERONE__V1__STANDING_STATE__STANDING_USED_UP;
    s.standing.uses = 6; /* of terms that were others once */
    assert_row_has(&s, "\tused up\t0 of 5\t");
    s.standing.state = CHAPERONE__V1__STANDING_STATE__STANDING_ENDED;
    assert_row_has(&s, "\tended\t");
}

static char *json_of(const struct sample *s)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    assert_non_null(f);
    assert_int_equal(standing_json_write(f, &s->standing), OK);
    assert_int_equal(fclose(f), 0);
    return text;
}

static void test_json(void **state)
{
    (void)state;
    struct sample s;
    static const char *const parts[] = {
        "\"id\":\"standing-1\"",
        "\"state\":\"stands\"",
        "\"uses\":2",
        "\"uses_max\":5",
        "\"uses_left\":3",
        "\"revoked\":null",
        "\"revoked_by\":null",
        "\"approval\":\"approval-1\"",
        "\"identity\":\"agent-7\"",
        "\"delegation\":[{\"subject\":\"alice\"",
        "\"database\":\"orders\"",
        "\"target_user\":\"app\"",
        "\"rule\":\"deletes\"",
        "\"shape\":\"shape\"",
        "\"text\":\"DELETE FROM orders\\n WHERE id = 1 \\u001b[2J\"",
        "\"approved\":[{\"by\":\"ann\"",
        "\"reason\":\"ticket 4711\"",
        "\"until\":\"2025-11-21T08:10:00"};
    fill(&s);
    char *text = json_of(&s);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (strstr(text, parts[i]) == NULL) {
            fail_msg("%s is not in:\n%s", parts[i], text);
        }
    }
    free(text);
    s.standing.approval = NULL; /* of a newer control plane that shows less */
    s.standing.uses_max = 0;
    text = json_of(&s);
    assert_non_null(strstr(text, "\"uses_left\":null"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_says_what_stands),
        cmocka_unit_test(test_a_line_says_what_ended_it),
        cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "cli/policy/replay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static const char document[] =
    "{version: 1, rules: ["
    "{name: reads, effect: allow, match: {identities: {groups: [analysts]},"
    " sql: {commands: [read, transaction, session, procedural], tables: [public.*]}}},"
    "{name: deletes, effect: hold, match: {sql: {commands: [DELETE], tables: [public.*]}},"
    " hold: {approvers: {groups: [dba]}}},"
    "{name: no-salaries, effect: deny, match: {sql: {tables: [hr.salaries]}}}]}";

static const int64_t START = 1795250580LL * 1000000000;

struct fixture {
    struct policy *policy;
    struct replay *replay;
    uint64_t operation;
};

static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof(*f));
    assert_int_equal(policy_compile(bytes_of_string(document), 1, &f->policy, NULL), OK);
    f->replay = replay_create(f->policy, 0, 0);
    assert_non_null(f->replay);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    replay_destroy(f->replay);
    policy_destroy(f->policy);
    test_free(f);
    return 0;
}

static char *text_of(const char *s)
{
    return (char *)(uintptr_t)s;
}

static void add(struct fixture *f, Chaperone__V1__Record *r, const char *sidecar,
                const char *session)
{
    r->sidecar = text_of(sidecar);
    r->session = text_of(session);
    assert_int_equal(replay_add(f->replay, r), OK);
}

static void add_opened(struct fixture *f, const char *sidecar, const char *session,
                       const char *subject, const char *group)
{
    Chaperone__V1__Record r = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__SessionOpened opened = CHAPERONE__V1__SESSION_OPENED__INIT;
    Chaperone__V1__Identity who = CHAPERONE__V1__IDENTITY__INIT;
    char *groups[] = {text_of(group)};
    who.subject = text_of(subject);
    who.groups = groups;
    who.n_groups = group == NULL ? 0 : 1;
    opened.identity = &who;
    opened.resource = text_of("shop");
    opened.protocol = text_of("postgres");
    r.event_case = CHAPERONE__V1__RECORD__EVENT_SESSION_OPENED;
    r.session_opened = &opened;
    add(f, &r, sidecar, session);
}

static void add_closed(struct fixture *f, const char *session)
{
    Chaperone__V1__Record r = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__SessionClosed closed = CHAPERONE__V1__SESSION_CLOSED__INIT;
    r.event_case = CHAPERONE__V1__RECORD__EVENT_SESSION_CLOSED;
    r.session_closed = &closed;
    add(f, &r, "s1", session);
}

/* A recorded statement; `second` is when. */
static void add_intent(struct fixture *f, const char *session, int second, const char *text,
                       Chaperone__V1__Verdict was, const char *rule)
{
    Chaperone__V1__Record r = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__Intent m = CHAPERONE__V1__INTENT__INIT;
    char *commands[] = {text_of("SELECT")};
    m.verb = text_of("query");
    m.operation = ++f->operation;
    m.verdict = was;
    m.rule = text_of(rule);
    m.text.data = (uint8_t *)text_of(text);
    m.text.len = strlen(text);
    m.commands = commands;
    m.n_commands = strcmp(rule, "understanding") == 0 ? 0 : 1;
    r.event_case = CHAPERONE__V1__RECORD__EVENT_INTENT;
    r.intent = &m;
    r.time_unix_ns = START + (int64_t)second * 1000000000;
    add(f, &r, "s1", session);
}

static void add_allowed(struct fixture *f, const char *session, int second, const char *text)
{
    add_intent(f, session, second, text, CHAPERONE__V1__VERDICT__ALLOW, "everything");
}

static void add_denied(struct fixture *f, const char *session, int second, const char *text,
                       const char *rule)
{
    add_intent(f, session, second, text, CHAPERONE__V1__VERDICT__DENY, rule);
}

static void what_changes_is_counted_and_grouped(void **state)
{
    struct fixture *f = *state;
    const struct replay_change *const *changes = NULL;
    size_t count = 0;
    add_opened(f, "s1", "A", "ann", "analysts");
    add_opened(f, "s1", "B", "bot", NULL);
    add_allowed(f, "A", 1, "SELECT * FROM orders");
    add_allowed(f, "A", 2, "SELECT * FROM hr.salaries WHERE id = 1");
    add_allowed(f, "A", 4, "SELECT * FROM hr.salaries WHERE id = 2");
    add_allowed(f, "B", 3, "SELECT * FROM orders");
    add_denied(f, "A", 5, "SELECT 1", "default");
    add_denied(f, "B", 6, "SELECT 1", "default");
    const struct replay_counts *c = replay_counts(f->replay);
    assert_int_equal(c->operations, 6);
    assert_int_equal(c->same, 2);
    assert_int_equal(c->newly_refused, 3);
    assert_int_equal(c->newly_allowed, 1);
    assert_int_equal(c->newly_held, 0);
    assert_int_equal(replay_changes(f->replay, &changes, &count), OK);
    assert_int_equal(count, 3);
    assert_string_equal(changes[0]->shape, "SELECT * FROM hr.salaries WHERE id = $1");
    assert_string_equal(changes[0]->identity, "ann");
    assert_string_equal(changes[0]->resource, "shop");
    assert_int_equal(changes[0]->was, POLICY_ALLOW);
    assert_int_equal(changes[0]->would, POLICY_DENY);
    assert_string_equal(changes[0]->was_rule, "everything");
    assert_string_equal(changes[0]->rule, "no-salaries");
    assert_int_equal(changes[0]->count, 2);
    assert_int_equal(changes[0]->last_unix_ns, START + 4LL * 1000000000);
    assert_string_equal(changes[0]->last_session, "A");
    assert_int_equal(changes[0]->last_operation, 3);
    assert_string_equal(changes[1]->shape, "SELECT $1");
    assert_int_equal(changes[1]->would, POLICY_ALLOW);
    assert_string_equal(changes[2]->identity, "bot");
    assert_string_equal(changes[2]->rule, "default");
}

static void what_would_be_held_now_is_counted(void **state)
{
    struct fixture *f = *state;
    const struct replay_change *const *changes = NULL;
    size_t count = 0;
    add_opened(f, "s1", "A", "ann", "analysts");
    add_allowed(f, "A", 1, "DELETE FROM orders WHERE id = 1");
    add_denied(f, "A", 2, "DELETE FROM items WHERE id = 1", "default");
    add_intent(f, "A", 3, "DELETE FROM orders", CHAPERONE__V1__VERDICT__HOLD, "deletes");
    add_intent(f, "A", 4, "SELECT 1", CHAPERONE__V1__VERDICT__HOLD, "deletes");
    const struct replay_counts *c = replay_counts(f->replay);
    assert_int_equal(c->newly_held, 2);
    assert_int_equal(c->same, 1);
    assert_int_equal(c->newly_allowed, 1);
    assert_int_equal(replay_changes(f->replay, &changes, &count), OK);
    assert_int_equal(count, 3);
}

static void what_was_never_understood_stays_refused(void **state)
{
    struct fixture *f = *state;
    add_opened(f, "s1", "A", "ann", "analysts");
    add_denied(f, "A", 1, "SELEC 1", "understanding");
    /* It can be parsed; the sidecar refused it for its session's encoding. */
    add_denied(f, "A", 1, "SELECT 'x'", "understanding");
    assert_int_equal(replay_counts(f->replay)->same, 2);
}

static void a_session_that_began_before_is_asked_for(void **state)
{
    struct fixture *f = *state;
    replay_destroy(f->replay);
    f->replay = replay_create(f->policy, START, START + 5LL * 1000000000);
    add_allowed(f, "A", 1, "SELECT 1");
    add_allowed(f, "B", 2, "SELECT 1");
    assert_int_equal(replay_counts(f->replay)->operations, 0);
    const char *missing = replay_missing(f->replay);
    assert_non_null(missing);
    bool is_a = strcmp(missing, "A") == 0;
    replay_resume(f->replay);
    add_opened(f, "s1", is_a ? "A" : "B", "ann", "analysts");
    add_allowed(f, is_a ? "A" : "B", -1, "SELECT 1"); /* before */
    add_allowed(f, is_a ? "A" : "B", 1, "SELECT 1");
    add_allowed(f, is_a ? "A" : "B", 6, "SELECT 1"); /* after */
    assert_string_equal(replay_missing(f->replay), is_a ? "B" : "A");
    replay_resume(f->replay);
    add_allowed(f, is_a ? "B" : "A", 2, "SELECT 1"); /* nobody knows who that was */
    assert_null(replay_missing(f->replay));
    assert_int_equal(replay_counts(f->replay)->operations, 1);
    assert_int_equal(replay_counts(f->replay)->without_session, 1);
}

static void a_sidecar_speaks_for_its_own_sessions_only(void **state)
{
    struct fixture *f = *state;
    add_opened(f, "s1", "A", "bot", NULL);
    add_opened(f, "s2", "A", "ann", "analysts");
    add_allowed(f, "A", 1, "SELECT 1");
    assert_int_equal(replay_counts(f->replay)->newly_refused, 1);
}

static void a_closed_session_is_forgotten(void **state)
{
    struct fixture *f = *state;
    add_opened(f, "s1", "A", "ann", "analysts");
    add_closed(f, "A");
    add_allowed(f, "A", 1, "SELECT 1");
    assert_string_equal(replay_missing(f->replay), "A");
}

static void what_is_not_recorded_whole_is_not_replayed(void **state)
{
    struct fixture *f = *state;
    Chaperone__V1__Record r = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__Intent m = CHAPERONE__V1__INTENT__INIT;
    m.text.data = (uint8_t *)text_of("SELECT 1");
    m.text.len = 8;
    m.text_truncated = true;
    m.verdict = CHAPERONE__V1__VERDICT__ALLOW;
    r.event_case = CHAPERONE__V1__RECORD__EVENT_INTENT;
    r.intent = &m;
    add_opened(f, "s1", "A", "ann", "analysts");
    add(f, &r, "s1", "A");
    m.text_truncated = false;
    m.verb = text_of("cancel"); /* nobody decides that */
    add(f, &r, "s1", "A");
    assert_int_equal(replay_counts(f->replay)->truncated, 1);
    assert_int_equal(replay_counts(f->replay)->operations, 0);
}

static void what_an_execute_ran_counts(void **state)
{
    struct fixture *f = *state;
    Chaperone__V1__Record r = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__Intent m = CHAPERONE__V1__INTENT__INIT;
    Chaperone__V1__Object object = CHAPERONE__V1__OBJECT__INIT;
    Chaperone__V1__Object *objects[] = {&object};
    object.kind = text_of("table");
    object.name = text_of("hr.salaries");
    object.access = text_of("read");
    m.text.data = (uint8_t *)text_of("EXECUTE p(1)");
    m.text.len = strlen("EXECUTE p(1)");
    m.verdict = CHAPERONE__V1__VERDICT__ALLOW;
    r.event_case = CHAPERONE__V1__RECORD__EVENT_INTENT;
    r.intent = &m;
    add_opened(f, "s1", "A", "ann", "analysts");
    add(f, &r, "s1", "A");
    uint64_t before = replay_counts(f->replay)->same;
    m.objects = objects;
    m.n_objects = 1;
    add(f, &r, "s1", "A");
    assert_int_equal(before, 1);
    assert_int_equal(replay_counts(f->replay)->newly_refused, 1);
}

static void a_function_call_has_no_text(void **state)
{
    struct fixture *f = *state;
    Chaperone__V1__Record r = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__Intent m = CHAPERONE__V1__INTENT__INIT;
    Chaperone__V1__Object object = CHAPERONE__V1__OBJECT__INIT;
    Chaperone__V1__Object *objects[] = {&object};
    char *commands[] = {text_of("FUNCTION CALL")};
    const struct replay_change *const *changes = NULL;
    size_t count = 0;
    object.kind = text_of("function");
    object.name = text_of("1234");
    object.access = text_of("call");
    m.verb = text_of("function_call");
    m.commands = commands;
    m.n_commands = 1;
    m.objects = objects;
    m.n_objects = 1;
    m.verdict = CHAPERONE__V1__VERDICT__ALLOW;
    r.event_case = CHAPERONE__V1__RECORD__EVENT_INTENT;
    r.intent = &m;
    add_opened(f, "s1", "A", "bot", NULL);
    add(f, &r, "s1", "A");
    assert_int_equal(replay_changes(f->replay, &changes, &count), OK);
    assert_int_equal(count, 1);
    assert_string_equal(changes[0]->shape, "FUNCTION CALL");
    assert_int_equal(changes[0]->would, POLICY_DENY);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(what_changes_is_counted_and_grouped),
        CASE(what_would_be_held_now_is_counted),
        CASE(what_was_never_understood_stays_refused),
        CASE(a_session_that_began_before_is_asked_for),
        CASE(a_sidecar_speaks_for_its_own_sessions_only),
        CASE(a_closed_session_is_forgotten),
        CASE(what_is_not_recorded_whole_is_not_replayed),
        CASE(what_an_execute_ran_counts),
        CASE(a_function_call_has_no_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

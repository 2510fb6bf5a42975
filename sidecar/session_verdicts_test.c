/* The policy is asked once for the same question in the same second, and again for everything else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sidecar/session_fixture.h"

static int64_t stopped(void *context)
{
    return *(const int64_t *)context;
}

static int64_t now;

static void open_session(struct fixture *f)
{
    now = INT64_C(1800000000) * 1000000000;
    f->clock.wall_ns = stopped;
    f->clock.late_wall_ns = NULL;
    f->clock.context = &now;
    fixture_open_session(f);
    f->evaluated = 0;
}

/* What the agent then hears is the sidecar's own: nothing is allowed by what was kept. */
static void ask(struct fixture *f, const char *text, const char *heard)
{
    f->agent.size = f->target.size = 0;
    f->agent.got[0] = f->target.got[0] = '\0';
    fixture_say(&f->agent, text);
    if (heard == NULL) {
        UNTIL(f, fixture_heard(&f->target, text));
        fixture_say(&f->target, "ok\n");
        heard = "ok\n";
    }
    UNTIL(f, fixture_heard(&f->agent, heard));
}

static void test_the_same_question_is_asked_once(void **state)
{
    struct fixture *f = *state;
    open_session(f);
    ask(f, "do process 1\n", NULL);
    ask(f, "do process 2\n", NULL);
    assert_int_equal(f->evaluated, 1);
    ask(f, "do deny 3\n", "refused\n");
    ask(f, "do deny 4\n", "refused\n");
    ask(f, "do process 5\n", NULL);
    assert_int_equal(f->evaluated, 2);
    fixture_hang_up(&f->agent);
    UNTIL(f, directory_count(f->shared->directory) == 0);
    fixture_expect_records(f, "opened allow; intent do process 1; outcome success; "
                              "intent do process 2; outcome success; "
                              "intent do deny 3; intent do deny 4; "
                              "intent do process 5; outcome success; "
                              "closed agent_disconnected");
}

static void test_time_asks_again(void **state)
{
    struct fixture *f = *state;
    open_session(f);
    ask(f, "do process 1\n", NULL);
    now += 1000000000;
    ask(f, "do process 2\n", NULL);
    assert_int_equal(f->evaluated, 2);
    now -= 1000000000; /* also a clock that is set back */
    ask(f, "do process 3\n", NULL);
    assert_int_equal(f->evaluated, 3);
}

static void test_another_policy_is_asked(void **state)
{
    struct fixture *f = *state;
    open_session(f);
    ask(f, "do process 1\n", NULL);
    session_look_again(fixture_session(f));
    ask(f, "do process 2\n", NULL);
    assert_int_equal(f->evaluated, 2);
    const struct policy *policy = f->shared->policy;
    f->shared->policy = NULL;
    ask(f, "do process 3\n", "refused\n");
    f->shared->policy = policy;
    ask(f, "do process 4\n", NULL);
    assert_int_equal(f->evaluated, 2);
}

static void test_a_session_has_its_own(void **state)
{
    struct fixture *f = *state;
    open_session(f);
    ask(f, "do process 1\n", NULL);
    fixture_hang_up(&f->agent);
    UNTIL(f, directory_count(f->shared->directory) == 0);
    open_session(f);
    ask(f, "do process 2\n", NULL);
    assert_int_equal(f->evaluated, 1);
}

/* It starts something each time: it is no word to be repeated. */
static void test_a_hold_is_asked_each_time(void **state)
{
    struct fixture *f = *state;
    open_session(f);
    f->hold.effect = POLICY_HOLD;
    ask(f, "do hold big 1\n", "refused\n");
    ask(f, "do hold big 2\n", "refused\n");
    assert_int_equal(f->evaluated, 2);
}

/* Another one in any of its parts is another question. */
static void test_of_a_request_everything_counts(void **state)
{
    struct fixture *f = *state;
    struct policy_pair pair = {.name = "n", .value = "v"}, name = {.name = "m", .value = "v"},
                       value = {.name = "n", .value = "w"}, none = {.name = "n", .value = NULL};
    const struct policy_http same = {.method = "GET",
                                     .host = "api",
                                     .path = "/a",
                                     .query = &pair,
                                     .query_count = 1,
                                     .headers = &pair,
                                     .header_count = 1,
                                     .body = &pair,
                                     .body_count = 1};
    struct policy_http others[14];
    size_t n = 0;
    for (; n < sizeof(others) / sizeof(others[0]); n++) {
        others[n] = same;
    }
    others[0].method = "POST";
    others[1].host = "apj";
    others[2].path = "/b";
    others[3].query = &name;
    others[4].query = &value;
    others[5].query_count = 0;
    others[6].headers = &name;
    others[7].headers = &value;
    others[8].header_count = 0;
    others[9].body = &name;
    others[10].body = &none;
    others[11].body_count = 0;
    others[12].body_state = POLICY_BODY_UNREAD;
    others[13].is_websocket = true;
    open_session(f);
    struct protocol_link *link = (struct protocol_link *)fixture_session(f); /* it is the first */
    for (size_t i = 0; i < n; i++) {
        link->http = &same;
        ask(f, "do process 1\n", NULL);
        unsigned long evaluated = (unsigned long)f->evaluated;
        ask(f, "do process 2\n", NULL);
        assert_int_equal(f->evaluated, evaluated);
        link->http = &others[i];
        ask(f, "do process 3\n", NULL);
        assert_int_equal(f->evaluated, evaluated + 1);
    }
    link->http = NULL;
}

/* As those of a transaction that is made again and again; of more the last ones count. */
static void test_eight_questions_do_not_drive_each_other_out(void **state)
{
    struct fixture *f = *state;
    static const char *const paths[] = {"/a", "/b", "/c", "/d", "/e", "/f", "/g", "/h", "/i"};
    struct policy_http http = {.method = "GET", .host = "api"};
    open_session(f);
    struct protocol_link *link = (struct protocol_link *)fixture_session(f);
    link->http = &http;
    for (size_t i = 0; i < 24; i++) {
        http.path = paths[i % 8];
        ask(f, "do process 1\n", NULL);
    }
    assert_int_equal(f->evaluated, 8);
    http.path = paths[8];
    ask(f, "do process 2\n", NULL);
    ask(f, "do process 3\n", NULL);
    assert_int_equal(f->evaluated, 9);
    link->http = NULL;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_the_same_question_is_asked_once),
        CASE(test_time_asks_again),
        CASE(test_another_policy_is_asked),
        CASE(test_a_session_has_its_own),
        CASE(test_a_hold_is_asked_each_time),
        CASE(test_of_a_request_everything_counts),
        CASE(test_eight_questions_do_not_drive_each_other_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

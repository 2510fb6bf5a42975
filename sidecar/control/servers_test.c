/* Several control planes that serve the same: which one is taken, and what happens when it goes. */
#include <stdio.h>

#include "sidecar/control/control_fixture.h"
#include "sidecar/control/tunnel.h"

static struct fake_door *second_door(struct control_fixture *f)
{
    return fake_door_open(&f->fake.ca, "IP:127.0.0.1,DNS:localhost",
                          rpc_server_port(f->fake.servers[0]), rpc_server_port(f->fake.servers[1]));
}

static bool has_said_hello_again(struct control_fixture *f)
{
    return is_connected(f) && f->fake.hellos > 1;
}

static bool has_said_hello_thrice(struct control_fixture *f)
{
    return is_connected(f) && f->fake.hellos > 2;
}

static void one_that_does_not_answer_is_passed_over(void **state)
{
    struct control_fixture *f = *state;
    const char *const others[] = {f->server};
    f->options.server = "127.0.0.1:1";
    f->options.others = others;
    f->options.others_count = 1;
    control_fixture_start(f);
    UNTIL(f, is_connected);
    assert_int_equal(f->fake.enrolled, 1);
}

static void one_that_is_silent_is_passed_over(void **state)
{
    struct control_fixture *f = *state;
    struct fake_door *silent = second_door(f);
    char address[32];
    fake_door_set_mood(silent, DOOR_SILENT);
    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", fake_door_port(silent));
    const char *const others[] = {f->server};
    f->options.server = address;
    f->options.others = others;
    f->options.others_count = 1;
    control_fixture_start(f);
    UNTIL(f, is_connected);
    assert_true(fake_door_count(silent) > 0);
    control_fixture_stop(f);
    fake_door_close(silent);
}

static void the_first_is_preferred(void **state)
{
    struct control_fixture *f = *state;
    struct fake_door *second = second_door(f);
    char address[32];
    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", fake_door_port(second));
    const char *const others[] = {address};
    f->options.others = others;
    f->options.others_count = 1;
    control_fixture_start(f);
    UNTIL(f, is_connected);
    assert_int_equal(fake_door_count(second), 0);
    control_fixture_stop(f);
    fake_door_close(second);
}

/* To the second, and from there to the first again. */
static void a_lost_one_is_left_for_the_next(void **state)
{
    struct control_fixture *f = *state;
    struct fake_door *second = second_door(f);
    char address[32];
    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", fake_door_port(second));
    const char *const others[] = {address};
    f->options.others = others;
    f->options.others_count = 1;
    control_fixture_start(f);
    UNTIL(f, is_connected);
    fake_door_cut(f->fake.door, true);
    UNTIL(f, has_said_hello_again);
    assert_true(fake_door_count(second) > 0);
    fake_door_reopen(f->fake.door);
    int before = fake_door_count(f->fake.door);
    fake_door_cut(second, true);
    UNTIL(f, has_said_hello_thrice);
    assert_true(fake_door_count(f->fake.door) > before);
    assert_int_equal(f->fake.enrolled, 1);
    control_fixture_stop(f);
    fake_door_close(second);
}

static void too_many_are_refused(void **state)
{
    struct control_fixture *f = *state;
    const char *others[TUNNEL_SERVERS_MAX];
    struct control *control = NULL;
    struct err_text why = {.text = ""};
    for (size_t i = 0; i < TUNNEL_SERVERS_MAX; i++) {
        others[i] = f->server;
    }
    f->options.others = others;
    f->options.others_count = TUNNEL_SERVERS_MAX;
    assert_int_equal(control_start(&f->options, &control, &why), ERR_INVALID);
    assert_non_null(strstr(why.text, "at most"));
    others[0] = "nonsense";
    f->options.others_count = 1;
    assert_int_equal(control_start(&f->options, &control, &why), ERR_INVALID);
    assert_non_null(strstr(why.text, "nonsense"));
}

#define WITH_FIXTURE(test)                                                                         \
    cmocka_unit_test_setup_teardown(test, control_fixture_setup, control_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(one_that_does_not_answer_is_passed_over),
        WITH_FIXTURE(one_that_is_silent_is_passed_over),
        WITH_FIXTURE(the_first_is_preferred),
        WITH_FIXTURE(a_lost_one_is_left_for_the_next),
        WITH_FIXTURE(too_many_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "cli/replay/player.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const int64_t second = 1000000000;

struct stage {
    struct recording *recording;
    struct script *script;
    struct player *player;
    struct terminal terminal;
    char *text;
    size_t size;
    size_t seen;
};

static void add_statement(struct recording *r, uint64_t operation, int64_t at_ns, const char *text)
{
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__Intent intent = CHAPERONE__V1__INTENT__INIT;
    Chaperone__V1__Entry entry = CHAPERONE__V1__ENTRY__INIT;
    const char *commands[] = {"SELECT"};
    uint8_t packed[1024];
    record.time_unix_ns = at_ns;
    record.event_case = CHAPERONE__V1__RECORD__EVENT_INTENT;
    record.intent = &intent;
    intent.operation = operation;
    intent.verdict = CHAPERONE__V1__VERDICT__ALLOW;
    intent.text.data = (uint8_t *)(uintptr_t)text;
    intent.text.len = strlen(text);
    intent.commands = (char **)(uintptr_t)commands;
    intent.n_commands = 1;
    entry.record.len = chaperone__v1__record__pack(&record, packed);
    entry.record.data = packed;
    assert_int_equal(recording_add(r, &entry), OK);
}

static int set_up(void **state)
{
    struct stage *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    s->recording = recording_create();
    assert_non_null(s->recording);
    add_statement(s->recording, 1, 100 * second, "SELECT first");
    add_statement(s->recording, 2, 110 * second, "SELECT second");
    add_statement(s->recording, 3, 120 * second, "SELECT third \x1b[2J");
    s->terminal = (struct terminal){.out = open_memstream(&s->text, &s->size)};
    assert_non_null(s->terminal.out);
    assert_int_equal(script_create(s->recording, &s->terminal, 5, 0, &s->script), OK);
    s->player = player_create(s->script, &s->terminal, 1, 0);
    assert_non_null(s->player);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct stage *s = *state;
    player_destroy(s->player);
    script_destroy(s->script);
    recording_destroy(s->recording);
    (void)fclose(s->terminal.out);
    free(s->text);
    free(s);
    return 0;
}

/* What was written since the last look. */
static const char *look(struct stage *s)
{
    assert_int_equal(fflush(s->terminal.out), 0);
    const char *text = s->text + s->seen;
    s->seen = s->size;
    return text;
}

static void press(struct stage *s, const char *keys, int64_t now_ns)
{
    player_keys(s->player, bytes_of_string(keys), now_ns);
}

static void test_each_in_its_time(void **state)
{
    struct stage *s = *state;
    assert_int_equal(player_turn(s->player, 0), 10 * second);
    assert_non_null(strstr(look(s), "first"));
    assert_int_equal(player_turn(s->player, 4 * second), 6 * second);
    assert_string_equal(look(s), "");
    assert_int_equal(player_turn(s->player, 10 * second), 10 * second);
    assert_non_null(strstr(look(s), "second"));
    assert_false(player_is_over(s->player));
    assert_int_equal(player_turn(s->player, 20 * second), 0);
    const char *rest = look(s);
    assert_non_null(strstr(rest, "third"));
    /* An agent's escape sequences do not reach the terminal. */
    assert_null(strchr(rest, 0x1b));
    /* An intent without an outcome is never a success. */
    assert_non_null(strstr(rest, "#3 no outcome is recorded"));
    assert_true(player_is_over(s->player));
}

static void test_pause_and_end(void **state)
{
    struct stage *s = *state;
    (void)player_turn(s->player, 0);
    press(s, " ", 3 * second);
    assert_int_equal(player_turn(s->player, 100 * second), -1);
    press(s, " ", 200 * second);
    assert_int_equal(player_turn(s->player, 200 * second), 7 * second);
    press(s, "+", 200 * second);
    assert_int_equal(player_turn(s->player, 200 * second), 7 * second / 2);
    press(s, "q", 200 * second);
    assert_true(player_is_over(s->player));
    (void)player_turn(s->player, 1000 * second);
    assert_null(strstr(look(s), "second"));
}

static void test_arrows_go_from_statement_to_statement(void **state)
{
    struct stage *s = *state;
    (void)player_turn(s->player, 0);
    (void)look(s);
    press(s, "\x1b[", second);
    press(s, "C", second);
    assert_non_null(strstr(look(s), "second"));
    assert_int_equal(player_turn(s->player, second), 10 * second);
    press(s, "\x1bOD", second);
    assert_non_null(strstr(look(s), "first"));
    assert_int_equal(player_turn(s->player, second), 10 * second);
    press(s, "\x1b[D", second); /* there is none before */
    assert_null(strstr(look(s), "second"));
    press(s, "\x1b[C\x1b[C\x1b[C", second);
    assert_non_null(strstr(look(s), "third"));
    assert_int_equal(player_turn(s->player, second), 0);
    assert_true(player_is_over(s->player));
}

static void test_search(void **state)
{
    struct stage *s = *state;
    (void)player_turn(s->player, 0);
    (void)look(s);
    press(s, "/SECOx\x7fn q\b\b", second);
    assert_int_equal(player_turn(s->player, 50 * second), -1);
    assert_string_equal(look(s), ""); /* what is typed is no command */
    press(s, "D\r", 50 * second);
    assert_non_null(strstr(look(s), "second"));
    assert_int_equal(player_turn(s->player, 90 * second), -1);
    press(s, "n", 90 * second); /* not found again: it stays */
    assert_string_equal(look(s), "");
    press(s, "/third\x1b", 90 * second); /* given up */
    press(s, " ", 90 * second);
    assert_int_equal(player_turn(s->player, 90 * second), 10 * second);
}

static void test_labels_and_times(void **state)
{
    struct stage *s = *state;
    assert_true(script_step(s->script, 1)->is_statement);
    assert_string_equal(script_step(s->script, 1)->label, "#2 SELECT");
    assert_int_equal(script_step(s->script, 2)->due_ns, 20 * second);
    /* The last one says what is missing. */
    assert_int_equal(script_count(s->script), 4);
    assert_false(script_step(s->script, 3)->is_statement);
}

static void test_a_long_session_is_said(void **state)
{
    struct stage *s = *state;
    Chaperone__V1__Entry entry = CHAPERONE__V1__ENTRY__INIT;
    uint8_t none[] = {0xff};
    entry.record.data = none;
    entry.record.len = sizeof(none);
    assert_int_equal(recording_add(s->recording, &entry), ERR_INVALID);
    entry.record.len = (size_t)RECORDING_SIZE_MAX + 1; /* is not looked at */
    assert_int_equal(recording_add(s->recording, &entry), ERR_LIMIT);
    assert_int_equal(recording_count(s->recording), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_in_its_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pause_and_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_arrows_go_from_statement_to_statement, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_search, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_labels_and_times, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_long_session_is_said, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Held operations: what ends them, what outlives a restart, what counts for later ones. */
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/testing/held.h"

/* --- time --------------------------------------------------------------------------------------
 */

static void time_ends_what_nobody_decides(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct listening *l = held_connect(&s, 0);
    held_asks(&s, (struct held_asking){.number = 1, .lifetime_ms = 50}, WAITS, 1);
    assert_int_equal(held_told(l, 1)->state, EXPIRED);
    assert_answer(held_say(f, (struct held_word){.who = "ann", .group = "dba", .number = 1}),
                  RPC_FAILED_PRECONDITION, "time has passed");
    held_asks(&s, (struct held_asking){.number = 1, .lifetime_ms = 50}, EXPIRED, 1);
    listening_finish(l);
    sidecar_finish(&s);
}

static void reconnect(struct fixture *f, struct sidecar *s)
{
    rpc_channel_destroy(s->channel);
    fixture_restart(f);
    s->channel = fixture_channel(f, buffer_bytes(&s->certificate_pem), s->key);
}

static void what_is_held_survives_a_restart(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    held_asks(&s, (struct held_asking){.number = 1}, WAITS, 1);
    held_asks(&s, (struct held_asking){.number = 2}, WAITS, 2);
    reconnect(f, &s);
    held_asks(&s, (struct held_asking){.number = 1}, WAITS, 1);
    held_says(f, (struct held_word){.who = "ann", .group = "dba", .number = 1}, APPROVED);
    const unsigned both[] = {1, 2}; /* it was away when the first was decided */
    struct listening *l = held_connect_all(&s, both, 2);
    assert_int_equal(held_told(l, 1)->state, APPROVED);
    listening_finish(l);
    /* The clock goes on while nobody is there. */
    fixture_set_clock(f, INT64_C(61) * 1000000000);
    reconnect(f, &s);
    struct listening *events = held_follow(f, "auditors", 3, false);
    assert_int_equal(held_event(events, 0)->approval->state, EXPIRED);
    assert_int_equal(held_state(f, 2), EXPIRED);
    listening_finish(events);
    fixture_set_clock(f, 0);
    sidecar_finish(&s);
}

/* --- retry mode --------------------------------------------------------------------------------
 */

static void who_comes_again_gets_what_was_decided(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f), other = fixture_sidecar(f);
    struct held_asking what = {.number = 1, .digest = 50, .is_retry = true};
    held_asks(&s, what, WAITS, 1);
    what.number = 2;
    held_asks(&s, what, WAITS, 1); /* no second ticket */
    held_says(f, (struct held_word){.who = "ann", .group = "dba", .number = 1}, APPROVED);
    held_asks(&s, (struct held_asking){.number = 3, .digest = 51, .is_retry = true}, WAITS, 3);
    what.agent = "eve";
    held_asks(&s, (struct held_asking){.number = 9, .digest = 50, .is_retry = true, .agent = "eve"},
              WAITS, 9);
    what = (struct held_asking){.number = 4, .digest = 50, .is_retry = true};
    held_asks(&other, what, APPROVED, 1); /* the agent may have another sidecar by now */
    held_asks(&other, what, APPROVED, 1); /* the answer got lost */
    assert_answer(held_end(&other, 1, USED), RPC_OK, "");
    assert_int_equal(held_state(f, 1), USED);
    what.number = 5;
    held_asks(&s, what, WAITS, 5); /* it was used once */
    held_says(f, (struct held_word){.who = "ann", .group = "dba", .number = 5, .denies = true},
              DENIED);
    what.number = 6;
    held_asks(&s, what, DENIED, 5);
    sidecar_finish(&s);
    sidecar_finish(&other);
}

/* --- standing approvals ------------------------------------------------------------------------
 */

static void a_standing_approval_lets_the_same_shape_through(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct held_asking what = {.number = 1, .shape = "delete-1", .has_standing = true};
    struct held_word word = {
        .who = "ann", .group = "dba", .number = 1, .standing_s = 7200, .uses = 2};
    held_asks(&s, what, WAITS, 1);
    assert_answer(held_say(f, word), RPC_PERMISSION_DENIED, "at most 3600 seconds");
    word.standing_s = 600;
    word.uses = 6;
    assert_answer(held_say(f, word), RPC_PERMISSION_DENIED, "at most 5 uses");
    word.uses = 0;
    assert_answer(held_say(f, word), RPC_PERMISSION_DENIED, "at most 5 uses");
    word.uses = 2;
    held_says(f, word, APPROVED);
    const struct held_asking others[] = {
        {.number = 2, .shape = "delete-2", .has_standing = true},
        {.number = 3, .shape = "delete-1", .has_standing = true, .agent = "eve"},
        {.number = 4, .shape = "delete-1", .has_standing = true, .database = "stock"},
        {.number = 5, .shape = "delete-1"},                                   /* not allowed now */
        {.number = 6, .shape = "delete-1", .has_standing = true, .people = 2} /* other terms */
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        held_asks(&s, others[i], WAITS, others[i].number);
    }
    what.number = 10;
    held_asks(&s, what, APPROVED, 10);
    assert_answer(held_end(&s, 10, USED), RPC_OK, "");
    what.number = 11;
    held_asks(&s, what, APPROVED, 11);
    what.number = 12;
    held_asks(&s, what, WAITS, 12); /* used up */
    char id[37];
    struct answer a = held_get(f, held_id(11, id), "auditors");
    assert_string_not_equal(((const Chaperone__V1__HeldOperation *)a.reply)->standing, "");
    answer_finish(&a);
    sidecar_finish(&s);
}

static void a_standing_approval_ends(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct held_asking what = {.number = 1, .shape = "delete-1", .has_standing = true};
    held_asks(&s, what, WAITS, 1);
    held_says(
        f,
        (struct held_word){.who = "ann", .group = "dba", .number = 1, .standing_s = 600, .uses = 5},
        APPROVED);
    what.number = 2;
    held_asks(&s, what, APPROVED, 2);
    fixture_set_clock(f, INT64_C(601) * 1000000000);
    what.number = 3;
    held_asks(&s, what, WAITS, 3);
    fixture_set_clock(f, 0);
    sidecar_finish(&s);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        CASE(time_ends_what_nobody_decides),
        CASE(what_is_held_survives_a_restart),
        CASE(who_comes_again_gets_what_was_decided),
        CASE(a_standing_approval_lets_the_same_shape_through),
        CASE(a_standing_approval_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "controlplane/audit/arrivals.h"

enum { BATCH_MAX = 300 };

/* A batch in the making, of stream "s1" unless it is told otherwise. */
struct world {
    struct arrivals *arrivals;
    struct store_audit_record records[BATCH_MAX];
    struct arrival items[BATCH_MAX];
    size_t count;
    uint64_t sequence, position; /* of the last record */
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->arrivals = arrivals_create();
    assert_non_null(w->arrivals);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    arrivals_destroy(w->arrivals);
    free(w);
    return 0;
}

static struct arrival *add(struct world *w, enum store_audit_kind kind, const char *session)
{
    assert_true(w->count < BATCH_MAX);
    struct store_audit_record *r = &w->records[w->count];
    struct arrival *a = &w->items[w->count++];
    *r = (struct store_audit_record){.sequence = ++w->sequence,
                                     .index = {.kind = kind, .session = bytes_of_string(session)}};
    *a = (struct arrival){.record = r};
    return a;
}

static void add_intent(struct world *w, const char *session, uint64_t operation)
{
    struct arrival *a = add(w, STORE_INTENT, session);
    a->operation = operation;
    a->is_forwarded = true;
}

static void add_outcome(struct world *w, const char *session, uint64_t operation)
{
    add(w, STORE_OUTCOME, session)->operation = operation;
}

static void commit_of(struct world *w, const char *sidecar)
{
    arrivals_add(w->arrivals, sidecar, w->items, w->count, w->position + 1);
    w->position += w->count;
    w->count = 0;
}

static void commit(struct world *w)
{
    commit_of(w, "s1");
}

static bool is_whole(struct world *w, const char *session)
{
    return arrivals_take_whole(w->arrivals, "s1", session);
}

/* Positions first to last hold work only. */
static void work_at(struct world *w, uint64_t first, uint64_t last)
{
    for (uint64_t i = first; i <= last; i++) {
        add_outcome(w, "A", i);
    }
    w->position = first - 1;
    commit(w);
}

#define PASSES(after, to, until)                                                                   \
    do {                                                                                           \
        uint64_t next = 99999;                                                                     \
        assert_int_equal(arrivals_pass(w->arrivals, after, &next), to);                            \
        assert_int_equal(next, until);                                                             \
    } while (0)

static void test_work_is_passed(void **state)
{
    struct world *w = *state;
    PASSES(0, 0, 0);
    work_at(w, 1, 100);
    work_at(w, 101, 200);
    work_at(w, 301, 400);
    PASSES(0, 200, 300);
    PASSES(250, 250, 300); /* another control plane's: not known here */
    PASSES(300, 400, 0);
    PASSES(400, 400, 0);
    PASSES(0, 0, 0); /* forgotten: it is read */
}

static void test_positions_come_in_any_order(void **state)
{
    struct world *w = *state;
    work_at(w, 201, 300);
    work_at(w, 401, 450);
    work_at(w, 1, 100);
    work_at(w, 101, 200);
    PASSES(0, 300, 400);
}

static void test_a_look_into_the_middle(void **state)
{
    struct world *w = *state;
    work_at(w, 101, 200);
    PASSES(150, 200, 0);
}

static void test_what_is_noted_is_not_passed(void **state)
{
    static const enum store_audit_kind noted[] = {STORE_SESSION_OPENED, STORE_SESSION_CLOSED,
                                                  STORE_HEARTBEAT, STORE_LOSS};
    struct world *w = *state;
    for (size_t i = 0; i < sizeof(noted) / sizeof(noted[0]); i++) {
        uint64_t before = w->position;
        for (uint64_t n = 0; n < 50; n++) {
            add_outcome(w, "A", n);
        }
        (void)add(w, noted[i], "B");
        for (uint64_t n = 0; n < 50; n++) {
            add_outcome(w, "A", n);
        }
        commit(w);
        assert_true((arrivals_noted_kinds() & store_kind_bit(noted[i])) != 0);
        PASSES(before, before + 50, before + 51);
        PASSES(before + 51, before + 101, 0);
    }
}

static void test_too_many_pieces_forget_the_oldest(void **state)
{
    struct world *w = *state;
    for (uint64_t i = 0; i < 2000; i++) {
        work_at(w, 1000 * i + 1, 1000 * i + 20);
    }
    PASSES(0, 0, 976000);
    PASSES(976000, 976020, 977000);
}

static void test_a_session_with_all_its_outcomes(void **state)
{
    struct world *w = *state;
    (void)add(w, STORE_SESSION_OPENED, "A");
    add_intent(w, "A", 1);
    add_intent(w, "A", 2);
    commit(w);
    assert_false(is_whole(w, "A")); /* it goes on */
    add_outcome(w, "A", 1);
    add_outcome(w, "A", 2);
    (void)add(w, STORE_SESSION_CLOSED, "A");
    commit(w);
    assert_false(is_whole(w, "B"));
    assert_false(arrivals_take_whole(w->arrivals, "s2", "A"));
    assert_true(is_whole(w, "A"));
    assert_false(is_whole(w, "A"));
}

static void test_an_outcome_is_missing(void **state)
{
    struct world *w = *state;
    (void)add(w, STORE_SESSION_OPENED, "A");
    add_intent(w, "A", 1);
    add_intent(w, "A", 2);
    add_outcome(w, "A", 2);
    (void)add(w, STORE_SESSION_CLOSED, "A");
    commit(w);
    assert_false(is_whole(w, "A"));
}

static void test_what_was_held_needs_an_outcome_once_it_is_released(void **state)
{
    struct world *w = *state;
    for (int released = 0; released < 2; released++) {
        (void)add(w, STORE_SESSION_OPENED, "A");
        add(w, STORE_INTENT, "A")->operation = 1;
        struct arrival *a = add(w, STORE_APPROVAL, "A");
        a->operation = 1;
        a->is_forwarded = released == 1;
        (void)add(w, STORE_SESSION_CLOSED, "A");
        commit(w);
        assert_int_equal(is_whole(w, "A"), released == 0);
    }
}

static void test_records_that_went_another_way(void **state)
{
    struct world *w = *state;
    (void)add(w, STORE_SESSION_OPENED, "A");
    commit(w);
    w->sequence += 2; /* to another control plane */
    (void)add(w, STORE_SESSION_CLOSED, "A");
    commit(w);
    assert_false(is_whole(w, "A"));
}

static void test_a_session_of_which_the_beginning_was_not_seen(void **state)
{
    struct world *w = *state;
    w->sequence = 1000;
    (void)add(w, STORE_SESSION_CLOSED, "A");
    commit(w);
    assert_false(is_whole(w, "A"));
}

static void test_what_comes_behind_the_end_is_looked_at(void **state)
{
    struct world *w = *state;
    (void)add(w, STORE_SESSION_OPENED, "A");
    (void)add(w, STORE_SESSION_CLOSED, "A");
    add_intent(w, "A", 1);
    commit(w);
    assert_false(is_whole(w, "A"));
}

static void test_sessions_that_died_with_their_sidecar(void **state)
{
    struct world *w = *state;
    (void)add(w, STORE_SESSION_OPENED, "A");
    add(w, STORE_HEARTBEAT, "");
    (void)add(w, STORE_SESSION_CLOSED, "A");
    commit(w);
    assert_true(is_whole(w, "A")); /* a heartbeat alone changes nothing */
    (void)add(w, STORE_SESSION_OPENED, "B");
    add(w, STORE_HEARTBEAT, "");
    w->records[w->count - 1].index.has_no_sessions = true;
    (void)add(w, STORE_SESSION_CLOSED, "B");
    commit(w);
    assert_false(is_whole(w, "B"));
}

static void test_one_sidecar_does_not_end_the_session_of_another(void **state)
{
    struct world *w = *state;
    (void)add(w, STORE_SESSION_OPENED, "A");
    commit(w);
    (void)add(w, STORE_SESSION_OPENED, "A");
    (void)add(w, STORE_SESSION_CLOSED, "A");
    commit_of(w, "s2");
    assert_false(is_whole(w, "A"));
    assert_true(arrivals_take_whole(w->arrivals, "s2", "A"));
}

static void test_more_under_way_than_is_followed(void **state)
{
    struct world *w = *state;
    for (uint64_t n = 64; n <= 65; n++) {
        (void)add(w, STORE_SESSION_OPENED, "A");
        for (uint64_t i = 0; i < n; i++) {
            add_intent(w, "A", i);
        }
        for (uint64_t i = 0; i < n; i++) {
            add_outcome(w, "A", i);
        }
        (void)add(w, STORE_SESSION_CLOSED, "A");
        commit(w);
        assert_int_equal(is_whole(w, "A"), n == 64);
    }
}

/* Nobody asks: what ended first is forgotten, and what ended last is still known. */
static void test_sessions_that_nobody_asks_for(void **state)
{
    enum { SESSIONS = 10000 };
    struct world *w = *state;
    char name[32];
    for (int i = 0; i < SESSIONS; i++) {
        (void)snprintf(name, sizeof(name), "session %d", i);
        (void)add(w, STORE_SESSION_OPENED, name);
        (void)add(w, STORE_SESSION_CLOSED, name);
        commit(w);
    }
    assert_false(is_whole(w, "session 0"));
    assert_true(is_whole(w, "session 9999"));
    assert_true(is_whole(w, "session 5000"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_work_is_passed),
        TEST(test_positions_come_in_any_order),
        TEST(test_a_look_into_the_middle),
        TEST(test_what_is_noted_is_not_passed),
        TEST(test_too_many_pieces_forget_the_oldest),
        TEST(test_a_session_with_all_its_outcomes),
        TEST(test_an_outcome_is_missing),
        TEST(test_what_was_held_needs_an_outcome_once_it_is_released),
        TEST(test_records_that_went_another_way),
        TEST(test_a_session_of_which_the_beginning_was_not_seen),
        TEST(test_what_comes_behind_the_end_is_looked_at),
        TEST(test_sessions_that_died_with_their_sidecar),
        TEST(test_one_sidecar_does_not_end_the_session_of_another),
        TEST(test_more_under_way_than_is_followed),
        TEST(test_sessions_that_nobody_asks_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

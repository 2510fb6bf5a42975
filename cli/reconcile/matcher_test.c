#include "cli/reconcile/matcher.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { SECOND = 1000000000 };

struct fixture {
    struct matcher *m;
    char said[1024];
};

static enum err on_finding(void *context, const struct matcher_finding *f)
{
    static const char *const names[] = {"audit lacks", "log lacks", "refused ran"};
    struct fixture *x = context;
    size_t used = strlen(x->said);
    (void)snprintf(x->said + used, sizeof(x->said) - used, "%s %.*s at %d;", names[f->kind],
                   (int)f->text.size, (const char *)f->text.data, (int)(f->time_ns / SECOND));
    return OK;
}

static int setup(void **state)
{
    static struct fixture x;
    x.said[0] = '\0';
    x.m = matcher_create(&(struct matcher_options){
        .tolerance_ns = INT64_C(5) * SECOND, .on_finding = on_finding, .context = &x});
    assert_non_null(x.m);
    *state = &x;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *x = *state;
    matcher_destroy(x->m);
    return 0;
}

static void operation_of(struct fixture *x, uint64_t number, int time, const char *user,
                         const char *text, bool is_held)
{
    assert_int_equal(matcher_add_operation(
                         x->m, &(struct matcher_operation){.stream = "s",
                                                           .session = "a",
                                                           .operation = number,
                                                           .time_ns = time * INT64_C(1000000000),
                                                           .user = user,
                                                           .database = user == NULL ? NULL : "d",
                                                           .text = bytes_of_string(text),
                                                           .is_held = is_held}),
                     OK);
}

static void operation(struct fixture *x, uint64_t number, int time, const char *text)
{
    operation_of(x, number, time, "u", text, false);
}

static void end(struct fixture *x, uint64_t number, enum matcher_state state)
{
    assert_int_equal(matcher_set_state(x->m, "s", "a", number, state), OK);
}

static void entry_of(struct fixture *x, int time, const char *text, bool is_shared, bool is_failed,
                     bool is_prediction)
{
    assert_int_equal(
        matcher_add_entry(x->m, &(struct matcher_entry){.time_ns = time * INT64_C(1000000000),
                                                        .user = bytes_of_string("u"),
                                                        .database = bytes_of_string("d"),
                                                        .text = bytes_of_string(text),
                                                        .is_shared = is_shared,
                                                        .is_failed = is_failed,
                                                        .is_prediction = is_prediction}),
        OK);
}

static void entry(struct fixture *x, int time, const char *text)
{
    entry_of(x, time, text, false, false, false);
}

static void finish(struct fixture *x, const char *said)
{
    assert_int_equal(matcher_end(x->m), OK);
    assert_string_equal(x->said, said);
}

static void test_agree_in_either_order(void **state)
{
    struct fixture *x = *state;
    operation(x, 1, 100, "A");
    entry(x, 101, "A");
    entry(x, 102, "B");
    operation(x, 2, 101, "B");
    end(x, 1, MATCHER_EXECUTED);
    end(x, 2, MATCHER_EXECUTED);
    finish(x, "");
    assert_int_equal(matcher_counts(x->m).matched, 2);
}

static void test_one_stands_for_one(void **state)
{
    struct fixture *x = *state;
    operation(x, 1, 100, "A");
    end(x, 1, MATCHER_EXECUTED);
    entry(x, 100, "A");
    entry(x, 101, "A");
    operation(x, 2, 110, "B");
    operation(x, 3, 110, "B");
    end(x, 2, MATCHER_EXECUTED);
    end(x, 3, MATCHER_EXECUTED);
    entry(x, 110, "B");
    finish(x, "log lacks B at 110;audit lacks A at 101;");
}

static void test_tolerance_and_names(void **state)
{
    struct fixture *x = *state;
    operation(x, 1, 100, "A");
    entry(x, 106, "A");
    end(x, 1, MATCHER_EXECUTED);
    operation_of(x, 2, 200, "other", "B", false);
    entry(x, 200, "B");
    end(x, 2, MATCHER_EXECUTED);
    operation_of(x, 3, 300, NULL, "C", false);
    entry(x, 300, "C");
    finish(x, "log lacks A at 100;log lacks B at 200;audit lacks A at 106;audit lacks B at 200;");
}

static void test_outcomes(void **state)
{
    struct fixture *x = *state;
    operation(x, 1, 100, "failed");
    end(x, 1, MATCHER_FAILED);
    operation(x, 2, 100, "unknown");
    operation(x, 3, 100, "skipped");
    end(x, 3, MATCHER_NOT_EXECUTED);
    finish(x, "");
    assert_int_equal(matcher_counts(x->m).failed, 1);
    assert_int_equal(matcher_counts(x->m).unknown, 1);
}

static void test_refused_but_executed(void **state)
{
    struct fixture *x = *state;
    operation(x, 1, 100, "A");
    entry(x, 100, "A");
    end(x, 1, MATCHER_NOT_EXECUTED);
    operation(x, 2, 100, "B");
    end(x, 2, MATCHER_NOT_EXECUTED);
    entry(x, 100, "B");
    finish(x, "refused ran A at 100;audit lacks B at 100;");
    assert_int_equal(matcher_counts(x->m).matched, 0);
}

/* The same text twice, of which the first was skipped: the log's is the second's. */
static void test_given_back(void **state)
{
    struct fixture *x = *state;
    operation(x, 1, 100, "A");
    operation(x, 2, 100, "A");
    entry(x, 100, "A");
    end(x, 1, MATCHER_NOT_EXECUTED);
    end(x, 2, MATCHER_EXECUTED);
    finish(x, "");
    assert_int_equal(matcher_counts(x->m).matched, 1);
}

static void test_held(void **state)
{
    struct fixture *x = *state;
    operation_of(x, 1, 100, "u", "A", true);
    entry_of(x, 100, "A", false, false, true); /* EXPLAIN A, say */
    entry(x, 100, "A");                        /* not released yet: somebody else's */
    assert_int_equal(matcher_release(x->m, "s", "a", 1, INT64_C(500) * SECOND), OK);
    entry(x, 500, "A");
    end(x, 1, MATCHER_EXECUTED);
    operation_of(x, 2, 600, "u", "B", true); /* never released */
    entry_of(x, 600, "C", false, false, true);
    finish(x, "audit lacks A at 100;audit lacks C at 600;");
    assert_int_equal(matcher_counts(x->m).predictions, 1);
}

static void test_predictions_of_one_are_limited(void **state)
{
    struct fixture *x = *state;
    operation_of(x, 1, 100, "u", "A", true);
    for (int i = 0; i < 4; i++) {
        entry_of(x, 101, "A", false, false, true);
    }
    finish(x, "audit lacks A at 101;");
}

static void test_shared_and_failed(void **state)
{
    struct fixture *x = *state;
    operation(x, 1, 100, "A; A");
    end(x, 1, MATCHER_EXECUTED);
    entry_of(x, 100, "A; A", true, false, false);
    entry_of(x, 100, "A; A", true, false, false);
    entry_of(x, 100, "B", true, false, false);
    entry_of(x, 100, "C", false, true, false);
    finish(x, "audit lacks B at 100;");
    assert_int_equal(matcher_counts(x->m).errors, 1);
}

static void test_cut_text(void **state)
{
    struct fixture *x = *state;
    char text[600];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    struct matcher_operation o = {.stream = "s",
                                  .session = "a",
                                  .operation = 1,
                                  .time_ns = INT64_C(100) * SECOND,
                                  .text = bytes_of(text, 300),
                                  .text_size = sizeof(text) - 1};
    assert_int_equal(matcher_add_operation(x->m, &o), OK);
    end(x, 1, MATCHER_EXECUTED);
    text[400] = 'y'; /* beyond what was recorded */
    entry(x, 100, text);
    finish(x, "");
}

/* What is over is told and forgotten, long before the end; a running statement waits. */
static void test_time_goes_on(void **state)
{
    struct fixture *x = *state;
    operation(x, 1, 100, "A");
    operation(x, 2, 101, "B");
    entry(x, 100, "C");
    end(x, 2, MATCHER_EXECUTED);
    assert_int_equal(matcher_advance(x->m, INT64_C(105) * SECOND, INT64_C(105) * SECOND), OK);
    assert_string_equal(x->said, "");
    assert_int_equal(matcher_advance(x->m, INT64_C(107) * SECOND, INT64_C(107) * SECOND), OK);
    assert_string_equal(x->said, "log lacks B at 101;audit lacks C at 100;");
    end(x, 1, MATCHER_EXECUTED);
    finish(x, "log lacks B at 101;audit lacks C at 100;log lacks A at 100;");
}

static void test_behind_the_end_of_the_log(void **state)
{
    struct fixture *x = *state;
    operation(x, 1, 100, "A");
    operation(x, 2, 200, "B");
    end(x, 1, MATCHER_EXECUTED);
    end(x, 2, MATCHER_EXECUTED);
    matcher_end_entries(x->m, INT64_C(150) * SECOND);
    /* The audit goes on for long behind it. */
    assert_int_equal(matcher_advance(x->m, INT64_C(900) * SECOND, INT64_C(900) * SECOND), OK);
    assert_string_equal(x->said, "log lacks A at 100;");
    finish(x, "log lacks A at 100;");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_agree_in_either_order),
        TEST(test_one_stands_for_one),
        TEST(test_tolerance_and_names),
        TEST(test_outcomes),
        TEST(test_refused_but_executed),
        TEST(test_given_back),
        TEST(test_held),
        TEST(test_predictions_of_one_are_limited),
        TEST(test_shared_and_failed),
        TEST(test_cut_text),
        TEST(test_time_goes_on),
        TEST(test_behind_the_end_of_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

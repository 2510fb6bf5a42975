#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "controlplane/audit/fixture.h"
#include "controlplane/audit/tail.h"

static char alice[] = "alice", no_words[] = "***";

struct tailed {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct found found;
    size_t entries;
    bool ended;
    enum err err;
};

static bool on_tailed(void *context, const Chaperone__V1__SearchResponse *response)
{
    struct tailed *t = context;
    (void)pthread_mutex_lock(&t->mutex);
    bool go_on = answer_add(&t->found, response);
    t->entries += response->n_entries;
    (void)pthread_cond_signal(&t->changed);
    (void)pthread_mutex_unlock(&t->mutex);
    return go_on;
}

static void on_tail_end(void *context, enum err err, const struct err_text *why)
{
    struct tailed *t = context;
    (void)why;
    (void)pthread_mutex_lock(&t->mutex);
    assert_false(t->ended);
    t->ended = true;
    t->err = err;
    (void)pthread_cond_signal(&t->changed);
    (void)pthread_mutex_unlock(&t->mutex);
}

static const struct audit_tail_events tail_events = {.on_entries = on_tailed,
                                                     .on_end = on_tail_end};

static void tailed_init(struct tailed *t)
{
    *t = (struct tailed){.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    buffer_init(&t->found.text, 1 << 20);
}

/* Waits until `entries` have come or it has ended. */
static void tailed_wait(struct tailed *t, size_t entries)
{
    (void)pthread_mutex_lock(&t->mutex);
    while (t->entries < entries && !t->ended) {
        (void)pthread_cond_wait(&t->changed, &t->mutex);
    }
    (void)pthread_mutex_unlock(&t->mutex);
}

static void test_a_tail_goes_on_where_the_search_ended(void **state)
{
    struct test *t = *state;
    struct tailed tailed;
    struct audit_tail *tail = NULL;
    Chaperone__V1__SearchRequest request = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    tailed_init(&tailed);
    fixture_fill(t);
    request.identity = alice;
    request.limit = 2;
    assert_int_equal(audit_tail_start(t->store, t->feed, &request, &tail_events, &tailed, &tail),
                     OK);
    tailed_wait(&tailed, 2);
    for (int i = 0; i < 3; i++) {
        ProtobufCBinaryData records[2] = {
            stream_maker_outcome(&t->maker, "A", 1),
            stream_maker_outcome(&t->maker, "B", 1), /* bob's */
        };
        fixture_ship_ok(t, records, 2);
        tailed_wait(&tailed, 3 + (size_t)i);
    }
    audit_tail_stop(tail);
    assert_true(tailed.ended);
    assert_int_equal(tailed.err, OK);
    assert_true(bytes_equal_string(buffer_bytes(&tailed.found.text), "4 5 12 14 16"));
    buffer_finish(&tailed.found.text);
}

/* Tails that start while records arrive: each sees every one once, in order. */
static void test_a_tail_misses_nothing_and_repeats_nothing(void **state)
{
    enum { BATCHES = 40, TAILS = 4 };
    struct test *t = *state;
    struct tailed tailed[TAILS];
    struct audit_tail *tails[TAILS] = {NULL};
    Chaperone__V1__SearchRequest request = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    struct buffer expected;
    buffer_init(&expected, 1 << 20);
    for (int i = 0; i < BATCHES; i++) {
        if (i % (BATCHES / TAILS) == 0) {
            struct tailed *next = &tailed[i / (BATCHES / TAILS)];
            tailed_init(next);
            assert_int_equal(audit_tail_start(t->store, t->feed, &request, &tail_events, next,
                                              &tails[i / (BATCHES / TAILS)]),
                             OK);
        }
        ProtobufCBinaryData record = stream_maker_outcome(&t->maker, "A", 1);
        fixture_ship_ok(t, &record, 1);
        assert_int_equal(buffer_append_format(&expected, i == 0 ? "%d" : " %d", i + 1), OK);
    }
    for (int i = 0; i < TAILS; i++) {
        tailed_wait(&tailed[i], BATCHES);
        audit_tail_stop(tails[i]);
        assert_int_equal(tailed[i].err, OK);
        assert_true(bytes_equal(buffer_bytes(&tailed[i].found.text), buffer_bytes(&expected)));
        buffer_finish(&tailed[i].found.text);
    }
    buffer_finish(&expected);
}

static void test_a_tail_ends_when_told_and_when_wrong(void **state)
{
    struct test *t = *state;
    struct tailed tailed;
    struct audit_tail *tail = NULL;
    Chaperone__V1__SearchRequest request = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    tailed_init(&tailed);
    tailed.found.stop_after = 1;
    fixture_fill(t);
    assert_int_equal(audit_tail_start(t->store, t->feed, &request, &tail_events, &tailed, &tail),
                     OK);
    tailed_wait(&tailed, SIZE_MAX); /* it ends by itself: answer_add said stop */
    audit_tail_stop(tail);
    assert_int_equal(tailed.err, OK);
    buffer_finish(&tailed.found.text);
    tailed_init(&tailed);
    request.text = no_words;
    assert_int_equal(audit_tail_start(t->store, t->feed, &request, &tail_events, &tailed, &tail),
                     OK);
    tailed_wait(&tailed, SIZE_MAX);
    audit_tail_stop(tail);
    assert_int_equal(tailed.err, ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_a_tail_goes_on_where_the_search_ended),
        FIXTURE_TEST(test_a_tail_misses_nothing_and_repeats_nothing),
        FIXTURE_TEST(test_a_tail_ends_when_told_and_when_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

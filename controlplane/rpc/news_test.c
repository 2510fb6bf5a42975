#include "controlplane/rpc/news.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/testing/scratch.h"

enum { SIDECARS = 4, EACH = 3 * NEWS_WAITING_MAX / 2, ARENA_BLOCK = 4096, ARENA_CAP = 1 << 20 };

struct fixture {
    char directory[SCRATCH_SIZE];
    struct log log;
    struct store *store;
    struct news *news;
};

static void add_sidecar(struct store *store, const char *id)
{
    const struct store_sidecar s = {.id = id,
                                    .name = "",
                                    .version = "",
                                    .certificate_serial = "",
                                    .policy_state = "",
                                    .enrolled_by = ""};
    assert_int_equal(store_sidecar_add(store, &s), OK);
}

static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof(*f));
    char path[SCRATCH_SIZE + 16];
    scratch_create(f->directory);
    (void)snprintf(path, sizeof(path), "%s/db", f->directory);
    f->log = (struct log){.fd = -1, .clock = clock_system()};
    assert_int_equal(store_open_sqlite(path, NULL, &f->store, NULL), OK);
    add_sidecar(f->store, "0");
    add_sidecar(f->store, "1");
    add_sidecar(f->store, "2");
    add_sidecar(f->store, "3");
    assert_int_equal(news_create(f->store, &f->log, &f->news), OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    news_destroy(f->news);
    store_close(f->store);
    scratch_remove(f->directory);
    test_free(f);
    return 0;
}

static void assert_stored(struct store *store, const char *id, int64_t seen_ns, uint64_t revision,
                          const char *state)
{
    struct store_sidecar s;
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    assert_int_equal(store_sidecar_get(store, id, arena, &s), OK);
    assert_int_equal(s.last_seen_ns, seen_ns);
    assert_int_equal(s.policy_revision, revision);
    assert_string_equal(s.policy_state, state);
    arena_destroy(arena);
}

static void the_last_one_counts(void **state)
{
    struct fixture *f = *state;
    const struct store_sidecar_news news[] = {
        {.sidecar = "0", .policy_revision = 2, .policy_state = "delivered"},
        {.sidecar = "0", .seen_ns = 7, .policy_revision = 2, .policy_state = "active"},
        {.sidecar = "1", .policy_revision = 2, .policy_state = "delivered"},
        {.sidecar = "0", .seen_ns = 8},
    };
    for (size_t i = 0; i < sizeof(news) / sizeof(news[0]); i++) {
        news_add(f->news, &news[i]);
    }
    news_flush(f->news);
    assert_stored(f->store, "0", 8, 2, "active");
    assert_stored(f->store, "1", 0, 2, "delivered");
}

static void one_of_nobody_holds_no_other_up(void **state)
{
    struct fixture *f = *state;
    news_add(f->news, &(struct store_sidecar_news){.sidecar = "nobody", .seen_ns = 1});
    news_add(f->news, &(struct store_sidecar_news){.sidecar = "2", .seen_ns = 1});
    news_flush(f->news);
    assert_stored(f->store, "2", 1, 0, "");
}

static void what_waits_is_written_at_the_end(void **state)
{
    struct fixture *f = *state;
    news_add(f->news, &(struct store_sidecar_news){.sidecar = "3", .seen_ns = 5});
    news_destroy(f->news);
    f->news = NULL;
    assert_stored(f->store, "3", 5, 0, "");
}

struct speaker {
    struct news *news;
    const char *sidecar;
};

static void *speak(void *context)
{
    const struct speaker *s = context;
    for (int i = 1; i <= EACH; i++) {
        const struct store_sidecar_news one = {.sidecar = s->sidecar,
                                               .seen_ns = i,
                                               .policy_revision = (uint64_t)i,
                                               .policy_state = "active"};
        news_add(s->news, &one);
    }
    return NULL;
}

static void more_than_fits_waits_and_nothing_is_lost(void **state)
{
    struct fixture *f = *state;
    static const char *const names[SIDECARS] = {"0", "1", "2", "3"};
    struct speaker speakers[SIDECARS];
    pthread_t threads[SIDECARS];
    for (size_t i = 0; i < SIDECARS; i++) {
        speakers[i] = (struct speaker){.news = f->news, .sidecar = names[i]};
        assert_int_equal(pthread_create(&threads[i], NULL, speak, &speakers[i]), 0);
    }
    for (size_t i = 0; i < SIDECARS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    news_flush(f->news);
    for (size_t i = 0; i < SIDECARS; i++) {
        assert_stored(f->store, names[i], EACH, EACH, "active");
    }
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(the_last_one_counts),
        CASE(one_of_nobody_holds_no_other_up),
        CASE(what_waits_is_written_at_the_end),
        CASE(more_than_fits_waits_and_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The issuer's keys over time, and its absence. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "controlplane/identity/issuer_fixture.h"
#include "controlplane/identity/keycache.h"

/* ---- rotation --------------------------------------------------------------------------- */

static void test_rotated_key_is_fetched_at_once(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(issuer_verify(f, f->first, "first"), OK);
    issuer_publish(f, f->first, f->second);
    assert_int_equal(issuer_verify(f, f->second, "second"), OK);
    assert_int_equal(issuer_verify(f, f->first, "first"), OK);
    assert_int_equal(f->issuer.jwks_fetches, 2);
}

static void test_unknown_kid_is_rationed(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(issuer_verify(f, f->first, "first"), OK);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(issuer_verify(f, f->second, "second"), ERR_DENIED);
        issuer_assert_why(f, "the token is signed with an unknown key \"second\"");
    }
    assert_int_equal(f->issuer.jwks_fetches, 2); /* the first, and one because of the unknown key */
    issuer_publish(f, f->first, f->second);
    fake_issuer_pass(&f->issuer, KEYCACHE_REFETCH_S - 1);
    assert_int_equal(issuer_verify(f, f->second, "second"), ERR_DENIED);
    assert_int_equal(f->issuer.jwks_fetches, 2);
    fake_issuer_pass(&f->issuer, 1);
    assert_int_equal(issuer_verify(f, f->second, "second"), OK);
    assert_int_equal(f->issuer.jwks_fetches, 3);
}

static void test_withdrawn_key(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(issuer_verify(f, f->first, "first"), OK);
    issuer_publish(f, NULL, f->second);
    assert_int_equal(issuer_verify(f, f->first, "first"), OK); /* cached */
    fake_issuer_pass(&f->issuer, KEYCACHE_FRESH_DEFAULT_S);
    assert_int_equal(issuer_verify(f, f->first, "first"), ERR_DENIED);
    issuer_assert_why(f, "unknown key \"first\"");
}

static void test_cache_control(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *header;
        int64_t fresh_s;
    } cases[] = {
        {"", KEYCACHE_FRESH_DEFAULT_S},
        {"public", KEYCACHE_FRESH_DEFAULT_S},
        {"max-age=120", 120},
        {"public, MAX-AGE=3600, must-revalidate", 3600},
        {"max-age=0", KEYCACHE_FRESH_MIN_S},
        {"max-age=-5", KEYCACHE_FRESH_MIN_S},
        {"no-store", KEYCACHE_FRESH_MIN_S},
        {"no-cache, max-age=3600", KEYCACHE_FRESH_MIN_S},
        {"max-age=99999999999999999999999", KEYCACHE_FRESH_MAX_S},
        {"max-age=x", KEYCACHE_FRESH_MIN_S},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        f->issuer.cache_control = cases[i].header;
        fake_issuer_pass(&f->issuer, KEYCACHE_FRESH_MAX_S); /* what was cached is old now */
        int before = f->issuer.jwks_fetches;
        assert_int_equal(issuer_verify(f, f->first, "first"), OK);
        assert_int_equal(f->issuer.jwks_fetches, before + 1);
        fake_issuer_pass(&f->issuer, cases[i].fresh_s - 1);
        assert_int_equal(issuer_verify(f, f->first, "first"), OK);
        assert_int_equal(f->issuer.jwks_fetches, before + 1);
        fake_issuer_pass(&f->issuer, 1);
        assert_int_equal(issuer_verify(f, f->first, "first"), OK);
        assert_int_equal(f->issuer.jwks_fetches, before + 2);
    }
}

/* ---- absence ---------------------------------------------------------------------------- */

static void test_down_without_keys(void **state)
{
    struct fixture *f = *state;
    f->issuer.down = true;
    for (int i = 0; i < 50; i++) {
        assert_int_equal(issuer_verify(f, f->first, "first"), ERR_UNAVAILABLE);
        issuer_assert_why(f, "the keys of issuer " FAKE_ISSUER_URL
                             " cannot be fetched: discovery document: connection refused");
    }
    assert_int_equal(f->issuer.discovery_fetches, 1); /* a storm of tokens, one request */
    for (int i = 0; i < 600; i++) {
        fake_issuer_pass(&f->issuer, 1);
        assert_int_equal(issuer_verify(f, f->first, "first"), ERR_UNAVAILABLE);
    }
    /* After 1, 2, 4, 8, 16 and then each 30 seconds. */
    assert_in_range(f->issuer.discovery_fetches, 20, 26);
    f->issuer.down = false;
    fake_issuer_pass(&f->issuer, KEYCACHE_BACKOFF_MAX_S);
    assert_int_equal(issuer_verify(f, f->first, "first"), OK);
}

static void test_down_with_keys(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(issuer_verify(f, f->first, "first"), OK);
    f->issuer.down = true;
    fake_issuer_pass(&f->issuer, KEYCACHE_USABLE_S - 1);
    assert_int_equal(issuer_verify(f, f->first, "first"), OK);
    struct identity_provider_status status;
    identity_verifier_read_status(f->verifier, 0, &status);
    assert_true(status.failing);
    assert_int_equal(status.keys, 1);
    assert_int_equal(status.keys_age_s, KEYCACHE_USABLE_S - 1);
    assert_non_null(strstr(status.last_error.text, "connection refused"));
    fake_issuer_pass(&f->issuer, 1);
    assert_int_equal(issuer_verify(f, f->first, "first"), ERR_UNAVAILABLE);
    issuer_assert_why(f, "connection refused");
    identity_verifier_read_status(f->verifier, 0, &status);
    assert_int_equal(status.keys, 0);
}

/* Only the issuer could say whether the key is its own. */
static void test_down_and_unknown_key(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(issuer_verify(f, f->first, "first"), OK);
    f->issuer.down = true;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(issuer_verify(f, f->second, "second"), ERR_UNAVAILABLE);
        issuer_assert_why(f, "unknown key \"second\"");
        issuer_assert_why(f, "connection refused");
    }
    assert_int_equal(f->issuer.discovery_fetches, 2);
    assert_int_equal(issuer_verify(f, f->first, "first"), OK);
}

/* ---- threads ---------------------------------------------------------------------------- */

enum { THREADS = 8 };

struct crowd {
    struct keycache *cache;
    pthread_barrier_t start;
    struct identity_fetcher inner;
    pthread_mutex_t lock;
    int inside, most_inside, arrived;
};

/* The first request is under way while all the others ask. */
static void wait_for_the_others(struct crowd *crowd)
{
    bool here = false;
    while (!here) {
        (void)pthread_mutex_lock(&crowd->lock);
        here = crowd->arrived == THREADS;
        (void)pthread_mutex_unlock(&crowd->lock);
        (void)sched_yield();
    }
    for (int i = 0; i < 10000; i++) {
        (void)sched_yield(); /* from having arrived to asking is a few instructions */
    }
}

static enum err count_fetch(void *context, const struct identity_fetch_request *request,
                            struct identity_fetch_response *out, struct err_text *why)
{
    struct crowd *crowd = context;
    (void)pthread_mutex_lock(&crowd->lock);
    crowd->inside++;
    crowd->most_inside = crowd->inside > crowd->most_inside ? crowd->inside : crowd->most_inside;
    (void)pthread_mutex_unlock(&crowd->lock);
    wait_for_the_others(crowd);
    enum err e = crowd->inner.fetch(crowd->inner.context, request, out, why);
    (void)pthread_mutex_lock(&crowd->lock);
    crowd->inside--;
    (void)pthread_mutex_unlock(&crowd->lock);
    return e;
}

static void *ask_for_keys(void *context)
{
    struct crowd *crowd = context;
    (void)pthread_barrier_wait(&crowd->start);
    (void)pthread_mutex_lock(&crowd->lock);
    crowd->arrived++;
    (void)pthread_mutex_unlock(&crowd->lock);
    for (int i = 0; i < 200; i++) {
        struct jwks *keys = NULL;
        uint64_t edition = 0;
        if (keycache_get(crowd->cache, &keys, &edition, NULL) != OK) {
            return crowd;
        }
        jwks_release(keys);
        keys = NULL;
        if (keycache_renew(crowd->cache, edition, &keys, NULL) == ERR_UNAVAILABLE) {
            return crowd;
        }
        jwks_release(keys);
    }
    return NULL;
}

struct seen {
    size_t count;
    char issuer[128], key_id[64], jwk[1024];
};

static void on_key(void *context, const char *issuer, const char *key_id, const char *jwk)
{
    struct seen *seen = context;
    seen->count++;
    (void)snprintf(seen->issuer, sizeof(seen->issuer), "%s", issuer);
    (void)snprintf(seen->key_id, sizeof(seen->key_id), "%s", key_id);
    (void)snprintf(seen->jwk, sizeof(seen->jwk), "%s", jwk);
}

/* What an auditor asks years later: with which key was this token checked? */
static void test_keys_are_told_when_they_have_come(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {.count = 0};
    struct identity_provider_config c = issuer_config();
    f->issuer.fetcher.on_key = on_key;
    f->issuer.fetcher.key_context = &seen;
    identity_verifier_destroy(f->verifier);
    f->verifier = NULL;
    assert_int_equal(identity_verifier_create(&c, 1, &f->issuer.clock, &f->issuer.fetcher,
                                              &f->verifier, &f->why),
                     OK);
    assert_int_equal(issuer_verify(f, f->first, "first"), OK);
    assert_int_equal(issuer_verify(f, f->first, "first"), OK);
    assert_int_equal(seen.count, 1); /* as often as they are fetched, not as they are used */
    assert_string_equal(seen.issuer, FAKE_ISSUER_URL);
    assert_string_equal(seen.key_id, "first");
    assert_non_null(strstr(seen.jwk, "\"kty\":\"EC\""));
    assert_null(strstr(seen.jwk, "\"d\""));
    issuer_publish(f, f->first, f->second);
    assert_int_equal(issuer_verify(f, f->second, "second"), OK);
    assert_int_equal(seen.count, 3);
    assert_string_equal(seen.key_id, "second");
}

static void test_many_threads_one_request(void **state)
{
    struct fixture *f = *state;
    struct crowd crowd = {.inner = f->issuer.fetcher};
    struct identity_fetcher counting = {.fetch = count_fetch, .context = &crowd};
    struct keycache_config c = {.issuer = FAKE_ISSUER_URL,
                                .discovery_timeout_ms = 1,
                                .jwks_timeout_ms = 1,
                                .clock = &f->issuer.clock,
                                .fetcher = &counting};
    crowd.cache = keycache_create(&c);
    assert_int_equal(pthread_barrier_init(&crowd.start, NULL, THREADS), 0);
    assert_int_equal(pthread_mutex_init(&crowd.lock, NULL), 0);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ask_for_keys, &crowd), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(crowd.most_inside, 1);
    assert_int_equal(f->issuer.jwks_fetches, 2); /* the clock stands still: one each */
    keycache_destroy(crowd.cache);
    (void)pthread_barrier_destroy(&crowd.start);
    (void)pthread_mutex_destroy(&crowd.lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ISSUER_TEST(test_rotated_key_is_fetched_at_once),
        ISSUER_TEST(test_unknown_kid_is_rationed),
        ISSUER_TEST(test_withdrawn_key),
        ISSUER_TEST(test_cache_control),
        ISSUER_TEST(test_down_without_keys),
        ISSUER_TEST(test_down_with_keys),
        ISSUER_TEST(test_down_and_unknown_key),
        ISSUER_TEST(test_keys_are_told_when_they_have_come),
        ISSUER_TEST(test_many_threads_one_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

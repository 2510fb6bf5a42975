/* The client against the real server. */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "controlplane/witness/witness_fixture.h"

static void real_start(struct fixture *f)
{
    struct buffer key;
    buffer_init(&key, TLOG_VERIFIER_TEXT_MAX + 1);
    assert_int_equal(tlog_verifier_format(&f->log.verifier, &key), OK);
    assert_int_equal(buffer_append(&key, bytes_of("", 1)), OK);
    const char *logs[] = {(const char *)buffer_bytes(&key).data};
    struct cosigner_options options = {.directory = f->directory,
                                       .name = NAME,
                                       .logs = logs,
                                       .log_count = 1,
                                       .clock = witness_fixture_clock(f)};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct witness_http_options http = {.address = (const struct sockaddr *)&address,
                                        .clock = clock_system()};
    if (f->directory[0] == '\0') {
        scratch_create(f->directory);
    }
    assert_int_equal(cosigner_create(&options, &f->cosigner, &f->why), OK);
    assert_int_equal(witness_http_start(f->cosigner, &http, &f->http, &f->port, &f->why), OK);
    f->trusted = *cosigner_verifier(f->cosigner);
    witness_fixture_client_to_port(f, "");
    buffer_finish(&key);
}

static void real_stop(struct fixture *f)
{
    witness_destroy(f->client);
    witness_http_stop(f->http);
    cosigner_destroy(f->cosigner);
    f->client = NULL;
    f->http = NULL;
    f->cosigner = NULL;
}

static void both_ends(void **state)
{
    struct fixture *f = *state;
    static const struct branch fork = {.fork_at = 10, .number = 1};
    real_start(f);
    for (uint64_t size = 0; size < 40; size += size / 5 + 1) {
        assert_int_equal(witness_fixture_cosign(f, &honest, size), OK);
        assert_int_equal(witness_fixture_cosign(f, &honest, size), OK);
    }
    assert_int_equal(witness_fixture_cosign(f, &honest, 50), OK);
    /* Restored from a backup, and then another history. */
    assert_int_equal(witness_fixture_cosign(f, &honest, 49), ERR_EXISTS);
    assert_int_equal(f->seen, 50);
    assert_int_equal(witness_fixture_cosign(f, &fork, 50), ERR_INVALID);
    assert_int_equal(witness_fixture_cosign(f, &fork, 51), ERR_INVALID);
    assert_int_equal(f->seen, 50);
    /* Both begin anew. */
    real_stop(f);
    real_start(f);
    assert_int_equal(witness_fixture_cosign(f, &fork, 51), ERR_INVALID);
    assert_int_equal(witness_fixture_cosign(f, &honest, 60), OK);
    /* Another log's key. */
    struct tlog_signer log = f->log;
    f->log.key = f->other_key;
    assert_int_equal(witness_fixture_cosign(f, &honest, 61), ERR_DENIED);
    f->log = log;
    /* The clock of the witness is ahead: its client's is not. */
    assert_int_equal(witness_fixture_cosign(f, &honest, 61), OK);
}

/* A repeatable sequence (Numerical Recipes). */
static uint32_t chance(uint32_t *state, uint32_t below)
{
    *state = *state * 1664525U + 1013904223U;
    return (*state >> 8) % below;
}

/* Whatever a log does: what it gets is cosignatures of one history, and each mistake has its
 * error. */
static void random_growth_and_forks(void **state)
{
    struct fixture *f = *state;
    struct branch history = honest;
    uint64_t seen = 0;
    uint32_t dice = 20261121;
    real_start(f);
    for (uint32_t i = 1; i <= 300; i++) {
        uint64_t size = seen + chance(&dice, 12);
        size -= chance(&dice, 4) < size ? chance(&dice, 4) % (size + 1) : 0;
        struct branch b = history;
        if (chance(&dice, 3) == 0) {
            b = (struct branch){.fork_at = chance(&dice, (uint32_t)seen + 10), .number = i};
        }
        /* Which of its leaves are those that were seen: a branch of a branch is another one. */
        bool is_same = b.number == history.number && b.fork_at == history.fork_at;
        uint64_t common = is_same                       ? UINT64_MAX
                          : b.fork_at < history.fork_at ? b.fork_at
                                                        : history.fork_at;
        bool extends = seen <= common;
        enum err expected = size < seen ? ERR_EXISTS : extends ? OK : ERR_INVALID;
        assert_int_equal(witness_fixture_cosign(f, &b, size), expected);
        if (expected == OK) {
            seen = size;
            history = b;
        } else {
            assert_int_equal(f->seen, seen);
        }
        if (chance(&dice, 20) == 0) {
            real_stop(f);
            real_start(f);
        }
    }
    assert_true(seen > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITNESS_TEST(both_ends),
        WITNESS_TEST(random_growth_and_forks),
    };
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}

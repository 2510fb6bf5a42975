#include "cli/witness/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/witness/memory_fixture.h"

#define ORIGIN "log.example/audit"

/* Keeps a checkpoint of `origin` with a root of `byte`s in the file of `kept_as`. */
static enum err keep(struct fixture *f, const char *kept_as, const char *origin, uint64_t size,
                     uint8_t byte)
{
    struct tlog_checkpoint checkpoint = {.origin = bytes_of_string(origin), .size = size};
    struct buffer text, note;
    memset(checkpoint.root.bytes, byte, TLOG_HASH_SIZE);
    buffer_init(&text, 4096);
    buffer_init(&note, 4096);
    assert_int_equal(tlog_checkpoint_format(&checkpoint, &text), OK);
    assert_int_equal(tlog_note_sign(buffer_bytes(&text), &f->self, 1, 1, &note), OK);
    enum err e = memory_keep(f->memory, kept_as, buffer_bytes(&note), &f->why);
    buffer_finish(&text);
    buffer_finish(&note);
    return e;
}

static enum err load(struct fixture *f, const char *origin, struct witness_seen *out)
{
    return memory_load(f->memory, origin, &f->self.verifier, out, &f->why);
}

static void what_was_kept_is_loaded(void **state)
{
    struct fixture *f = *state;
    struct witness_seen seen;
    assert_int_equal(load(f, ORIGIN, &seen), OK);
    assert_int_equal(seen.size, 0);
    for (uint8_t i = 1; i < 5; i++) {
        assert_int_equal(keep(f, ORIGIN, ORIGIN, i, i), OK);
        assert_int_equal(keep(f, "../../escape", "../../escape", 100 + i, i), OK);
        assert_int_equal(load(f, ORIGIN, &seen), OK);
        assert_int_equal(seen.size, i);
        assert_int_equal(seen.root.bytes[31], i);
    }
    memory_destroy(f->memory);
    f->memory = NULL;
    assert_int_equal(memory_create(f->directory, &f->memory, &f->why), OK);
    assert_int_equal(load(f, "../../escape", &seen), OK);
    assert_int_equal(seen.size, 104);
}

static void one_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct memory *other = NULL;
    assert_int_equal(memory_create(f->directory, &other, &f->why), ERR_EXISTS);
    assert_null(other);
    memory_destroy(f->memory);
    f->memory = NULL;
    assert_int_equal(memory_create(f->directory, &other, &f->why), OK);
    memory_destroy(other);
}

static void where_others_may_write(void **state)
{
    struct fixture *f = *state;
    memory_destroy(f->memory);
    f->memory = NULL;
    assert_int_equal(chmod(f->directory, 0770), 0);
    assert_int_equal(memory_create(f->directory, &f->memory, &f->why), ERR_DENIED);
    assert_int_equal(chmod(f->directory, 0755), 0);
    assert_int_equal(memory_create(f->directory, &f->memory, &f->why), OK);
}

static void what_is_not_its_own(void **state)
{
    struct fixture *f = *state;
    struct witness_seen seen = {.size = 77};
    struct fixture stranger = *f;
    /* Of another log, and of another witness. */
    assert_int_equal(keep(f, ORIGIN, "log.example/other", 5, 5), OK);
    assert_int_equal(load(f, ORIGIN, &seen), ERR_DENIED);
    assert_int_equal(crypto_ed25519_generate(&stranger.key), OK);
    assert_int_equal(tlog_signer_init(bytes_of_string("w.example"), TLOG_KEY_COSIGNATURE,
                                      stranger.key, &stranger.self),
                     OK);
    assert_int_equal(keep(&stranger, ORIGIN, ORIGIN, 5, 5), OK);
    assert_int_equal(load(f, ORIGIN, &seen), ERR_DENIED);
    assert_int_equal(memory_keep(f->memory, ORIGIN, bytes_of_string(""), &f->why), OK);
    assert_int_equal(load(f, ORIGIN, &seen), ERR_DENIED);
    assert_int_equal(seen.size, 77);
    crypto_ed25519_destroy(stranger.key);
}

/* The file cannot be replaced: from then on nothing is said to be kept. */
static void a_write_that_fails_half_way(void **state)
{
    struct fixture *f = *state;
    struct witness_seen seen;
    char path[256];
    assert_int_equal(keep(f, ORIGIN, ORIGIN, 5, 5), OK);
    uint8_t digest[CRYPTO_SHA256_SIZE];
    char name[2 * CRYPTO_SHA256_SIZE + 1];
    crypto_sha256_of(bytes_of_string("stuck"), digest);
    crypto_hex_encode(bytes_of(digest, sizeof(digest)), name);
    (void)snprintf(path, sizeof(path), "%s/seen/%s", f->directory, name);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_not_equal(keep(f, "stuck", "stuck", 1, 1), OK);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(keep(f, ORIGIN, ORIGIN, 6, 6), ERR_IO);
    assert_non_null(strstr(f->why.text, "must be started again"));
    assert_int_equal(load(f, ORIGIN, &seen), OK);
    assert_int_equal(seen.size, 5);
}

static void forks_are_kept_once_and_not_without_end(void **state)
{
    struct fixture *f = *state;
    char text[32];
    for (int i = 0; i < 2 * MEMORY_FORKS_MAX; i++) {
        assert_int_equal(memory_keep_fork(f->memory, bytes_of_string("the same"), &f->why), OK);
    }
    enum err e = OK;
    int kept = 1;
    for (int i = 0; e == OK && i < 2 * MEMORY_FORKS_MAX; i++) {
        (void)snprintf(text, sizeof(text), "fork %d", i);
        e = memory_keep_fork(f->memory, bytes_of_string(text), &f->why);
        kept += e == OK;
    }
    assert_int_equal(e, ERR_FULL);
    assert_int_equal(kept, MEMORY_FORKS_MAX);
    /* Those do not keep it from its work. */
    assert_int_equal(keep(f, ORIGIN, ORIGIN, 5, 5), OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_kept_is_loaded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_at_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(where_others_may_write, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_its_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_write_that_fails_half_way, set_up, tear_down),
        cmocka_unit_test_setup_teardown(forks_are_kept_once_and_not_without_end, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

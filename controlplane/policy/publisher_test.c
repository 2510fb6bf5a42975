#include "controlplane/policy/publisher.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/testing/scratch.h"

struct fixture {
    char directory[SCRATCH_SIZE];
    char key[96];
    struct clock clock;
    struct store *store;
    struct publisher *publisher;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    char path[96];
    scratch_create(f->directory);
    (void)snprintf(f->key, sizeof(f->key), "%s/policy.key", f->directory);
    (void)snprintf(path, sizeof(path), "%s/db", f->directory);
    f->clock = clock_system();
    assert_int_equal(store_open_sqlite(path, NULL, &f->store, NULL), OK);
    assert_int_equal(publisher_create(f->store, f->key, &f->clock, &f->publisher, NULL), OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    publisher_destroy(f->publisher);
    store_close(f->store);
    scratch_remove(f->directory);
    free(f);
    return 0;
}

static bool publish(struct fixture *f, const char *document)
{
    const struct publisher_draft draft = {
        .document = bytes_of_string(document), .source = "source", .created_by = "test"};
    struct publisher_result result = {0};
    assert_int_equal(publisher_publish(f->publisher, &draft, &result, NULL), OK);
    return result.changed;
}

static bool configure(struct fixture *f, const char *document)
{
    bool is_default = document == NULL;
    struct publisher_result result = {0};
    assert_int_equal(publisher_configure(f->publisher,
                                         bytes_of_string(is_default ? "{}" : document), "",
                                         is_default, &result, NULL),
                     OK);
    return result.changed;
}

/* As a sidecar checks it. */
static void assert_current(struct fixture *f, uint64_t revision, const char *document)
{
    const struct publication *p = publisher_current(f->publisher);
    uint8_t hash[CRYPTO_SHA256_SIZE], key[CRYPTO_ED25519_PUBLIC_SIZE];
    char hex[PUBLISHER_HASH_SIZE], text[256];
    assert_non_null(p);
    assert_int_equal(p->revision, revision);
    assert_true(bytes_equal_string(p->document, document));
    crypto_sha256_of(bytes_of_string(document), hash);
    crypto_hex_encode(bytes_of(hash, sizeof(hash)), hex);
    assert_string_equal(p->hash, hex);
    (void)snprintf(text, sizeof(text), "chaperone policy v1\n%" PRIu64 "\n%s", revision, hex);
    assert_int_equal(
        crypto_ed25519_public_from_der(bytes_of(p->public_key, sizeof(p->public_key)), key), OK);
    assert_true(crypto_ed25519_verify(bytes_of(key, sizeof(key)), bytes_of_string(text),
                                      bytes_of(p->signature, sizeof(p->signature))));
    publication_release(p);
}

static void a_change_makes_a_revision_and_the_same_again_none(void **state)
{
    struct fixture *f = *state;
    assert_null(publisher_current(f->publisher));
    assert_true(publish(f, "{\"a\":1}"));
    assert_current(f, 1, "{\"a\":1}");
    assert_false(publish(f, "{\"a\":1}"));
    assert_current(f, 1, "{\"a\":1}");
    assert_true(publish(f, "{\"a\":2}"));
    assert_current(f, 2, "{\"a\":2}");
    assert_true(publish(f, "{\"a\":1}"));
    assert_current(f, 3, "{\"a\":1}");
}

static void revisions_go_on_after_a_restart(void **state)
{
    struct fixture *f = *state;
    assert_true(publish(f, "{\"a\":1}"));
    publisher_destroy(f->publisher);
    f->publisher = NULL;
    assert_int_equal(publisher_create(f->store, f->key, &f->clock, &f->publisher, NULL), OK);
    assert_false(publish(f, "{\"a\":1}"));
    assert_current(f, 1, "{\"a\":1}");
    assert_true(publish(f, "{}"));
    assert_current(f, 2, "{}");
}

static void a_new_key_signs_a_new_revision(void **state)
{
    struct fixture *f = *state;
    assert_true(publish(f, "{\"a\":1}"));
    publisher_destroy(f->publisher);
    f->publisher = NULL;
    assert_int_equal(unlink(f->key), 0);
    assert_int_equal(publisher_create(f->store, f->key, &f->clock, &f->publisher, NULL), OK);
    assert_true(publish(f, "{\"a\":1}"));
    assert_current(f, 2, "{\"a\":1}");
}

static void the_configuration_counts_when_it_changes(void **state)
{
    struct fixture *f = *state;
    assert_true(configure(f, "{\"a\":1}"));
    assert_true(publish(f, "{\"a\":2}"));
    assert_false(configure(f, "{\"a\":1}"));
    assert_current(f, 2, "{\"a\":2}");
    assert_true(configure(f, "{\"a\":3}"));
    assert_current(f, 3, "{\"a\":3}");
    /* The same as the newest, but from now on what the configuration gave. */
    assert_true(publish(f, "{\"a\":4}"));
    assert_true(configure(f, "{\"a\":4}"));
    assert_true(publish(f, "{\"a\":5}"));
    assert_false(configure(f, "{\"a\":4}"));
    assert_current(f, 6, "{\"a\":5}");
}

static void the_default_is_only_for_an_empty_store(void **state)
{
    struct fixture *f = *state;
    assert_true(configure(f, NULL));
    assert_current(f, 1, "{}");
    assert_true(publish(f, "{\"a\":1}"));
    assert_false(configure(f, NULL));
    assert_current(f, 2, "{\"a\":1}");
}

static void a_new_key_signs_what_was_pushed(void **state)
{
    struct fixture *f = *state;
    assert_true(configure(f, "{}"));
    assert_true(publish(f, "{\"a\":1}"));
    publisher_destroy(f->publisher);
    f->publisher = NULL;
    assert_int_equal(unlink(f->key), 0);
    assert_int_equal(publisher_create(f->store, f->key, &f->clock, &f->publisher, NULL), OK);
    assert_true(configure(f, "{}"));
    assert_current(f, 3, "{\"a\":1}");
}

static void an_author_who_knows_an_older_one_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_true(publish(f, "{\"a\":1}"));
    assert_true(publish(f, "{\"a\":2}"));
    struct publisher_draft draft = {
        .document = bytes_of_string("{\"a\":3}"), .source = "", .created_by = "test", .expect = 1};
    struct publisher_result result = {0};
    struct err_text why = {0};
    assert_int_equal(publisher_publish(f->publisher, &draft, &result, &why), ERR_EXISTS);
    assert_non_null(strstr(why.text, "revision is 2, not 1"));
    assert_current(f, 2, "{\"a\":2}");
    draft.expect = 2;
    assert_int_equal(publisher_publish(f->publisher, &draft, &result, NULL), OK);
    assert_int_equal(result.revision, 3);
}

static void one_that_is_held_outlives_the_next(void **state)
{
    struct fixture *f = *state;
    assert_true(publish(f, "{\"a\":1}"));
    const struct publication *first = publisher_current(f->publisher);
    assert_true(publish(f, "{\"a\":2}"));
    assert_true(bytes_equal_string(first->document, "{\"a\":1}"));
    publication_release(first);
}

static void a_key_that_others_may_read_is_refused(void **state)
{
    struct fixture *f = *state;
    struct publisher *p = NULL;
    struct err_text why = {0};
    assert_int_equal(chmod(f->key, 0644), 0);
    assert_int_equal(publisher_create(f->store, f->key, &f->clock, &p, &why), ERR_DENIED);
    assert_non_null(strstr(why.text, f->key));
}

/* Two control planes on one store. */
static void what_another_one_published_is_taken_over(void **state)
{
    struct fixture *f = *state;
    struct publisher *other = NULL;
    struct publisher_result result = {0};
    bool changed = true;
    assert_int_equal(publisher_create(f->store, f->key, &f->clock, &other, NULL), OK);
    assert_int_equal(publisher_refresh(f->publisher, &changed), OK);
    assert_false(changed); /* there is none yet */
    assert_null(publisher_current(f->publisher));
    const struct publisher_draft draft = {
        .document = bytes_of_string("{\"a\":1}"), .source = "", .created_by = "test"};
    assert_int_equal(publisher_publish(other, &draft, &result, NULL), OK);
    assert_int_equal(publisher_refresh(f->publisher, &changed), OK);
    assert_true(changed);
    assert_current(f, 1, "{\"a\":1}");
    const struct publication *theirs = publisher_current(other);
    const struct publication *ours = publisher_current(f->publisher);
    assert_memory_equal(ours->signature, theirs->signature, sizeof(ours->signature));
    publication_release(theirs);
    publication_release(ours);
    /* One line of revisions, whoever makes them. */
    assert_true(publish(f, "{\"a\":2}"));
    assert_current(f, 2, "{\"a\":2}");
    assert_int_equal(publisher_refresh(f->publisher, &changed), OK);
    assert_false(changed);
    assert_int_equal(publisher_publish(other, &draft, &result, NULL), OK);
    assert_int_equal(result.revision, 3);
    publisher_destroy(other);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_change_makes_a_revision_and_the_same_again_none),
        CASE(revisions_go_on_after_a_restart),
        CASE(a_new_key_signs_a_new_revision),
        CASE(the_configuration_counts_when_it_changes),
        CASE(the_default_is_only_for_an_empty_store),
        CASE(a_new_key_signs_what_was_pushed),
        CASE(an_author_who_knows_an_older_one_is_refused),
        CASE(one_that_is_held_outlives_the_next),
        CASE(a_key_that_others_may_read_is_refused),
        CASE(what_another_one_published_is_taken_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

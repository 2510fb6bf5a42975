/* Who finds whom: by id, by published key, and removing oneself inside `each`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sidecar/directory.h"

/* The directory never looks into a session. */
struct session {
    struct directory *directory;
    struct directory_entry entry;
    char id[16];
};

enum { SESSIONS = 5 };

struct test {
    struct directory *directory;
    struct session sessions[SESSIONS];
};

static int setup(void **state)
{
    struct test *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    t->directory = directory_create();
    assert_non_null(t->directory);
    for (int i = 0; i < SESSIONS; i++) {
        struct session *s = &t->sessions[i];
        (void)snprintf(s->id, sizeof(s->id), "id-%d", i);
        s->directory = t->directory;
        s->entry = (struct directory_entry){.session = s, .id = s->id};
        directory_add(t->directory, &s->entry);
    }
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;
    directory_destroy(t->directory);
    free(t);
    return 0;
}

static enum err publish(struct test *t, int i, const char *key)
{
    return directory_publish(t->directory, &t->sessions[i].entry, bytes_of_string(key));
}

static struct session *find(struct test *t, const char *key)
{
    return directory_find_key(t->directory, bytes_of_string(key));
}

static void test_sessions_are_found_by_id(void **state)
{
    struct test *t = *state;
    assert_int_equal(directory_count(t->directory), SESSIONS);
    assert_ptr_equal(directory_find_id(t->directory, "id-3"), &t->sessions[3]);
    assert_null(directory_find_id(t->directory, "id-9"));
    directory_remove(t->directory, &t->sessions[3].entry);
    assert_null(directory_find_id(t->directory, "id-3"));
    assert_int_equal(directory_count(t->directory), SESSIONS - 1);
}

static void test_a_key_belongs_to_one_session(void **state)
{
    struct test *t = *state;
    assert_null(find(t, "one"));
    assert_int_equal(publish(t, 0, "one"), OK);
    assert_int_equal(publish(t, 1, "one"), ERR_EXISTS);
    assert_ptr_equal(find(t, "one"), &t->sessions[0]);
    assert_null(find(t, "on"));
    assert_null(find(t, "ones"));
    assert_null(find(t, ""));
    assert_int_equal(publish(t, 0, "two"), OK); /* instead of the first */
    assert_null(find(t, "one"));
    assert_ptr_equal(find(t, "two"), &t->sessions[0]);
    assert_int_equal(publish(t, 1, "one"), OK);
    directory_remove(t->directory, &t->sessions[0].entry);
    assert_null(find(t, "two"));
    assert_ptr_equal(find(t, "one"), &t->sessions[1]);
}

static void test_keys_have_a_size(void **state)
{
    struct test *t = *state;
    uint8_t key[DIRECTORY_KEY_MAX + 1] = {1};
    assert_int_equal(
        directory_publish(t->directory, &t->sessions[0].entry, bytes_of(key, sizeof(key))),
        ERR_LIMIT);
    assert_int_equal(directory_publish(t->directory, &t->sessions[0].entry, bytes_of(key, 0)),
                     ERR_LIMIT);
    assert_int_equal(
        directory_publish(t->directory, &t->sessions[0].entry, bytes_of(key, DIRECTORY_KEY_MAX)),
        OK);
    assert_ptr_equal(directory_find_key(t->directory, bytes_of(key, DIRECTORY_KEY_MAX)),
                     &t->sessions[0]);
}

/* With 1,024 buckets, 5,000 keys share them: each chain loses its first, middle and last. */
static void test_keys_that_share_a_bucket(void **state)
{
    (void)state;
    enum { MANY = 5000 };
    struct directory *d = directory_create();
    struct session *all = calloc(MANY, sizeof(*all));
    assert_non_null(d);
    assert_non_null(all);
    for (uint32_t i = 0; i < MANY; i++) {
        all[i].entry = (struct directory_entry){.session = &all[i], .id = all[i].id};
        directory_add(d, &all[i].entry);
        assert_int_equal(directory_publish(d, &all[i].entry, bytes_of(&i, sizeof(i))), OK);
    }
    for (uint32_t i = 0; i < MANY; i += 3) {
        directory_remove(d, &all[i].entry);
    }
    for (uint32_t i = 0; i < MANY; i++) {
        struct session *expected = i % 3 == 0 ? NULL : &all[i];
        assert_ptr_equal(directory_find_key(d, bytes_of(&i, sizeof(i))), expected);
    }
    directory_destroy(d);
    free(all);
}

struct visit {
    size_t count;
    int remove; /* this one removes itself; -1: each does */
};

static void visit_one(void *context, struct session *session)
{
    struct visit *v = context;
    v->count++;
    if (v->remove < 0 || session->id[3] - '0' == v->remove) {
        directory_remove(session->directory, &session->entry);
    }
}

static void test_a_session_may_go_while_all_are_visited(void **state)
{
    struct test *t = *state;
    for (int i = 0; i < SESSIONS; i += SESSIONS - 1) { /* the first, the last */
        struct visit v = {.remove = i};
        size_t before = directory_count(t->directory);
        directory_each(t->directory, visit_one, &v);
        assert_int_equal(v.count, before);
        assert_int_equal(directory_count(t->directory), before - 1);
    }
    struct visit v = {.remove = -1};
    directory_each(t->directory, visit_one, &v);
    assert_int_equal(v.count, SESSIONS - 2);
    assert_int_equal(directory_count(t->directory), 0);
    directory_each(t->directory, visit_one, &v);
    assert_int_equal(v.count, SESSIONS - 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sessions_are_found_by_id, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_key_belongs_to_one_session, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keys_have_a_size, setup, teardown),
        cmocka_unit_test(test_keys_that_share_a_bucket),
        cmocka_unit_test_setup_teardown(test_a_session_may_go_while_all_are_visited, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

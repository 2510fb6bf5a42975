#include "sidecar/headroom/headroom.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/testing/scratch.h"

enum { MIB = 1 << 20 };

/* ---- the limit of a cgroup ------------------------------------------------------------------ */

struct tree {
    char root[SCRATCH_SIZE];
};

static void write_file(const struct tree *t, const char *name, const char *text)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", t->root, name);
    for (char *slash = path + strlen(t->root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
        *slash = '/';
    }
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    (void)fputs(text, f);
    (void)fclose(f);
}

static size_t limit_of(const struct tree *t, const char *membership)
{
    char path[512];
    write_file(t, "membership", membership);
    (void)snprintf(path, sizeof(path), "%s/membership", t->root);
    return headroom_cgroup_limit(path, t->root);
}

static int setup(void **state)
{
    static struct tree t;
    scratch_create(t.root);
    *state = &t;
    return 0;
}

static int teardown(void **state)
{
    scratch_remove(((struct tree *)*state)->root);
    return 0;
}

static void test_the_least_limit_on_the_way_up_counts(void **state)
{
    const struct tree *t = *state;
    write_file(t, "pod/container/memory.max", "max\n");
    write_file(t, "pod/memory.max", "134217728\n");
    write_file(t, "memory.max", "268435456\n");
    assert_int_equal(limit_of(t, "0::/pod/container\n"), 128 * MIB);
    write_file(t, "pod/container/memory.max", "67108864\n");
    assert_int_equal(limit_of(t, "0::/pod/container\n"), 64 * MIB);
    assert_int_equal(limit_of(t, "0::/\n"), 256 * MIB);
}

static void test_the_first_version(void **state)
{
    const struct tree *t = *state;
    write_file(t, "memory/docker/one/memory.limit_in_bytes", "33554432\n");
    write_file(t, "memory/memory.limit_in_bytes", "9223372036854771712\n");
    assert_int_equal(limit_of(t, "5:devices:/docker/one\n4:memory:/docker/one\n0::/\n"), 32 * MIB);
    assert_int_equal(limit_of(t, "4:cpu,memory:/docker/one\n"), 32 * MIB);
    assert_int_equal(limit_of(t, "4:cpu,memory:/docker\n"), SIZE_MAX);
    assert_int_equal(limit_of(t, "4:memory_of_another:/docker/one\n"), SIZE_MAX);
}

static void test_a_group_whose_name_is_not_seen_in_here(void **state)
{
    const struct tree *t = *state;
    write_file(t, "memory.max", "33554432\n");
    assert_int_equal(limit_of(t, "0::/kubepods/burstable/pod4711/abc\n"), 32 * MIB);
}

static void test_what_is_no_limit(void **state)
{
    static const char *const texts[] = {
        "max\n", "", "\n", "lots\n", "12 apples\n", "99999999999999999999999999\n"};
    const struct tree *t = *state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        write_file(t, "memory.max", texts[i]);
        assert_int_equal(limit_of(t, "0::/\n"), SIZE_MAX);
    }
    assert_int_equal(limit_of(t, ""), SIZE_MAX);
    assert_int_equal(limit_of(t, "nothing that is known\n0:\n:\n"), SIZE_MAX);
    assert_int_equal(headroom_cgroup_limit("/nowhere", t->root), SIZE_MAX);
}

/* ---- room ----------------------------------------------------------------------------------- */

static bool has(size_t limit, size_t bytes)
{
    struct headroom *h = headroom_create(limit);
    assert_non_null(h);
    bool there = headroom_has(h, bytes);
    headroom_destroy(h);
    return there;
}

static void test_without_a_limit_there_is_room(void **state)
{
    (void)state;
    assert_true(has(SIZE_MAX, 0));
    assert_true(has(SIZE_MAX, 1));
    assert_true(has(SIZE_MAX, 400 * MIB));
    headroom_destroy(NULL);
}

static void test_what_the_process_has_counts_against_the_limit(void **state)
{
    (void)state;
    enum { MUCH = 64 * MIB };
    /* As much as nothing else in this process has: a sanitizer takes some for itself. */
    const size_t limit = (size_t)1024 * MIB;
    struct headroom *h = headroom_create(limit);
    assert_non_null(h);
    size_t most = limit;
    while (!headroom_has(h, most)) {
        most -= MIB;
    }
    assert_true(most > 0 && most < limit);
    char *taken = malloc(MUCH);
    assert_non_null(taken);
    assert_true(headroom_has(h, most - 4 * MIB)); /* address space alone is no memory */
    memset(taken, 'x', MUCH);
    assert_int_equal(taken[MUCH - 1], 'x');
    assert_false(headroom_has(h, most - 32 * MIB));
    assert_true(headroom_has(h, most - 128 * MIB));
    free(taken);
    headroom_destroy(h);
    assert_false(has(MIB / 4, 1)); /* it has more already */
}

static void test_the_address_space_counts_as_it_is_now(void **state)
{
    (void)state;
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    size_t pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%zu", &pages), 1);
    (void)fclose(f);
    struct headroom *h = headroom_create(SIZE_MAX);
    assert_non_null(h);
    struct rlimit tight = {.rlim_cur = pages * 4096 + 32 * MIB, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_AS, &tight), 0);
    bool small = headroom_has(h, 16 * MIB), again = headroom_has(h, 16 * MIB);
    bool large = headroom_has(h, 64 * MIB);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    assert_true(small);
    assert_true(again); /* it was only a look */
    assert_false(large);
    assert_true(headroom_has(h, 64 * MIB));
    headroom_destroy(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_least_limit_on_the_way_up_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_first_version, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_group_whose_name_is_not_seen_in_here, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_what_is_no_limit, setup, teardown),
        cmocka_unit_test(test_without_a_limit_there_is_room),
        cmocka_unit_test(test_what_the_process_has_counts_against_the_limit),
        cmocka_unit_test(test_the_address_space_counts_as_it_is_now),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

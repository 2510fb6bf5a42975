#include "controlplane/credentials/secret_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/testing/scratch.h"

struct place {
    char directory[SCRATCH_SIZE];
    char path[SCRATCH_SIZE + 8];
};

static struct place place_create(void)
{
    struct place p;
    scratch_create(p.directory);
    (void)snprintf(p.path, sizeof(p.path), "%s/a.key", p.directory);
    return p;
}

static void it_is_made_once_and_only_its_owner_reads_it(void **state)
{
    (void)state;
    struct place p = place_create();
    uint8_t first[SECRET_KEY_SIZE] = {0}, second[SECRET_KEY_SIZE] = {0};
    struct stat s;
    assert_int_equal(secret_key_load(p.path, "a key", first, NULL), OK);
    assert_int_equal(secret_key_load(p.path, "a key", second, NULL), OK);
    assert_memory_equal(first, second, sizeof(first));
    assert_int_equal(stat(p.path, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0600);
    assert_int_equal(s.st_size, SECRET_KEY_SIZE);
    scratch_remove(p.directory);
}

static void two_deployments_have_different_ones(void **state)
{
    (void)state;
    struct place p = place_create(), q = place_create();
    uint8_t first[SECRET_KEY_SIZE] = {0}, second[SECRET_KEY_SIZE] = {0};
    assert_int_equal(secret_key_load(p.path, "a key", first, NULL), OK);
    assert_int_equal(secret_key_load(q.path, "a key", second, NULL), OK);
    assert_memory_not_equal(first, second, sizeof(first));
    scratch_remove(p.directory);
    scratch_remove(q.directory);
}

static void what_others_may_read_is_no_key(void **state)
{
    (void)state;
    struct place p = place_create();
    uint8_t key[SECRET_KEY_SIZE] = {0}, untouched[SECRET_KEY_SIZE] = {0};
    struct err_text why = {0};
    assert_int_equal(secret_key_load(p.path, "a key", key, NULL), OK);
    assert_int_equal(chmod(p.path, 0640), 0);
    assert_int_equal(secret_key_load(p.path, "a key", untouched, &why), ERR_DENIED);
    assert_non_null(strstr(why.text, "chmod"));
    assert_memory_equal(untouched, (uint8_t[SECRET_KEY_SIZE]){0}, sizeof(untouched));
    scratch_remove(p.directory);
}

static void a_file_of_another_size_is_no_key(void **state)
{
    (void)state;
    for (off_t size = 0; size <= 2 * SECRET_KEY_SIZE; size += SECRET_KEY_SIZE - 1) {
        struct place p = place_create();
        uint8_t key[SECRET_KEY_SIZE];
        struct err_text why = {0};
        assert_int_equal(secret_key_load(p.path, "a masking key", key, NULL), OK);
        assert_int_equal(truncate(p.path, size), 0);
        assert_int_equal(secret_key_load(p.path, "a masking key", key, &why), ERR_INVALID);
        assert_non_null(strstr(why.text, "is not a masking key: expected 32 bytes"));
        scratch_remove(p.directory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_made_once_and_only_its_owner_reads_it),
        cmocka_unit_test(two_deployments_have_different_ones),
        cmocka_unit_test(what_others_may_read_is_no_key),
        cmocka_unit_test(a_file_of_another_size_is_no_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

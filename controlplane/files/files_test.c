#include "controlplane/files/files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/testing/scratch.h"

static int setup(void **state)
{
    *state = malloc(SCRATCH_SIZE);
    scratch_create(*state);
    return 0;
}

static int teardown(void **state)
{
    scratch_remove(*state);
    free(*state);
    return 0;
}

static void assert_content(const char *path, const char *expected)
{
    struct buffer b;
    buffer_init(&b, FILES_READ_CAP);
    assert_int_equal(files_read(path, &b, NULL), OK);
    assert_true(bytes_equal_string(buffer_bytes(&b), expected));
    buffer_finish(&b);
}

static void writes_with_the_mode_and_replaces(void **state)
{
    char *path = files_join(*state, "key");
    struct stat s;
    assert_int_equal(file_replace(path, 0600, bytes_of_string("one"), NULL), OK);
    assert_int_equal(file_replace(path, 0600, bytes_of_string("second"), NULL), OK);
    assert_content(path, "second");
    assert_int_equal(stat(path, &s), 0);
    assert_int_equal(s.st_mode & 07777, 0600);
    free(path);
}

static void create_never_replaces(void **state)
{
    char *path = files_join(*state, "key");
    assert_int_equal(files_create(path, 0600, bytes_of_string("one"), NULL), OK);
    assert_int_equal(files_create(path, 0600, bytes_of_string("two"), NULL), ERR_EXISTS);
    assert_content(path, "one");
    free(path);
}

static void a_lax_mode_is_named_with_its_remedy(void **state)
{
    char *path = files_join(*state, "key");
    struct err_text why = {0};
    assert_int_equal(files_check_private(path, &why), ERR_NOT_FOUND);
    assert_int_equal(file_replace(path, 0640, bytes_of_string("k"), NULL), OK);
    assert_int_equal(files_check_private(path, &why), ERR_DENIED);
    assert_non_null(strstr(why.text, "mode 0640"));
    assert_non_null(strstr(why.text, "chmod 600"));
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(files_check_private(path, &why), OK);
    free(path);
}

static void a_file_above_the_cap_is_refused(void **state)
{
    char *path = files_join(*state, "large");
    struct err_text why = {0};
    struct buffer b;
    buffer_init(&b, 4);
    assert_int_equal(file_replace(path, 0600, bytes_of_string("12345"), NULL), OK);
    assert_int_equal(files_read(path, &b, &why), ERR_LIMIT);
    assert_non_null(strstr(why.text, "larger than 4 bytes"));
    buffer_finish(&b);
    free(path);
}

static void directories_are_made_with_their_parents(void **state)
{
    char *path = files_join(*state, "a/b/c");
    struct stat s;
    assert_int_equal(files_make_directory(path, 0700, NULL), OK);
    assert_int_equal(files_make_directory(path, 0700, NULL), OK);
    assert_int_equal(stat(path, &s), 0);
    assert_int_equal(s.st_mode & 07777, 0700);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writes_with_the_mode_and_replaces, setup, teardown),
        cmocka_unit_test_setup_teardown(create_never_replaces, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lax_mode_is_named_with_its_remedy, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_above_the_cap_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(directories_are_made_with_their_parents, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/testing/scratch.h"

static void read_back(const char *path, char out[64])
{
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    out[fread(out, 1, 63, f)] = '\0';
    (void)fclose(f);
}

static void a_file_is_replaced_with_its_mode_and_nothing_is_left_beside_it(void **state)
{
    char directory[SCRATCH_SIZE];
    struct err_text why = {.text = ""};
    char path[128], text[64];
    struct stat st;
    (void)state;
    scratch_create(directory);
    (void)snprintf(path, sizeof(path), "%s/key", directory);
    assert_int_equal(file_replace(path, 0600, bytes_of_string("old, and longer"), &why), OK);
    assert_int_equal(file_replace(path, 0644, bytes_of_string("new"), &why), OK);
    read_back(path, text);
    assert_string_equal(text, "new");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0644);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(directory), 0); /* empty */
}

static void what_cannot_be_replaced_stays_and_is_named(void **state)
{
    char directory[SCRATCH_SIZE];
    struct err_text why = {.text = ""};
    char path[128];
    (void)state;
    scratch_create(directory);
    (void)snprintf(path, sizeof(path), "%s/none/key", directory);
    assert_int_equal(file_replace(path, 0600, bytes_of_string("x"), &why), ERR_IO);
    assert_non_null(strstr(why.text, path));
    (void)snprintf(path, sizeof(path), "%s/directory", directory);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(file_replace(path, 0600, bytes_of_string("x"), &why), ERR_IO);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(directory), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_replaced_with_its_mode_and_nothing_is_left_beside_it),
        cmocka_unit_test(what_cannot_be_replaced_stays_and_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

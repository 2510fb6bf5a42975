#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
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

static enum err read_from(const char *path, struct buffer *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    enum err e = file_read_all(fd, out);
    assert_int_equal(close(fd), 0);
    return e;
}

static void all_of_a_file_is_read_up_to_the_cap(void **state)
{
    enum { SIZE = 100000 };
    static uint8_t content[SIZE];
    char directory[SCRATCH_SIZE], path[128];
    struct err_text why = {.text = ""};
    (void)state;
    for (size_t i = 0; i < SIZE; i++) {
        content[i] = (uint8_t)(i * 7 >> 3);
    }
    scratch_create(directory);
    (void)snprintf(path, sizeof(path), "%s/large", directory);
    assert_int_equal(file_replace(path, 0600, bytes_of(content, SIZE), &why), OK);
    for (size_t more = 0; more < 3; more++) {
        struct buffer out;
        buffer_init(&out, 2 + SIZE + 1 - more);
        assert_int_equal(buffer_append_string(&out, "ab"), OK);
        assert_int_equal(read_from(path, &out), more < 2 ? OK : ERR_LIMIT);
        if (more < 2) {
            assert_int_equal(buffer_size(&out), 2 + SIZE);
            assert_memory_equal(buffer_bytes(&out).data + 2, content, SIZE);
        }
        buffer_finish(&out);
    }
    struct buffer none;
    buffer_init(&none, 10);
    assert_int_equal(read_from(directory, &none), ERR_IO);
    assert_int_equal(errno, EISDIR);
    buffer_finish(&none);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(directory), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_replaced_with_its_mode_and_nothing_is_left_beside_it),
        cmocka_unit_test(what_cannot_be_replaced_stays_and_is_named),
        cmocka_unit_test(all_of_a_file_is_read_up_to_the_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Small files: read whole, or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/testing/alloc_fail.h"
#include "sidecar/files.h"

static const char *path_of(const char *name)
{
    static char path[512];
    const char *dir = getenv("TEST_TMPDIR");
    (void)snprintf(path, sizeof(path), "%s/%s", dir == NULL ? "/tmp" : dir, name);
    return path;
}

/* Returns the path; valid until the next call. */
static const char *write_file(const char *name, size_t size)
{
    const char *path = path_of(name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    for (size_t i = 0; i < size; i++) {
        assert_int_not_equal(fputc((int)('a' + i % 26), f), EOF);
    }
    assert_int_equal(fclose(f), 0);
    return path;
}

static void test_a_file_is_appended_whole(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 1, 4095, 4096, 4097, 20000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct err_text why = {0};
        struct buffer b;
        buffer_init(&b, sizes[i] + 2); /* exactly */
        assert_int_equal(buffer_append_string(&b, "--"), OK);
        assert_int_equal(files_read(write_file("whole", sizes[i]), &b, &why), OK);
        assert_int_equal(buffer_size(&b), sizes[i] + 2);
        assert_memory_equal(buffer_bytes(&b).data, "--", 2);
        for (size_t k = 0; k < sizes[i]; k++) {
            assert_int_equal(buffer_bytes(&b).data[k + 2], 'a' + k % 26);
        }
        buffer_finish(&b);
    }
}

static void test_a_mistake_names_the_file(void **state)
{
    (void)state;
    struct err_text why = {0};
    struct buffer b;
    buffer_init(&b, 100);
    assert_int_equal(buffer_append_string(&b, "kept"), OK);
    assert_int_equal(files_read(path_of("nowhere"), &b, &why), ERR_NOT_FOUND);
    assert_non_null(strstr(why.text, "/nowhere: cannot be read: No such file"));
    assert_int_equal(files_read(write_file("long", 97), &b, &why), ERR_LIMIT);
    assert_non_null(strstr(why.text, "/long: is longer than 100 bytes"));
    assert_int_equal(files_read(path_of("."), &b, &why), ERR_IO);
    assert_non_null(strstr(why.text, "/.: cannot be read: Is a directory"));
    assert_int_equal(files_read(path_of("nowhere"), &b, NULL), ERR_NOT_FOUND);
    assert_true(bytes_equal_string(buffer_bytes(&b), "kept"));
    buffer_finish(&b);
}

struct run {
    const char *path;
    size_t whole;
};

static void read_once(void *context)
{
    struct run *run = context;
    struct buffer b;
    buffer_init(&b, FILES_SIZE_MAX);
    enum err e = files_read(run->path, &b, NULL);
    assert_int_equal(buffer_size(&b), e == OK ? 20000 : 0);
    assert_true(e == OK || alloc_fail_happened());
    run->whole += e == OK;
    buffer_finish(&b);
}

static void test_short_memory_is_an_error(void **state)
{
    (void)state;
    struct run run = {.path = write_file("large", 20000)};
    assert_true(alloc_fail_each(read_once, &run) >= 2);
    assert_int_equal(run.whole, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_is_appended_whole),
        cmocka_unit_test(test_a_mistake_names_the_file),
        cmocka_unit_test(test_short_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

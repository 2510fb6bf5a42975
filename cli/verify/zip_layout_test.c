#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/verify/zip_layout.h"

enum { FILE_MAX = 4096 };

/* What other programs wrote, of the corpus: as a seekable file, and as a stream with zip64. */
static const char *const good[] = {"cli/verify/zip_layout_corpus/plain",
                                   "cli/verify/zip_layout_corpus/streamed64",
                                   "cli/verify/zip_layout_corpus/end_only"};

static size_t load(const char *path, uint8_t out[FILE_MAX])
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t size = fread(out, 1, FILE_MAX, file);
    (void)fclose(file);
    assert_true(size > 0 && size < FILE_MAX);
    return size;
}

static void test_what_others_write(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint8_t data[FILE_MAX];
        struct err_text why = {0};
        size_t size = load(good[i], data);
        enum err e = zip_layout_check(bytes_of(data, size), &why);
        assert_string_equal(why.text, "");
        assert_int_equal(e, OK);
        assert_int_equal(zip_layout_check_file(good[i], &why), OK);
    }
}

static void test_a_byte_more_or_less_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        uint8_t data[FILE_MAX], other[FILE_MAX + 1];
        size_t size = load(good[i], data);
        for (size_t at = 0; at < size; at++) {
            struct err_text why = {0};
            assert_int_equal(zip_layout_check(bytes_of(data, at), &why), ERR_INVALID);
            memcpy(other, data, at);
            memcpy(other + at + 1, data + at, size - at);
            other[at] = 'x';
            assert_int_equal(zip_layout_check(bytes_of(other, size + 1), &why), ERR_INVALID);
            assert_true(why.text[0] != '\0');
        }
    }
}

static void test_what_is_no_file(void **state)
{
    (void)state;
    struct err_text why = {0};
    assert_int_equal(zip_layout_check(bytes_of(NULL, 0), &why), ERR_INVALID);
    assert_int_equal(zip_layout_check_file("no-such-file", &why), ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_others_write),
        cmocka_unit_test(test_a_byte_more_or_less_anywhere),
        cmocka_unit_test(test_what_is_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

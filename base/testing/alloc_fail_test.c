/* The failing allocator itself, and base under it: what fails leaves what was there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/testing/alloc_fail.h"
#include "base/writer.h"

static void *volatile block; /* so that no allocation is optimised away */

static void test_one_or_all_after_it_fail(void **state)
{
    (void)state;
    alloc_fail_start(2);
    block = malloc(1);
    assert_non_null(block);
    free(block);
    assert_false(alloc_fail_happened());
    block = calloc(1, 1);
    assert_null(block);
    assert_true(alloc_fail_happened());
    block = strdup("text");
    assert_non_null(block);
    free(block);
    assert_int_equal(alloc_fail_stop(), 3);
    alloc_fail_start_from(1);
    block = strndup("text", 2);
    assert_null(block);
    block = malloc(1);
    assert_null(block);
    assert_int_equal(alloc_fail_stop(), 2);
    block = malloc(1);
    assert_non_null(block);
    free(block);
}

struct buffer_run {
    size_t whole;
};

static void fill_buffer(void *context)
{
    struct buffer_run *run = context;
    struct buffer b;
    buffer_init(&b, 1 << 20);
    size_t expected = 0;
    for (size_t i = 0; i < 6; i++) {
        uint8_t piece[300];
        memset(piece, (int)i, sizeof(piece));
        enum err e = buffer_append(&b, bytes_of(piece, sizeof(piece)));
        assert_true(e == OK || e == ERR_NO_MEMORY);
        expected += e == OK ? sizeof(piece) : 0;
        assert_int_equal(buffer_size(&b), expected);
    }
    struct writer w = writer_start(&b);
    writer_put_string(&w, "a message");
    writer_put_bytes(&w, bytes_of("0123456789", 10));
    expected += writer_finish(&w) == OK ? 20 : 0;
    assert_int_equal(buffer_size(&b), expected);
    char longer[1000];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    expected += buffer_append_format(&b, "%s", longer) == OK ? sizeof(longer) - 1 : 0;
    assert_int_equal(buffer_size(&b), expected);
    for (size_t i = 0; i < buffer_size(&b) && i < 300; i++) {
        assert_int_equal(buffer_bytes(&b).data[i], buffer_bytes(&b).data[0]);
    }
    run->whole += expected == 6 * 300 + 20 + 999;
    buffer_finish(&b);
}

static void test_a_buffer_keeps_what_it_has(void **state)
{
    (void)state;
    struct buffer_run run = {0};
    size_t count = alloc_fail_each(fill_buffer, &run);
    assert_true(count >= 4);
    assert_int_equal(run.whole, 1); /* only where nothing failed */
}

static void fill_arena(void *context)
{
    size_t *whole = context;
    struct arena *a = arena_create(64, 4096);
    if (a == NULL) {
        return;
    }
    size_t handed_out = 0;
    for (size_t i = 0; i < 8; i++) {
        uint8_t *p = arena_alloc(a, 48);
        if (p != NULL) {
            handed_out++;
            for (size_t k = 0; k < 48; k++) {
                assert_int_equal(p[k], 0);
            }
            memset(p, 0xff, 48);
        }
        assert_int_equal(arena_used(a), handed_out * 48);
    }
    char *text = arena_copy_string(a, bytes_of_string("some text"));
    if (text != NULL) {
        assert_string_equal(text, "some text");
    }
    *whole += handed_out == 8 && text != NULL;
    arena_reset(a);
    assert_int_equal(arena_used(a), 0);
    void *again = arena_alloc(a, 48);
    assert_true(again != NULL || alloc_fail_happened());
    arena_destroy(a);
}

static void test_an_arena_goes_on_after_it(void **state)
{
    (void)state;
    size_t whole = 0;
    assert_true(alloc_fail_each(fill_arena, &whole) >= 5);
    assert_int_equal(whole, 1);
}

static void test_a_string_is_whole_or_not_there(void **state)
{
    (void)state;
    alloc_fail_start(1);
    assert_null(bytes_to_string(bytes_of("abc", 3)));
    char *text = bytes_to_string(bytes_of("abc", 2));
    (void)alloc_fail_stop();
    assert_string_equal(text, "ab");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_or_all_after_it_fail),
        cmocka_unit_test(test_a_buffer_keeps_what_it_has),
        cmocka_unit_test(test_an_arena_goes_on_after_it),
        cmocka_unit_test(test_a_string_is_whole_or_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

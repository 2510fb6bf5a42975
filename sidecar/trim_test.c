/* What is given back: pages of libraries, and of the heap when a crowd has gone. */
#include "sidecar/trim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CROWD = 1000, SESSION = 16 << 10, KEPT = 10 };

/* In KB, of /proc/self/status. */
static size_t read_status(const char *what)
{
    char line[256];
    size_t kb = 0;
    FILE *status = fopen("/proc/self/status", "re");
    assert_non_null(status);
    while (fgets(line, sizeof(line), status) != NULL) {
        if (strncmp(line, what, strlen(what)) == 0) {
            kb = strtoul(line + strlen(what), NULL, 10);
        }
    }
    (void)fclose(status);
    assert_true(kb > 0);
    return kb;
}

static void test_libraries_shrink_and_still_work(void **state)
{
    (void)state;
    size_t before = read_status("RssFile:");
    trim_libraries();
    assert_true(read_status("RssFile:") < before);
    char text[64]; /* code and constants come back */
    assert_int_equal(snprintf(text, sizeof(text), "%.3f %s", 2.0 / 3.0, strerror(2)), 31);
    assert_string_equal(text, "0.667 No such file or directory");
}

static bool is_sanitized(void)
{
#ifdef __SANITIZE_ADDRESS__
    return true;
#else
    return false;
#endif
}

/* As sessions do: of each of a crowd a little is left, and nothing at the heap's end is free. */
static void test_the_heap_shrinks_behind_a_crowd(void **state)
{
    (void)state;
    if (is_sanitized()) {
        return; /* its heap is another */
    }
    struct trim trim = {0};
    char *sessions[CROWD];
    char *remains[CROWD];
    for (size_t i = 0; i < CROWD; i++) {
        sessions[i] = malloc(SESSION);
        remains[i] = malloc(KEPT);
        assert_non_null(sessions[i]);
        assert_non_null(remains[i]);
        memset(sessions[i], 1, SESSION);
        trim_count(&trim, i + 1);
    }
    size_t crowded = read_status("RssAnon:");
    for (size_t i = 0; i < CROWD; i++) {
        free(sessions[i]);
        trim_count(&trim, CROWD - 1 - i);
    }
    size_t after = read_status("RssAnon:");
    assert_true(after + (size_t)CROWD * SESSION / 1024 / 2 < crowded);
    for (size_t i = 0; i < CROWD; i++) {
        free(remains[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_libraries_shrink_and_still_work),
        cmocka_unit_test(test_the_heap_shrinks_behind_a_crowd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/hardening/locked.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/hardening/child.h"
#include "base/hardening/hardening.h"

enum { SIZE = 32 };

/* Whether the mapping at `block` has the flag, by /proc/self/smaps. */
static bool has_flag(const void *block, const char *flag)
{
    FILE *f = fopen("/proc/self/smaps", "re");
    char line[512], start[32];
    bool inside = false, found = false;
    assert_non_null(f);
    (void)snprintf(start, sizeof(start), "%llx-", (unsigned long long)(uintptr_t)block);
    while (fgets(line, sizeof(line), f) != NULL) {
        inside = strncmp(line, start, strlen(start)) == 0 ||
                 (inside && strchr(line, '-') == NULL) ||
                 (inside && line[0] >= 'A' && line[0] <= 'Z');
        found =
            found || (inside && strncmp(line, "VmFlags:", 8) == 0 && strstr(line, flag) != NULL);
    }
    (void)fclose(f);
    return found;
}

static void test_it_is_locked_and_in_no_dump(void **state)
{
    (void)state;
    uint8_t *block = locked_alloc(SIZE);
    assert_non_null(block);
    for (size_t i = 0; i < SIZE; i++) {
        assert_int_equal(block[i], 0);
    }
    memset(block, 'k', SIZE);
    /* Under a sanitizer mlock does nothing. */
    assert_true(hardening_is_sanitized() || has_flag(block, " lo"));
    assert_true(has_flag(block, " dd")); /* do not dump */
    assert_true(has_flag(block, " wf")); /* wiped on fork */
    locked_free(block, SIZE);
    locked_free(NULL, SIZE);
}

static int look_before(void)
{
    (void)signal(SIGSEGV, SIG_DFL); /* cmocka's own goes on */
    volatile uint8_t *block = locked_alloc(SIZE);
    return block == NULL ? 0 : block[-1] + 1;
}

static int look_behind(void)
{
    (void)signal(SIGSEGV, SIG_DFL);
    volatile uint8_t *block = locked_alloc(SIZE);
    return block == NULL ? 0 : block[4096] + 1;
}

static void test_what_runs_over_ends(void **state)
{
    (void)state;
    if (hardening_is_sanitized()) {
        skip(); /* it reports by itself, and ends otherwise */
    }
    assert_int_equal(child_run(look_before), -SIGSEGV);
    assert_int_equal(child_run(look_behind), -SIGSEGV);
}

static int lock_beyond_the_limit(void)
{
    const struct rlimit none = {0};
    const struct hardening_options options = {0}; /* root may lock more than its limit */
    return setrlimit(RLIMIT_MEMLOCK, &none) == 0 && hardening_drop(&options, NULL) == OK &&
                   locked_alloc(SIZE) == NULL
               ? 0
               : 1;
}

static void test_a_limit_is_an_error(void **state)
{
    (void)state;
    if (!hardening_is_sanitized()) {
        assert_int_equal(child_run(lock_beyond_the_limit), 0);
    }
    assert_null(locked_alloc(0));
    assert_null(locked_alloc(SIZE_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_locked_and_in_no_dump),
        cmocka_unit_test(test_what_runs_over_ends),
        cmocka_unit_test(test_a_limit_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

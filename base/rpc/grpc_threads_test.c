/* Threads for gRPC where there is no address space for a stack any more. */
#include "base/rpc/grpc_threads.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/sanitized.h"

enum { STACK_USED = GRPC_THREADS_STACK_SIZE / 2 };

/* Half of the stack is touched: it is memory. */
static void *use_stack(void *context)
{
    volatile char room[STACK_USED];
    for (size_t i = 0; i < sizeof(room); i += 1024) {
        room[i] = (char)i;
    }
    *(int *)context += 1;
    return context;
}

/* So much as the process has. */
static void limit_address_space(struct rlimit *out_before)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%lu", &pages), 1);
    (void)fclose(f);
    assert_int_equal(getrlimit(RLIMIT_AS, out_before), 0);
    const struct rlimit now = {.rlim_cur = pages * 4096, .rlim_max = out_before->rlim_max};
    assert_int_equal(setrlimit(RLIMIT_AS, &now), 0);
}

static void threads_start_without_address_space(void **state)
{
    (void)state;
#ifdef IS_SANITIZED
    skip();
#endif
    pthread_t thread;
    struct rlimit before;
    int runs = 0;
    grpc_threads_keep();
    size_t count = grpc_threads_left();
    assert_true(count >= 12); /* on one processor */
    limit_address_space(&before);
    /* Ours fail as ever. */
    int ordinary = pthread_create(&thread, NULL, use_stack, &runs);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(grpc_threads_create(&thread, NULL, use_stack, &runs), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    int beyond = grpc_threads_create(&thread, NULL, use_stack, &runs);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    assert_int_equal(ordinary, EAGAIN);
    assert_int_equal(runs, (int)count);
    assert_int_equal(beyond, EAGAIN);
    assert_int_equal(grpc_threads_left(), 0);
    assert_int_equal(pthread_create(&thread, NULL, use_stack, &runs), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads_start_without_address_space)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/testing/alloc_fail.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What --wrap names them. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);

struct plan {
    bool active, all_after, happened;
    size_t at, count;
};

/* The allocator has no argument to carry it in. */
static _Thread_local struct plan plan;

static bool fails(void)
{
    if (!plan.active) {
        return false;
    }
    plan.count++;
    bool failed = plan.at > 0 && (plan.all_after ? plan.count >= plan.at : plan.count == plan.at);
    if (failed) {
        plan.happened = true;
        errno = ENOMEM;
    }
    return failed;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size)
{
    return fails() ? NULL : __real_realloc(block, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t size)
{
    return fails() ? NULL : __real_strndup(text, size);
}

void alloc_fail_start(size_t n)
{
    plan = (struct plan){.active = true, .at = n};
}

void alloc_fail_start_from(size_t n)
{
    plan = (struct plan){.active = true, .at = n, .all_after = true};
}

size_t alloc_fail_stop(void)
{
    plan.active = false;
    return plan.count;
}

bool alloc_fail_happened(void)
{
    return plan.happened;
}

size_t alloc_fail_each(void (*fn)(void *context), void *context)
{
    alloc_fail_start(0);
    fn(context);
    size_t count = alloc_fail_stop();
    for (size_t n = 1; n <= count; n++) {
        alloc_fail_start(n);
        fn(context);
        (void)alloc_fail_stop();
        alloc_fail_start_from(n);
        fn(context);
        (void)alloc_fail_stop();
    }
    return count;
}

/* Makes the n-th allocation fail, to show that a failed allocation is an error and no crash.
 *
 * Works by the linker's --wrap: the calls of malloc, calloc, realloc, strdup and strndup in the
 * test's own objects are counted, those inside shared libraries are not (libev, for one, gives up
 * when memory is short). A test that uses it has `linkstatic = True`, or the code under test would
 * be in a shared library itself.
 *
 * Only the allocations of the thread that called alloc_fail_start count, so that a run can be
 * repeated exactly. */
#ifndef CHAPERONE_BASE_TESTING_ALLOC_FAIL_H
#define CHAPERONE_BASE_TESTING_ALLOC_FAIL_H

#include <stdbool.h>
#include <stddef.h>

/* The n-th allocation from now on fails (1: the next one); 0: none, they are only counted. */
void alloc_fail_start(size_t n);
/* As start, and all after it fail as well, until alloc_fail_stop. */
void alloc_fail_start_from(size_t n);
/* From now on all is as usual. Returns how many allocations there were since the start. */
size_t alloc_fail_stop(void);
/* Whether one was made to fail since the start. */
bool alloc_fail_happened(void);

/* Calls fn(context) once to count its allocations, then once for each of them, which fails; and
 * then once for each of them, where it and all after it fail. A run may end sooner than the first
 * one did. Returns how many allocations the first run made. */
size_t alloc_fail_each(void (*fn)(void *context), void *context);

#endif

/* Preloaded: as where no address space is left, no thread of gRPC's gets a stack. One that brings
 * its own can start. Each that was wanted is a line on standard error. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

/* Without one glibc gives nearly the end of the address space. */
static int has_stack(const pthread_attr_t *attributes)
{
    void *stack = NULL;
    size_t size = 0;
    return attributes != NULL && pthread_attr_getstack(attributes, &stack, &size) == 0 &&
           size > 0 && (uintptr_t)stack < UINT64_C(1) << 47;
}

static int is_of_grpc(void *(*fn)(void *))
{
    Dl_info where;
    void *code = NULL;
    memcpy(&code, &fn, sizeof(code));
    return dladdr(code, &where) != 0 && strstr(where.dli_fname, "/libgpr.so") != NULL;
}

int pthread_create(pthread_t *out, const pthread_attr_t *attributes, void *(*fn)(void *),
                   void *context)
{
    static const char line[] = "no stack for a thread of gRPC\n";
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) =
        (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))dlsym(
            RTLD_NEXT, "pthread_create");
    if (is_of_grpc(fn) && !has_stack(attributes)) {
        (void)!write(STDERR_FILENO, line, sizeof(line) - 1);
        return EAGAIN;
    }
    return real(out, attributes, fn, context);
}

#include "base/rpc/grpc_threads.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/sanitized.h"

#ifdef IS_SANITIZED

void grpc_threads_keep(void)
{
}

size_t grpc_threads_left(void)
{
    return 0;
}

int grpc_threads_create(pthread_t *out, const pthread_attr_t *attributes, void *(*fn)(void *),
                        void *context)
{
    return pthread_create(out, attributes, fn, context);
}

#else

enum {
    /* Two executors have up to two threads for each processor; the others are timers and pollers.
     */
    FOR_EACH_PROCESSOR = 4,
    FOR_ALL = 8,
    COUNT_MAX = 128,
    GUARD_SIZE = 64 << 10, /* a multiple of all page sizes there are */
    SLOT_SIZE = GUARD_SIZE + GRPC_THREADS_STACK_SIZE,
};

typedef int create_fn(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

/* Of the one gRPC of the process, whose calls have no argument to hand them over with. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static char *slots;
static size_t count;
static atomic_size_t used;
static _Atomic(create_fn *) next_create;

/* The C library's, or what a debugging library puts before it. */
static create_fn *real_create(void)
{
    create_fn *f = atomic_load_explicit(&next_create, memory_order_relaxed);
    if (f == NULL) {
        void *symbol = dlsym(RTLD_NEXT, "pthread_create");
        memcpy(&f, &symbol, sizeof(f)); /* ISO C has no cast between the two */
        atomic_store_explicit(&next_create, f, memory_order_relaxed);
    }
    return f;
}

static void keep(void)
{
    long processors = sysconf(_SC_NPROCESSORS_CONF); /* as gRPC counts them */
    size_t wanted = FOR_ALL + FOR_EACH_PROCESSOR * (size_t)(processors > 0 ? processors : 1);
    wanted = wanted > COUNT_MAX ? COUNT_MAX : wanted;
    char *room = mmap(NULL, wanted * SLOT_SIZE, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    (void)real_create();
    if (room == MAP_FAILED) {
        return;
    }
    slots = room;
    while (count < wanted && mprotect(slots + count * SLOT_SIZE + GUARD_SIZE,
                                      GRPC_THREADS_STACK_SIZE, PROT_READ | PROT_WRITE) == 0) {
        count++;
    }
}

void grpc_threads_keep(void)
{
    (void)pthread_once(&once, keep);
}

size_t grpc_threads_left(void)
{
    size_t taken = atomic_load(&used);
    return taken < count ? count - taken : 0;
}

int grpc_threads_create(pthread_t *out, const pthread_attr_t *attributes, void *(*fn)(void *),
                        void *context)
{
    pthread_attr_t own;
    int detached = PTHREAD_CREATE_JOINABLE;
    size_t slot = atomic_load(&used);
    do {
        if (slot >= count) {
            return EAGAIN;
        }
    } while (!atomic_compare_exchange_weak(&used, &slot, slot + 1));
    if (attributes != NULL) {
        (void)pthread_attr_getdetachstate(attributes, &detached);
    }
    (void)pthread_attr_init(&own);
    (void)pthread_attr_setdetachstate(&own, detached);
    (void)pthread_attr_setstack(&own, slots + slot * SLOT_SIZE + GUARD_SIZE,
                                GRPC_THREADS_STACK_SIZE);
    int code = real_create()(out, &own, fn, context);
    (void)pthread_attr_destroy(&own);
    return code;
}

static bool is_grpc(const void *caller)
{
    Dl_info where;
    return dladdr(caller, &where) != 0 && where.dli_fname != NULL &&
           strstr(where.dli_fname, "/libgpr.so") != NULL;
}

static void end_process(void)
{
    static const char text[] = "chaperone: gRPC needs a thread that cannot be started, and would "
                               "stand still for ever: the process ends\n";
    (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    abort();
}

int pthread_create(pthread_t *out, const pthread_attr_t *attributes, void *(*fn)(void *),
                   void *context)
{
    int code = real_create()(out, attributes, fn, context);
    if (code != 0 && is_grpc(__builtin_return_address(0))) {
        code = grpc_threads_create(out, attributes, fn, context);
        if (code != 0) {
            end_process();
        }
    }
    return code;
}

#endif

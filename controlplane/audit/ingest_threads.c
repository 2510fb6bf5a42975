#include "controlplane/audit/ingest_threads.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { STACK_SIZE = 1 << 20, COUNT_MAX = 256 };

struct job { /* on the stack of who waits for it */
    struct job *next;
    void (*fn)(void *context);
    void *context;
    bool is_done;
    pthread_cond_t done;
};

struct ingest_threads {
    int niceness;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t wake;
    struct job *first, **last;
    bool stop;
    size_t count;
    pthread_t threads[];
};

/* Linux: of the calling thread alone. */
static void yield_to_others(int niceness)
{
    errno = 0;
    int before = getpriority(PRIO_PROCESS, 0);
    if (niceness > 0 && errno == 0) {
        (void)setpriority(PRIO_PROCESS, 0, before + niceness);
    }
}

static void *work(void *context)
{
    struct ingest_threads *t = context;
    yield_to_others(t->niceness);
    (void)pthread_mutex_lock(&t->mutex);
    for (;;) {
        while (t->first == NULL && !t->stop) {
            (void)pthread_cond_wait(&t->wake, &t->mutex);
        }
        struct job *job = t->first;
        if (job == NULL) {
            break;
        }
        t->first = job->next;
        t->last = t->first == NULL ? &t->first : t->last;
        (void)pthread_mutex_unlock(&t->mutex);
        job->fn(job->context);
        (void)pthread_mutex_lock(&t->mutex);
        job->is_done = true;
        (void)pthread_cond_signal(&job->done);
    }
    (void)pthread_mutex_unlock(&t->mutex);
    return NULL;
}

static enum err start(struct ingest_threads *t, size_t count)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    if (pthread_attr_init(&attributes) != 0) {
        return ERR_NO_MEMORY;
    }
    (void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
    (void)sigfillset(&all); /* signals are for the main thread */
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    while (t->count < count && pthread_create(&t->threads[t->count], &attributes, work, t) == 0) {
        t->count++;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    return t->count == count ? OK : ERR_NO_MEMORY;
}

enum err ingest_threads_create(size_t count, int niceness, struct ingest_threads **out)
{
    if (count == 0 || count > COUNT_MAX || niceness < 0 || niceness > INGEST_NICENESS_MAX) {
        return ERR_INVALID;
    }
    struct ingest_threads *t = calloc(1, sizeof(*t) + count * sizeof(pthread_t));
    if (t == NULL) {
        return ERR_NO_MEMORY;
    }
    t->niceness = niceness;
    t->last = &t->first;
    (void)pthread_mutex_init(&t->mutex, NULL);
    (void)pthread_cond_init(&t->wake, NULL);
    enum err e = start(t, count);
    if (e != OK) {
        ingest_threads_destroy(t);
        return e;
    }
    *out = t;
    return OK;
}

void ingest_threads_destroy(struct ingest_threads *t)
{
    if (t == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&t->mutex);
    t->stop = true;
    (void)pthread_cond_broadcast(&t->wake);
    (void)pthread_mutex_unlock(&t->mutex);
    for (size_t i = 0; i < t->count; i++) {
        (void)pthread_join(t->threads[i], NULL);
    }
    (void)pthread_cond_destroy(&t->wake);
    (void)pthread_mutex_destroy(&t->mutex);
    free(t);
}

void ingest_threads_run(struct ingest_threads *t, void (*fn)(void *context), void *context)
{
    struct job job = {.fn = fn, .context = context};
    (void)pthread_cond_init(&job.done, NULL);
    (void)pthread_mutex_lock(&t->mutex);
    *t->last = &job;
    t->last = &job.next;
    (void)pthread_cond_signal(&t->wake);
    while (!job.is_done) {
        (void)pthread_cond_wait(&job.done, &t->mutex);
    }
    (void)pthread_mutex_unlock(&t->mutex);
    (void)pthread_cond_destroy(&job.done);
}

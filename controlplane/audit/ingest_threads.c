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

struct worker {
    struct ingest_threads *threads;
    struct worker *next; /* that is idle for longer */
    struct job *job;     /* NULL: idle */
    pthread_cond_t wake;
    pthread_t thread;
};

/* The one that was idle last works next: what it touched is still near the processor, and the
 * others' stacks and heaps are not filled one after the other by one stream of batches. */
struct ingest_threads {
    int niceness;
    pthread_mutex_t mutex; /* guards what follows */
    struct worker *idle;
    struct job *first, **last; /* that wait for one to be idle */
    bool stop;
    size_t count;
    struct worker workers[];
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

/* With the mutex held: the next job for this worker; NULL: none will come. */
static struct job *next_job(struct worker *w)
{
    struct ingest_threads *t = w->threads;
    struct job *job = t->first;
    if (job != NULL) {
        t->first = job->next;
        t->last = t->first == NULL ? &t->first : t->last;
        return job;
    }
    w->next = t->idle;
    t->idle = w;
    while (w->job == NULL && !t->stop) {
        (void)pthread_cond_wait(&w->wake, &t->mutex);
    }
    job = w->job;
    w->job = NULL;
    return job;
}

static void *work(void *context)
{
    struct worker *w = context;
    struct ingest_threads *t = w->threads;
    struct job *job = NULL;
    yield_to_others(t->niceness);
    (void)pthread_mutex_lock(&t->mutex);
    while ((job = next_job(w)) != NULL) {
        (void)pthread_mutex_unlock(&t->mutex);
        job->fn(job->context);
        (void)pthread_mutex_lock(&t->mutex);
        job->is_done = true;
        (void)pthread_cond_signal(&job->done);
    }
    (void)pthread_mutex_unlock(&t->mutex);
    return NULL;
}

/* With the signals blocked, for the threads to inherit. */
static bool start_worker(struct ingest_threads *t, const pthread_attr_t *attributes)
{
    struct worker *w = &t->workers[t->count];
    w->threads = t;
    (void)pthread_cond_init(&w->wake, NULL);
    if (pthread_create(&w->thread, attributes, work, w) != 0) {
        (void)pthread_cond_destroy(&w->wake);
        return false;
    }
    t->count++;
    return true;
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
    while (t->count < count && start_worker(t, &attributes)) {
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
    struct ingest_threads *t = calloc(1, sizeof(*t) + count * sizeof(struct worker));
    if (t == NULL) {
        return ERR_NO_MEMORY;
    }
    t->niceness = niceness;
    t->last = &t->first;
    (void)pthread_mutex_init(&t->mutex, NULL);
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
    for (size_t i = 0; i < t->count; i++) {
        (void)pthread_cond_signal(&t->workers[i].wake);
    }
    (void)pthread_mutex_unlock(&t->mutex);
    for (size_t i = 0; i < t->count; i++) {
        (void)pthread_join(t->workers[i].thread, NULL);
        (void)pthread_cond_destroy(&t->workers[i].wake);
    }
    (void)pthread_mutex_destroy(&t->mutex);
    free(t);
}

void ingest_threads_run(struct ingest_threads *t, void (*fn)(void *context), void *context)
{
    struct job job = {.fn = fn, .context = context};
    (void)pthread_cond_init(&job.done, NULL);
    (void)pthread_mutex_lock(&t->mutex);
    struct worker *w = t->idle;
    if (w != NULL) {
        t->idle = w->next;
        w->job = &job;
        (void)pthread_cond_signal(&w->wake);
    } else {
        *t->last = &job;
        t->last = &job.next;
    }
    while (!job.is_done) {
        (void)pthread_cond_wait(&job.done, &t->mutex);
    }
    (void)pthread_mutex_unlock(&t->mutex);
    (void)pthread_cond_destroy(&job.done);
}

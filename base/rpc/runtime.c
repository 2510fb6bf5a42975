#include "base/rpc/runtime.h"

#include <grpc/support/log.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/rpc/grpc_threads.h"

enum { RPC_MAX_THREADS = 256 };

struct rpc_runtime {
    grpc_completion_queue *queue;
    const struct log *log;
    pthread_mutex_t mutex;
    pthread_cond_t idle; /* calls == 0 */
    struct rpc_live *live;
    size_t calls;
    struct rpc_job *first_job, **last_job;
    size_t running_jobs, max_jobs;
    size_t thread_count;
    pthread_t threads[];
};

grpc_completion_queue *rpc_runtime_queue(struct rpc_runtime *runtime)
{
    return runtime->queue;
}

const struct log *rpc_runtime_log(const struct rpc_runtime *runtime)
{
    return runtime->log;
}

static void *poll_events(void *context)
{
    struct rpc_runtime *runtime = context;
    for (;;) {
        grpc_event e =
            grpc_completion_queue_next(runtime->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        if (e.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        if (e.type == GRPC_OP_COMPLETE) {
            struct rpc_event *event = e.tag;
            event->done(event, e.success != 0);
        }
    }
}

/* Blocks until what is in the queue is done; then joins the threads that were started. */
static void stop_threads(struct rpc_runtime *runtime)
{
    grpc_completion_queue_shutdown(runtime->queue);
    for (size_t i = 0; i < runtime->thread_count; i++)
        (void)pthread_join(runtime->threads[i], NULL);
    if (runtime->thread_count == 0) /* creation failed: nobody has polled */
        (void)poll_events(runtime);
}

static void free_runtime(struct rpc_runtime *runtime)
{
    grpc_completion_queue_destroy(runtime->queue);
    (void)pthread_cond_destroy(&runtime->idle);
    (void)pthread_mutex_destroy(&runtime->mutex);
    free(runtime);
}

static void drop_line(gpr_log_func_args *args)
{
    (void)args;
}

/* gRPC writes lines of its own to standard error, with addresses and headers in them and in a
 * format of its own. What matters comes back as a status; the lines are for who asks for them. */
static void silence_grpc(void)
{
    if (getenv("GRPC_VERBOSITY") == NULL && getenv("GRPC_TRACE") == NULL)
        gpr_set_log_function(drop_line);
}

void rpc_runtime_init_grpc(void)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    grpc_threads_keep();
    silence_grpc();
    if (!grpc_is_initialized())
        grpc_init();
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static enum err start_threads(struct rpc_runtime *runtime, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (pthread_create(&runtime->threads[i], NULL, poll_events, runtime) != 0)
            return ERR_NO_MEMORY;
        runtime->thread_count++;
    }
    return OK;
}

enum err rpc_runtime_create(size_t threads, const struct log *log, struct rpc_runtime **out)
{
    if (threads == 0 || threads > RPC_MAX_THREADS)
        return ERR_INVALID;
    size_t pollers = threads == 1 ? 1 : threads + 1;
    struct rpc_runtime *runtime = calloc(1, sizeof(*runtime) + pollers * sizeof(pthread_t));
    if (runtime == NULL)
        return ERR_NO_MEMORY;
    runtime->log = log;
    runtime->max_jobs = threads;
    runtime->last_job = &runtime->first_job;
    (void)pthread_mutex_init(&runtime->mutex, NULL);
    (void)pthread_cond_init(&runtime->idle, NULL);

    rpc_runtime_init_grpc();
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    runtime->queue = grpc_completion_queue_create_for_next(NULL);
    enum err e = start_threads(runtime, pollers);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (e != OK) {
        stop_threads(runtime);
        free_runtime(runtime);
        return e;
    }
    *out = runtime;
    return OK;
}

void rpc_runtime_destroy(struct rpc_runtime *runtime)
{
    if (runtime == NULL)
        return;
    (void)pthread_mutex_lock(&runtime->mutex);
    for (struct rpc_live *l = runtime->live; l != NULL; l = l->next)
        (void)grpc_call_cancel(l->call, NULL);
    while (runtime->calls > 0)
        (void)pthread_cond_wait(&runtime->idle, &runtime->mutex);
    (void)pthread_mutex_unlock(&runtime->mutex);
    stop_threads(runtime);
    free_runtime(runtime);
}

void rpc_runtime_attach(struct rpc_runtime *runtime, struct rpc_live *live, grpc_call *call)
{
    (void)pthread_mutex_lock(&runtime->mutex);
    live->call = call;
    live->previous = NULL;
    live->next = runtime->live;
    if (live->next != NULL)
        live->next->previous = live;
    runtime->live = live;
    runtime->calls++;
    (void)pthread_mutex_unlock(&runtime->mutex);
}

void rpc_runtime_detach(struct rpc_runtime *runtime, struct rpc_live *live)
{
    (void)pthread_mutex_lock(&runtime->mutex);
    if (live->previous != NULL)
        live->previous->next = live->next;
    else
        runtime->live = live->next;
    if (live->next != NULL)
        live->next->previous = live->previous;
    (void)pthread_mutex_unlock(&runtime->mutex);
}

void rpc_runtime_left(struct rpc_runtime *runtime)
{
    (void)pthread_mutex_lock(&runtime->mutex);
    if (--runtime->calls == 0)
        (void)pthread_cond_broadcast(&runtime->idle);
    (void)pthread_mutex_unlock(&runtime->mutex);
}

/* Called with the mutex held: the next job that waits, or NULL. */
static struct rpc_job *take_job(struct rpc_runtime *runtime)
{
    struct rpc_job *job = runtime->first_job;
    if (job != NULL) {
        runtime->first_job = job->next;
        if (runtime->first_job == NULL)
            runtime->last_job = &runtime->first_job;
    }
    return job;
}

void rpc_runtime_run(struct rpc_runtime *runtime, struct rpc_job *job)
{
    (void)pthread_mutex_lock(&runtime->mutex);
    if (runtime->running_jobs == runtime->max_jobs) {
        job->next = NULL;
        *runtime->last_job = job;
        runtime->last_job = &job->next;
        (void)pthread_mutex_unlock(&runtime->mutex);
        return;
    }
    runtime->running_jobs++;
    while (job != NULL) {
        (void)pthread_mutex_unlock(&runtime->mutex);
        job->run(job);
        (void)pthread_mutex_lock(&runtime->mutex);
        job = take_job(runtime);
    }
    runtime->running_jobs--;
    (void)pthread_mutex_unlock(&runtime->mutex);
}

/* Several blobs at a time. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "controlplane/store/store_blobs_internal.h"

enum { THREADS_MAX = 8 }; /* a store at the end of a network is slow, and does several at a time */

enum err blob_job_put(struct blobs *blobs, struct blob_job *job)
{
    return blobs_put(blobs, job->name, buffer_bytes(&job->bytes), &job->why);
}

enum err blob_job_get(struct blobs *blobs, struct blob_job *job)
{
    return blobs_get(blobs, job->name, &job->bytes, &job->why);
}

void blob_jobs_destroy(struct blob_job *jobs, size_t count)
{
    for (size_t i = 0; jobs != NULL && i < count; i++) {
        buffer_finish(&jobs[i].bytes);
    }
    free(jobs);
}

struct crew {
    struct blobs *blobs;
    blob_job_fn *work;
    struct blob_job *jobs;
    size_t count;
    atomic_size_t next;
    atomic_bool has_failed; /* the rest is not begun */
};

static void *crew_work(void *context)
{
    struct crew *crew = context;
    for (;;) {
        size_t at = atomic_fetch_add(&crew->next, 1);
        if (at >= crew->count || atomic_load(&crew->has_failed)) {
            return NULL;
        }
        struct blob_job *job = &crew->jobs[at];
        job->err = crew->work(crew->blobs, job);
        /* What is missing is told of each: it may have been erased. */
        if (job->err != OK && job->err != ERR_NOT_FOUND) {
            atomic_store(&crew->has_failed, true);
        }
    }
}

enum err blob_jobs_do(struct blobs *blobs, blob_job_fn *work, struct blob_job *jobs, size_t count,
                      struct err_text *why)
{
    struct crew crew = {.blobs = blobs, .work = work, .jobs = jobs, .count = count};
    pthread_t threads[THREADS_MAX];
    size_t started = 0;
    /* This thread is one of them: also when no other can be made, all is done. */
    while (started + 1 < count && started + 1 < THREADS_MAX &&
           pthread_create(&threads[started], NULL, crew_work, &crew) == 0) {
        started++;
    }
    (void)crew_work(&crew);
    for (size_t i = 0; i < started; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    for (size_t i = 0; i < count; i++) {
        if (jobs[i].err != OK && jobs[i].err != ERR_NOT_FOUND) {
            return err_set(why, jobs[i].err, "%s",
                           jobs[i].why.text[0] == '\0' ? err_name(jobs[i].err) : jobs[i].why.text);
        }
    }
    return OK;
}

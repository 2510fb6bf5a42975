/* What the two kinds of jobs share: those that send as records arrive (job.c), and those that write
 * a file at set times (scheduled.c). */
#ifndef CHAPERONE_CONTROLPLANE_EXPORT_JOB_INTERNAL_H
#define CHAPERONE_CONTROLPLANE_EXPORT_JOB_INTERNAL_H

#include <pthread.h>

#include "controlplane/export/batch.h"
#include "controlplane/export/job.h"

enum {
    EXPORT_CURSOR_SIZE = 128,
    EXPORT_UNSETTLED_MAX = 64, /* batches; more are counted with the last of them */
};

struct export_unsettled {
    uint64_t position;
    int64_t since_ns; /* monotonic */
};

struct export_job {
    struct export_job_options with;
    char cursor[EXPORT_CURSOR_SIZE];     /* its name in the store */
    char run_cursor[EXPORT_CURSOR_SIZE]; /* scheduled: the time that was last done, in seconds */
    struct export_stop stop;
    int wake; /* an eventfd: records arrived */
    struct audit_subscription *subscription;
    pthread_t thread;

    /* The thread's own. */
    struct export_sink *sink; /* NULL: not made yet */
    struct export_batch *batch;
    bool begun;        /* the cursor was read */
    uint64_t sent;     /* given to the sink up to here */
    uint64_t settled;  /* and arrived up to here */
    uint64_t stored;   /* the cursor in the store */
    int64_t stored_ns; /* monotonic: when it was last written */
    bool has_news;     /* records were sent since */
    int64_t run_s;     /* scheduled: up to when all is done */
    struct export_unsettled unsettled[EXPORT_UNSETTLED_MAX];
    size_t unsettled_count;
    int backoff_ms; /* 0: it does not fail */

    pthread_mutex_t mutex; /* guards `status` */
    struct export_status status;
};

struct export_sink_options export_job_sink_options(struct export_job *job);
void export_job_set_state(struct export_job *job, enum export_state state);
/* Records were taken. */
void export_job_count(struct export_job *job, size_t records, size_t omitted);
void export_job_set_position(struct export_job *job, uint64_t position);

/* One piece of work. `*out_wait_ms`: nothing is to be done for so long, unless records arrive. */
enum err export_job_stream(struct export_job *job, int *out_wait_ms,
                           struct err_text *why) MUST_USE; /* stream_job.c */
enum err export_job_scheduled(struct export_job *job, int *out_wait_ms,
                              struct err_text *why) MUST_USE; /* scheduled.c */

#endif

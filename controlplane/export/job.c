#include "controlplane/export/job.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "controlplane/export/job_internal.h"

enum { BACKOFF_MIN_MS = 250, BACKOFF_MAX_MS = 30000, STANDBY_MS = 1000 };

const char *export_state_name(enum export_state state)
{
    static const char *const names[] = {[EXPORT_STARTING] = "starting",
                                        [EXPORT_STANDBY] = "standby",
                                        [EXPORT_RUNNING] = "running",
                                        [EXPORT_WAITING] = "waiting",
                                        [EXPORT_FAILING] = "failing"};
    return names[state];
}

/* --- the status ---------------------------------------------------------------------------------
 */

void export_job_set_state(struct export_job *job, enum export_state state)
{
    (void)pthread_mutex_lock(&job->mutex);
    job->status.state = state;
    (void)pthread_mutex_unlock(&job->mutex);
}

void export_job_count(struct export_job *job, size_t records, size_t omitted)
{
    (void)pthread_mutex_lock(&job->mutex);
    job->status.records += records;
    job->status.omitted += omitted;
    job->status.sent_ns = clock_wall(&job->with.clock);
    (void)pthread_mutex_unlock(&job->mutex);
}

void export_job_set_position(struct export_job *job, uint64_t position)
{
    (void)pthread_mutex_lock(&job->mutex);
    job->status.position = position;
    (void)pthread_mutex_unlock(&job->mutex);
}

void export_job_status(struct export_job *job, struct export_status *out)
{
    (void)pthread_mutex_lock(&job->mutex);
    *out = job->status;
    (void)pthread_mutex_unlock(&job->mutex);
}

struct export_sink_options export_job_sink_options(struct export_job *job)
{
    return (struct export_sink_options){.config = job->with.config,
                                        .store = job->with.store,
                                        .vault = job->with.vault,
                                        .clock = job->with.clock,
                                        .stop = &job->stop};
}

/* --- the thread ---------------------------------------------------------------------------------
 */

static void note_failure(struct export_job *job, enum err e, const struct err_text *why)
{
    const char *text = why->text[0] == '\0' ? err_name(e) : why->text;
    (void)pthread_mutex_lock(&job->mutex);
    bool is_new = job->backoff_ms == 0 || strcmp(job->status.error.text, text) != 0;
    job->status.state = EXPORT_FAILING;
    job->status.failures++;
    job->status.error_ns = clock_wall(&job->with.clock);
    (void)snprintf(job->status.error.text, sizeof(job->status.error.text), "%s", text);
    (void)pthread_mutex_unlock(&job->mutex);
    if (is_new) { /* the status counts how often */
        log_event(job->with.log, LOG_WARN, "export_failed", log_text("job", job->with.config->name),
                  log_text("error", err_name(e)), log_text("reason", text));
    }
    job->backoff_ms = job->backoff_ms == 0                   ? BACKOFF_MIN_MS
                      : job->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS
                                                             : job->backoff_ms * 2;
}

static void note_success(struct export_job *job)
{
    if (job->backoff_ms != 0) {
        job->backoff_ms = 0;
        log_event(job->with.log, LOG_INFO, "export_resumed",
                  log_text("job", job->with.config->name),
                  log_number("position", (int64_t)job->settled));
    }
}

static void end_sink(struct export_job *job)
{
    if (job->sink != NULL) {
        job->sink->ops->destroy(job->sink);
        job->sink = NULL;
    }
}

/* Whoever has the duty now goes on from the cursor. */
static void stand_by(struct export_job *job)
{
    end_sink(job);
    job->begun = false;
    job->unsettled_count = 0;
    export_job_set_state(job, EXPORT_STANDBY);
}

static enum err step(struct export_job *job, int *out_wait_ms, struct err_text *why)
{
    bool has_duty = false;
    enum err e = store_duty_hold(job->with.store, STORE_DUTY_EXPORT, &has_duty);
    if (e != OK) {
        return err_set(why, e, "the store cannot be asked whose duty it is");
    }
    if (!has_duty) {
        stand_by(job);
        *out_wait_ms = STANDBY_MS;
        return OK;
    }
    return job->with.config->schedule.every_ns == 0 ? export_job_stream(job, out_wait_ms, why)
                                                    : export_job_scheduled(job, out_wait_ms, why);
}

/* `wakes`: also when records arrive. */
static void pause_for(struct export_job *job, int ms, bool wakes)
{
    uint64_t count = 0;
    if (ms > 0 && export_stop_poll(&job->stop, wakes ? job->wake : -1, POLLIN, ms) != 0) {
        while (read(job->wake, &count, sizeof(count)) < 0 && errno == EINTR) {
        }
    }
}

static void *job_main(void *argument)
{
    struct export_job *job = argument;
    while (!export_stop_asked(&job->stop)) {
        struct err_text why = {.text = ""};
        int wait_ms = 0;
        enum err e = step(job, &wait_ms, &why);
        if (e == OK) {
            note_success(job);
            pause_for(job, wait_ms, true);
        } else if (!export_stop_asked(&job->stop)) {
            note_failure(job, e, &why);
            pause_for(job, job->backoff_ms, false);
        }
    }
    end_sink(job);
    return NULL;
}

static void on_arrived(void *context, uint64_t position)
{
    (void)position;
    const struct export_job *job = context;
    const uint64_t one = 1;
    while (write(job->wake, &one, sizeof(one)) < 0 && errno == EINTR) {
    }
}

/* --- life ---------------------------------------------------------------------------------------
 */

static void job_free(struct export_job *job)
{
    audit_unsubscribe(job->subscription);
    export_batch_destroy(job->batch);
    export_stop_finish(&job->stop);
    if (job->wake >= 0) {
        (void)close(job->wake);
    }
    (void)pthread_mutex_destroy(&job->mutex);
    free(job);
}

static enum err prepare(struct export_job *job)
{
    const struct config_export *config = job->with.config;
    (void)snprintf(job->cursor, sizeof(job->cursor), "export/%s", config->name);
    (void)snprintf(job->run_cursor, sizeof(job->run_cursor), "export/%s/run", config->name);
    job->status = (struct export_status){.config = config, .state = EXPORT_STARTING};
    (void)pthread_mutex_init(&job->mutex, NULL);
    enum err e = export_stop_init(&job->stop);
    job->wake = e == OK ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
    job->batch = export_batch_create(config, job->with.store, job->with.log);
    return e != OK || job->wake < 0 ? ERR_IO : job->batch == NULL ? ERR_NO_MEMORY : OK;
}

enum err export_job_start(const struct export_job_options *options, struct export_job **out)
{
    struct export_job *job = calloc(1, sizeof(*job));
    if (job == NULL) {
        return ERR_NO_MEMORY;
    }
    job->with = *options;
    enum err e = prepare(job);
    if (e == OK) {
        e = audit_subscribe(options->feed, on_arrived, job, &job->subscription);
    }
    if (e == OK && pthread_create(&job->thread, NULL, job_main, job) != 0) {
        e = ERR_UNAVAILABLE;
    }
    if (e != OK) {
        job_free(job);
        return e;
    }
    *out = job;
    return OK;
}

void export_job_cancel(struct export_job *job)
{
    export_stop_ask(&job->stop);
}

void export_job_stop(struct export_job *job)
{
    if (job != NULL) {
        export_job_cancel(job);
        (void)pthread_join(job->thread, NULL);
        job_free(job);
    }
}

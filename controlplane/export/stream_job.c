/* A job that sends records as they arrive. */
#include "controlplane/export/file.h"
#include "controlplane/export/job_internal.h"
#include "controlplane/export/kafka.h"
#include "controlplane/export/syslog.h"

enum {
    IDLE_MS = 1000,
    UNSETTLED_MS = 250,
};
/* A cursor that only passed by records that do not match is not written each time. */
static const int64_t store_interval_ns = INT64_C(5000000000);

/* A cursor beyond the log's end is of another log: what comes next is not to be passed over. */
static uint64_t within_log(const struct export_job *job, uint64_t position, uint64_t newest)
{
    if (position > newest) {
        log_event(job->with.log, LOG_ERROR, "export_cursor_beyond_log",
                  log_text("job", job->with.config->name), log_number("cursor", (int64_t)position),
                  log_number("log", (int64_t)newest));
        return newest;
    }
    return position;
}

static enum err begin(struct export_job *job, struct err_text *why)
{
    uint64_t position = 0, newest = 0;
    enum err e = store_cursor_get(job->with.store, job->cursor, &position);
    if (e == OK) { /* the end after the cursor, which others may move */
        e = store_audit_count(job->with.store, &newest);
        position = e == OK ? within_log(job, position, newest) : position;
    }
    if (e == ERR_NOT_FOUND) {
        e = job->with.config->from_beginning ? OK : store_audit_count(job->with.store, &position);
        if (e == OK) { /* from now on is from the first start on, not from the last one */
            e = store_cursor_set(job->with.store, job->cursor, position,
                                 clock_wall(&job->with.clock));
        }
    }
    if (e != OK) {
        return err_set(why, e, "the store cannot be read");
    }
    job->sent = job->settled = job->stored = position;
    job->unsettled_count = 0;
    job->begun = true;
    export_job_set_position(job, position);
    log_event(job->with.log, LOG_INFO, "export_started", log_text("job", job->with.config->name),
              log_number("position", (int64_t)position));
    return OK;
}

static enum err make_sink(struct export_job *job, struct err_text *why)
{
    static enum err (*const creators[])(const struct export_sink_options *, struct export_sink **,
                                        struct err_text *) = {
        [CONFIG_EXPORT_FILE] = export_file_create,
        [CONFIG_EXPORT_SYSLOG] = export_syslog_create,
        [CONFIG_EXPORT_KAFKA] = export_kafka_create,
    };
    const struct export_sink_options options = export_job_sink_options(job);
    return job->sink != NULL ? OK : creators[job->with.config->kind](&options, &job->sink, why);
}

/* --- the cursor ---------------------------------------------------------------------------------
 */

static void add_unsettled(struct export_job *job, uint64_t position)
{
    int64_t now = clock_monotonic(&job->with.clock);
    size_t at = job->unsettled_count < EXPORT_UNSETTLED_MAX ? job->unsettled_count++
                                                            : EXPORT_UNSETTLED_MAX - 1;
    job->unsettled[at] = (struct export_unsettled){.position = position, .since_ns = now};
}

static void settle(struct export_job *job)
{
    int64_t now = clock_monotonic(&job->with.clock);
    size_t done = 0;
    while (done < job->unsettled_count &&
           now - job->unsettled[done].since_ns >= job->sink->settle_ns) {
        job->settled = job->unsettled[done++].position;
    }
    job->unsettled_count -= done;
    memmove(job->unsettled, job->unsettled + done,
            job->unsettled_count * sizeof(job->unsettled[0]));
    if (job->unsettled_count == 0) {
        job->settled = job->sent;
    }
}

static enum err store_settled(struct export_job *job, struct err_text *why)
{
    settle(job);
    int64_t now = clock_monotonic(&job->with.clock);
    bool is_due = job->has_news || now - job->stored_ns >= store_interval_ns;
    if (job->settled == job->stored || !is_due) {
        return OK;
    }
    enum err e =
        store_cursor_set(job->with.store, job->cursor, job->settled, clock_wall(&job->with.clock));
    if (e != OK) {
        return err_set(why, e, "the cursor cannot be written to the store");
    }
    job->stored = job->settled;
    job->stored_ns = now;
    job->has_news = job->unsettled_count > 0;
    return OK;
}

/* What had not settled is sent again. */
static void go_back(struct export_job *job)
{
    job->sent = job->settled;
    job->unsettled_count = 0;
}

/* --- sending ------------------------------------------------------------------------------------
 */

static enum err send_batch(struct export_job *job, struct err_text *why)
{
    struct export_batch *batch = job->batch;
    for (;;) {
        size_t refused = SIZE_MAX;
        enum err e = export_batch_render(batch, job->sink->line_max, why);
        if (e == OK && export_batch_count(batch) == 0) {
            return OK;
        }
        if (e == OK) {
            e = job->sink->ops->send(job->sink, export_batch_lines(batch),
                                     export_batch_count(batch), &refused, why);
        }
        if (e != ERR_LIMIT || !export_batch_omit(batch, refused)) {
            return e;
        }
    }
}

static enum err send_next(struct export_job *job, struct err_text *why)
{
    enum err e = export_batch_read(job->batch, job->sent, 0, why);
    e = e == OK ? send_batch(job, why) : e;
    if (e != OK) {
        return e;
    }
    job->sent = export_batch_position(job->batch);
    if (export_batch_count(job->batch) > 0) {
        job->has_news = true;
        export_job_count(job, export_batch_count(job->batch), export_batch_omitted(job->batch));
        if (job->sink->settle_ns > 0) {
            add_unsettled(job, job->sent);
        }
    }
    return OK;
}

enum err export_job_stream(struct export_job *job, int *out_wait_ms, struct err_text *why)
{
    enum err e = job->begun ? OK : begin(job, why);
    e = e == OK ? make_sink(job, why) : e;
    e = e == OK ? job->sink->ops->tend(job->sink, why) : e;
    e = e == OK ? send_next(job, why) : e;
    if (e != OK) {
        go_back(job);
        return e;
    }
    e = store_settled(job, why);
    export_job_set_position(job, job->settled);
    export_job_set_state(job, EXPORT_RUNNING);
    *out_wait_ms = export_batch_has_more(job->batch) ? 0
                   : job->unsettled_count > 0        ? UNSETTLED_MS
                                                     : IDLE_MS;
    return e;
}

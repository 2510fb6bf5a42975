/* A job that writes a file at set times: what has arrived since the last time, and a manifest.
 *
 *   NAME-20261121T020000Z.jsonl[.gz|.zst]      absent where nothing matched
 *   NAME-20261121T020000Z.manifest.json        the last to be written: with it, the file is whole
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "controlplane/export/compress.h"
#include "controlplane/export/file.h"
#include "controlplane/export/job_internal.h"
#include "controlplane/export/schedule.h"
#include "controlplane/export/writer.h"
#include "controlplane/files/files.h"
#include "formats/json.h"

enum {
    WAIT_MAX_MS = 60000,
    MOMENT_SIZE = 17, /* "20261121T020000Z" and its end */
    /* After a long absence: further back, the periods become one. */
    CATCH_UP_MAX = 31,
};
static const int64_t second_ns = 1000000000;

struct run {
    struct export_job *job;
    struct export_writer writer;
    int directory;
    int64_t since_ns, until_ns;
    uint64_t first, last; /* positions that were looked at: after `first`, up to `last` */
    size_t omitted;
    char stem[EXPORT_FILE_NAME_SIZE];
};

/* --- the time -----------------------------------------------------------------------------------
 */

static enum err begin(struct export_job *job, struct err_text *why)
{
    const struct config_export *config = job->with.config;
    int64_t now = clock_wall(&job->with.clock);
    uint64_t position = 0, run = 0;
    enum err e = store_cursor_get(job->with.store, job->run_cursor, &run);
    if (e == ERR_NOT_FOUND) { /* the first time is the next one */
        run = (uint64_t)(export_schedule_last(config->schedule.every_ns, config->schedule.daily_ns,
                                              now) /
                         second_ns);
        e = config->from_beginning ? OK : store_audit_count(job->with.store, &position);
        e = e == OK ? store_cursor_set(job->with.store, job->cursor, position, now) : e;
        e = e == OK ? store_cursor_set(job->with.store, job->run_cursor, run, now) : e;
    } else if (e == OK) {
        e = store_cursor_get(job->with.store, job->cursor, &position);
    }
    if (e != OK) {
        return err_set(why, e, "the store cannot be read");
    }
    job->settled = position;
    job->run_s = (int64_t)run;
    job->begun = true;
    export_job_set_position(job, position);
    log_event(job->with.log, LOG_INFO, "export_started", log_text("job", config->name),
              log_number("position", (int64_t)position));
    return OK;
}

/* The end of the next period that is to be written. */
static int64_t next_due(const struct export_job *job, int64_t now)
{
    const struct config_export *config = job->with.config;
    int64_t every = config->schedule.every_ns;
    int64_t done = job->run_s * second_ns;
    int64_t due = export_schedule_last(every, config->schedule.daily_ns, done) + every;
    int64_t last = export_schedule_last(every, config->schedule.daily_ns, now);
    return last - due > CATCH_UP_MAX * every ? last : due;
}

static void moment_of(int64_t ns, char out[MOMENT_SIZE])
{
    struct tm t;
    time_t seconds = (time_t)(ns / second_ns);
    out[0] = '\0';
    if (gmtime_r(&seconds, &t) != NULL) {
        (void)strftime(out, MOMENT_SIZE, "%Y%m%dT%H%M%SZ", &t);
    }
}

/* --- the manifest -------------------------------------------------------------------------------
 */

static void describe(const struct run *r, struct json *j)
{
    const struct config_export *config = r->job->with.config;
    uint8_t hash[CRYPTO_SHA256_SIZE];
    struct crypto_sha256 copy = r->writer.hash;
    json_add_string(j, j->root, "job", config->name);
    json_add_string(j, j->root, "format", config->format == CONFIG_EXPORT_OCSF ? "ocsf" : "json");
    if (r->first == 0) {
        json_add_null(j, j->root, "since"); /* from the beginning */
    } else {
        json_add_time(j, j->root, "since", r->since_ns);
    }
    json_add_time(j, j->root, "until", r->until_ns);
    json_add_unsigned(j, j->root, "after_position", r->first);
    json_add_unsigned(j, j->root, "up_to_position", r->last);
    json_add_string(j, j->root, "resource", config->filter.resource);
    json_add_string(j, j->root, "identity", config->filter.identity);
    json_add_unsigned(j, j->root, "records", r->writer.records);
    json_add_unsigned(j, j->root, "omitted", r->omitted);
    if (r->writer.records == 0) {
        json_add_null(j, j->root, "file");
        return;
    }
    crypto_sha256_finish(&copy, hash);
    json_add_string(j, j->root, "file", r->writer.name);
    json_add_unsigned(j, j->root, "size", r->writer.size);
    json_add_hex(j, j->root, "sha256", bytes_of(hash, sizeof(hash)));
}

static enum err write_manifest(const struct run *r, struct err_text *why)
{
    char name[EXPORT_FILE_NAME_SIZE + 16];
    char *text = NULL;
    size_t size = 0;
    struct json j;
    FILE *file = open_memstream(&text, &size);
    if (file == NULL) {
        return ERR_NO_MEMORY;
    }
    json_init(&j);
    describe(r, &j);
    enum err e = json_write_line(&j, file);
    json_finish(&j);
    e = fclose(file) == 0 ? e : ERR_NO_MEMORY;
    (void)snprintf(name, sizeof(name), "%s.manifest.json", r->stem);
    char *path = files_join(r->job->with.config->file.directory, name);
    if (e == OK) {
        e = path == NULL ? ERR_NO_MEMORY : file_replace(path, 0600, bytes_of(text, size), why);
    }
    free(path);
    free(text);
    return e;
}

/* --- the file -----------------------------------------------------------------------------------
 */

/* What an attempt before this one left: without a manifest it is not whole. */
static void remove_remains(const struct run *r, const char *name)
{
    char other[EXPORT_FILE_NAME_SIZE + 16];
    (void)snprintf(other, sizeof(other), "%s.part", name);
    (void)unlinkat(r->directory, other, 0);
    (void)snprintf(other, sizeof(other), "%s.manifest.json", r->stem);
    if (faccessat(r->directory, other, F_OK, 0) != 0) {
        (void)unlinkat(r->directory, name, 0);
    }
}

static enum err write_batches(struct run *r, struct err_text *why)
{
    struct export_job *job = r->job;
    for (bool more = true; more;) {
        if (export_stop_asked(&job->stop)) {
            return ERR_CLOSED;
        }
        enum err e = export_batch_read(job->batch, r->last, 0, why);
        if (e != OK) {
            return e;
        }
        bool is_cut = export_batch_cut(job->batch, r->until_ns);
        e = export_batch_render(job->batch, SIZE_MAX, why);
        if (e == OK && export_batch_count(job->batch) > 0) {
            e = export_writer_append(&r->writer, export_batch_lines(job->batch),
                                     export_batch_count(job->batch), why);
        }
        if (e != OK) {
            return e;
        }
        more = export_batch_has_more(job->batch) && !is_cut;
        r->last = export_batch_position(job->batch);
        r->omitted += export_batch_omitted(job->batch);
    }
    return OK;
}

static enum err write_file(struct run *r, struct err_text *why)
{
    const struct config_export *config = r->job->with.config;
    char name[EXPORT_FILE_NAME_SIZE], moment[MOMENT_SIZE];
    moment_of(r->until_ns, moment);
    (void)snprintf(r->stem, sizeof(r->stem), "%s-%s", config->name, moment);
    (void)snprintf(name, sizeof(name), "%s-%s.jsonl%s", config->name, moment,
                   export_compress_suffix(config->file.compress));
    remove_remains(r, name);
    enum err e = export_writer_open(&r->writer, name, why);
    e = e == OK ? write_batches(r, why) : e;
    if (e != OK) {
        export_writer_abandon(&r->writer);
        return e;
    }
    e = export_writer_complete(&r->writer, why);
    return e == OK ? write_manifest(r, why) : e;
}

/* The time first: were it the other way round, a crash between the two would have this period
 * written again, without its records. */
static enum err store_progress(const struct run *r, struct err_text *why)
{
    struct export_job *job = r->job;
    int64_t now = clock_wall(&job->with.clock);
    enum err e = store_cursor_set(job->with.store, job->run_cursor,
                                  (uint64_t)(r->until_ns / second_ns), now);
    if (e == OK) {
        e = store_cursor_set(job->with.store, job->cursor, r->last, now);
    }
    return e == OK ? OK : err_set(why, e, "the cursor cannot be written to the store");
}

static enum err run(struct export_job *job, int64_t until_ns, struct err_text *why)
{
    struct run r = {.job = job,
                    .directory = -1,
                    .since_ns = job->run_s * second_ns,
                    .until_ns = until_ns,
                    .first = job->settled,
                    .last = job->settled};
    enum err e = export_file_directory(job->with.config, &r.directory, why);
    if (e != OK) {
        return e;
    }
    export_writer_init(&r.writer, r.directory, job->with.config->file.compress);
    e = write_file(&r, why);
    if (e == OK) {
        e = store_progress(&r, why);
        job->begun = e == OK; /* else what is in the store counts */
    }
    if (e == OK) {
        job->run_s = until_ns / second_ns;
        job->settled = r.last;
        export_job_count(job, (size_t)r.writer.records, r.omitted);
        export_job_set_position(job, r.last);
        log_event(job->with.log, LOG_INFO, "export_written",
                  log_text("job", job->with.config->name), log_text("file", r.stem),
                  log_number("records", (int64_t)r.writer.records));
    }
    export_writer_finish(&r.writer);
    (void)close(r.directory);
    return e;
}

static void set_waiting(struct export_job *job, int64_t due)
{
    (void)pthread_mutex_lock(&job->mutex);
    job->status.state = EXPORT_WAITING;
    job->status.next_ns = due;
    (void)pthread_mutex_unlock(&job->mutex);
}

enum err export_job_scheduled(struct export_job *job, int *out_wait_ms, struct err_text *why)
{
    enum err e = job->begun ? OK : begin(job, why);
    if (e != OK) {
        return e;
    }
    int64_t now = clock_wall(&job->with.clock);
    int64_t due = next_due(job, now);
    if (due <= now) {
        export_job_set_state(job, EXPORT_RUNNING);
        return run(job, due, why);
    }
    set_waiting(job, due);
    int64_t left = (due - now) / 1000000 + 1;
    *out_wait_ms = left > WAIT_MAX_MS ? WAIT_MAX_MS : (int)left;
    return OK;
}

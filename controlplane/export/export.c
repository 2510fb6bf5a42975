#include "controlplane/export/export.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/export/kafka.h"

struct exports {
    struct exports_options with;
    pthread_mutex_t mutex;
    struct config *config; /* retained; NULL: none yet */
    struct export_job **jobs;
    size_t count;
};

/* --- life ---------------------------------------------------------------------------------------
 */

enum err exports_create(const struct exports_options *options, struct exports **out)
{
    struct exports *x = calloc(1, sizeof(*x));
    if (x == NULL) {
        return ERR_NO_MEMORY;
    }
    x->with = *options;
    (void)pthread_mutex_init(&x->mutex, NULL);
    *out = x;
    return OK;
}

/* All are asked before one is waited for: they end at the same time. */
static void stop_all(struct exports *x)
{
    for (size_t i = 0; i < x->count; i++) {
        export_job_cancel(x->jobs[i]);
    }
    for (size_t i = 0; i < x->count; i++) {
        export_job_stop(x->jobs[i]);
    }
    free(x->jobs);
    x->jobs = NULL;
    x->count = 0;
    config_release(x->config);
    x->config = NULL;
}

void exports_stop(struct exports *exports)
{
    if (exports != NULL) {
        (void)pthread_mutex_lock(&exports->mutex);
        stop_all(exports);
        (void)pthread_mutex_unlock(&exports->mutex);
    }
}

void exports_destroy(struct exports *exports)
{
    if (exports != NULL) {
        stop_all(exports);
        (void)pthread_mutex_destroy(&exports->mutex);
        free(exports);
    }
}

static enum err start_all(struct exports *x, const struct config *config)
{
    x->config = config_retain((struct config *)(uintptr_t)config); /* counts only */
    x->jobs = calloc(config->exports.count + 1, sizeof(struct export_job *));
    enum err e = x->jobs == NULL ? ERR_NO_MEMORY : OK;
    for (size_t i = 0; e == OK && i < config->exports.count; i++) {
        const struct export_job_options options = {.config = &config->exports.items[i],
                                                   .store = x->with.store,
                                                   .vault = x->with.vault,
                                                   .feed = x->with.feed,
                                                   .clock = x->with.clock,
                                                   .log = x->with.log};
        e = export_job_start(&options, &x->jobs[i]);
        x->count += e == OK;
    }
    return e;
}

enum err exports_configure(struct exports *exports, const struct config *config)
{
    (void)pthread_mutex_lock(&exports->mutex);
    stop_all(exports);
    enum err e = start_all(exports, config);
    (void)pthread_mutex_unlock(&exports->mutex);
    return e;
}

enum err exports_check(const struct config *config, struct err_text *why)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < config->exports.count; i++) {
        if (config->exports.items[i].kind == CONFIG_EXPORT_KAFKA) {
            e = export_kafka_check(&config->exports.items[i], why);
        }
    }
    return e;
}

/* --- how they are -------------------------------------------------------------------------------
 */

static const char *destination_of(const struct config_export *config, struct arena *arena)
{
    struct buffer text;
    enum err e = OK;
    buffer_init(&text, 8 << 10);
    switch (config->kind) {
    case CONFIG_EXPORT_FILE: e = buffer_append_string(&text, config->file.directory); break;
    case CONFIG_EXPORT_SYSLOG:
        e = buffer_append_format(&text, "%s:%u%s", config->syslog.host,
                                 (unsigned)config->syslog.port, config->syslog.tls ? "" : " (tcp)");
        break;
    case CONFIG_EXPORT_KAFKA:
        for (size_t i = 0; e == OK && i < config->kafka.brokers.count; i++) {
            e = buffer_append_format(&text, "%s%s", i == 0 ? "" : ",",
                                     config->kafka.brokers.items[i]);
        }
        e = e == OK ? buffer_append_format(&text, " %s", config->kafka.topic) : e;
        break;
    }
    char *copy = e == OK ? arena_copy_string(arena, buffer_bytes(&text)) : NULL;
    buffer_finish(&text);
    return copy;
}

/* The control plane that does not do the job knows how far it is from the store. */
static enum err find_position(struct exports *x, struct exports_job *job)
{
    char cursor[128];
    if (job->status.state != EXPORT_STANDBY && job->status.state != EXPORT_STARTING) {
        return OK;
    }
    (void)snprintf(cursor, sizeof(cursor), "export/%s", job->name);
    enum err e = store_cursor_get(x->with.store, cursor, &job->status.position);
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err fill_lag(struct exports *x, uint64_t newest, struct arena *arena,
                         struct exports_job *job)
{
    struct store_audit_entry next;
    if (job->status.position >= newest) {
        return OK;
    }
    job->behind = newest - job->status.position;
    enum err e = store_audit_at(x->with.store, job->status.position + 1, arena, &next);
    if (e == OK) {
        int64_t age = clock_wall(&x->with.clock) - next.received_ns;
        job->behind_ns = age > 0 ? age : 0;
    }
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err fill(struct exports *x, size_t i, uint64_t newest, struct arena *arena,
                     struct exports_job *out)
{
    static const char *const kinds[] = {[CONFIG_EXPORT_FILE] = "file",
                                        [CONFIG_EXPORT_SYSLOG] = "syslog",
                                        [CONFIG_EXPORT_KAFKA] = "kafka"};
    export_job_status(x->jobs[i], &out->status);
    const struct config_export *config = out->status.config;
    out->status.config = NULL; /* it may go away with a new configuration */
    out->name = arena_copy_string(arena, bytes_of_string(config->name));
    out->kind = kinds[config->kind];
    out->destination = destination_of(config, arena);
    if (out->name == NULL || out->destination == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err e = find_position(x, out);
    return e == OK ? fill_lag(x, newest, arena, out) : e;
}

enum err exports_list(struct exports *exports, struct arena *arena, struct exports_job **out_items,
                      size_t *out_count)
{
    uint64_t newest = 0;
    enum err e = store_audit_count(exports->with.store, &newest);
    if (e != OK) {
        return e;
    }
    (void)pthread_mutex_lock(&exports->mutex);
    struct exports_job *items = arena_alloc(arena, (exports->count + 1) * sizeof(*items));
    e = items == NULL ? ERR_NO_MEMORY : OK;
    for (size_t i = 0; e == OK && i < exports->count; i++) {
        e = fill(exports, i, newest, arena, &items[i]);
    }
    if (e == OK) {
        *out_items = items;
        *out_count = exports->count;
    }
    (void)pthread_mutex_unlock(&exports->mutex);
    return e;
}

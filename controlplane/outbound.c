#include "controlplane/outbound.h"

#include <stdlib.h>

#include "controlplane/metrics/metrics_server.h"

enum { ARENA_BLOCK = 16 << 10, ARENA_CAP = 16 << 20 };

struct outbound {
    struct outbound_options with;
    struct exports *exports;
    struct metrics *metrics;
    struct metrics_server *server; /* NULL: none is wanted */
};

/* --- what is counted ----------------------------------------------------------------------------
 */

static void count_store(void *context, struct metrics_page *page)
{
    struct outbound *o = context;
    uint64_t records = 0;
    metrics_begin(page, "chaperone_build_info", "gauge", "The version that runs.");
    metrics_sample(page, "version", o->with.version, 1);
    if (store_audit_count(o->with.exports.store, &records) == OK) {
        metrics_counter(page, "chaperone_records_total", "Audit records in the store.",
                        (double)records);
    }
}

static void count_log(void *context, struct metrics_page *page)
{
    struct outbound *o = context;
    struct store_checkpoint latest;
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    if (arena != NULL && store_checkpoint_latest(o->with.exports.store, arena, &latest) == OK) {
        int64_t age = clock_wall(&o->with.exports.clock) - latest.time_ns;
        metrics_gauge(page, "chaperone_log_size", "Records in the latest checkpoint.",
                      (double)latest.size);
        metrics_gauge(page, "chaperone_log_checkpoint_age_seconds",
                      "Since the latest checkpoint was signed.", (double)age / 1e9);
    }
    arena_destroy(arena);
}

enum job_number {
    JOB_BEHIND,
    JOB_BEHIND_SECONDS,
    JOB_RECORDS,
    JOB_OMITTED,
    JOB_FAILURES,
    JOB_FAILING,
};

static double number_of(const struct exports_job *job, enum job_number number)
{
    switch (number) {
    case JOB_BEHIND: return (double)job->behind;
    case JOB_BEHIND_SECONDS: return (double)job->behind_ns / 1e9;
    case JOB_RECORDS: return (double)job->status.records;
    case JOB_OMITTED: return (double)job->status.omitted;
    case JOB_FAILURES: return (double)job->status.failures;
    case JOB_FAILING: break;
    }
    return job->status.state == EXPORT_FAILING ? 1 : 0;
}

static void count_exports(void *context, struct metrics_page *page)
{
    static const struct {
        const char *name, *type, *help;
        enum job_number number;
    } families[] = {
        {"chaperone_export_lag_records", "gauge", "Records of the log that a job has yet to do.",
         JOB_BEHIND},
        {"chaperone_export_lag_seconds", "gauge", "How long the oldest of them has been there.",
         JOB_BEHIND_SECONDS},
        {"chaperone_export_records_total", "counter", "Records that were taken.", JOB_RECORDS},
        {"chaperone_export_omitted_total", "counter",
         "Of these, those of which a line says only that they were left out.", JOB_OMITTED},
        {"chaperone_export_failures_total", "counter", "Attempts that failed.", JOB_FAILURES},
        {"chaperone_export_failing", "gauge", "1: the last attempt failed.", JOB_FAILING},
    };
    struct outbound *o = context;
    struct exports_job *jobs = NULL;
    size_t count = 0;
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    if (arena != NULL && exports_list(o->exports, arena, &jobs, &count) == OK && count > 0) {
        for (size_t f = 0; f < sizeof(families) / sizeof(families[0]); f++) {
            metrics_begin(page, families[f].name, families[f].type, families[f].help);
            for (size_t i = 0; i < count; i++) {
                metrics_sample(page, "job", jobs[i].name, number_of(&jobs[i], families[f].number));
            }
        }
    }
    arena_destroy(arena);
}

/* --- life ---------------------------------------------------------------------------------------
 */

enum err outbound_create(const struct outbound_options *options, struct outbound **out)
{
    struct outbound *o = calloc(1, sizeof(*o));
    if (o == NULL) {
        return ERR_NO_MEMORY;
    }
    o->with = *options;
    o->metrics = metrics_create();
    enum err e =
        o->metrics == NULL ? ERR_NO_MEMORY : exports_create(&options->exports, &o->exports);
    e = e == OK ? metrics_add(o->metrics, count_store, o) : e;
    e = e == OK ? metrics_add(o->metrics, count_log, o) : e;
    e = e == OK ? metrics_add(o->metrics, count_exports, o) : e;
    if (e != OK) {
        outbound_destroy(o);
        return e;
    }
    *out = o;
    return OK;
}

struct exports *outbound_exports(struct outbound *outbound)
{
    return outbound->exports;
}

enum err outbound_start(struct outbound *outbound, const struct config *config,
                        struct err_text *why)
{
    enum err e = exports_check(config, why);
    if (e == OK && config->metrics.host != NULL) {
        e = metrics_server_start(outbound->metrics, config->metrics.host, config->metrics.port,
                                 &outbound->server, why);
        if (e == OK) {
            log_event(outbound->with.exports.log, LOG_INFO, "metrics_listening",
                      log_text("address", config->metrics.host),
                      log_number("port", metrics_server_port(outbound->server)));
        }
    }
    return e == OK ? exports_configure(outbound->exports, config) : e;
}

static bool is_same(const struct config *a, const struct config *b, const char *key)
{
    const struct conf_node *of_a = conf_get(config_document(a), key);
    const struct conf_node *of_b = conf_get(config_document(b), key);
    if (of_a == NULL || of_b == NULL) {
        return of_a == of_b;
    }
    char *text_a = conf_to_json(of_a), *text_b = conf_to_json(of_b);
    bool same = text_a != NULL && text_b != NULL && strcmp(text_a, text_b) == 0;
    free(text_a);
    free(text_b);
    return same;
}

enum err outbound_reload(struct outbound *outbound, const struct config *before,
                         const struct config *now)
{
    return is_same(before, now, "exports") ? OK : exports_configure(outbound->exports, now);
}

bool outbound_needs_restart(const struct config *before, const struct config *now)
{
    return !is_same(before, now, "metrics");
}

void outbound_stop(struct outbound *outbound)
{
    if (outbound != NULL) {
        metrics_server_stop(outbound->server);
        outbound->server = NULL;
        exports_stop(outbound->exports);
    }
}

void outbound_destroy(struct outbound *outbound)
{
    if (outbound != NULL) {
        outbound_stop(outbound);
        exports_destroy(outbound->exports);
        metrics_destroy(outbound->metrics);
        free(outbound);
    }
}

/* audit jobs: how the export jobs are. */
#include <stdio.h>

#include "api/operator.pb-c.h"
#include "cli/commands.h"
#include "cli/output/moment.h"
#include "cli/output/table.h"
#include "cli/remote.h"
#include "formats/json.h"

static void add_moment(struct json *j, const char *name, int64_t moment_ns)
{
    if (moment_ns == 0) {
        json_add_null(j, j->root, name);
    } else {
        json_add_time(j, j->root, name, moment_ns);
    }
}

static enum err print_json(FILE *out, const Chaperone__V1__ExportJob *job)
{
    struct json j;
    json_init(&j);
    json_add_string(&j, j.root, "name", job->name);
    json_add_string(&j, j.root, "kind", job->kind);
    json_add_string(&j, j.root, "destination", job->destination);
    json_add_string(&j, j.root, "state", job->state);
    json_add_unsigned(&j, j.root, "position", job->position);
    json_add_unsigned(&j, j.root, "lag_records", job->lag_records);
    json_add_signed(&j, j.root, "lag_ms", job->lag_ns / 1000000);
    json_add_unsigned(&j, j.root, "records", job->records);
    json_add_unsigned(&j, j.root, "omitted", job->omitted);
    json_add_unsigned(&j, j.root, "failures", job->failures);
    add_moment(&j, "sent", job->sent_unix_ns);
    add_moment(&j, "next", job->next_unix_ns);
    json_add_string(&j, j.root, "error", job->error[0] == '\0' ? NULL : job->error);
    add_moment(&j, "error_time", job->error_unix_ns);
    enum err e = json_write_line(&j, out);
    json_finish(&j);
    return e;
}

static bool is_failing(const Chaperone__V1__ExportJob *job)
{
    return strcmp(job->state, "failing") == 0;
}

/* What matters most of it in a few words. */
static const char *remark(const Chaperone__V1__ExportJob *job, char scratch[2 * MOMENT_SIZE])
{
    char moment[MOMENT_SIZE];
    if (is_failing(job)) {
        return job->error;
    }
    if (job->next_unix_ns != 0) {
        moment_format(job->next_unix_ns, moment);
        (void)snprintf(scratch, 2 * MOMENT_SIZE, "next %s", moment);
        return scratch;
    }
    if (job->sent_unix_ns != 0) {
        moment_format(job->sent_unix_ns, moment);
        (void)snprintf(scratch, 2 * MOMENT_SIZE, "last %s", moment);
        return scratch;
    }
    return "";
}

static enum err add_row(struct table *t, const Chaperone__V1__ExportJob *job)
{
    char lag[MOMENT_SIZE], scratch[2 * MOMENT_SIZE];
    moment_format_duration(job->lag_ns / 1000, lag);
    enum err e = table_add_string(t, job->name);
    e = e != OK ? e : table_add_string(t, job->kind);
    e = e != OK ? e : table_add_string(t, job->state);
    e = e != OK ? e : table_add_number(t, job->position);
    e = e != OK ? e : table_add_number(t, job->lag_records);
    e = e != OK ? e : table_add_string(t, job->lag_records == 0 ? "-" : lag);
    e = e != OK ? e : table_add_number(t, job->omitted);
    e = e != OK ? e : table_add_string(t, job->destination);
    e = e != OK ? e : table_add_string(t, remark(job, scratch));
    return e;
}

static enum err print_text(const struct invocation *i,
                           const Chaperone__V1__ListExportJobsResponse *r)
{
    static const char *const headings[] = {"JOB", "KIND",    "STATE",       "POSITION", "BEHIND",
                                           "FOR", "OMITTED", "DESTINATION", "",         NULL};
    struct table *t = table_create(headings);
    enum err e = t == NULL ? ERR_NO_MEMORY : OK;
    for (size_t n = 0; e == OK && n < r->n_jobs; n++) {
        e = add_row(t, r->jobs[n]);
    }
    if (e == OK) {
        table_print(t, &i->out);
    }
    table_destroy(t);
    return e;
}

static int print(const struct invocation *i, const Chaperone__V1__ListExportJobsResponse *r)
{
    bool json = options_flag(&i->options, "json"), failing = false;
    enum err e = json ? OK : print_text(i, r);
    for (size_t n = 0; e == OK && n < r->n_jobs; n++) {
        failing = failing || is_failing(r->jobs[n]);
        e = json ? print_json(i->out.out, r->jobs[n]) : OK;
    }
    if (e != OK) {
        return command_fail(i, EXIT_NO, "%s", err_name(e));
    }
    int code = remote_flush(i);
    return code == EXIT_YES && failing ? EXIT_NO : code;
}

int command_audit_jobs(struct invocation *i)
{
    Chaperone__V1__ListExportJobsRequest request = CHAPERONE__V1__LIST_EXPORT_JOBS_REQUEST__INIT;
    struct remote remote;
    ProtobufCMessage *reply = NULL;
    int code = remote_open(i, &remote);
    if (code != EXIT_YES) {
        return code;
    }
    code = remote_call(i, &remote, &chaperone__v1__administration__descriptor, "ListExportJobs",
                       &request.base, &reply);
    if (code == EXIT_YES) {
        code = print(i, (const Chaperone__V1__ListExportJobsResponse *)reply);
        protobuf_c_message_free_unpacked(reply, NULL);
    }
    remote_close(&remote);
    return code;
}

/* Administration.ListExportJobs: how the exports are. */
#include "api/operator.pb-c.h"
#include "controlplane/export/export.h"
#include "controlplane/rpc/services_internal.h"

enum { ARENA_BLOCK = 16 << 10, ARENA_CAP = 16 << 20 };

static char *borrowed(const char *text)
{
    return (char *)(uintptr_t)text;
}

static void fill_job(const struct exports_job *from, Chaperone__V1__ExportJob *out)
{
    chaperone__v1__export_job__init(out);
    out->name = borrowed(from->name);
    out->kind = borrowed(from->kind);
    out->destination = borrowed(from->destination);
    out->state = borrowed(export_state_name(from->status.state));
    out->position = from->status.position;
    out->lag_records = from->behind;
    out->lag_ns = from->behind_ns;
    out->records = from->status.records;
    out->omitted = from->status.omitted;
    out->failures = from->status.failures;
    out->sent_unix_ns = from->status.sent_ns;
    out->next_unix_ns = from->status.next_ns;
    out->error = borrowed(from->status.error.text);
    out->error_unix_ns = from->status.error_ns;
}

static enum err fill(const struct call *call, struct arena *arena,
                     Chaperone__V1__ListExportJobsResponse *out)
{
    struct exports_job *jobs = NULL;
    size_t count = 0;
    enum err e = exports_list(call->services->with.exports, arena, &jobs, &count);
    if (e != OK) {
        return e;
    }
    Chaperone__V1__ExportJob *items = arena_alloc(arena, (count + 1) * sizeof(*items));
    out->jobs = arena_alloc(arena, (count + 1) * sizeof(void *));
    if (items == NULL || out->jobs == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        fill_job(&jobs[i], &items[i]);
        out->jobs[i] = &items[i];
    }
    out->n_jobs = count;
    return OK;
}

void administration_list_export_jobs(const struct call *call, const ProtobufCMessage *message,
                                     ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    (void)message;
    Chaperone__V1__ListExportJobsResponse response = CHAPERONE__V1__LIST_EXPORT_JOBS_RESPONSE__INIT;
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    enum err e = arena == NULL ? ERR_NO_MEMORY : fill(call, arena, &response);
    if (e == OK) {
        services_reply(&response.base, out_reply, out_status);
    } else {
        log_event(call->services->with.log, LOG_ERROR, "store_failed", log_text("at", "exports"),
                  log_text("error", err_name(e)));
        rpc_status_set(out_status, RPC_UNAVAILABLE, "the control plane cannot read its store");
    }
    arena_destroy(arena);
}

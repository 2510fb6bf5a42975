#include "controlplane/rpc/services.h"

#include <stdlib.h>

#include "api/approvals.pb-c.h"
#include "api/log.pb-c.h"
#include "api/operator.pb-c.h"
#include "api/policy.pb-c.h"
#include "api/sidecar.pb-c.h"
#include "controlplane/rpc/services_internal.h"

int64_t services_now(const struct services *services)
{
    return clock_wall(&services->with.clock);
}

void services_reply(const ProtobufCMessage *message, ProtobufCMessage **out_reply,
                    struct rpc_status *out_status)
{
    *out_reply = rpc_reply_copy(message);
    if (*out_reply == NULL) {
        rpc_status_set(out_status, RPC_RESOURCE_EXHAUSTED, "no memory");
    } else {
        rpc_status_set(out_status, RPC_OK, "%s", "");
    }
}

struct journal *services_journal(struct services *services)
{
    return services->journal;
}

void services_log_action(const struct call *call, const char *action, const char *object,
                         const char *outcome)
{
    log_event(call->services->with.log, LOG_INFO, "operator_action", log_text("action", action),
              log_text("subject", call->caller->who->subject),
              log_text("issuer", call->caller->who->issuer), log_text("object", object),
              log_text("outcome", outcome), log_text("peer", call->peer->address));
}

/* --- the snapshot ------------------------------------------------------------------------------
 */

struct snapshot *services_snapshot(struct services *services)
{
    (void)pthread_mutex_lock(&services->mutex);
    struct snapshot *s = snapshot_retain(services->snapshot);
    (void)pthread_mutex_unlock(&services->mutex);
    return s;
}

void services_replace_snapshot(struct services *services, struct snapshot *snapshot)
{
    const struct config *config = snapshot_config(snapshot);
    (void)pthread_mutex_lock(&services->mutex);
    struct snapshot *before = services->snapshot;
    services->snapshot = snapshot;
    (void)pthread_mutex_unlock(&services->mutex);
    watch_set_times(services->watch, config->watch.silent_after_ns, config->watch.lost_after_ns);
    snapshot_release(before);
}

/* --- calls -------------------------------------------------------------------------------------
 */

static bool begin_call(struct services *services, const char *service, const char *method,
                       const struct rpc_peer *peer, struct snapshot **out_snapshot,
                       struct access_caller *out_caller, struct rpc_status *out_status)
{
    struct snapshot *snapshot = services_snapshot(services);
    const struct access_context context = {.snapshot = snapshot,
                                           .store = services->with.store,
                                           .clock = services->with.clock,
                                           .log = services->with.log};
    if (!access_check(&context, service, method, peer, out_caller, out_status)) {
        services_notice_refusal(services, service, method, peer, out_caller, out_status);
        access_caller_finish(out_caller);
        snapshot_release(snapshot);
        return false;
    }
    *out_snapshot = snapshot;
    return true;
}

static void serve_unary(struct services *services, const char *service, const char *method,
                        unary_handler *handler, const struct rpc_peer *peer,
                        const ProtobufCMessage *request, ProtobufCMessage **out_reply,
                        struct rpc_status *out_status)
{
    struct snapshot *snapshot = NULL;
    struct access_caller caller;
    if (begin_call(services, service, method, peer, &snapshot, &caller, out_status)) {
        const struct call call = {
            .services = services, .snapshot = snapshot, .peer = peer, .caller = &caller};
        if (services_notice_call(&call, service, method, request, out_status)) {
            handler(&call, request, out_reply, out_status);
            services_notice_refusal(services, service, method, peer, &caller, out_status);
        }
        access_caller_finish(&caller);
        snapshot_release(snapshot);
    }
}

static void serve_stream(struct services *services, const char *service, const char *method,
                         stream_handler *handler, const struct rpc_peer *peer,
                         struct rpc_stream *stream, struct rpc_stream_events *out_events,
                         void **out_context, struct rpc_status *out_status)
{
    struct snapshot *snapshot = NULL;
    struct access_caller caller;
    if (begin_call(services, service, method, peer, &snapshot, &caller, out_status)) {
        const struct call call = {
            .services = services, .snapshot = snapshot, .peer = peer, .caller = &caller};
        if (services_notice_call(&call, service, method, NULL, out_status)) {
            handler(&call, stream, out_events, out_context, out_status);
            services_notice_refusal(services, service, method, peer, &caller, out_status);
        }
        access_caller_finish(&caller);
        snapshot_release(snapshot);
    }
}

/* A method's entry: C has no closure that could carry its names to serve_unary. */
#define UNARY(service, method, handler)                                                            \
    static void handler##_entry(void *context, const struct rpc_peer *peer,                        \
                                const ProtobufCMessage *request, ProtobufCMessage **out_reply,     \
                                struct rpc_status *out_status)                                     \
    {                                                                                              \
        serve_unary(context, "chaperone.v1." service, method, handler, peer, request, out_reply,   \
                    out_status);                                                                   \
    }
#define STREAM(service, method, handler)                                                           \
    static void handler##_entry(void *context, const struct rpc_peer *peer,                        \
                                struct rpc_stream *stream, struct rpc_stream_events *out_events,   \
                                void **out_context, struct rpc_status *out_status)                 \
    {                                                                                              \
        serve_stream(context, "chaperone.v1." service, method, handler, peer, stream, out_events,  \
                     out_context, out_status);                                                     \
    }

UNARY("Enrolment", "Enrol", enrolment_enrol)
UNARY("Enrolment", "Renew", enrolment_renew)
UNARY("Sidecar", "OpenSession", session_open)
UNARY("Sidecar", "RequestApproval", approval_request)
UNARY("Sidecar", "EndApproval", approval_end)
STREAM("Sidecar", "Watch", watch_open)
UNARY("Approvals", "List", approvals_list)
UNARY("Approvals", "Get", approvals_get_one)
UNARY("Approvals", "Decide", approvals_decide_one)
STREAM("Approvals", "Watch", approvals_watch)
UNARY("Approvals", "ListStanding", standing_list)
UNARY("Approvals", "RevokeStanding", standing_revoke)
UNARY("Approvals", "CreateLinkCode", links_create_code)
UNARY("Approvals", "ConfirmLink", links_confirm)
UNARY("Approvals", "RemoveLink", links_remove)
UNARY("AuditIngest", "Resume", ship_resume)
STREAM("AuditIngest", "Ship", ship_open)
STREAM("Audit", "Search", reading_search)
STREAM("Audit", "Tail", reading_tail)
UNARY("Log", "GetCheckpoint", log_get_checkpoint)
UNARY("Log", "ProveInclusion", log_prove_inclusion)
UNARY("Log", "ProveConsistency", log_prove_consistency)
STREAM("Log", "ReadTiles", log_read_tiles)
STREAM("Log", "Export", log_export)
UNARY("Sessions", "List", sessions_list)
UNARY("Sessions", "Kill", sessions_kill)
UNARY("Sessions", "Block", sessions_block)
UNARY("Sessions", "Lift", sessions_lift)
UNARY("Sessions", "ListBlocks", sessions_list_blocks)
UNARY("Policies", "Push", policies_push)
UNARY("Policies", "Rollback", policies_rollback)
UNARY("Policies", "List", policies_list)
UNARY("Policies", "Get", policies_get)
UNARY("Administration", "CreateJoinToken", administration_create_join_token)
UNARY("Administration", "Status", administration_status)
UNARY("Administration", "RevokeSidecar", administration_revoke_sidecar)
UNARY("Administration", "ListExportJobs", administration_list_export_jobs)
UNARY("Retention", "PlaceHold", retention_place_hold)
UNARY("Retention", "LiftHold", retention_lift_hold)
UNARY("Retention", "ListHolds", retention_list_holds)
UNARY("Retention", "Preview", retention_preview)

enum err services_add_to(struct services *services, struct rpc_server *server)
{
    static const struct rpc_method enrolment[] = {{.name = "Enrol", .unary = enrolment_enrol_entry},
                                                  {.name = "Renew", .unary = enrolment_renew_entry},
                                                  {.name = NULL}};
    static const struct rpc_method sidecar[] = {
        {.name = "OpenSession", .unary = session_open_entry},
        {.name = "RequestApproval", .unary = approval_request_entry},
        {.name = "EndApproval", .unary = approval_end_entry},
        {.name = "Watch", .stream = watch_open_entry},
        {.name = NULL}};
    static const struct rpc_method ingest[] = {{.name = "Resume", .unary = ship_resume_entry},
                                               {.name = "Ship", .stream = ship_open_entry},
                                               {.name = NULL}};
    static const struct rpc_method audit[] = {{.name = "Search", .stream = reading_search_entry},
                                              {.name = "Tail", .stream = reading_tail_entry},
                                              {.name = NULL}};
    static const struct rpc_method transparency[] = {
        {.name = "GetCheckpoint", .unary = log_get_checkpoint_entry},
        {.name = "ProveInclusion", .unary = log_prove_inclusion_entry},
        {.name = "ProveConsistency", .unary = log_prove_consistency_entry},
        {.name = "ReadTiles", .stream = log_read_tiles_entry},
        {.name = "Export", .stream = log_export_entry},
        {.name = NULL}};
    static const struct rpc_method sessions[] = {
        {.name = "List", .unary = sessions_list_entry},
        {.name = "Kill", .unary = sessions_kill_entry},
        {.name = "Block", .unary = sessions_block_entry},
        {.name = "Lift", .unary = sessions_lift_entry},
        {.name = "ListBlocks", .unary = sessions_list_blocks_entry},
        {.name = NULL}};
    static const struct rpc_method approvals[] = {
        {.name = "List", .unary = approvals_list_entry},
        {.name = "Get", .unary = approvals_get_one_entry},
        {.name = "Decide", .unary = approvals_decide_one_entry},
        {.name = "Watch", .stream = approvals_watch_entry},
        {.name = "ListStanding", .unary = standing_list_entry},
        {.name = "RevokeStanding", .unary = standing_revoke_entry},
        {.name = "CreateLinkCode", .unary = links_create_code_entry},
        {.name = "ConfirmLink", .unary = links_confirm_entry},
        {.name = "RemoveLink", .unary = links_remove_entry},
        {.name = NULL}};
    static const struct rpc_method policies[] = {
        {.name = "Push", .unary = policies_push_entry},
        {.name = "Rollback", .unary = policies_rollback_entry},
        {.name = "List", .unary = policies_list_entry},
        {.name = "Get", .unary = policies_get_entry},
        {.name = NULL}};
    static const struct rpc_method administration[] = {
        {.name = "CreateJoinToken", .unary = administration_create_join_token_entry},
        {.name = "Status", .unary = administration_status_entry},
        {.name = "RevokeSidecar", .unary = administration_revoke_sidecar_entry},
        {.name = "ListExportJobs", .unary = administration_list_export_jobs_entry},
        {.name = NULL}};
    static const struct rpc_method retention[] = {
        {.name = "PlaceHold", .unary = retention_place_hold_entry},
        {.name = "LiftHold", .unary = retention_lift_hold_entry},
        {.name = "ListHolds", .unary = retention_list_holds_entry},
        {.name = "Preview", .unary = retention_preview_entry},
        {.name = NULL}};
    static const struct {
        const ProtobufCServiceDescriptor *service;
        const struct rpc_method *methods;
    } table[] = {
        {&chaperone__v1__enrolment__descriptor, enrolment},
        {&chaperone__v1__sidecar__descriptor, sidecar},
        {&chaperone__v1__audit_ingest__descriptor, ingest},
        {&chaperone__v1__audit__descriptor, audit},
        {&chaperone__v1__log__descriptor, transparency},
        {&chaperone__v1__sessions__descriptor, sessions},
        {&chaperone__v1__approvals__descriptor, approvals},
        {&chaperone__v1__policies__descriptor, policies},
        {&chaperone__v1__administration__descriptor, administration},
        {&chaperone__v1__retention__descriptor, retention},
    };
    enum err e = OK;
    for (size_t i = 0; e == OK && i < sizeof(table) / sizeof(table[0]); i++) {
        e = rpc_server_add(server, table[i].service, table[i].methods, services);
    }
    return e;
}

/* --- life --------------------------------------------------------------------------------------
 */

static bool is_connected(void *context, const char *sidecar)
{
    return replicas_is_connected(context, sidecar);
}

static enum err create_watch(struct services *s)
{
    const struct findings_options findings = {
        .store = s->with.store, .journal = s->journal, .clock = s->with.clock, .log = s->with.log};
    enum err e = findings_create(&findings, &s->findings);
    const struct config *config = snapshot_config(s->snapshot);
    const struct watch_options watch = {.store = s->with.store,
                                        .findings = s->findings,
                                        .clock = s->with.clock,
                                        .log = s->with.log,
                                        .silent_after_ns = config->watch.silent_after_ns,
                                        .lost_after_ns = config->watch.lost_after_ns,
                                        .arrivals = s->arrivals,
                                        .is_connected = is_connected,
                                        .context = s};
    return e == OK ? watch_create(&watch, &s->watch) : e;
}

static enum err create_parts(struct services *s)
{
    const struct journal_options journal = {
        .store = s->with.store, .feed = s->with.feed, .clock = s->with.clock};
    s->journal = journal_create(&journal);
    s->logins = logins_create();
    s->refusals = refusals_create();
    s->arrivals = arrivals_create();
    s->ingest.arrivals = s->arrivals;
    if (s->journal == NULL || s->logins == NULL || s->refusals == NULL || s->arrivals == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err e = ingest_threads_create(INGEST_THREADS, s->with.ingest_niceness, &s->ingest_threads);
    e = e == OK ? oauth2_create(&s->with.clock, &s->oauth2) : e;
    e = e == OK ? news_create(s->with.store, s->with.log, &s->news) : e;
    const struct watchers_options watching = {
        .publisher = s->with.publisher, .news = s->news, .log = s->with.log};
    s->watchers = e == OK ? watchers_create(&watching) : NULL;
    e = s->watchers == NULL ? ERR_NO_MEMORY : approvals_push_create(s);
    if (e == OK && s->with.is_shared) {
        e = replicas_create(s, &s->replicas);
    }
    return e == OK ? create_watch(s) : e;
}

enum err services_create(const struct services_options *options, struct snapshot *snapshot,
                         struct services **out)
{
    struct services *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        snapshot_release(snapshot);
        return ERR_NO_MEMORY;
    }
    s->with = *options;
    s->ingest = (struct audit_ingest){
        .store = options->store, .feed = options->feed, .clock = options->clock};
    s->snapshot = snapshot;
    atomic_init(&s->readings, 0);
    atomic_init(&s->exports, 0);
    atomic_init(&s->approval_watches, 0);
    streams_init(&s->streams);
    (void)pthread_mutex_init(&s->mutex, NULL);
    enum err e = create_parts(s);
    if (e != OK) {
        services_destroy(s);
        return e;
    }
    *out = s;
    return OK;
}

void services_destroy(struct services *services)
{
    if (services != NULL) {
        watch_destroy(services->watch);
        replicas_destroy(services->replicas);
        approvals_destroy(services->approvals); /* its thread tells the watchers */
        audit_feed_destroy(services->approvals_feed);
        watchers_destroy(services->watchers);
        news_destroy(services->news);
        if (services->journal != NULL && services->refusals != NULL) {
            services_record_refusals(services, true);
        }
        findings_destroy(services->findings);
        refusals_destroy(services->refusals);
        logins_destroy(services->logins);
        oauth2_destroy(services->oauth2);
        journal_destroy(services->journal);
        streams_finish(&services->streams);
        ingest_threads_destroy(services->ingest_threads);
        arrivals_destroy(services->arrivals);
        snapshot_release(services->snapshot);
        (void)pthread_mutex_destroy(&services->mutex);
        free(services);
    }
}

void services_tend(struct services *services)
{
    services_record_refusals(services, false);
}

void services_push_policy(struct services *services)
{
    watchers_push_policy(services->watchers);
}

void services_drain(struct services *services)
{
    streams_drain(&services->streams, true);
}

void services_disconnect(struct services *services)
{
    streams_drain(&services->streams, false);
}

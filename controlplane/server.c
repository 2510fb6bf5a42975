#include "controlplane/server.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "controlplane/applied.h"
#include "controlplane/files/files.h"
#include "controlplane/listener.h"
#include "controlplane/log_keeper.h"
#include "controlplane/outbound.h"
#include "controlplane/policy/document.h"
#include "controlplane/retention/retention.h"
#include "controlplane/state.h"

enum {
    /* Handlers may wait for an issuer, a disk or a sidecar; this many may do so at a time. */
    RPC_THREADS = 16,
    RELISTEN_GRACE_MS = 2000,
};

struct server {
    struct server_options with;
    struct snapshot *snapshot; /* the one in force; the services hold their own */
    struct journal *journal;   /* until there are services, which have another one */
    struct state state;
    struct ca *ca;
    struct buffer server_ca_pem;
    struct publisher *publisher;
    struct audit_feed *feed;
    struct log_keeper *log_keeper;
    struct outbound *outbound;
    struct services *services;
    struct retention *retention;
    struct rpc_runtime *runtime;
    struct listener *listener; /* NULL for as long as the port cannot be had again */
    int port;                  /* of the first listener, and so of all that follow */
    char *port_file;           /* NULL: none was written */
};

static const struct config *config_of(const struct server *s)
{
    return snapshot_config(s->snapshot);
}

/* --- what is recorded --------------------------------------------------------------------------
 */

static struct journal *journal_of(struct server *s)
{
    const struct journal_options options = {.store = s->state.store, .clock = s->with.clock};
    if (s->services != NULL) {
        return services_journal(s->services);
    }
    s->journal = s->journal == NULL ? journal_create(&options) : s->journal;
    return s->journal;
}

static enum err apply_lists(struct server *s, const struct config *config, const char *action,
                            const struct config *before, struct err_text *why)
{
    const struct applied_options options = {
        .store = s->state.store, .journal = journal_of(s), .action = action, .before = before};
    return options.journal == NULL
               ? ERR_NO_MEMORY
               : applied_store(&options, config, clock_wall(&s->with.clock), why);
}

/* As of one that a person pushes. The revision itself says where it came from: where this fails, it
 * is still known. */
static void record_policy(struct server *s, const struct config *config,
                          const struct publisher_result *result)
{
    char object[192], from[512];
    Chaperone__V1__Action action = CHAPERONE__V1__ACTION__INIT;
    const struct journal_entry entry = {.action = &action};
    struct journal *journal = journal_of(s);
    (void)snprintf(object, sizeof(object), "revision %llu (%s), new",
                   (unsigned long long)result->revision, result->hash);
    (void)snprintf(from, sizeof(from), "file %.480s",
                   config->policy_file == NULL ? config->file : config->policy_file);
    action.action = (char *)(uintptr_t) "policy";
    action.object = object;
    action.from = from;
    enum err e = journal == NULL ? ERR_NO_MEMORY : journal_append(journal, &entry, NULL);
    if (e != OK) {
        log_event(s->with.log, LOG_ERROR, "action_not_recorded", log_text("action", "policy"),
                  log_text("object", object), log_text("error", err_name(e)));
    }
}

/* --- policy ------------------------------------------------------------------------------------
 */

static enum err publish(struct server *s, const struct config *config, struct err_text *why)
{
    struct policy_document document;
    struct publisher_result result = {0};
    enum err e = policy_document_load(config->policy_file, &document, why);
    if (e != OK) {
        return e;
    }
    e = publisher_configure(s->publisher, buffer_bytes(&document.canonical), document.source,
                            config->policy_file == NULL, &result, why);
    policy_document_finish(&document);
    if (e == OK) {
        log_event(s->with.log, LOG_INFO, "policy_published",
                  log_number("revision", (int64_t)result.revision), log_text("hash", result.hash),
                  log_text("revision_is", result.changed ? "new" : "as before"));
    }
    if (e == OK && result.changed) {
        record_policy(s, config, &result);
    }
    if (e == OK && result.is_default) {
        log_event(s->with.log, LOG_WARN, "policy_absent",
                  log_text("meaning", "everything is allowed and recorded"));
    }
    return e;
}

/* --- the keys of issuers -----------------------------------------------------------------------
 */

/* Kept for whoever checks later what was believed; a login does not fail for it. */
static void keep_issuer_key(void *context, const char *issuer, const char *key_id, const char *jwk)
{
    struct server *s = context;
    enum err e = s->state.store == NULL ? ERR_UNAVAILABLE
                                        : store_issuer_key_seen(s->state.store, issuer, key_id, jwk,
                                                                clock_wall(&s->with.clock));
    if (e != OK) {
        log_event(s->with.log, LOG_ERROR, "issuer_key_not_kept", log_text("issuer", issuer),
                  log_text("error", err_name(e)));
    }
}

/* --- start -------------------------------------------------------------------------------------
 */

static enum err check_ca_key(struct server *s, struct err_text *why)
{
    const struct config *config = config_of(s);
    char *own = files_join(config->data, "ca/ca.key");
    enum err e =
        own == NULL ? ERR_NO_MEMORY
                    : state_check_key(&config->store, s->state.store,
                                      config->ca.key == NULL ? own : config->ca.key, "ca.key", why);
    free(own);
    return e;
}

static enum err open_ca(struct server *s, struct err_text *why)
{
    const struct config *config = config_of(s);
    char *directory = files_join(config->data, "ca");
    if (directory == NULL) {
        return ERR_NO_MEMORY;
    }
    const struct ca_options options = {.directory = directory,
                                       .certificate = config->ca.certificate,
                                       .key = config->ca.key,
                                       .clock = s->with.clock};
    enum err e = ca_open(&options, &s->ca, why);
    if (e == OK) {
        e = check_ca_key(s, why);
    }
    if (e == OK) {
        e = config->tls_ca == NULL ? buffer_append(&s->server_ca_pem, ca_certificate_pem(s->ca))
                                   : files_read(config->tls_ca, &s->server_ca_pem, why);
    }
    free(directory);
    return e;
}

static enum err open_publisher(struct server *s, struct err_text *why)
{
    char *key = files_join(config_of(s)->data, "policy.key");
    enum err e = key == NULL
                     ? ERR_NO_MEMORY
                     : publisher_create(s->state.store, key, &s->with.clock, &s->publisher, why);
    if (e == OK) {
        e = state_check_key(&config_of(s)->store, s->state.store, key, "policy.key", why);
    }
    free(key);
    return e == OK ? publish(s, config_of(s), why) : e;
}

static enum err open_outbound(struct server *s)
{
    const struct outbound_options options = {.exports = {.store = s->state.store,
                                                         .vault = s->state.vault,
                                                         .feed = s->feed,
                                                         .clock = s->with.clock,
                                                         .log = s->with.log},
                                             .version = s->with.version};
    return outbound_create(&options, &s->outbound);
}

static enum err open_services(struct server *s, struct err_text *why)
{
    s->feed = audit_feed_create();
    if (s->feed == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err e = log_keeper_create(config_of(s), s->state.store, s->with.clock, s->with.log,
                                   &s->log_keeper, why);
    if (e != OK) {
        return e;
    }
    e = open_outbound(s);
    if (e != OK) {
        return e;
    }
    const struct services_options options = {
        .store = s->state.store,
        .is_shared = config_of(s)->store.kind == CONFIG_STORE_POSTGRES,
        .ingest_niceness = config_of(s)->store.ingest_niceness,
        .vault = s->state.vault,
        .masking_key = bytes_of(s->state.masking_key, SECRET_KEY_SIZE),
        .ca = s->ca,
        .server_ca_pem = buffer_bytes(&s->server_ca_pem),
        .publisher = s->publisher,
        .feed = s->feed,
        .exports = outbound_exports(s->outbound),
        .keeper = log_keeper_of(s->log_keeper),
        .clock = s->with.clock,
        .log = s->with.log,
        .version = s->with.version};
    e = services_create(&options, snapshot_retain(s->snapshot), &s->services);
    return e == OK ? log_keeper_start(s->log_keeper, services_journal(s->services)) : e;
}

static enum err start_retention(struct server *s)
{
    const struct retention_options options = {.store = s->state.store,
                                              .journal = services_journal(s->services),
                                              .clock = s->with.clock,
                                              .log = s->with.log};
    return retention_start(&options, snapshot_config(s->snapshot), &s->retention);
}

/* -1: the configured port. */
static enum err listen_on(struct server *s, int port, struct err_text *why)
{
    const struct listener_options options = {.runtime = s->runtime,
                                             .services = s->services,
                                             .ca = s->ca,
                                             .config = config_of(s),
                                             .clock = s->with.clock,
                                             .port = port};
    enum err e = listener_open(&options, &s->listener, why);
    if (e == OK) {
        s->port = listener_port(s->listener);
        log_event(s->with.log, LOG_INFO, "listening",
                  log_text("address", config_of(s)->listen.host), log_number("port", s->port));
    }
    return e;
}

/* With port 0 only the system knows the port: whoever started us finds it here. */
static enum err write_port_file(struct server *s, struct err_text *why)
{
    char text[16];
    if (config_of(s)->listen.port != 0) {
        return OK;
    }
    (void)snprintf(text, sizeof(text), "%d\n", s->port);
    s->port_file = files_join(config_of(s)->data, "controlplane.port");
    return s->port_file == NULL ? ERR_NO_MEMORY
                                : file_replace(s->port_file, 0644, bytes_of_string(text), why);
}

static void warn_of_gaps(const struct server *s)
{
    const struct config *c = config_of(s);
    if (c->identity_providers.count == 0) {
        log_event(s->with.log, LOG_WARN, "no_identity_providers",
                  log_text("meaning", "no agent and no operator can be identified"));
    }
    if (c->grants.count == 0) {
        log_event(s->with.log, LOG_WARN, "no_grants",
                  log_text("meaning", "no session can be opened"));
    }
}

/* Bringing an older store to this version's form may take minutes. */
static const int64_t conversion_say_ns = INT64_C(5000000000);

struct conversion {
    const struct server *server;
    int64_t said_ns; /* 0: nothing yet */
};

static void on_conversion(void *context, const char *what, uint64_t done, uint64_t all)
{
    struct conversion *c = context;
    int64_t now = clock_monotonic(&c->server->with.clock);
    if (c->said_ns == 0 || done >= all || now - c->said_ns >= conversion_say_ns) {
        c->said_ns = now;
        log_event(c->server->with.log, LOG_INFO, "store_converting", log_text("what", what),
                  log_number("done", (int64_t)done), log_number("of", (int64_t)all));
    }
}

static enum err open_state(struct server *s, struct err_text *why)
{
    struct conversion conversion = {.server = s};
    const struct store_progress progress = {.on_step = on_conversion, .context = &conversion};
    return state_open(config_of(s)->data, &config_of(s)->store, &progress, &s->state, why);
}

static enum err start(struct server *s, struct err_text *why)
{
    enum err e = open_state(s, why);
    if (e == OK) {
        e = open_ca(s, why);
    }
    if (e == OK) {
        e = apply_lists(s, config_of(s), "start", NULL, why);
    }
    if (e == OK) {
        e = open_publisher(s, why);
    }
    if (e == OK) {
        e = open_services(s, why);
    }
    if (e == OK) {
        e = start_retention(s);
    }
    if (e == OK) {
        e = rpc_runtime_create(RPC_THREADS, s->with.log, &s->runtime);
    }
    if (e == OK) {
        e = outbound_start(s->outbound, config_of(s), why);
    }
    if (e == OK) {
        warn_of_gaps(s);
        e = listen_on(s, -1, why);
    }
    return e == OK ? write_port_file(s, why) : e;
}

enum err server_start(const struct server_options *options, struct server **out,
                      struct err_text *why)
{
    struct server *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        config_release(options->config);
        return ERR_NO_MEMORY;
    }
    s->with = *options;
    s->with.fetcher.on_key = keep_issuer_key;
    s->with.fetcher.key_context = s;
    buffer_init(&s->server_ca_pem, CA_PEM_CAP);
    enum err e =
        snapshot_create(options->config, NULL, &s->with.clock, &s->with.fetcher, &s->snapshot, why);
    if (e == OK) {
        e = start(s, why);
    }
    if (e != OK) {
        server_stop(s, 0);
        return e;
    }
    *out = s;
    return OK;
}

enum err server_check(const struct server_options *options, struct err_text *why)
{
    struct snapshot *snapshot = NULL;
    struct policy_document document;
    enum err e =
        snapshot_create(options->config, NULL, &options->clock, &options->fetcher, &snapshot, why);
    if (e == OK) {
        e = policy_document_load(snapshot_config(snapshot)->policy_file, &document, why);
        if (e == OK) {
            e = log_keeper_check(snapshot_config(snapshot), why);
            policy_document_finish(&document);
        }
    }
    if (e == OK) {
        e = exports_check(snapshot_config(snapshot), why);
    }
    if (e == OK) {
        e = state_check(&snapshot_config(snapshot)->store, why);
    }
    snapshot_release(snapshot);
    return e;
}

int server_port(const struct server *server)
{
    return server->port;
}

/* --- reload ------------------------------------------------------------------------------------
 */

static bool differ(const char *a, const char *b)
{
    return (a == NULL) != (b == NULL) || (a != NULL && strcmp(a, b) != 0);
}

static bool audit_log_differs(const struct config *a, const struct config *b)
{
    bool differs = differ(a->audit_log.origin, b->audit_log.origin) ||
                   a->audit_log.interval_ns != b->audit_log.interval_ns ||
                   a->audit_log.key_overlap_ns != b->audit_log.key_overlap_ns ||
                   a->audit_log.quorum != b->audit_log.quorum ||
                   a->audit_log.witnesses.count != b->audit_log.witnesses.count;
    for (size_t i = 0; !differs && i < a->audit_log.witnesses.count; i++) {
        const struct config_witness *x = &a->audit_log.witnesses.items[i];
        const struct config_witness *y = &b->audit_log.witnesses.items[i];
        differs =
            differ(x->url, y->url) || differ(x->key, y->key) || differ(x->ca_file, y->ca_file);
    }
    return differs;
}

static bool store_differs(const struct config_store *a, const struct config_store *b)
{
    return a->kind != b->kind || differ(a->url, b->url) || a->connections != b->connections ||
           a->url_secret.source != b->url_secret.source ||
           differ(a->url_secret.at, b->url_secret.at);
}

static bool blobs_differ(const struct config_blobs *a, const struct config_blobs *b)
{
    return a->kind != b->kind || a->threshold != b->threshold ||
           differ(a->directory, b->directory) || differ(a->endpoint, b->endpoint) ||
           differ(a->bucket, b->bucket) || differ(a->region, b->region) ||
           differ(a->prefix, b->prefix) || differ(a->ca_file, b->ca_file) ||
           a->is_virtual_host != b->is_virtual_host || a->timeout_ns != b->timeout_ns ||
           differ(a->key_id.at, b->key_id.at) || differ(a->secret_key.at, b->secret_key.at);
}

static void warn_of_restart(const struct server *s, const struct config *now)
{
    const struct config *before = config_of(s);
    const struct {
        const char *key;
        bool changed;
    } keys[] = {
        {"listen",
         differ(before->listen.host, now->listen.host) || before->listen.port != now->listen.port},
        {"data", differ(before->data, now->data)},
        {"store", store_differs(&before->store, &now->store)},
        {"blobs", blobs_differ(&before->store.blobs, &now->store.blobs)},
        {"ca", differ(before->ca.certificate, now->ca.certificate) ||
                   differ(before->ca.key, now->ca.key)},
        {"audit_log", audit_log_differs(before, now)},
        {"metrics", outbound_needs_restart(before, now)},
        {"log", before->log.level != now->log.level || before->log.format != now->log.format},
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (keys[i].changed) {
            log_event(s->with.log, LOG_WARN, "restart_needed", log_text("key", keys[i].key));
        }
    }
}

static void listen_again(struct server *s)
{
    struct err_text why = {0};
    if (listen_on(s, s->port, &why) != OK) { /* server_tend tries again */
        log_event(s->with.log, LOG_ERROR, "listen_failed", log_text("reason", why.text));
    }
}

/* Everything that can fail comes before anything that counts. */
static enum err apply(struct server *s, struct snapshot *snapshot, struct err_text *why)
{
    const struct config *config = snapshot_config(snapshot);
    enum err e = exports_check(config, why);
    if (e == OK) {
        e = apply_lists(s, config, "reload", config_of(s), why);
    }
    if (e == OK) {
        e = publish(s, config, why);
    }
    if (e == OK) {
        e = outbound_reload(s->outbound, config_of(s), config);
    }
    if (e != OK) {
        return e;
    }
    warn_of_restart(s, config);
    services_replace_snapshot(s->services, snapshot_retain(snapshot));
    retention_configure(s->retention, snapshot_config(snapshot));
    services_push_policy(s->services);
    return OK;
}

enum err server_reload(struct server *server, struct err_text *why)
{
    struct config *config = NULL;
    struct snapshot *snapshot = NULL;
    enum err e = config_load(config_of(server)->file, &config, why);
    if (e == OK) {
        e = snapshot_create(config, server->snapshot, &server->with.clock, &server->with.fetcher,
                            &snapshot, why);
    }
    if (e == OK) {
        e = apply(server, snapshot, why);
    }
    if (e != OK) {
        snapshot_release(snapshot);
        return e;
    }
    snapshot_release(server->snapshot);
    server->snapshot = snapshot;
    warn_of_gaps(server);
    log_event(server->with.log, LOG_INFO, "configuration_reloaded",
              log_text("file", config_of(server)->file));
    server_tend(server);
    return OK;
}

/* Calls are served whatever the log's state is: it has a name of its own for who watches. */
static void show_health(struct server *s)
{
    struct keeper_status status;
    keeper_read_status(log_keeper_of(s->log_keeper), &status);
    if (s->listener != NULL) {
        listener_set_log_health(s->listener, keeper_state_is_well(status.state));
    }
}

void server_tend(struct server *server)
{
    int64_t now = clock_wall(&server->with.clock);
    services_tend(server->services);
    show_health(server);
    if (server->listener == NULL) {
        listen_again(server);
    } else if (listener_is_stale(server->listener, config_of(server), now)) {
        log_event(server->with.log, LOG_INFO, "certificate_renewed");
        services_disconnect(server->services);
        listener_close(server->listener, RELISTEN_GRACE_MS);
        server->listener = NULL;
        listen_again(server);
    }
}

void server_stop(struct server *server, int grace_ms)
{
    if (server == NULL) {
        return;
    }
    if (server->listener != NULL) {
        listener_set_serving(server->listener, false);
        services_drain(server->services);
    }
    outbound_stop(server->outbound);
    listener_close(server->listener, grace_ms);
    rpc_runtime_destroy(server->runtime);
    retention_stop(server->retention);
    log_keeper_stop(server->log_keeper); /* it records in the services' journal */
    services_destroy(server->services);
    outbound_destroy(server->outbound);
    log_keeper_destroy(server->log_keeper);
    audit_feed_destroy(server->feed);
    journal_destroy(server->journal);
    publisher_destroy(server->publisher);
    ca_close(server->ca);
    state_close(&server->state);
    snapshot_release(server->snapshot);
    buffer_finish(&server->server_ca_pem);
    if (server->port_file != NULL) {
        (void)remove(server->port_file);
    }
    free(server->port_file);
    free(server);
}

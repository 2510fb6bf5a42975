/* Opening all that a control plane is made of, in the order in which one part needs another. */
#include <stdlib.h>

#include "controlplane/files/files.h"
#include "controlplane/server_internal.h"

/* Handlers may wait for an issuer, a disk or a sidecar; this many may do so at a time. */
enum { RPC_THREADS = 16 };

/* --- the state ---------------------------------------------------------------------------------
 */

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
    return state_open(server_config(s)->data, &server_config(s)->store, &progress, &s->state, why);
}

/* --- what is built on it -----------------------------------------------------------------------
 */

static enum err check_ca_key(struct server *s, struct err_text *why)
{
    const struct config *config = server_config(s);
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
    const struct config *config = server_config(s);
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
    char *key = files_join(server_config(s)->data, "policy.key");
    enum err e = key == NULL
                     ? ERR_NO_MEMORY
                     : publisher_create(s->state.store, key, &s->with.clock, &s->publisher, why);
    if (e == OK) {
        e = state_check_key(&server_config(s)->store, s->state.store, key, "policy.key", why);
    }
    free(key);
    return e == OK ? server_publish(s, server_config(s), why) : e;
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
    enum err e = log_keeper_create(server_config(s), s->state.store, s->with.clock, s->with.log,
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
        .is_shared = server_config(s)->store.kind == CONFIG_STORE_POSTGRES,
        .ingest_niceness = server_config(s)->store.ingest_niceness,
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

enum err server_open(struct server *s, struct err_text *why)
{
    enum err e = open_state(s, why);
    if (e == OK) {
        e = open_ca(s, why);
    }
    if (e == OK) {
        e = server_apply_lists(s, server_config(s), "start", NULL, why);
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
        e = outbound_start(s->outbound, server_config(s), why);
    }
    return e;
}

#include "sidecar/control/control.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/net/resolve.h"
#include "policies/policy.h"
#include "sidecar/audit/recorder.h"
#include "sidecar/control/control_internal.h"

enum { HOST_SIZE = 256, CA_CAP = 1 << 20 };

/* ---- identity and tunnel ---- */

enum err control_make_tunnel(struct control *c, bool with_certificate, struct tunnel **out)
{
    struct err_text why = {.text = ""};
    struct tunnel_options options = {.loop = c->loop,
                                     .log = c->log,
                                     .runtime = c->runtime,
                                     .servers = c->servers,
                                     .server_count = c->server_count,
                                     .ca_pem = buffer_bytes(&c->ca_pem)};
    if (with_certificate) {
        options.certificate_pem = identity_certificate_pem(c->identity);
        options.key_pem = identity_key_pem(c->identity);
    }
    enum err result = tunnel_create(&options, out, &why);
    if (result != OK) {
        log_event(c->log, LOG_ERROR, "tunnel_not_made", log_text("error", why.text));
    }
    return result;
}

void control_use_identity(struct control *c)
{
    struct tunnel *tunnel = NULL;
    if (control_make_tunnel(c, true, &tunnel) != OK) {
        return; /* logged; the next renewal tries again */
    }
    struct tunnel *before = c->tunnel;
    c->tunnel = tunnel;
    watch_restart(c);
    if (c->uplink != NULL) {
        uplink_use(c->uplink, tunnel);
    }
    tunnel_release(before); /* goes when its last call has ended */
    if (!c->announced) {
        c->announced = true;
        c->events.on_enrolled(c->context, identity_sidecar(c->identity));
    }
}

void control_set_revoked(struct control *c, const char *why)
{
    static const struct control_kill all = {.order = "",
                                            .session = "",
                                            .identity = "",
                                            .resource = "",
                                            .all = true,
                                            .ordered_by = "the control plane",
                                            .reason = "this sidecar has been revoked"};
    struct control_sessions ended = {.ids.count = 0};
    (void)snprintf(c->revoked, sizeof(c->revoked), "%s",
                   why[0] == '\0' ? "this sidecar has been revoked" : why);
    log_event(c->log, LOG_ERROR, "sidecar_revoked", log_text("why", c->revoked));
    watch_stop(c);
    enrolment_halt(c);
    if (c->uplink != NULL) {
        uplink_use(c->uplink, NULL);
    }
    tunnel_close(c->tunnel);
    tunnel_release(c->tunnel);
    c->tunnel = NULL;
    if (c->events.on_kill != NULL) {
        c->events.on_kill(c->context, &all, &ended);
    }
    control_ids_finish(&ended.ids);
    approvals_stop(c); /* nobody there hears how they ended */
}

/* ---- policy ---- */

void control_use_policy(struct control *c, struct policy *policy, uint64_t revision)
{
    struct policy *before = c->policy;
    c->policy = policy;
    c->policy_revision = revision;
    c->events.on_policy(c->context, policy);
    policy_destroy(before);
    log_event(c->log, LOG_INFO, "policy_active", log_number("revision", (int64_t)revision));
}

/* ---- start and stop ---- */

static enum err copy_string(const char *text, char **out)
{
    if (text == NULL || text[0] == '\0') {
        *out = NULL;
        return OK;
    }
    *out = strdup(text);
    return *out == NULL ? ERR_NO_MEMORY : OK;
}

static enum err copy_resources(struct control *c, const struct control_options *o)
{
    if (o->resources_count == 0) {
        return OK;
    }
    c->resources = calloc(o->resources_count, sizeof(*c->resources));
    for (size_t i = 0; c->resources != NULL && i < o->resources_count; i++) {
        c->resources[i] = strdup(o->resources[i]);
        if (c->resources[i] == NULL) {
            return ERR_NO_MEMORY;
        }
        c->resources_count++;
    }
    return c->resources == NULL ? ERR_NO_MEMORY : OK;
}

static enum err copy_strings(struct control *c, const struct control_options *o)
{
    enum err result = copy_string(o->join_token, &c->join_token);
    if (result == OK) {
        result = copy_string(o->name == NULL || o->name[0] == '\0' ? "sidecar" : o->name, &c->name);
    }
    if (result == OK) {
        result = copy_string(o->version == NULL || o->version[0] == '\0' ? "unknown" : o->version,
                             &c->version);
    }
    return result == OK ? copy_resources(c, o) : result;
}

static enum err copy_server(struct control *c, const char *server, const char *server_name,
                            struct err_text *why)
{
    char host[HOST_SIZE];
    struct tunnel_server *out = &c->servers[c->server_count++];
    bool has_name = server_name != NULL && server_name[0] != '\0';
    if (resolve_split(server, host, sizeof(host), &out->port) != OK || host[0] == '\0') {
        return err_set(why, ERR_INVALID, "the control plane's address %s is not HOST:PORT", server);
    }
    out->host = strdup(host);
    out->name = strdup(has_name ? server_name : host);
    return out->host == NULL || out->name == NULL ? ERR_NO_MEMORY : OK;
}

static enum err copy_servers(struct control *c, const struct control_options *o,
                             struct err_text *why)
{
    if (o->others_count >= TUNNEL_SERVERS_MAX) {
        return err_set(why, ERR_INVALID, "a control plane has at most %d addresses",
                       TUNNEL_SERVERS_MAX);
    }
    enum err result = copy_server(c, o->server, o->server_name, why);
    for (size_t i = 0; result == OK && i < o->others_count; i++) {
        result = copy_server(c, o->others[i], o->server_name, why);
    }
    return result;
}

static enum err copy_options(struct control *c, const struct control_options *o,
                             struct err_text *why)
{
    enum err copied = copy_servers(c, o, why);
    if (copied != OK) {
        return copied;
    }
    if (o->ca_pem.size == 0) {
        return err_set(why, ERR_INVALID,
                       "the control plane's CA certificate is needed to check who it is");
    }
    c->loop = o->loop;
    c->log = o->log;
    c->clock = o->clock;
    c->open_timeout_ms = o->open_timeout_ms > 0 ? o->open_timeout_ms : CONTROL_OPEN_TIMEOUT_MS;
    c->token = o->token;
    c->token_context = o->token_context;
    c->events = o->events;
    c->context = o->context;
    buffer_init(&c->ca_pem, CA_CAP);
    enum err result = buffer_append(&c->ca_pem, o->ca_pem);
    return result == OK ? copy_strings(c, o) : result;
}

/* The first letter: what must not happen inside control_start. */
static void begin(void *owner, void *letter)
{
    (void)letter;
    struct control *c = owner;
    struct policy *policy = NULL;
    uint64_t revision = 0;
    if (policy_keeper_load(c->keeper, &policy, &revision) == OK) {
        control_use_policy(c, policy, revision);
    }
    if (identity_is_valid(c->identity)) {
        control_use_identity(c);
    }
    enrolment_start(c);
}

static enum err start(struct control *c, const struct control_options *o, struct err_text *why)
{
    enum err result = copy_options(c, o, why);
    if (result == OK) {
        result = identity_open(o->state_dir, c->clock, c->log, &c->identity, why);
    }
    if (result == OK) {
        result = policy_keeper_create(identity_directory(c->identity), c->log, &c->keeper);
        if (result != OK) {
            (void)err_set(why, result, "policy.key in the state directory cannot be read");
        }
    }
    if (result == OK) {
        result = rpc_runtime_create(1, c->log, &c->runtime);
    }
    if (result == OK) {
        c->mail = mail_create(c->loop, c);
        result = c->mail == NULL ? ERR_NO_MEMORY : OK;
    }
    if (result == OK) {
        /* A certificate authority that cannot be read is an error of the configuration: said now.
         */
        struct tunnel *trial = NULL;
        result = control_make_tunnel(c, false, &trial);
        if (result == OK) {
            tunnel_close(trial);
            tunnel_release(trial);
        } else {
            (void)err_set(why, result, "the control plane's CA certificate cannot be used");
        }
    }
    return result == OK ? mail_post(c->mail, begin, NULL, NULL) : result;
}

enum err control_start(const struct control_options *options, struct control **out,
                       struct err_text *why)
{
    struct control *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return ERR_NO_MEMORY;
    }
    c->loop = options->loop;
    enrolment_init(c);
    watch_init(c);
    approvals_init(c);
    enum err result = start(c, options, why);
    if (result != OK) {
        if (result == ERR_NO_MEMORY) {
            (void)err_set(why, result, "there is not enough memory");
        }
        control_stop(c);
        return result;
    }
    *out = c;
    return OK;
}

static void free_options(struct control *c)
{
    for (size_t i = 0; i < c->resources_count; i++) {
        free(c->resources[i]);
    }
    free(c->resources);
    if (c->join_token != NULL) {
        bytes_wipe(c->join_token, strlen(c->join_token));
    }
    free(c->join_token);
    for (size_t i = 0; i < c->server_count; i++) {
        free(c->servers[i].host);
        free(c->servers[i].name);
    }
    free(c->name);
    free(c->version);
    buffer_finish(&c->ca_pem);
}

void control_stop(struct control *c)
{
    if (c == NULL) {
        return;
    }
    enrolment_stop(c);
    watch_stop(c);
    approvals_stop(c);
    /* Before the uplink's thread is waited for: its call ends when gRPC has written what it began
     * to write, or cannot, and this is the thread that would carry it. */
    if (c->tunnel != NULL) {
        tunnel_close(c->tunnel);
    }
    uplink_stop(c->uplink);
    mail_close(c->mail); /* from here on letters are only discarded */
    tunnel_release(c->tunnel);
    rpc_runtime_destroy(c->runtime); /* ends all calls, so the keeper is not used any more */
    policy_keeper_destroy(c->keeper);
    policy_destroy(c->policy);
    identity_close(c->identity);
    orders_finish(&c->orders);
    free_options(c);
    free(c);
}

/* ---- what the sidecar asks ---- */

const char *control_sidecar_id(const struct control *c)
{
    return c->announced ? identity_sidecar(c->identity) : NULL;
}

const struct crypto_ed25519 *control_key(const struct control *c)
{
    return identity_key(c->identity);
}

enum err control_attach_recorder(struct control *c, struct recorder *recorder)
{
    if (c->uplink != NULL) {
        return ERR_EXISTS;
    }
    enum err result = uplink_create(c->loop, recorder, c->log, &c->uplink);
    if (result == OK) {
        c->recorder = recorder;
        if (c->tunnel != NULL) {
            uplink_use(c->uplink, c->tunnel);
        }
    }
    return result;
}

void control_status(struct control *c, struct control_status *out)
{
    struct control_status s = {.enrolled = identity_is_valid(c->identity),
                               .revoked = control_is_revoked(c),
                               .connected = c->watch.stream != NULL && c->tunnel != NULL &&
                                            tunnel_is_connected(c->tunnel),
                               .not_after_unix_ns = identity_not_after(c->identity),
                               .policy_revision = c->policy_revision};
    const char *id = identity_sidecar(c->identity);
    (void)snprintf(s.sidecar, sizeof(s.sidecar), "%s", id == NULL ? "" : id);
    if (c->uplink != NULL) {
        struct recorder_status recorder;
        recorder_status(c->recorder, &recorder);
        s.shipping = s.connected && uplink_is_shipping(c->uplink);
        s.diverged = uplink_has_diverged(c->uplink);
        s.acknowledged = recorder.acknowledged;
        s.lag = recorder.last > recorder.acknowledged ? recorder.last - recorder.acknowledged : 0;
    }
    *out = s;
}

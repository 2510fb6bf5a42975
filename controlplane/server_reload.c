/* A changed configuration, while the control plane runs: what is taken over, and what is only named
 * because it needs a restart. */
#include <string.h>

#include "controlplane/server_internal.h"

/* --- what needs a restart ----------------------------------------------------------------------
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
    const struct config *before = server_config(s);
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

/* --- reload ------------------------------------------------------------------------------------
 */

/* Everything that can fail comes before anything that counts. */
static enum err apply(struct server *s, struct snapshot *snapshot, struct err_text *why)
{
    const struct config *config = snapshot_config(snapshot);
    enum err e = exports_check(config, why);
    if (e == OK) {
        e = server_apply_lists(s, config, "reload", server_config(s), why);
    }
    if (e == OK) {
        e = server_publish(s, config, why);
    }
    if (e == OK) {
        e = outbound_reload(s->outbound, server_config(s), config);
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
    enum err e = config_load(server_config(server)->file, &config, why);
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
    server_warn_of_gaps(server);
    log_event(server->with.log, LOG_INFO, "configuration_reloaded",
              log_text("file", server_config(server)->file));
    server_tend(server);
    return OK;
}

/* The inside of the sidecar: sidecar.c (life), sidecar_listeners.c (what listens, reload),
 * sidecar_health.c (what is told about it). */
#ifndef CHAPERONE_SIDECAR_SIDECAR_INTERNAL_H
#define CHAPERONE_SIDECAR_SIDECAR_INTERNAL_H

#include <ev.h>

#include "sidecar/audit/recorder.h"
#include "sidecar/control/control.h"
#include "sidecar/health.h"
#include "sidecar/listener.h"
#include "sidecar/sidecar.h"

/* A configuration that was read; old ones stay until the end, because sessions borrow from them. */
struct loaded {
    struct config config;
    struct loaded *next;
};

struct running_proxy; /* sidecar_proxies.c */

struct running_listener {
    struct listener *listener;
    struct running_proxy *proxy; /* NULL: not one */
    const struct protocol *protocol;
    struct tls_context *agent_tls;
    char address[128], resource[128];
    bool retired; /* closed by a reload; its sessions still borrow from it */
    struct running_listener *next;
};

struct sidecar {
    struct clock clock;
    struct log log;
    struct loop *loop;
    struct loaded *loaded; /* the newest first */
    char *path;
    struct session_shared *shared;
    struct metrics metrics;
    struct control *control;
    struct token_source *control_tokens; /* what it was started with, also after a reload */
    struct recorder *recorder;
    struct headroom *headroom;
    struct sql_cache *sql;
    struct health *health;
    struct running_listener *listeners;
    struct ev_signal on_term, on_int, on_hup;
    struct ev_timer drain_timer;
    struct recorder_waiter last_shipped;
    bool stopping, failed;
    int64_t started_ns;
};

static inline const struct config *sidecar_config(const struct sidecar *s)
{
    return &s->loaded->config;
}

/* Opens what the configuration names and is not open yet, retires what it no longer names, reads
 * the certificates of the rest again. */
enum err sidecar_listen(struct sidecar *s, struct err_text *why) MUST_USE;
void sidecar_stop_listening(struct sidecar *s);
void sidecar_free_listeners(struct sidecar *s);
/* SIGHUP: a configuration that is wrong is logged and changes nothing. */
void sidecar_reload(struct sidecar *s);
/* What of the configuration sessions look at. */
void sidecar_apply(struct sidecar *s);

/* What a listener that is an explicit proxy needs: its hosts, and their CA, which is made where it
 * is missing. Borrows the configuration, which stays as long as the sidecar. Returns owned. */
enum err running_proxy_create(struct sidecar *s, const struct config_proxy *config,
                              struct running_proxy **out, struct err_text *why) MUST_USE;
void running_proxy_destroy(struct running_proxy *p); /* takes NULL */
/* Whether the CAs of a configuration's proxies can be had, so that one that is wrong takes nothing
 * away. */
enum err running_proxy_check(struct sidecar *s, const struct config *config,
                             struct err_text *why) MUST_USE;
struct proxy *running_proxy_hosts(const struct running_proxy *p);
/* False: another one is wanted, or none. Both may be NULL. */
bool running_proxy_is(const struct running_proxy *p, const struct config_listener *listener);
/* Reads the CA again; the one that it has stays where that fails. */
enum err running_proxy_renew(struct running_proxy *p, struct err_text *why) MUST_USE;

extern const struct health_source sidecar_health;

#endif

/* Explicit proxies, with what they answer with. */
#include <stdlib.h>
#include <unistd.h>

#include "sidecar/proxy_ca.h"
#include "sidecar/sidecar_internal.h"

enum { HOST_NAME_SIZE = 256 };

struct running_proxy {
    struct sidecar *sidecar;
    const struct config_proxy *config;
    struct proxy *hosts;
    struct proxy_ca *ca;
};

static enum err issue(void *context, const char *host, struct tls_context **out)
{
    struct running_proxy *p = context;
    struct err_text why = {0};
    enum err e = proxy_ca_issue(p->ca, host, out, &why);
    if (e != OK) {
        log_event(&p->sidecar->log, LOG_ERROR, "proxy_certificate_failed", log_text("host", host),
                  log_text("why", why.text));
    }
    return e;
}

static enum err open_ca(const struct running_proxy *p, struct proxy_ca **out, struct err_text *why)
{
    char name[HOST_NAME_SIZE] = "";
    const char *hosts[CONFIG_PROXY_HOSTS_MAX];
    size_t count = 0;
    (void)gethostname(name, sizeof(name) - 1);
    /* Sorted: one with several ports comes in a row. */
    for (size_t i = 0; i < p->config->host_count; i++) {
        const char *host = p->config->hosts[i].host;
        if (count == 0 || strcmp(hosts[count - 1], host) != 0) {
            hosts[count++] = host;
        }
    }
    const struct proxy_ca_options options = {.certificate = p->config->certificate,
                                             .key = p->config->key,
                                             .name = name,
                                             .hosts = hosts,
                                             .host_count = count,
                                             .clock = p->sidecar->clock};
    return proxy_ca_open(&options, out, why);
}

enum err running_proxy_create(struct sidecar *s, const struct config_proxy *config,
                              struct running_proxy **out, struct err_text *why)
{
    struct running_proxy *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        return ERR_NO_MEMORY;
    }
    p->sidecar = s;
    p->config = config;
    p->hosts = proxy_create(config->hosts, config->host_count, issue, p);
    enum err e = p->hosts == NULL ? ERR_NO_MEMORY : open_ca(p, &p->ca, why);
    if (e != OK) {
        running_proxy_destroy(p);
        return e;
    }
    log_event(&s->log, LOG_INFO, "proxy_ca", log_text("certificate", config->certificate));
    *out = p;
    return OK;
}

enum err running_proxy_check(struct sidecar *s, const struct config *config, struct err_text *why)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < config->listener_count; i++) {
        const struct running_proxy p = {.sidecar = s, .config = &config->listeners[i].proxy};
        struct proxy_ca *ca = NULL;
        e = config->listeners[i].is_proxy ? open_ca(&p, &ca, why) : OK;
        proxy_ca_close(ca);
    }
    return e;
}

void running_proxy_destroy(struct running_proxy *p)
{
    if (p != NULL) {
        proxy_destroy(p->hosts);
        proxy_ca_close(p->ca);
        free(p);
    }
}

struct proxy *running_proxy_hosts(const struct running_proxy *p)
{
    return p == NULL ? NULL : p->hosts;
}

static bool is_same_host(const struct proxy_host *a, const struct proxy_host *b)
{
    return strcmp(a->host, b->host) == 0 && a->port == b->port &&
           strcmp(a->resource, b->resource) == 0;
}

bool running_proxy_is(const struct running_proxy *p, const struct config_listener *listener)
{
    if (p == NULL || !listener->is_proxy) {
        return p == NULL && !listener->is_proxy;
    }
    const struct config_proxy *now = p->config, *wanted = &listener->proxy;
    bool is_same = now->host_count == wanted->host_count &&
                   strcmp(now->certificate, wanted->certificate) == 0 &&
                   strcmp(now->key, wanted->key) == 0;
    for (size_t i = 0; is_same && i < now->host_count; i++) {
        is_same = is_same_host(&now->hosts[i], &wanted->hosts[i]);
    }
    return is_same;
}

enum err running_proxy_renew(struct running_proxy *p, struct err_text *why)
{
    struct proxy_ca *fresh = NULL;
    enum err e = open_ca(p, &fresh, why);
    if (e == OK) {
        proxy_ca_close(p->ca);
        p->ca = fresh;
    }
    return e;
}

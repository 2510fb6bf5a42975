#include "sidecar/proxy.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { PORT_HTTP = 80, PORT_HTTPS = 443 };

struct proxy {
    const struct proxy_host *hosts;
    size_t count;
    proxy_issue_fn *issue;
    void *context;
};

struct proxy *proxy_create(const struct proxy_host *hosts, size_t count, proxy_issue_fn *issue,
                           void *context)
{
    struct proxy *p = calloc(1, sizeof(*p));
    if (p != NULL) {
        *p = (struct proxy){.hosts = hosts, .count = count, .issue = issue, .context = context};
    }
    return p;
}

void proxy_destroy(struct proxy *p)
{
    free(p);
}

static bool has_port(const struct proxy_host *h, uint16_t port)
{
    return h->port == 0 ? port == PORT_HTTP || port == PORT_HTTPS : h->port == port;
}

const char *proxy_find(const struct proxy *p, const char *host, uint16_t port)
{
    for (size_t i = 0; i < p->count; i++) {
        if (strcmp(p->hosts[i].host, host) == 0 && has_port(&p->hosts[i], port)) {
            return p->hosts[i].resource;
        }
    }
    return NULL;
}

enum err proxy_issue(struct proxy *p, const char *host, struct tls_context **out)
{
    return p->issue(p->context, host, out);
}

/* The explicit proxy of a listener: which hosts it leads to, and its CA. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "sidecar/config_internal.h"

enum { HOST_MAX = 253, PORT_DIGITS_MAX = 5 };

static enum err fail_host(const struct conf_node *n, struct err_text *why)
{
    return conf_fail(n, why,
                     "expected HOST or HOST:PORT: a name or an address (IPv6 in brackets), without "
                     "patterns, found something else");
}

/* Labels of letters, digits, '-' and '_' (RFC 1035 section 2.3.1, and what is in use): none is
 * empty, so that a name is written in one way only. */
static bool is_name(const char *host)
{
    size_t size = strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789.-_");
    return size > 0 && size <= HOST_MAX && host[size] == '\0' && host[0] != '.' &&
           host[size - 1] != '.' && strstr(host, "..") == NULL;
}

static bool read_port(const char *text, uint16_t *out)
{
    size_t digits = strspn(text, "0123456789");
    long port = digits > 0 && digits <= PORT_DIGITS_MAX ? strtol(text, NULL, 10) : 0;
    *out = (uint16_t)port;
    return text[digits] == '\0' && port > 0 && port <= UINT16_MAX;
}

static char *lower_copy(struct arena *arena, const char *text, size_t size)
{
    char *copy = arena_copy_string(arena, bytes_of(text, size));
    for (char *p = copy; p != NULL && *p != '\0'; p++) {
        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
    }
    return copy;
}

/* One form of each address: as it is written when it is compared with what an agent asks for. */
static bool format_v6(char *host, char out[INET6_ADDRSTRLEN])
{
    struct in6_addr address;
    return inet_pton(AF_INET6, host, &address) == 1 &&
           inet_ntop(AF_INET6, &address, out, INET6_ADDRSTRLEN) != NULL;
}

static enum err read_host(const struct conf_node *n, struct arena *arena, struct proxy_host *out,
                          struct err_text *why)
{
    const char *text = conf_key(n);
    bool bracketed = text[0] == '[';
    const char *begin = bracketed ? text + 1 : text;
    const char *end = bracketed ? strchr(text, ']') : strchr(text, ':');
    if (bracketed && end == NULL) {
        return fail_host(n, why);
    }
    size_t size = end == NULL ? strlen(begin) : (size_t)(end - begin);
    const char *rest = end == NULL ? "" : bracketed ? end + 1 : end;
    char *host = lower_copy(arena, begin, size);
    char address[INET6_ADDRSTRLEN];
    if (host == NULL) {
        return ERR_NO_MEMORY;
    }
    out->port = 0;
    if ((rest[0] != '\0' && (rest[0] != ':' || !read_port(rest + 1, &out->port))) ||
        !(bracketed ? format_v6(host, address) : is_name(host))) {
        return fail_host(n, why);
    }
    out->host = bracketed ? arena_copy_string(arena, bytes_of_string(address)) : host;
    return out->host == NULL ? ERR_NO_MEMORY : conf_as_string(n, &out->resource, why);
}

/* A host with a port comes before the same one without: the more exact one is found first. */
static int compare(const void *a, const void *b)
{
    const struct proxy_host *first = a, *second = b;
    int order = strcmp(first->host, second->host);
    unsigned ports[] = {first->port == 0 ? UINT16_MAX + 1U : first->port,
                        second->port == 0 ? UINT16_MAX + 1U : second->port};
    return order != 0 ? order : (ports[0] > ports[1]) - (ports[0] < ports[1]);
}

static enum err read_hosts(const struct conf_node *proxy, struct config *c,
                           struct config_proxy *out, struct err_text *why)
{
    const struct conf_node *map = NULL;
    enum err e = conf_require(proxy, "hosts", why);
    e = e == OK ? conf_read_map(proxy, "hosts", &map, why) : e;
    if (e != OK) {
        return e;
    }
    size_t count = conf_count(map), i = 0;
    if (count == 0 || count > CONFIG_PROXY_HOSTS_MAX) {
        return conf_fail(map, why, "expected 1 to %d hosts, found %zu", CONFIG_PROXY_HOSTS_MAX,
                         count);
    }
    struct proxy_host *hosts = arena_alloc(c->arena, count * sizeof(*hosts));
    if (hosts == NULL) {
        return ERR_NO_MEMORY;
    }
    for (const struct conf_node *n = conf_first(map); e == OK && n != NULL; n = conf_next(n)) {
        e = read_host(n, c->arena, &hosts[i++], why);
    }
    if (e != OK) {
        return e;
    }
    qsort(hosts, count, sizeof(*hosts), compare);
    for (i = 1; i < count; i++) {
        if (compare(&hosts[i - 1], &hosts[i]) == 0) {
            return conf_fail(map, why, "expected each host once, found \"%.100s\" twice",
                             hosts[i].host);
        }
    }
    out->hosts = hosts;
    out->host_count = count;
    return OK;
}

static const char *in_state(const struct config *c, const char *name)
{
    size_t size = strlen(c->state) + strlen(name) + sizeof("/");
    char *path = arena_alloc(c->arena, size);
    if (path != NULL) {
        (void)snprintf(path, size, "%s/%s", c->state, name);
    }
    return path;
}

static enum err read_ca(const struct conf_node *proxy, struct config *c, struct config_proxy *out,
                        struct err_text *why)
{
    static const char *const keys[] = {"certificate", "key", NULL};
    const struct conf_node *ca = NULL;
    out->certificate = in_state(c, "proxy-ca.pem");
    out->key = in_state(c, "proxy-ca.key");
    if (out->certificate == NULL || out->key == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err e = conf_read_map(proxy, "ca", &ca, why);
    if (e != OK || ca == NULL) {
        return e;
    }
    if ((e = conf_check_keys(ca, keys, why)) == OK &&
        (e = conf_require(ca, "certificate", why)) == OK &&
        (e = conf_require(ca, "key", why)) == OK &&
        (e = conf_read_string(ca, "certificate", &out->certificate, why)) == OK) {
        e = conf_read_string(ca, "key", &out->key, why);
    }
    return e;
}

enum err config_read_proxy(const struct conf_node *listener, struct config *c,
                           struct config_proxy *out, struct err_text *why)
{
    static const char *const keys[] = {"hosts", "ca", NULL};
    const struct conf_node *proxy = NULL;
    enum err e = conf_read_map(listener, "proxy", &proxy, why);
    if (e == OK) {
        e = conf_check_keys(proxy, keys, why);
    }
    if (e == OK) {
        e = read_hosts(proxy, c, out, why);
    }
    return e == OK ? read_ca(proxy, c, out, why) : e;
}

#include "cli/run/run_http.h"

#include <stdio.h>
#include <unistd.h>

static const char prefix[] = "CHAPERONE_HTTP_";

static const char *text_at(const cJSON *map, const char *key)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(map, key));
}

bool run_http_is(const cJSON *listener)
{
    const char *protocol = text_at(listener, "protocol");
    return protocol != NULL && strcmp(protocol, "http") == 0;
}

/* Letters, digits and '_': what a shell takes for a variable. */
static void name_variable(const char *resource, char out[RUN_HTTP_VARIABLE_SIZE])
{
    (void)snprintf(out, RUN_HTTP_VARIABLE_SIZE, "%s%s", prefix, resource);
    for (char *c = out + sizeof(prefix) - 1; *c != '\0'; c++) {
        bool is_lower = *c >= 'a' && *c <= 'z';
        bool is_plain = (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9');
        *c = is_lower ? (char)(*c - 'a' + 'A') : is_plain ? *c : '_';
    }
}

/* The command's directory is not the sidecar's business: the path is made absolute. */
static enum err take_ca(const cJSON *root, const cJSON *proxy, const char *file,
                        struct run_config *out, struct err_text *error)
{
    char here[PATH_MAX] = "";
    const char *named = text_at(cJSON_GetObjectItemCaseSensitive(proxy, "ca"), "certificate");
    const char *state = text_at(root, "state");
    const char *path = named != NULL ? named : state != NULL ? state : ".";
    if (path[0] != '/' && getcwd(here, sizeof(here) - 1) != NULL) {
        (void)strncat(here, "/", 2);
    }
    int size = snprintf(out->proxy_ca, sizeof(out->proxy_ca), "%s%s%s", here, path,
                        named != NULL ? "" : "/proxy-ca.pem");
    return size >= 0 && (size_t)size < sizeof(out->proxy_ca)
               ? OK
               : err_set(error, ERR_LIMIT, "%s: the path of the proxy's CA is too long", file);
}

enum err run_http_take(const cJSON *root, const cJSON *listener, const char *address,
                       const char *file, struct run_config *out, struct err_text *error)
{
    const cJSON *proxy = cJSON_GetObjectItemCaseSensitive(listener, "proxy");
    const char *resource = text_at(listener, "resource");
    bool has_tls = cJSON_GetObjectItemCaseSensitive(listener, "tls") != NULL;
    char url[RUN_HTTP_URL_SIZE];
    int size = snprintf(url, sizeof(url), "%s://%s", has_tls ? "https" : "http", address);
    if (strncmp(address, "unix:", 5) == 0 || size < 0 || (size_t)size >= sizeof(url)) {
        return OK; /* what is wrong with it, the sidecar says */
    }
    if (proxy != NULL) {
        if (out->proxy[0] != '\0') {
            return OK;
        }
        (void)snprintf(out->proxy, sizeof(out->proxy), "%s", url);
        return take_ca(root, proxy, file, out, error);
    }
    if (resource == NULL) {
        return OK;
    }
    if (out->http_count == RUN_HTTP_MAX) {
        return err_set(error, ERR_LIMIT, "%s: at most %d listeners for web services", file,
                       RUN_HTTP_MAX);
    }
    struct run_http *http = &out->http[out->http_count++];
    name_variable(resource, http->variable);
    (void)snprintf(http->url, sizeof(http->url), "%s", url);
    return OK;
}

/* Resources that are reached by HTTP: where they are, and whose requests are made of those that
 * come.
 */
#include <ctype.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/config_internal.h"
#include "controlplane/identity/url.h"

enum {
    HTTP_PORT = 80,
    HTTPS_PORT = 443,
    /* RFC 1035 section 2.3.4, with brackets around an address. */
    HOST_MAX = 255,
    HEADER_NAME_MAX = 64,
};

static const int64_t second_ns = 1000000000;
static const char name_characters[] = "abcdefghijklmnopqrstuvwxyz0123456789.-_";
/* RFC 9110 section 5.6.2, in lower case. */
static const char token_characters[] = "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~";

static enum err lower(struct config_reader *r, const char *text, const char **out)
{
    char *copy = arena_copy_string(r->arena, bytes_of_string(text));
    if (copy == NULL) {
        return err_set(r->why, ERR_NO_MEMORY, "%s is too large to be read", r->config->file);
    }
    for (char *p = copy; *p != '\0'; p++) {
        *p = (char)tolower((unsigned char)*p);
    }
    *out = copy;
    return OK;
}

/* --- address ----------------------------------------------------------------------------------
 */

/* What libcurl makes of the text, so that there is one opinion of what a URL is. All owned by it.
 */
struct url_parts {
    char *scheme, *host, *port, *path;
};

static void free_parts(struct url_parts *p)
{
    curl_free(p->scheme);
    curl_free(p->host);
    curl_free(p->port);
    curl_free(p->path);
}

/* Nothing but a scheme, a host and a port: all else would be left out silently. */
static bool split_url(const char *text, struct url_parts *out)
{
    CURLU *u = curl_url();
    bool split = u != NULL && strpbrk(text, "?#@\\% \t") == NULL &&
                 curl_url_set(u, CURLUPART_URL, text, 0) == CURLUE_OK &&
                 curl_url_get(u, CURLUPART_SCHEME, &out->scheme, 0) == CURLUE_OK &&
                 curl_url_get(u, CURLUPART_HOST, &out->host, 0) == CURLUE_OK &&
                 curl_url_get(u, CURLUPART_PORT, &out->port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                 curl_url_get(u, CURLUPART_PATH, &out->path, 0) == CURLUE_OK &&
                 (strcmp(out->scheme, "http") == 0 || strcmp(out->scheme, "https") == 0) &&
                 strcmp(out->path, "/") == 0;
    curl_url_cleanup(u);
    return split;
}

static bool is_host(const char *host)
{
    size_t size = strlen(host);
    if (size == 0 || size > HOST_MAX) {
        return false;
    }
    if (host[0] == '[') {
        return strspn(host + 1, "0123456789abcdef:.") == size - 2 && host[size - 1] == ']';
    }
    return strspn(host, name_characters) == size;
}

static enum err take_parts(struct config_reader *r, const struct url_parts *parts,
                           struct config_resource *out)
{
    const char *host = NULL;
    bool is_plain = strcmp(parts->scheme, "http") == 0;
    long port = strtol(parts->port, NULL, 10);
    enum err e = lower(r, parts->host, &host);
    if (e != OK) {
        return e;
    }
    if (!is_host(host) || port < 1 || port > UINT16_MAX) {
        return ERR_INVALID;
    }
    size_t size = strlen(host), authority_size = size + sizeof(":65535");
    bool bracketed = host[0] == '[';
    char *authority = arena_alloc(r->arena, authority_size);
    out->host = bracketed ? arena_copy_string(r->arena, bytes_of(host + 1, size - 2)) : host;
    if (authority == NULL || out->host == NULL) {
        return ERR_NO_MEMORY;
    }
    if (port == (is_plain ? HTTP_PORT : HTTPS_PORT)) {
        (void)snprintf(authority, authority_size, "%s", host);
    } else {
        (void)snprintf(authority, authority_size, "%s:%ld", host, port);
    }
    out->authority = authority;
    out->port = (uint16_t)port;
    out->tls = is_plain ? CONFIG_TLS_DISABLE : CONFIG_TLS_VERIFY_FULL;
    return OK;
}

static enum err read_address(struct config_reader *r, const struct conf_node *item,
                             struct config_resource *out)
{
    const char *text = NULL;
    struct url_parts parts = {0};
    enum err e = conf_require(item, "address", r->why);
    if (e == OK) {
        e = conf_read_string(item, "address", &text, r->why);
    }
    if (e != OK) {
        return e;
    }
    e = split_url(text, &parts) ? take_parts(r, &parts, out) : ERR_INVALID;
    if (e == ERR_INVALID) {
        /* Without the text: somebody may have put a password into it. */
        e = conf_fail(conf_get(item, "address"), r->why,
                      "expected https://HOST[:PORT] or http://HOST[:PORT], without user, path and "
                      "query (a name in its ASCII form), found something else");
    }
    free_parts(&parts);
    return e;
}

/* The scheme has said already whether there is TLS. */
static enum err read_tls(struct config_reader *r, const struct conf_node *item,
                         struct config_resource *out)
{
    bool is_plain = out->tls == CONFIG_TLS_DISABLE;
    const struct conf_node *map = conf_get(item, "tls");
    if (map != NULL && is_plain) {
        return conf_fail(map, r->why, "expected nothing: the address is http://, found TLS");
    }
    enum err e = config_read_target_tls(r, item, out);
    if (e == OK && !is_plain && (out->tls == CONFIG_TLS_PREFER || out->tls == CONFIG_TLS_DISABLE)) {
        e = conf_fail(conf_get(map, "mode"), r->why,
                      "expected verify-full, verify-ca or require: the address is https://, found "
                      "a mode without TLS");
    }
    return e;
}

/* --- credential -------------------------------------------------------------------------------
 */

/* KEY: {env: V}, {file: PATH} or {store: NAME}; or KEY_file: PATH. */
static enum err read_secret(struct config_reader *r, const struct conf_node *map, const char *key,
                            const char *file_key, struct config_secret *out)
{
    if ((conf_get(map, key) == NULL) == (conf_get(map, file_key) == NULL)) {
        return conf_fail(map, r->why, "expected one of `%s` and `%s`, found %s", key, file_key,
                         conf_get(map, key) == NULL ? "neither" : "both");
    }
    if (conf_get(map, key) != NULL) {
        return config_read_secret(r, map, key, out);
    }
    out->source = CONFIG_SECRET_FILE;
    return config_read_path(r, map, file_key, &out->at);
}

static enum err read_bearer(struct config_reader *r, const struct conf_node *map,
                            struct config_credential *out)
{
    out->http = CONFIG_HTTP_BEARER;
    return config_read_secret(r, map, "bearer", &out->password);
}

static enum err read_basic(struct config_reader *r, const struct conf_node *map,
                           struct config_credential *out)
{
    static const char *const keys[] = {"user", "password", "password_file", NULL};
    const struct conf_node *basic = NULL;
    enum err e = conf_read_map(map, "basic", &basic, r->why);
    if (e == OK) {
        e = conf_check_keys(basic, keys, r->why);
    }
    if (e == OK) {
        e = conf_require(basic, "user", r->why);
    }
    if (e == OK) {
        e = conf_read_string(basic, "user", &out->user, r->why);
    }
    if (e == OK && strchr(out->user, ':') != NULL) {
        /* RFC 7617 section 2: what follows the colon would be the password. */
        e = conf_fail(conf_get(basic, "user"), r->why, "expected a name without \":\", found one");
    }
    out->http = CONFIG_HTTP_BASIC;
    return e == OK ? read_secret(r, basic, "password", "password_file", &out->password) : e;
}

/* These say how a message is framed, where it goes, and what becomes of the connection: they are
 * the sidecar's. */
static bool is_of_the_connection(const char *name)
{
    static const char *const names[] = {"host",
                                        "connection",
                                        "keep-alive",
                                        "proxy-connection",
                                        "transfer-encoding",
                                        "content-length",
                                        "content-encoding",
                                        "content-type",
                                        "te",
                                        "trailer",
                                        "upgrade",
                                        "expect",
                                        "http2-settings",
                                        NULL};
    for (size_t i = 0; names[i] != NULL; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static enum err read_header(struct config_reader *r, const struct conf_node *map,
                            struct config_credential *out)
{
    static const char *const keys[] = {"name", "value", "value_file", NULL};
    const struct conf_node *header = NULL;
    const char *name = NULL;
    enum err e = conf_read_map(map, "header", &header, r->why);
    if (e == OK) {
        e = conf_check_keys(header, keys, r->why);
    }
    if (e == OK) {
        e = conf_require(header, "name", r->why);
    }
    if (e == OK) {
        e = conf_read_string(header, "name", &name, r->why);
    }
    if (e == OK) {
        e = lower(r, name, &out->header);
    }
    if (e == OK && (strlen(out->header) > HEADER_NAME_MAX ||
                    strspn(out->header, token_characters) != strlen(out->header) ||
                    is_of_the_connection(out->header))) {
        e = conf_fail(conf_get(header, "name"), r->why,
                      "expected the name of a header that carries a credential, found \"%.64s\"",
                      name);
    }
    out->http = CONFIG_HTTP_HEADER;
    return e == OK ? read_secret(r, header, "value", "value_file", &out->password) : e;
}

static enum err read_token_url(struct config_reader *r, const struct conf_node *oauth2,
                               struct config_oauth2 *out)
{
    struct err_text why = {0};
    enum err e = conf_require(oauth2, "token_url", r->why);
    if (e == OK) {
        e = conf_read_string(oauth2, "token_url", &out->token_url, r->why);
    }
    if (e == OK && url_check(out->token_url, "it", &why) != OK) {
        e = conf_fail(conf_get(oauth2, "token_url"), r->why,
                      "expected an https:// URL without user and fragment (http:// only to this "
                      "machine itself), found something else");
    }
    return e;
}

static enum err read_oauth2(struct config_reader *r, const struct conf_node *map,
                            struct config_credential *out)
{
    static const char *const keys[] = {
        "token_url", "client_id", "client_secret", "client_secret_file",
        "scope",     "audience",  "auth",          "ca_file",
        "timeout",   NULL};
    static const struct conf_choice ways[] = {{"basic", 0}, {"post", 1}, {NULL, 0}};
    const struct conf_node *n = NULL;
    struct config_oauth2 *o = &out->oauth2;
    int way = 0;
    enum err e;
    out->http = CONFIG_HTTP_OAUTH2;
    o->timeout_ns = 4 * second_ns; /* a sidecar waits 5 s for the whole answer */
    if ((e = conf_read_map(map, "oauth2", &n, r->why)) == OK &&
        (e = conf_check_keys(n, keys, r->why)) == OK && (e = read_token_url(r, n, o)) == OK &&
        (e = conf_require(n, "client_id", r->why)) == OK &&
        (e = conf_read_string(n, "client_id", &o->client_id, r->why)) == OK &&
        (e = conf_read_string(n, "scope", &o->scope, r->why)) == OK &&
        (e = conf_read_string(n, "audience", &o->audience, r->why)) == OK &&
        (e = conf_read_choice(n, "auth", ways, &way, r->why)) == OK &&
        (e = config_read_file(r, n, "ca_file", &o->ca_file)) == OK &&
        (e = conf_read_duration(n, "timeout", second_ns, 60 * second_ns, &o->timeout_ns, r->why)) ==
            OK) {
        e = read_secret(r, n, "client_secret", "client_secret_file", &out->password);
    }
    out->user = o->client_id == NULL ? "" : o->client_id;
    o->secret_in_body = way == 1;
    return e;
}

/* A path, or where it is kept. */
static enum err read_pem(struct config_reader *r, const struct conf_node *map, const char *key,
                         struct config_secret *out)
{
    enum err e = conf_require(map, key, r->why);
    if (e != OK || conf_kind(conf_get(map, key)) != CONF_SCALAR) {
        return e == OK ? config_read_secret(r, map, key, out) : e;
    }
    out->source = CONFIG_SECRET_FILE;
    return config_read_path(r, map, key, &out->at);
}

static enum err read_client_certificate(struct config_reader *r, const struct conf_node *map,
                                        struct config_credential *out)
{
    static const char *const keys[] = {"certificate", "key", NULL};
    const struct conf_node *n = NULL;
    enum err e = conf_read_map(map, "client_certificate", &n, r->why);
    if (e == OK) {
        e = conf_check_keys(n, keys, r->why);
    }
    if (e == OK) {
        e = read_pem(r, n, "certificate", &out->certificate);
    }
    return e == OK ? read_pem(r, n, "key", &out->key) : e;
}

static enum err read_none(struct config_reader *r, const struct conf_node *map,
                          struct config_credential *out)
{
    bool none = true;
    out->http = CONFIG_HTTP_NONE;
    enum err e = conf_read_bool(map, "none", &none, r->why);
    if (e == OK && (!none || conf_get(map, "client_certificate") != NULL)) {
        e = conf_fail(conf_get(map, "none"), r->why,
                      "expected `true` and nothing beside it, found something else");
    }
    return e;
}

/* One of the ways to say it in a request; a client certificate may be beside it, or alone. */
static enum err read_ways(struct config_reader *r, const struct conf_node *map,
                          struct config_credential *out)
{
    static const struct {
        const char *key;
        enum err (*read)(struct config_reader *, const struct conf_node *,
                         struct config_credential *);
    } ways[] = {{"bearer", read_bearer},
                {"basic", read_basic},
                {"header", read_header},
                {"oauth2", read_oauth2},
                {"none", read_none}};
    bool has_certificate = conf_get(map, "client_certificate") != NULL;
    size_t found = 0;
    enum err e = OK;
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        found += conf_get(map, ways[i].key) != NULL;
    }
    if (found > 1 || (found == 0 && !has_certificate)) {
        return conf_fail(map, r->why,
                         "expected one of `bearer`, `basic`, `header`, `oauth2` and `none` (or "
                         "`client_certificate`, also beside the first four), found %s",
                         found == 0 ? "none of them" : "several");
    }
    for (size_t i = 0; e == OK && i < sizeof(ways) / sizeof(ways[0]); i++) {
        e = conf_get(map, ways[i].key) == NULL ? OK : ways[i].read(r, map, out);
    }
    return e == OK && has_certificate ? read_client_certificate(r, map, out) : e;
}

static enum err read_credential(struct config_reader *r, const struct conf_node *item,
                                struct config_resource *out)
{
    static const char *const keys[] = {
        "bearer", "basic", "header", "oauth2", "none", "client_certificate", NULL};
    const struct conf_node *map = NULL;
    enum err e = conf_require(item, "credential", r->why);
    if (e == OK) {
        e = conf_read_map(item, "credential", &map, r->why);
    }
    if (e == OK) {
        e = conf_check_keys(map, keys, r->why);
    }
    if (e != OK) {
        return e;
    }
    struct config_credential *c = arena_alloc(r->arena, sizeof(*c));
    if (c == NULL) {
        return err_set(r->why, ERR_NO_MEMORY, "%s is too large to be read", r->config->file);
    }
    *c = (struct config_credential){.name = out->name, .user = ""};
    e = read_ways(r, map, c);
    if (e == OK && c->certificate.source != CONFIG_SECRET_NONE && out->tls == CONFIG_TLS_DISABLE) {
        e = conf_fail(conf_get(map, "client_certificate"), r->why,
                      "expected nothing: the address is http://, found a certificate");
    }
    out->credential = c;
    return e;
}

enum err config_read_http_resource(struct config_reader *r, const struct conf_node *item,
                                   struct config_resource *out)
{
    static const char *const keys[] = {"name", "protocol", "address", "tls", "credential", NULL};
    enum err e = conf_check_keys(item, keys, r->why);
    if (e == OK) {
        e = read_address(r, item, out);
    }
    if (e == OK) {
        e = read_tls(r, item, out);
    }
    out->database = "";
    return e == OK ? read_credential(r, item, out) : e;
}

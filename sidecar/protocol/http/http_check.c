/* What is looked at before the policy is asked: that the request can be understood in one way only,
 * and is this connection's. */
#include <stdio.h>

#include "sidecar/protocol/http/http_internal.h"

enum { ARENA_BLOCK = 512 }; /* a short target and a few fields */

void http_refuse_malformed(struct http_exchange *x, unsigned status, const char *why)
{
    struct http *p = x->http;
    char text[HTTP_WHY_SIZE] = "(malformed request)"; /* where not even the head is known */
    if (x->request.method.size > 0) {
        (void)snprintf(text, sizeof(text), "%.*s (refused before it was decided)",
                       (int)(x->request.method.size < 32 ? x->request.method.size : 32),
                       (const char *)x->request.method.data);
    }
    http_record_malformed(p, text, why);
    http_refuse(x, &(struct http_refusal){.status = status, .detail = why, .rule = "protocol"});
}

/* An address: a name may begin like one, and anybody's lead here. */
static bool is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 && host[strspn(host, "0123456789.")] == '\0';
}

/* A web page may make a browser on this host send requests here: under the page's own name. */
static bool host_is_ours(const struct http *p, struct bytes authority)
{
    char host[HTTP_HOST_SIZE], own[HTTP_HOST_SIZE];
    uint16_t port;
    if (authority.size == 0) {
        return true; /* HTTP/1.0 */
    }
    if (http_authority_read(authority, host, &port) != OK) {
        return false;
    }
    if (p->host[0] != '\0') {
        return strcmp(host, p->host) == 0; /* of a proxy: the one that was chosen */
    }
    if (strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 || is_loopback(host)) {
        return true;
    }
    return http_authority_read(bytes_of_string(p->authority), own, &port) == OK &&
           strcmp(host, own) == 0;
}

/* Many servers turn both "x-team" and "x_team" into HTTP_X_TEAM: which one counts is anybody's
 * guess. */
static bool has_double_name(const struct http *p, const struct http_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        struct bytes name = fields->items[i].name;
        if (memchr(name.data, '_', name.size) == NULL) {
            continue;
        }
        for (size_t k = 0; k < fields->count; k++) {
            if (k != i && !bytes_equal(name, fields->items[k].name) &&
                http_is_alike(name, fields->items[k].name)) {
                return true;
            }
        }
        for (size_t k = 0; k < p->credential.count; k++) {
            if (http_is_alike(name, p->credential.items[k].name)) {
                return true;
            }
        }
    }
    return false;
}

/* A connection is of one identity: another token would have to open a session of its own. */
static bool is_same_agent(struct http *p, const struct http_exchange *x)
{
    uint8_t digest[CRYPTO_SHA256_SIZE];
    if (!p->shared->token_in_band || p->link->ops->is_proxy(p->link)) {
        return true;
    }
    crypto_sha256_of(
        http_after_scheme(http_fields_find(&x->request.fields, "authorization"), "bearer "),
        digest);
    return p->has_token && memcmp(digest, p->token, sizeof(digest)) == 0;
}

bool http_check(struct http_exchange *x)
{
    struct http *p = x->http;
    struct err_text why = {0};
    x->arena = arena_create(ARENA_BLOCK, 16 * HTTP_TARGET_MAX);
    if (x->arena == NULL) {
        http_no_memory(p);
        return false;
    }
    if (bytes_equal_string(x->request.method, "CONNECT")) {
        http_go_away(p); /* what comes next may be meant for the tunnel */
        http_refuse_malformed(x, 501, "CONNECT is for the explicit proxy");
        return false;
    }
    if (http_target_read(x->arena, x->request.target, &x->target, &why) != OK) {
        http_refuse_malformed(x, 400, why.text);
        return false;
    }
    if (x->request.is_websocket && p->target_is_http2) {
        http_refuse_malformed(x, 501, "a WebSocket needs a target that speaks HTTP/1.1");
        return false;
    }
    if (!host_is_ours(p, x->request.authority)) {
        http_refuse_malformed(x, 421, "the request names another host than this connection's");
        return false;
    }
    if (has_double_name(p, &x->request.fields)) {
        http_refuse_malformed(x, 400, "two header fields differ only in '_' and '-'");
        return false;
    }
    if (http_fields_count(&x->request.fields, "content-type") > 1) {
        http_refuse_malformed(x, 400, "the request has two Content-Types");
        return false;
    }
    if (!is_same_agent(p, x)) {
        http_go_away(p);
        http_refuse_malformed(x, 401,
                              "the request's token is not the one that this connection was opened "
                              "with; open another connection");
        return false;
    }
    http_kept_take_back(x, &x->request_trailers);
    x->is_checked = true;
    return true;
}

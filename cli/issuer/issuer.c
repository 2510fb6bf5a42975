#include "cli/issuer/issuer.h"

#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/issuer/http.h"
#include "cli/issuer/keys.h"
#include "cli/issuer/mint.h"

static const int64_t SECOND = 1000000000;

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct issuer {
    struct clock clock;
    union address address;
    char url[64];
    uint16_t port;        /* 0: not known yet */
    struct http *http;    /* NULL: stopped */
    pthread_mutex_t lock; /* guards the keys */
    struct issuer_keys *keys;
};

static enum err read_address(const char *text, uint16_t port, union address *out,
                             struct err_text *why)
{
    union address a = {0};
    if (inet_pton(AF_INET, text, &a.v4.sin_addr) == 1) {
        a.v4.sin_family = AF_INET;
        a.v4.sin_port = htons(port);
        if (ntohl(a.v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET) {
            *out = a;
            return OK;
        }
    } else if (inet_pton(AF_INET6, text, &a.v6.sin6_addr) == 1) {
        a.v6.sin6_family = AF_INET6;
        a.v6.sin6_port = htons(port);
        if (IN6_IS_ADDR_LOOPBACK(&a.v6.sin6_addr)) {
            *out = a;
            return OK;
        }
    }
    return err_set(
        why, ERR_DENIED,
        "the development issuer gives any token to anyone, so it listens on 127.0.0.1 or "
        "::1 only, not on %.64s",
        text);
}

static void set_port(struct issuer *s, uint16_t port)
{
    char host[INET6_ADDRSTRLEN] = "";
    bool v6 = s->address.any.sa_family == AF_INET6;
    (void)inet_ntop(s->address.any.sa_family,
                    v6 ? (const void *)&s->address.v6.sin6_addr
                       : (const void *)&s->address.v4.sin_addr,
                    host, sizeof host);
    s->port = port;
    if (v6) {
        s->address.v6.sin6_port = htons(port);
    } else {
        s->address.v4.sin_port = htons(port);
    }
    (void)snprintf(s->url, sizeof s->url, v6 ? "http://[%s]:%u" : "http://%s:%u", host, port);
}

enum err issuer_create(const struct issuer_options *options, struct issuer **out,
                       struct err_text *why)
{
    struct issuer *s = calloc(1, sizeof *s);
    if (s == NULL || pthread_mutex_init(&s->lock, NULL) != 0) {
        free(s);
        return err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    s->clock = options->clock;
    const char *address = options->address == NULL ? "127.0.0.1" : options->address;
    enum err e = read_address(address, options->port, &s->address, why);
    if (e == OK) {
        set_port(s, options->port);
        e = issuer_keys_open(options->directory, &s->keys, why);
    }
    if (e != OK) {
        issuer_destroy(s);
        return e;
    }
    *out = s;
    return OK;
}

void issuer_destroy(struct issuer *s)
{
    if (s == NULL) {
        return;
    }
    issuer_stop(s);
    issuer_keys_destroy(s->keys);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}

enum err issuer_start(struct issuer *s, struct err_text *why)
{
    if (s->http != NULL) {
        return err_set(why, ERR_INVALID, "the issuer was started already");
    }
    uint16_t port = 0;
    struct err_text cause = {0};
    enum err e = http_start(s, &s->address.any, &s->http, &port, &cause);
    if (e != OK) {
        return err_set(why, e, "%s: %s", s->url, cause.text);
    }
    if (s->port == 0) {
        set_port(s, port);
    }
    return OK;
}

void issuer_stop(struct issuer *s)
{
    http_stop(s->http);
    s->http = NULL;
}

uint16_t issuer_port(const struct issuer *s)
{
    return s->port;
}

const char *issuer_url(const struct issuer *s)
{
    return s->url;
}

static int64_t now_s(const struct issuer *s)
{
    return clock_wall(&s->clock) / SECOND;
}

enum err issuer_mint(struct issuer *s, const struct issuer_token *token, char **out,
                     struct err_text *why)
{
    const char *algorithm = token->algorithm == NULL ? "RS256" : token->algorithm;
    char *claims = NULL;
    if (s->port == 0) {
        return err_set(why, ERR_INVALID, "the issuer's port is not known before it was started");
    }
    enum err e = mint_claims(token, s->url, now_s(s), &claims, why);
    if (e != OK) {
        return e;
    }
    (void)pthread_mutex_lock(&s->lock);
    const cjose_jwk_t *key = issuer_keys_find(s->keys, algorithm);
    e = key == NULL ? err_set(why, ERR_INVALID, "the algorithm is neither RS256 nor ES256")
                    : mint_sign(key, algorithm, claims, out, why);
    (void)pthread_mutex_unlock(&s->lock);
    free(claims);
    return e;
}

enum err issuer_rotate(struct issuer *s, struct err_text *why)
{
    (void)pthread_mutex_lock(&s->lock);
    enum err e = issuer_keys_rotate(s->keys, now_s(s), ISSUER_RETIRED_S, why);
    (void)pthread_mutex_unlock(&s->lock);
    return e;
}

char *issuer_jwks(struct issuer *s)
{
    (void)pthread_mutex_lock(&s->lock);
    char *text = issuer_keys_jwks(s->keys, now_s(s), ISSUER_RETIRED_S);
    (void)pthread_mutex_unlock(&s->lock);
    return text;
}

static bool add_list(cJSON *object, const char *name, const char *const *list, int count)
{
    cJSON *array = cJSON_CreateStringArray(list, count);
    if (array == NULL || !cJSON_AddItemToObject(object, name, array)) {
        cJSON_Delete(array);
        return false;
    }
    return true;
}

static bool add_url(cJSON *object, const char *name, const char *base, const char *path)
{
    char url[128];
    (void)snprintf(url, sizeof url, "%s%s", base, path);
    return cJSON_AddStringToObject(object, name, url) != NULL;
}

/* OpenID Connect Discovery 1.0 section 3. */
char *issuer_discovery(struct issuer *s)
{
    static const char *const algorithms[] = {"RS256", "ES256"};
    static const char *const subjects[] = {"public"};
    static const char *const responses[] = {"id_token"};
    cJSON *json = cJSON_CreateObject();
    bool ok = json != NULL && add_url(json, "issuer", s->url, "") &&
              add_url(json, "jwks_uri", s->url, "/jwks") &&
              add_url(json, "token_endpoint", s->url, "/token") &&
              add_list(json, "response_types_supported", responses, 1) &&
              add_list(json, "subject_types_supported", subjects, 1) &&
              add_list(json, "id_token_signing_alg_values_supported", algorithms, 2);
    char *text = ok ? cJSON_PrintUnformatted(json) : NULL;
    cJSON_Delete(json);
    return text;
}

#include "cli/login/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "controlplane/identity/strict_json.h"
#include "controlplane/identity/url.h"

/* A header carries it to the control plane, whose limit is lower. */
enum { TOKEN_MAX = 64 << 10 };

/* cJSON gives its memory back as it is: what was in its strings is overwritten first. */
static void wipe(cJSON *value)
{
    cJSON *child = NULL;
    if (cJSON_IsString(value)) {
        bytes_wipe(value->valuestring, strlen(value->valuestring));
    }
    cJSON_ArrayForEach(child, value)
    {
        wipe(child);
    }
}

static void wipe_and_delete(cJSON *value)
{
    wipe(value);
    cJSON_Delete(value);
}

static void free_secret(char **text)
{
    if (*text != NULL) {
        bytes_wipe(*text, strlen(*text));
        free(*text);
        *text = NULL;
    }
}

/* ---- discovery -------------------------------------------------------------------------- */

static enum err read_endpoint(const cJSON *document, const char *name, const char **out,
                              struct err_text *why)
{
    char what[96];
    const char *url = strict_json_string(document, name);
    if (url == NULL) {
        return OK;
    }
    (void)snprintf(what, sizeof(what), "the issuer's %s", name);
    enum err e = url_check(url, what, why);
    if (e == OK) {
        *out = url;
    }
    return e;
}

static enum err read_server(const char *issuer, struct login_server *s, struct err_text *why)
{
    char quoted[STRICT_JSON_QUOTE_SIZE];
    s->issuer = strict_json_string(s->document, "issuer");
    /* Section 4.3: else one issuer could speak for another. */
    if (s->issuer == NULL || strcmp(s->issuer, issuer) != 0) {
        return err_set(why, ERR_INVALID,
                       "the discovery document is of another issuer: %s instead of %s",
                       s->issuer == NULL ? "none" : strict_json_quote(s->issuer, quoted), issuer);
    }
    enum err e = read_endpoint(s->document, "authorization_endpoint", &s->authorization, why);
    e = e != OK ? e : read_endpoint(s->document, "token_endpoint", &s->token, why);
    e = e != OK ? e : read_endpoint(s->document, "device_authorization_endpoint", &s->device, why);
    e = e != OK ? e : read_endpoint(s->document, "revocation_endpoint", &s->revocation, why);
    if (e == OK && s->token == NULL) {
        e = err_set(why, ERR_INVALID, "the discovery document names no token_endpoint");
    }
    s->names_itself = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(
        s->document, "authorization_response_iss_parameter_supported"));
    return e;
}

enum err login_server_parse(struct bytes document, const char *issuer, struct login_server *out,
                            struct err_text *why)
{
    struct login_server s = {0};
    enum err e = strict_json_parse(document, "the discovery document", &s.document, why);
    e = e != OK ? e : read_server(issuer, &s, why);
    if (e != OK) {
        login_server_finish(&s);
        return e;
    }
    *out = s;
    return OK;
}

void login_server_finish(struct login_server *s)
{
    cJSON_Delete(s->document);
    *s = (struct login_server){0};
}

bool login_server_offers(const struct login_server *s, const char *list, const char *value,
                         bool otherwise)
{
    const cJSON *values = cJSON_GetObjectItemCaseSensitive(s->document, list);
    const cJSON *item = NULL;
    if (!cJSON_IsArray(values)) {
        return otherwise;
    }
    cJSON_ArrayForEach(item, values)
    {
        const char *text = cJSON_GetStringValue(item);
        if (text != NULL && strcmp(text, value) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- members ---------------------------------------------------------------------------- */

/* Visible ASCII only (RFC 6749 appendix A): it goes into headers and forms. */
static bool is_token(const char *text)
{
    size_t size = strlen(text);
    for (size_t i = 0; i < size; i++) {
        if (text[i] <= ' ' || text[i] > '~') {
            return false;
        }
    }
    return size > 0 && size <= TOKEN_MAX;
}

/* Copies a member; it may be missing. */
static enum err read_token(const cJSON *object, const char *name, char **out, struct err_text *why)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, name);
    if (member == NULL || cJSON_IsNull(member)) {
        return OK;
    }
    const char *text = cJSON_GetStringValue(member);
    if (text == NULL || !is_token(text)) {
        return err_set(why, ERR_INVALID, "the issuer's answer: its %s is no token", name);
    }
    *out = strdup(text);
    return *out == NULL ? err_set(why, ERR_NO_MEMORY, "out of memory") : OK;
}

/* Seconds; `otherwise` when missing, too. Some servers send numbers as texts. */
static int64_t read_seconds(const cJSON *object, const char *name, int64_t otherwise, int64_t max)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, name);
    const char *text = cJSON_GetStringValue(member);
    double value = cJSON_IsNumber(member) ? member->valuedouble
                   : text != NULL         ? strtod(text, NULL)
                                          : 0;
    if (!(value >= 1)) {
        return otherwise;
    }
    return value > (double)max ? max : (int64_t)value;
}

/* ---- tokens ----------------------------------------------------------------------------- */

static enum err read_tokens(const cJSON *object, struct login_tokens *t, struct err_text *why)
{
    enum { LIFETIME_MAX_S = 366 * 24 * 3600 };
    const char *type = strict_json_string(object, "token_type");
    enum err e = read_token(object, "access_token", &t->access_token, why);
    e = e != OK ? e : read_token(object, "id_token", &t->id_token, why);
    e = e != OK ? e : read_token(object, "refresh_token", &t->refresh_token, why);
    if (e == OK && t->access_token == NULL) {
        e = err_set(why, ERR_INVALID, "the issuer's answer has no access_token");
    }
    /* Section 7.1: a token of a type that is not understood must not be used. */
    if (e == OK && (type == NULL || strcasecmp(type, "Bearer") != 0)) {
        e = err_set(why, ERR_INVALID, "the issuer's answer: its token_type is not Bearer");
    }
    t->lifetime_s = read_seconds(object, "expires_in", 0, LIFETIME_MAX_S);
    return e;
}

enum err login_tokens_parse(struct bytes text, struct login_tokens *out, struct err_text *why)
{
    struct login_tokens t = {0};
    cJSON *object = NULL;
    enum err e = strict_json_parse(text, "the issuer's answer", &object, why);
    e = e != OK ? e : read_tokens(object, &t, why);
    wipe_and_delete(object);
    if (e != OK) {
        login_tokens_finish(&t);
        return e;
    }
    *out = t;
    return OK;
}

void login_tokens_finish(struct login_tokens *t)
{
    free_secret(&t->id_token);
    free_secret(&t->access_token);
    free_secret(&t->refresh_token);
    *t = (struct login_tokens){0};
}

/* ---- device ----------------------------------------------------------------------------- */

static enum err read_uri(const cJSON *object, const char *name, char **out, struct err_text *why)
{
    char what[96];
    enum err e = read_token(object, name, out, why);
    (void)snprintf(what, sizeof(what), "the issuer's %s", name);
    return e != OK || *out == NULL ? e : url_check(*out, what, why);
}

/* It is shown to be typed: what is no character of a code would be no help. */
static enum err read_user_code(const cJSON *object, char **out, struct err_text *why)
{
    const char *text = strict_json_string(object, "user_code");
    size_t size = text == NULL ? 0 : strlen(text);
    for (size_t i = 0; i < size; i++) {
        size = text[i] < ' ' || text[i] > '~' ? 0 : size;
    }
    if (size == 0 || size > 64) {
        return err_set(why, ERR_INVALID, "the issuer's answer has no user_code to be typed");
    }
    *out = strdup(text);
    return *out == NULL ? err_set(why, ERR_NO_MEMORY, "out of memory") : OK;
}

static enum err read_device(const cJSON *object, struct login_device *d, struct err_text *why)
{
    enum err e = read_token(object, "device_code", &d->device_code, why);
    e = e != OK ? e : read_user_code(object, &d->user_code, why);
    e = e != OK ? e : read_uri(object, "verification_uri", &d->uri, why);
    e = e != OK ? e : read_uri(object, "verification_uri_complete", &d->uri_complete, why);
    if (e == OK && (d->device_code == NULL || d->uri == NULL)) {
        e = err_set(why, ERR_INVALID,
                    "the issuer's answer has no device_code or no verification_uri");
    }
    d->lifetime_s = read_seconds(object, "expires_in", LOGIN_DEVICE_MAX_S, LOGIN_DEVICE_MAX_S);
    d->interval_s =
        read_seconds(object, "interval", LOGIN_INTERVAL_DEFAULT_S, LOGIN_INTERVAL_MAX_S);
    return e;
}

enum err login_device_parse(struct bytes text, struct login_device *out, struct err_text *why)
{
    struct login_device d = {0};
    cJSON *object = NULL;
    enum err e = strict_json_parse(text, "the issuer's answer", &object, why);
    e = e != OK ? e : read_device(object, &d, why);
    wipe_and_delete(object);
    if (e != OK) {
        login_device_finish(&d);
        return e;
    }
    *out = d;
    return OK;
}

void login_device_finish(struct login_device *d)
{
    free_secret(&d->device_code);
    free_secret(&d->user_code);
    free_secret(&d->uri_complete);
    free(d->uri);
    *d = (struct login_device){0};
}

/* ---- errors ----------------------------------------------------------------------------- */

static void copy_printable(const char *text, char *out, size_t size)
{
    size_t at = 0;
    for (; text != NULL && text[at] != '\0' && at + 1 < size; at++) {
        out[at] = '?';
        if (text[at] >= ' ' && text[at] <= '~') {
            out[at] = text[at];
        }
    }
    out[at] = '\0';
}

void login_refusal_parse(struct bytes text, struct login_refusal *out)
{
    cJSON *object = NULL;
    struct err_text why;
    *out = (struct login_refusal){0};
    if (strict_json_parse(text, "the issuer's answer", &object, &why) == OK) {
        copy_printable(strict_json_string(object, "error"), out->code, sizeof(out->code));
        copy_printable(strict_json_string(object, "error_description"), out->description,
                       sizeof(out->description));
    }
    wipe_and_delete(object);
}

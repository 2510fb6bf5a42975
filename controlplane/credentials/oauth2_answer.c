#include "controlplane/credentials/oauth2_answer.h"

#include <stdio.h>
#include <strings.h>

#include "controlplane/identity/strict_json.h"

/* A longer one is a mistake of the server: nobody wants a token for a hundred years. */
static const int64_t lifetime_max_s = INT64_C(366) * 24 * 3600;

void oauth2_token_finish(struct oauth2_token *token)
{
    buffer_wipe(&token->text);
    token->lifetime_s = 0;
}

/* Known codes only: what else stands there may repeat what was sent. */
static const char *error_code(const cJSON *answer)
{
    static const char *const codes[] = {
        "invalid_request", "invalid_client", "invalid_grant",    "unauthorized_client",
        "invalid_scope",   "invalid_target", "access_denied",    "unsupported_grant_type",
        "server_error",    "slow_down",      "invalid_resource", NULL};
    const char *said = answer == NULL ? NULL : strict_json_string(answer, "error");
    for (size_t i = 0; said != NULL && codes[i] != NULL; i++) {
        if (strcmp(codes[i], said) == 0) {
            return codes[i];
        }
    }
    return NULL;
}

static enum err refuse(long status, const cJSON *answer, struct err_text *why)
{
    const char *code = error_code(answer);
    enum err e = status == 400 || status == 401 || status == 403 ? ERR_DENIED : ERR_UNAVAILABLE;
    if (status >= 300 && status < 400) {
        return err_set(why, e, "HTTP status %ld: redirects are not followed", status);
    }
    return err_set(why, e, "HTTP status %ld%s%s", status, code == NULL ? "" : ": ",
                   code == NULL ? "" : code);
}

/* What can stand in a header as it is: RFC 6749 appendix A.12, without the space. */
static bool is_token(const char *text)
{
    size_t size = strlen(text);
    for (size_t i = 0; i < size; i++) {
        if (text[i] <= 0x20 || text[i] >= 0x7f) {
            return false;
        }
    }
    return size > 0 && size <= OAUTH2_TOKEN_CAP;
}

static enum err read_lifetime(const cJSON *answer, int64_t *out, struct err_text *why)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(answer, "expires_in");
    double seconds = 0;
    if (item == NULL || cJSON_IsNull(item)) {
        return OK;
    }
    if (cJSON_IsNumber(item)) {
        seconds = item->valuedouble;
    } else if (cJSON_IsString(item)) {
        /* Against the standard, and common. */
        char end = 0;
        if (sscanf(item->valuestring, "%lf%c", &seconds, &end) != 1) { /* NOLINT(cert-err34-c) */
            seconds = 0;
        }
    }
    if (!(seconds >= 1)) {
        return err_set(why, ERR_INVALID, "the answer's expires_in is no time in seconds");
    }
    *out = seconds < (double)lifetime_max_s ? (int64_t)seconds : lifetime_max_s;
    return OK;
}

static enum err read_token(const cJSON *answer, struct oauth2_token *out, struct err_text *why)
{
    const char *token = strict_json_string(answer, "access_token");
    const char *type = strict_json_string(answer, "token_type");
    int64_t lifetime_s = 0;
    /* RFC 6749 section 7.1: a token of a type that is not understood is not used. */
    if (type == NULL || strcasecmp(type, "bearer") != 0) {
        return err_set(why, ERR_INVALID, "the answer's token_type is not Bearer");
    }
    if (token == NULL || !is_token(token)) {
        return err_set(why, ERR_INVALID, "the answer's access_token cannot be used in a header");
    }
    enum err e = read_lifetime(answer, &lifetime_s, why);
    if (e != OK) {
        return e;
    }
    buffer_init(&out->text, OAUTH2_TOKEN_CAP);
    out->lifetime_s = lifetime_s;
    return buffer_append_string(&out->text, token);
}

/* cJSON's copies of the secrets go before their memory does. */
static void wipe_json(cJSON *item)
{
    for (; item != NULL; item = item->next) {
        if (cJSON_IsString(item) && item->valuestring != NULL) {
            bytes_wipe(item->valuestring, strlen(item->valuestring));
        }
        wipe_json(item->child);
    }
}

enum err oauth2_read_answer(long status, struct bytes body, struct oauth2_token *out,
                            struct err_text *why)
{
    cJSON *answer = NULL;
    struct err_text unused = {0};
    /* Its sentence may quote the text. */
    enum err parsed = strict_json_parse(body, "the answer", &answer, &unused);
    enum err e = OK;
    if (status != 200) {
        e = refuse(status, parsed == OK ? answer : NULL, why);
    } else if (parsed != OK) {
        e = err_set(why, parsed, "the answer is not JSON");
    } else {
        e = read_token(answer, out, why);
    }
    wipe_json(answer);
    cJSON_Delete(answer);
    return e;
}

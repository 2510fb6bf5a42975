#include "cli/issuer/mint.h"

#include <cjose/header.h>
#include <cjose/jws.h>
#include <cjson/cJSON.h>
#include <stdlib.h>

static bool add_text(cJSON *object, const char *name, const char *text)
{
    return text == NULL || cJSON_AddStringToObject(object, name, text) != NULL;
}

static bool add_list(cJSON *object, const char *name, const char *const *list, size_t count)
{
    if (count == 0) {
        return true;
    }
    cJSON *array = cJSON_AddArrayToObject(object, name);
    for (size_t i = 0; i < count; i++) {
        cJSON *text = cJSON_CreateString(list[i]);
        if (array == NULL || text == NULL || !cJSON_AddItemToArray(array, text)) {
            cJSON_Delete(text);
            return false;
        }
    }
    return true;
}

/* RFC 8693 section 4.1: the last one is `sub`, the agent the outermost `act`. */
static bool add_parties(cJSON *claims, const struct issuer_token *token)
{
    size_t count = token->on_behalf_of_count;
    if (count == 0) {
        return add_text(claims, "sub", token->subject);
    }
    cJSON *act = add_text(claims, "sub", token->on_behalf_of[count - 1])
                     ? cJSON_AddObjectToObject(claims, "act")
                     : NULL;
    bool ok = act != NULL && add_text(act, "sub", token->subject);
    for (size_t i = 0; ok && i + 1 < count; i++) {
        act = cJSON_AddObjectToObject(act, "act");
        ok = act != NULL && add_text(act, "sub", token->on_behalf_of[i]);
    }
    return ok;
}

static bool add_times(cJSON *claims, const struct issuer_token *token, int64_t now_s)
{
    int64_t lifetime_s = token->lifetime_s == 0 ? ISSUER_LIFETIME_DEFAULT_S : token->lifetime_s;
    return cJSON_AddNumberToObject(claims, "iat", (double)now_s) != NULL &&
           cJSON_AddNumberToObject(claims, "exp", (double)(now_s + lifetime_s)) != NULL;
}

/* Members of the extra claims take the place of ours. */
static enum err merge(cJSON *claims, const char *extra, struct err_text *why)
{
    cJSON *object = extra == NULL ? cJSON_CreateObject() : cJSON_Parse(extra);
    if (!cJSON_IsObject(object)) {
        cJSON_Delete(object);
        return err_set(why, ERR_INVALID, "the extra claims are not a JSON object");
    }
    enum err e = OK;
    while (e == OK && object->child != NULL) {
        cJSON *member = cJSON_DetachItemViaPointer(object, object->child);
        cJSON_DeleteItemFromObjectCaseSensitive(claims, member->string);
        char *name = strdup(member->string);
        if (name == NULL || !cJSON_AddItemToObject(claims, name, member)) {
            cJSON_Delete(member);
            e = err_set(why, ERR_NO_MEMORY, "memory is short");
        }
        free(name);
    }
    cJSON_Delete(object);
    return e;
}

static enum err check(const struct issuer_token *token, struct err_text *why)
{
    if (token->subject == NULL || token->subject[0] == '\0') {
        return err_set(why, ERR_INVALID, "the subject is missing");
    }
    if (token->lifetime_s > ISSUER_LIFETIME_MAX_S || token->lifetime_s < -ISSUER_LIFETIME_MAX_S) {
        return err_set(why, ERR_INVALID, "the lifetime is longer than %d seconds",
                       ISSUER_LIFETIME_MAX_S);
    }
    return OK;
}

enum err mint_claims(const struct issuer_token *token, const char *issuer, int64_t now_s,
                     char **out, struct err_text *why)
{
    enum err e = check(token, why);
    if (e != OK) {
        return e;
    }
    const char *audience = token->audience == NULL ? ISSUER_AUDIENCE_DEFAULT : token->audience;
    cJSON *claims = cJSON_CreateObject();
    bool ok = claims != NULL && add_text(claims, "iss", issuer) && add_parties(claims, token) &&
              add_text(claims, "aud", audience) && add_times(claims, token, now_s) &&
              add_list(claims, "groups", token->groups, token->group_count) &&
              add_text(claims, "name", token->name) && add_text(claims, "reason", token->reason);
    e = ok ? merge(claims, token->extra_claims, why)
           : err_set(why, ERR_NO_MEMORY, "memory is short");
    char *text = e == OK ? cJSON_PrintUnformatted(claims) : NULL;
    cJSON_Delete(claims);
    if (e == OK && text == NULL) {
        e = err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    if (e == OK) {
        *out = text;
    }
    return e;
}

enum err mint_sign(const cjose_jwk_t *key, const char *algorithm, const char *claims, char **out,
                   struct err_text *why)
{
    cjose_err error;
    const char *compact = NULL;
    cjose_jws_t *jws = NULL;
    char *copy = NULL;
    cjose_header_t *header = cjose_header_new(&error);
    if (header != NULL && cjose_header_set(header, CJOSE_HDR_ALG, algorithm, &error) &&
        cjose_header_set(header, CJOSE_HDR_KID, cjose_jwk_get_kid(key, &error), &error) &&
        cjose_header_set(header, "typ", "JWT", &error)) {
        jws = cjose_jws_sign(key, header, (const uint8_t *)claims, strlen(claims), &error);
    }
    if (jws != NULL && cjose_jws_export(jws, &compact, &error)) {
        copy = strdup(compact);
    }
    cjose_jws_release(jws);
    if (header != NULL) {
        cjose_header_release(header);
    }
    if (copy == NULL) {
        return err_set(why, ERR_INTERNAL, "the token could not be signed");
    }
    *out = copy;
    return OK;
}

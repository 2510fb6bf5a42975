#include "controlplane/identity/claims.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/identity/claims_internal.h"
#include "controlplane/identity/strict_json.h"

static const int64_t SECOND = 1000000000;

enum {
    ARENA_BLOCK = 1024,
    /* Pointers to the strings of a token of 16 KiB, three bytes each at least: 8/3 times as much,
     * twice over. */
    ARENA_CAP = 128 * 1024,
};

const char *claims_identifier(const cJSON *value, size_t max, const char *what,
                              struct err_text *why)
{
    const char *text = cJSON_GetStringValue(value);
    if (text == NULL) {
        (void)err_set(why, ERR_DENIED, "%s is %s", what, value == NULL ? "missing" : "not a text");
        return NULL;
    }
    size_t size = strlen(text);
    if (size == 0 || size > max) {
        (void)err_set(why, ERR_DENIED, "%s is %s", what, size == 0 ? "empty" : "too long");
        return NULL;
    }
    for (const char *c = text; *c != '\0'; c++) {
        if ((*c > 0 && *c < ' ') || *c == 0x7f) {
            (void)err_set(why, ERR_DENIED, "%s has a control character in it", what);
            return NULL;
        }
    }
    return text;
}

/* ---- times ------------------------------------------------------------------------------ */

/* NumericDate (RFC 7519 section 2) in unix nanoseconds; far away dates are the last possible one.
 */
static enum err read_time(const cJSON *claims, const char *name, int64_t *out, struct err_text *why)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(claims, name);
    if (!cJSON_IsNumber(value) || !isfinite(value->valuedouble) || value->valuedouble < 0) {
        return err_set(why, ERR_DENIED, "the token's %s is not a time", name);
    }
    const double last_s = 9e9;
    *out =
        value->valuedouble >= last_s ? INT64_MAX : (int64_t)(value->valuedouble * (double)SECOND);
    return OK;
}

static enum err check_expiry(const struct identity_provider_config *provider, const cJSON *claims,
                             int64_t now_ns, int64_t *out_expires_ns, struct err_text *why)
{
    if (cJSON_GetObjectItemCaseSensitive(claims, "exp") == NULL) {
        return err_set(why, ERR_DENIED, "the token never expires (exp is missing)");
    }
    int64_t expires_ns = 0;
    enum err e = read_time(claims, "exp", &expires_ns, why);
    if (e != OK) {
        return e;
    }
    if (now_ns - provider->leeway_s * SECOND >= expires_ns) {
        char at[CLOCK_RFC3339_SIZE];
        char now[CLOCK_RFC3339_SIZE];
        clock_format_rfc3339(expires_ns, at);
        clock_format_rfc3339(now_ns, now);
        return err_set(why, ERR_DENIED, "the token expired at %s (now it is %s)", at, now);
    }
    *out_expires_ns = expires_ns;
    return OK;
}

static enum err check_not_before(const struct identity_provider_config *provider,
                                 const cJSON *claims, int64_t now_ns, struct err_text *why)
{
    if (cJSON_GetObjectItemCaseSensitive(claims, "nbf") == NULL) {
        return OK;
    }
    int64_t from_ns = 0;
    enum err e = read_time(claims, "nbf", &from_ns, why);
    if (e == OK && now_ns + provider->leeway_s * SECOND < from_ns) {
        char from[CLOCK_RFC3339_SIZE];
        char now[CLOCK_RFC3339_SIZE];
        clock_format_rfc3339(from_ns, from);
        clock_format_rfc3339(now_ns, now);
        e = err_set(why, ERR_DENIED, "the token is not valid before %s (now it is %s)", from, now);
    }
    return e;
}

/* ---- audience --------------------------------------------------------------------------- */

static const char *match_audience(const struct identity_provider_config *provider,
                                  const cJSON *value)
{
    const char *text = cJSON_GetStringValue(value);
    for (size_t i = 0; text != NULL && i < provider->audience_count; i++) {
        if (strcmp(provider->audiences[i], text) == 0) {
            return text;
        }
    }
    return NULL;
}

static enum err check_audience(const struct identity_provider_config *provider, const cJSON *claims,
                               const char **out, struct err_text *why)
{
    const cJSON *aud = cJSON_GetObjectItemCaseSensitive(claims, "aud");
    const char *first = cJSON_GetStringValue(aud);
    const char *match = match_audience(provider, aud);
    const cJSON *one = NULL;
    if (cJSON_IsArray(aud)) {
        first = cJSON_GetStringValue(aud->child);
        cJSON_ArrayForEach(one, aud)
        {
            match = match == NULL ? match_audience(provider, one) : match;
        }
    }
    if (match == NULL) {
        char quoted[STRICT_JSON_QUOTE_SIZE];
        return err_set(why, ERR_DENIED, "the token is for the audience %s, expected is \"%s\"%s",
                       first == NULL ? "(none)" : strict_json_quote(first, quoted),
                       provider->audiences[0],
                       provider->audience_count > 1 ? " or another configured one" : "");
    }
    *out = match;
    return OK;
}

/* ---- lists of texts --------------------------------------------------------------------- */

static size_t count_texts(const cJSON *claim)
{
    if (claim == NULL || cJSON_IsNull(claim)) {
        return 0;
    }
    return cJSON_IsArray(claim) ? (size_t)cJSON_GetArraySize(claim) : 1;
}

/* A list's items one after the other, or the one text. */
static const cJSON *next_text(const cJSON *claim, const cJSON *before)
{
    if (!cJSON_IsArray(claim)) {
        return claim;
    }
    return before == NULL ? claim->child : before->next;
}

static enum err read_groups(const struct identity_provider_config *provider,
                            struct identity_claims *made, struct err_text *why)
{
    const cJSON *claim = strict_json_find(made->json, provider->groups_claim);
    size_t count = count_texts(claim);
    const char **groups = arena_alloc(made->arena, (count + 1) * sizeof *groups);
    if (groups == NULL) {
        return err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    char what[128];
    (void)snprintf(what, sizeof what, "a group of the token (%s)", provider->groups_claim);
    const cJSON *one = NULL;
    for (size_t i = 0; i < count; i++) {
        one = next_text(claim, one);
        groups[i] = claims_identifier(one, CLAIMS_GROUP_SIZE_MAX, what, why);
        if (groups[i] == NULL) {
            return ERR_DENIED;
        }
    }
    made->identity.groups = groups;
    made->identity.group_count = count;
    return OK;
}

static enum err read_reasons(const struct identity_provider_config *provider,
                             struct identity_claims *made, struct err_text *why)
{
    const cJSON *claim = strict_json_find(made->json, provider->reason_claim);
    size_t count = count_texts(claim);
    struct identity_reason *reasons = arena_alloc(made->arena, (count + 1) * sizeof *reasons);
    size_t path_size = strlen(provider->reason_claim) + sizeof "token:";
    char *source = arena_alloc(made->arena, path_size);
    if (reasons == NULL || source == NULL) {
        return err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    (void)snprintf(source, path_size, "token:%s", provider->reason_claim);
    const cJSON *one = NULL;
    for (size_t i = 0; i < count; i++) {
        one = next_text(claim, one);
        const char *text = cJSON_GetStringValue(one);
        if (text == NULL) {
            return err_set(why, ERR_DENIED, "the token's reason (%s) is not a text",
                           provider->reason_claim);
        }
        reasons[i] = (struct identity_reason){.text = text, .source = source};
    }
    made->identity.reasons = reasons;
    made->identity.reason_count = count;
    return OK;
}

/* ---- the identity ----------------------------------------------------------------------- */

static enum err read_identity(const struct identity_provider_config *provider,
                              struct identity_claims *made, int64_t now_ns, struct err_text *why)
{
    struct identity *id = &made->identity;
    enum err e = check_expiry(provider, made->json, now_ns, &id->expires_ns, why);
    if (e == OK) {
        e = check_not_before(provider, made->json, now_ns, why);
    }
    if (e == OK) {
        e = check_audience(provider, made->json, &id->audience, why);
    }
    if (e == OK) {
        id->issuer = arena_copy_string(made->arena, bytes_of_string(provider->issuer));
        id->provider = arena_copy_string(made->arena, bytes_of_string(provider->name));
        const char *name = cJSON_GetStringValue(strict_json_find(made->json, provider->name_claim));
        id->name = name == NULL ? "" : name;
        e = id->issuer == NULL || id->provider == NULL
                ? err_set(why, ERR_NO_MEMORY, "memory is short")
                : claims_read_delegation(provider, made, why);
    }
    if (e == OK) {
        e = read_groups(provider, made, why);
    }
    if (e == OK) {
        e = read_reasons(provider, made, why);
    }
    return e == OK ? claims_read_scalars(made, why) : e;
}

static void destroy(struct identity_claims *made)
{
    cJSON_Delete(made->json);
    arena_destroy(made->arena);
    free(made);
}

enum err claims_read(const struct identity_provider_config *provider, cJSON *claims, int64_t now_ns,
                     struct identity **out, struct err_text *why)
{
    struct identity_claims *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    made->json = claims;
    made->identity.claims = made;
    made->arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    enum err e = made->arena == NULL ? err_set(why, ERR_NO_MEMORY, "memory is short")
                                     : read_identity(provider, made, now_ns, why);
    if (e != OK) {
        made->json = NULL; /* stays the caller's */
        destroy(made);
        return e;
    }
    *out = &made->identity;
    return OK;
}

void identity_destroy(struct identity *id)
{
    if (id != NULL) {
        destroy((struct identity_claims *)id); /* its first member */
    }
}

bool identity_has_group(const struct identity *id, const char *group)
{
    for (size_t i = 0; i < id->group_count; i++) {
        if (strcmp(id->groups[i], group) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- any claim -------------------------------------------------------------------------- */

static struct identity_claim view(const cJSON *value)
{
    struct identity_claim claim = {.kind = IDENTITY_CLAIM_NONE};
    if (value == NULL) {
        return claim;
    }
    if (cJSON_IsString(value)) {
        claim.kind = IDENTITY_CLAIM_TEXT;
        claim.text = value->valuestring;
    } else if (cJSON_IsNumber(value)) {
        claim.kind = IDENTITY_CLAIM_NUMBER;
        claim.number = value->valuedouble;
    } else if (cJSON_IsBool(value)) {
        claim.kind = IDENTITY_CLAIM_BOOL;
        claim.truth = cJSON_IsTrue(value);
    } else if (cJSON_IsArray(value) || cJSON_IsObject(value)) {
        claim.kind = cJSON_IsArray(value) ? IDENTITY_CLAIM_LIST : IDENTITY_CLAIM_OBJECT;
        claim.count = (size_t)cJSON_GetArraySize(value);
    }
    return claim;
}

struct identity_claim identity_claim(const struct identity *id, const char *path)
{
    return view(strict_json_find(id->claims->json, path));
}

struct identity_claim identity_claim_item(const struct identity *id, const char *path, size_t index)
{
    const cJSON *list = strict_json_find(id->claims->json, path);
    const cJSON *item = cJSON_IsArray(list) ? list->child : NULL;
    for (; item != NULL && index > 0; index--) {
        item = item->next;
    }
    return view(item);
}

bool identity_claim_has(const struct identity *id, const char *path, const char *text)
{
    const cJSON *claim = strict_json_find(id->claims->json, path);
    const cJSON *one = NULL;
    for (size_t i = count_texts(claim); i > 0; i--) {
        one = next_text(claim, one);
        if (cJSON_IsString(one) && strcmp(one->valuestring, text) == 0) {
            return true;
        }
    }
    return false;
}

#include "controlplane/identity/jwks.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/identity/jwk.h"
#include "controlplane/identity/strict_json.h"

struct entry {
    char *kid;       /* NULL: it has none */
    struct jwk *key; /* NULL: `problem` says why not */
    char *text;      /* of a key: its JSON */
    char problem[96];
};

struct jwks {
    atomic_uint holds;
    size_t count, usable;
    struct entry entries[];
};

static enum err parse_entry(const cJSON *object, struct entry *entry)
{
    if (!cJSON_IsObject(object)) {
        (void)strcpy(entry->problem, "it is not an object");
        return OK;
    }
    const char *kid = strict_json_string(object, "kid");
    if (kid != NULL && strlen(kid) <= TOKEN_KID_SIZE_MAX) {
        entry->kid = strdup(kid);
        if (entry->kid == NULL) {
            return ERR_NO_MEMORY;
        }
    }
    struct err_text why = {0};
    enum err e = jwk_parse(object, &entry->key, &why);
    if (e == ERR_INVALID) {
        (void)snprintf(entry->problem, sizeof entry->problem, "%.90s", why.text);
        e = OK;
    }
    if (entry->key != NULL) {
        entry->text = cJSON_PrintUnformatted(object);
        e = entry->text == NULL ? ERR_NO_MEMORY : e;
    }
    return e;
}

static enum err parse_keys(const cJSON *array, struct jwks **out, struct err_text *why)
{
    if (!cJSON_IsArray(array)) {
        return err_set(why, ERR_INVALID, "the key set has no list of keys");
    }
    size_t count = (size_t)cJSON_GetArraySize(array);
    if (count > JWKS_KEYS_MAX) {
        return err_set(why, ERR_INVALID, "the key set has more than %d keys", JWKS_KEYS_MAX);
    }
    struct jwks *keys = calloc(1, sizeof *keys + count * sizeof keys->entries[0]);
    if (keys == NULL) {
        return err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    atomic_init(&keys->holds, 1);
    const cJSON *object = NULL;
    enum err e = OK;
    cJSON_ArrayForEach(object, array)
    {
        struct entry *entry = &keys->entries[keys->count++];
        e = parse_entry(object, entry);
        if (e != OK) {
            jwks_release(keys);
            return err_set(why, e, "memory is short");
        }
        keys->usable += entry->key != NULL;
    }
    *out = keys;
    return OK;
}

enum err jwks_parse(struct bytes document, struct jwks **out, struct err_text *why)
{
    if (document.size > JWKS_SIZE_MAX) {
        return err_set(why, ERR_INVALID, "the key set is larger than %d bytes", JWKS_SIZE_MAX);
    }
    cJSON *root = NULL;
    struct jwks *keys = NULL;
    enum err e = strict_json_parse(document, "the key set", &root, why);
    if (e == OK) {
        e = parse_keys(cJSON_GetObjectItemCaseSensitive(root, "keys"), &keys, why);
    }
    cJSON_Delete(root);
    if (keys != NULL && keys->usable == 0) {
        e = err_set(why, ERR_INVALID, "the key set has no key to verify with%s%s",
                    keys->count == 0 ? "" : "; of the first: ",
                    keys->count == 0 ? "" : keys->entries[0].problem);
        jwks_release(keys);
    }
    if (e == OK) {
        *out = keys;
    }
    return e;
}

struct jwks *jwks_hold(struct jwks *keys)
{
    (void)atomic_fetch_add(&keys->holds, 1);
    return keys;
}

void jwks_release(struct jwks *keys)
{
    if (keys == NULL || atomic_fetch_sub(&keys->holds, 1) != 1) {
        return;
    }
    for (size_t i = 0; i < keys->count; i++) {
        free(keys->entries[i].kid);
        cJSON_free(keys->entries[i].text);
        jwk_destroy(keys->entries[i].key);
    }
    free(keys);
}

void jwks_each(const struct jwks *keys,
               void (*visit)(void *context, const char *key_id, const char *jwk), void *context)
{
    for (size_t i = 0; i < keys->count; i++) {
        const struct entry *entry = &keys->entries[i];
        if (entry->key != NULL) {
            visit(context, entry->kid == NULL ? "" : entry->kid, entry->text);
        }
    }
}

size_t jwks_usable(const struct jwks *keys)
{
    return keys->usable;
}

static enum jwks_verdict verify_named(const struct jwks *keys, const struct token *t,
                                      struct err_text *why)
{
    char kid[STRICT_JSON_QUOTE_SIZE];
    (void)strict_json_quote(t->kid, kid);
    bool known = false;
    bool fits = false;
    const char *problem = NULL;
    for (size_t i = 0; i < keys->count; i++) {
        const struct entry *entry = &keys->entries[i];
        if (entry->kid == NULL || strcmp(entry->kid, t->kid) != 0) {
            continue;
        }
        known = true;
        if (entry->key == NULL) {
            problem = entry->problem;
        } else if (jwk_fits(entry->key, t->algorithm)) {
            fits = true;
            if (jwk_verify(entry->key, t)) {
                return JWKS_VALID;
            }
        }
    }
    if (!known) {
        (void)err_set(why, ERR_DENIED, "the token is signed with an unknown key %s", kid);
        return JWKS_UNKNOWN_KEY;
    }
    if (fits) {
        (void)err_set(why, ERR_DENIED, "the token's signature is wrong (key %s, algorithm %s)", kid,
                      t->algorithm->name);
    } else if (problem != NULL) {
        (void)err_set(why, ERR_DENIED, "the token is signed with key %s, which is refused: %s", kid,
                      problem);
    } else {
        (void)err_set(why, ERR_DENIED, "key %s is not for the token's algorithm %s", kid,
                      t->algorithm->name);
    }
    return JWKS_REFUSED;
}

/* A token without a key id: only when the issuer leaves no doubt about the key. */
static enum jwks_verdict verify_unnamed(const struct jwks *keys, const struct token *t,
                                        struct err_text *why)
{
    const struct jwk *only = NULL;
    for (size_t i = 0; i < keys->count; i++) {
        const struct jwk *key = keys->entries[i].key;
        if (key == NULL || !jwk_fits(key, t->algorithm)) {
            continue;
        }
        if (only != NULL) {
            (void)err_set(why, ERR_DENIED,
                          "the token names no key (kid), and its issuer has several for %s",
                          t->algorithm->name);
            return JWKS_REFUSED;
        }
        only = key;
    }
    if (only == NULL) {
        (void)err_set(why, ERR_DENIED, "the token's issuer has no key for its algorithm %s",
                      t->algorithm->name);
        return JWKS_UNKNOWN_KEY;
    }
    if (!jwk_verify(only, t)) {
        /* Perhaps the key was changed: without an id nobody can see it. */
        (void)err_set(why, ERR_DENIED,
                      "the token's signature is wrong (its issuer's only key for %s)",
                      t->algorithm->name);
        return JWKS_UNKNOWN_KEY;
    }
    return JWKS_VALID;
}

enum jwks_verdict jwks_verify(const struct jwks *keys, const struct token *t, struct err_text *why)
{
    return t->kid == NULL ? verify_unnamed(keys, t, why) : verify_named(keys, t, why);
}

#include "cli/issuer/keys.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crypto/crypto.h"
#include "base/file.h"
#include "cli/issuer/key_file.h"

enum {
    FILE_CAP = 64 * 1024, /* ISSUER_KEYS_MAX private RSA keys are 30 KiB */
    KID_RANDOM = 8,
};

struct key {
    char algorithm[8];
    int64_t retired_s; /* 0: in use */
    cjose_jwk_t *jwk;
};

struct issuer_keys {
    char *path;
    struct key keys[ISSUER_KEYS_MAX]; /* oldest first */
    size_t count;
};

static void release(struct key *key)
{
    if (key->jwk != NULL) {
        (void)cjose_jwk_release(key->jwk);
    }
    *key = (struct key){0};
}

void issuer_keys_destroy(struct issuer_keys *keys)
{
    if (keys == NULL) {
        return;
    }
    for (size_t i = 0; i < keys->count; i++) {
        release(&keys->keys[i]);
    }
    free(keys->path);
    free(keys);
}

/* ---- as JSON ---------------------------------------------------------------------------- */

/* Returns owned, with `alg` and `use`; NULL when memory is short. */
static cJSON *key_to_json(const struct key *key, bool with_private)
{
    cjose_err error;
    char *text = cjose_jwk_to_json(key->jwk, with_private, &error);
    cJSON *json = text == NULL ? NULL : cJSON_Parse(text);
    if (text != NULL) {
        bytes_wipe(text, strlen(text));
    }
    free(text);
    if (json != NULL && (cJSON_AddStringToObject(json, "alg", key->algorithm) == NULL ||
                         cJSON_AddStringToObject(json, "use", "sig") == NULL)) {
        cJSON_Delete(json);
        return NULL;
    }
    return json;
}

static char *keys_to_text(const struct issuer_keys *keys, bool with_private, int64_t retired_after)
{
    cJSON *root = cJSON_CreateObject();
    cJSON *list = root == NULL ? NULL : cJSON_AddArrayToObject(root, "keys");
    bool ok = list != NULL;
    for (size_t i = 0; ok && i < keys->count; i++) {
        const struct key *key = &keys->keys[i];
        if (key->retired_s != 0 && key->retired_s <= retired_after) {
            continue;
        }
        cJSON *json = key_to_json(key, with_private);
        if (with_private && key->retired_s != 0 && json != NULL) {
            ok = cJSON_AddNumberToObject(json, "retired_at", (double)key->retired_s) != NULL;
        }
        ok = ok && json != NULL && cJSON_AddItemToArray(list, json);
        if (!ok) {
            cJSON_Delete(json);
        }
    }
    char *text = ok ? cJSON_PrintUnformatted(root) : NULL;
    cJSON_Delete(root);
    return text;
}

char *issuer_keys_jwks(const struct issuer_keys *keys, int64_t now_s, int64_t keep_s)
{
    return keys_to_text(keys, false, now_s - keep_s);
}

static enum err save(const struct issuer_keys *keys, struct err_text *why)
{
    char *text = keys_to_text(keys, true, INT64_MIN);
    if (text == NULL) {
        return err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    enum err e = file_replace(keys->path, 0600, bytes_of_string(text), why);
    bytes_wipe(text, strlen(text));
    free(text);
    return e;
}

/* ---- reading ---------------------------------------------------------------------------- */

static bool is_supported(const char *algorithm, const cjose_jwk_t *jwk)
{
    cjose_err error;
    cjose_jwk_kty_t kty = cjose_jwk_get_kty(jwk, &error);
    return algorithm != NULL && ((strcmp(algorithm, "RS256") == 0 && kty == CJOSE_JWK_KTY_RSA) ||
                                 (strcmp(algorithm, "ES256") == 0 && kty == CJOSE_JWK_KTY_EC));
}

static bool key_from_json(const cJSON *json, struct key *out)
{
    const char *algorithm = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "alg"));
    const cJSON *retired = cJSON_GetObjectItemCaseSensitive(json, "retired_at");
    char *text = cJSON_PrintUnformatted(json);
    cjose_err error;
    cjose_jwk_t *jwk = text == NULL ? NULL : cjose_jwk_import(text, strlen(text), &error);
    if (text != NULL) {
        bytes_wipe(text, strlen(text));
    }
    free(text);
    if (jwk == NULL) {
        return false;
    }
    if (!is_supported(algorithm, jwk) || cjose_jwk_get_kid(jwk, &error) == NULL) {
        (void)cjose_jwk_release(jwk);
        return false;
    }
    *out = (struct key){.jwk = jwk,
                        .retired_s = cJSON_IsNumber(retired) ? (int64_t)retired->valuedouble : 0};
    (void)snprintf(out->algorithm, sizeof out->algorithm, "%s", algorithm);
    return true;
}

static enum err load(struct issuer_keys *keys, struct err_text *why)
{
    struct buffer text;
    buffer_init(&text, FILE_CAP);
    enum err e = key_file_read(keys->path, &text, why);
    cJSON *root = NULL;
    if (e == OK) {
        struct bytes b = buffer_bytes(&text);
        root = b.size == 0 ? NULL : cJSON_ParseWithLength((const char *)b.data, b.size);
        const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "keys");
        bool ok = cJSON_IsArray(list);
        const cJSON *one = NULL;
        cJSON_ArrayForEach(one, list)
        {
            ok =
                ok && keys->count < ISSUER_KEYS_MAX && key_from_json(one, &keys->keys[keys->count]);
            keys->count += ok;
        }
        if (!ok || issuer_keys_find(keys, "RS256") == NULL ||
            issuer_keys_find(keys, "ES256") == NULL) {
            e = err_set(why, ERR_INVALID, "%s is damaged; remove it to have new keys made",
                        keys->path);
        }
    }
    cJSON_Delete(root);
    buffer_wipe(&text);
    return e;
}

/* ---- making ----------------------------------------------------------------------------- */

static cjose_jwk_t *generate(const char *algorithm)
{
    static const uint8_t exponent[] = {1, 0, 1};
    uint8_t random[KID_RANDOM];
    char kid[8 + 2 * KID_RANDOM + 1];
    cjose_err error;
    const struct crypto_random source = crypto_random_system();
    if (crypto_random_fill(&source, random, sizeof random) != OK) {
        return NULL;
    }
    (void)snprintf(kid, sizeof kid, "%s-", algorithm);
    crypto_hex_encode(bytes_of(random, sizeof random), kid + strlen(kid));
    cjose_jwk_t *jwk = strcmp(algorithm, "RS256") == 0
                           ? cjose_jwk_create_RSA_random(2048, exponent, sizeof exponent, &error)
                           : cjose_jwk_create_EC_random(CJOSE_JWK_EC_P_256, &error);
    if (jwk != NULL && !cjose_jwk_set_kid(jwk, kid, strlen(kid), &error)) {
        (void)cjose_jwk_release(jwk);
        jwk = NULL;
    }
    return jwk;
}

static enum err make_pair(struct key pair[2], struct err_text *why)
{
    pair[0] = (struct key){.algorithm = "RS256", .jwk = generate("RS256")};
    pair[1] = (struct key){.algorithm = "ES256", .jwk = generate("ES256")};
    if (pair[0].jwk == NULL || pair[1].jwk == NULL) {
        release(&pair[0]);
        release(&pair[1]);
        return err_set(why, ERR_INTERNAL, "no key could be made");
    }
    return OK;
}

/* A new list that shares the keys which stay; `dropped` gets the others. */
static void plan(const struct issuer_keys *keys, const struct key pair[2], int64_t now_s,
                 int64_t keep_s, struct issuer_keys *out, struct issuer_keys *dropped)
{
    *out = (struct issuer_keys){.path = keys->path};
    *dropped = (struct issuer_keys){0};
    for (size_t i = 0; i < keys->count; i++) {
        struct key key = keys->keys[i];
        bool surplus = keys->count - i > ISSUER_KEYS_MAX - 2;
        if (surplus || (key.retired_s != 0 && key.retired_s <= now_s - keep_s)) {
            dropped->keys[dropped->count++] = key;
            continue;
        }
        key.retired_s = key.retired_s == 0 ? now_s : key.retired_s;
        out->keys[out->count++] = key;
    }
    out->keys[out->count++] = pair[0];
    out->keys[out->count++] = pair[1];
}

enum err issuer_keys_rotate(struct issuer_keys *keys, int64_t now_s, int64_t keep_s,
                            struct err_text *why)
{
    struct key pair[2];
    struct issuer_keys next;
    struct issuer_keys dropped;
    enum err e = make_pair(pair, why);
    if (e != OK) {
        return e;
    }
    plan(keys, pair, now_s, keep_s, &next, &dropped);
    e = save(&next, why);
    if (e != OK) {
        release(&pair[0]);
        release(&pair[1]);
        return e;
    }
    *keys = next;
    for (size_t i = 0; i < dropped.count; i++) {
        release(&dropped.keys[i]);
    }
    return OK;
}

enum err issuer_keys_open(const char *directory, struct issuer_keys **out, struct err_text *why)
{
    struct issuer_keys *keys = calloc(1, sizeof *keys);
    if (keys == NULL || asprintf(&keys->path, "%s/issuer-keys.json", directory) < 0) {
        free(keys);
        return err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    enum err e = load(keys, why);
    if (e == ERR_NOT_FOUND) {
        e = issuer_keys_rotate(keys, 0, 0, why);
    }
    if (e != OK) {
        issuer_keys_destroy(keys);
        return e;
    }
    *out = keys;
    return OK;
}

const cjose_jwk_t *issuer_keys_find(const struct issuer_keys *keys, const char *algorithm)
{
    for (size_t i = keys->count; i > 0; i--) {
        const struct key *key = &keys->keys[i - 1];
        if (key->retired_s == 0 && strcmp(key->algorithm, algorithm) == 0) {
            return key->jwk;
        }
    }
    return NULL;
}

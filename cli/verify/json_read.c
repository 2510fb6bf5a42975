#include "cli/verify/json_read.h"

#include <stdlib.h>

#include "base/crypto/crypto.h"

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* An object's keys may be anybody's: sorting them is never quadratic. */
static bool has_unique_keys(const cJSON *object)
{
    size_t count = 0, n = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, object)
    {
        count++;
    }
    if (count < 2) {
        return true;
    }
    const char **keys = calloc(count, sizeof(*keys));
    bool unique = keys != NULL;
    for (item = object->child; unique && item != NULL; item = item->next) {
        keys[n++] = item->string;
    }
    if (unique) {
        qsort(keys, n, sizeof(*keys), compare_keys);
    }
    for (size_t i = 1; unique && i < n; i++) {
        unique = strcmp(keys[i - 1], keys[i]) != 0;
    }
    free(keys);
    return unique;
}

/* cJSON reads no deeper than CJSON_NESTING_LIMIT, which bounds the recursion. */
static bool is_unique(const cJSON *value)
{
    bool unique = !cJSON_IsObject(value) || has_unique_keys(value);
    if (!cJSON_IsObject(value) && !cJSON_IsArray(value)) {
        return true;
    }
    for (const cJSON *item = value->child; unique && item != NULL; item = item->next) {
        unique = is_unique(item);
    }
    return unique;
}

cJSON *json_read(struct bytes json)
{
    const char *end = NULL;
    /* A NUL inside would end what a C string shows of it. */
    if (json.size == 0 || memchr(json.data, 0, json.size) != NULL) {
        return NULL;
    }
    cJSON *root = cJSON_ParseWithLengthOpts((const char *)json.data, json.size, &end, 0);
    const char *stop = (const char *)json.data + json.size;
    while (root != NULL && end < stop && strchr(" \t\r\n", *end) != NULL) {
        end++;
    }
    if (root != NULL && (end != stop || !is_unique(root))) {
        cJSON_Delete(root);
        root = NULL;
    }
    return root;
}

bool json_read_has_keys(const cJSON *object, const char *const *keys)
{
    size_t count = 0;
    if (!cJSON_IsObject(object)) {
        return false;
    }
    for (; keys[count] != NULL; count++) {
        if (cJSON_GetObjectItemCaseSensitive(object, keys[count]) == NULL) {
            return false;
        }
    }
    return cJSON_GetArraySize(object) == (int)count;
}

bool json_read_string(const cJSON *object, const char *key, const char **out)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    if (!cJSON_IsString(item)) {
        return false;
    }
    *out = item->valuestring;
    return true;
}

bool json_read_string_or_null(const cJSON *object, const char *key, const char **out)
{
    if (cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(object, key))) {
        *out = NULL;
        return true;
    }
    return json_read_string(object, key, out);
}

bool json_read_number(const cJSON *object, const char *key, uint64_t *out)
{
    const cJSON *item = key == NULL ? object : cJSON_GetObjectItemCaseSensitive(object, key);
    /* Beyond it a double has not all whole numbers. */
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0) ||
        item->valuedouble > 9007199254740992.0 ||
        item->valuedouble != (double)(uint64_t)item->valuedouble) {
        return false;
    }
    *out = (uint64_t)item->valuedouble;
    return true;
}

bool json_read_hex(const cJSON *object, const char *key, uint8_t *out, size_t size)
{
    const char *text = NULL;
    return json_read_string(object, key, &text) && strpbrk(text, "ABCDEF") == NULL &&
           crypto_hex_decode(bytes_of_string(text), out, size) == OK;
}

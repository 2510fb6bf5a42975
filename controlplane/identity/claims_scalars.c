/* The token's claims that policies may ask for. */
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/identity/claims_internal.h"
#include "controlplane/identity/strict_json.h"

enum { NUMBER_SIZE = 32 };

struct kept {
    char path[CLAIMS_SCALAR_SIZE_MAX + 1];
    const cJSON *value;
    bool is_item; /* of a list */
};

struct collection {
    const cJSON *root;
    char path[CLAIMS_SCALAR_SIZE_MAX + 1]; /* of what is being looked at */
    struct kept kept[CLAIMS_SCALARS_MAX];  /* in their order */
    size_t count;
};

/* What the token's own machinery is about, and what the identity has under names of its own. */
static bool is_skipped(const char *name)
{
    static const char *const names[] = {"iss", "sub", "aud",   "exp",    "nbf",
                                        "iat", "jti", "nonce", "at_hash"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* Plain claims before items of lists, so that a long list never displaces a plain claim; then by
 * path: the same claims in another order are the same record. */
static int compare(const struct kept *a, const char *path, bool is_item)
{
    return a->is_item != is_item ? (a->is_item ? 1 : -1) : strcmp(a->path, path);
}

static void keep(struct collection *c, const cJSON *value, bool is_item)
{
    size_t at = c->count;
    while (at > 0 && compare(&c->kept[at - 1], c->path, is_item) > 0) {
        at--;
    }
    if (at == CLAIMS_SCALARS_MAX) {
        return;
    }
    size_t behind = c->count - at - (c->count == CLAIMS_SCALARS_MAX ? 1 : 0);
    memmove(&c->kept[at + 1], &c->kept[at], behind * sizeof(c->kept[0]));
    c->count += c->count == CLAIMS_SCALARS_MAX ? 0 : 1;
    memcpy(c->kept[at].path, c->path, sizeof(c->path));
    c->kept[at].value = value;
    c->kept[at].is_item = is_item;
}

/* `{"a.b": 1, "a": {"b": 2}}` has two claims for one path. The one that strict_json_find gives
 * counts, here as everywhere; the other one could be a way to claim what the issuer did not say. */
static bool is_shadowed(const struct collection *c, const cJSON *value)
{
    const cJSON *found = strict_json_find(c->root, c->path);
    return found != NULL && found != value;
}

static void collect(struct collection *c, const cJSON *value, const cJSON *owner, bool is_item);

static void collect_members(struct collection *c, const cJSON *object, bool is_item)
{
    size_t before = strlen(c->path);
    const cJSON *member = NULL;
    cJSON_ArrayForEach(member, object)
    {
        size_t room = sizeof(c->path) - before;
        int n = snprintf(c->path + before, room, "%s%s", before == 0 ? "" : ".", member->string);
        bool fits = n >= 0 && (size_t)n < room;
        if (fits && member->string[0] != '\0' &&
            !(object == c->root && is_skipped(member->string))) {
            collect(c, member, member, is_item);
        }
        c->path[before] = '\0';
    }
}

/* `owner` is what has the path: the value itself, or the list that it is an item of. Its depth is
 * limited by strict_json_parse. */
static void collect(struct collection *c, const cJSON *value, const cJSON *owner, bool is_item)
{
    if (cJSON_IsObject(value)) {
        collect_members(c, value, is_item);
    } else if (cJSON_IsArray(value)) {
        const cJSON *item = NULL;
        cJSON_ArrayForEach(item, value)
        {
            collect(c, item, owner, true);
        }
    } else if (!is_shadowed(c, owner) &&
               (cJSON_IsNumber(value) || cJSON_IsBool(value) ||
                (cJSON_IsString(value) && strlen(value->valuestring) <= CLAIMS_SCALAR_SIZE_MAX))) {
        keep(c, value, is_item);
    }
}

static const char *text_of(struct arena *arena, const cJSON *value)
{
    char number[NUMBER_SIZE];
    if (cJSON_IsString(value)) {
        return value->valuestring;
    }
    if (cJSON_IsBool(value)) {
        return cJSON_IsTrue(value) ? "true" : "false";
    }
    return cJSON_PrintPreallocated((cJSON *)(uintptr_t)value, number, sizeof(number), false)
               ? arena_copy_string(arena, bytes_of_string(number))
               : NULL;
}

enum err claims_read_scalars(struct identity_claims *made, struct err_text *why)
{
    struct collection *c = calloc(1, sizeof(*c));
    struct identity_scalar *scalars =
        arena_alloc(made->arena, CLAIMS_SCALARS_MAX * sizeof(*scalars));
    enum err e = c == NULL || scalars == NULL ? ERR_NO_MEMORY : OK;
    if (e == OK) {
        c->root = made->json;
        collect_members(c, made->json, false);
    }
    for (size_t i = 0; e == OK && i < c->count; i++) {
        scalars[i].path = arena_copy_string(made->arena, bytes_of_string(c->kept[i].path));
        scalars[i].value = text_of(made->arena, c->kept[i].value);
        e = scalars[i].path == NULL || scalars[i].value == NULL ? ERR_NO_MEMORY : OK;
    }
    if (e == OK) {
        made->identity.scalars = scalars;
        made->identity.scalar_count = c->count;
    }
    free(c);
    return e == OK ? OK : err_set(why, e, "memory is short");
}

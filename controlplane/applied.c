#include "controlplane/applied.h"

#include <stdlib.h>

static const struct {
    const char *key;
    enum store_document_kind kind;
} lists[] = {
    {"identity_providers", STORE_IDENTITY_PROVIDER},
    {"resources", STORE_RESOURCE},
    {"credentials", STORE_CREDENTIAL},
    {"grants", STORE_GRANT},
    {"roles", STORE_ROLE_MAPPING},
};
enum { LISTS = sizeof(lists) / sizeof(lists[0]) };

static size_t count_documents(const struct conf_node *root)
{
    size_t count = 0;
    for (size_t i = 0; i < LISTS; i++) {
        const struct conf_node *n = conf_get(root, lists[i].key);
        count += n == NULL ? 0 : conf_count(n);
    }
    return count;
}

/* The name of a list's item, or the key of a map's member (`roles`). */
static const char *name_of(const struct conf_node *n)
{
    const char *name = conf_key(n);
    const struct conf_node *named = conf_get(n, "name");
    if (name == NULL && (named == NULL || conf_as_string(named, &name, NULL) != OK)) {
        name = ""; /* cannot be: config_load has checked it */
    }
    return name;
}

/* The json of the first `*out_count` is owned. */
static enum err fill(const struct conf_node *root, struct store_document *documents,
                     size_t *out_count)
{
    size_t count = 0;
    for (size_t i = 0; i < LISTS; i++) {
        const struct conf_node *list = conf_get(root, lists[i].key);
        for (const struct conf_node *n = list == NULL ? NULL : conf_first(list); n != NULL;
             n = conf_next(n)) {
            char *json = conf_to_json(n);
            if (json == NULL) {
                *out_count = count;
                return ERR_NO_MEMORY;
            }
            documents[count++] =
                (struct store_document){.kind = lists[i].kind, .name = name_of(n), .json = json};
        }
    }
    *out_count = count;
    return OK;
}

enum err applied_store(struct store *store, const struct config *config, int64_t now_ns,
                       struct err_text *why)
{
    const struct conf_node *root = config_document(config);
    struct store_document *documents = calloc(count_documents(root) + 1, sizeof(*documents));
    size_t count = 0;
    if (documents == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err e = fill(root, documents, &count);
    if (e == OK) {
        e = store_documents_replace(store, documents, count, now_ns, why);
    }
    for (size_t i = 0; i < count; i++) {
        free((void *)(uintptr_t)documents[i].json);
    }
    free(documents);
    return e;
}

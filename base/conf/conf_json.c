#include <cjson/cJSON.h>
#include <stdlib.h>

#include "base/conf/conf_node.h"

static cJSON *scalar_to_json(const struct conf_node *n)
{
    int64_t unused;
    if (n->plain && conf_text_is_integer(n->text, &unused)) {
        /* Not as a number: cJSON keeps those in a double and prints 1e+15. */
        return cJSON_CreateRaw(n->text);
    }
    if (n->plain && (strcmp(n->text, "true") == 0 || strcmp(n->text, "false") == 0)) {
        return cJSON_CreateBool(n->text[0] == 't');
    }
    return cJSON_CreateString(n->text);
}

/* Recursion is bounded by CONF_DEPTH_MAX. */
static cJSON *node_to_json(const struct conf_node *n)
{
    if (n->kind == CONF_NULL) {
        return cJSON_CreateNull();
    }
    if (n->kind == CONF_SCALAR) {
        return scalar_to_json(n);
    }
    bool is_map = n->kind == CONF_MAP;
    cJSON *json = is_map ? cJSON_CreateObject() : cJSON_CreateArray();
    const struct conf_node *next = n->first;
    for (size_t i = 0; json != NULL && i < n->count; i++) {
        const struct conf_node *m = is_map ? n->sorted[i] : next;
        next = next->next;
        cJSON *value = node_to_json(m);
        /* Keys borrow: they live as long as the tree. */
        if (value == NULL || !(is_map ? cJSON_AddItemToObjectCS(json, m->key, value)
                                      : cJSON_AddItemToArray(json, value))) {
            cJSON_Delete(value);
            cJSON_Delete(json);
            return NULL;
        }
    }
    return json;
}

char *conf_to_json(const struct conf_node *n)
{
    cJSON *json = node_to_json(n);
    char *text = json == NULL ? NULL : cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    return text;
}

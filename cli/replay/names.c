#include "cli/replay/names.h"

#include <stdlib.h>

static struct names_item *find(const struct names *n, const char *name)
{
    for (size_t i = 0; i < n->count; i++) {
        if (strcmp(n->items[i].name, name) == 0) {
            return &n->items[i];
        }
    }
    return NULL;
}

bool names_has(const struct names *n, const char *name, const char *text)
{
    const struct names_item *item = find(n, name);
    return item != NULL && (text == NULL || strcmp(item->text, text) == 0);
}

enum err names_put(struct names *n, const char *name, const char *text)
{
    struct names_item item = {.name = strdup(name), .text = strdup(text)};
    struct names_item *place = find(n, name);
    if (place == NULL && item.name != NULL && item.text != NULL) {
        struct names_item *items = realloc(n->items, (n->count + 1) * sizeof(*items));
        if (items != NULL) {
            n->items = items;
            place = &items[n->count++];
            *place = (struct names_item){0};
        }
    }
    if (place == NULL || item.name == NULL || item.text == NULL) {
        free(item.name);
        free(item.text);
        return ERR_NO_MEMORY;
    }
    free(place->name);
    free(place->text);
    *place = item;
    return OK;
}

void names_finish(struct names *n)
{
    for (size_t i = 0; i < n->count; i++) {
        free(n->items[i].name);
        free(n->items[i].text);
    }
    free(n->items);
    *n = (struct names){0};
}

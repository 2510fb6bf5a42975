#include <assert.h>
#include <stdlib.h>

#include "base/conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void node_visit(const struct conf_node *n)
{
    static const struct conf_choice choices[] = {{"one", 1}, {"three", 3}, {NULL, 0}};
    static const char *const keys[] = {"version", "rules", NULL};
    struct err_text error;
    const char *text;
    bool flag;
    int64_t integer;
    uint64_t bytes;
    int choice;
    (void)!conf_as_string(n, &text, &error);
    (void)!conf_as_bool(n, &flag, &error);
    (void)!conf_as_integer(n, "a number", -5, 5, &integer, &error);
    (void)!conf_as_duration(n, 0, INT64_MAX, &integer, &error);
    (void)!conf_as_size(n, 0, 1 << 20, &bytes, &error);
    (void)!conf_as_choice(n, choices, &choice, &error);
    (void)!conf_check_keys(n, keys, &error);
    for (const struct conf_node *m = conf_first(n); m != NULL; m = conf_next(m)) {
        node_visit(m);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf *c = NULL, *again = NULL;
    struct err_text error;
    if (conf_load_text("fuzz", bytes_of(data, size), &c, &error) != OK) {
        return 0;
    }
    node_visit(conf_root(c));
    /* The canonical form is a document, and its own canonical form. */
    char *json = conf_to_json(conf_root(c));
    assert(json != NULL);
    if (strlen(json) <= CONF_SIZE_MAX) {
        assert(conf_load_text("json", bytes_of_string(json), &again, &error) == OK);
        char *second = conf_to_json(conf_root(again));
        assert(second != NULL && strcmp(json, second) == 0);
        free(second);
    }
    free(json);
    conf_destroy(again);
    conf_destroy(c);
    return 0;
}

#include "cli/dev/identity_option.h"

#include <stdio.h>

static enum err split(char *list, const char **items, size_t *out_count, const char *key,
                      struct err_text *error)
{
    *out_count = 0;
    for (char *item = strsep(&list, "+"); item != NULL; item = strsep(&list, "+")) {
        if (item[0] == '\0' || *out_count == IDENTITY_OPTION_LIST_MAX) {
            return err_set(error, ERR_INVALID,
                           "--identity: %s: expected at most %d names with + between, none empty",
                           key, IDENTITY_OPTION_LIST_MAX);
        }
        items[(*out_count)++] = item;
    }
    return OK;
}

static enum err read_pair(const char *key, char *value, struct identity_option *out,
                          struct err_text *error)
{
    if (strcmp(key, "sub") == 0) {
        out->subject = value;
    } else if (strcmp(key, "name") == 0) {
        out->name = value;
    } else if (strcmp(key, "reason") == 0) {
        out->reason = value;
    } else if (strcmp(key, "groups") == 0) {
        return split(value, out->groups, &out->group_count, key, error);
    } else if (strcmp(key, "on_behalf_of") == 0) {
        return split(value, out->on_behalf_of, &out->on_behalf_of_count, key, error);
    } else {
        return err_set(error, ERR_INVALID,
                       "--identity: expected sub, groups, name, reason or on_behalf_of, found "
                       "\"%.64s\"",
                       key);
    }
    return OK;
}

enum err identity_option_parse(const char *text, struct identity_option *out,
                               struct err_text *error)
{
    *out = (struct identity_option){0};
    if (strlen(text) >= sizeof(out->storage)) {
        return err_set(error, ERR_INVALID, "--identity: longer than %zu characters",
                       sizeof(out->storage) - 1);
    }
    (void)snprintf(out->storage, sizeof(out->storage), "%s", text);
    char *rest = out->storage;
    for (char *pair = strsep(&rest, ","); pair != NULL; pair = strsep(&rest, ",")) {
        char *value = strchr(pair, '=');
        if (value == NULL || value[1] == '\0') {
            return err_set(error, ERR_INVALID,
                           "--identity: expected sub=NAME,groups=A+B, found \"%.64s\"", pair);
        }
        *value++ = '\0';
        enum err e = read_pair(pair, value, out, error);
        if (e != OK) {
            return e;
        }
    }
    if (out->subject == NULL) {
        return err_set(error, ERR_INVALID, "--identity: sub=NAME is missing");
    }
    if (out->group_count == 0) {
        out->groups[out->group_count++] = "agents";
    }
    return OK;
}

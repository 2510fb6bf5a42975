#include "cli/dev/stack_http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void stack_http_finish(struct stack_http *h)
{
    free(h->name);
    free(h->address);
    free(h->user);
    *h = (struct stack_http){0};
}

void stack_http_file(const struct stack_http *h, char out[STACK_HTTP_FILE_SIZE])
{
    (void)snprintf(out, STACK_HTTP_FILE_SIZE, "http.%s.secret", h->name);
}

static struct stack_http *find(struct stack *s, const char *name)
{
    for (size_t i = 0; i < s->http_count; i++) {
        if (strcmp(s->http[i].name, name) == 0) {
            return &s->http[i];
        }
    }
    return NULL;
}

/* Without a secret, an old one must not stay. */
static enum err keep_secret(const struct stack *s, const struct stack_http *h, const char *secret,
                            struct err_text *error)
{
    char name[STACK_HTTP_FILE_SIZE];
    char path[PATH_MAX];
    stack_http_file(h, name);
    if (secret != NULL) {
        return stack_write(s, name, bytes_of_string(secret), error);
    }
    stack_path(s, name, path);
    return unlink(path) == 0 || errno == ENOENT
               ? OK
               : err_set(error, ERR_IO, "%s: %s", path, strerror(errno));
}

static enum err take_away(struct stack *s, const struct http_option *o, struct err_text *error)
{
    struct stack_http *h = find(s, o->name);
    if (h == NULL) {
        return err_set(error, ERR_INVALID, "--http: there is no \"%s\" to take away", o->name);
    }
    enum err e = keep_secret(s, h, NULL, error);
    if (e == OK) {
        stack_http_finish(h);
        size_t behind = s->http_count - 1 - (size_t)(h - s->http);
        memmove(h, h + 1, behind * sizeof(*h));
        s->http[--s->http_count] = (struct stack_http){0};
    }
    return e;
}

enum err stack_http_apply(struct stack *s, const struct http_option *o, struct err_text *error)
{
    if (o->address == NULL) {
        return take_away(s, o, error);
    }
    struct stack_http *h = find(s, o->name);
    if (h == NULL && s->http_count == STACK_HTTP_MAX) {
        return err_set(error, ERR_LIMIT, "--http: at most %d services", STACK_HTTP_MAX);
    }
    h = h == NULL ? &s->http[s->http_count++] : h;
    enum err e = stack_set(&h->name, o->name);
    e = e == OK ? stack_set(&h->address, o->address) : e;
    e = e == OK ? stack_set(&h->user, o->user) : e;
    h->has_secret = o->secret != NULL;
    return e == OK ? keep_secret(s, h, o->secret, error) : e;
}

/* Only this program writes the file; what does not fit is left out. */
enum err stack_http_read(struct stack *s, const cJSON *saved)
{
    const cJSON *item = NULL;
    enum err e = OK;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(saved, "http"))
    {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "name"));
        const char *address =
            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "address"));
        const char *user = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "user"));
        const cJSON *port = cJSON_GetObjectItemCaseSensitive(item, "port");
        if (e != OK || name == NULL || strlen(name) > HTTP_OPTION_NAME_MAX || address == NULL ||
            s->http_count == STACK_HTTP_MAX) {
            continue;
        }
        struct stack_http *h = &s->http[s->http_count++];
        e = stack_set(&h->name, name);
        e = e == OK ? stack_set(&h->address, address) : e;
        e = e == OK ? stack_set(&h->user, user) : e;
        h->has_secret = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(item, "has_secret"));
        if (cJSON_IsNumber(port) && port->valuedouble > 0 && port->valuedouble <= UINT16_MAX) {
            h->port = (uint16_t)port->valuedouble;
        }
    }
    return e;
}

static bool add_one(const struct stack_http *h, cJSON *list)
{
    cJSON *item = cJSON_CreateObject();
    if (item == NULL || cJSON_AddItemToArray(list, item) == 0) {
        cJSON_Delete(item);
        return false;
    }
    return cJSON_AddStringToObject(item, "name", h->name) != NULL &&
           cJSON_AddStringToObject(item, "address", h->address) != NULL &&
           (h->user == NULL || cJSON_AddStringToObject(item, "user", h->user) != NULL) &&
           cJSON_AddBoolToObject(item, "has_secret", h->has_secret) != NULL &&
           cJSON_AddNumberToObject(item, "port", h->port) != NULL;
}

bool stack_http_add(const struct stack *s, cJSON *saved)
{
    cJSON *list = s->http_count == 0 ? NULL : cJSON_AddArrayToObject(saved, "http");
    bool whole = s->http_count == 0 || list != NULL;
    for (size_t i = 0; whole && i < s->http_count; i++) {
        whole = add_one(&s->http[i], list);
    }
    return whole;
}

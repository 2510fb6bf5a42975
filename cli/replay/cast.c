#include "cli/replay/cast.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

static enum err write_line(struct cast *c, cJSON *value)
{
    char *line = value == NULL ? NULL : cJSON_PrintUnformatted(value);
    cJSON_Delete(value);
    if (line == NULL) {
        return ERR_NO_MEMORY;
    }
    bool written = fputs(line, c->out) >= 0 && fputc('\n', c->out) != EOF;
    cJSON_free(line);
    return written ? OK : ERR_IO;
}

enum err cast_start(struct cast *c, FILE *out, const struct cast_header *header)
{
    cJSON *root = cJSON_CreateObject();
    *c = (struct cast){.out = out};
    bool made = cJSON_AddNumberToObject(root, "version", 3) != NULL;
    cJSON *term = cJSON_AddObjectToObject(root, "term");
    made = made && cJSON_AddNumberToObject(term, "cols", header->columns) != NULL;
    made = made && cJSON_AddNumberToObject(term, "rows", header->rows) != NULL;
    made = made && cJSON_AddNumberToObject(root, "timestamp",
                                           (double)(header->started_unix_ns / 1000000000)) != NULL;
    if (header->idle_limit_ns > 0) {
        made = made && cJSON_AddNumberToObject(root, "idle_time_limit",
                                               (double)header->idle_limit_ns / 1e9) != NULL;
    }
    made = made && cJSON_AddStringToObject(root, "title", header->title) != NULL;
    if (!made) {
        cJSON_Delete(root);
        return ERR_NO_MEMORY;
    }
    return write_line(c, root);
}

static enum err add_event(struct cast *c, int64_t due_ns, const char *code, const char *data)
{
    char interval[32];
    int64_t due_us = due_ns / 1000;
    due_us = due_us < c->due_us ? c->due_us : due_us;
    int64_t gap = due_us - c->due_us;
    (void)snprintf(interval, sizeof(interval), "%lld.%06lld", (long long)(gap / 1000000),
                   (long long)(gap % 1000000));
    cJSON *const items[] = {cJSON_CreateRaw(interval), cJSON_CreateString(code),
                            cJSON_CreateString(data)};
    cJSON *event = cJSON_CreateArray();
    bool made = event != NULL;
    for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++) {
        if (!made || !cJSON_AddItemToArray(event, items[i])) {
            cJSON_Delete(items[i]);
            made = false;
        }
    }
    if (!made) {
        cJSON_Delete(event);
        return ERR_NO_MEMORY;
    }
    c->due_us = due_us;
    return write_line(c, event);
}

enum err cast_add_output(struct cast *c, int64_t due_ns, struct bytes text)
{
    char *data = malloc(2 * text.size + 1);
    size_t size = 0;
    if (data == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '\n') {
            data[size++] = '\r';
        }
        data[size++] = (char)text.data[i];
    }
    data[size] = '\0';
    enum err e = add_event(c, due_ns, "o", data);
    free(data);
    return e;
}

enum err cast_add_marker(struct cast *c, int64_t due_ns, const char *label)
{
    return add_event(c, due_ns, "m", label);
}

enum err cast_add_exit(struct cast *c, int64_t due_ns, int status)
{
    char data[16];
    (void)snprintf(data, sizeof(data), "%d", status);
    return add_event(c, due_ns, "x", data);
}

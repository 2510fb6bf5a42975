#include "cli/dev/stack.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/dev/stack_http.h"
#include "cli/text_file.h"

enum { SAVED_MAX = 64 << 10, NAMES_MAX = 64 };

struct text_field {
    const char *name;
    size_t offset;
};
static const struct text_field texts[] = {
    {"listen", offsetof(struct stack, listen)},     {"resource", offsetof(struct stack, resource)},
    {"host", offsetof(struct stack, host)},         {"user", offsetof(struct stack, user)},
    {"database", offsetof(struct stack, database)}, {"tls", offsetof(struct stack, tls)},
    {"ca_file", offsetof(struct stack, ca_file)},   {"policy", offsetof(struct stack, policy)},
    {"identity", offsetof(struct stack, identity)},
};
static const struct text_field ports[] = {
    {"port", offsetof(struct stack, port)},
    {"issuer_port", offsetof(struct stack, issuer_port)},
    {"server_port", offsetof(struct stack, server_port)},
    {"health_port", offsetof(struct stack, health_port)},
};
enum { TEXTS = sizeof(texts) / sizeof(texts[0]), PORTS = sizeof(ports) / sizeof(ports[0]) };

static char **text_at(struct stack *s, const struct text_field *f)
{
    return (char **)(void *)((char *)s + f->offset);
}

static uint16_t *port_at(struct stack *s, const struct text_field *f)
{
    return (uint16_t *)(void *)((char *)s + f->offset);
}

enum err stack_set(char **field, const char *value)
{
    char *copy = value == NULL ? NULL : strdup(value);
    if (value != NULL && copy == NULL) {
        return ERR_NO_MEMORY;
    }
    free(*field);
    *field = copy;
    return OK;
}

void stack_path(const struct stack *s, const char *name, char out[PATH_MAX])
{
    (void)snprintf(out, PATH_MAX, "%s/%s", s->dir, name);
}

bool stack_has(const struct stack *s, const char *name)
{
    char path[PATH_MAX];
    stack_path(s, name, path);
    return access(path, F_OK) == 0;
}

static enum err make_directory(const char *path, struct err_text *error)
{
    if (mkdir(path, 0700) == 0) {
        return OK;
    }
    struct stat s = {0};
    if (errno != EEXIST || stat(path, &s) != 0 || !S_ISDIR(s.st_mode)) {
        return err_set(error, ERR_IO, "%s: %s", path, strerror(errno));
    }
    /* It is to hold secrets: nobody else may look into it. */
    if ((s.st_mode & 077) != 0 && chmod(path, 0700) != 0) {
        return err_set(error, ERR_DENIED, "%s: must be private (mode 0700): %s", path,
                       strerror(errno));
    }
    return OK;
}

enum err stack_make_directory(const struct stack *s, const char *name, struct err_text *error)
{
    char path[PATH_MAX];
    stack_path(s, name, path);
    return make_directory(path, error);
}

enum err stack_write(const struct stack *s, const char *name, struct bytes content,
                     struct err_text *error)
{
    char path[PATH_MAX];
    stack_path(s, name, path);
    return file_replace(path, 0600, content, error);
}

static enum err take_lock(struct stack *s, struct err_text *error)
{
    char path[PATH_MAX];
    char pid[24] = "";
    stack_path(s, "lock", path);
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_fd < 0) {
        return err_set(error, ERR_IO, "%s: %s", path, strerror(errno));
    }
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        (void)!read(s->lock_fd, pid, sizeof(pid) - 1);
        pid[strcspn(pid, "\n")] = '\0';
        return err_set(error, ERR_EXISTS,
                       "a stack is running on %s already%s%s: stop it, or use another directory",
                       s->dir, pid[0] == '\0' ? "" : ", process ", pid);
    }
    int size = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
    if (ftruncate(s->lock_fd, 0) != 0 || pwrite(s->lock_fd, pid, (size_t)size, 0) != size) {
        return err_set(error, ERR_IO, "%s: %s", path, strerror(errno));
    }
    return OK;
}

static enum err take_saved(struct stack *s, const cJSON *saved)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < TEXTS; i++) {
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(saved, texts[i].name);
        e = stack_set(text_at(s, &texts[i]), cJSON_GetStringValue(item));
    }
    for (size_t i = 0; i < PORTS; i++) {
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(saved, ports[i].name);
        if (cJSON_IsNumber(item) && item->valuedouble >= 0 && item->valuedouble <= UINT16_MAX) {
            *port_at(s, &ports[i]) = (uint16_t)item->valuedouble;
        }
    }
    return e == OK ? stack_http_read(s, saved) : e;
}

static enum err read_saved(struct stack *s, struct err_text *error)
{
    char path[PATH_MAX];
    struct buffer file;
    if (!stack_has(s, "dev.json")) {
        return OK;
    }
    stack_path(s, "dev.json", path);
    enum err e = text_file_read(path, SAVED_MAX, &file, error);
    struct bytes text = buffer_bytes(&file);
    if (e == OK) {
        cJSON *saved = cJSON_ParseWithLength((const char *)text.data, text.size);
        e = cJSON_IsObject(saved)
                ? take_saved(s, saved)
                : err_set(error, ERR_INVALID, "%s is damaged: remove it and give all options again",
                          path);
        cJSON_Delete(saved);
    }
    buffer_finish(&file);
    return e;
}

static enum err open_in(struct stack *s, const char *dir, struct err_text *error)
{
    enum err e = make_directory(dir, error);
    if (e != OK) {
        return e;
    }
    s->dir = realpath(dir, NULL);
    if (s->dir == NULL) {
        return err_set(error, ERR_IO, "%s: %s", dir, strerror(errno));
    }
    if (strlen(s->dir) > PATH_MAX - NAMES_MAX) {
        return err_set(error, ERR_LIMIT, "%s: the path is too long", dir);
    }
    e = take_lock(s, error);
    return e != OK ? e : read_saved(s, error);
}

enum err stack_open(const char *dir, struct stack *out, struct err_text *error)
{
    struct stack s = {.lock_fd = -1};
    enum err e = open_in(&s, dir, error);
    if (e != OK) {
        stack_close(&s);
        return e;
    }
    *out = s;
    return OK;
}

void stack_close(struct stack *s)
{
    for (size_t i = 0; i < TEXTS; i++) {
        free(*text_at(s, &texts[i]));
    }
    for (size_t i = 0; i < s->http_count; i++) {
        stack_http_finish(&s->http[i]);
    }
    free(s->dir);
    if (s->lock_fd >= 0) {
        (void)close(s->lock_fd);
    }
    *s = (struct stack){.lock_fd = -1};
}

enum err stack_save(const struct stack *s, struct err_text *error)
{
    struct stack *fields = (struct stack *)(uintptr_t)s; /* only read */
    cJSON *saved = cJSON_CreateObject();
    bool whole = saved != NULL;
    for (size_t i = 0; whole && i < TEXTS; i++) {
        const char *value = *text_at(fields, &texts[i]);
        whole = value == NULL || cJSON_AddStringToObject(saved, texts[i].name, value) != NULL;
    }
    for (size_t i = 0; whole && i < PORTS; i++) {
        whole = cJSON_AddNumberToObject(saved, ports[i].name, *port_at(fields, &ports[i])) != NULL;
    }
    whole = whole && stack_http_add(s, saved);
    char *text = whole ? cJSON_Print(saved) : NULL;
    cJSON_Delete(saved);
    if (text == NULL) {
        return err_set(error, ERR_NO_MEMORY, "out of memory");
    }
    enum err e = stack_write(s, "dev.json", bytes_of_string(text), error);
    cJSON_free(text);
    return e;
}

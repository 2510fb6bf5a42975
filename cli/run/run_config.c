#include "cli/run/run_config.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/conf/conf.h"
#include "cli/process/service.h"
#include "cli/run/run_http.h"

enum { SOCKET_PORT = 5432, ADDRESS_MAX = PATH_MAX + 32 };

static enum err free_address(char out[ADDRESS_MAX], struct err_text *error)
{
    uint16_t port = 0;
    if (service_free_port(0, &port) != OK) {
        return err_set(error, ERR_IO, "no free port on 127.0.0.1");
    }
    (void)snprintf(out, ADDRESS_MAX, "127.0.0.1:%u", port);
    return OK;
}

static enum err make_address(const struct run_config_options *o, char out[ADDRESS_MAX],
                             struct err_text *error)
{
    if (o->use_socket) {
        (void)snprintf(out, ADDRESS_MAX, "unix:%s/.s.PGSQL.%d", o->directory, SOCKET_PORT);
        return OK;
    }
    return free_address(out, error);
}

/* Takes `item`. */
static enum err put(cJSON *map, const char *key, cJSON *item)
{
    cJSON_DeleteItemFromObjectCaseSensitive(map, key);
    if (item == NULL || cJSON_AddItemToObject(map, key, item) == 0) {
        cJSON_Delete(item);
        return ERR_NO_MEMORY;
    }
    return OK;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text);
    size_t m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* Another sidecar's answers must not be taken for our own's: an address that the file names has to
 * be free. What is no address of a port is left to the sidecar. */
static enum err check_free(const char *address, const char *file, struct err_text *error)
{
    char host[ADDRESS_MAX];
    struct err_text why = {0};
    const char *colon = strrchr(address, ':');
    char *end = NULL;
    unsigned long port = colon == NULL ? 0 : strtoul(colon + 1, &end, 10);
    if (strncmp(address, "unix:", 5) == 0 || port == 0 || port > UINT16_MAX || *end != '\0') {
        return OK;
    }
    bool bracketed = address[0] == '[' && colon[-1] == ']';
    (void)snprintf(host, sizeof(host), "%.*s", (int)(colon - address - (bracketed ? 2 : 0)),
                   address + (bracketed ? 1 : 0));
    return service_check_listen(host, (uint16_t)port, &why) == ERR_EXISTS
               ? err_set(error, ERR_EXISTS, "%s: %s", file, why.text)
               : OK;
}

/* "listen" of a listener or of health: as it stands there, or filled in when it is
 * missing or its port is 0. */
static enum err fill_listen(cJSON *map, const struct run_config_options *o, bool first,
                            char out[ADDRESS_MAX], struct err_text *error)
{
    const cJSON *listen = cJSON_GetObjectItemCaseSensitive(map, "listen");
    const char *value = cJSON_GetStringValue(listen);
    if (listen != NULL && (value == NULL || strlen(value) >= ADDRESS_MAX)) {
        return OK; /* the sidecar says what is wrong with it */
    }
    if (value != NULL && !ends_with(value, ":0")) {
        (void)snprintf(out, ADDRESS_MAX, "%s", value);
        return check_free(value, o->file, error);
    }
    enum err e = first ? make_address(o, out, error) : free_address(out, error);
    return e != OK ? e : put(map, "listen", cJSON_CreateString(out));
}

/* Where a client finds a listener. */
static enum err take_address(const char *address, const char *file, struct run_config *out,
                             struct err_text *error)
{
    static const char name[] = "/.s.PGSQL.";
    bool is_unix = strncmp(address, "unix:", 5) == 0;
    const char *host = is_unix ? address + 5 : address;
    const char *end = is_unix ? strstr(host, name) : strrchr(host, ':');
    const char *port = end == NULL ? NULL : end + (is_unix ? sizeof(name) - 1 : 1);
    if (port == NULL || strlen(port) >= sizeof(out->port) || end == host) {
        return err_set(error, ERR_INVALID,
                       "%s: the first listener: expected HOST:PORT or unix:/DIR/.s.PGSQL.PORT, "
                       "found \"%.128s\"",
                       file, address);
    }
    bool bracketed = host[0] == '[' && end[-1] == ']';
    (void)snprintf(out->host, sizeof(out->host), "%.*s", (int)(end - host - (bracketed ? 2 : 0)),
                   host + (bracketed ? 1 : 0));
    (void)snprintf(out->port, sizeof(out->port), "%s", port);
    if (strcmp(out->host, "0.0.0.0") == 0) {
        (void)snprintf(out->host, sizeof(out->host), "127.0.0.1");
    }
    return OK;
}

static enum err add_listener(cJSON *root, const struct run_config_options *o,
                             struct err_text *error)
{
    if (o->resource == NULL) {
        return err_set(error, ERR_INVALID,
                       "%s has no listeners: --resource NAME says what the command works on",
                       o->file);
    }
    cJSON *list = cJSON_AddArrayToObject(root, "listeners");
    cJSON *listener = cJSON_CreateObject();
    if (list == NULL || listener == NULL || cJSON_AddItemToArray(list, listener) == 0) {
        cJSON_Delete(listener);
        return ERR_NO_MEMORY;
    }
    return put(listener, "resource", cJSON_CreateString(o->resource));
}

static enum err fill_listeners(cJSON *root, const struct run_config_options *o,
                               struct run_config *out, struct err_text *error)
{
    char address[ADDRESS_MAX] = "";
    enum err e = OK;
    if (cJSON_GetObjectItemCaseSensitive(root, "listeners") == NULL) {
        e = add_listener(root, o, error);
    }
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "listeners");
    const cJSON *first = NULL;
    for (cJSON *l = list == NULL ? NULL : list->child; e == OK && l != NULL; l = l->next) {
        char other[ADDRESS_MAX] = "";
        bool is_first = first == NULL && !run_http_is(l);
        first = is_first ? l : first;
        e = fill_listen(l, o, is_first, is_first ? address : other, error);
        if (e == OK && run_http_is(l)) {
            e = run_http_take(root, l, other, o->file, out, error);
        }
    }
    if (e != OK) {
        return e;
    }
    if (first == NULL && (out->http_count > 0 || out->proxy[0] != '\0')) {
        return OK; /* nothing of PostgreSQL */
    }
    if (address[0] == '\0') {
        return err_set(error, ERR_INVALID, "%s: listeners: expected a list of listeners", o->file);
    }
    out->has_tls = cJSON_GetObjectItemCaseSensitive(first, "tls") != NULL;
    return take_address(address, o->file, out, error);
}

static enum err fill_health(cJSON *root, const struct run_config_options *o, struct run_config *out,
                            struct err_text *error)
{
    char address[ADDRESS_MAX] = "";
    cJSON *health = cJSON_GetObjectItemCaseSensitive(root, "health");
    if (health == NULL) {
        health = cJSON_AddObjectToObject(root, "health");
    }
    enum err e = health == NULL ? ERR_NO_MEMORY : fill_listen(health, o, false, address, error);
    (void)snprintf(out->health, sizeof(out->health), "%.*s", (int)sizeof(out->health) - 1, address);
    return e;
}

/* Makes each missing directory of a path. */
static enum err make_directories(char *path, struct err_text *error)
{
    for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash != NULL) {
            *slash = '\0';
        }
        bool made = mkdir(path, 0700) == 0 || errno == EEXIST;
        if (!made) {
            return err_set(error, ERR_IO, "%s: %s", path, strerror(errno));
        }
        if (slash == NULL) {
            return OK;
        }
        *slash = '/';
    }
}

/* The spool must outlive the command: what was not shipped yet is shipped the next time. */
static enum err fill_state(cJSON *root, struct err_text *error)
{
    char path[PATH_MAX];
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    if (cJSON_GetObjectItemCaseSensitive(root, "state") != NULL) {
        return OK;
    }
    int size = state != NULL && state[0] == '/'
                   ? snprintf(path, sizeof(path), "%s/chaperone/sidecar", state)
               : home != NULL && home[0] == '/'
                   ? snprintf(path, sizeof(path), "%s/.local/state/chaperone/sidecar", home)
                   : -1;
    if (size < 0 || (size_t)size >= sizeof(path)) {
        return err_set(error, ERR_INVALID,
                       "where may the sidecar keep its state? Neither the file (state: DIR) nor "
                       "HOME says it");
    }
    enum err e = make_directories(path, error);
    return e != OK ? e : put(root, "state", cJSON_CreateString(path));
}

static enum err fill(cJSON *root, const struct run_config_options *o, struct run_config *out,
                     struct err_text *error)
{
    /* The state first: a proxy's CA is there. */
    enum err e = fill_state(root, error);
    e = e != OK ? e : fill_listeners(root, o, out, error);
    e = e != OK ? e : fill_health(root, o, out, error);
    if (e == OK) {
        out->text = cJSON_PrintUnformatted(root);
        e = out->text == NULL ? ERR_NO_MEMORY : OK;
    }
    return e;
}

enum err run_config_make(const struct run_config_options *options, struct run_config *out,
                         struct err_text *error)
{
    struct conf *conf = NULL;
    struct run_config made = {0};
    enum err e = conf_load_file(options->file, &conf, error);
    if (e != OK) {
        return e;
    }
    /* The canonical form: the same document, as JSON, which is YAML too. */
    char *text = conf_to_json(conf_root(conf));
    cJSON *root = text == NULL ? NULL : cJSON_Parse(text);
    if (conf_kind(conf_root(conf)) != CONF_MAP) {
        e = err_set(error, ERR_INVALID, "%s: expected a map of keys", options->file);
    } else if (root == NULL) {
        e = err_set(error, ERR_NO_MEMORY, "out of memory");
    } else {
        e = fill(root, options, &made, error);
    }
    if (e == OK) {
        *out = made;
    }
    cJSON_Delete(root);
    free(text);
    conf_destroy(conf);
    return e;
}

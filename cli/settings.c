#include "cli/settings.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/conf/conf.h"
#include "cli/login/current.h"
#include "cli/servers.h"
#include "cli/settings_internal.h"
#include "cli/text_file.h"

/* Larger than any token that a header can carry. */
enum { TOKEN_MAX = 64 << 10, STACK_FILE_MAX = 64 << 10 };

static struct bytes trim(struct bytes b)
{
    while (b.size > 0 && isspace(b.data[0])) {
        b.data++;
        b.size--;
    }
    while (b.size > 0 && isspace(b.data[b.size - 1])) {
        b.size--;
    }
    return b;
}

/* A token goes into a header: visible ASCII only (RFC 6750 section 2.1). */
static bool is_token(struct bytes b)
{
    for (size_t i = 0; i < b.size; i++) {
        if (b.data[i] <= ' ' || b.data[i] > '~') {
            return false;
        }
    }
    return b.size > 0;
}

enum err settings_copy(struct bytes value, char **out)
{
    free(*out);
    *out = bytes_to_string(value);
    return *out == NULL ? ERR_NO_MEMORY : OK;
}

enum err settings_read_token(const char *path, char **out, struct err_text *error)
{
    struct buffer file;
    enum err e = text_file_read(path, TOKEN_MAX, &file, error);
    if (e != OK) {
        buffer_wipe(&file);
        return e;
    }
    struct bytes token = trim(buffer_bytes(&file));
    char *text = NULL;
    if (!is_token(token)) {
        e = err_set(error, ERR_INVALID, "%s: expected one line with a token", path);
    } else {
        e = settings_copy(token, &text);
    }
    buffer_wipe(&file);
    if (e == OK) {
        *out = text;
    }
    return e;
}

enum err settings_copy_path(const char *directory, const char *path, char **out)
{
    char joined[PATH_MAX];
    int size = path[0] == '/' ? snprintf(joined, sizeof(joined), "%s", path)
                              : snprintf(joined, sizeof(joined), "%s/%s", directory, path);
    return size < 0 || (size_t)size >= sizeof(joined) ? ERR_LIMIT
                                                      : settings_copy(bytes_of_string(joined), out);
}

static enum err read_stack(const char *dir, const cJSON *stack, bool needs_token,
                           struct settings *out, struct err_text *error)
{
    const char *server = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(stack, "server"));
    const char *ca = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(stack, "ca_file"));
    const char *token = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(stack, "token_file"));
    char *token_file = NULL;
    if (server == NULL || ca == NULL || token == NULL) {
        return err_set(error, ERR_INVALID,
                       "%s/cli.json: expected server, ca_file and token_file as `chaperone dev` "
                       "writes them",
                       dir);
    }
    enum err e = settings_copy(bytes_of_string(server), &out->server);
    if (e == OK) {
        e = settings_copy_path(dir, ca, &out->ca_file);
    }
    if (e == OK && needs_token) {
        e = settings_copy_path(dir, token, &token_file);
    }
    if (e == OK && needs_token) {
        e = settings_read_token(token_file, &out->token, error);
    }
    free(token_file);
    return e;
}

static enum err find_stack(const struct options *options, const char *dir, struct settings *out,
                           struct err_text *error)
{
    char path[PATH_MAX];
    struct buffer file;
    char hint[PATH_MAX + 64];
    (void)snprintf(path, sizeof(path), "%s/cli.json", dir);
    (void)snprintf(hint, sizeof(hint), "start the stack with: chaperone dev --dir %s", dir);
    enum err e = text_file_read(path, STACK_FILE_MAX, &file, error);
    if (e != OK) {
        buffer_finish(&file);
        return e != ERR_NOT_FOUND
                   ? e
                   : err_set(error, ERR_INVALID, "%s holds no development stack; %s", dir, hint);
    }
    struct bytes text = buffer_bytes(&file);
    cJSON *stack = cJSON_ParseWithLength((const char *)text.data, text.size);
    e = read_stack(dir, stack, options_value(options, "token-file") == NULL, out, error);
    if (e == OK) {
        e = settings_copy(bytes_of_string(hint), &out->hint);
    }
    cJSON_Delete(stack);
    buffer_finish(&file);
    return e;
}

const char *settings_environment(const char *name)
{
    const char *value = getenv(name);
    return value == NULL || value[0] == '\0' ? NULL : value;
}

static bool find_user_file(char directory[PATH_MAX], char path[PATH_MAX])
{
    const char *config = settings_environment("XDG_CONFIG_HOME");
    const char *home = settings_environment("HOME");
    int size = 0;
    if (config != NULL && config[0] == '/') {
        size = snprintf(directory, PATH_MAX, "%s/chaperone", config);
    } else if (home != NULL) {
        size = snprintf(directory, PATH_MAX, "%s/.config/chaperone", home);
    } else {
        return false;
    }
    int whole = snprintf(path, PATH_MAX, "%s/config.yaml", directory);
    return size < PATH_MAX && whole < PATH_MAX;
}

const char *const settings_user_keys[] = {"server",    "ca",    "token_file", "issuer", "client_id",
                                          "issuer_ca", "scope", "audience",   NULL};

/* What the user's file says. Fills only what `out` has not. */
static enum err read_user_file(const char *directory, const struct conf_node *root,
                               struct settings *out, struct err_text *error)
{
    const char *server = NULL;
    const char *ca = NULL;
    const char *token = NULL;
    char *token_file = NULL;
    enum err e = conf_check_keys(root, settings_user_keys, error);
    e = e != OK ? e : conf_read_string(root, "server", &server, error);
    e = e != OK ? e : conf_read_string(root, "ca", &ca, error);
    e = e != OK ? e : conf_read_string(root, "token_file", &token, error);
    if (e == OK && out->server == NULL && server != NULL) {
        e = settings_copy(bytes_of_string(server), &out->server);
    }
    if (e == OK && out->ca_file == NULL && ca != NULL) {
        e = settings_copy_path(directory, ca, &out->ca_file);
    }
    if (e == OK && out->token == NULL && token != NULL) {
        e = settings_copy_path(directory, token, &token_file);
        e = e != OK ? e : settings_read_token(token_file, &out->token, error);
        out->origin = "token_file of config.yaml";
    }
    free(token_file);
    return e;
}

enum err settings_load_user_file(char directory[PATH_MAX], struct conf **out,
                                 struct err_text *error)
{
    char path[PATH_MAX];
    *out = NULL;
    enum err e = find_user_file(directory, path) ? conf_load_file(path, out, error) : OK;
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err find_in_user_file(struct settings *out, struct err_text *error)
{
    char directory[PATH_MAX];
    struct conf *conf = NULL;
    enum err e = settings_load_user_file(directory, &conf, error);
    if (e == OK && conf != NULL) {
        e = read_user_file(directory, conf_root(conf), out, error);
    }
    conf_destroy(conf);
    return e;
}

static enum err find_token(const struct options *options, struct settings *out,
                           struct err_text *error)
{
    const char *file = options_value(options, "token-file");
    const char *token = settings_environment("CHAPERONE_TOKEN");
    if (file == NULL && token == NULL) {
        file = settings_environment("CHAPERONE_TOKEN_FILE");
    }
    if (file != NULL) {
        out->origin =
            options_value(options, "token-file") != NULL ? "--token-file" : "CHAPERONE_TOKEN_FILE";
        return settings_read_token(file, &out->token, error);
    }
    if (token == NULL) {
        return OK;
    }
    out->origin = "CHAPERONE_TOKEN";
    struct bytes trimmed = trim(bytes_of_string(token));
    if (!is_token(trimmed)) {
        return err_set(error, ERR_INVALID, "CHAPERONE_TOKEN: expected a token");
    }
    return settings_copy(trimmed, &out->token);
}

static enum err find_server(const struct options *options, struct settings *out)
{
    const char *server = options_value(options, "server");
    const char *ca = options_value(options, "ca");
    server = server != NULL ? server : settings_environment("CHAPERONE_SERVER");
    ca = ca != NULL ? ca : settings_environment("CHAPERONE_CA");
    enum err e = server == NULL ? OK : settings_copy(bytes_of_string(server), &out->server);
    if (e == OK && ca != NULL) {
        e = settings_copy(bytes_of_string(ca), &out->ca_file);
    }
    return e;
}

enum err settings_check_server(const char *server, struct err_text *error)
{
    if (server == NULL) {
        return err_set(error, ERR_INVALID,
                       "which control plane? Give --dir DIR of a development stack or --server "
                       "HOST:PORT, set CHAPERONE_SERVER, or write `server: HOST:PORT` into "
                       "~/.config/chaperone/config.yaml");
    }
    if (!servers_are_valid(server)) {
        return err_set(error, ERR_INVALID,
                       "the control plane's address: expected HOST:PORT, found \"%.128s\"", server);
    }
    return OK;
}

/* The login that is stored for this server, and for no other one. */
static enum err find_login(const struct clock *clock, struct settings *out, struct err_text *error)
{
    enum err e = login_current_token(out->server, clock, &out->token, error);
    if (e == ERR_NOT_FOUND) {
        return err_set(error, ERR_INVALID,
                       "who are you? Log in with `chaperone login`, give --token-file FILE, set "
                       "CHAPERONE_TOKEN or CHAPERONE_TOKEN_FILE, or write `token_file: FILE` into "
                       "~/.config/chaperone/config.yaml");
    }
    out->origin = "login";
    /* What is wrong with it is not the command line's fault. */
    return e == ERR_INVALID ? ERR_IO : e;
}

static enum err find(const struct options *options, const struct clock *clock, struct settings *out,
                     struct err_text *error)
{
    const char *dir = options_value(options, "dir");
    if (dir != NULL && (options_flag(options, "server") || options_flag(options, "ca"))) {
        return err_set(error, ERR_INVALID,
                       "--dir names a development stack with its own server and CA: it cannot be "
                       "combined with --server or --ca");
    }
    enum err e = OK;
    if (dir != NULL) {
        e = find_stack(options, dir, out, error);
        out->origin = "--dir";
        if (e == OK && out->token == NULL) {
            out->origin = "--token-file";
            e = settings_read_token(options_value(options, "token-file"), &out->token, error);
        }
    } else {
        e = find_server(options, out);
        e = e != OK ? e : find_token(options, out, error);
        e = e != OK ? e : find_in_user_file(out, error);
    }
    e = e != OK ? e : settings_check_server(out->server, error);
    return e != OK || out->token != NULL ? e : find_login(clock, out, error);
}

enum err settings_find(const struct options *options, const struct clock *clock,
                       struct settings *out, struct err_text *error)
{
    struct settings found = {0};
    enum err e = find(options, clock, &found, error);
    if (e != OK) {
        settings_finish(&found);
        return e;
    }
    *out = found;
    return OK;
}

void settings_finish(struct settings *s)
{
    if (s->token != NULL) {
        bytes_wipe(s->token, strlen(s->token));
    }
    free(s->server);
    free(s->ca_file);
    free(s->token);
    free(s->hint);
    *s = (struct settings){0};
}

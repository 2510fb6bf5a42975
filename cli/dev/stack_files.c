#include "cli/dev/stack_files.h"

#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/dev/stack_http.h"

enum { FILE_SIZE_MAX = 1 << 20 };

static const char heading[] = "# Written by `chaperone dev` at every start: changes are lost.\n";

/* A document while it is written; failure stays. */
struct yaml {
    struct buffer text;
    bool failed;
};

static void put(struct yaml *y, const char *text)
{
    y->failed = y->failed || buffer_append_string(&y->text, text) != OK;
}

/* "KEY" and a quoted value: JSON's strings are YAML's double-quoted ones. */
static void put_value(struct yaml *y, const char *key, const char *value)
{
    cJSON *string = cJSON_CreateString(value);
    char *quoted = string == NULL ? NULL : cJSON_PrintUnformatted(string);
    y->failed =
        y->failed || quoted == NULL || buffer_append_format(&y->text, "%s%s", key, quoted) != OK;
    cJSON_free(quoted);
    cJSON_Delete(string);
}

static void put_path(struct yaml *y, const char *key, const struct stack *s, const char *name)
{
    char path[PATH_MAX];
    stack_path(s, name, path);
    put_value(y, key, path);
}

static void put_address(struct yaml *y, const char *key, const char *host, uint16_t port)
{
    char address[PATH_MAX + 16];
    bool is_v6 = host[0] != '/' && strchr(host, ':') != NULL;
    (void)snprintf(address, sizeof(address), "%s%s%s:%u", is_v6 ? "[" : "", host, is_v6 ? "]" : "",
                   port);
    put_value(y, key, address);
}

static enum err finish(struct yaml *y, const struct stack *s, const char *name,
                       struct err_text *error)
{
    enum err e = y->failed ? err_set(error, ERR_NO_MEMORY, "out of memory")
                           : stack_write(s, name, buffer_bytes(&y->text), error);
    buffer_finish(&y->text);
    return e;
}

static void put_provider(struct yaml *y, const char *issuer_url)
{
    put(y, "identity_providers:\n  - name: dev\n");
    put_value(y, "    issuer: ", issuer_url);
    put(y, "\n    audience: chaperone\n");
    put(y, "roles:\n"
           "  admin: [" STACK_OPERATORS "]\n"
           "  approver: [" STACK_OPERATORS "]\n"
           "  auditor: [" STACK_OPERATORS "]\n");
}

static void put_database(struct yaml *y, const struct stack *s)
{
    put_value(y, "  - name: ", s->resource);
    put(y, "\n    protocol: postgres\n");
    put_address(y, "    address: ", s->host, s->port);
    put(y, "\n    databases: [\"*\"]\n");
    put_value(y, "    database: ", s->database);
    put_value(y, "\n    tls: {mode: ", s->tls);
    if (s->ca_file != NULL) {
        put_value(y, ", ca_file: ", s->ca_file);
    }
    put_value(y, "}\n    credential: ", s->resource);
    put(y, "\n");
}

static void put_http(struct yaml *y, const struct stack *s, const struct stack_http *h)
{
    char secret[STACK_HTTP_FILE_SIZE];
    stack_http_file(h, secret);
    put_value(y, "  - name: ", h->name);
    put_value(y, "\n    protocol: http\n    address: ", h->address);
    put(y, "\n    credential: ");
    if (!h->has_secret) {
        put(y, "{none: true}\n");
    } else if (h->user == NULL) {
        put_path(y, "{bearer: {file: ", s, secret);
        put(y, "}}\n");
    } else {
        put_value(y, "{basic: {user: ", h->user);
        put_path(y, ", password_file: ", s, secret);
        put(y, "}}\n");
    }
}

static void put_credential(struct yaml *y, const struct stack *s)
{
    put_value(y, "credentials:\n  - name: ", s->resource);
    put_value(y, "\n    user: ", s->user);
    if (stack_has(s, "upstream.password")) {
        put_path(y, "\n    password: {file: ", s, "upstream.password");
        put(y, "}");
    }
    put(y, "\n");
}

static void put_resources(struct yaml *y, const struct stack *s)
{
    if (s->host != NULL) {
        put_credential(y, s);
    }
    put(y, "resources:\n");
    if (s->host != NULL) {
        put_database(y, s);
    }
    for (size_t i = 0; i < s->http_count; i++) {
        put_http(y, s, &s->http[i]);
    }
}

static void put_grant(struct yaml *y, const struct identity_option *identity)
{
    put(y, "grants:\n  - name: dev\n    resources: [\"*\"]\n");
    put_value(y, "    subjects: [", identity->subject);
    put(y, "]\n    groups: [");
    for (size_t i = 0; i < identity->group_count; i++) {
        put_value(y, i > 0 ? ", " : "", identity->groups[i]);
    }
    put(y, "]\n");
}

enum err stack_write_controlplane(const struct stack *s, const struct identity_option *identity,
                                  const char *issuer_url, struct err_text *error)
{
    struct yaml y = {0};
    buffer_init(&y.text, FILE_SIZE_MAX);
    put(&y, heading);
    put_address(&y, "listen: ", "127.0.0.1", s->server_port);
    put_path(&y, "\ndata: ", s, "controlplane");
    put(&y, "\nlog: {level: info, format: json}\n");
    put_provider(&y, issuer_url);
    put_resources(&y, s);
    put_grant(&y, identity);
    if (s->policy != NULL) {
        put_value(&y, "policy: {file: ", s->policy);
        put(&y, "}\n");
    }
    return finish(&y, s, "controlplane.yaml", error);
}

static void put_listeners(struct yaml *y, const struct stack *s)
{
    put(y, "listeners:\n");
    if (s->host != NULL) {
        put_value(y, "  - resource: ", s->resource);
        put(y, "\n    protocol: postgres\n");
        put_value(y, "    listen: ", s->listen);
        put(y, "\n");
    }
    for (size_t i = 0; i < s->http_count; i++) {
        put_value(y, "  - resource: ", s->http[i].name);
        put(y, "\n    protocol: http\n");
        put_address(y, "    listen: ", "127.0.0.1", s->http[i].port);
        put(y, "\n");
    }
}

enum err stack_write_sidecar(const struct stack *s, struct err_text *error)
{
    struct yaml y = {0};
    buffer_init(&y.text, FILE_SIZE_MAX);
    put(&y, heading);
    put_path(&y, "state: ", s, "sidecar");
    put_address(&y, "\ncontrol_plane:\n  server: ", "127.0.0.1", s->server_port);
    put_path(&y, "\n  ca_file: ", s, STACK_CA);
    put_path(&y, "\n  join_token_file: ", s, "join.token");
    put_path(&y, "\nidentity: {token_file: ", s, "agent.token");
    put(&y, "}\nlog: {level: info, format: json}\n");
    put_address(&y, "health: {listen: ", "127.0.0.1", s->health_port);
    put(&y, "}\n");
    put_listeners(&y, s);
    put(&y, "record: {response_bytes: 64KiB}\n");
    return finish(&y, s, "sidecar.yaml", error);
}

enum err stack_write_cli(const struct stack *s, struct err_text *error)
{
    struct yaml y = {0};
    buffer_init(&y.text, FILE_SIZE_MAX);
    /* Names, not paths: the directory may be moved. */
    put_address(&y, "{\"server\": ", "127.0.0.1", s->server_port);
    put(&y, ", \"ca_file\": \"" STACK_CA "\", \"token_file\": \"operator.token\"}\n");
    return finish(&y, s, "cli.json", error);
}

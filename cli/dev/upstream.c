#include "cli/dev/upstream.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <limits.h>
#include <postgresql/libpq-fe.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { NAME_MAX_SIZE = 64, POSTGRES_PORT = 5432 };

static const char *find(const PQconninfoOption *options, const char *keyword)
{
    for (const PQconninfoOption *o = options; o->keyword != NULL; o++) {
        if (strcmp(o->keyword, keyword) == 0) {
            return o->val == NULL || o->val[0] == '\0' ? NULL : o->val;
        }
    }
    return NULL;
}

static enum err copy(const char *value, char **out)
{
    *out = strdup(value);
    return *out == NULL ? ERR_NO_MEMORY : OK;
}

static const char *own_name(void)
{
    const struct passwd *self = getpwuid(geteuid());
    return self == NULL ? "postgres" : self->pw_name;
}

static enum err read_port(const PQconninfoOption *options, uint16_t *out, struct err_text *error)
{
    const char *text = find(options, "port");
    char *end = NULL;
    unsigned long port = text == NULL ? POSTGRES_PORT : strtoul(text, &end, 10);
    if (text != NULL &&
        (*end != '\0' || !isdigit((unsigned char)text[0]) || port < 1 || port > UINT16_MAX)) {
        return err_set(error, ERR_INVALID,
                       "--upstream: expected one port from 1 to 65535, found \"%.32s\"", text);
    }
    *out = (uint16_t)port;
    return OK;
}

static enum err read_host(const PQconninfoOption *options, struct upstream *out,
                          struct err_text *error)
{
    const char *host = find(options, "host");
    const char *address = find(options, "hostaddr");
    host = host != NULL ? host : address;
    if (host == NULL) {
        (void)err_set(error, ERR_INVALID,
                      "--upstream: which host? Expected postgres://USER:PASS@HOST:PORT/DB, or "
                      "?host=/run/postgresql for a unix socket");
        return ERR_INVALID;
    }
    if (strchr(host, ',') != NULL) {
        return err_set(error, ERR_INVALID, "--upstream: expected one host, found \"%.128s\"", host);
    }
    /* An abstract socket has no directory that others could find. */
    if (host[0] == '@') {
        return err_set(error, ERR_INVALID, "--upstream: abstract sockets are not supported");
    }
    return copy(host, &out->host);
}

static bool is_loopback(const char *host)
{
    /* An address, not a name that looks like one: 127.example.com is anywhere. */
    struct in_addr v4;
    return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
           (inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127);
}

static enum err read_tls(const PQconninfoOption *options, struct upstream *out,
                         struct err_text *error)
{
    const char *mode = find(options, "sslmode");
    const char *ca = find(options, "sslrootcert");
    bool is_socket = strchr(out->host, '/') == out->host;
    out->tls_by_default = mode == NULL;
    if (is_socket) {
        mode = "disable"; /* PostgreSQL has no TLS there */
    } else if (mode == NULL) {
        mode = is_loopback(out->host) ? "prefer" : "verify-full";
    } else if (strcmp(mode, "allow") == 0) {
        mode = "prefer";
    }
    static const char *const modes[] = {"verify-full", "verify-ca", "require", "prefer", "disable"};
    bool known = false;
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        known = known || strcmp(mode, modes[i]) == 0;
    }
    if (!known) {
        return err_set(error, ERR_INVALID,
                       "--upstream: sslmode: expected verify-full, verify-ca, require, prefer or "
                       "disable, found \"%.32s\"",
                       mode);
    }
    enum err e = copy(mode, &out->tls);
    if (e == OK && ca != NULL && strcmp(ca, "system") != 0 && !is_socket) {
        out->ca_file = realpath(ca, NULL);
        if (out->ca_file == NULL) {
            e = err_set(error, ERR_INVALID, "--upstream: sslrootcert: %.256s cannot be read", ca);
        }
    }
    return e;
}

static void note_ignored(const PQconninfoOption *options, struct err_text *note)
{
    static const char *const used[] = {"host",     "hostaddr", "port",    "user",
                                       "password", "dbname",   "sslmode", "sslrootcert"};
    size_t size = 0;
    for (const PQconninfoOption *o = options; o->keyword != NULL; o++) {
        bool known = o->val == NULL || o->val[0] == '\0';
        for (size_t i = 0; !known && i < sizeof(used) / sizeof(used[0]); i++) {
            known = strcmp(o->keyword, used[i]) == 0;
        }
        if (!known && size < sizeof(note->text)) {
            size += (size_t)snprintf(note->text + size, sizeof(note->text) - size, "%s%s",
                                     size == 0 ? "ignored in --upstream: " : ", ", o->keyword);
        }
    }
}

static enum err read_options(const PQconninfoOption *options, struct upstream *out,
                             struct err_text *error)
{
    const char *password = find(options, "password");
    const char *user = find(options, "user");
    const char *database = find(options, "dbname");
    password = password != NULL ? password : getenv("PGPASSWORD");
    user = user != NULL ? user : own_name();
    enum err e = read_host(options, out, error);
    e = e != OK ? e : read_port(options, &out->port, error);
    e = e != OK ? e : copy(user, &out->user);
    e = e != OK ? e : copy(database != NULL ? database : user, &out->database);
    if (e == OK && password != NULL && password[0] != '\0') {
        e = copy(password, &out->password);
    }
    return e != OK ? e : read_tls(options, out, error);
}

/* libpq's error may repeat the whole URL: only what it says about it is told. */
static enum err fail_parse(const char *message, const char *url, struct err_text *error)
{
    bool is_url = strncmp(url, "postgres://", 11) == 0 || strncmp(url, "postgresql://", 13) == 0;
    bool has_text = message != NULL && strchr(message, '"') == NULL;
    return err_set(
        error, ERR_INVALID, "--upstream: expected postgres://USER:PASS@HOST:PORT/DB%s%.*s%s",
        has_text ? " (" : "", has_text ? (int)strcspn(message, "\n") : 0, has_text ? message : "",
        has_text ? ")"
        : is_url ? "; is everything in it percent-encoded?"
                 : "");
}

/* PQconninfoFree does not wipe. */
static void free_options(PQconninfoOption *options)
{
    for (PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++) {
        if (o->val != NULL && strcmp(o->keyword, "password") == 0) {
            bytes_wipe(o->val, strlen(o->val));
        }
    }
    PQconninfoFree(options);
}

enum err upstream_parse(const char *url, struct upstream *out, struct err_text *note,
                        struct err_text *error)
{
    char *message = NULL;
    struct upstream parsed = {0};
    PQconninfoOption *options = PQconninfoParse(url, &message);
    if (options == NULL) {
        enum err e = fail_parse(message, url, error);
        PQfreemem(message);
        return e;
    }
    enum err e = read_options(options, &parsed, error);
    if (e == OK) {
        note_ignored(options, note);
        *out = parsed;
    } else {
        upstream_finish(&parsed);
    }
    free_options(options);
    return e;
}

void upstream_finish(struct upstream *u)
{
    if (u->password != NULL) {
        bytes_wipe(u->password, strlen(u->password));
    }
    free(u->host);
    free(u->user);
    free(u->password);
    free(u->database);
    free(u->tls);
    free(u->ca_file);
    *u = (struct upstream){0};
}

char *upstream_resource_name(const struct upstream *u)
{
    char name[NAME_MAX_SIZE];
    size_t size = 0;
    for (const char *c = u->database; *c != '\0' && size < sizeof(name) - 1; c++) {
        bool plain = isascii((unsigned char)*c) && isalnum((unsigned char)*c);
        name[size] = '-';
        if (plain || *c == '_') {
            name[size] = *c;
        }
        size++;
    }
    name[size] = '\0';
    return strdup(size == 0 || !isalnum((unsigned char)name[0]) ? "database" : name);
}

void upstream_hide_password(char *url)
{
    char *start = strstr(url, "://");
    if (start == NULL) {
        bytes_wipe(url, strlen(url)); /* key=value: the password may stand anywhere */
        return;
    }
    start += 3;
    char *at = strpbrk(start, "/?#");
    char *end = at == NULL ? start + strlen(start) : at;
    char *host = memrchr(start, '@', (size_t)(end - start));
    char *colon = host == NULL ? NULL : memchr(start, ':', (size_t)(host - start));
    if (colon != NULL) {
        memset(colon + 1, 'x', (size_t)(host - colon - 1));
    }
    char *query = strstr(url, "password=");
    for (char *c = query == NULL ? NULL : query + 9; c != NULL && *c != '\0' && *c != '&'; c++) {
        *c = 'x';
    }
}

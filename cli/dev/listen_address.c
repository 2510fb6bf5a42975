#include "cli/dev/listen_address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>

static const char socket_name[] = "/.s.PGSQL.";

static bool parse_port(const char *text, unsigned long min, uint16_t *out)
{
    char *end = NULL;
    unsigned long port = strtoul(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end != '\0' || port < min || port > UINT16_MAX) {
        return false;
    }
    *out = (uint16_t)port;
    return true;
}

static bool is_address(const char *host)
{
    unsigned char parsed[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, parsed) == 1 || inet_pton(AF_INET6, host, parsed) == 1;
}

static bool parse_unix(const char *path, struct listen_address *out)
{
    const char *name = strstr(path, socket_name);
    out->is_unix = true;
    return path[0] == '/' && name != NULL && name > path && strlen(path) < sizeof(out->host) &&
           snprintf(out->host, sizeof(out->host), "%.*s", (int)(name - path), path) > 0 &&
           parse_port(name + sizeof(socket_name) - 1, 1, &out->port);
}

static bool parse_tcp(const char *text, struct listen_address *out)
{
    const char *colon = strrchr(text, ':');
    size_t size = colon == NULL ? 0 : (size_t)(colon - text);
    if (size == 0 || size >= sizeof(out->host) || !parse_port(colon + 1, 0, &out->port)) {
        return false;
    }
    bool bracketed = text[0] == '[' && colon[-1] == ']' && size > 2;
    (void)snprintf(out->host, sizeof(out->host), "%.*s", (int)(bracketed ? size - 2 : size),
                   bracketed ? text + 1 : text);
    if (strcmp(out->host, "localhost") == 0) {
        (void)snprintf(out->host, sizeof(out->host), "127.0.0.1");
    }
    /* An IPv6 address without brackets could have lost its last group to the port. */
    return is_address(out->host) && (bracketed || strchr(out->host, ':') == NULL);
}

enum err listen_address_parse(const char *text, struct listen_address *out, struct err_text *error)
{
    struct listen_address parsed = {0};
    bool is_unix = strncmp(text, "unix:", 5) == 0;
    if (is_unix ? !parse_unix(text + 5, &parsed) : !parse_tcp(text, &parsed)) {
        return err_set(error, ERR_INVALID,
                       "--listen: expected ADDRESS:PORT such as 127.0.0.1:6432, or "
                       "unix:/DIR/.s.PGSQL.PORT; found \"%.128s\"",
                       text);
    }
    *out = parsed;
    return OK;
}

bool listen_address_is_local(const struct listen_address *a)
{
    return a->is_unix || strncmp(a->host, "127.", 4) == 0 || strcmp(a->host, "::1") == 0;
}

void listen_address_format(const struct listen_address *a, char *out, size_t size)
{
    bool is_v6 = !a->is_unix && strchr(a->host, ':') != NULL;
    if (a->is_unix) {
        (void)snprintf(out, size, "unix:%s%s%u", a->host, socket_name, a->port);
    } else {
        (void)snprintf(out, size, "%s%s%s:%u", is_v6 ? "[" : "", a->host, is_v6 ? "]" : "",
                       a->port);
    }
}

const char *listen_address_client_host(const struct listen_address *a)
{
    return strcmp(a->host, "0.0.0.0") == 0 ? "127.0.0.1"
           : strcmp(a->host, "::") == 0    ? "::1"
                                           : a->host;
}

static void print_word(FILE *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-./:@%+,";
    (void)fputc(' ', out);
    if (word[0] != '\0' && word[strspn(word, plain)] == '\0') {
        (void)fputs(word, out);
        return;
    }
    (void)fputc('\'', out);
    for (; *word != '\0'; word++) {
        (void)fputs(*word == '\'' ? "'\\''" : (char[]){*word, '\0'}, out);
    }
    (void)fputc('\'', out);
}

void listen_address_print_psql(FILE *out, const struct listen_address *a, const char *user,
                               const char *database)
{
    (void)fputs("psql -h", out);
    print_word(out, listen_address_client_host(a));
    (void)fprintf(out, " -p %u -U", a->port);
    print_word(out, user);
    /* A name that psql would take for an option or a connection string. */
    bool odd =
        database[0] == '-' || strchr(database, '=') != NULL || strstr(database, "://") != NULL;
    (void)fputs(odd ? " -d" : "", out);
    print_word(out, database);
}

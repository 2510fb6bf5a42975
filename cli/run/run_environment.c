#include "cli/run/run_environment.h"

#include <stdio.h>
#include <stdlib.h>

static void add_note(struct err_text *note, const char *text)
{
    size_t size = strlen(note->text);
    (void)snprintf(note->text + size, sizeof(note->text) - size, "%s%s", size > 0 ? "; " : "",
                   text);
}

static bool is_set(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0';
}

static bool set(const char *name, const char *value)
{
    return setenv(name, value, 1) == 0;
}

static bool remove_variable(const char *name, const char *said, struct err_text *note)
{
    if (is_set(name)) {
        add_note(note, said);
    }
    return unsetenv(name) == 0;
}

/* The listener speaks plain text on this machine's own loopback. */
static bool set_tls_mode(struct err_text *note)
{
    const char *mode = getenv("PGSSLMODE");
    if (mode == NULL || mode[0] == '\0') {
        return set("PGSSLMODE", "disable");
    }
    bool insists = strcmp(mode, "require") == 0 || strncmp(mode, "verify-", 7) == 0;
    if (!insists) {
        return true;
    }
    add_note(note, "PGSSLMODE is disable for the command: the sidecar is local, and speaks TLS to "
                   "the database itself");
    return set("PGSSLMODE", "disable");
}

static bool set_postgres(const struct run_config *config, struct err_text *note)
{
    return set("PGHOST", config->host) && set("PGPORT", config->port) &&
           remove_variable("PGHOSTADDR", "PGHOSTADDR is not passed on", note) &&
           remove_variable("PGSERVICE", "PGSERVICE is not passed on", note) &&
           (config->has_tls || set_tls_mode(note));
}

static bool override(const char *name, const char *value, struct err_text *note)
{
    char text[64];
    if (is_set(name) && strcmp(getenv(name), value) != 0) {
        (void)snprintf(text, sizeof(text), "%s is the sidecar's for the command", name);
        add_note(note, text);
    }
    return set(name, value);
}

/* Each program reads one of them, in capitals or not. */
static bool set_proxy(const struct run_config *config, struct err_text *note)
{
    static const char *const proxies[] = {"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"};
    static const char *const roots[] = {"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
                                        "NODE_EXTRA_CA_CERTS"};
    /* The listeners for services are here; all else goes by the proxy. */
    static const char here[] = "localhost,127.0.0.1,::1";
    bool done = true;
    for (size_t i = 0; done && i < sizeof(proxies) / sizeof(proxies[0]); i++) {
        done = override(proxies[i], config->proxy, note);
    }
    for (size_t i = 0; done && i < sizeof(roots) / sizeof(roots[0]); i++) {
        done = override(roots[i], config->proxy_ca, note);
    }
    return done && override("NO_PROXY", here, note) && override("no_proxy", here, note) &&
           remove_variable("ALL_PROXY", "ALL_PROXY is not passed on", note) &&
           remove_variable("all_proxy", "all_proxy is not passed on", note);
}

enum err run_environment_set(const struct run_config *config, struct err_text *note)
{
    *note = (struct err_text){0};
    bool done = config->host[0] == '\0' || set_postgres(config, note);
    for (size_t i = 0; done && i < config->http_count; i++) {
        done = set(config->http[i].variable, config->http[i].url);
    }
    done = done && (config->proxy[0] == '\0' || set_proxy(config, note));
    return done ? OK : ERR_NO_MEMORY;
}

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

enum err run_environment_set(const struct run_config *config, struct err_text *note)
{
    *note = (struct err_text){0};
    bool done = set("PGHOST", config->host) && set("PGPORT", config->port) &&
                remove_variable("PGHOSTADDR", "PGHOSTADDR is not passed on", note) &&
                remove_variable("PGSERVICE", "PGSERVICE is not passed on", note) &&
                (config->has_tls || set_tls_mode(note));
    return done ? OK : ERR_NO_MEMORY;
}

/* What `chaperone login` is told, and by whom. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/settings.h"
#include "cli/settings_internal.h"

/* An option, else (where `root` is not NULL) a key of the user's file. */
static enum err find_text(const struct options *options, const char *option,
                          const struct conf_node *root, const char *key, char **out,
                          struct err_text *error)
{
    const char *value = options_value(options, option);
    enum err e = value != NULL || root == NULL ? OK : conf_read_string(root, key, &value, error);
    return e != OK || value == NULL ? e : settings_copy(bytes_of_string(value), out);
}

static enum err find_issuer_ca(const struct options *options, const char *directory,
                               const struct conf_node *root, struct settings_login *out,
                               struct err_text *error)
{
    char here[PATH_MAX];
    const char *given = options_value(options, "ca-file");
    const char *value = NULL;
    if (given != NULL) {
        /* It is written down, and used from anywhere. */
        return getcwd(here, sizeof(here)) == NULL
                   ? err_set(error, ERR_IO, "the current directory: %s", strerror(errno))
                   : settings_copy_path(here, given, &out->ca_file);
    }
    enum err e = root == NULL ? OK : conf_read_string(root, "issuer_ca", &value, error);
    return e != OK || value == NULL ? e : settings_copy_path(directory, value, &out->ca_file);
}

static enum err find_for_login(const struct options *options, const char *directory,
                               const struct conf_node *root, struct settings_login *s,
                               struct err_text *error)
{
    enum err e = root == NULL ? OK : conf_check_keys(root, settings_user_keys, error);
    e = e != OK ? e : find_text(options, "server", root, "server", &s->server, error);
    e = e != OK ? e : find_text(options, "issuer", root, "issuer", &s->issuer, error);
    e = e != OK ? e : find_text(options, "client-id", root, "client_id", &s->client_id, error);
    e = e != OK ? e : find_text(options, "scope", root, "scope", &s->scope, error);
    e = e != OK ? e : find_text(options, "audience", root, "audience", &s->audience, error);
    e = e != OK ? e : find_issuer_ca(options, directory, root, s, error);
    if (e == OK && options_value(options, "server") == NULL &&
        settings_environment("CHAPERONE_SERVER") != NULL) {
        e = settings_copy(bytes_of_string(settings_environment("CHAPERONE_SERVER")), &s->server);
    }
    return e != OK ? e : settings_check_server(s->server, error);
}

static enum err check_issuer(const struct settings_login *s, struct err_text *error)
{
    if (s->issuer == NULL) {
        return err_set(error, ERR_INVALID,
                       "log in where? Give --issuer URL, or write `issuer: URL` into "
                       "~/.config/chaperone/config.yaml");
    }
    if (s->client_id == NULL) {
        return err_set(error, ERR_INVALID,
                       "as which client of %s? Give --client-id ID, or write `client_id: ID` into "
                       "~/.config/chaperone/config.yaml",
                       s->issuer);
    }
    return OK;
}

enum err settings_find_login(const struct options *options, bool needs_issuer,
                             struct settings_login *out, struct err_text *error)
{
    char directory[PATH_MAX];
    struct conf *conf = NULL;
    struct settings_login found = {0};
    enum err e = settings_load_user_file(directory, &conf, error);
    const struct conf_node *root = conf == NULL ? NULL : conf_root(conf);
    e = e != OK ? e : find_for_login(options, directory, root, &found, error);
    e = e != OK || !needs_issuer ? e : check_issuer(&found, error);
    conf_destroy(conf);
    if (e != OK) {
        settings_login_finish(&found);
        return e;
    }
    *out = found;
    return OK;
}

void settings_login_finish(struct settings_login *s)
{
    free(s->server);
    free(s->issuer);
    free(s->client_id);
    free(s->ca_file);
    free(s->scope);
    free(s->audience);
    *s = (struct settings_login){0};
}

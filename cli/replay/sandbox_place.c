/* Where a URL leads, before anything is sent there. */
#include <postgresql/libpq-fe.h>
#include <stdlib.h>

#include "cli/replay/sandbox.h"

static const char *find(const PQconninfoOption *options, const char *keyword)
{
    for (const PQconninfoOption *o = options; o->keyword != NULL; o++) {
        if (strcmp(o->keyword, keyword) == 0) {
            return o->val == NULL || o->val[0] == '\0' ? NULL : o->val;
        }
    }
    return NULL;
}

void sandbox_place_finish(struct sandbox_place *place)
{
    free(place->host);
    free(place->port);
    free(place->database);
    free(place->user);
    *place = (struct sandbox_place){0};
}

static enum err read_place(const PQconninfoOption *options, struct sandbox_place *out,
                           struct err_text *error)
{
    /* `hostaddr` is what is connected to, whatever `host` says. */
    const char *host = find(options, "hostaddr");
    const char *port = find(options, "port");
    const char *user = find(options, "user");
    const char *database = find(options, "dbname");
    host = host != NULL ? host : find(options, "host");
    port = port != NULL ? port : "5432";
    if (host == NULL || strchr(host, ',') != NULL || strchr(port, ',') != NULL ||
        database == NULL || find(options, "service") != NULL) {
        return err_set(error, ERR_INVALID,
                       "--into: expected one host and a database: "
                       "postgres://USER:PASS@HOST:PORT/DB");
    }
    out->host = strdup(host);
    out->port = strdup(port);
    out->database = strdup(database);
    out->user = user == NULL ? NULL : strdup(user);
    bool is_whole = out->host != NULL && out->port != NULL && out->database != NULL &&
                    (user == NULL || out->user != NULL);
    return is_whole ? OK : ERR_NO_MEMORY;
}

enum err sandbox_find_place(const char *url, struct sandbox_place *out, struct err_text *error)
{
    struct sandbox_place place = {0};
    /* libpq's own words may repeat the URL, and the password in it. */
    PQconninfoOption *options =
        strstr(url, "://") == NULL && strchr(url, '=') == NULL ? NULL : PQconninfoParse(url, NULL);
    if (options == NULL) {
        return err_set(error, ERR_INVALID,
                       "--into: expected postgres://USER:PASS@HOST:PORT/DB; is everything in it "
                       "percent-encoded?");
    }
    enum err e = read_place(options, &place, error);
    for (PQconninfoOption *o = options; o->keyword != NULL; o++) {
        if (o->val != NULL && strcmp(o->keyword, "password") == 0) {
            bytes_wipe(o->val, strlen(o->val));
        }
    }
    PQconninfoFree(options);
    if (e != OK) {
        sandbox_place_finish(&place);
        return e;
    }
    *out = place;
    return OK;
}

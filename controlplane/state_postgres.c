#include "controlplane/state_postgres.h"

#include <postgresql/libpq-fe.h>
#include <stdlib.h>

#include "controlplane/files/files.h"
#include "controlplane/store/postgres/postgres.h"

enum { URL_CAP = 16 << 10 };

static enum err read_env(const char *name, struct buffer *out, struct err_text *why)
{
    const char *value = getenv(name);
    if (value == NULL || value[0] == '\0') {
        return err_set(why, ERR_NOT_FOUND, "store.postgres.url: the environment variable %s is %s",
                       name, value == NULL ? "not set" : "empty");
    }
    enum err e = buffer_append_string(out, value);
    return e == OK ? OK : err_set(why, e, "store.postgres.url: %s is too long", name);
}

/* With its terminator. */
static enum err read_url(const struct config_store *config, struct buffer *out,
                         struct err_text *why)
{
    enum err e = OK;
    if (config->url != NULL) {
        e = buffer_append_string(out, config->url);
    } else if (config->url_secret.source == CONFIG_SECRET_ENV) {
        e = read_env(config->url_secret.at, out, why);
    } else {
        e = files_read(config->url_secret.at, out, why);
    }
    while (e == OK && out->end > out->start &&
           (out->data[out->end - 1] == '\n' || out->data[out->end - 1] == '\r')) {
        out->end--; /* as editors leave them */
    }
    if (e == OK && memchr(out->data + out->start, '\0', buffer_size(out)) != NULL) {
        e = err_set(why, ERR_INVALID, "store.postgres.url is not a text");
    }
    if (e == OK && buffer_size(out) == 0) {
        e = err_set(why, ERR_INVALID, "store.postgres.url is empty");
    }
    return e == OK ? buffer_append(out, bytes_of("", 1)) : e;
}

/* The configuration's file is read by many. libpq's own words may quote the address. */
static enum err check_url(const struct config_store *config, const char *url, struct err_text *why)
{
    char *error = NULL;
    PQconninfoOption *options = PQconninfoParse(url, &error);
    enum err e = OK;
    if (options == NULL) {
        e = err_set(why, ERR_INVALID,
                    "store.postgres.url is not an address of PostgreSQL: expected "
                    "postgresql://USER@HOST:PORT/DATABASE?sslmode=verify-full");
    }
    for (const PQconninfoOption *o = options; e == OK && o->keyword != NULL; o++) {
        bool is_password = strcmp(o->keyword, "password") == 0;
        if (config->url != NULL && is_password && o->val != NULL && o->val[0] != '\0') {
            e = err_set(why, ERR_INVALID,
                        "store.postgres.url: a password does not belong into the configuration: "
                        "expected the address as {env: V} or {file: PATH}");
        }
    }
    PQconninfoFree(options);
    PQfreemem(error);
    return e;
}

/* `use` is called with the address. */
static enum err with_url(const struct config_store *config,
                         enum err (*use)(void *context, const char *url, struct err_text *why),
                         void *context, struct err_text *why)
{
    struct buffer url;
    buffer_init(&url, URL_CAP);
    /* At once: a buffer that grows leaves copies of the secret behind. */
    enum err e =
        buffer_reserve(&url, URL_CAP) == NULL ? ERR_NO_MEMORY : read_url(config, &url, why);
    if (e == ERR_LIMIT) {
        e = err_set(why, ERR_INVALID, "store.postgres.url is too long");
    }
    const char *text = (const char *)buffer_bytes(&url).data;
    if (e == OK) {
        e = check_url(config, text, why);
    }
    if (e == OK) {
        e = use(context, text, why);
    }
    buffer_wipe(&url);
    return e;
}

/* ---- opening -----------------------------------------------------------------------------------
 */

struct opening {
    struct store_postgres_options options;
    struct store **out;
};

static enum err open_it(void *context, const char *url, struct err_text *why)
{
    struct opening *o = context;
    struct err_text reason = {.text = ""};
    enum err e = store_open_postgres(url, &o->options, o->out, &reason);
    return e == OK ? OK
                   : err_set(why, e, "store.postgres: %s",
                             reason.text[0] == '\0' ? err_name(e) : reason.text);
}

enum err state_open_postgres(const struct config_store *config, struct bytes content_master,
                             struct store **out, struct err_text *why)
{
    struct opening o = {
        .options = {.connections = config->connections, .content_master = content_master},
        .out = out};
    return with_url(config, open_it, &o, why);
}

/* ---- checking ----------------------------------------------------------------------------------
 */

/* libpq's sentences have several lines. */
static void put_in_one_line(char *text)
{
    size_t size = strlen(text);
    for (size_t i = 0; i < size; i++) {
        text[i] = (unsigned char)text[i] < ' ' ? ' ' : text[i];
    }
    while (size > 0 && text[size - 1] == ' ') {
        text[--size] = '\0';
    }
}

static enum err try_it(void *context, const char *url, struct err_text *why)
{
    static const char *const keywords[] = {"dbname", "connect_timeout", NULL};
    const char *const values[] = {url, "10", NULL};
    (void)context;
    PGconn *connection = PQconnectdbParams(keywords, values, 1);
    enum err e = OK;
    if (PQstatus(connection) != CONNECTION_OK) {
        e = err_set(why, ERR_UNAVAILABLE, "store.postgres: %.300s",
                    connection == NULL ? "no memory" : PQerrorMessage(connection));
        put_in_one_line(why->text);
    }
    PQfinish(connection);
    return e;
}

enum err state_check_postgres(const struct config_store *config, struct err_text *why)
{
    return with_url(config, try_it, NULL, why);
}

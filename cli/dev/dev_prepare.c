/* From options and what was saved the last time to a stack that can be started. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/dev/dev_internal.h"
#include "cli/dev/stack_http.h"
#include "cli/dev/upstream.h"
#include "cli/process/service.h"
#include "formats/text.h"

/* Of the first web service; the next ones follow. */
enum { HTTP_PORT = 8081 };

void dev_say(const struct dev *dev, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    text_write(dev->errors.out, bytes_of_string(text), TEXT_LINES);
    (void)fputc('\n', dev->errors.out);
}

/* The password goes into a file of its own; without one in the URL, an old one must not stay. */
static enum err keep_password(const struct stack *s, const struct upstream *u,
                              struct err_text *error)
{
    char path[PATH_MAX];
    if (u->password != NULL) {
        return stack_write(s, "upstream.password", bytes_of_string(u->password), error);
    }
    stack_path(s, "upstream.password", path);
    return unlink(path) == 0 || errno == ENOENT
               ? OK
               : err_set(error, ERR_IO, "%s: %s", path, strerror(errno));
}

static enum err take_upstream(struct dev *dev, const char *url, struct err_text *error)
{
    struct stack *s = &dev->stack;
    struct upstream u = {0};
    struct err_text note = {0};
    char *resource = NULL;
    enum err e = upstream_parse(url, &u, &note, error);
    if (e != OK) {
        return e;
    }
    if (note.text[0] != '\0') {
        dev_say(dev, "%s", note.text);
    }
    resource = upstream_resource_name(&u);
    e = resource == NULL ? ERR_NO_MEMORY : stack_set(&s->resource, resource);
    e = e != OK ? e : stack_set(&s->host, u.host);
    e = e != OK ? e : stack_set(&s->user, u.user);
    e = e != OK ? e : stack_set(&s->database, u.database);
    e = e != OK ? e : stack_set(&s->tls, u.tls);
    e = e != OK ? e : stack_set(&s->ca_file, u.ca_file);
    s->port = u.port;
    e = e != OK ? e : keep_password(s, &u, error);
    if (e == OK && u.tls_by_default && strcmp(u.tls, "prefer") == 0) {
        dev_say(dev, "TLS to %s is used if it offers it, and not checked (sslmode=prefer)", u.host);
    }
    free(resource);
    upstream_finish(&u);
    return e;
}

static enum err take_policy(struct dev *dev, const char *policy, struct err_text *error)
{
    char path[PATH_MAX];
    if (realpath(policy, path) == NULL || access(path, R_OK) != 0) {
        return err_set(error, ERR_INVALID, "--policy: %s: %s", policy, strerror(errno));
    }
    return stack_set(&dev->stack.policy, path);
}

static enum err take_http(struct dev *dev, const struct dev_options *o, struct err_text *error)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < o->http_count; i++) {
        struct http_option option = {0};
        e = http_option_parse(o->http[i], &option, error);
        if (e == OK) {
            e = stack_http_apply(&dev->stack, &option, error);
            http_option_finish(&option);
        }
    }
    return e;
}

/* A resource's name is said in policies and records: it can be one thing only. */
static enum err check_names(const struct stack *s, struct err_text *error)
{
    for (size_t i = 0; s->host != NULL && i < s->http_count; i++) {
        if (strcmp(s->http[i].name, s->resource) == 0) {
            return err_set(error, ERR_INVALID,
                           "--http: \"%s\" is the database's name (--resource gives it another)",
                           s->resource);
        }
    }
    return OK;
}

/* Options given now count; the others are those of the last time. */
static enum err take_options(struct dev *dev, const struct dev_options *o, struct err_text *error)
{
    struct stack *s = &dev->stack;
    enum err e = OK;
    if (o->upstream != NULL) {
        e = take_upstream(dev, o->upstream, error);
    }
    if (e == OK && (o->no_policy || o->policy != NULL)) {
        e = o->policy != NULL ? take_policy(dev, o->policy, error) : stack_set(&s->policy, NULL);
    }
    if (e == OK && o->listen != NULL) {
        e = stack_set(&s->listen, o->listen);
    } else if (e == OK && s->listen == NULL) {
        e = stack_set(&s->listen, "127.0.0.1:6432");
    }
    if (e == OK && o->identity != NULL) {
        e = stack_set(&s->identity, o->identity);
    } else if (e == OK && s->identity == NULL) {
        e = stack_set(&s->identity, "sub=dev-agent,groups=agents");
    }
    if (e == OK && o->resource != NULL) {
        e = stack_set(&s->resource, o->resource);
    }
    e = e == OK ? take_http(dev, o, error) : e;
    if (e == OK && s->host == NULL && s->http_count == 0) {
        e = err_set(error, ERR_INVALID,
                    "%s is new: --upstream postgres://USER:PASS@HOST:PORT/DB says which database "
                    "it leads to, --http NAME=URL which web service",
                    s->dir);
    }
    return e == OK ? check_names(s, error) : e;
}

static enum err check_options(struct dev *dev, struct err_text *error)
{
    struct stack *s = &dev->stack;
    char address[PATH_MAX + 16];
    enum err e = identity_option_parse(s->identity, &dev->identity, error);
    e = e != OK ? e : listen_address_parse(s->listen, &dev->listen, error);
    if (e == OK && !dev->listen.is_unix && dev->listen.port == 0 &&
        service_free_port(0, &dev->listen.port) != OK) {
        e = err_set(error, ERR_IO, "no free port");
    }
    if (e == OK) {
        listen_address_format(&dev->listen, address, sizeof(address));
        e = stack_set(&s->listen, address);
    }
    return e;
}

/* What another process has is found here, with a clear word, and not by a child. */
static enum err take_ports(struct dev *dev, struct err_text *error)
{
    struct stack *s = &dev->stack;
    enum err e = s->host == NULL || dev->listen.is_unix
                     ? OK
                     : service_check_listen(dev->listen.host, dev->listen.port, error);
    if (e == OK && (service_free_port(s->server_port, &s->server_port) != OK ||
                    service_free_port(s->health_port, &s->health_port) != OK)) {
        e = err_set(error, ERR_IO, "no free port on 127.0.0.1");
    }
    for (size_t i = 0; e == OK && i < s->http_count; i++) {
        struct stack_http *h = &s->http[i];
        uint16_t wanted = h->port != 0 ? h->port : (uint16_t)(HTTP_PORT + i);
        if (service_free_port(wanted, &h->port) != OK) {
            e = err_set(error, ERR_IO, "no free port on 127.0.0.1");
        }
    }
    return e;
}

static void warn(const struct dev *dev)
{
    if (!listen_address_is_local(&dev->listen)) {
        dev_say(dev, "warning: whoever reaches %s acts as %s", dev->stack.listen,
                dev->identity.subject);
    }
    if (dev->stack.policy == NULL) {
        dev_say(dev, "no --policy: everything is allowed and recorded");
    } else {
        dev_say(dev, "policy: %s", dev->stack.policy);
    }
}

static void init_services(struct dev *dev)
{
    dev->services[DEV_CONTROL_PLANE] = (struct dev_service){.name = "chaperone-controlplane",
                                                            .title = "control plane",
                                                            .folder = "controlplane",
                                                            .config_file = "controlplane.yaml",
                                                            .log_file = "controlplane.log",
                                                            .process = process_none()};
    dev->services[DEV_SIDECAR] = (struct dev_service){.name = "chaperone-sidecar",
                                                      .title = "sidecar",
                                                      .folder = "sidecar",
                                                      .config_file = "sidecar.yaml",
                                                      .log_file = "sidecar.log",
                                                      .process = process_none()};
}

static enum dev_end prepare(struct dev *dev, const struct dev_options *o, struct err_text *error)
{
    enum err e = stack_open(o->dir, &dev->stack, error);
    if (e != OK) {
        return DEV_FAILED;
    }
    e = take_options(dev, o, error);
    e = e != OK ? e : check_options(dev, error);
    if (e != OK) {
        return e == ERR_INVALID ? DEV_MISUSE : DEV_FAILED;
    }
    e = take_ports(dev, error);
    e = e != OK ? e : watch_init(&dev->watch);
    return e != OK ? DEV_FAILED : DEV_STOPPED;
}

enum dev_end dev_prepare(const struct dev_options *o, struct dev **out, struct err_text *error)
{
    struct dev *dev = calloc(1, sizeof(*dev));
    if (dev == NULL) {
        (void)err_set(error, ERR_NO_MEMORY, "out of memory");
        return DEV_FAILED;
    }
    dev->stack.lock_fd = -1;
    dev->watch = (struct watch){.fd = -1, .signal_fd = -1};
    dev->out = o->out;
    dev->errors = o->errors;
    dev->clock = o->clock;
    init_services(dev);
    enum dev_end end = prepare(dev, o, error);
    if (end != DEV_STOPPED) {
        dev_destroy(dev);
        return end;
    }
    warn(dev);
    *out = dev;
    return DEV_STOPPED;
}

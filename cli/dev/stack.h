/* The directory of a development stack: what is in it, who has it, what it was started with.
 *
 *   lock                  held by the running `chaperone dev`
 *   dev.json              what it was started with: the next start resumes with it
 *   cli.json              how other commands find its control plane
 *   controlplane.yaml, sidecar.yaml           written at every start
 *   controlplane/, sidecar/, issuer/          state
 *   controlplane.log, sidecar.log
 *   upstream.password, http.NAME.secret, agent.token, operator.token, join.token   mode 0600
 *
 * All strings are owned by the stack. */
#ifndef CHAPERONE_CLI_DEV_STACK_H
#define CHAPERONE_CLI_DEV_STACK_H

#include <limits.h>

#include "base/bytes.h"

enum { STACK_HTTP_MAX = 16 };

/* A web service that it leads to. */
struct stack_http {
    char *name, *address;
    char *user;      /* NULL: its secret is a token, if it has one */
    bool has_secret; /* in http.NAME.secret */
    uint16_t port;   /* of the listener, on loopback */
};

struct stack {
    char *dir; /* absolute */
    int lock_fd;
    /* Kept in dev.json; NULL: not known. */
    char *listen;
    char *resource;
    char *host, *user, *database, *tls, *ca_file; /* the upstream; no host: there is no database */
    char *policy;                                 /* an absolute path */
    char *identity;                               /* as given to --identity */
    uint16_t port;                                /* the upstream's */
    uint16_t issuer_port, server_port, health_port;
    struct stack_http http[STACK_HTTP_MAX];
    size_t http_count;
};

/* Makes the directory (0700) if need be, takes the lock, reads dev.json. ERR_EXISTS: a stack is
 * running on it. */
enum err stack_open(const char *dir, struct stack *out, struct err_text *error) MUST_USE;
void stack_close(struct stack *s);
enum err stack_save(const struct stack *s, struct err_text *error) MUST_USE;

/* "DIR/NAME"; `out` has PATH_MAX bytes. The names fit: stack_open checks. */
void stack_path(const struct stack *s, const char *name, char out[PATH_MAX]);
bool stack_has(const struct stack *s, const char *name);
/* Replaces a file atomically: mode 0600, seen as a whole or not at all. */
enum err stack_write(const struct stack *s, const char *name, struct bytes content,
                     struct err_text *error) MUST_USE;
enum err stack_make_directory(const struct stack *s, const char *name,
                              struct err_text *error) MUST_USE;

/* Replaces `*field` by a copy; NULL clears it. */
enum err stack_set(char **field, const char *value) MUST_USE;

#endif

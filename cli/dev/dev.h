/* A development stack while it runs: issuer, control plane, sidecar.
 *
 * Started in this order and stopped in the other one, so that a draining sidecar can still ship
 * its records. Progress goes to standard error, the one line `ready: ...` to standard output. */
#ifndef CHAPERONE_CLI_DEV_DEV_H
#define CHAPERONE_CLI_DEV_DEV_H

#include "base/clock.h"
#include "base/err.h"
#include "cli/output/terminal.h"

struct dev_options {
    const char *dir;
    /* NULL: as the last time. */
    const char *listen;
    const char *upstream; /* a URL with a secret: wiped by the caller after this */
    const char *policy;
    const char *identity;
    const char *resource;
    char **http; /* NAME=URL, with secrets: wiped by the caller after this */
    size_t http_count;
    bool no_policy; /* forget the one of the last time */
    struct terminal out, errors;
    struct clock clock;
};

enum dev_end {
    DEV_STOPPED,     /* it ran until it was told to stop */
    DEV_FAILED,      /* `error` or the output says why */
    DEV_MISUSE,      /* an option is wrong */
    DEV_INTERRUPTED, /* told to stop before it was ready */
};

struct dev;

/* Reads and checks everything and saves it; nothing is started yet. Returns owned when the
 * result is DEV_STOPPED. */
enum dev_end dev_prepare(const struct dev_options *options, struct dev **out,
                         struct err_text *error);
/* Runs until SIGINT, SIGTERM, or the end of a child. */
enum dev_end dev_run(struct dev *dev, struct err_text *error);
void dev_destroy(struct dev *dev); /* takes NULL */

#endif

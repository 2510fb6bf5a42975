/* A sidecar for the lifetime of one command. */
#ifndef CHAPERONE_CLI_RUN_RUN_H
#define CHAPERONE_CLI_RUN_RUN_H

#include "base/clock.h"
#include "base/err.h"
#include "cli/output/terminal.h"

/* What `run` itself exits with, as env(1) and timeout(1) do. */
enum { RUN_FAILED = 125, RUN_NOT_EXECUTABLE = 126, RUN_NOT_FOUND = 127 };

struct run_options {
    const char *config_file;
    const char *resource;
    const char *sidecar_log; /* NULL: kept only until the end */
    bool use_socket;
    char *const *argv; /* the command */
    struct terminal errors;
    struct clock clock;
};

/* Returns the exit code: the command's own, or RUN_FAILED with `error` set. */
int run_command(const struct run_options *options, struct err_text *error);

#endif

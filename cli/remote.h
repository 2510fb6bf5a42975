/* What the commands that ask the control plane have in common: finding it, being interrupted,
 * saying what went wrong. */
#ifndef CHAPERONE_CLI_REMOTE_H
#define CHAPERONE_CLI_REMOTE_H

#include "cli/client.h"
#include "cli/command.h"
#include "cli/settings.h"

struct remote {
    struct settings settings;
    int signal_fd; /* SIGINT, SIGTERM, SIGHUP, which are blocked from here on */
    struct client *client;
};

/* SIGINT, SIGTERM and SIGHUP, blocked from here on; -1 and errno. Before there are threads, which
 * inherit the mask. */
int remote_open_signals(void);
/* The exit code for the signal that came. */
int remote_signal_exit(int signal_fd);

/* EXIT_YES, or the exit code after the reason was printed; then there is nothing to close. */
int remote_open(const struct invocation *i, struct remote *out);
void remote_close(struct remote *r);

/* A unary call with a deadline. EXIT_YES and `*out_reply` (owned), or the exit code after the
 * reason was printed. */
int remote_call(const struct invocation *i, struct remote *r,
                const ProtobufCServiceDescriptor *service, const char *method,
                const ProtobufCMessage *request, ProtobufCMessage **out_reply);

/* The exit code for how a call or stream ended; says what went wrong, and nothing after Ctrl-C. */
int remote_exit(const struct invocation *i, const struct remote *r, const struct client_end *end);

/* Flushes standard output: EXIT_YES, or the exit code after it was said that it cannot be written.
 */
int remote_flush(const struct invocation *i);

#endif

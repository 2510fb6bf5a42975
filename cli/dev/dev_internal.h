/* What the parts of a development stack share: dev_prepare.c, dev_start.c, dev.c. */
#ifndef CHAPERONE_CLI_DEV_DEV_INTERNAL_H
#define CHAPERONE_CLI_DEV_DEV_INTERNAL_H

#include "cli/client.h"
#include "cli/dev/dev.h"
#include "cli/dev/listen_address.h"
#include "cli/dev/stack.h"
#include "cli/dev/tokens.h"
#include "cli/process/process.h"
#include "cli/process/watch.h"

struct dev_service {
    const char *name;        /* the binary's: "chaperone-sidecar" */
    const char *title;       /* for people: "sidecar" */
    const char *folder;      /* where a build puts it */
    const char *config_file; /* below the stack's directory */
    const char *log_file;
    struct process process;
    long log_start; /* size of the log when it was started */
};

enum { DEV_CONTROL_PLANE, DEV_SIDECAR, DEV_SERVICES };

struct dev {
    struct stack stack;
    struct listen_address listen;
    struct identity_option identity;
    struct terminal out, errors;
    struct clock clock;
    struct watch watch;
    struct tokens *tokens;
    struct client *client;
    struct dev_service services[DEV_SERVICES];
};

/* A short line for the person who watches. */
void dev_say(const struct dev *dev, const char *format, ...) PRINTF_LIKE(2, 3);

/* What happened meanwhile. */
enum dev_news { DEV_NOTHING, DEV_TOLD_TO_STOP, DEV_CHILD_ENDED };
enum dev_news dev_look(struct dev *dev);

/* Starts the services and waits until clients can connect. */
enum dev_end dev_start(struct dev *dev, struct err_text *error);

#endif

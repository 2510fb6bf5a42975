/* A command of `chaperone`: what its help, its completion and its parsing are made from. */
#ifndef CHAPERONE_CLI_COMMAND_H
#define CHAPERONE_CLI_COMMAND_H

#include "base/clock.h"
#include "cli/options.h"
#include "cli/output/terminal.h"

/* What the process exits with. */
enum {
    EXIT_YES = 0,
    EXIT_NO = 1,     /* the answer is no: nothing found, refused, failed */
    EXIT_MISUSE = 2, /* the command line is wrong */
    /* It could not be asked: the control plane cannot be reached. Not "no": a script that
     * looks for denials must not take an outage for a clean record. */
    EXIT_UNREACHABLE = 3,
    EXIT_INTERRUPTED = 130, /* Ctrl-C, as a shell counts it */
};

struct invocation;

struct command {
    const char *name;                  /* "audit search"; NULL ends the table */
    const char *arguments;             /* "SESSION"; "" for none */
    const char *summary;               /* one line, without a full stop */
    const char *details;               /* NULL: the summary says it all */
    const char *const *examples;       /* with a comment behind two spaces and #; ends with NULL */
    const struct option_spec *options; /* its own; may be NULL */
    int arguments_min, arguments_max;
    bool takes_rest; /* a command line of its own */
    bool connects;   /* to a control plane: takes the options that find it */
    int (*run)(struct invocation *i);
};

/* What main gives a command. */
struct invocation {
    const struct command *command;
    struct options options;
    struct terminal out;    /* standard output */
    struct terminal errors; /* standard error */
    struct clock clock;
};

/* For commands that connect. */
extern const struct option_spec command_connection_options[];
/* For all: --help. */
extern const struct option_spec command_common_options[];

/* The options --since and --until, nanoseconds since 1970; what is not given stays as it is. The
 * error names the option. */
enum err command_times(const struct invocation *i, int64_t *out_since_ns, int64_t *out_until_ns,
                       struct err_text *error) MUST_USE;

/* "chaperone: SENTENCE" on standard error; returns `code`. */
int command_fail(const struct invocation *i, int code, const char *format, ...) PRINTF_LIKE(3, 4);
/* As command_fail with EXIT_MISUSE, and where the help is. */
int command_misuse(const struct invocation *i, const struct err_text *error);

#endif

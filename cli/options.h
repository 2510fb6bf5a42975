/* Command line options, read by tables.
 *
 * `--name VALUE`, `--name=VALUE`, `-n VALUE`, `-nVALUE`, flags without a value, `--` before what is
 * no option. An option given twice counts the last time, but for those that are read with
 * options_each. Nothing is copied: all borrows from argv.
 */
#ifndef CHAPERONE_CLI_OPTIONS_H
#define CHAPERONE_CLI_OPTIONS_H

#include "base/bytes.h"

enum option_kind {
    OPTION_FLAG,
    OPTION_TEXT,
    OPTION_FILE,      /* shells complete file names */
    OPTION_DIRECTORY, /* shells complete directories */
};

struct option_spec {
    const char *name; /* without its dashes; NULL ends a table */
    char letter;      /* 0: none */
    enum option_kind kind;
    const char *value; /* its name in help: "FILE" */
    const char *help;
    const char *const *choices; /* NULL: any value; else ends with NULL */
};

enum {
    OPTIONS_TABLES_MAX = 3,
    OPTIONS_MAX = 32,
    /* Options with a value, on one command line. */
    OPTIONS_GIVEN_MAX = 64,
    /* No command takes more; `run` takes the rest as it is. */
    OPTIONS_ARGUMENTS_MAX = 4,
};

struct option_given {
    const struct option_spec *spec;
    const char *value;
};

struct options {
    const struct option_spec *tables[OPTIONS_TABLES_MAX]; /* NULL: not used */
    struct option_given given[OPTIONS_GIVEN_MAX];         /* in the order of the command line */
    size_t given_count;
    const char *values[OPTIONS_MAX]; /* in the order of the tables */
    const char *arguments[OPTIONS_ARGUMENTS_MAX];
    int argument_count;
    char **rest; /* what follows the first argument, when asked to stop there; ends with NULL */
};

/* `argv` ends with NULL. With `stop_at_argument`, everything from the first argument on (or
 * from behind `--`) is `rest`. `tables` of `out` are set by the caller. ERR_INVALID with a sentence
 * that suggests what was meant. */
enum err options_parse(struct options *out, char **argv, bool stop_at_argument,
                       struct err_text *error) MUST_USE;

/* NULL: not given. Asking for an option that no table has is a bug of ours, and gives NULL too. */
const char *options_value(const struct options *o, const char *name);
/* The values of an option that may be given more than once: the n-th, from 0; NULL behind the last.
 */
const char *options_each(const struct options *o, const char *name, size_t n);
bool options_flag(const struct options *o, const char *name);
/* A count from 0 to `max`; `fallback` when it was not given. */
enum err options_number(const struct options *o, const char *name, uint32_t fallback, uint32_t max,
                        uint32_t *out, struct err_text *error) MUST_USE;

/* The word of `candidates` that `word` may have been meant to be, or NULL. Ends with NULL. */
const char *options_suggest(const char *word, const char *const *candidates);

#endif

#include "cli/dispatch.h"

#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/help.h"
#include "cli/version.h"

int command_completion(struct invocation *i)
{
    struct err_text error = {0};
    return completion_print(i->out.out, i->options.arguments[0], &error) == OK
               ? EXIT_YES
               : command_misuse(i, &error);
}

static enum err check_arguments(const struct invocation *i, struct err_text *error)
{
    const struct command *c = i->command;
    int count = c->takes_rest && i->options.rest[0] != NULL ? 1 : i->options.argument_count;
    if (count < c->arguments_min || (c->takes_rest && count == 0)) {
        return err_set(error, ERR_INVALID, "expected: chaperone %s [OPTION...] %s", c->name,
                       c->arguments);
    }
    if (!c->takes_rest && count > c->arguments_max) {
        return err_set(error, ERR_INVALID, "too many arguments: \"%.128s\"",
                       i->options.arguments[c->arguments_max]);
    }
    return OK;
}

static int run(struct invocation *i, char **argv)
{
    struct err_text error = {0};
    i->options.tables[0] = command_common_options;
    i->options.tables[1] = i->command->connects ? command_connection_options : NULL;
    i->options.tables[2] = i->command->options;
    enum err e = options_parse(&i->options, argv, i->command->takes_rest, &error);
    if (options_flag(&i->options, "help")) {
        help_print_command(&i->out, i->command);
        return EXIT_YES;
    }
    if (e == OK) {
        e = check_arguments(i, &error);
    }
    return e != OK ? command_misuse(i, &error) : i->command->run(i);
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* The command line names no command: help, the version, or a mistake. */
static int without_command(const struct invocation *i, const char *group, char **argv)
{
    struct err_text error = {0};
    const char *word = group == NULL ? argv[0] : argv[1];
    if (group == NULL && (word == NULL || is_help(word) || strcmp(word, "help") == 0)) {
        help_print_overview(word == NULL ? &i->errors : &i->out);
        return word == NULL ? EXIT_MISUSE : EXIT_YES;
    }
    if (group == NULL && (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)) {
        (void)fprintf(i->out.out, "chaperone %s\n", CHAPERONE_CLI_VERSION);
        return EXIT_YES;
    }
    if (group != NULL && (word == NULL || is_help(word))) {
        help_print_group(word == NULL ? &i->errors : &i->out, group);
        return word == NULL ? EXIT_MISUSE : EXIT_YES;
    }
    commands_explain_unknown(argv, &error);
    return command_misuse(i, &error);
}

int dispatch_run(struct invocation *i, char **argv)
{
    /* `chaperone help audit search` is `chaperone audit search --help`. */
    bool wants_help = argv[0] != NULL && strcmp(argv[0], "help") == 0 && argv[1] != NULL;
    argv += wants_help ? 1 : 0;
    struct commands_match match = commands_find(argv);
    i->command = match.command;
    if (match.command != NULL && wants_help) {
        help_print_command(&i->out, match.command);
        return EXIT_YES;
    }
    return match.command != NULL ? run(i, argv + match.words)
                                 : without_command(i, match.group, argv);
}

#include "cli/help.h"

#include "cli/commands.h"

enum { LEFT_COLUMNS = 29 };

static void print_heading(const struct terminal *t, const char *heading)
{
    terminal_style(t, STYLE_HEADING);
    (void)fprintf(t->out, "%s\n", heading);
    terminal_style(t, STYLE_PLAIN);
}

/* `group` NULL: all. */
static void print_commands(const struct terminal *t, const char *group)
{
    size_t length = group == NULL ? 0 : strlen(group);
    for (const struct command *c = commands; c->name != NULL; c++) {
        if (group == NULL || (strncmp(c->name, group, length) == 0 && c->name[length] == ' ')) {
            (void)fprintf(t->out, "  %-18s %s\n", c->name, c->summary);
        }
    }
}

void help_print_overview(const struct terminal *t)
{
    (void)fputs(
        "Chaperone accompanies an autonomous agent to the databases it works on: it knows who the\n"
        "agent is, decides on every operation, and records it before it happens.\n\n"
        "Usage: chaperone COMMAND [OPTION...]\n\n",
        t->out);
    print_heading(t, "Commands:");
    print_commands(t, NULL);
    (void)fputs("\n`chaperone COMMAND --help` explains a command; `chaperone --version` names the "
                "version.\n",
                t->out);
}

void help_print_group(const struct terminal *t, const char *group)
{
    (void)fprintf(t->out, "Usage: chaperone %s COMMAND [OPTION...]\n\n", group);
    print_heading(t, "Commands:");
    print_commands(t, group);
}

static void print_option(const struct terminal *t, const struct option_spec *s)
{
    char left[64];
    char letter[8] = "    ";
    if (s->letter != '\0') {
        (void)snprintf(letter, sizeof(letter), "-%c, ", s->letter);
    }
    (void)snprintf(left, sizeof(left), "%s--%s%s%s", letter, s->name, s->value == NULL ? "" : " ",
                   s->value == NULL ? "" : s->value);
    /* A long name has the line for itself. */
    bool is_long = strlen(left) > LEFT_COLUMNS;
    (void)fprintf(t->out, "  %-*s%s%*s", is_long ? 0 : LEFT_COLUMNS + 1, left, is_long ? "\n" : "",
                  is_long ? LEFT_COLUMNS + 3 : 0, "");
    (void)fputs(s->help, t->out);
    for (size_t i = 0; s->choices != NULL && s->choices[i] != NULL; i++) {
        (void)fprintf(t->out, "%s%s", i == 0 ? ": " : ", ", s->choices[i]);
    }
    (void)fputc('\n', t->out);
}

static void print_options(const struct terminal *t, const char *heading,
                          const struct option_spec *options)
{
    if (options == NULL) {
        return;
    }
    (void)fputc('\n', t->out);
    print_heading(t, heading);
    for (const struct option_spec *s = options; s->name != NULL; s++) {
        print_option(t, s);
    }
}

void help_print_command(const struct terminal *t, const struct command *command)
{
    (void)fprintf(t->out, "%s.\n\n", command->summary);
    (void)fprintf(t->out, "Usage: chaperone %s [OPTION...]%s%s\n", command->name,
                  command->arguments[0] == '\0' ? "" : " ", command->arguments);
    if (command->details != NULL) {
        (void)fprintf(t->out, "\n%s\n", command->details);
    }
    print_options(t, "Options:", command->options);
    if (command->connects) {
        print_options(t, "Finding the control plane:", command_connection_options);
        (void)fputs("  Without these: CHAPERONE_SERVER, CHAPERONE_CA, CHAPERONE_TOKEN or "
                    "CHAPERONE_TOKEN_FILE,\n"
                    "  then ~/.config/chaperone/config.yaml (server, ca, token_file), then your "
                    "`chaperone login`.\n",
                    t->out);
    }
    if (command->examples != NULL) {
        (void)fputc('\n', t->out);
        print_heading(t, "Examples:");
        for (size_t i = 0; command->examples[i] != NULL; i++) {
            (void)fprintf(t->out, "  %s\n", command->examples[i]);
        }
    }
}

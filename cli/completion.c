#include "cli/completion.h"

#include "cli/commands.h"

/* Calls `each` for every option of a command. */
static void each_option(const struct command *c,
                        void (*each)(FILE *, const struct command *, const struct option_spec *),
                        FILE *out)
{
    const struct option_spec *tables[] = {
        c->options, c->connects ? command_connection_options : NULL, command_common_options};
    for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
        for (const struct option_spec *s = tables[t]; s != NULL && s->name != NULL; s++) {
            each(out, c, s);
        }
    }
}

static int first_word(const struct command *c)
{
    return (int)strcspn(c->name, " ");
}

static bool is_first_of_group(const struct command *c)
{
    if (c == commands) {
        return true;
    }
    struct bytes before = bytes_of(c[-1].name, (size_t)first_word(c - 1));
    return !bytes_equal(before, bytes_of(c->name, (size_t)first_word(c)));
}

static void print_bash_option(FILE *out, const struct command *c, const struct option_spec *s)
{
    (void)c;
    (void)fprintf(out, " --%s", s->name);
}

static void print_bash_value(FILE *out, const struct command *c, const struct option_spec *s)
{
    (void)c;
    if (s->choices != NULL) {
        (void)fprintf(out, "        --%s) COMPREPLY=($(compgen -W '", s->name);
        for (size_t i = 0; s->choices[i] != NULL; i++) {
            (void)fprintf(out, "%s%s", i > 0 ? " " : "", s->choices[i]);
        }
        (void)fputs("' -- \"$word\")); return ;;\n", out);
    } else if (s->kind != OPTION_FLAG) {
        const char *action = s->kind == OPTION_FILE ? "COMPREPLY=($(compgen -f -- \"$word\")); "
                             : s->kind == OPTION_DIRECTORY
                                 ? "COMPREPLY=($(compgen -d -- \"$word\")); "
                                 : "";
        (void)fprintf(out, "        --%s) %sreturn ;;\n", s->name, action);
    }
}

/* The words that may follow `group`, or the first ones. */
static void print_words(FILE *out, const char *group, int length)
{
    const char *gap = "";
    for (const struct command *c = commands; c->name != NULL; c++) {
        if (group == NULL && is_first_of_group(c)) {
            (void)fprintf(out, "%s%.*s", gap, first_word(c), c->name);
            gap = " ";
        } else if (group != NULL && first_word(c) == length &&
                   strncmp(c->name, group, (size_t)length) == 0) {
            (void)fprintf(out, "%s%s", gap, c->name + length + 1);
            gap = " ";
        }
    }
}

static void print_bash_words(FILE *out)
{
    (void)fputs("    case \"$command\" in\n    '') words='", out);
    print_words(out, NULL, 0);
    (void)fputs(" --help --version' ;;\n", out);
    for (const struct command *c = commands; c->name != NULL; c++) {
        if (strchr(c->name, ' ') != NULL && is_first_of_group(c)) {
            (void)fprintf(out, "    '%.*s') words='", first_word(c), c->name);
            print_words(out, c->name, first_word(c));
            (void)fputs("' ;;\n", out);
        }
    }
    for (const struct command *c = commands; c->name != NULL; c++) {
        (void)fprintf(out, "    '%s') words='%s", c->name,
                      strcmp(c->name, "completion") == 0 ? "bash zsh fish" : "");
        each_option(c, print_bash_option, out);
        (void)fputs("' ;;\n", out);
    }
    (void)fputs("    esac\n", out);
}

static void print_bash(FILE *out)
{
    (void)fputs(
        "_chaperone() {\n"
        "    local word=\"${COMP_WORDS[COMP_CWORD]}\" previous=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
        "    local command='' words='' i\n"
        "    for ((i = 1; i < COMP_CWORD && i < 3; i++)); do\n"
        "        case \"${COMP_WORDS[i]}\" in -*) break ;; esac\n"
        "        case \"$command\" in\n"
        "        '') command=\"${COMP_WORDS[i]}\" ;;\n"
        "        ",
        out);
    const char *gap = "";
    for (const struct command *c = commands; c->name != NULL; c++) {
        if (strchr(c->name, ' ') != NULL && is_first_of_group(c)) {
            (void)fprintf(out, "%s%.*s", gap, first_word(c), c->name);
            gap = "|";
        }
    }
    (void)fputs(") command=\"$command ${COMP_WORDS[i]}\" ;;\n"
                "        esac\n"
                "    done\n",
                out);
    for (const struct command *c = commands; c->name != NULL; c++) {
        (void)fprintf(out,
                      "    if [[ \"$command\" == '%s' ]]; then\n        case \"$previous\" in\n",
                      c->name);
        each_option(c, print_bash_value, out);
        (void)fputs("        esac\n    fi\n", out);
    }
    print_bash_words(out);
    (void)fputs("    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
                "}\n"
                "complete -o default -F _chaperone chaperone\n",
                out);
}

static void print_fish_option(FILE *out, const struct command *c, const struct option_spec *s)
{
    const char *space = strchr(c->name, ' ');
    (void)fprintf(out, "complete -c chaperone -n '__fish_seen_subcommand_from %.*s", first_word(c),
                  c->name);
    if (space != NULL) {
        (void)fprintf(out, "; and __fish_seen_subcommand_from %s", space + 1);
    }
    (void)fprintf(out, "' -l %s", s->name);
    if (s->letter != '\0') {
        (void)fprintf(out, " -s %c", s->letter);
    }
    if (s->choices != NULL) {
        (void)fputs(" -x -a '", out);
        for (size_t i = 0; s->choices[i] != NULL; i++) {
            (void)fprintf(out, "%s%s", i > 0 ? " " : "", s->choices[i]);
        }
        (void)fputc('\'', out);
    } else if (s->kind != OPTION_FLAG) {
        (void)fputs(s->kind == OPTION_TEXT ? " -x" : " -r -F", out);
    }
    (void)fprintf(out, " -d \"%s\"\n", s->help);
}

static void print_fish(FILE *out)
{
    (void)fputs("complete -c chaperone -f\n"
                "complete -c chaperone -n __fish_use_subcommand -l help -l version\n",
                out);
    for (const struct command *c = commands; c->name != NULL; c++) {
        const char *space = strchr(c->name, ' ');
        if (is_first_of_group(c)) {
            (void)fprintf(out, "complete -c chaperone -n __fish_use_subcommand -a %.*s%s%s%s\n",
                          first_word(c), c->name, space == NULL ? " -d \"" : "",
                          space == NULL ? c->summary : "", space == NULL ? "\"" : "");
        }
        if (space != NULL) {
            (void)fprintf(
                out,
                "complete -c chaperone -n '__fish_seen_subcommand_from %.*s' -a %s -d \"%s\"\n",
                first_word(c), c->name, space + 1, c->summary);
        }
        each_option(c, print_fish_option, out);
    }
    (void)fputs(
        "complete -c chaperone -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'\n",
        out);
}

enum err completion_print(FILE *out, const char *shell, struct err_text *error)
{
    if (strcmp(shell, "bash") == 0) {
        print_bash(out);
    } else if (strcmp(shell, "zsh") == 0) {
        /* zsh runs bash's completions. */
        (void)fputs("autoload -U +X compinit && compinit\n"
                    "autoload -U +X bashcompinit && bashcompinit\n",
                    out);
        print_bash(out);
    } else if (strcmp(shell, "fish") == 0) {
        print_fish(out);
    } else {
        return err_set(error, ERR_INVALID, "expected bash, zsh or fish, found \"%.32s\"", shell);
    }
    return OK;
}

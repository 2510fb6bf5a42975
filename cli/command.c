#include "cli/command.h"

#include <stdarg.h>

#include "cli/output/moment.h"
#include "formats/text.h"

const struct option_spec command_connection_options[] = {
    {"dir", 0, OPTION_DIRECTORY, "DIR", "a development stack, made by `chaperone dev`", NULL},
    {"server", 0, OPTION_TEXT, "HOST:PORT", "the control plane", NULL},
    {"ca", 0, OPTION_FILE, "FILE", "its CA (PEM); without it the system's", NULL},
    {"token-file", 0, OPTION_FILE, "FILE", "your OIDC token", NULL},
    {0},
};

const struct option_spec command_common_options[] = {
    {"help", 'h', OPTION_FLAG, NULL, "show this help", NULL},
    {0},
};

const struct option_spec command_json_options[] = {
    {"json", 0, OPTION_FLAG, NULL, "one JSON object a line", NULL},
    {0},
};

static enum err read_moment(const struct invocation *i, const char *option, int64_t *out,
                            struct err_text *error)
{
    const char *value = options_value(&i->options, option);
    struct err_text why = {0};
    if (value == NULL || moment_parse(value, clock_wall(&i->clock), out, &why) == OK) {
        return OK;
    }
    return err_set(error, ERR_INVALID, "--%s: %s", option, why.text);
}

enum err command_times(const struct invocation *i, int64_t *out_since_ns, int64_t *out_until_ns,
                       struct err_text *error)
{
    int64_t since = *out_since_ns, until = *out_until_ns;
    enum err e = read_moment(i, "since", &since, error);
    e = e != OK ? e : read_moment(i, "until", &until, error);
    if (e == OK && until != 0 && since > until) {
        e = err_set(error, ERR_INVALID, "--since is after --until");
    }
    if (e == OK) {
        *out_since_ns = since;
        *out_until_ns = until;
    }
    return e;
}

int command_fail(const struct invocation *i, int code, const char *format, ...)
{
    /* Messages of the control plane may hold what an agent sent: they are made safe. */
    char text[2048];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)fflush(i->out.out);
    terminal_style(&i->errors, STYLE_BAD);
    (void)fputs("chaperone: ", i->errors.out);
    terminal_style(&i->errors, STYLE_PLAIN);
    text_write(i->errors.out, bytes_of_string(text), TEXT_LINES);
    (void)fputc('\n', i->errors.out);
    return code;
}

int command_misuse(const struct invocation *i, const struct err_text *error)
{
    return command_fail(i, EXIT_MISUSE, "%s\nsee: chaperone %s%s--help", error->text,
                        i->command == NULL ? "" : i->command->name, i->command == NULL ? "" : " ");
}

#include "cli/command.h"

#include <stdarg.h>

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

/* run. */
#include "cli/commands.h"
#include "cli/run/run.h"

const struct option_spec command_run_options[] = {
    {"config", 'c', OPTION_FILE, "FILE", "the sidecar's configuration", NULL},
    {"resource", 'r', OPTION_TEXT, "NAME",
     "what the command works on, when the file has no listeners", NULL},
    {"socket", 0, OPTION_FLAG, NULL, "a private unix socket in place of a port", NULL},
    {"sidecar-log", 0, OPTION_FILE, "FILE", "keep the sidecar's log there", NULL},
    {0},
};

int command_run(struct invocation *i)
{
    struct err_text error = {0};
    struct run_options options = {.config_file = options_value(&i->options, "config"),
                                  .resource = options_value(&i->options, "resource"),
                                  .sidecar_log = options_value(&i->options, "sidecar-log"),
                                  .use_socket = options_flag(&i->options, "socket"),
                                  .argv = i->options.rest,
                                  .errors = i->errors,
                                  .clock = i->clock};
    if (options.config_file == NULL) {
        (void)err_set(&error, ERR_INVALID, "--config FILE is needed: the sidecar's configuration");
        return command_misuse(i, &error);
    }
    int code = run_command(&options, &error);
    return error.text[0] == '\0' ? code : command_fail(i, code, "%s", error.text);
}

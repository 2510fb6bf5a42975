/* dev. */
#include "cli/commands.h"
#include "cli/dev/dev.h"
#include "cli/dev/http_option.h"
#include "cli/dev/upstream.h"

const struct option_spec command_dev_options[] = {
    {"dir", 0, OPTION_DIRECTORY, "DIR", "where everything is kept (made if need be)", NULL},
    {"listen", 0, OPTION_TEXT, "ADDRESS:PORT",
     "where agents connect (127.0.0.1:6432), or unix:/DIR/.s.PGSQL.PORT", NULL},
    {"upstream", 0, OPTION_TEXT, "URL", "the database: postgres://USER:PASS@HOST:PORT/DB", NULL},
    {"http", 0, OPTION_TEXT, "NAME=URL",
     "a web service: https://HOST:PORT, with USER:PASS@ or TOKEN@; may be repeated; NAME=: no more",
     NULL},
    {"policy", 0, OPTION_FILE, "FILE", "the policy; without one everything is allowed", NULL},
    {"no-policy", 0, OPTION_FLAG, NULL, "go on without the policy of the last start", NULL},
    {"identity", 0, OPTION_TEXT, "sub=NAME,groups=A+B",
     "who the agent is (sub=dev-agent,groups=agents); also name, reason, on_behalf_of", NULL},
    {"resource", 0, OPTION_TEXT, "NAME", "the database's name in policies and records", NULL},
    {0},
};

static int exit_code(const struct invocation *i, enum dev_end end, const struct err_text *error)
{
    switch (end) {
    case DEV_STOPPED: return EXIT_YES;
    case DEV_INTERRUPTED: return EXIT_INTERRUPTED;
    case DEV_MISUSE: return command_misuse(i, error);
    case DEV_FAILED: break;
    }
    /* Without a sentence, the end of a child was told already. */
    return error->text[0] == '\0' ? EXIT_NO : command_fail(i, EXIT_NO, "%s", error->text);
}

int command_dev(struct invocation *i)
{
    const struct options *o = &i->options;
    struct err_text error = {0};
    char *http[OPTIONS_GIVEN_MAX];
    size_t http_count = 0;
    for (const char *text; (text = options_each(o, "http", http_count)) != NULL;) {
        http[http_count++] = (char *)(uintptr_t)text; /* argv's memory */
    }
    struct dev_options options = {.dir = options_value(o, "dir"),
                                  .listen = options_value(o, "listen"),
                                  .upstream = options_value(o, "upstream"),
                                  .policy = options_value(o, "policy"),
                                  .identity = options_value(o, "identity"),
                                  .resource = options_value(o, "resource"),
                                  .http = http,
                                  .http_count = http_count,
                                  .no_policy = options_flag(o, "no-policy"),
                                  .out = i->out,
                                  .errors = i->errors,
                                  .clock = i->clock};
    struct dev *dev = NULL;
    if (options.dir == NULL) {
        (void)err_set(&error, ERR_INVALID, "--dir DIR is needed: everything is kept there");
        return command_misuse(i, &error);
    }
    enum dev_end end = dev_prepare(&options, &dev, &error);
    if (options.upstream != NULL) {
        /* It is argv's memory, which `ps` shows to everybody for as long as we run. */
        upstream_hide_password((char *)(uintptr_t)options.upstream);
    }
    for (size_t n = 0; n < http_count; n++) {
        http_option_hide_secret(http[n]);
    }
    if (end == DEV_STOPPED) {
        end = dev_run(dev, &error);
        dev_destroy(dev);
    }
    return exit_code(i, end, &error);
}

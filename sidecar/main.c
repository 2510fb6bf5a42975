/* chaperone-sidecar: the process beside the agent. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/hardening/hardening.h"
#include "base/stop_limit.h"
#include "sidecar/sidecar.h"
#include "sidecar/token_helper.h"

/* For what is left when the sessions are over and their records are shipped, or will be later. */
enum { STOP_MAX_S = 15 };

static const char usage[] =
    "Usage: chaperone-sidecar --config FILE\n"
    "\n"
    "Takes an agent's connections on localhost, identifies the agent, asks the policy about every\n"
    "operation, and records everything before it happens.\n"
    "\n"
    "  -c, --config FILE  the configuration (docs/sidecar.md)\n"
    "      --check        only check the configuration\n"
    "  -h, --help         this text\n"
    "      --version      the version\n"
    "\n"
    "SIGTERM ends it when its sessions are idle, SIGHUP reads the configuration again.\n"
    "Exit code: 0 after a clean end, 1 when it could not go on, 2 for misuse.\n";

/* The token's command may not be run by a process that is confined: one that is not, and that runs
 * nothing else, is made before. */
static enum err harden(struct config *config, struct token_helper **out_helper,
                       struct err_text *why)
{
    const struct hardening_options user_only = {.user = config->security.user, .keep = UINT64_MAX};
    enum err e = OK;
    if (config->identity.command != NULL) {
        e = hardening_drop(&user_only, why);
        e = e != OK ? e : token_helper_start(&config->identity, out_helper, why);
        config->identity.helper = e == OK ? *out_helper : NULL;
    }
    return e != OK ? e : security_enter(&config->security, CONFINE_SIDECAR, why);
}

static int refuse(struct config *config, const struct err_text *why)
{
    (void)fprintf(stderr, "chaperone-sidecar: %s\n", why->text);
    config_finish(config);
    return 1;
}

static int run(struct config *config, const char *path)
{
    struct err_text why = {0};
    struct sidecar *sidecar = NULL;
    enum err e = sidecar_create(config, path, &sidecar, &why);
    if (e != OK) {
        (void)fprintf(stderr, "chaperone-sidecar: %s\n",
                      why.text[0] != '\0' ? why.text : err_name(e));
        return 1;
    }
    e = sidecar_run(sidecar);
    stop_limit(STOP_MAX_S);
    sidecar_destroy(sidecar);
    return e == OK ? 0 : 1;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"check", no_argument, NULL, 'k'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'v'},
                                            {0}};
    const char *path = NULL;
    bool check = false;
    int option;
    /* The target's password is in this memory for a moment. */
    hardening_forbid_dumps();
    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        switch (option) {
        case 'c': path = optarg; break;
        case 'k': check = true; break;
        case 'h': (void)fputs(usage, stdout); return 0;
        case 'v': (void)printf("chaperone-sidecar %s\n", sidecar_version); return 0;
        default: (void)fputs("Try `chaperone-sidecar --help`.\n", stderr); return 2;
        }
    }
    if (path == NULL || optind != argc) {
        (void)fputs("chaperone-sidecar: expected --config FILE\nTry `chaperone-sidecar --help`.\n",
                    stderr);
        return 2;
    }
    struct err_text why = {0};
    struct config config;
    if (config_load(path, &config, &why) != OK) {
        (void)fprintf(stderr, "%s\n", why.text);
        return 2;
    }
    if (check) {
        (void)printf("%s: ok\n", path);
        config_finish(&config);
        return 0;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    struct token_helper *helper = NULL;
    int code = harden(&config, &helper, &why) == OK ? run(&config, path) : refuse(&config, &why);
    token_helper_release(helper);
    return code;
}

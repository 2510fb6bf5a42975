/* chaperone-controlplane: arguments, signals, and the order of start and end. */
#include <curl/curl.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/hardening/hardening.h"
#include "base/stop_limit.h"
#include "controlplane/commands.h"
#include "controlplane/credentials/join_token.h"
#include "controlplane/identity/fetch_curl.h"
#include "controlplane/server.h"

static const char version[] = "0.1.0";

enum {
    EXIT_MISUSE = 2, /* the arguments or the configuration are wrong */
    TEND_INTERVAL_S = 60,
    DRAIN_GRACE_MS = 10000,
    /* For all of the end. Kubernetes kills after 30 seconds, systemd after 90. */
    STOP_MAX_S = 25,
};

/* A put of a server that runs beside the command may wait for its row. */
static const int64_t blob_wait_ns = INT64_C(3600) * 1000000000;

static const char usage[] =
    "Usage: chaperone-controlplane --config FILE [--check]\n"
    "       chaperone-controlplane credential set NAME --config FILE\n"
    "       chaperone-controlplane credential list --config FILE\n"
    "       chaperone-controlplane credential remove NAME --config FILE\n"
    "       chaperone-controlplane join-token create --config FILE [--name NAME] [--lifetime T]\n"
    "       chaperone-controlplane blobs sweep --config FILE\n"
    "       chaperone-controlplane log rotate-key --config FILE\n"
    "       chaperone-controlplane log restart --reason TEXT --config FILE\n"
    "\n"
    "The control plane of Chaperone: identities, grants, credentials, policy, and the audit log.\n"
    "\n"
    "  --config FILE     the configuration (docs/controlplane.md)\n"
    "  --check           check the configuration, and exit\n"
    "  --name NAME       of a join token, for people\n"
    "  --lifetime T      of a join token: 90s, 15m, 2h; 15m when not given, 24h at most\n"
    "  --reason TEXT     why a log is ended\n"
    "  --help, --version\n"
    "\n"
    "`credential set` reads the secret from standard input and stores it encrypted.\n"
    "`join-token create` prints a token that lets one sidecar enrol, once.\n"
    "`blobs sweep` deletes blobs that no record names, and prints how many.\n"
    "`log rotate-key` gives the audit log a new key and prints it; the old one signs, too, for a "
    "while.\n"
    "`log restart` ends an audit log that was rolled back or forked and begins another one.\n"
    "\n"
    "SIGHUP reads the configuration again; SIGTERM ends what is open, and exits.\n"
    "Exit codes: 0; 1 when something failed; 2 when the arguments or the configuration are "
    "wrong.\n";

struct arguments {
    const char *config, *name, *lifetime, *reason;
    bool check;
    char **words; /* what is no option; NULL ends it */
    int word_count;
};

static int misuse(const char *sentence)
{
    (void)fprintf(stderr, "chaperone-controlplane: %s\nTry: chaperone-controlplane --help\n",
                  sentence);
    return EXIT_MISUSE;
}

static int failed(enum err e, const struct err_text *why)
{
    (void)fprintf(stderr, "chaperone-controlplane: %s\n",
                  why->text[0] != '\0' ? why->text : err_name(e));
    return e == ERR_INVALID ? EXIT_MISUSE : EXIT_FAILURE;
}

/* Each sidecar holds a connection: the usual soft limit of 1024 files would end at a thousand. */
static void allow_files(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

/* --- the server --------------------------------------------------------------------------------
 */

static sigset_t handled_signals(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGHUP);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    return set;
}

static void reload(struct server *server, const struct log *log)
{
    struct err_text why = {0};
    enum err e = server_reload(server, &why);
    if (e != OK) {
        log_event(log, LOG_ERROR, "configuration_refused", log_text("error", err_name(e)),
                  log_text("reason", why.text), log_text("effect", "the old one stays"));
    }
}

static void run(struct server *server, const struct log *log)
{
    const sigset_t signals = handled_signals();
    const struct timespec interval = {.tv_sec = TEND_INTERVAL_S};
    for (;;) {
        int signal = sigtimedwait(&signals, NULL, &interval);
        if (signal == SIGTERM || signal == SIGINT) {
            log_event(log, LOG_INFO, "stopping", log_text("signal", strsignal(signal)));
            return;
        }
        if (signal == SIGHUP) {
            reload(server, log);
        } else {
            server_tend(server);
        }
    }
}

/* Takes `config`. */
static int serve(struct config *config)
{
    const struct log log = {.fd = STDERR_FILENO,
                            .format = config->log.format,
                            .level = config->log.level,
                            .clock = clock_system()};
    const struct server_options options = {.config = config,
                                           .clock = clock_system(),
                                           .fetcher = identity_fetcher_curl(),
                                           .log = &log,
                                           .version = version};
    const sigset_t signals = handled_signals();
    struct server *server = NULL;
    struct err_text why = {0};
    /* Before any thread is made, so that all signals come to this one. */
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    security_log(&config->security, &log);
    enum err e = server_start(&options, &server, &why);
    if (e != OK) {
        return failed(e, &why);
    }
    run(server, &log);
    stop_limit(STOP_MAX_S);
    server_stop(server, DRAIN_GRACE_MS);
    log_event(&log, LOG_INFO, "stopped");
    return EXIT_SUCCESS;
}

/* Takes `config`. */
static int check(struct config *config, const char *file)
{
    const struct server_options options = {
        .config = config, .clock = clock_system(), .fetcher = identity_fetcher_curl()};
    struct err_text why = {0};
    enum err e = server_check(&options, &why);
    if (e != OK) {
        return failed(e, &why);
    }
    printf("%s: ok\n", file);
    return EXIT_SUCCESS;
}

/* --- commands ----------------------------------------------------------------------------------
 */

static enum err parse_lifetime(const char *text, int64_t *out, struct err_text *why)
{
    char document[64];
    struct conf *conf = NULL;
    (void)snprintf(document, sizeof(document), "lifetime: \"%.32s\"", text);
    enum err e = conf_load_text("--lifetime", bytes_of_string(document), &conf, why);
    if (e == OK) {
        e = conf_read_duration(conf_root(conf), "lifetime", 1000000000, JOIN_TOKEN_LIFETIME_MAX_NS,
                               out, why);
    }
    conf_destroy(conf);
    return e;
}

static bool is_command(const struct arguments *a, int words, const char *first, const char *second)
{
    return a->word_count == words && strcmp(a->words[0], first) == 0 &&
           strcmp(a->words[1], second) == 0;
}

static int administer(const struct arguments *a, const struct config *config)
{
    const struct commands_context context = {.config = config, .clock = clock_system()};
    struct err_text why = {0};
    int64_t lifetime_ns = JOIN_TOKEN_LIFETIME_NS;
    enum err e = OK;
    if (is_command(a, 3, "credential", "set")) {
        e = commands_credential_set(&context, a->words[2], STDIN_FILENO, &why);
    } else if (is_command(a, 2, "credential", "list")) {
        e = commands_credential_list(&context, &why);
    } else if (is_command(a, 3, "credential", "remove")) {
        e = commands_credential_remove(&context, a->words[2], &why);
    } else if (is_command(a, 2, "join-token", "create")) {
        e = a->lifetime == NULL ? OK : parse_lifetime(a->lifetime, &lifetime_ns, &why);
        if (e == OK) {
            e = commands_join_token_create(&context, a->name == NULL ? "" : a->name, lifetime_ns,
                                           &why);
        }
    } else if (is_command(a, 2, "blobs", "sweep")) {
        e = commands_blobs_sweep(&context, blob_wait_ns, &why);
    } else if (is_command(a, 2, "log", "rotate-key")) {
        e = commands_log_rotate_key(&context, &why);
    } else if (is_command(a, 2, "log", "restart")) {
        e = commands_log_restart(&context, a->reason, &why);
    } else {
        return misuse("unknown command, or wrong number of arguments");
    }
    return e == OK ? EXIT_SUCCESS : failed(e, &why);
}

static int load_and_run(const struct arguments *a)
{
    struct config *config = NULL;
    struct err_text why = {0};
    if (a->config == NULL) {
        return misuse("--config FILE is needed");
    }
    if (config_load(a->config, &config, &why) != OK) {
        (void)fprintf(stderr, "%s\n", why.text);
        return EXIT_MISUSE;
    }
    if (a->word_count == 0 && a->check) {
        return check(config, a->config);
    }
    /* The commands, too: what they write belongs to the server's user. */
    enum err e = security_enter(&config->security, CONFINE_CONTROLPLANE, &why);
    if (e != OK) {
        config_release(config);
        return failed(e, &why);
    }
    if (a->word_count == 0) {
        return serve(config);
    }
    int code = administer(a, config);
    config_release(config);
    return code;
}

/* --- arguments ---------------------------------------------------------------------------------
 */

enum option_code {
    OPTION_CONFIG = 1,
    OPTION_CHECK,
    OPTION_NAME,
    OPTION_LIFETIME,
    OPTION_REASON,
    OPTION_HELP,
    OPTION_VERSION
};

/* False: `*out_code` is how the process ends. */
static bool parse(int argc, char **argv, struct arguments *out, int *out_code)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, OPTION_CONFIG},
        {"check", no_argument, NULL, OPTION_CHECK},
        {"name", required_argument, NULL, OPTION_NAME},
        {"lifetime", required_argument, NULL, OPTION_LIFETIME},
        {"reason", required_argument, NULL, OPTION_REASON},
        {"help", no_argument, NULL, OPTION_HELP},
        {"version", no_argument, NULL, OPTION_VERSION},
        {NULL, 0, NULL, 0},
    };
    for (;;) {
        switch (getopt_long(argc, argv, "", options, NULL)) {
        case OPTION_CONFIG: out->config = optarg; break;
        case OPTION_CHECK: out->check = true; break;
        case OPTION_NAME: out->name = optarg; break;
        case OPTION_LIFETIME: out->lifetime = optarg; break;
        case OPTION_REASON: out->reason = optarg; break;
        case OPTION_HELP:
            (void)fputs(usage, stdout);
            *out_code = EXIT_SUCCESS;
            return false;
        case OPTION_VERSION:
            printf("chaperone-controlplane %s\n", version);
            *out_code = EXIT_SUCCESS;
            return false;
        case -1:
            out->words = argv + optind;
            out->word_count = argc - optind;
            return true;
        default:
            (void)fputs("Try: chaperone-controlplane --help\n", stderr);
            *out_code = EXIT_MISUSE;
            return false;
        }
    }
}

int main(int argc, char **argv)
{
    struct arguments arguments = {0};
    int code = EXIT_SUCCESS;
    /* Nothing of this process may end in a core file: it holds credentials. */
    hardening_forbid_dumps();
    allow_files();
    if (!parse(argc, argv, &arguments, &code)) {
        return code;
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
        return misuse("libcurl cannot start");
    }
    code = load_and_run(&arguments);
    curl_global_cleanup();
    return code;
}

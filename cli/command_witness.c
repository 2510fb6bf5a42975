/* witness. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "cli/commands.h"
#include "cli/dev/listen_address.h"
#include "cli/process/watch.h"
#include "cli/text_file.h"
#include "cli/witness/cosigner.h"
#include "cli/witness/http.h"
#include "cli/witness/key.h"

enum { PEM_MAX = 1 << 20, LOGS_MAX = 64 };

const struct option_spec command_witness_options[] = {
    {"dir", 0, OPTION_DIRECTORY, "DIR", "its key and what it has signed (made if need be)", NULL},
    {"listen", 0, OPTION_TEXT, "ADDRESS:PORT", "where logs ask it", NULL},
    {"name", 0, OPTION_TEXT, "NAME", "its name for good, such as witness.example/w1", NULL},
    {"log", 0, OPTION_TEXT, "KEY", "the verifier key of a log; may be given again", NULL},
    {"tls-cert", 0, OPTION_FILE, "FILE", "its certificates (PEM); without them plain HTTP", NULL},
    {"tls-key", 0, OPTION_FILE, "FILE", "the key to --tls-cert", NULL},
    {"show-key", 0, OPTION_FLAG, NULL, "print its verifier key and end", NULL},
    {0},
};

/* What of a run must be given back. */
struct witness_run {
    struct cosigner *cosigner;
    struct witness_http *http;
    struct watch watch;
    struct buffer certificate, key;
    struct log log;
};

/* ---- starting -------------------------------------------------------------------------------- */

static enum err create_cosigner(const struct invocation *i, const struct log *log,
                                struct cosigner **out, struct err_text *error)
{
    const char *logs[LOGS_MAX];
    size_t count = 0;
    while (count < LOGS_MAX && options_each(&i->options, "log", count) != NULL) {
        logs[count] = options_each(&i->options, "log", count);
        count++;
    }
    struct cosigner_options options = {.directory = options_value(&i->options, "dir"),
                                       .name = options_value(&i->options, "name"),
                                       .logs = logs,
                                       .log_count = count,
                                       .clock = i->clock,
                                       .log = log};
    return cosigner_create(&options, out, error);
}

static void print_key(const struct invocation *i, const char *label,
                      const struct tlog_verifier *verifier)
{
    struct buffer text;
    buffer_init(&text, TLOG_VERIFIER_TEXT_MAX);
    if (tlog_verifier_format(verifier, &text) == OK) {
        struct bytes key = buffer_bytes(&text);
        (void)fprintf(i->out.out, "%s%.*s\n", label, (int)key.size, (const char *)key.data);
    }
    buffer_finish(&text);
}

/* Prints it also while the witness runs; makes it where there is none. */
static int show_key(const struct invocation *i)
{
    struct err_text error = {0};
    struct tlog_verifier verifier;
    struct cosigner *cosigner = NULL;
    enum err e = witness_key_show(options_value(&i->options, "dir"), &verifier, &error);
    if (e == ERR_NOT_FOUND) {
        e = create_cosigner(i, NULL, &cosigner, &error);
        if (e == OK) {
            verifier = *cosigner_verifier(cosigner);
        }
        cosigner_destroy(cosigner);
    }
    if (e != OK) {
        return command_fail(i, EXIT_NO, "%s", error.text);
    }
    print_key(i, "", &verifier);
    return EXIT_YES;
}

static enum err to_sockaddr(const struct listen_address *a, struct sockaddr_storage *out)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)out;
    memset(out, 0, sizeof(*out));
    if (!a->is_unix && inet_pton(AF_INET, a->host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(a->port);
        return OK;
    }
    if (!a->is_unix && inet_pton(AF_INET6, a->host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(a->port);
        return OK;
    }
    return ERR_INVALID;
}

/* Appends a NUL: it is used as a text. */
static enum err read_pem(const char *path, struct buffer *out, struct err_text *error)
{
    enum err e = text_file_read(path, PEM_MAX - 2, out, error);
    if (e == OK && buffer_append(out, bytes_of("", 1)) != OK) {
        e = err_set(error, ERR_LIMIT, "%s: too large", path);
    }
    return e;
}

static enum err read_tls(const struct invocation *i, struct witness_run *run,
                         struct witness_http_options *out, struct err_text *error)
{
    const char *certificate = options_value(&i->options, "tls-cert");
    const char *key = options_value(&i->options, "tls-key");
    struct stat s;
    if (certificate == NULL) {
        return OK;
    }
    if (stat(key, &s) == 0 && (s.st_mode & 077) != 0) {
        return err_set(error, ERR_DENIED,
                       "%s is a key that others than its owner may use; expected mode 0600", key);
    }
    enum err e = read_pem(certificate, &run->certificate, error);
    if (e == OK) {
        e = read_pem(key, &run->key, error);
    }
    out->certificate = (const char *)buffer_bytes(&run->certificate).data;
    out->key = (const char *)buffer_bytes(&run->key).data;
    return e;
}

static enum err start(const struct invocation *i, const struct listen_address *listen,
                      struct witness_run *run, struct err_text *error)
{
    struct sockaddr_storage address;
    struct witness_http_options options = {.address = (const struct sockaddr *)(void *)&address,
                                           .clock = i->clock};
    struct listen_address bound = *listen;
    char text[sizeof(bound.host) + 16];
    if (to_sockaddr(listen, &address) != OK) {
        return err_set(error, ERR_INVALID, "--listen: expected ADDRESS:PORT");
    }
    enum err e = read_tls(i, run, &options, error);
    /* Before there is another thread. */
    if (e == OK && watch_init(&run->watch) != OK) {
        e = err_set(error, ERR_IO, "signals cannot be waited for: %s", strerror(errno));
    }
    if (e == OK) {
        e = create_cosigner(i, &run->log, &run->cosigner, error);
    }
    if (e == OK) {
        e = witness_http_start(run->cosigner, &options, &run->http, &bound.port, error);
    }
    if (e != OK) {
        return e;
    }
    listen_address_format(&bound, text, sizeof(text));
    print_key(i, "key: ", cosigner_verifier(run->cosigner));
    (void)fprintf(i->out.out, "logs: %zu\nready: %s://%s/\n", cosigner_log_count(run->cosigner),
                  options.certificate == NULL ? "http" : "https", text);
    return fflush(i->out.out) == 0 ? OK : err_set(error, ERR_IO, "cannot write the output");
}

/* ---- running --------------------------------------------------------------------------------- */

static void reload(const struct invocation *i, struct witness_run *run)
{
    struct err_text error = {0};
    if (cosigner_reload(run->cosigner, &error) != OK) {
        (void)command_fail(i, EXIT_NO, "the logs stay as they were: %s", error.text);
        (void)fflush(i->errors.out);
        return;
    }
    log_event(&run->log, LOG_INFO, "reloaded",
              log_number("logs", (int64_t)cosigner_log_count(run->cosigner)));
}

static int wait_for_the_end(const struct invocation *i, struct witness_run *run)
{
    for (;;) {
        bool from_terminal = false;
        (void)watch_wait(&run->watch, -1);
        switch (watch_take_signal(&run->watch, &from_terminal)) {
        case SIGHUP: reload(i, run); break;
        case SIGINT: return EXIT_INTERRUPTED;
        case SIGTERM: return EXIT_YES;
        default: break;
        }
    }
}

static enum err check(const struct options *o, struct listen_address *out, struct err_text *error)
{
    const char *listen = options_value(o, "listen");
    bool has_certificate = options_value(o, "tls-cert") != NULL;
    if (options_value(o, "dir") == NULL) {
        return err_set(error, ERR_INVALID, "--dir DIR is needed: its key is kept there");
    }
    if (options_flag(o, "show-key")) {
        return OK;
    }
    if (listen == NULL) {
        return err_set(error, ERR_INVALID, "--listen ADDRESS:PORT is needed");
    }
    if (has_certificate != (options_value(o, "tls-key") != NULL)) {
        return err_set(error, ERR_INVALID, "--tls-cert and --tls-key go together");
    }
    enum err e = listen_address_parse(listen, out, error);
    return e == OK && out->is_unix
               ? err_set(error, ERR_INVALID, "--listen: expected ADDRESS:PORT, not a unix socket")
               : e;
}

static void harden(void)
{
    const struct rlimit none = {0, 0};
    /* A peer that went away is no reason to end. */
    (void)signal(SIGPIPE, SIG_IGN);
    /* The key is in memory: no core file has it. */
    (void)setrlimit(RLIMIT_CORE, &none);
#if !defined(__SANITIZE_ADDRESS__)
    /* Also where a pipe takes the core, which the limit does not stop. A sanitizer needs ptrace. */
    (void)prctl(PR_SET_DUMPABLE, 0);
#endif
}

int command_witness(struct invocation *i)
{
    struct err_text error = {0};
    struct listen_address listen = {0};
    struct witness_run run = {.watch = {.fd = -1, .signal_fd = -1},
                              .log = {.fd = fileno(i->errors.out),
                                      .format = i->errors.is_terminal ? LOG_HUMAN : LOG_JSON,
                                      .level = LOG_INFO,
                                      .clock = i->clock}};
    if (check(&i->options, &listen, &error) != OK) {
        return command_misuse(i, &error);
    }
    if (options_flag(&i->options, "show-key")) {
        return show_key(i);
    }
    harden();
    int code = start(i, &listen, &run, &error) == OK ? wait_for_the_end(i, &run)
                                                     : command_fail(i, EXIT_NO, "%s", error.text);
    witness_http_stop(run.http);
    cosigner_destroy(run.cosigner);
    watch_finish(&run.watch);
    buffer_finish(&run.certificate);
    buffer_wipe(&run.key);
    return code;
}

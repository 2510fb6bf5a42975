#include "cli/remote.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* A kill waits for the sidecar's word; nothing else takes long. */
enum { CALL_DEADLINE_MS = 30000 };

int remote_open_signals(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) {
        return -1;
    }
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int remote_signal_exit(int signal_fd)
{
    struct signalfd_siginfo info;
    bool known = read(signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info);
    return known ? 128 + (int)info.ssi_signo : EXIT_INTERRUPTED;
}

static int fail_open(const struct invocation *i, enum err e, const struct err_text *error)
{
    if (e == ERR_INVALID) {
        return command_misuse(i, error);
    }
    return command_fail(i, e == ERR_UNAVAILABLE || e == ERR_TIMEOUT ? EXIT_UNREACHABLE : EXIT_NO,
                        "%s", error->text[0] != '\0' ? error->text : err_name(e));
}

int remote_open(const struct invocation *i, struct remote *out)
{
    struct err_text error = {0};
    *out = (struct remote){.signal_fd = remote_open_signals()};
    if (out->signal_fd < 0) {
        return command_fail(i, EXIT_NO, "signalfd: %s", strerror(errno));
    }
    enum err e = settings_find(&i->options, &i->clock, &out->settings, &error);
    if (e != OK) {
        remote_close(out);
        return fail_open(i, e, &error);
    }
    struct client_options options = {.server = out->settings.server,
                                     .ca_file = out->settings.ca_file,
                                     .token = out->settings.token,
                                     .interrupt_fd = out->signal_fd};
    e = client_open(&options, &out->client, &error);
    if (e != OK) {
        remote_close(out);
        return command_fail(i, EXIT_NO, "%s", error.text[0] != '\0' ? error.text : err_name(e));
    }
    return EXIT_YES;
}

void remote_close(struct remote *r)
{
    client_close(r->client);
    settings_finish(&r->settings);
    if (r->signal_fd >= 0) {
        (void)close(r->signal_fd);
    }
    *r = (struct remote){.signal_fd = -1};
}

/* gRPC tells the whole way to the failure; its last step is what a person can act on. */
static const char *last_cause(const char *message)
{
    static const char marker[] = "last error: ";
    for (const char *at = strstr(message, marker); at != NULL; at = strstr(message, marker)) {
        message = at + sizeof(marker) - 1;
    }
    return message;
}

static int unreachable(const struct invocation *i, const struct remote *r,
                       const struct rpc_status *status)
{
    const char *hint = r->settings.hint != NULL ? r->settings.hint
                                                : "check that it runs, and that --server and --ca "
                                                  "are its address and its CA";
    return command_fail(i, EXIT_UNREACHABLE, "cannot reach the control plane at %s: %s\n%s",
                        r->settings.server, last_cause(status->message), hint);
}

int remote_exit(const struct invocation *i, const struct remote *r, const struct client_end *end)
{
    const struct rpc_status *status = &end->status;
    if (end->interrupted) {
        return remote_signal_exit(r->signal_fd);
    }
    switch (status->code) {
    case RPC_OK: return EXIT_YES;
    case RPC_UNAVAILABLE: return unreachable(i, r, status);
    case RPC_DEADLINE_EXCEEDED:
        return command_fail(i, EXIT_UNREACHABLE, "no answer in time from %s: %s",
                            r->settings.server, status->message);
    case RPC_UNAUTHENTICATED:
        return command_fail(i, EXIT_NO, "the control plane does not accept the token of %s: %s",
                            r->settings.origin, status->message);
    case RPC_PERMISSION_DENIED:
    case RPC_NOT_FOUND:
    case RPC_INVALID_ARGUMENT:
    case RPC_FAILED_PRECONDITION: return command_fail(i, EXIT_NO, "%s", status->message);
    default:
        return command_fail(i, EXIT_NO, "%s: %s", rpc_code_name(status->code), status->message);
    }
}

int remote_call(const struct invocation *i, struct remote *r,
                const ProtobufCServiceDescriptor *service, const char *method,
                const ProtobufCMessage *request, ProtobufCMessage **out_reply)
{
    struct client_end end;
    client_call(r->client, service, method, request,
                (struct client_wait){.deadline_ms = CALL_DEADLINE_MS}, out_reply, &end);
    return remote_exit(i, r, &end);
}

int remote_flush(const struct invocation *i)
{
    if (fflush(i->out.out) == 0 && ferror(i->out.out) == 0) {
        return EXIT_YES;
    }
    /* Whoever read it has seen enough: `chaperone audit search | head`. */
    return errno == EPIPE
               ? EXIT_NO
               : command_fail(i, EXIT_NO, "cannot write the output: %s", strerror(errno));
}

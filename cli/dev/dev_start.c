/* From a prepared stack to one that clients can connect to. */
#include <stdlib.h>
#include <sys/un.h>

#include "api/operator.pb-c.h"
#include "cli/dev/dev_internal.h"
#include "cli/dev/stack_files.h"
#include "cli/process/service.h"

enum {
    /* A first start makes keys and a database; a slow machine under a sanitizer is allowed for. */
    START_DEADLINE_MS = 60000,
    LOOK_EVERY_MS = 20,
    /* A healthy start takes less; from then on a person wants to know what is waited for. */
    PATIENCE_MS = 5000,
    PROBE_TIMEOUT_MS = 500,
    JOIN_TOKEN_LIFETIME_S = 600,
};

/* The first error of a start, or that it was told to stop. */
static enum dev_end give_up(enum dev_news news)
{
    return news == DEV_TOLD_TO_STOP ? DEV_INTERRUPTED : DEV_FAILED;
}

/* Looks again and again, but wakes at once when a child ends or a signal comes. */
static enum dev_end wait_until(struct dev *dev, bool (*is_so)(struct dev *dev), const char *what,
                               struct err_text *error)
{
    int64_t start = clock_monotonic(&dev->clock);
    bool said = false;
    while (!is_so(dev)) {
        (void)watch_wait(&dev->watch, LOOK_EVERY_MS);
        enum dev_news news = dev_look(dev);
        if (news != DEV_NOTHING) {
            return give_up(news);
        }
        int64_t waited_ms = (clock_monotonic(&dev->clock) - start) / 1000000;
        if (waited_ms > PATIENCE_MS && !said) {
            dev_say(dev, "still waiting: %s", what);
            said = true;
        }
        if (waited_ms > START_DEADLINE_MS) {
            (void)err_set(error, ERR_TIMEOUT, "%s within %d seconds", what,
                          START_DEADLINE_MS / 1000);
            return DEV_FAILED;
        }
    }
    return DEV_STOPPED;
}

static enum dev_end start_service(struct dev *dev, struct dev_service *service,
                                  struct err_text *error)
{
    char binary[PATH_MAX];
    char config[PATH_MAX];
    char log[PATH_MAX];
    enum err e = service_find(service->name, service->folder, binary, error);
    stack_path(&dev->stack, service->config_file, config);
    stack_path(&dev->stack, service->log_file, log);
    char option[] = "--config";
    char *argv[] = {binary, option, config, NULL};
    struct process_options options = {.argv = argv, .log_file = log, .background = true};
    service->log_start = service_log_size(log);
    e = e != OK ? e : process_start(&options, &service->process, error);
    e = e != OK ? e : watch_add(&dev->watch, &service->process);
    return e == OK ? DEV_STOPPED : DEV_FAILED;
}

static bool control_plane_listens(struct dev *dev)
{
    return stack_has(&dev->stack, STACK_CA) &&
           service_accepts("127.0.0.1", dev->stack.server_port, PROBE_TIMEOUT_MS);
}

static enum service_health ask_sidecar(const struct dev *dev, char reason[SERVICE_REASON_SIZE])
{
    char address[32];
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", dev->stack.health_port);
    return service_ask_ready(address, reason);
}

static bool sidecar_is_ready(struct dev *dev)
{
    char reason[SERVICE_REASON_SIZE];
    return ask_sidecar(dev, reason) == SERVICE_READY;
}

static enum dev_end open_client(struct dev *dev, const char *token, struct err_text *error)
{
    char server[32];
    char ca[PATH_MAX];
    (void)snprintf(server, sizeof(server), "127.0.0.1:%u", dev->stack.server_port);
    stack_path(&dev->stack, STACK_CA, ca);
    struct client_options options = {
        .server = server, .ca_file = ca, .token = token, .interrupt_fd = dev->watch.fd};
    return client_open(&options, &dev->client, error) == OK ? DEV_STOPPED : DEV_FAILED;
}

/* One call, until it is answered. NULL: `*out_end` says why not. */
static ProtobufCMessage *ask(struct dev *dev, const char *method, const ProtobufCMessage *request,
                             enum dev_end *out_end, struct err_text *error)
{
    ProtobufCMessage *reply = NULL;
    struct client_end end;
    client_call(dev->client, &chaperone__v1__administration__descriptor, method, request,
                (struct client_wait){.deadline_ms = START_DEADLINE_MS, .for_server = true}, &reply,
                &end);
    if (reply != NULL) {
        return reply;
    }
    enum dev_news news = end.interrupted ? dev_look(dev) : DEV_NOTHING;
    *out_end = give_up(news);
    if (news == DEV_NOTHING) {
        (void)err_set(error, ERR_UNAVAILABLE, "the control plane does not answer: %s: %.300s",
                      rpc_code_name(end.status.code), end.status.message);
    }
    return NULL;
}

/* The token by which the sidecar enrols itself; one that is enrolled does not need it, but its
 * identity may have ended while the stack was down. */
static enum dev_end write_join_token(struct dev *dev, struct err_text *error)
{
    Chaperone__V1__CreateJoinTokenRequest request = CHAPERONE__V1__CREATE_JOIN_TOKEN_REQUEST__INIT;
    char name[] = "chaperone dev";
    enum dev_end end = DEV_FAILED;
    request.name = name;
    request.lifetime_s = JOIN_TOKEN_LIFETIME_S;
    ProtobufCMessage *reply = ask(dev, "CreateJoinToken", &request.base, &end, error);
    if (reply == NULL) {
        return end;
    }
    const Chaperone__V1__CreateJoinTokenResponse *answer =
        (const Chaperone__V1__CreateJoinTokenResponse *)reply;
    if (stack_write(&dev->stack, "join.token", bytes_of_string(answer->token), error) == OK) {
        end = DEV_STOPPED;
    }
    protobuf_c_message_free_unpacked(reply, NULL);
    return end;
}

static enum dev_end start_control_plane(struct dev *dev, struct err_text *error)
{
    char *token = NULL;
    enum err e = tokens_start(&dev->stack, &dev->identity, dev->clock, &dev->tokens, error);
    e = e != OK ? e : stack_save(&dev->stack, error);
    e = e != OK ? e : tokens_refresh(dev->tokens, &token, error);
    e = e != OK ? e
                : stack_write_controlplane(&dev->stack, &dev->identity,
                                           tokens_issuer_url(dev->tokens), error);
    enum dev_end end = e == OK ? DEV_STOPPED : DEV_FAILED;
    if (end == DEV_STOPPED) {
        dev_say(dev, "starting the control plane on 127.0.0.1:%u", dev->stack.server_port);
        end = start_service(dev, &dev->services[DEV_CONTROL_PLANE], error);
    }
    if (end == DEV_STOPPED) {
        end = wait_until(dev, control_plane_listens, "the control plane does not listen", error);
    }
    if (end == DEV_STOPPED) {
        end = open_client(dev, token, error);
    }
    if (token != NULL) {
        bytes_wipe(token, strlen(token));
        free(token);
    }
    return end;
}

static enum dev_end start_sidecar(struct dev *dev, struct err_text *error)
{
    enum dev_end end = write_join_token(dev, error);
    if (end != DEV_STOPPED) {
        return end;
    }
    if (stack_write_sidecar(&dev->stack, error) != OK ||
        stack_write_cli(&dev->stack, error) != OK) {
        return DEV_FAILED;
    }
    if (dev->stack.host != NULL) {
        dev_say(dev, "starting the sidecar on %s", dev->stack.listen);
    } else {
        dev_say(dev, "starting the sidecar");
    }
    end = start_service(dev, &dev->services[DEV_SIDECAR], error);
    if (end != DEV_STOPPED) {
        return end;
    }
    end = wait_until(dev, sidecar_is_ready, "the sidecar is not ready", error);
    if (end == DEV_FAILED && error->text[0] != '\0') {
        char reason[SERVICE_REASON_SIZE];
        (void)ask_sidecar(dev, reason);
        dev_say(dev, "the sidecar says: %s", reason[0] == '\0' ? "nothing" : reason);
    }
    return end;
}

/* A newcomer's commonest mistake, told before the first psql fails. */
static void probe_upstream(const struct dev *dev)
{
    const struct stack *s = &dev->stack;
    if (s->host == NULL) {
        return;
    }
    bool is_address = s->host[0] != '/' && strspn(s->host, "0123456789.:abcdef") == strlen(s->host);
    bool is_local = strcmp(s->host, "localhost") == 0;
    if ((is_address || is_local) && !service_accepts(s->host, s->port, PROBE_TIMEOUT_MS)) {
        dev_say(dev, "warning: nothing answers at %s:%u, where the database should be", s->host,
                s->port);
    }
}

enum dev_end dev_start(struct dev *dev, struct err_text *error)
{
    probe_upstream(dev);
    enum dev_end end = start_control_plane(dev, error);
    return end == DEV_STOPPED ? start_sidecar(dev, error) : end;
}

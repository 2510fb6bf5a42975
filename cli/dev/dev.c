#include "cli/dev/dev.h"

#include <signal.h>
#include <stdlib.h>

#include "cli/dev/dev_internal.h"
#include "cli/process/service.h"

enum {
    /* Longer than the sidecar's own drain (30 s), so that it is never killed for doing it. */
    SIDECAR_GRACE_MS = 40000,
    CONTROL_PLANE_GRACE_MS = 20000,
};

/* SIGHUP asks the services to read their configuration again, as a service would. */
static void take_hangup(struct dev *dev)
{
    for (size_t i = 0; i < DEV_SERVICES; i++) {
        process_signal(&dev->services[i].process, SIGHUP);
    }
}

enum dev_news dev_look(struct dev *dev)
{
    bool from_terminal = false;
    for (int signal = 0; (signal = watch_take_signal(&dev->watch, &from_terminal)) != 0;) {
        if (signal == SIGHUP && !from_terminal) {
            take_hangup(dev);
        } else if (signal != SIGUSR1 && signal != SIGUSR2) {
            return DEV_TOLD_TO_STOP;
        }
    }
    for (size_t i = 0; i < DEV_SERVICES; i++) {
        struct process *p = &dev->services[i].process;
        if (p->fd >= 0 && process_wait(p, 0)) {
            return DEV_CHILD_ENDED;
        }
    }
    return DEV_NOTHING;
}

static void report_ended(const struct dev *dev)
{
    for (size_t i = 0; i < DEV_SERVICES; i++) {
        const struct dev_service *s = &dev->services[i];
        char end[PROCESS_END_SIZE];
        char log[PATH_MAX];
        if (!s->process.ended) {
            continue;
        }
        stack_path(&dev->stack, s->log_file, log);
        process_describe_end(&s->process, end);
        terminal_style(&dev->errors, STYLE_BAD);
        (void)fprintf(dev->errors.out, "the %s ended with %s", s->title, end);
        terminal_style(&dev->errors, STYLE_PLAIN);
        (void)fprintf(dev->errors.out, "; the last lines of %s:\n", log);
        service_print_log_tail(dev->errors.out, log, s->log_start);
    }
}

static void stop_service(struct dev *dev, struct dev_service *s, int grace_ms)
{
    if (s->process.fd < 0) {
        return;
    }
    dev_say(dev, "stopping the %s", s->title);
    /* Told a second time, it does not wait any longer. */
    if (!process_stop(&s->process, grace_ms, dev->watch.signal_fd)) {
        dev_say(dev, "the %s had to be killed", s->title);
    }
    /* That was about this one; the next one has its own time. */
    bool from_terminal = false;
    while (watch_take_signal(&dev->watch, &from_terminal) != 0) {
    }
}

static void stop(struct dev *dev)
{
    client_close(dev->client);
    dev->client = NULL;
    stop_service(dev, &dev->services[DEV_SIDECAR], SIDECAR_GRACE_MS);
    stop_service(dev, &dev->services[DEV_CONTROL_PLANE], CONTROL_PLANE_GRACE_MS);
    tokens_stop(dev->tokens);
    dev->tokens = NULL;
}

/* Until something ends it; the tokens are kept fresh meanwhile. */
static enum dev_end serve(struct dev *dev, struct err_text *error)
{
    const int64_t refresh_ns = (int64_t)TOKENS_REFRESH_S * 1000000000;
    int64_t next = clock_monotonic(&dev->clock) + refresh_ns;
    for (;;) {
        int64_t left_ms = (next - clock_monotonic(&dev->clock)) / 1000000;
        if (left_ms <= 0) {
            if (tokens_refresh(dev->tokens, NULL, error) != OK) {
                return DEV_FAILED;
            }
            next = clock_monotonic(&dev->clock) + refresh_ns;
            continue;
        }
        (void)watch_wait(&dev->watch, (int)left_ms);
        switch (dev_look(dev)) {
        case DEV_TOLD_TO_STOP: return DEV_STOPPED;
        case DEV_CHILD_ENDED: return DEV_FAILED;
        case DEV_NOTHING: break;
        }
    }
}

/* One line that can be pasted; where there is a database it is about that. */
static void announce(const struct dev *dev)
{
    const struct stack *s = &dev->stack;
    for (size_t i = 0; i < s->http_count; i++) {
        dev_say(dev, "%s: http://127.0.0.1:%u leads to %s", s->http[i].name, s->http[i].port,
                s->http[i].address);
    }
    (void)fputs("ready: ", dev->out.out);
    if (s->host != NULL) {
        listen_address_print_psql(dev->out.out, &dev->listen, dev->identity.subject, s->database);
    } else {
        (void)fprintf(dev->out.out, "curl http://127.0.0.1:%u/", s->http[0].port);
    }
    (void)fputc('\n', dev->out.out);
    (void)fflush(dev->out.out);
}

enum dev_end dev_run(struct dev *dev, struct err_text *error)
{
    /* Whoever read what it says may have gone: the services are stopped in order all the same. */
    (void)signal(SIGPIPE, SIG_IGN);
    enum dev_end end = dev_start(dev, error);
    if (end == DEV_STOPPED) {
        announce(dev);
        end = serve(dev, error);
    }
    if (end == DEV_FAILED) {
        report_ended(dev);
    }
    stop(dev);
    return end;
}

void dev_destroy(struct dev *dev)
{
    if (dev != NULL) {
        watch_finish(&dev->watch);
        stack_close(&dev->stack);
        free(dev);
    }
}

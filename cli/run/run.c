#include "cli/run/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/process/process.h"
#include "cli/process/service.h"
#include "cli/process/watch.h"
#include "cli/run/run_environment.h"
#include "formats/text.h"

enum {
    READY_DEADLINE_MS = 60000,
    LOOK_EVERY_MS = 20,
    /* A healthy start takes less; from then on a person wants to know what is waited for. */
    PATIENCE_MS = 3000,
    /* Longer than the sidecar's own drain (30 s). */
    SIDECAR_GRACE_MS = 40000,
};

struct run {
    const struct run_options *options;
    struct run_config config;
    struct watch watch;
    struct process sidecar, command;
    char directory[PATH_MAX]; /* private, removed at the end */
    char config_file[PATH_MAX + 16];
    char log_file[PATH_MAX + 16];
    long log_start;
};

static void say(const struct run *r, const char *format, ...) PRINTF_LIKE(2, 3);
static void say(const struct run *r, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)fputs("chaperone: ", r->options->errors.out);
    text_write(r->options->errors.out, bytes_of_string(text), TEXT_LINES);
    (void)fputc('\n', r->options->errors.out);
}

static enum err make_directory(struct run *r, struct err_text *error)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    const char *temporary = getenv("TMPDIR");
    const char *base = runtime != NULL && access(runtime, W_OK) == 0       ? runtime
                       : temporary != NULL && access(temporary, W_OK) == 0 ? temporary
                                                                           : "/tmp";
    (void)snprintf(r->directory, sizeof(r->directory), "%s/chaperone-run.XXXXXX", base);
    if (mkdtemp(r->directory) == NULL) {
        enum err e = err_set(error, ERR_IO, "%s: %s", base, strerror(errno));
        r->directory[0] = '\0';
        return e;
    }
    (void)snprintf(r->config_file, sizeof(r->config_file), "%s/sidecar.yaml", r->directory);
    if (r->options->sidecar_log != NULL) {
        (void)snprintf(r->log_file, sizeof(r->log_file), "%s", r->options->sidecar_log);
    } else {
        (void)snprintf(r->log_file, sizeof(r->log_file), "%s/sidecar.log", r->directory);
    }
    return OK;
}

static enum err write_config(const struct run *r, struct err_text *error)
{
    int fd = open(r->config_file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    bool written = f != NULL && fputs(r->config.text, f) >= 0;
    written = (f == NULL || fclose(f) == 0) && written;
    return written ? OK : err_set(error, ERR_IO, "%s: %s", r->config_file, strerror(errno));
}

static enum err start_sidecar(struct run *r, struct err_text *error)
{
    char binary[PATH_MAX];
    char option[] = "--config";
    char *argv[] = {binary, option, r->config_file, NULL};
    struct process_options options = {.argv = argv, .log_file = r->log_file, .background = true};
    r->log_start = service_log_size(r->log_file);
    enum err e = service_find("chaperone-sidecar", "sidecar", binary, error);
    e = e != OK ? e : process_start(&options, &r->sidecar, error);
    return e != OK ? e : watch_add(&r->watch, &r->sidecar);
}

static enum err fail_ended(const struct run *r, struct err_text *error)
{
    char end[PROCESS_END_SIZE];
    process_describe_end(&r->sidecar, end);
    say(r, "the sidecar ended with %s; its last words:", end);
    service_print_log_tail(r->options->errors.out, r->log_file, r->log_start);
    return err_set(error, ERR_UNAVAILABLE, "the command was not started");
}

static enum err wait_ready(struct run *r, int *out_signal, struct err_text *error)
{
    char reason[SERVICE_REASON_SIZE] = "";
    bool from_terminal = false;
    bool said = false;
    int64_t start = clock_monotonic(&r->options->clock);
    while (service_ask_ready(r->config.health, reason) != SERVICE_READY) {
        (void)watch_wait(&r->watch, LOOK_EVERY_MS);
        *out_signal = watch_take_signal(&r->watch, &from_terminal);
        if (*out_signal != 0) {
            return ERR_CLOSED;
        }
        if (process_wait(&r->sidecar, 0)) {
            return fail_ended(r, error);
        }
        int64_t waited_ms = (clock_monotonic(&r->options->clock) - start) / 1000000;
        if (waited_ms > PATIENCE_MS && !said) {
            say(r, "waiting for the sidecar: %s", reason[0] == '\0' ? "it starts" : reason);
            said = true;
        }
        if (waited_ms > READY_DEADLINE_MS) {
            return err_set(error, ERR_TIMEOUT,
                           "the sidecar is not ready within %d seconds; it says: %s",
                           READY_DEADLINE_MS / 1000, reason[0] == '\0' ? "nothing" : reason);
        }
    }
    return OK;
}

/* Signals that a process sends to us are meant for the command; what the terminal sends, it has
 * got itself. */
static void forward_signals(const struct run *r)
{
    bool from_terminal = false;
    for (int signal = 0; (signal = watch_take_signal(&r->watch, &from_terminal)) != 0;) {
        if (!from_terminal) {
            process_signal(&r->command, signal);
        }
    }
}

static void wait_command(struct run *r)
{
    while (!process_wait(&r->command, 0)) {
        (void)watch_wait(&r->watch, -1);
        forward_signals(r);
        if (r->sidecar.fd >= 0 && process_wait(&r->sidecar, 0)) {
            char end[PROCESS_END_SIZE];
            process_describe_end(&r->sidecar, end);
            say(r,
                "the sidecar ended with %s while the command runs: it cannot reach anything any "
                "more",
                end);
            service_print_log_tail(r->options->errors.out, r->log_file, r->log_start);
        }
    }
}

static int execute(struct run *r, struct err_text *error)
{
    struct err_text note = {0};
    struct process_options options = {.argv = r->options->argv};
    if (run_environment_set(&r->config, &note) != OK) {
        (void)err_set(error, ERR_NO_MEMORY, "out of memory");
        return RUN_FAILED;
    }
    if (note.text[0] != '\0') {
        say(r, "%s", note.text);
    }
    if (process_start(&options, &r->command, error) != OK) {
        return r->command.start_errno == ENOENT ? RUN_NOT_FOUND : RUN_NOT_EXECUTABLE;
    }
    if (watch_add(&r->watch, &r->command) != OK) {
        (void)process_stop(&r->command, 0, -1);
        return RUN_FAILED;
    }
    wait_command(r);
    return process_exit_code(&r->command);
}

static int run(struct run *r, struct err_text *error)
{
    int signal = 0;
    struct run_config_options options = {.file = r->options->config_file,
                                         .resource = r->options->resource,
                                         .directory = r->directory,
                                         .use_socket = r->options->use_socket};
    enum err e = make_directory(r, error);
    e = e != OK ? e : run_config_make(&options, &r->config, error);
    e = e != OK ? e : write_config(r, error);
    e = e != OK ? e : watch_init(&r->watch);
    e = e != OK ? e : start_sidecar(r, error);
    e = e != OK ? e : wait_ready(r, &signal, error);
    if (signal != 0) {
        return 128 + signal;
    }
    if (e != OK && error->text[0] == '\0') {
        (void)err_set(error, e, "%s", err_name(e));
    }
    return e != OK ? RUN_FAILED : execute(r, error);
}

static void clean_up(struct run *r)
{
    char socket[PATH_MAX + 32];
    if (r->sidecar.fd >= 0 && !process_stop(&r->sidecar, SIDECAR_GRACE_MS, r->watch.signal_fd)) {
        say(r, "the sidecar had to be killed; what it had not sent yet is in its spool");
    }
    watch_finish(&r->watch);
    if (r->directory[0] != '\0') {
        (void)snprintf(socket, sizeof(socket), "%s/.s.PGSQL.5432", r->directory);
        (void)unlink(r->config_file);
        (void)unlink(socket);
        if (r->options->sidecar_log == NULL) {
            (void)unlink(r->log_file);
        }
        (void)rmdir(r->directory);
    }
    free(r->config.text);
}

int run_command(const struct run_options *options, struct err_text *error)
{
    struct run r = {.options = options, .sidecar = process_none(), .command = process_none()};
    r.watch = (struct watch){.fd = -1, .signal_fd = -1};
    int code = run(&r, error);
    clean_up(&r);
    return code;
}

#include "sidecar/token_source.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

struct token_source {
    char *file, *environment;
    char **command;
};

static char *copy_or_null(const char *text, bool *failed)
{
    char *copy = text == NULL ? NULL : strdup(text);
    *failed = *failed || (text != NULL && copy == NULL);
    return copy;
}

enum err token_source_create(const struct token_source_options *options, struct token_source **out)
{
    bool failed = false;
    struct token_source *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return ERR_NO_MEMORY;
    }
    s->file = copy_or_null(options->file, &failed);
    s->environment = copy_or_null(options->environment, &failed);
    if (options->command != NULL) {
        size_t n = 0;
        while (options->command[n] != NULL) {
            n++;
        }
        s->command = calloc(n + 1, sizeof(*s->command));
        for (size_t i = 0; s->command != NULL && i < n; i++) {
            s->command[i] = copy_or_null(options->command[i], &failed);
        }
        failed = failed || s->command == NULL;
    }
    if (failed) {
        token_source_destroy(s);
        return ERR_NO_MEMORY;
    }
    *out = s;
    return OK;
}

void token_source_destroy(struct token_source *s)
{
    if (s == NULL) {
        return;
    }
    for (size_t i = 0; s->command != NULL && s->command[i] != NULL; i++) {
        free(s->command[i]);
    }
    free(s->command);
    free(s->file);
    free(s->environment);
    free(s);
}

bool token_source_is_quick(const struct token_source *s)
{
    return s->command == NULL;
}

/* Reads to the end or to TOKEN_MAX; waits at most until `deadline_ms` of the monotonic clock (0:
 * not at all, it is a file). */
static int64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static enum err read_all(int fd, int64_t deadline_ms, struct buffer *out)
{
    for (;;) {
        if (deadline_ms != 0) {
            struct pollfd wait = {.fd = fd, .events = POLLIN};
            int64_t left = deadline_ms - now_ms();
            if (left <= 0 || poll(&wait, 1, (int)left) == 0) {
                return ERR_TIMEOUT;
            }
        }
        uint8_t *room = buffer_reserve(out, 1024);
        if (room == NULL) {
            return ERR_LIMIT;
        }
        ssize_t n = read(fd, room, 1024);
        if (n == 0) {
            return OK;
        }
        if (n < 0 && errno != EINTR) {
            return ERR_IO;
        }
        buffer_commit(out, n > 0 ? (size_t)n : 0);
    }
}

static enum err read_file(const struct token_source *s, struct buffer *out, struct err_text *why)
{
    int fd = open(s->file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return err_set(why, ERR_NOT_FOUND, "the agent's token file %s cannot be read: %s", s->file,
                       strerror(errno));
    }
    enum err e = read_all(fd, 0, out);
    (void)close(fd);
    return e == OK ? OK
                   : err_set(why, e, "the agent's token file %s cannot be read: %s", s->file,
                             e == ERR_LIMIT ? "it is longer than 16 KiB" : err_name(e));
}

static enum err read_environment(const struct token_source *s, struct buffer *out,
                                 struct err_text *why)
{
    const char *value = getenv(s->environment);
    if (value == NULL || value[0] == '\0') {
        return err_set(why, ERR_NOT_FOUND, "the environment variable %s holds no token",
                       s->environment);
    }
    return buffer_append_string(out, value) == OK
               ? OK
               : err_set(why, ERR_LIMIT, "the token in %s is longer than 16 KiB", s->environment);
}

static enum err spawn(const struct token_source *s, int output, pid_t *out_pid)
{
    posix_spawn_file_actions_t actions;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_adddup2(&actions, output, 1);
    int code = posix_spawnp(out_pid, s->command[0], &actions, NULL, s->command, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    return code == 0 ? OK : ERR_NOT_FOUND;
}

static enum err read_command(const struct token_source *s, struct buffer *out, struct err_text *why)
{
    int ends[2];
    pid_t pid = 0;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return err_set(why, ERR_IO, "the agent's token command cannot be run: %s", strerror(errno));
    }
    enum err e = spawn(s, ends[1], &pid);
    (void)close(ends[1]);
    if (e != OK) {
        (void)close(ends[0]);
        return err_set(why, e, "the agent's token command %s cannot be run", s->command[0]);
    }
    e = read_all(ends[0], now_ms() + TOKEN_COMMAND_TIMEOUT_MS, out);
    (void)close(ends[0]);
    if (e != OK) {
        (void)kill(pid, SIGKILL);
    }
    int status = 0;
    (void)waitpid(pid, &status, 0);
    if (e == OK && (!WIFEXITED(status) || WEXITSTATUS(status) != 0)) {
        e = ERR_DENIED;
    }
    return e == OK ? OK
                   : err_set(why, e, "the agent's token command %s failed (%s)", s->command[0],
                             e == ERR_DENIED ? "its exit code is not 0" : err_name(e));
}

/* Takes white space away on both sides. */
static void trim(struct buffer *b)
{
    while (buffer_size(b) > 0 && isspace(b->data[b->end - 1])) {
        b->end--;
    }
    while (buffer_size(b) > 0 && isspace(b->data[b->start])) {
        b->start++;
    }
}

enum err token_source_read(struct token_source *s, struct buffer *out, struct err_text *why)
{
    struct buffer read;
    buffer_init(&read, TOKEN_MAX + 1024);
    enum err e = s->file != NULL          ? read_file(s, &read, why)
                 : s->environment != NULL ? read_environment(s, &read, why)
                 : s->command != NULL
                     ? read_command(s, &read, why)
                     : err_set(why, ERR_NOT_FOUND, "no source of the agent's token is configured");
    if (e == OK) {
        trim(&read);
        e = buffer_size(&read) == 0 ? err_set(why, ERR_NOT_FOUND, "the agent's token is empty")
                                    : buffer_append(out, buffer_bytes(&read));
    }
    buffer_wipe(&read);
    return e;
}

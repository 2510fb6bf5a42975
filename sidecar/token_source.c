#include "sidecar/token_source.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sidecar/token_helper.h"

extern char **environ;

/* Room for white space around a token, and for one more read behind it. */
enum { PIECE = 1024, READ_MAX = TOKEN_MAX + 2 * PIECE };

struct token_source {
    _Atomic int references;
    char *file, *environment;
    char **command;
    int command_timeout_ms;
    struct token_helper *helper; /* held; NULL: the command is run here */
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
    atomic_init(&s->references, 1);
    s->command_timeout_ms =
        options->command_timeout_ms > 0 ? options->command_timeout_ms : TOKEN_COMMAND_TIMEOUT_MS;
    s->helper = token_helper_hold(options->helper);
    s->file = copy_or_null(options->file, &failed);
    s->environment = copy_or_null(options->environment, &failed);
    if (options->command != NULL) {
        size_t n = 0;
        while (options->command[n] != NULL) {
            n++;
        }
        s->command = calloc(n + 1, sizeof(*s->command));
        for (size_t i = 0; s->command != NULL && !failed && i < n; i++) {
            s->command[i] = copy_or_null(options->command[i], &failed);
        }
        failed = failed || s->command == NULL;
    }
    if (failed) {
        token_source_release(s);
        return ERR_NO_MEMORY;
    }
    *out = s;
    return OK;
}

struct token_source *token_source_hold(struct token_source *s)
{
    (void)atomic_fetch_add(&s->references, 1);
    return s;
}

void token_source_release(struct token_source *s)
{
    if (s == NULL || atomic_fetch_sub(&s->references, 1) > 1) {
        return;
    }
    for (size_t i = 0; s->command != NULL && s->command[i] != NULL; i++) {
        free(s->command[i]);
    }
    token_helper_release(s->helper);
    free(s->command);
    free(s->file);
    free(s->environment);
    free(s);
}

bool token_source_is_quick(const struct token_source *s)
{
    return s->command == NULL;
}

static int64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waits until there is something to read: a pipe's bytes or end, a process's end (a pidfd). */
static enum err wait_readable(int fd, int64_t deadline_ms)
{
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        int64_t left = deadline_ms - now_ms();
        int n = left <= 0 ? 0 : poll(&wait, 1, (int)left);
        if (n == 0) {
            return ERR_TIMEOUT;
        }
        if (n > 0) {
            return OK;
        }
        if (errno != EINTR) {
            return ERR_IO;
        }
    }
}

/* Reads to the end, until `deadline_ms` of the monotonic clock (0: it is a file, which does not
 * wait). */
static enum err read_all(int fd, int64_t deadline_ms, struct buffer *out)
{
    for (;;) {
        enum err e = deadline_ms == 0 ? OK : wait_readable(fd, deadline_ms);
        if (e != OK) {
            return e;
        }
        uint8_t *room = buffer_reserve(out, PIECE);
        if (room == NULL) {
            return buffer_size(out) > READ_MAX - PIECE ? ERR_LIMIT : ERR_NO_MEMORY;
        }
        ssize_t n = read(fd, room, PIECE);
        if (n == 0) {
            return OK;
        }
        if (n < 0 && errno != EINTR) {
            return ERR_IO;
        }
        buffer_commit(out, n > 0 ? (size_t)n : 0);
    }
}

static const char *why_of(enum err e)
{
    switch (e) {
    case ERR_LIMIT: return "it is longer than 16 KiB";
    case ERR_TIMEOUT: return "it took too long";
    case ERR_DENIED: return "its exit code is not 0";
    default: return err_name(e);
    }
}

static enum err read_file(const struct token_source *s, struct buffer *out, struct err_text *why)
{
    /* A pipe in its place must not stop the loop. */
    int fd = open(s->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return err_set(why, ERR_NOT_FOUND, "the agent's token file %s cannot be read: %s", s->file,
                       strerror(errno));
    }
    enum err e = read_all(fd, 0, out);
    (void)close(fd);
    return e == OK ? OK
                   : err_set(why, e, "the agent's token file %s cannot be read: %s", s->file,
                             why_of(e));
}

static enum err read_environment(const struct token_source *s, struct buffer *out,
                                 struct err_text *why)
{
    const char *value = getenv(s->environment);
    if (value == NULL || value[0] == '\0') {
        return err_set(why, ERR_NOT_FOUND, "the environment variable %s holds no token",
                       s->environment);
    }
    enum err e = buffer_append_string(out, value);
    return e == OK ? OK
                   : err_set(why, e, "the token in the environment variable %s cannot be used: %s",
                             s->environment, why_of(e));
}

/* ---- a command ---------------------------------------------------------------------------- */

/* In a process group of its own, which is killed as a whole; and with SIGPIPE as programs expect
 * it, which the sidecar ignores. */
static enum err spawn(const struct token_source *s, int output, pid_t *out_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    (void)sigemptyset(&defaults);
    (void)sigaddset(&defaults, SIGPIPE);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawnattr_setsigdefault(&attributes, &defaults);
    (void)posix_spawnattr_setpgroup(&attributes, 0);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    (void)posix_spawn_file_actions_init(&actions);
    int code = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (code == 0) {
        code = posix_spawn_file_actions_adddup2(&actions, output, 1);
    }
    if (code == 0) {
        code = posix_spawnp(out_pid, s->command[0], &actions, &attributes, s->command, environ);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attributes);
    return code == 0 ? OK : ERR_NOT_FOUND;
}

/* It has said all, but need not have ended. */
static enum err wait_for_end(pid_t pid, int64_t deadline_ms)
{
    int fd = pidfd_open(pid, 0);
    if (fd < 0) {
        return OK; /* a kernel without it: reaping waits, without a deadline */
    }
    enum err e = wait_readable(fd, deadline_ms);
    (void)close(fd);
    return e;
}

/* `e`: what reading its output came to. */
static enum err reap(pid_t pid, enum err e)
{
    int status = 0;
    if (e != OK) {
        (void)kill(-pid, SIGKILL);
    }
    pid_t ended;
    do {
        ended = waitpid(pid, &status, 0);
    } while (ended < 0 && errno == EINTR);
    bool succeeded = ended == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    return e == OK && !succeeded ? ERR_DENIED : e;
}

static enum err read_command(const struct token_source *s, struct buffer *out, struct err_text *why)
{
    int ends[2];
    pid_t pid = 0;
    int64_t deadline_ms = now_ms() + s->command_timeout_ms;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return err_set(why, ERR_IO, "the agent's token command cannot be run: %s", strerror(errno));
    }
    enum err e = spawn(s, ends[1], &pid);
    (void)close(ends[1]);
    if (e != OK) {
        (void)close(ends[0]);
        return err_set(why, e, "the agent's token command %s cannot be run", s->command[0]);
    }
    e = read_all(ends[0], deadline_ms, out);
    (void)close(ends[0]);
    if (e == OK) {
        e = wait_for_end(pid, deadline_ms);
    }
    e = reap(pid, e);
    return e == OK ? OK
                   : err_set(why, e, "the agent's token command %s failed: %s", s->command[0],
                             why_of(e));
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

static enum err check(struct buffer *token, struct err_text *why)
{
    trim(token);
    if (buffer_size(token) == 0) {
        return err_set(why, ERR_NOT_FOUND, "the agent's token is empty");
    }
    return buffer_size(token) > TOKEN_MAX
               ? err_set(why, ERR_LIMIT, "the agent's token is longer than 16 KiB")
               : OK;
}

enum err token_source_read(struct token_source *s, struct buffer *out, struct err_text *why)
{
    struct buffer read;
    buffer_init(&read, READ_MAX);
    enum err e = s->file != NULL          ? read_file(s, &read, why)
                 : s->environment != NULL ? read_environment(s, &read, why)
                 : s->command != NULL
                     ? (s->helper != NULL ? token_helper_read(s->helper, &read, why)
                                          : read_command(s, &read, why))
                     : err_set(why, ERR_NOT_FOUND, "no source of the agent's token is configured");
    if (e == OK) {
        e = check(&read, why);
    }
    if (e == OK) {
        e = buffer_append(out, buffer_bytes(&read));
        if (e != OK) {
            e = err_set(why, e, "the agent's token cannot be kept: %s", err_name(e));
        }
    }
    buffer_wipe(&read);
    return e;
}

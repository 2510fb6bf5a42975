#include "sidecar/token_helper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* An answer: one byte of `enum err`, then the token, or the sentence about the failure. */
enum {
    ANSWER_MAX = 1 + TOKEN_MAX,
    /* Beyond the command's own time: it is killed then, and the answer says so. */
    GRACE_MS = 2000,
};

struct token_helper {
    _Atomic int references;
    int fd; /* SOCK_SEQPACKET: a question is one descriptor, which the answer is written to */
    int timeout_ms;
    char **command; /* a copy */
};

/* Room for one descriptor beside a message, aligned as the kernel wants it. */
union passed {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
};

/* --- the helper's process ----------------------------------------------------------------------
 */

static void answer(int fd, enum err e, struct bytes text)
{
    uint8_t all[ANSWER_MAX];
    size_t size = text.size < TOKEN_MAX ? text.size : TOKEN_MAX;
    all[0] = (uint8_t)e;
    if (size > 0) {
        memcpy(all + 1, text.data, size);
    }
    for (size_t at = 0; at < size + 1;) {
        ssize_t n = write(fd, all + at, size + 1 - at);
        if (n < 0 && errno != EINTR) {
            break; /* who asked waits no longer */
        }
        at += n > 0 ? (size_t)n : 0;
    }
    bytes_wipe(all, sizeof(all));
}

/* In a process of its own: commands may run side by side. */
static void run(const struct token_source_options *options, int fd)
{
    struct err_text why = {0};
    struct buffer token;
    struct token_source *source = NULL;
    struct token_source_options own = *options;
    own.helper = NULL;
    buffer_init(&token, TOKEN_MAX);
    (void)signal(SIGCHLD, SIG_DFL);
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGHUP, SIG_DFL);
    enum err e = token_source_create(&own, &source);
    e = e == OK ? token_source_read(source, &token, &why) : e;
    answer(fd, e, e == OK ? buffer_bytes(&token) : bytes_of_string(why.text));
    buffer_wipe(&token);
    token_source_release(source);
}

/* The descriptor of a question; -1: there are no more. */
static int next_question(int fd)
{
    for (;;) {
        char byte;
        union passed passed = {0};
        struct iovec one = {.iov_base = &byte, .iov_len = 1};
        struct msghdr m = {.msg_iov = &one,
                           .msg_iovlen = 1,
                           .msg_control = &passed,
                           .msg_controllen = sizeof(passed)};
        ssize_t n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
        const struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
        int question = -1;
        if (c != NULL && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int))) {
            memcpy(&question, CMSG_DATA(c), sizeof(question));
            return question;
        }
        if (n == 0 || (n < 0 && errno != EINTR)) {
            return -1;
        }
    }
}

/* The sidecar's end is this one's: signals to both, as from a terminal, are the sidecar's. */
static _Noreturn void serve(const struct token_source_options *options, int fd)
{
    (void)prctl(PR_SET_NAME, "chaperone-token");
    (void)signal(SIGCHLD, SIG_IGN); /* nobody waits for them: the kernel reaps */
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    int question;
    while ((question = next_question(fd)) >= 0) {
        pid_t pid = fork();
        if (pid == 0) {
            (void)close(fd);
            run(options, question);
            _exit(0);
        }
        (void)close(question); /* where fork failed, who asked reads an end without an answer */
    }
    _exit(0);
}

/* --- the sidecar's process ---------------------------------------------------------------------
 */

static char **copy_command(const char *const *command)
{
    size_t n = 0;
    while (command[n] != NULL) {
        n++;
    }
    char **copy = calloc(n + 1, sizeof(*copy));
    for (size_t i = 0; copy != NULL && i < n; i++) {
        copy[i] = strdup(command[i]);
        if (copy[i] == NULL) {
            while (i-- > 0) {
                free(copy[i]);
            }
            free(copy);
            return NULL;
        }
    }
    return copy;
}

enum err token_helper_start(const struct token_source_options *options, struct token_helper **out,
                            struct err_text *why)
{
    int ends[2] = {-1, -1};
    struct token_helper *h = calloc(1, sizeof(*h));
    char **command = h == NULL ? NULL : copy_command(options->command);
    if (command == NULL) {
        free(h);
        return err_set(why, ERR_NO_MEMORY, "no memory for the token command");
    }
    pid_t pid = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0 ? fork() : -1;
    if (pid == 0) {
        (void)close(ends[0]); /* else it would never see its end */
        serve(options, ends[1]);
    }
    *h = (struct token_helper){.references = 1,
                               .fd = ends[0],
                               .timeout_ms = options->command_timeout_ms > 0
                                                 ? options->command_timeout_ms
                                                 : TOKEN_COMMAND_TIMEOUT_MS,
                               .command = command};
    if (ends[1] >= 0) {
        (void)close(ends[1]);
    }
    if (pid < 0) {
        token_helper_release(h);
        return err_set(why, ERR_IO, "the process that runs the token command cannot be started: %s",
                       strerror(errno));
    }
    *out = h;
    return OK;
}

struct token_helper *token_helper_hold(struct token_helper *h)
{
    if (h != NULL) {
        (void)atomic_fetch_add(&h->references, 1);
    }
    return h;
}

void token_helper_release(struct token_helper *h)
{
    if (h == NULL || atomic_fetch_sub(&h->references, 1) > 1) {
        return;
    }
    if (h->fd >= 0) {
        (void)close(h->fd); /* ends it; whoever inherits the sidecar's children reaps it */
    }
    for (size_t i = 0; h->command[i] != NULL; i++) {
        free(h->command[i]);
    }
    free(h->command);
    free(h);
}

static bool is_same(char *const *a, const char *const *b)
{
    while (*a != NULL && *b != NULL && strcmp(*a, *b) == 0) {
        a++;
        b++;
    }
    return *a == NULL && *b == NULL;
}

enum err token_helper_check(const struct token_source_options *options, struct err_text *why)
{
    bool is_well = options->command == NULL ||
                   (options->helper != NULL && is_same(options->helper->command, options->command));
    return is_well
               ? OK
               : err_set(why, ERR_INVALID, "identity.token_command changes at the next start only");
}

/* The helper gets one end of a new pair; -1: it is gone. */
static int ask(struct token_helper *h)
{
    int ends[2];
    char byte = 0;
    union passed passed = {0};
    struct iovec one = {.iov_base = &byte, .iov_len = 1};
    struct msghdr m = {
        .msg_iov = &one, .msg_iovlen = 1, .msg_control = &passed, .msg_controllen = sizeof(passed)};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return -1;
    }
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &ends[1], sizeof(int));
    bool asked = sendmsg(h->fd, &m, MSG_NOSIGNAL) == 1;
    (void)close(ends[1]);
    if (!asked) {
        (void)close(ends[0]);
    }
    return asked ? ends[0] : -1;
}

static int64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* All of it, to the end. */
static enum err read_answer(int fd, int64_t deadline_ms, struct buffer *out)
{
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        int64_t left = deadline_ms - now_ms();
        int ready = left <= 0 ? 0 : poll(&wait, 1, (int)left);
        if (ready == 0) {
            return ERR_TIMEOUT;
        }
        /* One more than an answer has, so that its end is seen. */
        uint8_t *room = buffer_reserve(out, ANSWER_MAX + 1 - buffer_size(out));
        if (room == NULL) {
            return ERR_NO_MEMORY;
        }
        ssize_t n = ready < 0 ? -1 : read(fd, room, ANSWER_MAX + 1 - buffer_size(out));
        if (n == 0) {
            return buffer_size(out) > 0 ? OK : ERR_CLOSED;
        }
        if (n < 0 && errno != EINTR && errno != EAGAIN) {
            return ERR_IO;
        }
        buffer_commit(out, n > 0 ? (size_t)n : 0);
        if (buffer_size(out) > ANSWER_MAX) {
            return ERR_LIMIT;
        }
    }
}

static enum err take_answer(struct buffer *answer, struct buffer *out, struct err_text *why)
{
    struct bytes all = buffer_bytes(answer);
    struct bytes rest = bytes_of(all.data + 1, all.size - 1);
    enum err e = all.data[0] <= ERR_INTERNAL ? (enum err)all.data[0] : ERR_INTERNAL;
    return e == OK ? buffer_append(out, rest)
                   : err_set(why, e, "%.*s", (int)rest.size, (const char *)rest.data);
}

enum err token_helper_read(struct token_helper *h, struct buffer *out, struct err_text *why)
{
    int fd = ask(h);
    struct buffer answer;
    if (fd < 0) {
        return err_set(why, ERR_CLOSED,
                       "the agent's token command cannot be run: the process "
                       "that runs it has ended; restart the sidecar");
    }
    buffer_init(&answer, 2 * (ANSWER_MAX + 1));
    enum err e = read_answer(fd, now_ms() + h->timeout_ms + GRACE_MS, &answer);
    (void)close(fd);
    e = e == OK ? take_answer(&answer, out, why)
                : err_set(why, e, "the agent's token command %s gave no answer: %s", h->command[0],
                          err_name(e));
    buffer_wipe(&answer);
    return e;
}

#include "cli/process/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the child, between fork and exec: async-signal-safe calls only. */
static void prepare(const struct process_options *o, pid_t parent, int log_fd, int null_fd)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    if (o->background) {
        (void)setpgid(0, 0);
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        /* The parent may have died before the line above. */
        if (getppid() != parent) {
            _exit(1);
        }
        (void)dup2(null_fd, STDIN_FILENO);
    }
    if (log_fd >= 0) {
        (void)dup2(log_fd, STDOUT_FILENO);
        (void)dup2(log_fd, STDERR_FILENO);
    }
}

static void execute(const struct process_options *o, int failure_fd)
{
    if (o->environment != NULL) {
        (void)execvpe(o->argv[0], o->argv, o->environment);
    } else {
        (void)execvp(o->argv[0], o->argv);
    }
    int failure = errno;
    (void)!write(failure_fd, &failure, sizeof(failure));
    _exit(127);
}

/* The errno of a failed exec; 0 when it succeeded, which closes the pipe. */
static int read_failure(int fd)
{
    int failure = 0;
    ssize_t n = 0;
    while ((n = read(fd, &failure, sizeof(failure))) < 0 && errno == EINTR) {
    }
    return n == (ssize_t)sizeof(failure) ? failure : 0;
}

static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
}

static enum err fail_start(const char *name, int failure, struct process *out,
                           struct err_text *error)
{
    enum err e = failure == ENOENT ? ERR_NOT_FOUND : failure == EACCES ? ERR_DENIED : ERR_IO;
    out->start_errno = failure;
    return err_set(error, e, "%s: %s", name, strerror(failure));
}

/* Takes the fork's result apart on the parent's side. */
static enum err adopt(pid_t pid, int failure_fd, const char *name, struct process *out,
                      struct err_text *error)
{
    *out = process_none();
    int failure = read_failure(failure_fd);
    if (failure != 0) {
        (void)waitpid(pid, NULL, 0);
        return fail_start(name, failure, out, error);
    }
    int fd = pidfd_open(pid, 0);
    if (fd < 0) {
        failure = errno;
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        return fail_start(name, failure, out, error);
    }
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    out->pid = pid;
    out->fd = fd;
    return OK;
}

enum err process_start(const struct process_options *o, struct process *out, struct err_text *error)
{
    /* The pipe's two ends, the log, /dev/null. */
    int fds[4] = {-1, -1, -1, -1};
    pid_t parent = getpid();
    *out = process_none();
    bool opened =
        pipe2(fds, O_CLOEXEC) == 0 && (fds[3] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;
    if (opened && o->log_file != NULL) {
        fds[2] = open(o->log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        opened = fds[2] >= 0;
    }
    pid_t pid = opened ? fork() : -1;
    if (pid == 0) {
        prepare(o, parent, fds[2], fds[3]);
        execute(o, fds[1]);
    }
    if (pid < 0) {
        int failure = errno;
        close_all(fds, 4);
        return fail_start(o->argv[0], failure, out, error);
    }
    (void)close(fds[1]);
    fds[1] = -1;
    enum err e = adopt(pid, fds[0], o->argv[0], out, error);
    close_all(fds, 4);
    return e;
}

static void reap(struct process *p)
{
    while (waitpid(p->pid, &p->status, 0) < 0 && errno == EINTR) {
    }
    p->ended = true;
    (void)close(p->fd);
    p->fd = -1;
}

bool process_wait(struct process *p, int timeout_ms)
{
    if (p->fd < 0) {
        return true;
    }
    struct pollfd fd = {.fd = p->fd, .events = POLLIN};
    int n = 0;
    while ((n = poll(&fd, 1, timeout_ms)) < 0 && errno == EINTR) {
    }
    if (n <= 0) {
        return false;
    }
    reap(p);
    return true;
}

void process_signal(const struct process *p, int signal)
{
    if (p->fd >= 0) {
        (void)pidfd_send_signal(p->fd, signal, NULL, 0);
    }
}

static void wait_two(const struct process *p, int other_fd, int timeout_ms)
{
    struct pollfd fds[] = {{.fd = p->fd, .events = POLLIN}, {.fd = other_fd, .events = POLLIN}};
    while (poll(fds, 2, timeout_ms) < 0 && errno == EINTR) {
    }
}

bool process_stop(struct process *p, int grace_ms, int hurry_fd)
{
    if (p->fd < 0) {
        return true;
    }
    process_signal(p, SIGTERM);
    wait_two(p, hurry_fd, grace_ms);
    if (process_wait(p, 0)) {
        return true;
    }
    struct pollfd hurry = {.fd = hurry_fd, .events = POLLIN};
    if (poll(&hurry, 1, 0) > 0) {
        process_signal(p, SIGTERM);
        if (process_wait(p, PROCESS_HURRY_MS)) {
            return true;
        }
    }
    process_signal(p, SIGKILL);
    (void)process_wait(p, -1);
    return false;
}

int process_exit_code(const struct process *p)
{
    return WIFSIGNALED(p->status) ? 128 + WTERMSIG(p->status) : WEXITSTATUS(p->status);
}

void process_describe_end(const struct process *p, char out[PROCESS_END_SIZE])
{
    if (WIFSIGNALED(p->status)) {
        (void)snprintf(out, PROCESS_END_SIZE, "signal %d (%s)", WTERMSIG(p->status),
                       strsignal(WTERMSIG(p->status)));
    } else {
        (void)snprintf(out, PROCESS_END_SIZE, "exit code %d", WEXITSTATUS(p->status));
    }
}

#include "cli/process/watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

static enum err add_fd(int epoll_fd, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? OK : ERR_IO;
}

enum err watch_init(struct watch *w)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};
    sigset_t set;
    (void)sigemptyset(&set);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        (void)sigaddset(&set, signals[i]);
    }
    *w = (struct watch){.fd = -1, .signal_fd = -1};
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) {
        return ERR_IO;
    }
    w->fd = epoll_create1(EPOLL_CLOEXEC);
    w->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (w->fd < 0 || w->signal_fd < 0 || add_fd(w->fd, w->signal_fd) != OK) {
        watch_finish(w);
        return ERR_IO;
    }
    return OK;
}

void watch_finish(struct watch *w)
{
    if (w->fd >= 0) {
        (void)close(w->fd);
    }
    if (w->signal_fd >= 0) {
        (void)close(w->signal_fd);
    }
    *w = (struct watch){.fd = -1, .signal_fd = -1};
}

enum err watch_add(struct watch *w, const struct process *p)
{
    /* It leaves the set by itself when the process is reaped and its descriptor closed. */
    return add_fd(w->fd, p->fd);
}

bool watch_wait(const struct watch *w, int timeout_ms)
{
    struct pollfd fd = {.fd = w->fd, .events = POLLIN};
    return poll(&fd, 1, timeout_ms) > 0;
}

int watch_take_signal(const struct watch *w, bool *out_from_terminal)
{
    struct signalfd_siginfo info;
    if (read(w->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info)) {
        return 0;
    }
    *out_from_terminal = info.ssi_code == SI_KERNEL;
    return (int)info.ssi_signo;
}

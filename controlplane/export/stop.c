#include "controlplane/export/stop.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum err export_stop_init(struct export_stop *stop)
{
    atomic_init(&stop->asked, false);
    stop->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return stop->fd < 0 ? ERR_IO : OK;
}

void export_stop_finish(struct export_stop *stop)
{
    if (stop->fd >= 0) {
        (void)close(stop->fd);
        stop->fd = -1;
    }
}

void export_stop_ask(struct export_stop *stop)
{
    const uint64_t one = 1;
    atomic_store(&stop->asked, true);
    while (write(stop->fd, &one, sizeof(one)) < 0 && errno == EINTR) {
    }
}

bool export_stop_asked(struct export_stop *stop)
{
    return atomic_load(&stop->asked);
}

short export_stop_poll(struct export_stop *stop, int fd, short events, int ms)
{
    struct pollfd fds[2] = {{.fd = stop->fd, .events = POLLIN}, {.fd = fd, .events = events}};
    if (poll(fds, 2, ms) <= 0 || export_stop_asked(stop)) {
        return 0;
    }
    return fds[1].revents;
}

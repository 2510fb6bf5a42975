/* What a foreground command waits for: signals to itself and the ends of its children, on one
 * file descriptor that can be waited for together with other things. */
#ifndef CHAPERONE_CLI_PROCESS_WATCH_H
#define CHAPERONE_CLI_PROCESS_WATCH_H

#include "base/err.h"
#include "cli/process/process.h"

struct watch {
    int fd;        /* an epoll set: readable when something happened */
    int signal_fd; /* SIGINT, SIGTERM, SIGHUP */
};

/* Blocks the signals: before any thread is started. ERR_IO. */
enum err watch_init(struct watch *w) MUST_USE;
void watch_finish(struct watch *w);

enum err watch_add(struct watch *w, const struct process *p) MUST_USE;

/* Whether something happened by now, or within `timeout_ms` (-1: waits). */
bool watch_wait(const struct watch *w, int timeout_ms);

/* Takes a signal that came; 0: none. `*out_from_terminal`: the terminal sent it to its whole
 * foreground group, not a process to us alone. */
int watch_take_signal(const struct watch *w, bool *out_from_terminal);

#endif

/* A child process that is started, watched and stopped.
 *
 * The child is in a process group of its own when asked, so that Ctrl-C at the terminal reaches
 * only us and we stop it in our order; it gets SIGTERM when we die, whatever the reason.
 * Started on the main thread only: the kernel ties that signal to the thread. */
#ifndef CHAPERONE_CLI_PROCESS_PROCESS_H
#define CHAPERONE_CLI_PROCESS_PROCESS_H

#include <stdio.h>
#include <sys/types.h>

#include "base/bytes.h"

struct process_options {
    char *const *argv;        /* argv[0]: a path, or a name to be found in PATH */
    char *const *environment; /* NULL: ours */
    const char *log_file;     /* output and errors are appended to it; NULL: ours */
    bool background;          /* a group of its own, no input */
};

struct process {
    pid_t pid;  /* 0: not started */
    int fd;     /* a pidfd: readable when it has ended; -1: not started, or reaped */
    bool ended; /* then `status` is what waitpid gave */
    int status;
    int start_errno; /* when it could not be started: why */
};

static inline struct process process_none(void)
{
    return (struct process){.fd = -1};
}

/* ERR_NOT_FOUND, ERR_DENIED, ERR_IO: it could not be executed; `error` says why. */
enum err process_start(const struct process_options *options, struct process *out,
                       struct err_text *error) MUST_USE;

/* True when it has ended by now, or within `timeout_ms` (-1: waits). */
bool process_wait(struct process *p, int timeout_ms);

/* Nothing when it has ended. */
void process_signal(const struct process *p, int signal);

/* A sidecar gives closing connections 5 s, and its last records 3 s. */
enum { PROCESS_HURRY_MS = 10000 };

/* SIGTERM, and SIGKILL when it has not ended after `grace_ms`. When `hurry_fd` (-1: none) becomes
 * readable, a second SIGTERM tells it not to drain any longer, and it has PROCESS_HURRY_MS left.
 * False: it had to be killed. */
bool process_stop(struct process *p, int grace_ms, int hurry_fd);

/* As a shell counts it: its exit code, or 128 + n for signal n. Only when it has ended. */
int process_exit_code(const struct process *p);

/* "exit code 2", "signal 9 (Killed)". */
enum { PROCESS_END_SIZE = 64 };
void process_describe_end(const struct process *p, char out[PROCESS_END_SIZE]);

#endif

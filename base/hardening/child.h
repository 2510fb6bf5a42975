/* What cannot be taken back is done by a process of the test's own. */
#ifndef CHAPERONE_BASE_HARDENING_CHILD_H
#define CHAPERONE_BASE_HARDENING_CHILD_H

#include <sys/wait.h>
#include <unistd.h>

/* `what` in a child; its exit code, or minus the signal that ended it. */
static inline int child_run(int (*what)(void))
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        _exit(what());
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        return -1000;
    }
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

#endif

#include "base/stop_limit.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static void on_limit(int number)
{
    static const char text[] = "chaperone: something stands still in the shutdown: the process "
                               "ends without waiting for it\n";
    (void)number;
    (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    _exit(EXIT_FAILURE);
}

void stop_limit(unsigned seconds)
{
    struct sigaction action = {.sa_handler = on_limit};
    sigset_t set;
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGALRM, &action, NULL);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGALRM);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    (void)alarm(seconds);
}

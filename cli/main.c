/* `chaperone`: what belongs to the process, not to a command. */
#include <locale.h>
#include <signal.h>
#include <stdio.h>

#include "cli/dispatch.h"

int main(int argc, char **argv)
{
    static char *nothing[] = {NULL};
    struct invocation i = {.clock = clock_system()};
    /* Widths of characters; nothing else depends on the user's language. */
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    /* A reader that has seen enough ends us quietly, whatever our parent did with the signal. */
    (void)signal(SIGPIPE, SIG_DFL);
    i.out = terminal_of(stdout);
    i.errors = terminal_of(stderr);
    int code = dispatch_run(&i, argc > 0 ? argv + 1 : nothing);
    if (fflush(stdout) != 0 && code == EXIT_YES) {
        code = command_fail(&i, EXIT_NO, "cannot write the output");
    }
    return code;
}

/* A process that was told to end ends, whatever stands still in it.
 *
 * A shutdown waits for threads and calls; should one of them never come to its end, in a library,
 * say, a supervisor would wait as well. Nothing is lost by it: what counts was written down before,
 * as for a kill -9. */
#ifndef CHAPERONE_BASE_STOP_LIMIT_H
#define CHAPERONE_BASE_STOP_LIMIT_H

/* In so many seconds, unless it has ended before, the process says so on standard error and ends
 * with EXIT_FAILURE. Takes SIGALRM; needs no memory and no thread. Once, on a thread that takes
 * signals. */
void stop_limit(unsigned seconds);

#endif

/* Writes asciicast v3, the recordings of terminals that asciinema and its players read
 * (docs.asciinema.org/manual/asciicast/v3): a header, then one event a line, each with the time
 * since the one before. */
#ifndef CHAPERONE_CLI_REPLAY_CAST_H
#define CHAPERONE_CLI_REPLAY_CAST_H

#include <stdio.h>

#include "base/bytes.h"

struct cast {
    FILE *out;      /* borrows */
    int64_t due_us; /* of the event before */
};

struct cast_header {
    uint32_t columns, rows;
    int64_t started_unix_ns;
    const char *title;
    int64_t idle_limit_ns; /* for the player; 0: none */
};

/* ERR_NO_MEMORY, or ERR_IO when `out` cannot be written. */
enum err cast_start(struct cast *c, FILE *out, const struct cast_header *header) MUST_USE;

/* `due_ns`: since the start. Intervals are differences of rounded times, so that rounding does not
 * add up; time that goes back counts as none. */
/* "o": text on the screen; UTF-8. Its line ends become \r\n, as a terminal sends them. */
enum err cast_add_output(struct cast *c, int64_t due_ns, struct bytes text) MUST_USE;
/* "m": a place to jump to. */
enum err cast_add_marker(struct cast *c, int64_t due_ns, const char *label) MUST_USE;
/* "x": the session ended, with this status. Nothing may follow. */
enum err cast_add_exit(struct cast *c, int64_t due_ns, int status) MUST_USE;

#endif

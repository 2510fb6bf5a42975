/* The clock of a replay: which point of the recording is reached at a moment of the real clock.
 *
 * Pure: the moment is passed in, as nanoseconds of a monotonic clock. A plain value. */
#ifndef CHAPERONE_CLI_REPLAY_PACE_H
#define CHAPERONE_CLI_REPLAY_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct pace {
    double speed;        /* 0: everything is due at once */
    int64_t position_ns; /* in the recording, when `since_ns` was */
    int64_t since_ns;
    bool is_paused;
};

/* "0.1" to "100", or "max" (0). ERR_INVALID with a sentence. */
enum err pace_parse_speed(const char *text, double *out, struct err_text *error) MUST_USE;
/* Seconds: "0.5", "10"; more than 0. */
enum err pace_parse_seconds(const char *text, int64_t *out_ns, struct err_text *error) MUST_USE;

/* When each event is due, from when it happened: gaps longer than the limit are cut down to it, and
 * a clock that was set back makes none. `limit_ns` 0: none. */
struct pace_gaps {
    int64_t limit_ns;
    int64_t last_ns, due_ns;
    bool has_last;
};
int64_t pace_gaps_add(struct pace_gaps *g, int64_t at_ns);

void pace_start(struct pace *p, double speed, int64_t now_ns);
void pace_pause(struct pace *p, int64_t now_ns);
void pace_resume(struct pace *p, int64_t now_ns);
/* From here on as if `position_ns` were reached now. */
void pace_seek(struct pace *p, int64_t position_ns, int64_t now_ns);
void pace_set_speed(struct pace *p, double speed, int64_t now_ns);

/* Real nanoseconds until `due_ns` of the recording: 0 when it is reached, -1 while it is paused. */
int64_t pace_wait(const struct pace *p, int64_t due_ns, int64_t now_ns);
int64_t pace_position(const struct pace *p, int64_t now_ns);

#endif

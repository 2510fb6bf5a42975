/* Points in time as people write them: RFC 3339, or how long ago ("15m", "2h", "7d"). */
#ifndef CHAPERONE_CLI_OUTPUT_MOMENT_H
#define CHAPERONE_CLI_OUTPUT_MOMENT_H

#include <stdint.h>

#include "base/err.h"

/* "2026-11-21T08:43:00Z", "2026-11-21T09:43:00.5+01:00", "2026-11-21" (its beginning, UTC), "now",
 * or a span before `now_ns`: a number with s, m, h, d or w, several in a row ("1h30m"). ERR_INVALID
 * with a sentence. Nanoseconds since 1970. */
enum err moment_parse(const char *text, int64_t now_ns, int64_t *out_ns,
                      struct err_text *error) MUST_USE;

/* A span alone: "15m" -> nanoseconds. */
enum err moment_parse_span(const char *text, int64_t *out_ns, struct err_text *error) MUST_USE;

enum { MOMENT_SIZE = 40 };
/* "2026-11-21T08:43:00.123Z" */
void moment_format(int64_t wall_ns, char out[MOMENT_SIZE]);
/* "0.042 ms", "12.3 ms", "1.25 s", "3 min 20 s" */
void moment_format_duration(int64_t duration_us, char out[MOMENT_SIZE]);
/* How long into a session: "+00:00:12.345" */
void moment_format_offset(int64_t ns, char out[MOMENT_SIZE]);

#endif

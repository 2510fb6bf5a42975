/* From the end of what an expression matched to the whole of what it belongs to. Pure. */
#ifndef CHAPERONE_SIDECAR_MASKING_DETECTOR_FIND_H
#define CHAPERONE_SIDECAR_MASKING_DETECTOR_FIND_H

#include "base/bytes.h"

enum {
    FIND_BACK = 2304, /* bytes before the end of a match that are looked at, at most */
    FIND_AHEAD = 512, /* and behind it */
};

/* `text` has FIND_BACK bytes before `at` and FIND_AHEAD behind it, or reaches to the beginning and
 * the end. True when there is one; then start and end within `text`. */
typedef bool detector_find_fn(struct bytes text, size_t at, size_t match, size_t *out_start,
                              size_t *out_end);

struct detector_pattern {
    unsigned id;
    const char *expression; /* its matches are all of `match` bytes where that is not 0 */
    size_t match;
    detector_find_fn *find;
};

extern const struct detector_pattern detector_patterns[];
extern const size_t detector_pattern_count;

#endif

/* Which records of a search are wanted, beyond what the control plane can be asked for: it has no
 * index of these, so they are left out where they arrive. Pure. */
#ifndef CHAPERONE_CLI_OUTPUT_WANTED_H
#define CHAPERONE_CLI_OUTPUT_WANTED_H

#include "formats/record.h"

struct wanted {
    bool in_shadow;      /* intents that rules in shadow would decide otherwise */
    const char *path;    /* intents of HTTP with such a path; NULL: any */
    unsigned status_min; /* outcomes of HTTP with such a status; 0: any */
    unsigned status_max;
    uint64_t operation; /* what is about this one; 0: any */
};

bool wanted_is(const struct wanted *w, const struct record_view *v);

/* "404", "4xx". ERR_INVALID. */
enum err wanted_parse_status(const char *text, struct wanted *out) MUST_USE;
/* A pattern is a path. A segment {...} or * of it is any one segment, and ** at its end any rest,
 * also none. ERR_INVALID: it does not begin with a slash, or ** is not its end. */
enum err wanted_check_path(const char *pattern) MUST_USE;
/* `path` is without its query. */
bool wanted_path_matches(const char *pattern, struct bytes path);
/* Appends what a control plane's search for words finds such paths by, a superset of them: the
 * segments that are plain words. Nothing where there is none. */
enum err wanted_append_words(const char *pattern, struct buffer *out) MUST_USE;

#endif

/* Those files of a package that are looked at as a whole: small ones. */
#ifndef CHAPERONE_CLI_VERIFY_KEPT_H
#define CHAPERONE_CLI_VERIFY_KEPT_H

#include "base/bytes.h"

/* All of them together: a package of a million sessions has a manifest of some 250 MB. */
enum { KEPT_MAX = 512 << 20, KEPT_FILES_MAX = 20000 };

struct kept_file {
    char *name;
    struct buffer data;
};

/* A plain value, to begin with all zero. */
struct kept {
    struct kept_file *items; /* in the order in which they came */
    size_t count, capacity;
    size_t size;
};

void kept_finish(struct kept *k);
/* A new, empty one (ERR_LIMIT: KEPT_FILES_MAX); it can be appended to until the next one begins.
 * Borrowed. */
enum err kept_begin(struct kept *k, const char *name, size_t cap) MUST_USE;
enum err kept_append(struct kept *k, struct bytes more) MUST_USE; /* to the last one */
/* Borrows; false: it is not there. */
bool kept_find(const struct kept *k, const char *name, struct bytes *out);

#endif

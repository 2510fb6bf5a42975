/* Gives memory back that is not needed any more: what only starting needed, and what sessions left
 * behind. Changes nothing but the resident size; what is needed again comes back by itself. */
#ifndef CHAPERONE_SIDECAR_TRIM_H
#define CHAPERONE_SIDECAR_TRIM_H

#include <stddef.h>

/* After starting: the dynamic linker, which looks through the names of every library, and each
 * library's beginning have touched pages that are not used again. They are clean and belong to
 * files, so they are only unmapped. */
void trim_libraries(void);

/* Follows how many sessions there are; zeroed at first. */
struct trim {
    size_t most; /* since the heap was trimmed last */
};

/* When most sessions of a crowd have gone, the pages that are free between what remains are given
 * back to the kernel, which glibc does at the end of the heap only. */
void trim_count(struct trim *trim, size_t sessions);

#endif

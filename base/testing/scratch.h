/* A directory for one test, under the system's own for such. */
#ifndef CHAPERONE_BASE_TESTING_SCRATCH_H
#define CHAPERONE_BASE_TESTING_SCRATCH_H

enum { SCRATCH_SIZE = 64 };

/* Makes it, mode 0700, and writes its path. Fails the test where that cannot be. */
void scratch_create(char out[SCRATCH_SIZE]);
/* Removes it with all that is in it. */
void scratch_remove(const char *directory);

#endif

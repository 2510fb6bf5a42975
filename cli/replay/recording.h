/* The records of one session, kept in memory in the order of their sequence: to be shown with their
 * times, jumped about in, or executed again. */
#ifndef CHAPERONE_CLI_REPLAY_RECORDING_H
#define CHAPERONE_CLI_REPLAY_RECORDING_H

#include "formats/record.h"

/* Of all records together; beyond it `audit show` still prints a session as it comes. */
enum { RECORDING_SIZE_MAX = 256 << 20 };

struct recording;

/* Returns owned; NULL when memory is short. */
struct recording *recording_create(void) MUST_USE;
void recording_destroy(struct recording *r); /* takes NULL */

/* Copies. ERR_INVALID: no record; ERR_LIMIT: more than RECORDING_SIZE_MAX. */
enum err recording_add(struct recording *r, const Chaperone__V1__Entry *entry) MUST_USE;

size_t recording_count(const struct recording *r);
/* Borrows from the recording. */
void recording_view(const struct recording *r, size_t index, struct record_view *out);
const Chaperone__V1__Record *recording_get(const struct recording *r, size_t index);

#endif

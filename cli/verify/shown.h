/* What a line of records.jsonl says of its record, as one number: of its kind, session, sidecar,
 * number, time, verdict and statement. So that a line can be compared with a record that is no
 * longer there. */
#ifndef CHAPERONE_CLI_VERIFY_SHOWN_H
#define CHAPERONE_CLI_VERIFY_SHOWN_H

#include "cli/verify/scan.h"

enum { SHOWN_SIZE = 16 };

/* ERR_NO_MEMORY. */
enum err shown_of_record(const struct scan *scan, uint8_t out[SHOWN_SIZE]) MUST_USE;
/* ERR_INVALID: the line is no JSON, or has not these keys. */
enum err shown_of_line(struct bytes json, uint8_t out[SHOWN_SIZE]) MUST_USE;

#endif

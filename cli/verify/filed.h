/* Whether a control plane files its records under what they say: its index (who, where, which
 * session, which kind) is what searches and filtered exports go by, and no proof covers it. */
#ifndef CHAPERONE_CLI_VERIFY_FILED_H
#define CHAPERONE_CLI_VERIFY_FILED_H

#include "api/operator.pb-c.h"
#include "cli/verify/report.h"

struct filed;

/* Borrows the report. Returns owned; NULL when memory is short. */
struct filed *filed_create(struct report *report) MUST_USE;
void filed_destroy(struct filed *f); /* takes NULL */

/* The next one; those of each sidecar's stream in their order. What is not as the record says is
 * reported as changed. Of an erased record only the index is left: nothing is compared, nor of
 * sessions whose first record did not come. A record that cannot be read is passed over:
 * records_add says so. ERR_NO_MEMORY, ERR_LIMIT. */
enum err filed_add(struct filed *f, const Chaperone__V1__Entry *entry) MUST_USE;

#endif

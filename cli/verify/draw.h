/* Whether the sample of a package is the one that its seed draws (docs/evidence.md). */
#ifndef CHAPERONE_CLI_VERIFY_DRAW_H
#define CHAPERONE_CLI_VERIFY_DRAW_H

#include "cli/verify/kept.h"
#include "cli/verify/manifest.h"
#include "cli/verify/records.h"
#include "cli/verify/trust.h"

/* `trust` believes the checkpoints of the proofs; `listed` are the positions of sample.csv. Reports
 * what is wrong. */
void draw_check(const struct manifest_sample *sample, const struct records *records,
                const struct kept *kept, const struct trust *trust, const char *origin,
                const uint64_t *listed, size_t listed_count, struct report *report);

#endif

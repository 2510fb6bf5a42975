/* What holds for bodies of all kinds, for their fuzz targets. */
#ifndef CHAPERONE_SIDECAR_MASKING_MASKER_BODY_FUZZ_SUPPORT_H
#define CHAPERONE_SIDECAR_MASKING_MASKER_BODY_FUZZ_SUPPORT_H

#include "sidecar/masking/masker_body_support.h"

/* Aborts where it is not so. */
void fuzz_require(bool ok);

/* The first byte says where it is cut. Cut, byte by byte and whole, the same comes of it.
 * `is_final`: what came of it has nothing to mask any more, which holds for names; a detector may
 * find something where another one's find stood in its way. `out` is empty, or what came of it;
 * false: it was refused. */
bool fuzz_body(struct masker *m, enum masker_body_kind kind, struct bytes data, bool is_final,
               struct buffer *out);

#endif

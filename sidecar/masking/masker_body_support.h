/* Maskers of real policies, and bodies fed in pieces, for the tests of bodies. */
#ifndef CHAPERONE_SIDECAR_MASKING_MASKER_BODY_SUPPORT_H
#define CHAPERONE_SIDECAR_MASKING_MASKER_BODY_SUPPORT_H

#include "policies/policy.h"
#include "sidecar/masking/masker_body.h"

/* `masks`: the list of a rule's `mask`, as JSON with ' for ". Returns owned; its policy is gone by
 * then. NULL: it does not compile, said on standard error. */
struct masker *masker_of(const char *masks);

/* Feeds it in pieces of `piece` bytes (0: at once), each from memory of just its size. `out` must
 * be empty; with an error it holds what was given out before. */
enum err masker_feed_all(struct masker *m, enum masker_body_kind kind, struct bytes in,
                         size_t piece, struct buffer *out);
/* The same with the first piece of `at` bytes, and one of what is left. */
enum err masker_feed_two(struct masker *m, enum masker_body_kind kind, struct bytes in, size_t at,
                         struct buffer *out);

#endif

/* Decoding of what a request's path, query and forms are made of; for this folder only. */
#ifndef CHAPERONE_SIDECAR_OPERATION_OPERATION_HTTP_TEXT_H
#define CHAPERONE_SIDECAR_OPERATION_OPERATION_HTTP_TEXT_H

#include "base/arena.h"
#include "policies/policy.h"

/* Percent-decoded once (RFC 3986 section 2.1), NUL-terminated, the arena's. `plus_is_space`: as
 * forms have it. ERR_INVALID: half an escape, or a NUL. */
enum err operation_text_decode(struct arena *a, struct bytes text, bool plus_is_space,
                               const char **out) MUST_USE;
/* "a=1&b=2" (WHATWG URL section 5.1). ERR_LIMIT: more than OPERATION_HTTP_PAIRS_MAX. */
enum err operation_pairs_read(struct arena *a, struct bytes text, struct policy_pair **out,
                              size_t *out_count) MUST_USE;
/* A name as a step of a JSON pointer (RFC 6901 section 3), behind what leads to it. NULL: no
 * memory. */
const char *operation_pointer_join(struct arena *a, const char *parent, const char *name) MUST_USE;
bool operation_text_is_utf8(struct bytes text);

/* The scalars of a body of JSON. False: it could be read in two ways, or is beyond the limits of
 * operation_http.h, or of memory. */
bool operation_json_read(struct arena *a, struct bytes body, struct policy_pair **out,
                         size_t *out_count) MUST_USE;

#endif

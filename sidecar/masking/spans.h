/* Redacts parts of a text: what detectors found in it, with what stands around kept.
 *
 * Pure. In JSON the result is JSON again: within a string the replacement is escaped; a whole
 * number becomes a string; where a span begins and ends in different places (in a string and
 * outside of one), the whole value is given up. */
#ifndef CHAPERONE_SIDECAR_MASKING_SPANS_H
#define CHAPERONE_SIDECAR_MASKING_SPANS_H

#include "sidecar/masking/detector.h"
#include "sidecar/masking/redactor.h"

/* Appends `text` with each span of `found` replaced by what the redactor of its detector makes of
 * its text (as type text; of a string's escapes as they are written): `by_detector` has one for
 * each id. A redactor to NULL, or none (NULL), leaves the span out, as do spans of different
 * redactors where they overlap. `text` is what was scanned (of a binary jsonb without its version
 * byte). REDACTOR_NULL_INSTEAD when there is more to be masked than was found (is_overflowed) or
 * the JSON would not stay whole. */
enum redactor_result spans_redact(struct redactor *const *by_detector, struct bytes text,
                                  const struct detector_result *found, bool is_json,
                                  struct buffer *out) MUST_USE;

#endif

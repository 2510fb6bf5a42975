/* Whether a text can hold anything that a built-in detector finds, by a look at its characters that
 * costs a fraction of the expressions. Pure.
 *
 * False only where they certainly find nothing; most names, words and small numbers. It relies on
 * the expressions of detector_find.c and changes with them. */
#ifndef CHAPERONE_SIDECAR_MASKING_DETECTOR_FILTER_H
#define CHAPERONE_SIDECAR_MASKING_DETECTOR_FILTER_H

#include "base/bytes.h"

bool detector_filter(struct bytes text) MUST_USE;

#endif

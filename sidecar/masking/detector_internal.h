/* Between the files of the detector. */
#ifndef CHAPERONE_SIDECAR_MASKING_DETECTOR_INTERNAL_H
#define CHAPERONE_SIDECAR_MASKING_DETECTOR_INTERNAL_H

#include "sidecar/masking/detector.h"
#include "sidecar/masking/detector_find.h"

#include <hs/hs.h>

struct detector {
    hs_database_t *database; /* of streams; NULL: there is nothing to find */
    hs_database_t *whole;    /* the same expressions, for values that are there whole: twice as fast
                              */
    bool is_built_in;        /* nothing custom: detector_filter.h decides */
};

/* The ids of expressions: those of detector_patterns, then this, then the custom ones. */
enum { EXPRESSION_KEY_END = 100, EXPRESSION_CUSTOM = 101 };

#endif

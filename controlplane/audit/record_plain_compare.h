/* For tests: what record_plain_read says, beside protobuf-c. */
#ifndef CHAPERONE_CONTROLPLANE_AUDIT_RECORD_PLAIN_COMPARE_H
#define CHAPERONE_CONTROLPLANE_AUDIT_RECORD_PLAIN_COMPARE_H

#include "base/bytes.h"

enum record_plain_said {
    PLAIN_SAID_NOTHING, /* not plain */
    PLAIN_SAID_SAME,    /* protobuf-c makes the same of it */
    PLAIN_SAID_OTHER,   /* protobuf-c refuses it, or makes something else of it */
};

enum record_plain_said record_plain_compare(struct bytes canonical);

#endif

/* The records that most are, read where they stand: intents and outcomes in the form that a sidecar
 * writes. Unpacking one makes a dozen objects, of which the index needs a few numbers and texts.
 *
 * Pure. What is read here is what protobuf-c makes of the same bytes. Whatever is not of the plain
 * form (an unknown field, one that comes twice, another wire type, a NUL in a text that is used) is
 * not read here: then the whole record is unpacked, and that decides. */
#ifndef CHAPERONE_CONTROLPLANE_AUDIT_RECORD_PLAIN_H
#define CHAPERONE_CONTROLPLANE_AUDIT_RECORD_PLAIN_H

#include "controlplane/store/store.h"

enum { RECORD_PLAIN_OBJECTS_MAX = 16 };

struct record_plain_object {
    struct bytes kind, name;
};

/* Borrows from the record. */
struct record_plain {
    struct bytes sidecar, previous, session;
    uint64_t sequence;
    int64_t time_ns;
    enum store_audit_kind kind; /* STORE_INTENT or STORE_OUTCOME */
    uint64_t operation;
    /* Of an intent. */
    int verdict;
    struct bytes text;
    struct record_plain_object objects[RECORD_PLAIN_OBJECTS_MAX];
    size_t object_count;
    /* Of an outcome. */
    int status;
    uint64_t rows;
    struct bytes error_code;
};

/* False: not of the plain form; `out` holds nothing then. */
bool record_plain_read(struct bytes canonical, struct record_plain *out) MUST_USE;

#endif

/* What record_pack knows about a type of message. For record_pack.c and record_forms.c. */
#ifndef CHAPERONE_SIDECAR_AUDIT_RECORD_FORMS_H
#define CHAPERONE_SIDECAR_AUDIT_RECORD_FORMS_H

#include "sidecar/audit/record_pack.h"

enum {
    FORMS_MAX = 64,   /* types of messages in a record; there are 30 */
    FIELDS_MAX = 512, /* of all of them together */
};

/* What is done with a field. FIELD_LIST is added where there may be several of it. */
enum field_kind {
    FIELD_UNKNOWN, /* packed by the library, if it is there */
    FIELD_TEXT,
    FIELD_BYTES,
    FIELD_MESSAGE,
    FIELD_CHOICE, /* a message that may have been chosen among others */
    FIELD_NUMBER_64,
    FIELD_NUMBER_32,
    FIELD_SIGNED_32, /* a negative one is ten bytes */
    FIELD_BOOL,
    FIELD_DOUBLE,
    FIELD_LIST,
};

struct form_field {
    uint16_t offset;
    uint16_t quantifier; /* of a list: where its length is; of a choice: where it says which */
    uint16_t id;
    uint8_t kind;
    uint8_t form; /* of a message: which one */
};

struct form {
    uint16_t first, end; /* its fields, in the order of their numbers */
};

struct record_forms {
    struct form forms[FORMS_MAX]; /* the first one is the whole's */
    struct form_field fields[FIELDS_MAX];
};

#endif

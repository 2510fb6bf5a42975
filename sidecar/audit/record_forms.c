#include "sidecar/audit/record_forms.h"

#include <stdlib.h>

_Static_assert(sizeof(struct form_field) == 8, "a field is small");

/* While forms are made. */
struct maker {
    struct record_forms *forms;
    const ProtobufCMessageDescriptor *types[FORMS_MAX];
    size_t type_count, field_count;
    bool failed;
};

/* The place of a type among the forms; a new one is made later. */
static uint8_t form_of(struct maker *m, const ProtobufCMessageDescriptor *type)
{
    for (size_t i = 0; i < m->type_count; i++) {
        if (m->types[i] == type) {
            return (uint8_t)i;
        }
    }
    if (m->type_count == FORMS_MAX) {
        m->failed = true;
        return 0;
    }
    m->types[m->type_count] = type;
    return (uint8_t)m->type_count++;
}

static enum field_kind kind_of_single(const ProtobufCFieldDescriptor *f)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING: return FIELD_TEXT;
    case PROTOBUF_C_TYPE_BYTES: return FIELD_BYTES;
    case PROTOBUF_C_TYPE_MESSAGE: return FIELD_MESSAGE;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64: return FIELD_NUMBER_64;
    case PROTOBUF_C_TYPE_UINT32: return FIELD_NUMBER_32;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_ENUM: return FIELD_SIGNED_32;
    case PROTOBUF_C_TYPE_BOOL: return FIELD_BOOL;
    case PROTOBUF_C_TYPE_DOUBLE: return FIELD_DOUBLE;
    default: return FIELD_UNKNOWN;
    }
}

static unsigned kind_of(const ProtobufCFieldDescriptor *f)
{
    enum field_kind kind = kind_of_single(f);
    if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        return kind == FIELD_MESSAGE ? FIELD_CHOICE : FIELD_UNKNOWN;
    }
    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        bool is_known = kind == FIELD_TEXT || kind == FIELD_BYTES || kind == FIELD_MESSAGE;
        return is_known ? FIELD_LIST + (unsigned)kind : FIELD_UNKNOWN;
    }
    return f->label == PROTOBUF_C_LABEL_NONE ? kind : FIELD_UNKNOWN;
}

static void add_field(struct maker *m, const ProtobufCFieldDescriptor *f)
{
    if (m->field_count == FIELDS_MAX || f->offset > UINT16_MAX ||
        f->quantifier_offset > UINT16_MAX || f->id > UINT16_MAX) {
        m->failed = true;
        return;
    }
    m->forms->fields[m->field_count++] = (struct form_field){
        .offset = (uint16_t)f->offset,
        .quantifier = (uint16_t)f->quantifier_offset,
        .id = (uint16_t)f->id,
        .kind = (uint8_t)kind_of(f),
        .form = f->type == PROTOBUF_C_TYPE_MESSAGE ? form_of(m, f->descriptor) : 0,
    };
}

struct record_forms *record_forms_create(const ProtobufCMessageDescriptor *type)
{
    struct maker m = {.forms = calloc(1, sizeof(*m.forms))};
    if (m.forms == NULL) {
        return NULL;
    }
    (void)form_of(&m, type);
    for (size_t i = 0; i < m.type_count && !m.failed; i++) { /* which adds to them */
        m.forms->forms[i].first = (uint16_t)m.field_count;
        for (unsigned k = 0; k < m.types[i]->n_fields; k++) {
            add_field(&m, &m.types[i]->fields[k]);
        }
        m.forms->forms[i].end = (uint16_t)m.field_count;
    }
    if (m.failed) {
        free(m.forms);
        return NULL;
    }
    return m.forms;
}

void record_forms_destroy(struct record_forms *forms)
{
    free(forms);
}

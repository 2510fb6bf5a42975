#include "sidecar/audit/record_pack.h"

#include <string.h>

#include "sidecar/audit/record_forms.h"

enum { WIRE_TYPE_VARINT = 0, WIRE_TYPE_64BIT = 1, WIRE_TYPE_LENGTH = 2 };

/* Bytes are put before those that are there: `start` <= `at`. */
struct packer {
    uint8_t *start, *at;
    const struct record_forms *forms;
    bool failed;
};

/* Where `size` bytes go; NULL: there is no room. */
static inline uint8_t *make_room(struct packer *p, size_t size)
{
    if (p->failed || size > (size_t)(p->at - p->start)) {
        p->failed = true;
        return NULL;
    }
    p->at -= size;
    return p->at;
}

static inline void put_bytes(struct packer *p, const void *data, size_t size)
{
    uint8_t *at = make_room(p, size);
    if (at != NULL && size > 0) {
        memcpy(at, data, size);
    }
}

static void put_long_varint(struct packer *p, uint64_t v)
{
    size_t bits = 64 - (size_t)__builtin_clzll(v);
    uint8_t *at = make_room(p, (bits + 6) / 7);
    if (at != NULL) {
        for (; v >= 0x80; v >>= 7) {
            *at++ = (uint8_t)(v | 0x80);
        }
        *at = (uint8_t)v;
    }
}

static inline void put_varint(struct packer *p, uint64_t v)
{
    if (v >= 0x80) {
        put_long_varint(p, v);
    } else if (!p->failed && p->at > p->start) {
        *--p->at = (uint8_t)v;
    } else {
        p->failed = true;
    }
}

static inline void put_tag(struct packer *p, const struct form_field *f, unsigned wire_type)
{
    put_varint(p, (uint64_t)f->id << 3 | wire_type);
}

static inline void put_text(struct packer *p, const struct form_field *f, const void *data,
                            size_t size)
{
    put_bytes(p, data, size);
    put_varint(p, size);
    put_tag(p, f, WIRE_TYPE_LENGTH);
}

static inline void put_number(struct packer *p, const struct form_field *f, uint64_t v)
{
    if (v != 0) {
        put_varint(p, v);
        put_tag(p, f, WIRE_TYPE_VARINT);
    }
}

static void put_double(struct packer *p, const struct form_field *f, const double *member)
{
    uint64_t bits = 0;
    if (*member == 0) {
        return;
    }
    memcpy(&bits, member, sizeof(bits));
    uint8_t *at = make_room(p, sizeof(bits));
    for (size_t i = 0; at != NULL && i < sizeof(bits); i++) {
        at[i] = (uint8_t)(bits >> 8 * i);
    }
    put_tag(p, f, WIRE_TYPE_64BIT);
}

static const void *pointer_at(const void *member)
{
    return *(void *const *)member;
}

static void put_message(struct packer *p, const struct form *form, const ProtobufCMessage *m);

static void put_inner(struct packer *p, const struct form_field *f, const ProtobufCMessage *m)
{
    const uint8_t *end = p->at;
    if (m != NULL) {
        put_message(p, &p->forms->forms[f->form], m);
    }
    put_varint(p, (size_t)(end - p->at));
    put_tag(p, f, WIRE_TYPE_LENGTH);
}

/* In a list each one is there, an empty one too. */
static void put_list(struct packer *p, const struct form_field *f, size_t count, const void *items)
{
    for (size_t i = count; i > 0 && !p->failed; i--) {
        if (f->kind == FIELD_LIST + FIELD_BYTES) {
            const ProtobufCBinaryData *b = (const ProtobufCBinaryData *)items + (i - 1);
            put_text(p, f, b->data, b->len);
        } else if (f->kind == FIELD_LIST + FIELD_MESSAGE) {
            put_inner(p, f, ((const ProtobufCMessage *const *)items)[i - 1]);
        } else {
            const char *text = ((const char *const *)items)[i - 1];
            put_text(p, f, text, text == NULL ? 0 : strlen(text));
        }
    }
}

/* What proto3 leaves out: a zero, an empty text, no message. */
static inline void put_field(struct packer *p, const struct form_field *f, const uint8_t *m)
{
    const void *member = m + f->offset;
    switch (f->kind) {
    case FIELD_TEXT: {
        const char *text = pointer_at(member);
        if (text != NULL && text[0] != '\0') {
            put_text(p, f, text, strlen(text));
        }
        break;
    }
    case FIELD_BYTES: {
        const ProtobufCBinaryData *b = member;
        if (b->len > 0) {
            put_text(p, f, b->data, b->len);
        }
        break;
    }
    case FIELD_MESSAGE:
    case FIELD_CHOICE: {
        /* One that was chosen is there whatever it is, but for one that points nowhere. */
        const ProtobufCMessage *inner = pointer_at(member);
        bool is_chosen = f->kind == FIELD_MESSAGE ||
                         *(const uint32_t *)(const void *)(m + f->quantifier) == f->id;
        if (is_chosen && inner != NULL) {
            put_inner(p, f, inner);
        }
        break;
    }
    case FIELD_NUMBER_64: put_number(p, f, *(const uint64_t *)member); break;
    case FIELD_NUMBER_32: put_number(p, f, *(const uint32_t *)member); break;
    case FIELD_SIGNED_32: put_number(p, f, (uint64_t)(int64_t) * (const int32_t *)member); break;
    case FIELD_BOOL: put_number(p, f, *(const protobuf_c_boolean *)member != 0); break;
    case FIELD_DOUBLE: put_double(p, f, member); break;
    case FIELD_UNKNOWN: p->failed = true; break;
    default: put_list(p, f, *(const size_t *)(const void *)(m + f->quantifier), pointer_at(member));
    }
}

static void put_message(struct packer *p, const struct form *form, const ProtobufCMessage *m)
{
    const struct form_field *fields = p->forms->fields;
    p->failed = p->failed || m->n_unknown_fields > 0;
    for (size_t i = form->end; i > form->first && !p->failed; i--) {
        put_field(p, &fields[i - 1], (const uint8_t *)m);
    }
}

struct bytes record_pack(const struct record_forms *forms, const ProtobufCMessage *message,
                         uint8_t *room, size_t size)
{
    struct packer p = {.start = room, .at = room + size, .forms = forms};
    put_message(&p, &forms->forms[0], message);
    return p.failed ? (struct bytes){0} : bytes_of(p.at, (size_t)(room + size - p.at));
}

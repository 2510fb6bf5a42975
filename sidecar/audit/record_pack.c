#include "sidecar/audit/record_pack.h"

#include <string.h>

enum { WIRE_TYPE_VARINT = 0, WIRE_TYPE_64BIT = 1, WIRE_TYPE_LENGTH = 2 };

/* Bytes are put before those that are there: `start` <= `at`. */
struct packer {
    uint8_t *start, *at;
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

static inline void put_tag(struct packer *p, const ProtobufCFieldDescriptor *f, unsigned wire_type)
{
    put_varint(p, (uint64_t)f->id << 3 | wire_type);
}

static inline void put_text(struct packer *p, const ProtobufCFieldDescriptor *f, const void *data,
                            size_t size)
{
    put_bytes(p, data, size);
    put_varint(p, size);
    put_tag(p, f, WIRE_TYPE_LENGTH);
}

static void put_message(struct packer *p, const ProtobufCMessage *m);

static void put_inner(struct packer *p, const ProtobufCFieldDescriptor *f,
                      const ProtobufCMessage *m)
{
    const uint8_t *end = p->at;
    if (m != NULL) {
        put_message(p, m);
    }
    put_varint(p, (size_t)(end - p->at));
    put_tag(p, f, WIRE_TYPE_LENGTH);
}

static inline void put_number(struct packer *p, const ProtobufCFieldDescriptor *f, uint64_t v)
{
    put_varint(p, v);
    put_tag(p, f, WIRE_TYPE_VARINT);
}

static const void *pointer_at(const void *member)
{
    return *(void *const *)member;
}

/* What is of a length; false: another type. */
static bool put_sized(struct packer *p, const ProtobufCFieldDescriptor *f, const void *member)
{
    if (f->type == PROTOBUF_C_TYPE_STRING) {
        const char *text = pointer_at(member);
        put_text(p, f, text, text == NULL ? 0 : strlen(text));
    } else if (f->type == PROTOBUF_C_TYPE_BYTES) {
        const ProtobufCBinaryData *b = member;
        put_text(p, f, b->data, b->len);
    } else if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
        put_inner(p, f, pointer_at(member));
    } else {
        return false;
    }
    return true;
}

/* What proto3 leaves out: a zero, an empty text, no message. */
static void put_single(struct packer *p, const ProtobufCFieldDescriptor *f, const void *member)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING: {
        const char *text = pointer_at(member);
        if (text != NULL && text[0] != '\0') {
            put_text(p, f, text, strlen(text));
        }
        break;
    }
    case PROTOBUF_C_TYPE_BYTES:
        if (((const ProtobufCBinaryData *)member)->len > 0) {
            (void)put_sized(p, f, member);
        }
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        if (pointer_at(member) != NULL) {
            put_inner(p, f, pointer_at(member));
        }
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
        if (*(const uint64_t *)member != 0) {
            put_number(p, f, *(const uint64_t *)member);
        }
        break;
    case PROTOBUF_C_TYPE_UINT32:
        if (*(const uint32_t *)member != 0) {
            put_number(p, f, *(const uint32_t *)member);
        }
        break;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_ENUM: /* a negative one is ten bytes */
        if (*(const int32_t *)member != 0) {
            put_number(p, f, (uint64_t)(int64_t) * (const int32_t *)member);
        }
        break;
    case PROTOBUF_C_TYPE_BOOL:
        if (*(const protobuf_c_boolean *)member) {
            put_number(p, f, 1);
        }
        break;
    default: p->failed = true; break;
    }
}

static void put_double(struct packer *p, const ProtobufCFieldDescriptor *f, const double *member)
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

static size_t item_size(const ProtobufCFieldDescriptor *f)
{
    return f->type == PROTOBUF_C_TYPE_BYTES ? sizeof(ProtobufCBinaryData) : sizeof(void *);
}

/* Texts, bytes and messages; no record has a list of numbers. */
static void put_list(struct packer *p, const ProtobufCFieldDescriptor *f, size_t count,
                     const uint8_t *items)
{
    for (size_t i = count; i > 0 && !p->failed; i--) {
        p->failed = !put_sized(p, f, items + (i - 1) * item_size(f)) || p->failed;
    }
}

static void put_field(struct packer *p, const ProtobufCFieldDescriptor *f,
                      const ProtobufCMessage *m)
{
    const uint8_t *base = (const uint8_t *)m;
    const uint8_t *member = base + f->offset;
    const uint8_t *quantifier = base + f->quantifier_offset;
    if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        if (*(const uint32_t *)(const void *)quantifier == f->id) {
            /* One that was chosen is there whatever it is, but for one that points nowhere. */
            p->failed = p->failed || f->type != PROTOBUF_C_TYPE_MESSAGE;
            put_single(p, f, member);
        }
    } else if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t count = *(const size_t *)(const void *)quantifier;
        if (count > 0) {
            put_list(p, f, count, pointer_at(member));
        }
    } else if (f->label != PROTOBUF_C_LABEL_NONE) {
        p->failed = true;
    } else if (f->type == PROTOBUF_C_TYPE_DOUBLE) {
        put_double(p, f, (const double *)(const void *)member);
    } else {
        put_single(p, f, member);
    }
}

static void put_message(struct packer *p, const ProtobufCMessage *m)
{
    const ProtobufCMessageDescriptor *d = m->descriptor;
    p->failed = p->failed || m->n_unknown_fields > 0;
    for (unsigned i = d->n_fields; i > 0 && !p->failed; i--) {
        put_field(p, &d->fields[i - 1], m);
    }
}

struct bytes record_pack(const ProtobufCMessage *message, uint8_t *room, size_t size)
{
    struct packer p = {.start = room, .at = room + size};
    put_message(&p, message);
    return p.failed ? (struct bytes){0} : bytes_of(p.at, (size_t)(room + size - p.at));
}

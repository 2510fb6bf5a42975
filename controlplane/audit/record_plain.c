#include "controlplane/audit/record_plain.h"

#include "api/audit.pb-c.h"
#include "base/cursor.h"

enum {
    /* Bytes of a varint. A tenth is of negative numbers, which are not plain. */
    NUMBER_MAX = 9,
    TAG_MAX = 2,
    LENGTH_MAX = 4,
    NUMBER_32_MAX = (1U << 28) - 1,
    DEPTH_MAX = 4, /* Record, Outcome, MaskingReceipt, Masked */
    FIELDS_MAX = 64,
};

/* https://protobuf.dev/programming-guides/encoding/ */
enum wire_type { WIRE_VARINT = 0, WIRE_LENGTH = 2 };

/* A message that is being read. */
struct reading {
    struct cursor cursor;
    const ProtobufCMessageDescriptor *type;
    uint64_t seen; /* a bit for each of its fields that is not repeated */
};

struct field {
    const ProtobufCFieldDescriptor *type;
    uint64_t number;
    struct bytes bytes;
};

static struct reading reading_of(struct bytes b, const ProtobufCMessageDescriptor *type)
{
    return (struct reading){.cursor = cursor_of(b), .type = type};
}

static bool is_over(const struct reading *r)
{
    return r->cursor.remaining == 0;
}

static bool read_varint(struct cursor *c, unsigned max, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < max; i++) {
        uint8_t byte = cursor_read_u8(c);
        value |= (uint64_t)(byte & 0x7F) << 7 * i;
        if (byte < 0x80) {
            *out = value;
            return !c->failed;
        }
    }
    return false;
}

/* Fields are in the order of their ids, and ids without a gap are their places. */
static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *type,
                                                  uint64_t id)
{
    if (id > 0 && id <= type->n_fields && type->fields[id - 1].id == id) {
        return &type->fields[id - 1];
    }
    return protobuf_c_message_descriptor_get_field(type, (unsigned)id);
}

static bool read_number(struct reading *r, struct field *out)
{
    bool is_wide =
        out->type->type == PROTOBUF_C_TYPE_UINT64 || out->type->type == PROTOBUF_C_TYPE_INT64;
    return out->type->label != PROTOBUF_C_LABEL_REPEATED &&
           read_varint(&r->cursor, NUMBER_MAX, &out->number) &&
           (is_wide || out->number <= NUMBER_32_MAX);
}

static bool read_value(struct reading *r, unsigned wire, struct field *out)
{
    uint64_t size = 0;
    switch (out->type->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_ENUM: return wire == WIRE_VARINT && read_number(r, out);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        if (wire != WIRE_LENGTH || !read_varint(&r->cursor, LENGTH_MAX, &size)) {
            return false;
        }
        out->bytes = cursor_read_bytes(&r->cursor, (size_t)size);
        return !r->cursor.failed;
    default: return false;
    }
}

/* False: the message is not plain. */
static bool read_field(struct reading *r, struct field *out)
{
    uint64_t tag = 0;
    if (!read_varint(&r->cursor, TAG_MAX, &tag)) {
        return false;
    }
    *out = (struct field){.type = find_field(r->type, tag >> 3)};
    if (out->type == NULL) {
        return false;
    }
    size_t place = (size_t)(out->type - r->type->fields);
    if (out->type->label != PROTOBUF_C_LABEL_REPEATED) {
        if (place >= FIELDS_MAX || (r->seen >> place & 1) != 0) {
            return false;
        }
        r->seen |= UINT64_C(1) << place;
    }
    return read_value(r, (unsigned)(tag & 7), out);
}

/* Whether all of a message that nothing is needed of is plain, with what it holds. */
static bool is_plain(const struct field *f, unsigned depth)
{
    if (f->type->type != PROTOBUF_C_TYPE_MESSAGE) {
        return true;
    }
    struct reading r = reading_of(f->bytes, f->type->descriptor);
    struct field inner;
    while (!is_over(&r)) {
        if (depth == DEPTH_MAX || !read_field(&r, &inner) || !is_plain(&inner, depth + 1)) {
            return false;
        }
    }
    return true;
}

/* As a string in C it would end there. */
static bool has_nul(struct bytes text)
{
    return text.size > 0 && memchr(text.data, 0, text.size) != NULL;
}

static bool read_object(struct bytes b, struct record_plain *out)
{
    enum { KIND = 1, NAME = 2 };
    struct reading r = reading_of(b, &chaperone__v1__object__descriptor);
    struct record_plain_object object = {.kind = {.size = 0}};
    struct field f;
    if (out->object_count == RECORD_PLAIN_OBJECTS_MAX) {
        return false;
    }
    while (!is_over(&r)) {
        if (!read_field(&r, &f)) {
            return false;
        }
        if (f.type->id == KIND) {
            object.kind = f.bytes;
        } else if (f.type->id == NAME) {
            object.name = f.bytes;
        }
    }
    out->objects[out->object_count++] = object;
    return !has_nul(object.kind) && !has_nul(object.name);
}

static bool read_intent(struct bytes b, struct record_plain *out)
{
    enum { OPERATION = 1, VERDICT = 2, OBJECTS = 8, TEXT = 9 };
    struct reading r = reading_of(b, &chaperone__v1__intent__descriptor);
    struct field f;
    bool good = true;
    out->kind = STORE_INTENT;
    while (good && !is_over(&r)) {
        good = read_field(&r, &f);
        if (!good) {
            break;
        }
        switch (f.type->id) {
        case OPERATION: out->operation = f.number; break;
        case VERDICT: out->verdict = (int)f.number; break;
        case OBJECTS: good = read_object(f.bytes, out); break;
        case TEXT: out->text = f.bytes; break;
        default: good = is_plain(&f, 0); break;
        }
    }
    return good;
}

static bool read_outcome(struct bytes b, struct record_plain *out)
{
    enum { OPERATION = 1, STATUS = 3, ERROR_CODE = 5, ROWS = 7 };
    struct reading r = reading_of(b, &chaperone__v1__outcome__descriptor);
    struct field f;
    out->kind = STORE_OUTCOME;
    while (!is_over(&r)) {
        if (!read_field(&r, &f)) {
            return false;
        }
        switch (f.type->id) {
        case OPERATION: out->operation = f.number; break;
        case STATUS: out->status = (int)f.number; break;
        case ERROR_CODE: out->error_code = f.bytes; break;
        case ROWS: out->rows = f.number; break;
        default:
            if (!is_plain(&f, 0)) {
                return false;
            }
        }
    }
    return !has_nul(out->error_code);
}

static bool read_event(const struct field *f, struct record_plain *out)
{
    enum { INTENT = 11, OUTCOME = 13 };
    bool is_first = out->kind == 0; /* of several the last one counts */
    if (f->type->id == INTENT) {
        return is_first && read_intent(f->bytes, out);
    }
    return f->type->id == OUTCOME && is_first && read_outcome(f->bytes, out);
}

bool record_plain_read(struct bytes canonical, struct record_plain *out)
{
    enum { SIDECAR = 1, SEQUENCE, PREVIOUS, TIME, SESSION, SALT };
    struct reading r = reading_of(canonical, &chaperone__v1__record__descriptor);
    struct field f;
    bool good = true;
    memset(out, 0, offsetof(struct record_plain, objects));
    out->object_count = 0;
    out->status = 0;
    out->rows = 0;
    out->error_code = bytes_of(NULL, 0);
    while (good && !is_over(&r)) {
        good = read_field(&r, &f);
        if (!good) {
            break;
        }
        switch (f.type->id) {
        case SIDECAR: out->sidecar = f.bytes; break;
        case SEQUENCE: out->sequence = f.number; break;
        case PREVIOUS: out->previous = f.bytes; break;
        case TIME: out->time_ns = (int64_t)f.number; break;
        case SESSION: out->session = f.bytes; break;
        case SALT: break;
        default: good = read_event(&f, out); break;
        }
    }
    return good && out->kind != 0 && !has_nul(out->sidecar) && !has_nul(out->session);
}

#include "cli/verify/scan.h"

#include "base/cursor.h"

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5, PREVIOUS_SIZE = 32 };

static const char *const kinds[SCAN_KINDS] = {
    [SCAN_SESSION_OPENED] = "session_opened",
    [SCAN_INTENT] = "intent",
    [SCAN_APPROVAL] = "approval",
    [SCAN_OUTCOME] = "outcome",
    [SCAN_SESSION_CLOSED] = "session_closed",
    [SCAN_HEARTBEAT] = "heartbeat",
    [SCAN_LOSS] = "loss",
    [SCAN_ACTION] = "action",
    [SCAN_FINDING] = "finding",
    [SCAN_MESSAGE] = "message",
};

const char *scan_kind_name(enum scan_kind kind)
{
    return kind < SCAN_KINDS ? kinds[kind] : NULL;
}

enum scan_kind scan_kind_parse(struct bytes word)
{
    for (int kind = SCAN_SESSION_OPENED; kind < SCAN_KINDS; kind++) {
        if (bytes_equal_string(word, kinds[kind])) {
            return (enum scan_kind)kind;
        }
    }
    return SCAN_UNKNOWN;
}

static uint64_t read_varint(struct cursor *c)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = cursor_read_u8(c);
        /* The tenth byte has one bit of 64 left. */
        if (shift == 63 && byte > 1) {
            break;
        }
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            return value;
        }
    }
    c->failed = true;
    return 0;
}

struct field {
    uint64_t number;
    uint64_t value;     /* of a varint */
    struct bytes bytes; /* of a length-delimited one */
    bool has_bytes;
};

static bool next_field(struct cursor *c, struct field *out)
{
    if (c->failed || c->remaining == 0) {
        return false;
    }
    uint64_t tag = read_varint(c);
    *out = (struct field){.number = tag >> 3};
    switch (tag & 7) {
    case WIRE_VARINT: out->value = read_varint(c); break;
    case WIRE_64: (void)cursor_read_bytes(c, 8); break;
    case WIRE_32: (void)cursor_read_bytes(c, 4); break;
    case WIRE_BYTES: {
        uint64_t size = read_varint(c);
        out->bytes = cursor_read_bytes(c, size > SIZE_MAX ? SIZE_MAX : (size_t)size);
        out->has_bytes = true;
        break;
    }
    default: c->failed = true; break;
    }
    c->failed = c->failed || out->number == 0;
    return !c->failed;
}

/* Where a kind of event has what is wanted; 0: nowhere. */
struct places {
    unsigned operation, operations, revision, verdict, policy, text, signature, key, first, last;
};

static const struct places places[SCAN_KINDS] = {
    [SCAN_SESSION_OPENED] = {.verdict = 1, .policy = 3, .revision = 4},
    [SCAN_INTENT] = {.operation = 1, .verdict = 2, .policy = 4, .revision = 5, .text = 9},
    [SCAN_APPROVAL] = {.operation = 2},
    [SCAN_OUTCOME] = {.operation = 1},
    [SCAN_SESSION_CLOSED] = {.operations = 4},
    [SCAN_HEARTBEAT] = {.signature = 2, .key = 3},
    [SCAN_LOSS] = {.first = 1, .last = 2},
    [SCAN_MESSAGE] = {.operation = 1},
};

static void take_number(const struct places *p, const struct field *f, struct scan *out)
{
    if (f->number == p->operation) {
        out->operation = f->value;
    } else if (f->number == p->operations) {
        out->operations = f->value;
    } else if (f->number == p->revision) {
        out->policy_revision = f->value;
    } else if (f->number == p->verdict) {
        out->verdict = f->value;
    } else if (f->number == p->first) {
        out->first = f->value;
    } else if (f->number == p->last) {
        out->last = f->value;
    }
}

static void take_bytes(const struct places *p, const struct field *f, struct scan *out)
{
    if (f->number == p->policy) {
        out->policy_hash = f->bytes;
    } else if (f->number == p->text) {
        out->text = f->bytes;
    } else if (f->number == p->signature) {
        out->signature = f->bytes;
    } else if (f->number == p->key) {
        out->public_key = f->bytes;
    }
}

static bool scan_event(struct scan *out)
{
    struct cursor c = cursor_of(out->event);
    struct field f;
    const struct places *p = &places[out->kind];
    while (next_field(&c, &f)) {
        if (f.has_bytes) {
            take_bytes(p, &f, out);
        } else {
            take_number(p, &f, out);
        }
    }
    return cursor_is_complete(&c);
}

enum err scan_record(struct bytes canonical, struct scan *out)
{
    struct cursor c = cursor_of(canonical);
    struct scan s = {.kind = SCAN_UNKNOWN};
    struct field f;
    while (next_field(&c, &f)) {
        switch (f.number) {
        case 1: s.sidecar = f.bytes; break;
        case 2: s.sequence = f.value; break;
        case 3: s.previous = f.bytes; break;
        case 4: s.time_ns = (int64_t)f.value; break;
        case 5: s.session = f.bytes; break;
        default:
            if (f.has_bytes && f.number >= SCAN_SESSION_OPENED && f.number < SCAN_KINDS) {
                s.kind = (enum scan_kind)f.number;
                s.event = f.bytes;
            }
            break;
        }
    }
    if (!cursor_is_complete(&c) || s.sidecar.size == 0 || s.sequence == 0 ||
        s.previous.size != PREVIOUS_SIZE || !scan_event(&s)) {
        return ERR_INVALID;
    }
    *out = s;
    return OK;
}

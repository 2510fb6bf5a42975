#include "sidecar/protocol/postgres/pg_bind.h"

#include "sidecar/protocol/postgres/pg_wire_internal.h"

enum piece { PIECE_DONE, PIECE_CUT, PIECE_BROKEN };

void pg_bind_init(struct pg_bind_reader *r, uint32_t body_size)
{
    /* The bit fields and names are written before they are read. */
    r->portal = r->statement = (struct bytes){0};
    r->value_count = r->value_index = r->value_size = 0;
    r->value_is_null = r->value_is_binary = false;
    r->results.count = 0;
    r->state = PG_BIND_AT_PORTAL;
    r->body_left = body_size;
    r->data_left = 0;
    r->number = r->number_size = 0;
    r->format_count = r->at = 0;
}

static bool bit_get(const uint8_t *bits, size_t at)
{
    return (bits[at / 8] >> (at % 8) & 1) != 0;
}

static void bit_set(uint8_t *bits, size_t at, bool on)
{
    uint8_t mask = (uint8_t)(1U << (at % 8));
    bits[at / 8] = (uint8_t)(on ? bits[at / 8] | mask : bits[at / 8] & ~mask);
}

bool pg_result_formats_is_binary(const struct pg_result_formats *formats, size_t column)
{
    size_t at = formats->count == 1 ? 0 : column;
    return at < formats->count && bit_get(formats->bits, at);
}

/* At most `size` bytes from the input, and never beyond the body. */
static struct bytes take(struct pg_bind_reader *r, struct bytes *in, size_t size)
{
    size = size < r->body_left ? size : r->body_left;
    size = size < in->size ? size : in->size;
    struct bytes taken = bytes_of(in->data, size);
    if (size > 0) {
        in->data += size;
        in->size -= size;
        r->body_left -= (uint32_t)size;
    }
    return taken;
}

static enum piece read_number(struct pg_bind_reader *r, struct bytes *in, uint32_t size,
                              uint32_t *out)
{
    if (r->body_left < size - r->number_size) {
        return PIECE_BROKEN;
    }
    struct bytes part = take(r, in, size - r->number_size);
    for (size_t i = 0; i < part.size; i++) {
        r->number = r->number << 8 | part.data[i];
    }
    r->number_size += (uint32_t)part.size;
    if (r->number_size < size) {
        return PIECE_CUT;
    }
    *out = r->number;
    r->number = r->number_size = 0;
    return PIECE_DONE;
}

static enum piece read_name(struct pg_bind_reader *r, struct bytes *in, uint8_t *name,
                            struct bytes *out)
{
    for (;;) {
        struct bytes one = take(r, in, 1);
        if (one.size == 0) {
            return r->body_left == 0 ? PIECE_BROKEN : PIECE_CUT;
        }
        if (one.data[0] == 0) {
            *out = bytes_of(name, r->at);
            r->at = 0;
            return PIECE_DONE;
        }
        if (r->at == PG_BIND_NAME_MAX) {
            return PIECE_BROKEN;
        }
        name[r->at++] = one.data[0];
    }
}

/* Each item that was announced needs so many bytes at least. */
static bool has_room(const struct pg_bind_reader *r, uint32_t count, uint32_t item_size)
{
    return r->body_left / item_size >= count;
}

/* The state behind one format code of `count`, which `bits` remember. */
static enum piece read_format_code(struct pg_bind_reader *r, struct bytes *in, uint8_t *bits)
{
    uint32_t code;
    enum piece piece = read_number(r, in, 2, &code);
    if (piece == PIECE_DONE && code > PG_FORMAT_BINARY) {
        return PIECE_BROKEN;
    }
    if (piece == PIECE_DONE) {
        bit_set(bits, r->at++, code == PG_FORMAT_BINARY);
    }
    return piece;
}

/* What comes behind the values so far. */
static enum pg_bind_state state_of_values(const struct pg_bind_reader *r)
{
    return r->at < r->value_count ? PG_BIND_AT_VALUE_SIZE : PG_BIND_AT_RESULT_COUNT;
}

static enum piece read_format_count(struct pg_bind_reader *r, struct bytes *in)
{
    enum piece piece = read_number(r, in, 2, &r->format_count);
    if (piece == PIECE_DONE) {
        if (!has_room(r, r->format_count, 2)) {
            return PIECE_BROKEN;
        }
        r->state = r->format_count > 0 ? PG_BIND_AT_FORMAT : PG_BIND_AT_VALUE_COUNT;
    }
    return piece;
}

static enum piece read_value_count(struct pg_bind_reader *r, struct bytes *in)
{
    enum piece piece = read_number(r, in, 2, &r->value_count);
    if (piece == PIECE_DONE) {
        bool fits = r->format_count <= 1 || r->format_count == r->value_count;
        if (!fits || !has_room(r, r->value_count, 4)) {
            return PIECE_BROKEN;
        }
        r->state = state_of_values(r);
    }
    return piece;
}

static enum piece read_value_size(struct pg_bind_reader *r, struct bytes *in)
{
    uint32_t size;
    enum piece piece = read_number(r, in, 4, &size);
    if (piece == PIECE_DONE) {
        r->value_is_null = size == PG_NULL_SIZE;
        r->value_size = r->value_is_null ? 0 : size;
        if (r->value_size > r->body_left) {
            return PIECE_BROKEN;
        }
        r->data_left = r->value_size;
        r->value_index = r->at;
        uint32_t code = r->format_count == 1 ? 0 : r->at;
        r->value_is_binary = code < r->format_count && bit_get(r->formats, code);
        r->state = PG_BIND_AT_DATA;
    }
    return piece;
}

static enum piece read_result_count(struct pg_bind_reader *r, struct bytes *in)
{
    uint32_t count;
    enum piece piece = read_number(r, in, 2, &count);
    if (piece == PIECE_DONE) {
        if (count > PG_RESULT_COLUMNS_MAX || r->body_left != count * 2) {
            return PIECE_BROKEN;
        }
        r->results.count = (uint16_t)count;
        r->at = 0;
        r->state = count > 0 ? PG_BIND_AT_RESULT_FORMAT : PG_BIND_AT_END;
    }
    return piece;
}

static enum pg_bind_event read_data(struct pg_bind_reader *r, struct bytes *in, struct bytes *out)
{
    if (r->data_left == 0) {
        r->at++;
        r->state = state_of_values(r);
        return PG_BIND_VALUE_END;
    }
    struct bytes data = take(r, in, r->data_left);
    if (data.size == 0) {
        return PG_BIND_NEED_MORE;
    }
    r->data_left -= (uint32_t)data.size;
    *out = data;
    return PG_BIND_DATA;
}

/* One field; `*event` is set when it makes one. */
static enum piece read_field(struct pg_bind_reader *r, struct bytes *in, enum pg_bind_event *event)
{
    enum piece piece = PIECE_BROKEN;
    switch (r->state) {
    case PG_BIND_AT_PORTAL:
        piece = read_name(r, in, r->names[0], &r->portal);
        r->state = piece == PIECE_DONE ? PG_BIND_AT_STATEMENT : r->state;
        break;
    case PG_BIND_AT_STATEMENT:
        piece = read_name(r, in, r->names[1], &r->statement);
        r->state = piece == PIECE_DONE ? PG_BIND_AT_FORMAT_COUNT : r->state;
        break;
    case PG_BIND_AT_FORMAT_COUNT: piece = read_format_count(r, in); break;
    case PG_BIND_AT_FORMAT:
        piece = read_format_code(r, in, r->formats);
        if (r->at == r->format_count) {
            r->at = 0;
            r->state = PG_BIND_AT_VALUE_COUNT;
        }
        break;
    case PG_BIND_AT_VALUE_COUNT:
        piece = read_value_count(r, in);
        *event = piece == PIECE_DONE ? PG_BIND_NAMES : *event;
        break;
    case PG_BIND_AT_VALUE_SIZE:
        piece = read_value_size(r, in);
        *event = piece == PIECE_DONE ? PG_BIND_VALUE : *event;
        break;
    case PG_BIND_AT_RESULT_COUNT: piece = read_result_count(r, in); break;
    case PG_BIND_AT_RESULT_FORMAT:
        piece = read_format_code(r, in, r->results.bits);
        r->state = r->at == r->results.count ? PG_BIND_AT_END : r->state;
        break;
    case PG_BIND_AT_END:
        *event = PG_BIND_END;
        piece = PIECE_DONE;
        break;
    case PG_BIND_AT_DATA:
    case PG_BIND_BROKEN: break;
    }
    return piece;
}

enum pg_bind_event pg_bind_next(struct pg_bind_reader *r, struct bytes *in, struct bytes *out_data)
{
    if (r->state == PG_BIND_AT_DATA) {
        return read_data(r, in, out_data);
    }
    enum pg_bind_event event = PG_BIND_NEED_MORE;
    enum piece piece;
    do {
        piece = read_field(r, in, &event);
    } while (piece == PIECE_DONE && event == PG_BIND_NEED_MORE);
    if (piece == PIECE_BROKEN) {
        r->state = PG_BIND_BROKEN;
        return PG_BIND_MALFORMED;
    }
    return event;
}

#include "formats/rows.h"

#include <stdio.h>

/* catalog/pg_type.dat: the types whose binary form is read here. */
enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_CHAR = 18,
    OID_NAME = 19,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_OID = 26,
    OID_JSON = 114,
    OID_XML = 142,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_UNKNOWN = 705,
    OID_BPCHAR = 1042,
    OID_VARCHAR = 1043,
    OID_UUID = 2950,
    OID_JSONB = 3802,
};

void rows_init(struct rows *r, struct bytes response)
{
    *r = (struct rows){.cursor = cursor_of(response)};
}

/* RowDescription. */
static bool read_columns(struct rows *r, struct cursor *c)
{
    size_t count = cursor_read_u16(c);
    if (count > ROWS_COLUMNS_MAX) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        struct bytes name = cursor_read_string(c);
        (void)cursor_read_u32(c); /* table */
        (void)cursor_read_u16(c); /* attribute */
        uint32_t type = cursor_read_u32(c);
        (void)cursor_read_u16(c); /* size of the type */
        (void)cursor_read_u32(c); /* modifier */
        uint16_t format = cursor_read_u16(c);
        if (c->failed) {
            return false;
        }
        r->columns[i] = (struct rows_column){
            .name = (const char *)name.data, .type_oid = type, .binary = format == 1};
    }
    r->column_count = count;
    return cursor_is_complete(c);
}

/* DataRow. */
static bool read_cells(struct rows *r, struct cursor *c)
{
    size_t count = cursor_read_u16(c);
    if (count > ROWS_COLUMNS_MAX) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        int32_t size = cursor_read_i32(c);
        bool is_null = size == -1;
        if (size < -1) {
            return false;
        }
        struct bytes value = cursor_read_bytes(c, is_null ? 0 : (size_t)size);
        r->cells[i] = (struct rows_cell){.value = value, .is_null = is_null};
    }
    r->cell_count = count;
    return cursor_is_complete(c);
}

/* ErrorResponse, NoticeResponse: the field M. */
static bool read_error(struct rows *r, struct cursor *c)
{
    for (uint8_t field = cursor_read_u8(c); field != 0; field = cursor_read_u8(c)) {
        struct bytes value = cursor_read_string(c);
        if (field == 'M') {
            r->data = value;
        }
    }
    return !c->failed;
}

static enum rows_kind read_message(struct rows *r, uint8_t type, struct bytes body)
{
    struct cursor c = cursor_of(body);
    r->data = (struct bytes){0};
    switch (type) {
    case 'T': return read_columns(r, &c) ? ROWS_COLUMNS : ROWS_MALFORMED;
    case 'D': return read_cells(r, &c) ? ROWS_ROW : ROWS_MALFORMED;
    case 'd': r->data = body; return ROWS_COPY;
    case 'C': r->data = cursor_read_string(&c); return c.failed ? ROWS_MALFORMED : ROWS_COMMAND;
    case 'E':
    case 'N': return read_error(r, &c) ? ROWS_ERROR : ROWS_MALFORMED;
    default: return ROWS_END; /* says nothing about rows: skipped */
    }
}

enum rows_kind rows_next(struct rows *r)
{
    if (r->cursor.failed) {
        return ROWS_CUT;
    }
    while (r->cursor.remaining > 0) {
        uint8_t type = cursor_read_u8(&r->cursor);
        uint32_t length = cursor_read_u32(&r->cursor);
        if (r->cursor.failed) {
            return ROWS_CUT;
        }
        if (length < 4) {
            r->cursor.failed = true;
            return ROWS_MALFORMED;
        }
        struct bytes body = cursor_read_bytes(&r->cursor, length - 4);
        if (r->cursor.failed) {
            return ROWS_CUT;
        }
        enum rows_kind kind = read_message(r, type, body);
        if (kind != ROWS_END) {
            r->cursor.failed = kind == ROWS_MALFORMED;
            return kind;
        }
    }
    return ROWS_END;
}

static enum err append_hex(struct bytes value, struct buffer *out)
{
    static const char digits[] = "0123456789abcdef";
    enum err e = buffer_append_string(out, "\\x");
    for (size_t i = 0; e == OK && i < value.size; i++) {
        char pair[2] = {digits[value.data[i] >> 4], digits[value.data[i] & 0xf]};
        e = buffer_append(out, bytes_of(pair, 2));
    }
    return e;
}

static uint64_t read_integer(struct bytes value)
{
    uint64_t n = 0;
    for (size_t i = 0; i < value.size; i++) {
        n = n << 8 | value.data[i];
    }
    return n;
}

static enum err append_uuid(struct bytes v, struct buffer *out)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < v.size; i++) {
        const char *dash = i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "";
        e = buffer_append_format(out, "%s%02x", dash, v.data[i]);
    }
    return e;
}

static enum err append_float(struct bytes v, struct buffer *out)
{
    uint64_t bits = read_integer(v);
    if (v.size == 4) {
        uint32_t narrow = (uint32_t)bits;
        float f = 0;
        memcpy(&f, &narrow, sizeof(f));
        return buffer_append_format(out, "%.9g", (double)f);
    }
    double d = 0;
    memcpy(&d, &bits, sizeof(d));
    return buffer_append_format(out, "%.17g", d);
}

/* The size that a type's binary form must have; 0: any. */
static size_t binary_size(uint32_t oid)
{
    switch (oid) {
    case OID_BOOL: return 1;
    case OID_INT2: return 2;
    case OID_INT4:
    case OID_OID:
    case OID_FLOAT4: return 4;
    case OID_INT8:
    case OID_FLOAT8: return 8;
    case OID_UUID: return 16;
    default: return 0;
    }
}

static enum err append_binary(uint32_t oid, struct bytes v, struct buffer *out)
{
    size_t size = binary_size(oid);
    if (size != 0 && size != v.size) {
        return append_hex(v, out);
    }
    switch (oid) {
    case OID_BOOL: return buffer_append_string(out, v.data[0] != 0 ? "t" : "f");
    case OID_INT2: return buffer_append_format(out, "%d", (int16_t)read_integer(v));
    case OID_INT4: return buffer_append_format(out, "%d", (int32_t)read_integer(v));
    case OID_INT8: return buffer_append_format(out, "%lld", (long long)read_integer(v));
    case OID_OID: return buffer_append_format(out, "%u", (uint32_t)read_integer(v));
    case OID_FLOAT4:
    case OID_FLOAT8: return append_float(v, out);
    case OID_UUID: return append_uuid(v, out);
    case OID_CHAR:
    case OID_NAME:
    case OID_TEXT:
    case OID_JSON:
    case OID_XML:
    case OID_UNKNOWN:
    case OID_BPCHAR:
    case OID_VARCHAR: return buffer_append(out, v);
    /* The first byte is the version of the format. */
    case OID_JSONB:
        return v.size > 0 && v.data[0] == 1 ? buffer_append(out, bytes_of(v.data + 1, v.size - 1))
                                            : append_hex(v, out);
    default: return append_hex(v, out);
    }
}

enum err rows_append_text(const struct rows_column *column, struct bytes value, struct buffer *out)
{
    return column->binary ? append_binary(column->type_oid, value, out) : buffer_append(out, value);
}

#include "sidecar/masking/value.h"

#include "base/cursor.h"
#include "base/hex.h"
#include "base/writer.h"
#include "sidecar/protocol/postgres/pg_types.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const struct value_type types[] = {
    {16, VALUE_BOOL, 1000, 0},          {17, VALUE_BYTEA, 1001, 0},
    {19, VALUE_TEXT, 1003, 0},          {20, VALUE_INTEGER, 1016, 8},
    {21, VALUE_INTEGER, 1005, 2},       {23, VALUE_INTEGER, 1007, 4},
    {25, VALUE_TEXT, 1009, 0},          {114, VALUE_JSON, 199, 0},
    {700, VALUE_FLOAT4, 1021, 0},       {701, VALUE_FLOAT8, 1022, 0},
    {869, VALUE_INET, 1041, 0},         {1042, VALUE_TEXT, 1014, 0},
    {1043, VALUE_TEXT, 1015, 0},        {1082, VALUE_DATE, 1182, 0},
    {1083, VALUE_TIME, 1183, 0},        {1114, VALUE_TIMESTAMP, 1115, 0},
    {1184, VALUE_TIMESTAMPTZ, 1185, 0}, {1700, VALUE_NUMERIC, 1231, 0},
    {2950, VALUE_UUID, 2951, 0},        {3802, VALUE_JSONB, 3807, 0},
};

const struct value_type *value_type_find(uint32_t oid, bool *out_is_array)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (oid != 0 && (types[i].oid == oid || types[i].array == oid)) {
            *out_is_array = types[i].array == oid;
            return &types[i];
        }
    }
    return NULL;
}

/* ---- reading text ------------------------------------------------------------------------- */

static bool is_octal(uint8_t c, uint8_t most)
{
    return c >= '0' && c <= most;
}

/* For strtod and its kin, which want a terminator; the server prints no such text longer. */
static bool to_short_string(struct bytes text, const char *permitted, char out[VALUE_SHORT_MAX])
{
    if (text.size == 0 || text.size >= VALUE_SHORT_MAX) {
        return false;
    }
    memcpy(out, text.data, text.size);
    out[text.size] = '\0';
    return strspn(out, permitted) == text.size;
}

static bool read_integer_text(struct bytes text, struct value *out)
{
    char string[VALUE_SHORT_MAX], *end = NULL;
    if (!to_short_string(text, "-0123456789", string)) {
        return false;
    }
    errno = 0;
    out->number = strtoll(string, &end, 10);
    return errno == 0 && *end == '\0' && end != string;
}

static bool read_float_text(struct bytes text, struct value *out)
{
    char string[VALUE_SHORT_MAX], *end = NULL;
    if (!to_short_string(text, "-+0123456789.eINafinty", string)) {
        return false;
    }
    out->real =
        out->type->kind == VALUE_FLOAT4 ? (double)strtof(string, &end) : strtod(string, &end);
    return *end == '\0' && end != string;
}

static bool read_bool_text(struct bytes text, struct value *out)
{
    out->number = bytes_equal_string(text, "t") || bytes_equal_string(text, "true");
    return out->number == 1 || bytes_equal_string(text, "f") || bytes_equal_string(text, "false");
}

static bool read_uuid_text(struct bytes text, struct value *out)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    size_t nibbles = 0;
    if (text.size != sizeof(form) - 1) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        int digit = hex_value(text.data[i]);
        if (form[i] == '-' ? text.data[i] != '-' : digit < 0) {
            return false;
        }
        if (form[i] == 'x') {
            uint8_t *byte = &out->own[nibbles / 2];
            *byte = (uint8_t)(nibbles % 2 == 0 ? digit << 4 : *byte | digit);
            nibbles++;
        }
    }
    out->text = bytes_of(out->own, VALUE_UUID_SIZE);
    return true;
}

static bool read_inet_text(struct bytes text, struct value *out)
{
    char string[VALUE_SHORT_MAX], *end = NULL;
    if (!to_short_string(text, "0123456789abcdefABCDEF:./", string)) {
        return false;
    }
    char *slash = strchr(string, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
    bool is_v6 = strchr(string, ':') != NULL;
    uint8_t size = is_v6 ? 16 : 4;
    if (inet_pton(is_v6 ? AF_INET6 : AF_INET, string, out->own + 4) != 1) {
        return false;
    }
    unsigned long bits = 8ul * size;
    if (slash != NULL) {
        bits = strtoul(slash + 1, &end, 10);
        if (*end != '\0' || end == slash + 1 || bits > 8ul * size) {
            return false;
        }
    }
    out->own[0] = is_v6 ? 3 : 2; /* PGSQL_AF_INET6, PGSQL_AF_INET */
    out->own[1] = (uint8_t)bits;
    out->own[2] = 0;
    out->own[3] = size;
    out->text = bytes_of(out->own, 4u + size);
    return true;
}

/* bytea_output = hex, or escape: \\ and \ooo. The result is never longer than the text. */
static enum err read_bytea_text(struct bytes text, struct buffer *scratch, struct value *out)
{
    buffer_clear(scratch);
    uint8_t *to = buffer_reserve(scratch, text.size + 1);
    size_t n = 0;
    if (to == NULL) {
        return ERR_NO_MEMORY;
    }
    bool is_hex = text.size >= 2 && text.data[0] == '\\' && text.data[1] == 'x';
    for (size_t i = is_hex ? 2 : 0; i < text.size;) {
        const uint8_t *at = text.data + i;
        size_t left = text.size - i;
        if (is_hex) {
            if (left < 2 || hex_value(at[0]) < 0 || hex_value(at[1]) < 0) {
                return ERR_INVALID;
            }
            to[n++] = (uint8_t)(hex_value(at[0]) << 4 | hex_value(at[1]));
            i += 2;
        } else if (at[0] != '\\') {
            to[n++] = at[0];
            i++;
        } else if (left >= 2 && at[1] == '\\') {
            to[n++] = '\\';
            i += 2;
        } else if (left >= 4 && is_octal(at[1], '3') && is_octal(at[2], '7') &&
                   is_octal(at[3], '7')) {
            to[n++] = (uint8_t)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0'));
            i += 4;
        } else {
            return ERR_INVALID;
        }
    }
    buffer_commit(scratch, n);
    out->text = buffer_bytes(scratch);
    return OK;
}

static bool is_numeric_text(struct bytes text)
{
    return value_is_decimal(text) || bytes_equal_string(text, "NaN") ||
           bytes_equal_string(text, "Infinity") || bytes_equal_string(text, "-Infinity");
}

static enum err read_text(struct bytes input, struct buffer *scratch, struct value *out)
{
    bool ok = true;
    out->text = input;
    switch (out->type->kind) {
    case VALUE_BOOL: ok = read_bool_text(input, out); break;
    case VALUE_INTEGER: ok = read_integer_text(input, out); break;
    case VALUE_FLOAT4:
    case VALUE_FLOAT8: ok = read_float_text(input, out); break;
    case VALUE_NUMERIC: ok = is_numeric_text(input); break;
    case VALUE_BYTEA: return read_bytea_text(input, scratch, out);
    case VALUE_UUID: ok = read_uuid_text(input, out); break;
    case VALUE_DATE: ok = value_date_parse(input, &out->number); break;
    case VALUE_TIMESTAMP: ok = value_timestamp_parse(input, false, &out->number); break;
    case VALUE_TIMESTAMPTZ: ok = value_timestamp_parse(input, true, &out->number); break;
    case VALUE_TIME: ok = value_time_parse(input, &out->number); break;
    case VALUE_INET: ok = read_inet_text(input, out); break;
    case VALUE_TEXT:
    case VALUE_JSON:
    case VALUE_JSONB: break;
    case VALUE_UNKNOWN: ok = false; break;
    }
    return ok ? OK : ERR_INVALID;
}

/* ---- reading binary ----------------------------------------------------------------------- */

static int64_t read_integer(struct cursor *c, uint8_t width)
{
    return width == 2 ? cursor_read_i16(c) : width == 4 ? cursor_read_i32(c) : cursor_read_i64(c);
}

static double read_float(struct cursor *c, enum value_kind kind)
{
    if (kind == VALUE_FLOAT4) {
        uint32_t bits = cursor_read_u32(c);
        float f;
        memcpy(&f, &bits, sizeof(f));
        return (double)f;
    }
    int64_t bits = cursor_read_i64(c);
    double d;
    memcpy(&d, &bits, sizeof(d));
    return d;
}

static enum err read_numeric(struct bytes input, struct buffer *scratch, struct value *out)
{
    buffer_clear(scratch);
    enum pg_text_result r = pg_types_to_text(out->type->oid, input, scratch->cap, scratch);
    out->text = buffer_bytes(scratch);
    return r == PG_TEXT_WHOLE ? OK : r == PG_TEXT_NO_MEMORY ? ERR_NO_MEMORY : ERR_INVALID;
}

static int64_t read_days(struct cursor *c)
{
    int32_t days = cursor_read_i32(c);
    return days == INT32_MAX ? VALUE_INFINITY : days == INT32_MIN ? VALUE_MINUS_INFINITY : days;
}

/* network_send: family, bits, is_cidr, size, address. */
static bool is_inet(struct bytes b)
{
    return (b.size == 8 && b.data[0] == 2 && b.data[1] <= 32 && b.data[3] == 4) ||
           (b.size == 20 && b.data[0] == 3 && b.data[1] <= 128 && b.data[3] == 16);
}

static enum err read_binary(struct bytes input, struct buffer *scratch, struct value *out)
{
    struct cursor c = cursor_of(input);
    out->text = input;
    switch (out->type->kind) {
    case VALUE_BOOL: out->number = cursor_read_u8(&c) != 0; break;
    case VALUE_INTEGER: out->number = read_integer(&c, out->type->width); break;
    case VALUE_FLOAT4:
    case VALUE_FLOAT8: out->real = read_float(&c, out->type->kind); break;
    case VALUE_NUMERIC: return read_numeric(input, scratch, out);
    case VALUE_UUID: return input.size == VALUE_UUID_SIZE ? OK : ERR_INVALID;
    case VALUE_DATE: out->number = read_days(&c); break;
    case VALUE_TIMESTAMP:
    case VALUE_TIMESTAMPTZ:
    case VALUE_TIME: out->number = cursor_read_i64(&c); break;
    case VALUE_INET: return is_inet(input) ? OK : ERR_INVALID;
    case VALUE_JSONB:
        if (cursor_read_u8(&c) != 1) {
            return ERR_INVALID;
        }
        out->text = bytes_of(c.at, c.remaining);
        return OK;
    case VALUE_TEXT:
    case VALUE_JSON:
    case VALUE_BYTEA: return OK;
    case VALUE_UNKNOWN: return ERR_INVALID;
    }
    return cursor_is_complete(&c) ? OK : ERR_INVALID;
}

enum err value_read(const struct value_type *type, bool is_binary, struct bytes input,
                    struct buffer *scratch, struct value *out)
{
    out->type = type;
    return is_binary ? read_binary(input, scratch, out) : read_text(input, scratch, out);
}

/* ---- writing ------------------------------------------------------------------------------ */

static bool fits(int64_t number, uint8_t width)
{
    return width == 8 || (width == 4 && number >= INT32_MIN && number <= INT32_MAX) ||
           (width == 2 && number >= INT16_MIN && number <= INT16_MAX);
}

static size_t put_number(uint64_t number, size_t size, uint8_t *out)
{
    for (size_t i = 0; i < size; i++) {
        out[i] = (uint8_t)(number >> 8 * (size - 1 - i));
    }
    return size;
}

static size_t put_float(const struct value *v, uint8_t *out)
{
    if (v->type->kind == VALUE_FLOAT4) {
        float f = (float)v->real;
        uint32_t bits;
        memcpy(&bits, &f, sizeof(bits));
        return put_number(bits, 4, out);
    }
    uint64_t bits;
    memcpy(&bits, &v->real, sizeof(bits));
    return put_number(bits, 8, out);
}

static size_t put_days(int64_t days, uint8_t *out)
{
    int64_t bounded = days == VALUE_INFINITY         ? INT32_MAX
                      : days == VALUE_MINUS_INFINITY ? INT32_MIN
                                                     : days;
    return bounded < INT32_MIN || bounded > INT32_MAX ? 0 : put_number((uint64_t)bounded, 4, out);
}

/* The binary format of the types of few bytes; 0 when the value is none of its type. */
static size_t encode_small(const struct value *v, uint8_t out[20])
{
    switch (v->type->kind) {
    case VALUE_BOOL: return put_number(v->number != 0, 1, out);
    case VALUE_INTEGER:
        return fits(v->number, v->type->width)
                   ? put_number((uint64_t)v->number, v->type->width, out)
                   : 0;
    case VALUE_FLOAT4:
    case VALUE_FLOAT8: return put_float(v, out);
    case VALUE_DATE: return put_days(v->number, out);
    case VALUE_TIMESTAMP:
    case VALUE_TIMESTAMPTZ:
    case VALUE_TIME: return put_number((uint64_t)v->number, 8, out);
    case VALUE_UUID:
    case VALUE_INET: memcpy(out, v->text.data, v->text.size); return v->text.size;
    default: return 0;
    }
}

static enum err write_hex(struct bytes b, struct buffer *out)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t *to = buffer_reserve(out, 2 + 2 * b.size);
    if (to == NULL) {
        return ERR_LIMIT;
    }
    to[0] = '\\';
    to[1] = 'x';
    for (size_t i = 0; i < b.size; i++) {
        to[2 + 2 * i] = (uint8_t)digits[b.data[i] >> 4];
        to[3 + 2 * i] = (uint8_t)digits[b.data[i] & 15];
    }
    buffer_commit(out, 2 + 2 * b.size);
    return OK;
}

static enum err write_jsonb(struct bytes text, struct buffer *out)
{
    struct writer w = writer_start(out);
    writer_put_u8(&w, 1); /* the version of the format */
    writer_put_bytes(&w, text);
    return writer_finish(&w);
}

static enum err write_small(const struct value *v, bool is_binary, struct buffer *out)
{
    uint8_t small[20];
    size_t size = encode_small(v, small), before = buffer_size(out);
    if (size == 0) {
        return ERR_INVALID;
    }
    if (is_binary) {
        /* The printer knows each type's bounds: what it does not print is no value. */
        enum pg_text_result r = pg_types_to_text(v->type->oid, bytes_of(small, size), 0, out);
        return r == PG_TEXT_RAW ? ERR_INVALID : buffer_append(out, bytes_of(small, size));
    }
    enum pg_text_result r =
        pg_types_to_text(v->type->oid, bytes_of(small, size), VALUE_SHORT_MAX, out);
    if (r == PG_TEXT_WHOLE) {
        return OK;
    }
    out->end = out->start + before;
    return r == PG_TEXT_RAW ? ERR_INVALID : ERR_LIMIT;
}

enum err value_write(const struct value *v, bool is_binary, struct buffer *out)
{
    switch (v->type->kind) {
    case VALUE_TEXT:
    case VALUE_JSON: return buffer_append(out, v->text);
    case VALUE_JSONB: return is_binary ? write_jsonb(v->text, out) : buffer_append(out, v->text);
    case VALUE_BYTEA: return is_binary ? buffer_append(out, v->text) : write_hex(v->text, out);
    case VALUE_NUMERIC:
        return is_binary ? value_numeric_encode(v->text, out) : buffer_append(out, v->text);
    default: return write_small(v, is_binary, out);
    }
}

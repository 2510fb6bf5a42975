/* One value of a result column, read from PostgreSQL's text or binary format and written back in
 * either: the common ground of the redactors, so that both formats of one value are masked alike.
 *
 * Pure. The text formats are those of DateStyle ISO and bytea_output hex or escape; a date in
 * another style does not read (its day and month cannot be told apart). The binary formats are
 * those of each type's send function. */
#ifndef CHAPERONE_SIDECAR_MASKING_VALUE_H
#define CHAPERONE_SIDECAR_MASKING_VALUE_H

#include "base/bytes.h"

enum value_kind {
    VALUE_UNKNOWN, /* not a type that can be masked to anything but NULL */
    VALUE_BOOL,
    VALUE_INTEGER, /* int2, int4, int8: number */
    VALUE_FLOAT4,
    VALUE_FLOAT8,
    VALUE_NUMERIC,     /* text: sign, digits, point, digits; or NaN, Infinity, -Infinity */
    VALUE_TEXT,        /* text, varchar, bpchar, name: text */
    VALUE_BYTEA,       /* text: its bytes */
    VALUE_UUID,        /* text: 16 bytes */
    VALUE_DATE,        /* number: days since 2000-01-01 */
    VALUE_TIMESTAMP,   /* number: microseconds since 2000-01-01 */
    VALUE_TIMESTAMPTZ, /* the same, in UTC */
    VALUE_TIME,        /* number: microseconds since midnight */
    VALUE_JSON,        /* text */
    VALUE_JSONB,       /* text, without the version byte of the binary format */
    VALUE_INET,        /* text: family, bits, 0, size, address (as network_send) */
};

struct value_type {
    uint32_t oid;
    enum value_kind kind;
    uint32_t array; /* the oid of the array of it */
    uint8_t width;  /* of an integer, in bytes */
};

/* Static; NULL for a type that is not known. `out_is_array` says that the type found is the one of
 * the array's elements. */
const struct value_type *value_type_find(uint32_t oid, bool *out_is_array);

enum {
    /* Longer text of a number, a date or an address is not one that the server prints. */
    VALUE_SHORT_MAX = 128,
    VALUE_UUID_SIZE = 16,
};

struct value {
    const struct value_type *type;
    int64_t number;
    double real;
    struct bytes text; /* borrows the input, the scratch buffer or `own` */
    uint8_t own[24];
};

/* Reads a value. ERR_INVALID when it is not one of its type. `scratch` is overwritten and may be
 * borrowed by the result: valid until it changes, and as long as `input` is. `out` must not be
 * moved afterwards (its text may lie within). */
enum err value_read(const struct value_type *type, bool is_binary, struct bytes input,
                    struct buffer *scratch, struct value *out) MUST_USE;

/* Appends a value in the format. ERR_INVALID when it is not one of its type (out of range), and
 * `out` is as before. */
enum err value_write(const struct value *v, bool is_binary, struct buffer *out) MUST_USE;

/* ---- parts ------------------------------------------------------------------------------- */

/* Optional sign, digits, optional point and digits; no exponent: what the server prints. */
bool value_is_decimal(struct bytes text);
/* Appends numeric's binary format of such a text (or NaN, Infinity). */
enum err value_numeric_encode(struct bytes text, struct buffer *out) MUST_USE;

enum value_unit { VALUE_YEAR, VALUE_MONTH, VALUE_DAY };

#define VALUE_INFINITY INT64_MAX
#define VALUE_MINUS_INFINITY INT64_MIN

/* False when the text is not of the ISO style. Infinities of a date are those of int64 too. */
bool value_date_parse(struct bytes text, int64_t *out_days);
bool value_time_parse(struct bytes text, int64_t *out_us);
bool value_timestamp_parse(struct bytes text, bool has_zone, int64_t *out_us);
/* To the first day of the unit; infinities stay. For timestamps too, when asked for. */
int64_t value_days_truncate(int64_t days, enum value_unit unit);
int64_t value_timestamp_truncate(int64_t us, enum value_unit unit);

#endif

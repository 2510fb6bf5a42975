/* PostgreSQL's built-in types: their names, and binary values as the text that PostgreSQL would
 * print for them (with DateStyle ISO, bytea_output hex, TimeZone UTC, extra_float_digits 1,
 * which are its defaults but for the zone).
 *
 * Pure: bytes in, text appended to a buffer. The binary formats are those of each type's
 * send and receive functions; they are not in the manual. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_PG_TYPES_H
#define CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_PG_TYPES_H

#include "base/bytes.h"

/* "int4", "text", "timestamptz", "int4[]"; NULL for a type that is not built in. Static. */
const char *pg_type_name(uint32_t oid);

enum pg_text_result {
    PG_TEXT_WHOLE,     /* all of it was appended */
    PG_TEXT_TRUNCATED, /* as much of it as `cap` bytes hold */
    PG_TEXT_RAW,       /* nothing was appended: not a type that we decode, or not a value of it */
    PG_TEXT_NO_MEMORY, /* nothing was appended */
};

/* Decodes bool, int2/4/8, oid, xid, xid8, cid, float4/8, numeric, text, varchar, bpchar, name,
 * char, unknown, xml, json, jsonb (as it was written, not normalised), bytea, uuid, date, time,
 * timestamp, timestamptz, inet, cidr, and arrays of these of one dimension (or empty).
 *
 * Appends at most `cap` bytes, and never more than the buffer's own cap. Text is not cut within
 * a character of UTF-8; that it is UTF-8 at all is not checked. `value` may be the beginning of
 * a longer one for the types whose text grows with it (text and its kin, json, bytea). */
enum pg_text_result pg_types_to_text(uint32_t type, struct bytes value, size_t cap,
                                     struct buffer *out) MUST_USE;

/* Whether an element of an array stands in quotes, as array_out prints it. */
bool pg_array_needs_quotes(struct bytes text);

#endif

/* Between the files of pg_types. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_PG_TYPES_INTERNAL_H
#define CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_PG_TYPES_INTERNAL_H

#include "base/bytes.h"
#include "base/cursor.h"
#include "sidecar/protocol/postgres/pg_types.h"

/* Where text goes until its cap is reached; then the rest is dropped and remembered as such. */
struct pg_sink {
    struct buffer *out;
    size_t left; /* bytes that may still be appended */
    bool is_full;
    bool no_memory;
};

void pg_sink_put(struct pg_sink *sink, struct bytes text);
void pg_sink_put_text(struct pg_sink *sink, const char *text);
/* At most 63 characters. */
void pg_sink_put_format(struct pg_sink *sink, const char *format, ...) PRINTF_LIKE(2, 3);

/* Each reads a whole value and prints it; false when it is not one of its type. What was printed
 * before that was noticed is for the caller to take back. */
bool pg_print_float4(struct bytes value, struct pg_sink *sink);
bool pg_print_float8(struct bytes value, struct pg_sink *sink);
bool pg_print_numeric(struct bytes value, struct pg_sink *sink);
bool pg_print_date(struct bytes value, struct pg_sink *sink);
bool pg_print_time(struct bytes value, struct pg_sink *sink);
bool pg_print_timestamp(struct bytes value, struct pg_sink *sink);
bool pg_print_timestamptz(struct bytes value, struct pg_sink *sink);
bool pg_print_inet(struct bytes value, struct pg_sink *sink);
bool pg_print_cidr(struct bytes value, struct pg_sink *sink);

/* The oid of an array type's elements; 0 for a type that is not an array. */
uint32_t pg_type_element(uint32_t oid);

#endif

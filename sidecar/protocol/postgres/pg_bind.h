/* Reads a Bind message as it arrives, in pieces of any size: its values may be 1 GiB together
 * and are never gathered here.
 *
 *     PG_BIND_NAMES ( PG_BIND_VALUE PG_BIND_DATA* PG_BIND_VALUE_END )* PG_BIND_END
 *
 * Feed the bytes of the body behind the header. Everything is checked on the way: each length
 * against what remains of the body, counts against the room that they need at least, and that
 * nothing follows the last field. The events are the same however the body is cut; only
 * PG_BIND_DATA comes in as many pieces as the input does.
 *
 * No allocation: the reader is about 9 KiB in the caller's memory, most of it one bit for each of
 * the 65535 parameters that may have a format. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_PG_BIND_H
#define CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_PG_BIND_H

#include "sidecar/protocol/postgres/pg_wire.h"

enum {
    /* Of a portal's or a statement's name; the server tells names apart by 63 bytes. */
    PG_BIND_NAME_MAX = 255,
    PG_BIND_VALUES_MAX = 65535,
    /* The server's MaxTupleAttributeNumber: no result has more columns. */
    PG_RESULT_COLUMNS_MAX = 1664,
};

enum pg_bind_event {
    PG_BIND_NEED_MORE, /* the input is used up */
    PG_BIND_NAMES,     /* portal, statement and value count are known */
    PG_BIND_VALUE,     /* value_index, value_size, value_is_null, value_is_binary */
    PG_BIND_DATA,      /* a piece of the value, in `*out_data` */
    PG_BIND_VALUE_END, /* also after a NULL and after an empty value */
    PG_BIND_END,       /* result formats are known; the body is at its end */
    PG_BIND_MALFORMED, /* from here on always */
};

/* How the columns of a portal's rows come. A plain value: copy it into the portal. */
struct pg_result_formats {
    uint16_t count; /* 0: all text; 1: the first is for all */
    uint8_t bits[PG_RESULT_COLUMNS_MAX / 8];
};

bool pg_result_formats_is_binary(const struct pg_result_formats *formats, size_t column);

enum pg_bind_state {
    PG_BIND_AT_PORTAL,
    PG_BIND_AT_STATEMENT,
    PG_BIND_AT_FORMAT_COUNT,
    PG_BIND_AT_FORMAT,
    PG_BIND_AT_VALUE_COUNT,
    PG_BIND_AT_VALUE_SIZE,
    PG_BIND_AT_DATA,
    PG_BIND_AT_RESULT_COUNT,
    PG_BIND_AT_RESULT_FORMAT,
    PG_BIND_AT_END,
    PG_BIND_BROKEN,
};

/* In the caller's memory; the fields up to the mark may be read. */
struct pg_bind_reader {
    struct bytes portal, statement; /* from PG_BIND_NAMES on, until the reader is used again */
    uint32_t value_count;
    uint32_t value_index, value_size; /* of the value that is being read */
    bool value_is_null, value_is_binary;
    struct pg_result_formats results; /* from PG_BIND_END on */

    /* ---- private ---- */
    enum pg_bind_state state;
    uint32_t body_left; /* bytes of the body that were not read */
    uint32_t data_left; /* bytes of the value that were not read */
    uint32_t number;    /* the first bytes of an integer that is cut in two */
    uint32_t number_size;
    uint32_t format_count, at;
    uint8_t names[2][PG_BIND_NAME_MAX];
    uint8_t formats[(PG_BIND_VALUES_MAX + 7) / 8];
};

void pg_bind_init(struct pg_bind_reader *reader, uint32_t body_size);

/* Reads on to the next event and drops what it read from the front of `in`; bytes behind the body
 * stay. `*out_data` borrows from `in`, for PG_BIND_DATA only. */
enum pg_bind_event pg_bind_next(struct pg_bind_reader *reader, struct bytes *in,
                                struct bytes *out_data) MUST_USE;

#endif

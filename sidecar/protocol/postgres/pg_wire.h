/* PostgreSQL's frontend/backend protocol version 3, read side: headers and message bodies.
 *
 * Pure decoders (PostgreSQL documentation, chapter "Frontend/Backend Protocol", sections
 * "Message Formats" and "Error and Notice Message Fields"): bytes in, a view out. A view borrows
 * the bytes that it was read from. No allocation, no I/O, no state.
 *
 * Every `pg_wire_read_*` for a body takes exactly one whole body, checks all of it (also that
 * nothing follows its last field), and returns WIRE_OK or WIRE_MALFORMED; on WIRE_MALFORMED the
 * output is untouched. Because everything was checked, the iterators cannot fail: they
 * return false at the end. Bodies that are too large to gather are for the caller to
 * refuse or stream; Bind has a streaming reader in pg_bind.h, the packets before the first
 * message are in pg_startup.h. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_PG_WIRE_H
#define CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_PG_WIRE_H

#include "base/bytes.h"
#include "base/cursor.h"

enum wire_result {
    WIRE_OK = 0,
    WIRE_NEED_MORE, /* a prefix of something that may yet be well-formed */
    WIRE_MALFORMED, /* no continuation makes it well-formed */
};

enum {
    PG_HEADER_SIZE = 5,
    /* The largest body: PostgreSQL builds no message larger than its MaxAllocSize. */
    PG_BODY_MAX = 0x3fffffff,
    /* A secret key of protocol 3.0 has 4 bytes, of 3.2 up to 256. */
    PG_KEY_MIN = 4,
    PG_KEY_MAX = 256,
    /* The server looks statements and portals up by the first 63 bytes of their names
     * (NAMEDATALEN): two names that differ only behind them are one. */
    PG_NAME_SIGNIFICANT = 63,
};

/* ---- headers and types ----------------------------------------------------------------- */

struct pg_header {
    uint8_t type;
    uint32_t body_size; /* bytes that follow the PG_HEADER_SIZE bytes of the header */
};

/* The first message of `in`. WIRE_MALFORMED when its length is below 4 or above
 * PG_BODY_MAX + 4; the type is not looked at. */
enum wire_result pg_wire_read_header(struct bytes in, struct pg_header *out) MUST_USE;

enum pg_frontend_type {
    PG_FRONTEND_BIND = 'B',
    PG_FRONTEND_CLOSE = 'C',
    PG_FRONTEND_COPY_DATA = 'd',
    PG_FRONTEND_COPY_DONE = 'c',
    PG_FRONTEND_COPY_FAIL = 'f',
    PG_FRONTEND_DESCRIBE = 'D',
    PG_FRONTEND_EXECUTE = 'E',
    PG_FRONTEND_FLUSH = 'H',
    PG_FRONTEND_FUNCTION_CALL = 'F',
    PG_FRONTEND_PARSE = 'P',
    PG_FRONTEND_PASSWORD = 'p', /* also SASL and GSS responses: legal during a login only */
    PG_FRONTEND_QUERY = 'Q',
    PG_FRONTEND_SYNC = 'S',
    PG_FRONTEND_TERMINATE = 'X',
};

enum pg_backend_type {
    PG_BACKEND_AUTHENTICATION = 'R',
    PG_BACKEND_BIND_COMPLETE = '2',
    PG_BACKEND_CLOSE_COMPLETE = '3',
    PG_BACKEND_COMMAND_COMPLETE = 'C',
    PG_BACKEND_COPY_BOTH = 'W',
    PG_BACKEND_COPY_DATA = 'd',
    PG_BACKEND_COPY_DONE = 'c',
    PG_BACKEND_COPY_IN = 'G',
    PG_BACKEND_COPY_OUT = 'H',
    PG_BACKEND_DATA_ROW = 'D',
    PG_BACKEND_EMPTY_QUERY = 'I',
    PG_BACKEND_ERROR = 'E',
    PG_BACKEND_FUNCTION_RESULT = 'V',
    PG_BACKEND_KEY_DATA = 'K',
    PG_BACKEND_NEGOTIATE = 'v',
    PG_BACKEND_NO_DATA = 'n',
    PG_BACKEND_NOTICE = 'N',
    PG_BACKEND_NOTIFICATION = 'A',
    PG_BACKEND_PARAMETER_DESCRIPTION = 't',
    PG_BACKEND_PARAMETER_STATUS = 'S',
    PG_BACKEND_PARSE_COMPLETE = '1',
    PG_BACKEND_PORTAL_SUSPENDED = 's',
    PG_BACKEND_READY = 'Z',
    PG_BACKEND_ROW_DESCRIPTION = 'T',
};

struct pg_kind {
    const char *name;  /* as in PostgreSQL's documentation: "Bind" */
    uint32_t max_body; /* bytes; a larger one is refused */
};

/* What a message type means from that side; NULL for a type that it may not send. */
const struct pg_kind *pg_wire_frontend_kind(uint8_t type);
const struct pg_kind *pg_wire_backend_kind(uint8_t type);

/* ---- values: the columns of a row, the arguments of a function --------------------------- */

struct pg_value {
    struct bytes data;
    bool is_null;
};

struct pg_values {
    uint16_t count;  /* of all of them */
    struct cursor c; /* private */
};

bool pg_values_next(struct pg_values *values, struct pg_value *out);

/* Format codes: 0 is text, 1 is binary; nothing else is accepted. */
struct pg_formats {
    struct bytes codes; /* two bytes each */
};

static inline size_t pg_formats_count(const struct pg_formats *formats)
{
    return formats->codes.size / 2;
}

/* True for binary, by the protocol's rule: no code means all text, one code is for all. */
static inline bool pg_formats_is_binary(const struct pg_formats *formats, size_t index)
{
    size_t count = pg_formats_count(formats);
    size_t at = count == 1 ? 0 : index;
    return at < count && formats->codes.data[2 * at + 1] != 0;
}

/* ---- from the frontend ------------------------------------------------------------------ */

/* Sync, Flush, Terminate, CopyDone and the backend's messages without a body. */
enum wire_result pg_wire_read_empty(struct bytes body) MUST_USE;

/* Query, CopyFail, PasswordMessage and CommandComplete: one string. */
enum wire_result pg_wire_read_string(struct bytes body, struct bytes *out) MUST_USE;

struct pg_oids {
    struct bytes raw; /* four bytes each */
};

static inline size_t pg_oids_count(const struct pg_oids *oids)
{
    return oids->raw.size / 4;
}

/* 0 ("unspecified") beyond the end. */
uint32_t pg_oids_get(const struct pg_oids *oids, size_t index);

struct pg_parse {
    struct bytes name; /* empty: the unnamed statement */
    struct bytes text;
    struct pg_oids types; /* may be fewer than the parameters; 0: unspecified */
};

enum wire_result pg_wire_read_parse(struct bytes body, struct pg_parse *out) MUST_USE;

/* Describe and Close. */
struct pg_target {
    uint8_t kind; /* 'S' a statement, 'P' a portal */
    struct bytes name;
};

enum wire_result pg_wire_read_target(struct bytes body, struct pg_target *out) MUST_USE;

struct pg_execute {
    struct bytes portal;
    int32_t max_rows; /* 0 and below: all */
};

enum wire_result pg_wire_read_execute(struct bytes body, struct pg_execute *out) MUST_USE;

struct pg_function_call {
    uint32_t function; /* its oid */
    struct pg_formats formats;
    struct pg_values arguments;
    bool binary_result;
};

enum wire_result pg_wire_read_function_call(struct bytes body,
                                            struct pg_function_call *out) MUST_USE;

/* ---- from the backend ------------------------------------------------------------------- */

enum pg_authentication_kind {
    PG_AUTHENTICATION_OK = 0,
    PG_AUTHENTICATION_KERBEROS_V5 = 2,
    PG_AUTHENTICATION_CLEARTEXT = 3,
    PG_AUTHENTICATION_MD5 = 5,
    PG_AUTHENTICATION_SCM = 6,
    PG_AUTHENTICATION_GSS = 7,
    PG_AUTHENTICATION_GSS_CONTINUE = 8,
    PG_AUTHENTICATION_SSPI = 9,
    PG_AUTHENTICATION_SASL = 10,
    PG_AUTHENTICATION_SASL_CONTINUE = 11,
    PG_AUTHENTICATION_SASL_FINAL = 12,
};

struct pg_authentication {
    enum pg_authentication_kind kind;
    /* MD5: the 4 bytes of salt. SASL: the names, see pg_wire_next_string. SASL_CONTINUE,
     * SASL_FINAL, GSS_CONTINUE: the mechanism's data. Else empty. */
    struct bytes data;
};

/* An unknown kind is WIRE_MALFORMED. */
enum wire_result pg_wire_read_authentication(struct bytes body,
                                             struct pg_authentication *out) MUST_USE;

/* The next of a run of strings (SASL mechanisms, refused options), which it shortens. False
 * at the end of the run. */
bool pg_wire_next_string(struct bytes *strings, struct bytes *out);

struct pg_key_data {
    uint32_t process_id;
    struct bytes key; /* PG_KEY_MIN to PG_KEY_MAX bytes */
};

enum wire_result pg_wire_read_key_data(struct bytes body, struct pg_key_data *out) MUST_USE;

struct pg_setting {
    struct bytes name, value;
};

enum wire_result pg_wire_read_parameter_status(struct bytes body, struct pg_setting *out) MUST_USE;

/* 'I' idle, 'T' in a transaction, 'E' in a failed one. */
enum wire_result pg_wire_read_ready(struct bytes body, uint8_t *out_status) MUST_USE;

struct pg_negotiate {
    uint32_t version;     /* the newest that the server speaks, as it wrote it */
    uint32_t count;       /* of options that it did not recognise */
    struct bytes options; /* their names, see pg_wire_next_string */
};

enum wire_result pg_wire_read_negotiate(struct bytes body, struct pg_negotiate *out) MUST_USE;

struct pg_notification {
    uint32_t process_id;
    struct bytes channel, payload;
};

enum wire_result pg_wire_read_notification(struct bytes body, struct pg_notification *out) MUST_USE;

enum wire_result pg_wire_read_parameter_description(struct bytes body,
                                                    struct pg_oids *out) MUST_USE;

struct pg_column {
    struct bytes name;
    uint32_t table;    /* its oid; 0: not a column of a table */
    int16_t attribute; /* its number in the table; 0 as above */
    uint32_t type;     /* oid */
    int16_t type_size; /* bytes; negative: variable */
    int32_t type_modifier;
    bool is_binary; /* in answer to Describe of a statement: not known yet, false */
};

struct pg_columns {
    uint16_t count;
    struct cursor c; /* private */
};

enum wire_result pg_wire_read_row_description(struct bytes body, struct pg_columns *out) MUST_USE;
bool pg_columns_next(struct pg_columns *columns, struct pg_column *out);

enum wire_result pg_wire_read_row(struct bytes body, struct pg_values *out) MUST_USE;
enum wire_result pg_wire_read_function_result(struct bytes body, struct pg_value *out) MUST_USE;

/* CopyInResponse, CopyOutResponse, CopyBothResponse. */
struct pg_copy {
    bool is_binary;            /* the whole */
    struct pg_formats formats; /* of each column */
};

enum wire_result pg_wire_read_copy(struct bytes body, struct pg_copy *out) MUST_USE;

/* The count at the end of a command tag: 5 of "INSERT 0 5" and of "SELECT 5". False when there is
 * none ("CREATE TABLE") or it does not fit. */
bool pg_tag_rows(struct bytes tag, uint64_t *out);
/* The tag without its numbers: "INSERT". Borrows. */
struct bytes pg_tag_command(struct bytes tag);

/* ErrorResponse and NoticeResponse. */
struct pg_fields {
    struct cursor c; /* private */
};

enum wire_result pg_wire_read_fields(struct bytes body, struct pg_fields *out) MUST_USE;
/* `out_type`: 'S' severity, 'V' the same untranslated, 'C' SQLSTATE, 'M' message, 'D' detail,
 * 'H' hint, 'P' position, … */
bool pg_fields_next(struct pg_fields *fields, uint8_t *out_type, struct bytes *out);
/* The first field of a type; empty when there is none. Does not move `fields`. */
struct bytes pg_fields_find(const struct pg_fields *fields, uint8_t type);

#endif

/* PostgreSQL's protocol version 3, write side: whole messages into a buffer.
 *
 * Each function appends one message or nothing: ERR_LIMIT when the buffer's cap does not hold it,
 * ERR_INVALID when a string has a zero byte in it (which would end it early for the reader and
 * make the rest another field), ERR_NO_MEMORY. All arguments are borrowed for the call. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_PG_WRITE_H
#define CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_PG_WRITE_H

#include "sidecar/protocol/postgres/pg_startup.h"
#include "sidecar/protocol/postgres/pg_wire.h"

/* ---- either side ------------------------------------------------------------------------- */

/* A header alone, for a body that is streamed behind it. */
enum err pg_write_header(struct buffer *out, uint8_t type, uint32_t body_size) MUST_USE;
/* Sync, Flush, Terminate, CopyDone, ParseComplete, BindComplete, CloseComplete, NoData, … */
enum err pg_write_empty(struct buffer *out, uint8_t type) MUST_USE;
/* A body as it is: CopyData, or a message that was read and goes on. */
enum err pg_write_body(struct buffer *out, uint8_t type, struct bytes body) MUST_USE;

/* ---- to the frontend --------------------------------------------------------------------- */

/* What ErrorResponse and NoticeResponse say. NULL (position: 0) leaves a field out. */
struct pg_message {
    const char *severity; /* "ERROR", "FATAL", "WARNING", "NOTICE": never translated */
    const char *sqlstate; /* five characters, see pg_sqlstate.h */
    const char *message;
    const char *detail;
    const char *hint;
    uint32_t position; /* in the query, in characters, from 1 */
};

enum err pg_write_error(struct buffer *out, const struct pg_message *message) MUST_USE;
enum err pg_write_notice(struct buffer *out, const struct pg_message *message) MUST_USE;
enum err pg_write_ready(struct buffer *out, uint8_t status) MUST_USE; /* 'I', 'T', 'E' */
enum err pg_write_authentication_ok(struct buffer *out) MUST_USE;
enum err pg_write_authentication_cleartext(struct buffer *out) MUST_USE;
enum err pg_write_key_data(struct buffer *out, uint32_t process_id, struct bytes key) MUST_USE;
enum err pg_write_parameter_status(struct buffer *out, struct bytes name,
                                   struct bytes value) MUST_USE;
/* `version` as in StartupMessage; the names are of the options that were not recognised. */
enum err pg_write_negotiate(struct buffer *out, uint32_t version, const struct bytes *names,
                            uint32_t count) MUST_USE;
enum err pg_write_command_complete(struct buffer *out, struct bytes tag) MUST_USE;
enum err pg_write_row(struct buffer *out, const struct pg_value *values, uint16_t count) MUST_USE;

/* ---- to the backend ---------------------------------------------------------------------- */

enum err pg_write_startup(struct buffer *out, uint32_t version, const struct pg_setting *settings,
                          size_t count) MUST_USE;
enum err pg_write_ssl_request(struct buffer *out) MUST_USE;
enum err pg_write_cancel(struct buffer *out, uint32_t process_id, struct bytes key) MUST_USE;
enum err pg_write_password(struct buffer *out, struct bytes password) MUST_USE;
/* `data` is sent as it is; an absent one and an empty one are the same to PostgreSQL's SCRAM. */
enum err pg_write_sasl_initial(struct buffer *out, const char *mechanism,
                               struct bytes data) MUST_USE;
enum err pg_write_sasl_response(struct buffer *out, struct bytes data) MUST_USE;
enum err pg_write_query(struct buffer *out, struct bytes text) MUST_USE;
enum err pg_write_parse(struct buffer *out, struct bytes name, struct bytes text,
                        const uint32_t *types, uint16_t count) MUST_USE;
/* Portal and statement have the same name; all results as text. `values`: as in a Bind behind the
 * names, up to the result formats; empty: no values. */
enum err pg_write_bind(struct buffer *out, struct bytes name, struct bytes values) MUST_USE;
/* Close and Describe; `kind` is 'S' or 'P'. */
enum err pg_write_target(struct buffer *out, uint8_t type, uint8_t kind,
                         struct bytes name) MUST_USE;
enum err pg_write_execute(struct buffer *out, struct bytes portal, int32_t max_rows) MUST_USE;
enum err pg_write_sync(struct buffer *out) MUST_USE;
enum err pg_write_copy_fail(struct buffer *out, const char *reason) MUST_USE;
enum err pg_write_terminate(struct buffer *out) MUST_USE;

#endif
